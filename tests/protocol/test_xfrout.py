"""Transfers out: AXFR (RFC 5936), IXFR (RFC 1995), who gets them (R1 to R7, R13, R15, R16), and how they are signed.

What is sent is read by dnspython's ``xfr.Inbound``, and compared record for record with what the zone holds.
"""

from __future__ import annotations

import itertools
import random
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.xfr
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsserver.protocol import query as wire_query
from dnsserver.protocol import tsig, xfrout
from dnsserver.protocol.outcome import Peer, Reply
from dnsserver.protocol.server import AnswerLimits, ServerState, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrout import TransferOut, answer_transfer, ticket
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Layer, Role
from dnsserver.zone.changeset import Changeset, Difference, difference
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AAAA, MX, NS, SOA, TXT, A

NOW = 1_700_000_000.0
APEX = names.from_text("example.com.")
KEYED = (AccessEntry.parse(None, "k1"),)
ANYONE = (AccessEntry.parse("0.0.0.0/0"), AccessEntry.parse("::/0"), *KEYED)
TCP, UDP = Peer("192.0.2.7", 53000, True), Peer("192.0.2.7", 53000, False)
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)


def name(text: str, apex: bytes = APEX) -> bytes:
    return names.from_text(text, apex)


def soa(serial: int, apex: bytes = APEX, ttl: int = 3600) -> Record:
    rdata = name("ns1", apex) + name("hostmaster", apex) + struct.pack(">IIIII", serial, 3600, 600, 86400, 300)
    return Record(apex, SOA, ttl, rdata)


def address(number: int) -> bytes:
    return struct.pack(">I", 0x0A000000 + number)


def ordered(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (names.key(r.owner), r.type, r.rdata))


BASE = [
    soa(7),
    Record(APEX, NS, 3600, name("ns1")),
    Record(name("ns1"), A, 300, address(1)),
    Record(name("WWW"), A, 300, address(2)),
    Record(name("a.b.c"), TXT, 60, b"\x05hello"),
]


def server(
    records: Sequence[Record] = BASE,
    *,
    access: tuple[AccessEntry, ...] = ANYONE,
    lists: AccessLists | None = None,
    role: Role = Role.PRIMARY,
    ixfr: str = "on",
    suspended: bool = False,
    expired: bool = False,
    limits: AnswerLimits | None = None,
    version: int = 1,
) -> ServerState:
    apex = next(r.owner for r in records if r.type == SOA)
    state = ServerState()
    state.access = lists or AccessLists()
    state.keys = {KEY.name: KEY}
    state.limits = limits or AnswerLimits(ticket_key=b"t" * 16)
    meta = ZoneMeta(1, apex, role, suspended=suspended, expired=expired, ixfr=ixfr, access=access)
    state.publish(meta, Image.build(apex.lower(), version, ordered(records)))
    return state


def ask(
    state: ServerState, kind: str = "AXFR", *, serial: int | None = None, peer: Peer = TCP, key: Key | None = None,
    at: float = NOW, edns: bool = False, zone: str = "example.com.", payload: int = 1232, options: bytes = b"",
) -> tuple[TransferOut | Reply, dns.message.Message]:  # fmt: skip
    """(what becomes of a request that dnspython made, that request)."""
    asked = dns.message.make_query(
        zone, kind, use_edns=0 if edns else False, payload=payload, id=0x4242, flags=0
    )  # fmt: skip
    if serial is not None:
        asked.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    packet = asked.to_wire()
    if key is not None:
        packet, mac = tsig.sign_request(packet, key, at)
        asked.request_mac = mac
    parsed = wire_query.parse(packet)
    assert isinstance(parsed, wire_query.Query)
    verified = None
    if parsed.tsig_at is not None:
        verified = tsig.verify(packet, parsed.tsig_at, state.keys, NOW)
    return answer_transfer(state, parsed, peer, verified, NOW, options), asked


def granted(outcome: TransferOut | Reply) -> TransferOut:
    assert isinstance(outcome, TransferOut), outcome
    return outcome


def refused(outcome: TransferOut | Reply) -> tuple[dns.message.Message, Reply]:
    assert isinstance(outcome, Reply), outcome
    return dns.message.from_wire(outcome.wire, keyring=False), outcome


def diff(chain: Sequence[Changeset] | None) -> Difference | None:
    """What the keeper makes of a chain."""
    return Difference.of([step.encode() for step in chain]) if chain else None


