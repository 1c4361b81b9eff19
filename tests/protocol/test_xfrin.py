"""Transfers in, rule by rule: AXFR (RFC 5936), IXFR (RFC 1995), names in rdata (RFC 3597, 4), limits (R22)."""

from __future__ import annotations

import struct

import dns.message
import pytest

from dnsserver.protocol import edns, xfrin
from dnsserver.protocol.query import Query, parse
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrin import BadTransfer, TransferIn, TransferLimits
from dnsserver.zone import names
from dnsserver.zone.changeset import difference
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AXFR, DNAME, IXFR, MX, NAPTR, NS, NSEC, RRSIG, SOA, SRV, SVCB, TXT, A

from .incoming import (
    APEX,
    ID,
    KEY,
    NEW,
    NOW,
    OLD,
    RESPONSE,
    WHOLE,
    ZONE,
    Case,
    Message,
    address,
    answer,
    ask,
    compressed,
    name,
    raw,
    reason,
    run,
    soa,
    wire,
)

MIDDLE = soa(8)
POINTER = b"\xc0\x0c"
LONG = b"".join([b"\x3f" + letter * 63 for letter in (b"a", b"b", b"c")])
META = (0, 41, 128, 200, *range(249, 256))
QUESTION = ask().question
OPT = edns.opt(1232, 0, False, b"")
BADVERS_OPT = edns.opt(1232, 16, False, b"")
TSIG = raw(KEY.name, 250, KEY.algorithm + bytes(6) + b"\x01\x2c\x00\x00" + bytes(6), rclass=255, ttl=0)


def small(**limits: int) -> TransferLimits:
    return TransferLimits(ZoneLimits(**limits))


def axfr(*records: Record | bytes, **how: object) -> list[Message]:
    return [answer([NEW, *records, NEW], **how)]


def name_in(rtype: int, rdata: bytes) -> list[Message]:
    """An AXFR with a record whose rdata holds what may be a compressed name."""
    return axfr(raw(POINTER, rtype, rdata))


CURRENT = [NEW]
STEP = [NEW, OLD, address("a", 1), NEW, address("a", 2), NEW]
TWO_STEPS = [NEW, OLD, address("a", 1), MIDDLE, address("b", 1), MIDDLE, address("b", 1), NEW, address("c", 1), NEW]

