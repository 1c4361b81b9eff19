"""Packets in, outcomes out: what is refused and how, what may be cached, and that no packet raises."""

from __future__ import annotations

import random

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.protocol import dispatch
from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.dispatch import Drop, Reply, TransferOut, handle
from dnsserver.protocol.query import Query, parse
from dnsserver.protocol.quick import QuickRoad
from dnsserver.protocol.server import CACHE_ENTRIES, Body, ServerState
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from tests.interop.answer_cases import CASES
from tests.interop.authorities import APEXES, load
from tests.protocol.answering import NOW, TCP, UDP, ask, image, meta, query, quick, reply, serving

ZONE = """
$TTL 3600
@ SOA ns1 host 7 2 3 4 300
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.2
alias CNAME www
away CNAME www.other.test.
sub NS ns.sub
ns.sub A 192.0.2.3
*.wild A 192.0.2.4
big TXT "{}"
""".format('" "'.join(["x" * 200] * 8))
APEX = "zone.test."
IMAGE = image(ZONE, APEX)
OTHER = image("@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nwww 60 A 192.0.2.9\n", "other.test.")
IMAGES = {apex: load(apex) for apex in APEXES}


def state() -> ServerState:
    return serving([(APEX, IMAGE), ("other.test.", OTHER)])


def table_state() -> ServerState:
    made = serving((apex + ".", contents) for apex, contents in IMAGES.items())
    made.cookies = CookieJar(CookieSecrets(bytes(range(16))))
    return made


# No packet raises


@given(st.binary(max_size=80))
def test_any_octets_are_taken(packet: bytes) -> None:
    judge_any(packet)


@given(st.data())
def test_any_broken_request_is_taken(data: st.DataObject) -> None:
    """Real requests with octets changed, cut, and added: counts, pointers, lengths, options, TSIG."""
    packet = bytearray(data.draw(st.sampled_from(CASES)).wire)
    for _ in range(data.draw(st.integers(1, 4))):
        if packet:
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    judge_any(bytes(packet[:cut]) if data.draw(st.booleans()) else bytes(packet) + data.draw(st.binary(max_size=5)))


WARM = table_state()
ROADS = {UDP: QuickRoad(WARM), TCP: QuickRoad(WARM, tcp=True)}


def judge_any(packet: bytes) -> None:
    for peer in (UDP, TCP):
        outcome = handle(WARM, packet, peer, NOW)
        found = quick(ROADS[peer], packet)
        if found is not None:
            assert dns.message.from_wire(found.wire) == dns.message.from_wire(reply(outcome).wire)
        if len(packet) < 12 or packet[2] & 0x80:
            assert isinstance(outcome, Drop), "RFC 1035, 4.1.1: an answer is not answered"
        elif isinstance(outcome, Reply):
            assert outcome.wire[:2] == packet[:2]
            assert outcome.wire[2] & 0x80
            assert outcome.wire[2] & 0x78 == packet[2] & 0x78
            assert outcome.wire[2] & 0x01 == packet[2] & 0x01
            assert outcome.wire[3] & 0xF0 == 0, "RA, Z, AD, CD are clear"
            assert len(outcome.wire) <= (65535 if peer.tcp else 1232)
            if outcome.wire[2] & 0x78 == 0:  # dnspython takes no UPDATE whose question is not a zone
                dns.message.from_wire(outcome.wire, keyring=False)
        else:
            assert isinstance(outcome, TransferOut)


# The roads agree


def test_the_quick_road_answers_as_the_general_one() -> None:
    """DESIGN, second level: its answers hold the same records, flags and OPT as those of the general road."""
    count = 0
    for case in CASES:
        peer = TCP if case.tcp else UDP
        found = quick(ROADS[peer], case.wire)
        if found is None:
            continue
        parsed = parse(case.wire)
        assert isinstance(parsed, Query)
        general = reply(dispatch._judge(WARM, case.wire, parsed, peer, NOW))
        assert dns.message.from_wire(found.wire) == dns.message.from_wire(general.wire)
        assert dns.message.from_wire(found.wire).options == dns.message.from_wire(general.wire).options
        assert (found.view, found.cacheable, found.soa_asked) == (general.view, general.cacheable, general.soa_asked)
        count += 1
    assert count > 40