def messages(outcome: TransferOut | Reply, chain: Sequence[Changeset] | None = None) -> list[bytes]:
    return list(granted(outcome).plan(diff(chain)).messages(lambda: NOW))


def read(wires: Sequence[bytes]) -> list[Record]:
    """All records of the answers, in order, by dnspython's parser."""
    found = []
    for wire in wires:
        assert len(wire) <= 65535
        message = dns.message.from_wire(wire, keyring=False, xfr=True, one_rr_per_rrset=True)
        assert message.rcode() == dns.rcode.NOERROR
        assert message.flags & (dns.flags.QR | dns.flags.AA) == dns.flags.QR | dns.flags.AA
        assert not message.flags & dns.flags.TC
        for rrset in message.answer:
            owner, rdata = rrset.name.to_wire(), rrset[0].to_wire()
            assert owner is not None
            found.append(Record(owner, int(rrset.rdtype), rrset.ttl, cast(bytes, rdata)))
    return found


def as_zone(records: Iterable[Record], apex: bytes = APEX) -> dns.zone.Zone:
    zone = dns.zone.Zone(names.to_text(apex), relativize=False)
    with zone.writer(True) as txn:
        for record in records:
            rdata = dns.rdata.from_wire(
                dns.rdataclass.IN, dns.rdatatype.RdataType.make(record.type), record.rdata, 0, len(record.rdata)
            )
            txn.add(dns.name.from_text(names.to_text(record.owner)), record.ttl, rdata)
    return zone


def contents(zone: dns.zone.Zone) -> set[tuple[bytes, int, int, bytes]]:
    found = set()
    for owner, ttl, rdata in zone.iterate_rdatas():
        owner_wire, rdata_wire = owner.to_wire(), rdata.to_wire()
        assert owner_wire is not None
        found.add((owner_wire.lower(), int(rdata.rdtype), ttl, cast(bytes, rdata_wire)))
    return found


def plain(records: Iterable[Record]) -> set[tuple[bytes, int, int, bytes]]:
    return {(r.owner.lower(), r.type, r.ttl, r.rdata) for r in records}


def inbound(
    wires: Sequence[bytes], zone: dns.zone.Zone, kind: str, serial: int | None = None, udp: bool = False
) -> set[tuple[bytes, int, int, bytes]]:
    """What a secondary on dnspython holds after these messages."""
    with dns.xfr.Inbound(zone, dns.rdatatype.from_text(kind), serial, udp) as transfer:
        done = False
        for wire in wires:
            assert not done, "something came after the end"
            done = transfer.process_message(dns.message.from_wire(wire, keyring=False, xfr=True, one_rr_per_rrset=True))
        assert done, "the transfer has no end"
    return contents(zone)


def empty() -> dns.zone.Zone:
    return dns.zone.Zone("example.com.", relativize=False)


# AXFR


def many(count: int, serial: int = 7) -> list[Record]:
    return [soa(serial), BASE[1], *(Record(name(f"host-{n}"), A, 300, address(n)) for n in range(count))]


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 5000])
def test_axfr_gives_the_whole_zone(count: int) -> None:
    """RFC 5936, 2.2: the SOA first and last, every other record once."""
    records = many(count)
    outcome, _ = ask(server(records))
    wires = messages(outcome)
    found = read(wires)
    assert found[0] == found[-1] == records[0]
    assert ordered(found[1:]) == ordered(records)
    assert inbound(wires, empty(), "AXFR") == plain(records)


def test_every_message_repeats_the_question_and_is_packed() -> None:
    """Some clients read only the first message: none but the last is less than three quarters full."""
    wires = messages(ask(server(many(5000)))[0])
    assert len(wires) > 5
    for wire in wires:
        assert wire[:2] == b"\x42\x42"
        assert wire[12:].startswith(APEX + b"\x00\xfc\x00\x01")
        assert len(wire) <= 16 * 1024
    assert all(len(wire) > 12 * 1024 for wire in wires[:-1])