CASES = [
    Case("one message", [answer(WHOLE)]),
    Case("a record in each message", [answer([record]) for record in WHOLE]),
    Case("a question in the first message alone", [answer(WHOLE[:2]), answer(WHOLE[2:], question=b"")]),
    Case("a question in another case", [answer(WHOLE, question=APEX.upper() + QUESTION[-4:])]),
    Case("without AA", [answer(WHOLE, flags=0x8000)]),
    Case("AD, CD and RA set", [answer(WHOLE, flags=RESPONSE | 0x00B0)]),
    Case("an OPT in the first message", [answer(WHOLE, additional=OPT, additionals=1)]),
    Case("records of other sections", [answer(WHOLE, authority=ZONE[0].wire, authorities=1)]),
    Case("an SOA alone is a zone", [answer([NEW, NEW])]),
    Case("the SOA at the end in another case", [answer([NEW, *ZONE, soa(9, owner=APEX.upper(), mname="NS1")])]),
    # The header.
    Case("cut off in the header", [Message(b"", 0)], "invalid"),
    Case("another ID", [answer(WHOLE, message_id=ID + 1)], "malformed"),
    Case("another ID later", [answer(WHOLE[:3]), answer(WHOLE[3:], message_id=1)], "malformed"),
    Case("a query", [answer(WHOLE, flags=0)], "malformed"),
    Case("another opcode", [answer(WHOLE, flags=RESPONSE | 4 << 11)], "malformed"),
    Case("truncated over TCP", [answer(WHOLE, flags=RESPONSE | 0x0200)], "malformed"),
    Case("truncated later", [answer(WHOLE[:3]), answer(WHOLE[3:], flags=RESPONSE | 0x0200)], "malformed"),
    Case("refused", [answer([], flags=RESPONSE | 5)], "refused"),
    Case("refused without a question", [answer([], flags=RESPONSE | 5, question=b"")], "refused"),
    Case("not authoritative", [answer([], flags=RESPONSE | 9)], "not-authoritative"),
    Case("a server failure", [answer([], flags=RESPONSE | 2)], "error"),
    Case("not implemented", [answer([], flags=RESPONSE | 4)], "error", serial=7),
    Case("an unknown RCODE", [answer([], flags=RESPONSE | 14)], "error"),
    Case("an extended RCODE", [answer([], additional=BADVERS_OPT, additionals=1)], "error"),
    Case("refused in the middle", [answer(WHOLE[:3]), answer(WHOLE[3:], flags=RESPONSE | 5)], "refused"),
    Case("no question", [answer(WHOLE, question=b"")], "malformed"),
    Case("another zone's question", [answer(WHOLE, question=name("other.") + QUESTION[-4:])], "malformed"),
    Case("another type's question", [answer(WHOLE, question=APEX + b"\x00\xfb\x00\x01")], "malformed"),
    Case("another class's question", [answer(WHOLE, question=APEX + b"\x00\xfc\x00\x03")], "malformed"),
    Case("another question later", [answer(WHOLE[:3]), answer(WHOLE[3:], question=APEX + b"\0\1\0\1")], "malformed"),
    Case("two questions", [answer(WHOLE, question=QUESTION * 2, questions=2)], "malformed"),
    Case("a question counted and not there", [answer([], question=b"", questions=1)], "malformed"),
    # Sections.
    Case("no records", [answer([])], "invalid", detail="without records"),
    Case("no records later", [answer(WHOLE[:3]), answer([])], "invalid", detail="without records"),
    Case("fewer records than counted", [Message(wire(WHOLE), len(WHOLE) + 1)], "invalid"),
    Case("more records than counted", [Message(wire(WHOLE), len(WHOLE) - 1)], "invalid"),
    Case("octets after the last record", [answer([*WHOLE], additional=b"\0")], "invalid"),
    Case("an additional record that is cut off", [answer(WHOLE, additional=OPT[:-1], additionals=1)], "invalid"),
    Case("two OPT records", [answer(WHOLE, additional=OPT * 2, additionals=2)], "invalid"),
    Case("an OPT in the authority section", [answer(WHOLE, authority=OPT, authorities=1)], "invalid"),
    Case("an OPT of a name", [answer(WHOLE, additional=b"\1a" + OPT, additionals=1)], "invalid"),
    Case("a TSIG that is not the last", [answer(WHOLE, additional=TSIG + OPT, additionals=2)], "invalid"),
    Case("a TSIG in the authority section", [answer(WHOLE, authority=TSIG, authorities=1)], "invalid"),
    Case("a TSIG that nobody asked for", [answer(WHOLE, additional=TSIG, additionals=1)], "malformed"),
    Case("an odd label in another section", [answer(WHOLE, additional=b"\x41" + OPT, additionals=1)], "invalid"),
    # The order of an AXFR.
    Case("no SOA at the beginning", [answer([*ZONE, NEW])], "invalid", detail="first record"),
    Case("an SOA that is not the first", [answer([ZONE[0], NEW, *ZONE, NEW])], "invalid", detail="first record"),
    Case("no SOA at the end", [answer([NEW, *ZONE])], "closed"),
    Case("nothing at all", [], "closed"),
    Case("an SOA in the middle", [answer([NEW, ZONE[0], NEW, *ZONE[1:], NEW])], "invalid", detail="records after"),
    Case("a record after the end", [answer([*WHOLE, ZONE[0]])], "invalid", detail="records after"),
    Case("two SOAs at the end", [answer([*WHOLE, NEW])], "invalid", detail="records after"),
    Case("a message after the end", [answer(WHOLE), answer([ZONE[0]])], "invalid", detail="after the end"),
    Case("another serial at the end", [answer([NEW, *ZONE, soa(10)])], "invalid", detail="not the one"),
    Case("another primary name at the end", [answer([NEW, *ZONE, soa(9, mname="ns2")])], "invalid"),
    Case("another TTL of the SOA at the end", [answer([NEW, *ZONE, soa(9, ttl=1)])], "invalid"),
    Case("another serial in the middle", [answer([NEW, ZONE[0], soa(10), *ZONE, NEW])], "invalid"),
    # Records.
    Case("another class", axfr(raw(APEX, A, bytes(4), rclass=3)), "invalid", detail="class"),
    Case("class ANY", axfr(raw(APEX, A, bytes(4), rclass=255)), "invalid", detail="class"),
    Case("class NONE", axfr(raw(APEX, A, bytes(4), rclass=254)), "invalid", detail="class"),
    Case("an owner outside", axfr(address("www.example.org.", 1)), "invalid", detail="outside the zone"),
    Case("an owner above", axfr(address("com.", 1)), "invalid", detail="outside the zone"),
    Case("the root as owner", axfr(address(".", 1)), "invalid", detail="outside the zone"),
    Case("an owner that ends alike", axfr(raw(b"\x0awwwexample\3com\0", A, bytes(4))), "invalid", detail="outside"),
    Case("the apex within a label", axfr(raw(b"\x0e\1x\7example\3com\0\0", A, bytes(4))), "invalid"),
    Case("an SOA elsewhere", axfr(soa(9, owner=name("sub"))), "invalid", detail="own name"),
    Case("an owner in another case", axfr(address("WWW.EXAMPLE.COM.", 1))),
    Case("a TTL of 32 bits is 0", axfr(raw(APEX, A, bytes(4), ttl=1 << 31))),
    Case("a type that nobody knows", axfr(raw(APEX, 65279, b"\xc0\x0c\xff"))),
    Case("empty rdata of such a type", axfr(raw(APEX, 65279, b""))),
    *(Case(f"type {rtype}", axfr(raw(APEX, rtype, bytes(4))), "invalid") for rtype in META),
    # Names.
    Case("a pointer to itself", axfr(raw(b"\xc0\x5a", A, bytes(4))), "invalid"),
    Case("a pointer forward", axfr(raw(b"\xff\xff", A, bytes(4))), "invalid"),
    Case("a pointer into the header", axfr(raw(b"\xc0\x00", A, bytes(4))), "invalid"),
    Case("a label of an unknown kind", axfr(raw(b"\x41a\0", A, bytes(4))), "invalid"),
    Case("a label of another unknown kind", axfr(raw(b"\x80a\0", A, bytes(4))), "invalid"),
    Case("a name of 255 octets", axfr(raw(LONG + b"\x31" + b"d" * 49 + POINTER, A, bytes(4)))),
    Case("a name of 256 octets", axfr(raw(LONG + b"\x32" + b"d" * 50 + POINTER, A, bytes(4))), "invalid"),
    # RFC 3597, 4: where names are decompressed, and where not.
    *(Case(f"a compressed name in type {rtype}", name_in(rtype, POINTER)) for rtype in (2, 3, 4, 5, 7, 8, 9, 12)),
    *(Case(f"a compressed name in type {rtype}", name_in(rtype, b"\0\1" + POINTER)) for rtype in (15, 18, 21)),
    *(Case(f"two compressed names in type {rtype}", name_in(rtype, POINTER * 2)) for rtype in (14, 17)),
    Case("two compressed names in PX", name_in(26, b"\0\1" + POINTER * 2)),
    Case("a compressed name in SRV", name_in(SRV, bytes(6) + POINTER)),
    Case("a compressed name in NAPTR", name_in(NAPTR, bytes(4) + b"\1u\0\0" + POINTER)),
    Case("a compressed name in SIG", name_in(24, b"\0\1\5\1" + bytes(14) + POINTER + b"x")),
    Case("a compressed name in NXT", name_in(30, POINTER + b"\x40")),
    Case("a compressed name in DNAME", name_in(DNAME, POINTER), "invalid"),
    Case("a compressed name in KX", name_in(36, b"\0\1" + POINTER), "invalid"),
    Case("a compressed name in NSEC", name_in(NSEC, POINTER + b"\0\1\x40"), "invalid"),
    Case("a compressed name in RRSIG", name_in(RRSIG, b"\0\1\5\1" + bytes(14) + POINTER + b"x"), "invalid"),
    Case("a compressed name in SVCB", name_in(SVCB, b"\0\1" + POINTER), "invalid"),
    Case("a name that ends after its rdata", axfr(raw(APEX, NS, name("a"), size=5), b""), "invalid"),
    Case("a name that ends before its rdata", axfr(raw(APEX, NS, name("a") + b"x")), "invalid"),
    Case("an MX without a name", axfr(raw(APEX, MX, b"\0\1")), "invalid"),
    Case("an MX of one octet", axfr(raw(APEX, MX, b"\0")), "invalid"),
    Case("a pointer and more in NS", axfr(raw(APEX, NS, POINTER + b"x")), "invalid"),
    Case("an A of three octets", axfr(raw(APEX, A, bytes(3))), "invalid"),
    Case("an A of five octets", axfr(raw(APEX, A, bytes(5))), "invalid"),
    Case("an empty TXT", axfr(raw(APEX, TXT, b"")), "invalid"),
    Case("a TXT string that is cut off", axfr(raw(APEX, TXT, b"\x05abc")), "invalid"),
    Case("a TXT with a second string cut off", axfr(raw(APEX, TXT, b"\x01a\x05abc")), "invalid"),
    Case("an SOA cut off", [answer([raw(APEX, SOA, NEW.rdata[:-1]), *ZONE, NEW])], "invalid"),
    Case("an SOA too long", [answer([raw(APEX, SOA, NEW.rdata + b"x"), *ZONE, NEW])], "invalid"),
    Case("an NSEC with an empty bitmap block", axfr(raw(APEX, NSEC, APEX + b"\0\0")), "invalid"),
    Case("a DS with a short digest", axfr(raw(name("x"), 43, b"\0\1\5\2" + bytes(31))), "invalid"),
    # Limits count what comes, duplicates and all.
    Case("as many records as allowed", [answer(WHOLE)], limits=small(zone_records=len(ZONE) + 1)),
    Case("one record too many", [answer(WHOLE)], "too-large", limits=small(zone_records=len(ZONE))),
    Case("as many octets as allowed", [answer(WHOLE)], limits=small(zone_size=len(wire(WHOLE[:-1])))),
    Case("one octet too many", [answer(WHOLE)], "too-large", limits=small(zone_size=len(wire(WHOLE[:-1])) - 1)),
    Case("endless", [answer([NEW]), *[answer([ZONE[0]])] * 1000], "too-large", limits=small(zone_records=900)),
    Case("octets beside the zone", [answer([NEW], authority=raw(APEX, 99, bytes(60000)) * 3, authorities=3)] * 2,
         "too-large", limits=small(zone_size=1000)),
    # IXFR.
    Case("one difference", [answer(STEP)], kind="ixfr", serial=7),
    Case("two differences", [answer(TWO_STEPS)], kind="ixfr", serial=7),
    Case("a difference, record by record", [answer([record]) for record in TWO_STEPS], kind="ixfr", serial=7),
    Case("a difference of the SOA alone", [answer([NEW, OLD, NEW, NEW])], kind="ixfr", serial=7),
    Case("the whole zone instead", [answer(WHOLE)], serial=7),
    Case("the whole zone, record by record", [answer([record]) for record in WHOLE], serial=7),
    Case("the whole zone of an SOA", [answer([NEW, NEW])], serial=7),
    Case("nothing newer", [answer(CURRENT)], kind="current", serial=9),
    Case("an older serial", [answer(CURRENT)], kind="current", serial=10),
    Case("an older serial and a zone", [answer(WHOLE)], kind="current", serial=10),
    Case("a serial that wrapped", [answer([soa(1), soa(2**32 - 1), soa(1), soa(1)])], kind="ixfr", serial=2**32 - 1),
    Case("exactly 2^31 away", [answer(CURRENT)], "serial", serial=(9 + 2**31) % 2**32),
    Case("a newer SOA alone", [answer(CURRENT)], "closed", serial=7),
    Case("a difference from another serial", [answer([NEW, MIDDLE, NEW, NEW])], "does-not-apply", serial=7),
    Case("a difference that goes back", [answer([NEW, OLD, soa(6), soa(6), NEW, NEW])], "serial", serial=7),
    Case("a difference that stays", [answer([NEW, OLD, OLD, OLD, NEW, NEW])], "serial", serial=7),
    Case("a difference that goes past the end", [answer([NEW, OLD, soa(10), soa(10), NEW, NEW])], "serial", serial=7),
    Case("a gap between differences", [answer([NEW, soa(5), soa(6), soa(7), NEW, NEW])], "serial", serial=5),
    Case("an end before the last serial", [answer([NEW, OLD, MIDDLE, MIDDLE])], "closed", serial=7),
    Case("an end in the removals", [answer([NEW, OLD, address("a", 1)])], "closed", serial=7),
    Case("an end in the additions", [answer(STEP[:-1])], "closed", serial=7),
    Case("a record after the difference", [answer([*STEP, address("a", 3)])], "invalid", serial=7),
    Case("an SOA after the difference", [answer([*STEP, NEW])], "invalid", serial=7),
    Case("a message after the difference", [answer(STEP), answer([NEW])], "invalid", serial=7),
    Case("another SOA at the end of a difference", [answer([*STEP[:-1], soa(9, mname="b")])], "invalid", serial=7),
    Case("another SOA in the additions", [answer([NEW, OLD, soa(9, mname="b"), NEW])], "invalid", serial=7),
    Case("a difference with an owner outside", [answer([NEW, OLD, NEW, address("org.", 1), NEW])], "invalid", serial=7),
    Case("a difference that is too large", [answer(STEP)], "too-large", serial=7, limits=small(zone_records=4)),
    Case("an AXFR question in the answer", [answer(STEP, question=QUESTION)], "malformed", serial=7),
    # UDP (RFC 1995, 2).
    Case("UDP: a difference", [answer(STEP)], kind="ixfr", serial=7, tcp=False),
    Case("UDP: a whole zone", [answer(WHOLE)], serial=7, tcp=False),
    Case("UDP: nothing newer", [answer(CURRENT)], kind="current", serial=9, tcp=False),
    Case("UDP: it does not fit", [answer(CURRENT)], kind="udp-too-large", serial=7, tcp=False),
    Case("UDP: truncated", [answer([], flags=RESPONSE | 0x0200)], kind="udp-too-large", serial=7, tcp=False),
    Case("UDP: truncated with records", [answer(STEP[:3], flags=RESPONSE | 0x0200)], kind="udp-too-large", serial=7,
         tcp=False),
    Case("UDP: half a difference", [answer(STEP[:-1])], "invalid", serial=7, tcp=False),
    Case("UDP: half a zone", [answer(WHOLE[:-1])], "invalid", serial=7, tcp=False),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    asked = ask(case.serial)
    messages = [message.bytes(asked) for message in case.messages]
    if case.reason is None:
        assert run(messages, asked, tcp=case.tcp, limits=case.limits).kind == case.kind
        return
    with pytest.raises(BadTransfer) as caught:
        run(messages, asked, tcp=case.tcp, limits=case.limits)
    assert caught.value.failure.reason == case.reason
    assert case.detail in caught.value.failure.detail
    assert str(caught.value)


def test_the_table_has_each_case_once() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) >= 150


