"""IXFR out (RFC 1995; R13): from the keeper's changes and from those that are here, over TCP and UDP.

What is sent is read by dnspython's ``xfr.Inbound``, and compared record for record with what the zone holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import dns.message
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsserver.protocol import tsig
from dnsserver.protocol.outcome import Peer, Reply
from dnsserver.protocol.server import AnswerLimits, ServerState
from dnsserver.protocol.xfrout import TransferOut
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset, difference
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AAAA, MX, TXT, A
from tests.protocol.outgoing import (
    APEX,
    BASE,
    KEY,
    KEYED,
    NOW,
    TCP,
    UDP,
    address,
    as_zone,
    ask,
    diff,
    empty,
    granted,
    inbound,
    many,
    messages,
    name,
    ordered,
    plain,
    read,
    server,
    soa,
)

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