@pytest.mark.parametrize("size", [600, 16 * 1024, 20_000, 60_000])
def test_a_large_record_has_a_message_of_its_own(size: int) -> None:
    text = b"".join(bytes((255,)) + b"x" * 255 for _ in range(size // 256))
    records = [*many(300), Record(name("large"), TXT, 5, text)]
    wires = messages(ask(server(records), key=KEY)[0])
    assert ordered(read(wires)[1:]) == ordered(records)
    assert sum(len(wire) > 16 * 1024 for wire in wires) == (size >= 16 * 1024)


def test_a_record_that_fits_no_message_is_servfail_and_not_a_short_zone() -> None:
    text = b"".join(bytes((255,)) + b"x" * 255 for _ in range(255)) + b"\xfd" + b"y" * 253
    outcome, _ = ask(server([*BASE, Record(name("huge"), TXT, 5, text)]))
    plan = granted(outcome).plan()
    (wire,) = plan.messages(lambda: NOW)
    assert plan.kind == "failed"
    assert dns.message.from_wire(wire).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("asked", ["example.com.", "EXAMPLE.com.", "eXaMpLe.CoM."])
@pytest.mark.parametrize("written", ["example.com.", "Example.COM."])
def test_the_case_of_names_is_the_zones_and_of_the_question_the_clients(asked: str, written: str) -> None:
    """RFC 5936, 3.4: a client's spelling of the zone must not change the names it is sent."""
    apex = names.from_text(written)
    records = [
        soa(7, apex), Record(apex, NS, 3600, name("ns1", apex)), Record(name("WWW", apex), A, 1, address(1)),
        *(Record(name(f"Host-{n}", apex), A, 300, address(n)) for n in range(1500)),
    ]  # fmt: skip
    state = server(records)
    outcome, _ = ask(state, zone=asked)
    wires = messages(outcome)
    assert wires[-1][12:].startswith(names.from_text(asked))
    assert ordered(read(wires)[1:]) == ordered(records)
    change = difference(records, [soa(8, apex), *records[1:-2]])
    image = state.zones[apex.lower()].image
    assert image is not None
    image.apply(change, 2)
    outcome, _ = ask(state, "IXFR", serial=7, zone=asked)
    found = read(messages(outcome, [change]))
    assert found == [soa(8, apex), *change.removed, *change.added, soa(8, apex)]


def test_a_transfer_is_one_version_however_the_zone_changes_meanwhile() -> None:
    records = many(3000)
    state = server(records)
    transfer = granted(ask(state)[0])
    stream = transfer.plan().messages(lambda: NOW)
    wires = [next(stream)]
    view = state.zones[APEX]
    assert view.image is not None
    view.image.apply(difference(records, [soa(8), BASE[1], Record(name("other"), A, 1, address(9))]), 2)
    state.publish(view.meta, view.image)
    wires += stream
    assert ordered(read(wires)[1:]) == ordered(records)
    assert (transfer.version, transfer.serial) == (1, 7)


def test_axfr_of_the_root_zone() -> None:
    records = [soa(1, b"\0"), Record(b"\0", NS, 1, b"\x01a\x00"), Record(b"\x03com\x00", NS, 1, b"\x01b\x00")]
    outcome, _ = ask(server(records), zone=".")
    assert ordered(read(messages(outcome))[1:]) == ordered(records)


NAMES = ["@", "a", "A.b", "x.a.b", "*.w", "ns1", "zz", "\\000.\\001"]


@st.composite
def zones(draw: st.DrawFn, serial: int) -> list[Record]:
    """A zone, its RRsets of one TTL each (RFC 2181, 5.2)."""
    records = [soa(serial, ttl=draw(st.sampled_from([60, 3600]))), BASE[1]]
    for owner in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        for rtype in draw(st.lists(st.sampled_from([A, AAAA, TXT, MX]), min_size=1, max_size=2, unique=True)):
            ttl = draw(st.sampled_from([0, 300]))
            for number in draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)):
                rdata = {
                    A: address(number), AAAA: bytes(12) + address(number), TXT: b"\x01" + bytes((number,)),
                    MX: bytes((0, number)) + name("mail"),
                }[rtype]  # fmt: skip
                records.append(Record(name(owner), rtype, ttl, rdata))
    return records


@st.composite
def histories(draw: st.DrawFn) -> list[list[Record]]:
    """The versions of a zone; serials rise, and may wrap."""
    serial = draw(st.sampled_from([1, 7, (1 << 32) - 3]))
    versions = []
    for _ in range(draw(st.integers(2, 5))):
        versions.append(draw(zones(serial)))
        serial = (serial + draw(st.integers(1, 3))) % (1 << 32)
    return versions


def chain_of(versions: Sequence[list[Record]]) -> list[Changeset]:
    return [difference(old, new) for old, new in itertools.pairwise(versions)]