# What comes out.


@pytest.mark.parametrize("size", [512, 1000, 16384])
def test_a_zone_comes_out_as_it_was_sent(size: int) -> None:
    asked = ask()
    plain = [answer(WHOLE[at : at + 2]).bytes(asked) for at in range(0, len(WHOLE), 2)]
    packed = compressed(asked, WHOLE, size)
    assert sum(map(len, packed)) < sum(map(len, plain))
    for messages in (plain, packed):
        found = run(messages, asked)
        assert sorted(found.records[1:]) == sorted(ZONE)
        assert found.records[0] == found.machine.soa == NEW
        assert found.machine.records == len(WHOLE)
        assert found.machine.messages == len(messages)
        assert found.machine.octets == sum(map(len, messages))


def test_records_are_drained_as_they_come() -> None:
    asked = ask()
    machine = TransferIn(asked, TransferLimits())
    seen = []
    for record in WHOLE:
        machine.feed(answer([record]).bytes(asked), NOW)
        seen.append(machine.take())
    assert [len(batch) for batch in seen] == [1] * (len(WHOLE) - 1) + [0]
    assert machine.is_done


def test_an_ixfr_answered_with_the_zone_gives_it_from_the_soa_on() -> None:
    asked = ask(7)
    assert run([answer([record]).bytes(asked) for record in WHOLE], asked).records == [NEW, *ZONE]