def test_what_a_view_keeps_changes_no_answer() -> None:
    """Each case asked of a server that has answered all others is answered as by a new one."""
    warm = table_state()
    road = QuickRoad(warm)
    cases = list(CASES)
    for seed in range(3):
        random.Random(seed).shuffle(cases)
        for case in cases:
            peer = TCP if case.tcp else UDP
            outcome = handle(warm, case.wire, peer, NOW)
            fresh = handle(table_state(), case.wire, peer, NOW)
            if not case.tcp and (found := quick(road, case.wire)) is not None:
                anew = quick(QuickRoad(table_state()), case.wire)
                assert anew is not None
                assert found == anew._replace(view=found.view)
            if isinstance(outcome, Reply) and isinstance(fresh, Reply):
                assert outcome.wire == fresh.wire, case.name
                assert outcome.cacheable == fresh.cacheable, case.name
            else:
                assert type(outcome) is type(fresh)


# What may be cached (DESIGN, first level)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (query("www.zone.test."), True),
        (query("www.zone.test.", want_dnssec=True), True),
        (query("www.zone.test.", use_edns=0, payload=512), True),
        (query("alias.zone.test."), True),
        (query("nx.zone.test."), True),
        (query("x.sub.zone.test."), True),
        (query("x.wild.zone.test."), True),
        (query("zone.test.", "NS"), True),
        (query("www.zone.test.", "TYPE65280"), False),
        (query("zone.test.", "SOA"), False),
        (query("wWw.zone.test."), False),
        (query("x.Sub.zone.test."), False),
        (query("away.zone.test."), False),
        (query("www.zone.test.", "ANY"), False),
        (query("www.zone.test.", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")]), False),
        (
            query(
                "www.zone.test.", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")]
            ),
            False,
        ),
        (
            query(
                "nx.zone.test.", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")]
            ),
            False,
        ),
        (query("abroad."), False),
        (query("www.zone.test.", use_edns=1), False),
        (query("www.zone.test.")[:-1], False),
    ],
)
def test_cacheable(packet: bytes, expected: bool) -> None:
    """Lower-case name, one question, no options, type below 249, one zone, not SOA."""
    for peer in (UDP, TCP):
        made = state()
        made.cookies = CookieJar(CookieSecrets(bytes(16)))
        assert reply(handle(made, packet, peer, NOW)).cacheable is expected


def test_a_view_dies_when_anything_of_its_zone_changes() -> None:
    made = state()
    first = made.zones[names.from_text(APEX)]
    second = made.publish(meta(APEX), IMAGE)
    assert (first.live, second.live) == (False, True)
    suspended = made.publish(meta(APEX, suspended=True), IMAGE)
    assert not second.live
    made.withdraw(names.from_text(APEX))
    assert not suspended.live


def test_a_zone_that_comes_or_goes_takes_names_from_the_one_around_it() -> None:
    """Else a referral from the parent would be given after the child came here."""
    made = state()
    asked = query("x.sub.zone.test.")
    referral = reply(handle(made, asked, UDP, NOW))
    assert referral.cacheable
    made.publish(meta("sub.zone.test."), image("@ 60 SOA a b 1 2 3 4 5\nx 60 A 192.0.2.8\n", "sub.zone.test."))
    assert referral.view is not None
    assert not referral.view.live
    child = reply(handle(made, asked, UDP, NOW))
    assert child.wire[3] == 0
    assert child.wire[2] & 0x04, "AA"
    made.withdraw(names.from_text("sub.zone.test."))
    assert reply(handle(made, asked, UDP, NOW)).wire == referral.wire


def test_bodies_are_bounded() -> None:
    view = state().zones[names.from_text(APEX)]
    for number in range(CACHE_ENTRIES + 1):
        view.keep_body((number,), Body(0, 0, 0, 0, 0, b""))
    assert len(view.bodies) == 1
    view.keep_body(("large",), Body(0, 0, 0, 0, 0, bytes(5000)))
    assert len(view.bodies) == 1


# Refusals


def test_a_zone_that_is_not_here() -> None:
    """Issue 3: REFUSED with EDE 20, which only goes where the request had an OPT (RFC 6891, 7; RFC 8914)."""
    plain = ask(state(), query("abroad."))
    assert (plain.rcode(), plain.edns, plain.flags & dns.flags.AA) == (dns.rcode.REFUSED, -1, 0)
    assert ede(ask(state(), query("abroad.", use_edns=0))) == [20]


