"""Transfers out: AXFR (RFC 5936), who gets them (R1 to R7, R15, R16), and how they are signed.

What is sent is read by dnspython's ``xfr.Inbound``, and compared record for record with what the zone holds.
"""

from __future__ import annotations

import itertools
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.protocol import tsig, xfrout
from dnsserver.protocol.outcome import Peer
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrout import ticket
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Layer, Role
from dnsserver.zone.changeset import difference
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, TXT, A
from tests.protocol.outgoing import (
    APEX,
    BASE,
    KEY,
    KEYED,
    NOW,
    TCP,
    UDP,
    address,
    ask,
    empty,
    granted,
    inbound,
    many,
    messages,
    name,
    ordered,
    plain,
    read,
    refused,
    server,
    soa,
)

# AXFR


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