def test_a_pointer_may_lead_to_rdata_and_to_owners_past_other_names() -> None:
    asked = ask()
    octets = NEW.wire
    target_at = 12 + len(asked.question) + len(octets) + len(APEX) + 10
    octets += raw(APEX, NS, b"\x02ns\x01a" + POINTER)
    a_at = target_at + 3
    octets += raw(struct.pack(">H", 0xC000 | target_at), A, bytes(4))
    octets += raw(b"\x01b" + struct.pack(">H", 0xC000 | a_at), MX, b"\0\1" + struct.pack(">H", 0xC000 | a_at))
    octets += raw(b"\x01b" + struct.pack(">H", 0xC000 | a_at), MX, b"\0\1\x02ns" + struct.pack(">H", 0xC000 | a_at))
    octets += NEW.wire
    records = run([Message(octets, 6).bytes(asked)], asked).records
    assert records[1:] == [
        Record(APEX, NS, 60, name("ns.a")),
        Record(name("ns.a"), A, 60, bytes(4)),
        Record(name("b.a"), MX, 60, b"\0\1" + name("a")),
        Record(name("b.a"), MX, 60, b"\0\1" + name("ns.a")),
    ]


def test_a_pointer_past_16_kib_is_not_taken_for_one_before() -> None:
    """Offsets of 14 bits: a name that stands at 0x4000 + n is nothing that a pointer to n means."""
    asked = ask()
    octets, count = NEW.wire, 1
    while 12 + len(asked.question) + len(octets) < 0x4000 + 500:
        octets += raw(b"\x07" + f"{count:07}".encode() + POINTER, NS, b"\x07" + f"{count:07}".encode() + POINTER)
        count += 1
    octets += raw(POINTER, NS, POINTER) + raw(b"\x01z" + POINTER, NS, b"\x01y" + POINTER) + NEW.wire
    records = run([Message(octets, count + 3).bytes(asked)], asked).records
    assert records[-2:] == [Record(APEX, NS, 60, APEX), Record(name("z"), NS, 60, name("y"))]