@pytest.mark.parametrize(
    ("flags", "contents", "rcode", "codes"),
    [
        ({"suspended": True}, IMAGE, dns.rcode.REFUSED, [20]),
        ({"expired": True}, IMAGE, dns.rcode.SERVFAIL, [24]),
        ({}, None, dns.rcode.SERVFAIL, [14]),
        ({"suspended": True, "expired": True}, IMAGE, dns.rcode.REFUSED, [20]),
    ],
)
def test_a_zone_that_is_not_answered(flags: dict[str, bool], contents: object, rcode: int, codes: list[int]) -> None:
    """CONTRACT: suspended, REFUSED; R11: expired, SERVFAIL; nothing loaded, SERVFAIL."""
    made = ServerState()
    made.publish(meta(APEX, **flags), IMAGE if contents else None)
    for name in ("www", "nx", "x.sub"):
        answer = ask(made, query(f"{name}.{APEX}", use_edns=0))
        assert (answer.rcode(), ede(answer), answer.answer) == (rcode, codes, [])
    assert not reply(handle(made, query("www." + APEX), UDP, NOW)).cacheable


def test_an_alias_into_a_zone_that_is_not_answered_ends_there() -> None:
    made = serving([(APEX, IMAGE)])
    made.publish(meta("other.test.", expired=True), OTHER)
    answer = ask(made, query("away.zone.test."))
    assert answer.rcode() == dns.rcode.NOERROR
    assert [rrset.name.to_text() for rrset in answer.answer] == ["away.zone.test."]


def ede(answer: dns.message.Message) -> list[int]:
    return [int(option.code) for option in answer.options if isinstance(option, dns.edns.EDEOption)]


# Fields of the answer


def test_the_questions_case_is_kept() -> None:
    """And the answer's owner is the question's name (0x20)."""
    for name in ("wWw.ZoNe.TeSt.", "nX.zOne.test.", "X.suB.zone.test.", "aliaS.zone.test."):
        wire = reply(handle(state(), query(name), UDP, NOW)).wire
        assert wire[12 : 12 + len(name) + 1] == names.from_text(name)


def test_negative_ttl_is_the_smaller() -> None:
    """RFC 2308, 5: the SOA's TTL of 3600, its minimum of 300."""
    for name in ("nx", "www"):
        (soa,) = ask(state(), query(f"{name}.zone.test.", "MX")).authority
        assert soa.ttl == 300
    (soa,) = ask(state(), query("zone.test.", "SOA")).answer
    assert soa.ttl == 3600


def test_a_negative_ttl_below_the_minimum_stays() -> None:
    short = serving([("t.", image("@ 60 SOA a b 1 2 3 4 300\n@ 60 NS a\n", "t."))])
    assert ask(short, query("nx.t.")).authority[0].ttl == 60


@pytest.mark.parametrize(("asked", "expected"), [(True, True), (False, False)])
def test_soa_asked(asked: bool, expected: bool) -> None:
    """A positive SOA answer at the apex shows that a secondary lives."""
    packet = query("zone.test." if asked else "www.zone.test.", "SOA")
    assert reply(handle(state(), packet, UDP, NOW)).soa_asked is expected


@pytest.mark.parametrize(
    ("size", "limit"), [(None, 512), (0, 512), (511, 512), (600, 600), (1232, 1232), (65535, 1232)]
)
def test_udp_sizes_are_clamped(size: int | None, limit: int) -> None:
    """RFC 6891, 6.2.3 and LIMITS, udp-payload; the question and the OPT stay in a truncated answer."""
    options = {} if size is None else {"use_edns": 0, "payload": size}
    for number in range(1, 80):
        text = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\n" + "".join(f"t 60 TXT {'x' * 15}{n:03}\n" for n in range(number))
        packet = query("t.zone.test.", "TXT", **options)
        wire = reply(handle(serving([(APEX, image(text, APEX))]), packet, UDP, NOW)).wire
        assert len(wire) <= limit
        answer = dns.message.from_wire(wire)
        if answer.flags & dns.flags.TC:
            assert len(packet) + number * 31 > limit
            assert (answer.answer, len(answer.question)) == ([], 1)
            assert (answer.edns, answer.payload) == ((0, 1232) if size is not None else (-1, 0))
            return
        assert len(answer.answer[0]) == number
    raise AssertionError("never truncated")


def test_tcp_is_not_truncated() -> None:
    answer = ask(state(), query("big.zone.test.", "TXT"), TCP)
    assert not answer.flags & dns.flags.TC
    assert ask(state(), query("big.zone.test.", "TXT")).flags & dns.flags.TC


