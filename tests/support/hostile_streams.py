"""Faults of whole transfers (AXFR), and of the SOA check."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import count, repeat

from .hostile import RR, Ask, End, Pause, Raw, Signer, Step, name, tsig_error
from .hostile_fault import BAD, OTHER_SECRET, Make, Table

FAULTS = Table()
axfr, soa = FAULTS.axfr, FAULTS.soa

HALF = 1 << 31


def _with(kind: str, rdata: bytes) -> Make:
    """A whole zone with this record beside."""
    return lambda ask: ask.whole(ask.rr("x", kind, rdata))


# The stream: what TCP can do

axfr("tcp-connection-refused", "unreachable", lambda ask: [], udp_only=True)
axfr("closed-at-once", "closed", lambda ask: [End()])
axfr("reset-at-once", "closed unreachable", lambda ask: [End(reset=True)])
axfr("silent", "too-slow timeout", lambda ask: [Pause(30)])
axfr("closed-after-first-message", "closed", lambda ask: [ask.reply([ask.soa(), *ask.body(2)]), End()])
axfr("closed-in-a-message", "closed", lambda ask: [Raw(b"\1\0" + ask.whole()[:100]), End()])
axfr("closed-in-a-length", "closed", lambda ask: [ask.reply([ask.soa(), *ask.body(2)]), Raw(b"\1"), End()])
axfr("reset-midway", "closed unreachable", lambda ask: [ask.reply([ask.soa(), *ask.body(2)]), End(reset=True)])
axfr("stalled-midway", "too-slow timeout", lambda ask: [ask.reply([ask.soa(), *ask.body(2)]), Pause(30)])
axfr("stalled-in-a-message", "too-slow timeout", lambda ask: [Raw(b"\1\0" + ask.whole()[:100]), Pause(30)])
axfr("octet-by-octet", "too-slow timeout", lambda ask: _dripped(b"\1\0" + ask.whole()))
axfr("message-by-message", "too-slow timeout", lambda ask: _slow(ask))
axfr("message-of-no-octets", BAD, lambda ask: [Raw(b"\0\0")])
axfr("message-below-a-header", BAD, lambda ask: [Raw(b"\0\13" + ask.whole()[:11])])
axfr("octets-at-random", "invalid malformed closed too-slow", lambda ask: [Raw(b"\0\100" + bytes(range(64)))])
axfr("http", "invalid malformed closed too-slow", lambda ask: [Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), End()])
# The helper process, which has this one, is idle work: where the machine is busy its time may be up first.
axfr(
    "endless-records",
    "too-large too-slow",
    lambda ask: _endless(ask, lambda n: ask.rr(f"h{n}", "TXT", b"\xff" + b"x" * 255)),
)
axfr("endless-small-records", "too-large", lambda ask: _endless(ask, lambda n: ask.rr(f"h{n}", "A", b"\x7f\0\0\1")))
axfr("endless-same-record", "too-large", lambda ask: _endless(ask, lambda n: ask.rr("same", "A", b"\x7f\0\0\1")))
axfr("endless-messages-without-records", "too-slow too-large invalid malformed", lambda ask: _empty_for_ever(ask))


def _dripped(octets: bytes) -> Iterator[Step]:
    for octet in octets:
        yield Raw(bytes([octet]))
        yield Pause(0.5)


def _slow(ask: Ask) -> Iterator[Step]:
    yield ask.reply([ask.soa()])
    for number in count():
        yield Pause(0.5)
        yield ask.reply([ask.rr(f"h{number}", "A", "192.0.2.1")])


def _endless(ask: Ask, record: Callable[[int], RR], octets: int = 256 << 20) -> Iterator[Step]:
    """No more than ``octets``: a server that takes all that is wrong by then."""
    yield ask.reply([ask.soa()])
    numbers = count()
    sent = 0
    while sent < octets:
        wire = ask.reply([record(next(numbers)) for _ in range(50)])
        sent += len(wire)
        yield wire


def _empty_for_ever(ask: Ask) -> Iterator[Step]:
    yield ask.reply([ask.soa()])
    yield from repeat(ask.reply(), 5_000_000)


# The header and the question

axfr("wrong-id", BAD, lambda ask: ask.whole(id_=ask.id ^ 1))
axfr("wrong-id-in-the-second-message", BAD, lambda ask: _parts(ask, id_=ask.id ^ 1))
axfr("a-question-comes-back", BAD, lambda ask: ask.whole(flags=0x0400))
axfr("another-opcode", BAD, lambda ask: ask.whole(flags=0xA400))
axfr("truncated-over-tcp", BAD, lambda ask: ask.whole(flags=0x8600))
axfr("rcode-formerr", "error", lambda ask: ask.reply(rcode=1))
axfr("rcode-servfail", "error", lambda ask: ask.reply(rcode=2))
axfr("rcode-nxdomain", "error", lambda ask: ask.reply(rcode=3))
axfr("rcode-notimp", "error", lambda ask: ask.reply(rcode=4))
axfr("rcode-refused", "refused", lambda ask: ask.reply(rcode=5))
axfr("rcode-notauth", "not-authoritative", lambda ask: ask.reply(rcode=9))
axfr("rcode-in-the-second-message", "error", lambda ask: _parts(ask, rcode=2))
axfr("rcode-beside-a-whole-zone", "error", lambda ask: ask.whole(rcode=2))
axfr("another-name-asked", BAD, lambda ask: ask.whole(question=name("other.test.") + b"\0\xfc\0\1"))
axfr("another-type-asked", BAD, lambda ask: ask.whole(question=ask.apex + b"\0\1\0\1"))
axfr("another-class-asked", BAD, lambda ask: ask.whole(question=ask.apex + b"\0\xfc\0\3"))
axfr("two-questions", BAD, lambda ask: ask.whole(question=ask.question * 2, questions=2))
axfr("no-question-at-first", BAD, lambda ask: ask.whole(question=b"", questions=0))
axfr("more-records-counted-than-sent", BAD, lambda ask: ask.whole(answers=200))
axfr("fewer-records-counted-than-sent", BAD, lambda ask: ask.whole(answers=8))
axfr("65535-records-counted-none-sent", BAD, lambda ask: ask.reply(answers=65535))
axfr("no-records", BAD, lambda ask: ask.reply())
axfr("octets-after-the-end", BAD, lambda ask: ask.whole(extra=b"\0\1\2\3"))


def _parts(ask: Ask, **second: int) -> Iterator[Step]:
    yield ask.reply([ask.soa(), *ask.body(2)])
    yield ask.reply([ask.soa()], **second)  # type: ignore[arg-type]


# The order of records

axfr("no-soa-at-first", BAD, lambda ask: ask.reply([*ask.body(2), ask.soa()]))
axfr("soa-of-another-zone", BAD, lambda ask: ask.reply([ask.soa()._replace(owner=name("other.test.")), *ask.body(2)]))
axfr("soa-of-the-parent", BAD, lambda ask: ask.reply([ask.soa()._replace(owner=name("hostile.test.")), *ask.body(2)]))
axfr("last-soa-of-another-serial", BAD, lambda ask: ask.whole(last=ask.soa(3)))
axfr("last-soa-of-another-minimum", BAD, lambda ask: ask.whole(last=ask.soa(2, minimum=61)))
axfr("soa-in-the-middle", BAD, lambda ask: ask.reply([ask.soa(), *ask.body(2), ask.soa(), *ask.body(2), ask.soa()]))
axfr("other-soa-in-the-middle", BAD, lambda ask: ask.whole(ask.soa(7)))
axfr("records-after-the-end", BAD, lambda ask: ask.reply([ask.soa(), *ask.body(2), ask.soa(), ask.body(2)[1]]))
axfr("soa-twice-at-first", BAD, lambda ask: ask.reply([ask.soa(), ask.soa(), *ask.body(2), ask.soa()]))
axfr("soa-below-the-apex", BAD, lambda ask: ask.whole(ask.soa()._replace(owner=b"\3sub" + ask.apex)))
axfr("soa-alone", "invalid serial closed too-slow", lambda ask: [ask.reply([ask.soa()]), End()])

# Records that do not belong here

axfr("class-chaos", BAD, lambda ask: ask.whole(ask.rr("x", "A", "192.0.2.1", class_=3)))
axfr("class-any", BAD, lambda ask: ask.whole(ask.rr("x", "A", "192.0.2.1", class_=255)))
axfr("class-none", BAD, lambda ask: ask.whole(ask.rr("x", "A", "192.0.2.1", class_=254)))
axfr("class-0", BAD, lambda ask: ask.whole(ask.rr("x", "A", "192.0.2.1", class_=0)))
axfr("owner-out-of-zone", BAD, lambda ask: ask.whole(RR(name("www.victim.test."), 1, b"\x7f\0\0\1")))
axfr("owner-is-the-parent", BAD, lambda ask: ask.whole(RR(name("hostile.test."), 1, b"\x7f\0\0\1")))
axfr("owner-is-the-root", BAD, lambda ask: ask.whole(RR(b"\0", 1, b"\x7f\0\0\1")))
axfr("owner-ends-in-the-same-letters", BAD, lambda ask: ask.whole(RR(_glued(ask.apex), 1, b"\x7f\0\0\1")))
for _type in (0, 41, 128, 249, 250, 251, 252, 253, 254, 255):
    axfr(f"type-{_type}-in-a-zone", BAD, _with(f"TYPE{_type}", b""))


def _glued(apex: bytes) -> bytes:
    """``xLABEL`` for the zone's first ``LABEL``: the same text at the end, another name."""
    return bytes([apex[0] + 1]) + b"x" + apex[1:]