@settings(max_examples=150)
@given(histories(), st.sampled_from([600, 16384]), st.booleans())
def test_a_secondary_ends_with_what_the_zone_holds(versions: list[list[Record]], size: int, signed: bool) -> None:
    """AXFR, and IXFR from every version, however small the messages."""
    limits = AnswerLimits(transfer_message=size, ixfr_max_ratio=None)
    state = server(versions[-1], limits=limits)
    wanted = plain(versions[-1])
    key = KEY if signed else None
    assert inbound(messages(ask(state, key=key)[0]), empty(), "AXFR") == wanted
    for start in range(len(versions) - 1):
        old = versions[start]
        serial = int.from_bytes(old[0].rdata[-20:-16], "big")
        outcome, _ = ask(state, "IXFR", serial=serial, key=key)
        plan = granted(outcome).plan(diff(chain_of(versions[start:])))
        assert (plan.kind, plan.from_serial) == ("ixfr", serial)
        assert inbound(list(plan.messages(lambda: NOW)), as_zone(old), "IXFR", serial) == wanted
        outcome, _ = ask(state, "IXFR", serial=serial, key=key)
        assert inbound(messages(outcome), as_zone(old), "IXFR", serial) == wanted


# IXFR


def changed(serial: int, count: int = 1) -> list[Record]:
    return [soa(serial), *BASE[1:], *(Record(name(f"new-{n}"), A, 300, address(n)) for n in range(count))]


CHAIN = chain_of([BASE, changed(8), changed(9, 2), changed(10, 1)])


def test_ixfr_as_rfc_1995_writes_it_condensed_by_net_effect() -> None:
    """RFC 1995, 4 and 5: what a later step took back is not sent."""
    outcome, _ = ask(server(changed(10)), "IXFR", serial=7)
    (wire,) = messages(outcome, CHAIN)
    assert read([wire]) == [soa(10), soa(7), soa(10), Record(name("new-0"), A, 300, address(0)), soa(10)]


@pytest.mark.parametrize("serial", [10, 11, 10 + (1 << 31) - 1])
@pytest.mark.parametrize("peer", [TCP, UDP])
def test_the_same_or_a_newer_serial_gets_the_single_current_soa(serial: int, peer: Peer) -> None:
    """RFC 1995, 2."""
    transfer = granted(ask(server(changed(10), ixfr="udp"), "IXFR", serial=serial, peer=peer)[0])
    assert not transfer.needs_chain
    plan = transfer.plan()
    wires = list(plan.messages(lambda: NOW)) if peer.tcp else [plan.datagram(NOW)]
    assert (plan.kind, read(wires)) == ("soa", [soa(10)])


def test_a_serial_that_compares_neither_way_gets_the_whole_zone() -> None:
    """RFC 1982, 3.2."""
    transfer = granted(ask(server(changed(10)), "IXFR", serial=10 + (1 << 31))[0])
    assert not transfer.needs_chain
    assert transfer.plan(diff(CHAIN)).kind == "axfr"


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        (None, "no history"), ([], "nothing"), (CHAIN[1:], "it begins later"), (CHAIN[:-1], "it ends earlier"),
        ([CHAIN[0], CHAIN[2]], "a step is missing"),
        ([*CHAIN[:2], difference(changed(9, 2), [soa(10, ttl=5), *changed(10)[1:]])], "another SOA"),
    ],
)  # fmt: skip
def test_a_chain_that_is_not_whole_gives_axfr(chain: list[Changeset] | None, why: str) -> None:
    plan = granted(ask(server(changed(10)), "IXFR", serial=7)[0]).plan(diff(chain))
    assert (plan.kind, plan.from_serial) == ("axfr", None), why
    assert plain(read(list(plan.messages(lambda: NOW)))) == plain(changed(10))


@pytest.mark.parametrize(
    ("ratio", "count", "kind"),
    [(1.0, 3000, "axfr"), (0.1, 3000, "axfr"), (None, 3000, "ixfr"), (10.0, 3000, "ixfr"), (0.01, 500, "ixfr")],
)
def test_an_ixfr_larger_than_the_axfr_is_sent_as_axfr(ratio: float | None, count: int, kind: str) -> None:
    """LIMITS ixfr-max-ratio, ignored below 64 KiB."""
    old, new = many(count), [soa(8), *(r._replace(ttl=77) for r in many(count)[1:])]
    limits = AnswerLimits(ixfr_max_ratio=ratio)
    plan = granted(ask(server(new, limits=limits), "IXFR", serial=7)[0]).plan(diff(chain_of([old, new])))
    assert plan.kind == kind
    assert inbound(list(plan.messages(lambda: NOW)), as_zone(old), "IXFR", 7) == plain(new)