def test_a_large_ttl_is_zero() -> None:
    """RFC 2181, 8."""
    asked = ask()
    (message,) = axfr(raw(APEX, A, bytes(4), ttl=1 << 31), raw(APEX, A, b"\1\1\1\1", ttl=(1 << 31) - 1))
    assert [record.ttl for record in run([message.bytes(asked)], asked).records[1:]] == [0, (1 << 31) - 1]


def test_differences_are_condensed() -> None:
    asked = ask(7)
    found = run([answer(TWO_STEPS).bytes(asked)], asked)
    assert found.changes is not None
    assert found.changes == difference([OLD, address("a", 1), *ZONE[:3]], [NEW, address("c", 1), *ZONE[:3]])
    assert (found.changes.from_serial, found.changes.to_serial) == (7, 9)
    assert not found.records


@pytest.mark.parametrize("done", [False, True])
def test_no_changeset_but_of_a_whole_ixfr(done: bool) -> None:
    asked = ask() if done else ask(7)
    machine = TransferIn(asked, TransferLimits())
    machine.feed(answer(WHOLE if done else STEP[:-1]).bytes(asked), NOW)
    with pytest.raises(ValueError, match="no whole IXFR"):
        machine.changeset()


def test_there_is_no_soa_before_the_first_message() -> None:
    with pytest.raises(ValueError, match="no SOA"):
        _ = TransferIn(ask(), TransferLimits()).soa