# Rdata and names that are no such; the server's own tables of all types are tested with tests/protocol

for _kind, _length in (("A", 3), ("A", 5), ("AAAA", 15), ("AAAA", 17), ("MX", 1), ("SRV", 6), ("DS", 3), ("SOA", 20)):
    axfr(f"rdata-{_kind.lower()}-of-{_length}", BAD, _with(_kind, bytes(_length)))
for _name, _wrong in {
    "ns-past-its-end": ("NS", b"\x05abc"), "ns-without-end": ("NS", b"\3abc"), "cname-and-more": ("CNAME", b"\1a\0\0"),
    "txt-past-its-end": ("TXT", b"\x05abc"), "txt-empty": ("TXT", b""), "caa-tag-of-0": ("CAA", b"\0\0x"),
    "nsec-window-of-0": ("NSEC", b"\0\0\0"), "nsec-window-of-33": ("NSEC", b"\0\0\x21" + b"\1" * 33),
    "nsec3-short": ("NSEC3", b"\1\0\0\1\xff"), "rrsig-short": ("RRSIG", b"\0\1\x08"), "naptr-short": ("NAPTR", b"\0\1"),
    "svcb-unordered": ("SVCB", b"\0\1\0\0\4\0\0\0\1\0\0"), "hinfo-one-string": ("HINFO", b"\1a"),
    "loc-short": ("LOC", b"\0" * 15), "ds-digest-short": ("DS", b"\0\1\x08\2" + b"a" * 31),
}.items():  # fmt: skip
    axfr(f"rdata-{_name}", BAD, _with(*_wrong))