def test_a_removed_record_that_fits_no_message_is_not_sent_but_the_zone_is() -> None:
    text = b"".join(bytes((255,)) + b"x" * 255 for _ in range(255)) + b"\xfd" + b"y" * 253
    change = difference([*BASE, Record(name("huge"), TXT, 5, text)], changed(8))
    plan = granted(ask(server(changed(8)), "IXFR", serial=7)[0]).plan(diff([change]))
    assert plan.kind == "axfr"


@pytest.mark.parametrize("where", ["server", "zone"])
def test_ixfr_switched_off_is_answered_with_axfr(where: str) -> None:
    limits = AnswerLimits(ixfr=where != "server")
    state = server(changed(10), ixfr="off" if where == "zone" else "on", limits=limits)
    transfer = granted(ask(state, "IXFR", serial=7)[0])
    assert not transfer.needs_chain
    assert transfer.plan(diff(CHAIN)).kind == "axfr"


# What is kept of an IXFR, and where its changes come from


def followed(versions: Sequence[list[Record]], **how: Any) -> ServerState:
    """A server of the last version that took in the changes to it."""
    state = server(versions[-1], version=len(versions), **how)
    for at, step in enumerate(chain_of(versions), 1):
        state.recent.put(1, (at, at + 1), (step.from_serial, step.to_serial), step.encode())
    return state


@settings(max_examples=50)
@given(histories(), st.booleans())
def test_changes_that_are_here_are_sent_as_those_of_the_keeper(versions: list[list[Record]], signed: bool) -> None:
    limits = AnswerLimits(transfer_message=600, ixfr_max_ratio=None)
    here, elsewhere = followed(versions, limits=limits), server(versions[-1], limits=limits)
    for start in range(len(versions) - 1):
        serial = int.from_bytes(versions[start][0].rdata[-20:-16], "big")
        asked = [ask(state, "IXFR", serial=serial, key=KEY if signed else None)[0] for state in (here, elsewhere)]
        assert [granted(outcome).needs_chain for outcome in asked] == [False, True]
        first = messages(asked[0])
        assert [body(wire) for wire in first] == [body(wire) for wire in messages(asked[1], chain_of(versions[start:]))]
        again = granted(ask(here, "IXFR", serial=serial, key=KEY if signed else None)[0])
        assert [body(wire) for wire in messages(again)] == [body(wire) for wire in first]


def body(wire: bytes) -> bytes:
    """A message without its signature, which has its own time and prior digest."""
    at = tsig.find(wire)
    return wire if at is None else wire[:at]


def test_what_is_kept_is_of_one_version_one_question_and_one_size() -> None:
    """A view that ends takes it away; other questions, limits, EDNS and keys make messages of their own."""
    state = followed([BASE, changed(8, 400)])
    ways: list[dict[str, Any]] = [
        {},
        {"edns": True},
        {"key": KEY},
        {"zone": "EXAMPLE.com."},
        {"edns": True, "key": KEY},
    ]
    for _ in range(2):
        for way in ways:
            wires = messages(ask(state, "IXFR", serial=7, **way)[0])
            assert inbound(wires, as_zone(BASE), "IXFR", 7) == plain(changed(8, 400))
            assert len(wires[0]) <= 16 * 1024
            assert (dns.message.from_wire(wires[0], keyring=False, xfr=True).edns == 0) == ("edns" in way)
            assert wires[0][12:].startswith(names.from_text(way.get("zone", "example.com.")))
    view = state.zones[APEX]
    assert len(set(view._differences or ())) == len(ways)
    state.publish(view.meta, Image.build(APEX, 3, ordered(changed(9, 3))))
    assert view._differences is None
    assert granted(ask(state, "IXFR", serial=7)[0]).needs_chain


def test_nothing_is_kept_by_a_view_that_has_ended() -> None:
    state = followed([BASE, changed(8)])
    transfer = granted(ask(state, "IXFR", serial=7)[0])
    view = state.zones[APEX]
    state.publish(view.meta, view.image)
    assert inbound(list(transfer.plan().messages(lambda: NOW)), as_zone(BASE), "IXFR", 7) == plain(changed(8))
    assert view._differences is None


def test_a_transfer_that_breaks_off_leaves_nothing_behind() -> None:
    state = followed([BASE, changed(8, 2000)])
    assert len(next(granted(ask(state, "IXFR", serial=7)[0]).plan().messages(lambda: NOW))) > 1000
    wires = messages(ask(state, "IXFR", serial=7)[0])
    assert inbound(wires, as_zone(BASE), "IXFR", 7) == plain(changed(8, 2000))