def test_the_rcode_is_told() -> None:
    asked = ask()
    for flags, rcode in ((5, 5), (9, 9), (2, 2)):
        with pytest.raises(BadTransfer) as caught:
            run([answer([], flags=RESPONSE | flags).bytes(asked)], asked)
        assert caught.value.failure.rcode == rcode
    with pytest.raises(BadTransfer) as caught:
        run([answer([], additional=BADVERS_OPT, additionals=1).bytes(asked)], asked)
    assert caught.value.failure.rcode == 16


# Requests.


@pytest.mark.parametrize("key", [None, KEY])
def test_a_request_for_the_zone(key: Key | None) -> None:
    packet, asked = xfrin.build(APEX, ID, NEW, key, NOW, full=True)
    query = parse(packet)
    assert isinstance(query, Query)
    assert (query.id, query.qname, query.qtype, query.authority) == (ID, APEX, AXFR, ())
    assert query.edns is not None
    assert query.edns.options == ((9, b""),)
    assert (query.tsig_at is not None, bool(asked.mac)) == (key is not None,) * 2
    assert asked.serial is None


def test_a_request_for_the_difference() -> None:
    packet, asked = xfrin.build(APEX, ID, OLD._replace(owner=APEX.upper()), None, NOW, full=False, expire=False)
    query = parse(packet)
    assert isinstance(query, Query)
    assert (query.qtype, query.ixfr_serial, query.edns, asked.serial) == (IXFR, 7, None, 7)
    assert dns.message.from_wire(packet).authority[0].to_text().split()[6] == "7"


