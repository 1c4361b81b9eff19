"""Faults of signatures and of differences (IXFR)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from .hostile import RR, Ask, End, Pause, Signer, Step, name, tsig_error
from .hostile_fault import BAD, KEY, OTHER_KEY, OTHER_SECRET, Table

FAULTS = Table()
ixfr, signed = FAULTS.ixfr, FAULTS.signed

# Signatures

signed("signed-not-at-all", lambda ask: ask.whole())
signed("signed-with-another-secret", lambda ask: Signer(OTHER_SECRET, ask.mac)(ask.whole()))
signed("signed-with-another-key", lambda ask: Signer(OTHER_KEY, ask.mac)(ask.whole()))
signed("signed-for-another-request", lambda ask: Signer(KEY, bytes(32))(ask.whole()))
signed("signed-without-the-request", lambda ask: Signer(KEY, b"")(ask.whole()))
signed("signed-yesterday", lambda ask: ask.signer(offset=-86400)(ask.whole()))
signed("signed-tomorrow", lambda ask: ask.signer(offset=86400)(ask.whole()))
signed("signed-with-a-short-mac", lambda ask: ask.signer(size=8)(ask.whole()))
signed("signed-with-an-empty-mac", lambda ask: ask.signer(size=0)(ask.whole()))
signed("signed-then-changed", lambda ask: _changed(ask.signer()(ask.whole())))
signed("signed-then-cut", lambda ask: ask.signer()(ask.whole())[:-1], "unauthenticated invalid malformed")
signed("signed-at-first-alone", lambda ask: _signed(ask, {0}))
signed("signed-but-the-first", lambda ask: _signed(ask, {1, 2, 3}))
signed("signed-but-the-last", lambda ask: _signed(ask, {0, 1, 2}))
signed("signed-every-hundred-and-first", lambda ask: _rarely_signed(ask))
signed("signed-with-a-message-missing", lambda ask: _without_one(ask))
signed("signed-with-messages-swapped", lambda ask: _swapped(ask))
signed("signed-with-a-message-slipped-in", lambda ask: _slipped_in(ask))
signed("signed-twice", lambda ask: ask.signer()(ask.signer()(ask.whole())), "unauthenticated invalid malformed")
signed("signature-not-last", lambda ask: _not_last(ask), "unauthenticated invalid malformed")
signed("badsig", lambda ask: tsig_error(ask, 16))
signed("badkey", lambda ask: tsig_error(ask, 17))
signed("badtime", lambda ask: tsig_error(ask, 18))
signed("refused-unsigned", lambda ask: ask.reply(rcode=5), "unauthenticated refused")


def _changed(wire: bytes) -> bytes:
    at = wire.index(b"\xc0\0\2\1")
    return wire[:at] + b"\xc0\0\2\7" + wire[at + 4 :]


def _messages(ask: Ask) -> list[bytes]:
    """The zone in four messages."""
    one, two, *more = ask.body(2)
    return [ask.reply([ask.soa(), one]), ask.reply([two]), ask.reply(more), ask.reply([ask.soa()])]


def _signed(ask: Ask, which: set[int]) -> Iterator[Step]:
    signer = ask.signer()
    for number, wire in enumerate(_messages(ask)):
        yield signer(wire) if number in which else signer.skip(wire)
    yield End()


def _rarely_signed(ask: Ask) -> Iterator[Step]:
    """RFC 8945, 5.3.1: no more than 99 messages may go unsigned between two that are."""
    signer = ask.signer()
    yield signer(ask.reply([ask.soa(), *ask.body(2)]))
    for number in range(100):
        yield signer.skip(ask.reply([ask.rr(f"h{number}", "A", "192.0.2.1")]))
    yield signer(ask.reply([ask.soa()]))


def _without_one(ask: Ask) -> Iterator[Step]:
    signer = ask.signer()
    wires = [signer(wire) for wire in _messages(ask)]
    yield from (wires[0], wires[1], wires[3])


def _swapped(ask: Ask) -> Iterator[Step]:
    signer = ask.signer()
    wires = [signer(wire) for wire in _messages(ask)]
    yield from (wires[0], wires[2], wires[1], wires[3])


def _slipped_in(ask: Ask) -> Iterator[Step]:
    """An unsigned message that the next signature does not cover."""
    signer = ask.signer()
    wires = [signer(wire) for wire in _messages(ask)]
    yield from (*wires[:3], ask.reply([ask.rr("forged", "A", "192.0.2.66")]), wires[3])


def _not_last(ask: Ask) -> bytes:
    """An additional record after the signature."""
    wire = ask.signer()(ask.whole())
    (additional,) = struct.unpack_from("!H", wire, 10)
    return wire[:10] + struct.pack("!H", additional + 1) + wire[12:] + ask.rr("x", "A", "192.0.2.1").wire()


# Differences: AXFR is refused meanwhile, so that nothing can be taken

ixfr("ixfr-notimp", "error", lambda ask: ask.reply(rcode=4))
ixfr("ixfr-formerr", "error", lambda ask: ask.reply(rcode=1))
ixfr("ixfr-servfail", "error", lambda ask: ask.reply(rcode=2))
ixfr("ixfr-refused", "refused", lambda ask: ask.reply(rcode=5))
ixfr("ixfr-empty", BAD, lambda ask: ask.reply())
ixfr("ixfr-closed", "closed", lambda ask: [ask.reply([ask.soa(), ask.soa(1)]), End()])
ixfr("ixfr-stalled", "too-slow timeout", lambda ask: [ask.reply([ask.soa(), ask.soa(1)]), Pause(30)])
ixfr("ixfr-newer-soa-alone", f"{BAD} closed too-slow serial", lambda ask: [ask.reply([ask.soa()]), End()])
ixfr("ixfr-from-another-serial", f"{BAD} serial does-not-apply", lambda ask: _difference(ask, begin=0))
ixfr("ixfr-to-another-serial", f"{BAD} serial", lambda ask: _difference(ask, end=3))
ixfr(
    "ixfr-removes-what-is-not-there",
    "does-not-apply",
    lambda ask: _difference(ask, removed=[ask.rr("nobody", "A", "192.0.2.9")]),
)
ixfr(
    "ixfr-removes-out-of-zone",
    f"{BAD} does-not-apply",
    lambda ask: _difference(ask, removed=[RR(name("victim.test."), 1, b"\x7f\0\0\1")]),
)
ixfr("ixfr-adds-out-of-zone", BAD, lambda ask: _difference(ask, added=[RR(name("victim.test."), 1, b"\x7f\0\0\1")]))
ixfr("ixfr-adds-class-chaos", BAD, lambda ask: _difference(ask, added=[ask.rr("x", "A", "192.0.2.1", class_=3)]))
ixfr("ixfr-adds-bad-rdata", BAD, lambda ask: _difference(ask, added=[ask.rr("x", "A", b"\0\0\0")]))
ixfr(
    "ixfr-adds-soa-below-the-apex",
    BAD,
    lambda ask: _difference(ask, added=[ask.soa()._replace(owner=b"\1x" + ask.apex)]),
)
ixfr(
    "ixfr-adds-too-many",
    "too-large",
    lambda ask: _difference(ask, added=[ask.rr("x", "A", bytes([10, 0, 0, n])) for n in range(200)]),
)
ixfr("ixfr-endless", "too-large", lambda ask: _endless(ask))
ixfr("ixfr-does-not-chain", f"{BAD} serial", lambda ask: _chain(ask, (1, 2), (3, 4)))
ixfr("ixfr-goes-back", f"{BAD} serial", lambda ask: _chain(ask, (1, 3), (3, 2)))
ixfr("ixfr-stands-still", f"{BAD} serial", lambda ask: _chain(ask, (1, 1), (1, 2)))
ixfr("ixfr-in-a-circle", f"{BAD} serial", lambda ask: _chain(ask, (1, 2), (2, 1), (1, 2)))
ixfr("ixfr-records-after-the-end", BAD, lambda ask: ask.reply([*_records(ask), ask.rr("x", "A", "192.0.2.1")]))
ixfr("ixfr-half-signed", "unauthenticated", lambda ask: _half_signed(ask), signed=True)
ixfr("ixfr-unsigned", "unauthenticated", lambda ask: ask.reply(_records(ask)), signed=True)
ixfr(
    "ixfr-over-udp-unsigned",
    "unauthenticated timeout",
    lambda ask: ask.reply(_records(ask)),
    signed=True,
    settings=("ixfr=udp",),
)
ixfr("ixfr-over-udp-silent", "too-slow timeout", lambda ask: [Pause(30)] if ask.is_tcp else [], settings=("ixfr=udp",))


def _records(ask: Ask, begin: int = 1, end: int = 2, removed: Iterable[RR] = (), added: Iterable[RR] = ()) -> list[RR]:
    old, new = ask.body(1), ask.body(2)
    return [
        ask.soa(),
        ask.soa(begin), *(record for record in old if record not in new), *removed,
        ask.soa(end), *(record for record in new if record not in old), *added,
        ask.soa(),
    ]  # fmt: skip


def _difference(ask: Ask, **spoiled: object) -> bytes:
    return ask.reply(_records(ask, **spoiled))  # type: ignore[arg-type]


def _chain(ask: Ask, *steps: tuple[int, int]) -> bytes:
    last = ask.soa(2)
    between = [soa for begin, end in steps for soa in (ask.soa(begin), ask.soa(end))]
    return ask.reply([last, *between, last])


def _endless(ask: Ask) -> Iterator[Step]:
    yield ask.reply([ask.soa(), ask.soa(1), ask.soa()])
    for number in range(200_000):
        yield ask.reply([ask.rr(f"h{number}-{n}", "A", "192.0.2.1") for n in range(50)])


def _half_signed(ask: Ask) -> Iterator[Step]:
    signer, records = ask.signer(), _records(ask)
    yield signer(ask.reply(records[:2]))
    yield signer.skip(ask.reply(records[2:]))
    yield End()
