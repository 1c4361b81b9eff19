"""The EXPIRE option in answers (RFC 7314): a secondary of ours must not keep a zone longer than we do."""

from __future__ import annotations

from ipaddress import ip_network

import dns.edns
import dns.message
import dns.rcode
import dns.rrset
import pytest

from dnsserver.protocol import tsig
from dnsserver.protocol.dispatch import handle
from dnsserver.protocol.outcome import Peer, Reply
from dnsserver.protocol.server import ServerState, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrout import TransferOut
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Role
from dnsserver.zone.changeset import Changeset, Difference
from tests.protocol.answering import NOW, image

ZONE = "@ 60 SOA ns host 9 3600 600 86400 300\n@ 60 NS ns.example.org.\nwww 60 A 192.0.2.1\n"
OLD = "@ 60 SOA ns host 7 3600 600 86400 300\n@ 60 NS ns.example.org.\nwww 60 A 192.0.2.1\n"
APEX = "zone.test."
IMAGE = image(ZONE, APEX)
CHANGE = Changeset((image(OLD, APEX).soa,), (IMAGE.soa,))
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)
UDP, TCP = Peer("192.0.2.53", 53, False), Peer("192.0.2.53", 53, True)
OPTION = dns.edns.OptionType.make(9)


def served(role: Role = Role.SECONDARY, left: float | None = 5000.9, *, expired: bool = False) -> ServerState:
    state = ServerState()
    state.left = {1: left}.get
    state.access = AccessLists((AccessEntry(ip_network("0.0.0.0/0")), AccessEntry(None, KEY.name)), ())
    state.keys = {KEY.name: KEY}
    state.publish(ZoneMeta(1, names.from_text(APEX), role, expired=expired, ixfr="udp"), IMAGE)
    return state


def request(kind: str, name: str = APEX, *, asked: bool = True, option: bytes = b"") -> bytes:
    options: list[dns.edns.Option] = [dns.edns.GenericOption(OPTION, option)] if asked else []
    message = dns.message.make_query(name, kind, use_edns=0, options=options, flags=0)
    if kind == "IXFR":
        message.authority.append(dns.rrset.from_text(name, 0, "IN", "SOA", ". . 7 0 0 0 0"))
    return message.to_wire()


def answer(state: ServerState, packet: bytes, peer: Peer) -> list[bytes]:
    """The messages that answer it, an IXFR along the chain."""
    outcome = handle(state, packet, peer, NOW)
    if isinstance(outcome, TransferOut):
        plan = outcome.plan(Difference.of([CHANGE.encode()]))
        return list(plan.messages(lambda: NOW)) if peer.tcp else [plan.datagram(NOW)]
    assert isinstance(outcome, Reply)
    assert not outcome.cacheable
    return [outcome.wire]


def expire(wires: list[bytes]) -> int | None:
    """The option's seconds; it is in the first message alone, and once."""
    found = [
        option.to_wire()
        for wire in wires
        for option in dns.message.from_wire(wire, keyring=False, xfr=True).options
        if option.otype == OPTION
    ]
    assert len(found) <= 1
    if not found:
        return None
    assert found[0] is not None
    assert len(found[0]) == 4
    return int.from_bytes(found[0], "big")


ASKED = [("SOA", UDP), ("SOA", TCP), ("AXFR", TCP), ("IXFR", TCP), ("IXFR", UDP)]


@pytest.mark.parametrize(("kind", "peer"), ASKED)
class TestAsked:
    def test_a_secondary_tells_what_is_left(self, kind: str, peer: Peer) -> None:
        """RFC 7314, 3.3: rounded down."""
        assert expire(answer(served(), request(kind), peer)) == 5000

    def test_a_primary_tells_the_soas(self, kind: str, peer: Peer) -> None:
        """RFC 7314, 3.2."""
        assert expire(answer(served(Role.PRIMARY, None), request(kind), peer)) == 86400

    def test_only_where_it_was_asked_for(self, kind: str, peer: Peer) -> None:
        assert expire(answer(served(), request(kind, asked=False), peer)) is None

    def test_what_is_not_known_is_not_told(self, kind: str, peer: Peer) -> None:
        assert expire(answer(served(left=None), request(kind), peer)) is None

    def test_a_moment_too_late_is_zero(self, kind: str, peer: Peer) -> None:
        """Between the deadline and the look at it."""
        assert expire(answer(served(left=-0.3), request(kind), peer)) == 0

    def test_an_expired_zone_has_none(self, kind: str, peer: Peer) -> None:
        """R11."""
        wires = answer(served(left=-9.0, expired=True), request(kind), peer)
        assert expire(wires) is None
        assert dns.message.from_wire(wires[0]).rcode() == dns.rcode.SERVFAIL

    def test_a_signed_answer_has_it_too(self, kind: str, peer: Peer) -> None:
        wire = tsig.sign_request(request(kind), KEY, NOW)[0]
        assert expire(answer(served(), wire, peer)) == 5000

    def test_the_case_of_the_name_does_not_matter(self, kind: str, peer: Peer) -> None:
        assert expire(answer(served(), request(kind, "ZONE.test."), peer)) == 5000


@pytest.mark.parametrize(
    ("name", "kind"), [(APEX, "NS"), (APEX, "ANY"), ("www.zone.test.", "SOA"), ("no.test.", "SOA")]
)
def test_it_belongs_to_the_soa_and_to_transfers(name: str, kind: str) -> None:
    assert expire(answer(served(), request(kind, name), UDP)) is None


def test_a_value_in_the_question_is_passed_over() -> None:
    """RFC 7314, 3.1 wants it empty; BIND reads it as this does."""
    assert expire(answer(served(), request("SOA", option=b"\0\0\0\1"), UDP)) == 5000


def test_it_stands_beside_other_options() -> None:
    """The cookie, and the records it is about."""
    message = dns.message.make_query(APEX, "SOA", use_edns=0, flags=0)
    client = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    message.use_edns(0, options=[client, dns.edns.GenericOption(OPTION, b"")])
    wires = answer(served(), message.to_wire(), UDP)
    assert expire(wires) == 5000
    assert [len(rrset) for rrset in dns.message.from_wire(wires[0]).answer] == [1]


def test_a_refused_transfer_tells_nothing() -> None:
    state = served()
    state.access = AccessLists((), ())
    assert expire(answer(state, request("AXFR"), TCP)) is None