# IXFR over UDP (RFC 1995, 2; R13)


def datagram(outcome: TransferOut | Reply, chain: Sequence[Changeset] | None) -> tuple[str, list[Record], bytes]:
    transfer = granted(outcome)
    plan = transfer.plan(diff(chain) if transfer.needs_chain else None)
    wire = plan.datagram(NOW)
    return plan.kind, read([wire]), wire


def test_over_udp_an_unsigned_request_gets_the_current_soa_alone() -> None:
    kind, found, _ = datagram(ask(server(changed(10)), "IXFR", serial=7, peer=UDP)[0], CHAIN)
    assert (kind, found) == ("soa", [soa(10)])


def test_over_udp_a_zone_may_allow_more_and_a_signed_request_gets_it() -> None:
    for outcome, _ in (
        ask(server(changed(10), ixfr="udp"), "IXFR", serial=7, peer=UDP),
        ask(server(changed(10), access=KEYED), "IXFR", serial=7, peer=UDP, key=KEY),
    ):
        kind, found, wire = datagram(outcome, CHAIN)
        assert (kind, len(found), found[0]) == ("ixfr", 5, soa(10))
        assert inbound([wire], as_zone(BASE), "IXFR", 7, udp=True) == plain(changed(10))


@pytest.mark.parametrize(
    ("edns", "payload", "count", "kind"),
    [
        (False, 0, 5, "ixfr"), (False, 0, 25, "soa"), (True, 1232, 25, "ixfr"), (True, 1232, 60, "soa"),
        (True, 4096, 60, "soa"), (True, 512, 25, "soa"), (True, 100, 2, "ixfr"),
    ],
)  # fmt: skip
def test_over_udp_what_does_not_fit_is_the_single_current_soa(edns: bool, payload: int, count: int, kind: str) -> None:
    """RFC 1995, 2; TC stays clear; the server's udp-payload caps what the client offers."""
    new = changed(8, count)
    for key in (None, KEY):
        state = server(new, ixfr="udp")
        outcome, _ = ask(state, "IXFR", serial=7, peer=UDP, edns=edns, payload=payload, key=key)
        found, records, wire = datagram(outcome, chain_of([BASE, new]))
        assert found == kind
        assert (len(records) == 1) == (kind == "soa")
        assert len(wire) <= (min(max(payload, 512), 1232) if edns else 512)


@given(st.integers(0, 70), st.booleans(), st.booleans(), st.integers(400, 2000))
def test_no_datagram_is_larger_than_the_client_takes(count: int, signed: bool, edns: bool, payload: int) -> None:
    new = changed(8, count)
    state = server(new, ixfr="udp")
    key = KEY if signed else None
    outcome, _ = ask(state, "IXFR", serial=7, peer=UDP, edns=edns, payload=payload, key=key)
    _, _, wire = datagram(outcome, chain_of([BASE, new]))
    assert len(wire) <= (min(max(payload, 512), 1232) if edns else 512)


def test_over_udp_no_history_is_the_single_current_soa() -> None:
    kind, found, _ = datagram(ask(server(changed(10), ixfr="udp"), "IXFR", serial=7, peer=UDP)[0], None)
    assert (kind, found) == ("soa", [soa(10)])


# Who gets it, in the order of R5


def test_axfr_over_udp_is_formerr_before_access_is_judged() -> None:
    message, reply = refused(ask(server(access=()), peer=UDP)[0])
    assert message.rcode() == dns.rcode.FORMERR
    assert reply.refusal is not None
    assert reply.refusal.reason == "axfr-over-udp"


def test_ixfr_without_a_serial_is_formerr() -> None:
    """RFC 1995, 3."""
    assert refused(ask(server(), "IXFR")[0])[0].rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("zone", ["example.org.", "www.example.com.", "com.", "."])
def test_a_zone_that_is_not_here_is_notauth(zone: str) -> None:
    """RFC 5936, 2.2.1."""
    message, reply = refused(ask(server(), zone=zone, edns=True)[0])
    assert message.rcode() == dns.rcode.NOTAUTH
    assert reply.refusal is not None
    assert (reply.refusal.zone, reply.refusal.reason) == (names.from_text(zone), "zone-not-here")


def test_a_denial_is_refused_with_ede_18_and_the_ticket_of_the_log() -> None:
    """R5, R15; RFC 8914."""
    message, reply = refused(ask(server(access=()), edns=True)[0])
    assert message.rcode() == dns.rcode.REFUSED
    (option,) = message.options
    assert isinstance(option, dns.edns.EDEOption)
    assert option.code == dns.edns.EDECode.PROHIBITED
    assert reply.refusal is not None
    assert option.text == f"ticket {reply.refusal.ticket}"
    assert (reply.refusal.zone, reply.refusal.key, reply.refusal.reason) == (APEX, None, "no-entries")