# Cookies


def test_a_cookie_is_always_answered() -> None:
    """RFC 7873, 5.2.3 to 5.2.5: with every answer, an error too."""
    made = state()
    made.cookies = CookieJar(CookieSecrets(bytes(16)))
    client = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    for name in ("www.zone.test.", "nx.zone.test.", "abroad.", "x.sub.zone.test."):
        first = cookie(ask(made, query(name, use_edns=0, options=[client])))
        assert first[:8] == b"12345678"
        assert len(first) == 24
        again = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, first)
        assert cookie(ask(made, query(name, use_edns=0, options=[again]))) == first
    assert not ask(made, query("www.zone.test.", use_edns=0)).options
    made.cookies = None
    assert not ask(made, query("www.zone.test.", use_edns=0, options=[client])).options


def test_a_server_cookie_asked_for_alone() -> None:
    """RFC 7873, 5.4: without a question; NOERROR for a client's alone and for a valid one, else BADCOOKIE."""
    made = state()
    made.cookies = CookieJar(CookieSecrets(bytes(16)))

    def bare(octets: bytes) -> dns.message.Message:
        opt = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00" + (len(octets) + 4).to_bytes(2, "big")
        option = b"\x00\x0a" + len(octets).to_bytes(2, "big") + octets
        return ask(made, b"\x12\x67\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + opt + option)

    first = bare(b"12345678")
    assert first.rcode() == dns.rcode.NOERROR
    assert bare(cookie(first)).rcode() == dns.rcode.NOERROR
    bad = bare(b"12345678" + bytes(16))
    assert bad.rcode() == dns.rcode.BADCOOKIE
    assert cookie(bad)[:8] == b"12345678"
    assert bare(b"1234567").rcode() == dns.rcode.FORMERR


def cookie(answer: dns.message.Message) -> bytes:
    (octets,) = [option.to_wire() for option in answer.options if option.otype == dns.edns.OptionType.COOKIE]
    assert isinstance(octets, bytes)
    return octets


# Signed requests

SECRET = b"0123456789abcdef0123456789abcdef"
KEYNAME = "client-key."


@pytest.mark.parametrize("name", ["www.zone.test.", "nx.zone.test.", "abroad.", "big.zone.test."])
def test_a_signed_query_is_answered_signed(name: str) -> None:
    """RFC 8945, 5.3; within the size, its TSIG included; never cached."""
    made = state()
    key = names.from_text(KEYNAME)
    made.keys = {key: Key(key, names.from_text("hmac-sha256."), SECRET)}
    request = dns.message.make_query(name, "TXT", use_edns=0, payload=1232)
    request.use_tsig(dns.tsig.Key(KEYNAME, SECRET, dns.tsig.HMAC_SHA256))
    packet = request.to_wire()
    assert request.tsig is not None
    outcome = reply(handle(made, packet, UDP, request.tsig[0].time_signed))
    assert not outcome.cacheable
    assert len(outcome.wire) <= 1232
    answer = dns.message.from_wire(outcome.wire, keyring=request.keyring, request_mac=request.mac)
    assert answer.had_tsig
    assert answer.rcode() == ask(state(), query(name, "TXT", use_edns=0)).rcode()


def test_an_unknown_key_is_notauth() -> None:
    """R5: a failed TSIG is NOTAUTH, whatever is asked."""
    request = dns.message.make_query("www.zone.test.", "A")
    request.use_tsig(dns.tsig.Key(KEYNAME, SECRET, dns.tsig.HMAC_SHA256))
    assert ask(state(), request.to_wire()).rcode() == dns.rcode.NOTAUTH


# Other opcodes


@pytest.mark.parametrize(("opcode", "here", "abroad"), [(4, "REFUSED", "NOTAUTH"), (5, "REFUSED", "NOTAUTH")])
def test_notify_and_update_are_declined(opcode: int, here: str, abroad: str) -> None:
    """R9; RFC 2136, 3.1: their effects are to come."""
    for name, rcode in ((APEX, here), ("abroad.", abroad)):
        packet = bytearray(query(name, "SOA"))
        packet[2] = opcode << 3
        answer = ask(state(), bytes(packet))
        assert (dns.rcode.to_text(answer.rcode()), int(answer.opcode())) == (rcode, opcode)