axfr("rdlength-past-the-message", BAD, lambda ask: ask.whole(last=ask.soa()._replace(length=9999)))
axfr("rdlength-one-more", BAD, lambda ask: ask.whole(ask.rr("x", "A", "192.0.2.1", length=5)))
axfr("rdlength-one-less", BAD, lambda ask: ask.whole(ask.rr("x", "A", "192.0.2.1", length=3)))
axfr("owner-points-at-itself", BAD, lambda ask: _spoiled(ask, lambda at: _pointer(at)))
axfr("owner-points-at-its-own-label", BAD, lambda ask: _spoiled(ask, lambda at: b"\1x" + _pointer(at)))
axfr("owner-points-ahead", BAD, lambda ask: _spoiled(ask, lambda at: _pointer(at + 30)))
axfr("owner-points-past-the-message", BAD, lambda ask: _spoiled(ask, lambda at: b"\xff\xff"))
axfr("owner-points-at-the-header", BAD, lambda ask: _spoiled(ask, lambda at: _pointer(2)))
axfr("owner-of-label-type-01", BAD, lambda ask: _spoiled(ask, lambda at: b"\x41x\0"))
axfr("owner-of-label-type-10", BAD, lambda ask: _spoiled(ask, lambda at: b"\x81x\0"))
axfr("owner-of-300-octets", BAD, lambda ask: _spoiled(ask, lambda at: (b"\x3f" + b"x" * 63) * 4 + ask.apex))
axfr("rdata-points-at-itself", BAD, lambda ask: _spoiled(ask, lambda at: ask.apex, rdata=lambda at: _pointer(at)))
axfr("rdata-points-past-its-end", BAD, lambda ask: _spoiled(ask, lambda at: ask.apex, rdata=lambda at: b"\1x\xc0"))


def _pointer(at: int) -> bytes:
    return struct.pack("!H", 0xC000 | at)


def _spoiled(ask: Ask, owner: Callable[[int], bytes], rdata: Callable[[int], bytes] = lambda at: b"\0") -> bytes:
    """A zone with one NS record more, its names made from where they stand in the message."""
    before = [ask.soa(), *ask.body(2)]
    at = len(ask.reply(before))
    head = owner(at)
    return ask.reply([*before, RR(head, 2, rdata(at + len(head) + 10)), ask.soa()])


# Contents beyond the limits that the test sets

axfr(
    "records-of-an-rrset",
    "too-large",
    lambda ask: ask.whole(*(ask.rr("x", "A", bytes([10, 0, 0, n])) for n in range(200))),
)
axfr(
    "types-of-a-name", "too-large", lambda ask: ask.whole(*(ask.rr("x", f"TYPE{65300 + n}", b"\1") for n in range(60)))
)

# The serial, after the SOA check has promised 2