def test_without_opt_there_is_neither_opt_nor_ede() -> None:
    """R5; RFC 6891, 7."""
    message, _ = refused(ask(server(access=()))[0])
    assert (message.rcode(), message.edns) == (dns.rcode.REFUSED, -1)


def test_a_ticket_is_of_zone_prefix_and_reason_and_of_a_secret() -> None:
    one = ticket(b"k", APEX, "192.0.2.1", "no-entries")
    assert len(one) >= 4
    assert one == ticket(b"k", names.from_text("EXAMPLE.com."), "192.0.2.200", "no-entries")
    assert ticket(b"k", APEX, "2001:db8::1", "x") == ticket(b"k", APEX, "2001:db8:0:ff::1", "x")
    others = {
        ticket(b"K", APEX, "192.0.2.1", "no-entries"), ticket(b"k", b"\0", "192.0.2.1", "no-entries"),
        ticket(b"k", APEX, "192.0.3.1", "no-entries"), ticket(b"k", APEX, "192.0.2.1", "key-required"),
    }  # fmt: skip
    assert len(others | {one}) == 5


@pytest.mark.parametrize(
    ("state", "rcode", "reason"),
    [
        ({"suspended": True}, dns.rcode.REFUSED, "suspended"),
        ({"expired": True, "role": Role.SECONDARY}, dns.rcode.SERVFAIL, "expired"),
        ({"suspended": True, "access": ()}, dns.rcode.REFUSED, "no-entries"),
        ({"expired": True, "access": ()}, dns.rcode.REFUSED, "no-entries"),
    ],
)
def test_access_comes_before_the_state_of_the_zone(state: dict[str, Any], rcode: dns.rcode.Rcode, reason: str) -> None:
    message, reply = refused(ask(server(**state))[0])
    assert message.rcode() == rcode
    assert reply.refusal is not None
    assert reply.refusal.reason == reason


def test_a_zone_whose_contents_are_not_here_yet_is_servfail() -> None:
    state = server()
    state.publish(state.zones[APEX].meta, None)
    assert refused(ask(state)[0])[0].rcode() == dns.rcode.SERVFAIL


def test_super_slaves_transfer_primary_zones_only_and_the_decision_says_why() -> None:
    """R2, R18."""
    lists = AccessLists(super_slaves=(AccessEntry.parse("192.0.2.7"),))
    assert granted(ask(server(access=(), lists=lists))[0]).decision.layer is Layer.SUPER_SLAVE
    _, reply = refused(ask(server(access=(), lists=lists, role=Role.SECONDARY))[0])
    assert reply.refusal is not None
    assert reply.refusal.reason == "super-slave-not-primary"


# TSIG


def test_every_message_of_a_signed_transfer_is_signed() -> None:
    """RFC 8945, 5.3.1, by dnspython and by our own reader."""
    state = server(many(5000), access=KEYED)
    outcome, asked = ask(state, key=KEY)
    assert granted(outcome).key == KEY.name
    wires = messages(outcome)
    assert all(len(wire) <= 16 * 1024 for wire in wires)
    verifier = tsig.ResponseVerifier(KEY, asked.request_mac)
    for wire in wires:
        at = tsig.find(wire)
        assert at is not None
        verifier.feed(wire, at, NOW)
    verifier.finish()
    assert ordered(read(wires)[1:]) == ordered(many(5000))


def test_a_slow_transfer_signs_each_message_with_the_time_it_is_taken() -> None:
    """Else a client that takes longer than the fudge sees BADTIME."""
    ticks = iter(range(int(NOW), int(NOW) + 100_000, 200))
    outcome, asked = ask(server(many(5000), access=KEYED), key=KEY)
    verifier = tsig.ResponseVerifier(KEY, asked.request_mac)
    for number, wire in enumerate(granted(outcome).plan().messages(lambda: next(ticks))):
        verifier.feed(wire, tsig.find(wire), NOW + 200 * number)
    verifier.finish()


def test_refusals_are_signed_where_the_request_was() -> None:
    """RFC 8945, 5.3."""
    for state, kind, peer in ((server(access=()), "AXFR", TCP), (server(), "AXFR", UDP), (server(), "IXFR", TCP)):
        outcome, asked = ask(state, kind, key=KEY, peer=peer)
        _, reply = refused(outcome)
        tsig.verify_answer(reply.wire, KEY, asked.request_mac, NOW)
        assert reply.refusal is not None
        assert reply.refusal.key == KEY.name