def test_without_contents_it_asks_for_the_zone() -> None:
    assert xfrin.build(APEX, ID, None, None, NOW, full=False)[1].serial is None


# EXPIRE (RFC 7314).


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        (b"", None),
        (edns.option(9, b""), None),
        (edns.option(9, b"\x00\x00\x0e\x10"), 3600),
        (edns.option(10, bytes(8)) + edns.option(9, b"\x00\x00\x0e\x10"), 3600),
        (edns.option(9, b"\x00\x00\x0e"), None),
        (edns.option(9, b"\x00\x00\x0e\x10\x00"), None),
        (b"\x00\x09\x00\x04\x00", None),
        (b"\x00\x09", None),
    ],
)
def test_expire(options: bytes, seconds: int | None) -> None:
    asked = ask()
    messages = [answer(WHOLE[:2], additional=edns.opt(1232, 0, False, options), additionals=1), answer(WHOLE[2:])]
    assert run([message.bytes(asked) for message in messages], asked).machine.expire == seconds


# Datagrams.


def test_what_answers_a_datagram() -> None:
    asked = ask(7)
    assert xfrin.is_answer(answer(STEP).bytes(asked), asked)
    assert xfrin.is_answer(answer([], flags=RESPONSE | 1, question=b"").bytes(asked), asked)
    for other in (
        answer(STEP, message_id=1), answer(STEP, flags=0), answer(STEP, question=b""), answer(STEP, question=QUESTION),
        answer(STEP, flags=RESPONSE | 4 << 11),
    ):  # fmt: skip
        assert not xfrin.is_answer(other.bytes(asked), asked)
    assert not xfrin.is_answer(b"\x12\x67", asked)


def test_a_reverse_and_the_root_zone_come_in() -> None:
    for apex in (names.ROOT, name("2.0.192.in-addr.arpa.")):
        top = soa(3, owner=apex)
        asked = xfrin.build(apex, ID, None, None, NOW, full=False)[1]
        zone = [top, Record(apex, NS, 60, name("ns.example.")), Record(b"\x01a" + apex, A, 60, bytes(4))]
        for messages in ([answer([*zone, top]).bytes(asked)], compressed(asked, [*zone, top])):
            assert sorted(run(messages, asked).records) == sorted(zone)


def test_reasons_are_known() -> None:
    from dnsserver.protocol.failure import Failure

    told = (Failure.__doc__ or "").split()
    assert {case.reason for case in CASES if case.reason} <= set(told)
    assert reason([], ask()) == "closed"