axfr("serial-goes-back", "serial", lambda ask: ask.whole(serial=0))
# Whatever it promised: what it has is what is here.
axfr("serial-stands-still", "", lambda ask: ask.whole(serial=1), outcome="current")
axfr("serial-half-a-circle-away", "serial", lambda ask: ask.whole(serial=1 + HALF))
axfr("serial-beyond-half-a-circle", "serial", lambda ask: ask.whole(serial=2 + HALF))

# The SOA check

SOA_EVENT, SILENCE = "refresh-failed", "primary-unreachable"
soa("soa-silent", SILENCE, "timeout", lambda ask: [Pause(30)] if ask.is_tcp else [])
soa("soa-silent-then-closed", f"{SOA_EVENT} {SILENCE}", "timeout closed unreachable", lambda ask: [End()])
soa("soa-refused", SOA_EVENT, "refused", lambda ask: ask.reply(rcode=5))
soa("soa-servfail", SOA_EVENT, "error", lambda ask: ask.reply(rcode=2))
soa("soa-nxdomain", SOA_EVENT, "error", lambda ask: ask.reply(rcode=3))
soa("soa-notauth", SOA_EVENT, "not-authoritative", lambda ask: ask.reply(rcode=9))
soa("soa-without-authority", SOA_EVENT, "not-authoritative", lambda ask: ask.reply([ask.soa()], flags=0x8000))
soa("soa-no-records", SOA_EVENT, "not-authoritative", lambda ask: ask.reply())
soa(
    "soa-of-another-name",
    SOA_EVENT,
    f"not-authoritative {BAD}",
    lambda ask: ask.reply([ask.soa()._replace(owner=name("o.test."))]),
)
soa("soa-is-an-alias", SOA_EVENT, f"not-authoritative {BAD}", lambda ask: ask.reply([ask.rr("", "CNAME", "o.test.")]))
soa("soa-of-class-chaos", SOA_EVENT, f"not-authoritative {BAD}", lambda ask: ask.reply([ask.soa()._replace(class_=3)]))
soa(
    "soa-short", SOA_EVENT, f"not-authoritative {BAD}", lambda ask: ask.reply([ask.soa()._replace(rdata=b"\0\0\0\0\1")])
)
soa(
    "soa-of-two-serials",
    f"{SOA_EVENT} transfer-failed",
    f"not-authoritative {BAD} refused",
    lambda ask: ask.reply([ask.soa(3), ask.soa(2)]),
)
soa("soa-wrong-id", f"{SOA_EVENT} {SILENCE}", f"timeout {BAD}", lambda ask: ask.reply([ask.soa()], id_=ask.id ^ 1))
soa(
    "soa-another-question",
    f"{SOA_EVENT} {SILENCE}",
    f"timeout {BAD}",
    lambda ask: ask.reply([ask.soa()], question=name("o.test.") + b"\0\6\0\1"),
)
soa("soa-question-back", f"{SOA_EVENT} {SILENCE}", f"timeout {BAD}", lambda ask: ask.reply([ask.soa()], flags=0x0400))
soa("soa-octets-at-random", f"{SOA_EVENT} {SILENCE}", f"timeout {BAD}", lambda ask: bytes(range(100)))
soa(
    "soa-points-at-itself",
    f"{SOA_EVENT} {SILENCE}",
    f"timeout not-authoritative {BAD}",
    lambda ask: ask.reply([ask.soa()._replace(owner=_pointer(12 + len(ask.question)))]),
)
soa("soa-truncated-for-ever", f"{SOA_EVENT} {SILENCE}", f"timeout {BAD}", lambda ask: ask.reply(flags=0x8600))
soa(
    "soa-truncated-then-closed",
    f"{SOA_EVENT} {SILENCE}",
    "closed timeout unreachable",
    lambda ask: [End()] if ask.is_tcp else ask.reply(flags=0x8600),
)
soa(
    "soa-unsigned", f"{SOA_EVENT} {SILENCE}", "unauthenticated timeout", lambda ask: ask.reply([ask.soa()]), signed=True
)
soa(
    "soa-signed-with-another-secret",
    f"{SOA_EVENT} {SILENCE}",
    "unauthenticated timeout",
    lambda ask: Signer(OTHER_SECRET, ask.mac)(ask.reply([ask.soa()])),
    signed=True,
)
soa("soa-badkey", SOA_EVENT, "unauthenticated", lambda ask: tsig_error(ask, 17), signed=True)
soa("soa-badtime", SOA_EVENT, "unauthenticated", lambda ask: tsig_error(ask, 18), signed=True)
soa("soa-goes-back", "primary-behind", "", lambda ask: ask.reply([ask.soa(0)]))
soa("soa-beyond-half-a-circle", "primary-behind", "", lambda ask: ask.reply([ask.soa(2 + HALF)]))
soa("soa-half-a-circle-away", "serial-incomparable", "", lambda ask: ask.reply([ask.soa(1 + HALF)]))