@pytest.mark.parametrize(
    ("key", "at", "error"),
    [
        (replace(KEY, secret=b"x" * 32), NOW, "badsig"), (replace(KEY, name=names.from_text("k9.")), NOW, "badkey"),
        (KEY, NOW - 1000, "badtime"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "peer"), [("AXFR", TCP), ("AXFR", UDP), ("IXFR", UDP)])
def test_a_failed_tsig_is_notauth_whatever_the_address(key: Key, at: float, error: str, kind: str, peer: Peer) -> None:
    """R5, R16: judged before the zone, the lists and the transport."""
    message, reply = refused(
        ask(server(), kind, key=key, at=at, peer=peer, edns=True, serial=7 if kind == "IXFR" else None)[0]
    )
    assert message.rcode() == dns.rcode.NOTAUTH
    assert message.tsig is not None
    assert dns.rcode.to_text(message.tsig[0].error, True).lower() == error
    assert message.edns == 0
    assert reply.refusal is not None
    assert (reply.refusal.reason, reply.refusal.key) == (error, key.name)


def test_too_many_waiting_is_servfail() -> None:
    """LIMITS max-transfers-waiting."""
    outcome, asked = ask(server(access=KEYED), key=KEY)
    wire = granted(outcome).busy_reply(NOW)
    tsig.verify_answer(wire, KEY, asked.request_mac, NOW)
    assert dns.message.from_wire(wire, keyring=False).rcode() == dns.rcode.SERVFAIL


def test_the_opt_record_is_in_the_first_message_with_the_options_given() -> None:
    """RFC 5936, 2.2.5; a cookie (RFC 7873) goes with it."""
    cookie = b"\x00\x0a\x00\x08" + b"c" * 8
    for kind in ("AXFR", "IXFR"):
        outcome, _ = ask(server(many(3000)), kind, serial=None if kind == "AXFR" else 7, edns=True, options=cookie)
        parsed = [dns.message.from_wire(wire, xfr=True) for wire in messages(outcome)]
        assert [message.edns for message in parsed] == [0, *[-1] * (len(parsed) - 1)]
        assert [option.to_wire() for option in parsed[0].options] == [b"c" * 8]
    message, _ = refused(ask(server(access=()), edns=True, options=cookie)[0])
    assert [int(option.otype) for option in message.options] == [10, 15]


# Speed


@pytest.mark.xdist_group("timing")
def test_axfr_of_100_000_records_takes_little_processor_time() -> None:
    transfer_of = server(many(100_000, serial=9))
    best = 1.0
    for _ in range(3):
        begun = time.process_time()
        total = sum(len(wire) for wire in messages(ask(transfer_of)[0]))
        best = min(best, time.process_time() - begun)
    assert total > 2_500_000
    assert best < 0.05


def pieces_of(rng: random.Random) -> Iterator[tuple[int, bytes]]:
    """Chunks as blocks hold them: whole records, some 4 KiB together, or one that is larger."""
    for _ in range(rng.randint(1, 30)):
        sizes = [rng.choice([0, 4, 30, 250, 1000]) for _ in range(rng.randint(1, 12))]
        sizes = sizes if sum(sizes) < 3500 else [rng.choice([400, 4050, 20_000])]
        yield (
            len(sizes),
            b"".join(b"\x01w\xc0\x0c" + struct.pack(">HHIH", 65280, 1, 0, size) + bytes(size) for size in sizes),
        )


@given(st.randoms(use_true_random=False), st.sampled_from([500, 4096, 16384, 65535]))
def test_packing_loses_and_doubles_nothing(rng: random.Random, limit: int) -> None:
    """However small transfer-message is, only a record that is larger itself makes a message larger."""
    pieces = list(pieces_of(rng))
    packed = list(xfrout._packed(pieces, limit, 11))
    assert b"".join(octets for _, octets in packed) == b"".join(octets for _, octets in pieces)
    assert sum(count for count, _ in packed) == sum(count for count, _ in pieces)
    assert len(packed[0][1]) <= limit - 11 or packed[0][0] == 1
    assert all(len(octets) <= limit or count == 1 for count, octets in packed)
    for (_, octets), (_, following) in itertools.pairwise(packed):
        assert len(octets) + len(following) > limit - 11, "two messages that would have fitted one"
