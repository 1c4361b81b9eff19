"""Response rate limiting (LIMITS, rate-limit): which responses are over, which turn it is, who is exempt."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from dnsserver.protocol import notify_in, tsig
from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.message import render
from dnsserver.protocol.outcome import Peer
from dnsserver.protocol.query import TC, Malformed, parse
from dnsserver.protocol.ratelimit import (
    MOST_LIMITED,
    Cut,
    RateLimit,
    RateLimiter,
    Tally,
    is_exempt,
    is_plain,
    truncated,
)
from dnsserver.protocol.server import Body, ServerState, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.settings import ZoneSettings
from tests.protocol.answering import NOW, image, query

A, B = b"\xc0\x00\x02", b"\xc6\x33\x64"


def limiter(per_second: int = 5, slip: int = 2, places: int = 1 << 17) -> RateLimiter:
    return RateLimiter(RateLimit(per_second, slip), 30.0, places)


def passed(limits: RateLimiter, prefix: bytes, times: Iterable[float]) -> list[bool]:
    return [not limits.over([prefix], now) for now in times]


# The rate


@pytest.mark.parametrize("start", [0.0, 0.123456789, 4_000_000.1])
@pytest.mark.parametrize("rate", [1, 3, 200, 100_000])
def test_a_second_s_worth_at_once_and_not_one_more(rate: int, start: float) -> None:
    limits = limiter(rate)
    assert limits.over([A] * rate, start) == []
    assert limits.over([A, A], start) == [(0, A), (1, A)]
    # A second later there is room for as many.
    assert limits.over([A] * (rate + 1), start + 1) == [(rate, A)]


class Course(NamedTuple):
    """One prefix at so many evenly spaced a second, for ten seconds: how many pass."""

    rate: int
    asked: int
    passed: range


@pytest.mark.parametrize(
    "course",
    [
        Course(200, 1, range(10, 11)),
        Course(200, 199, range(1990, 1991)),
        Course(200, 200, range(2000, 2001)),
        Course(200, 201, range(2010, 2011)),  # within what may come at once
        Course(200, 400, range(2199, 2202)),
        Course(200, 20_000, range(2199, 2202)),
        Course(1, 10, range(10, 12)),
    ],
)
def test_in_the_long_run_the_rate_is_the_limit(course: Course) -> None:
    times = [7.0 + n / course.asked for n in range(10 * course.asked)]
    assert sum(passed(limiter(course.rate), A, times)) in course.passed


def test_what_is_over_does_not_count() -> None:
    """A flood does not put off the time at which responses pass again."""
    limits = limiter(10)
    assert len(limits.over([A] * 1000, 1.0)) == 990
    assert limits.over([A], 1.1) == []
    assert limits.over([A], 1.1) == [(0, A)]


def test_prefixes_are_counted_apart_in_the_order_of_the_batch() -> None:
    limits = limiter(2)
    assert limits.over([A, B, A, A, B, B, A], 1.0) == [(3, A), (5, B), (6, A)]


def test_two_prefixes_in_one_place_share_their_limit() -> None:
    """What becomes of others where all places are in use: nobody is refused for good, nothing grows."""
    limits = limiter(2, places=1)
    assert limits.over([A, B, A, B], 1.0) == [(2, A), (3, B)]


def test_random_sources_neither_grow_the_table_nor_limit_others() -> None:
    limits = limiter(50)
    size = len(limits._empty_at)
    flood = [os.urandom(3) for _ in range(100_000)]
    assert len(limits.over(flood, 1.0)) == 0, "six or so share a bucket"
    assert len(limits._empty_at) == size
    assert limits.over([b"\x7f\x00\x01"] * 20, 1.0) == []


def test_a_flood_of_chosen_sources_hits_few_others() -> None:
    """700 prefixes over their limit; of 10,000 others some 53 share a place with one: more than 150 is no accident."""
    limits = limiter(5)
    over = [bytes((10, n >> 8, n & 255)) for n in range(700)]
    limits.over(over * 5, 1.0)
    others = [bytes((11, n >> 8, n & 255)) for n in range(10_000)]
    assert 0 < len(limits.over(others, 1.0)) < 150


# Prefixes


@pytest.mark.parametrize(
    ("address", "length", "prefix"),
    [
        ("192.0.2.255", 24, "c00002"),
        ("192.0.2.255", 32, "c00002ff"),
        ("192.0.2.255", 20, "c00000"),
        ("192.0.31.255", 20, "c00010"),
        ("192.0.2.255", 1, "80"),
        ("192.0.2.255", 0, ""),
        ("2001:db8:1:2fff::1", 56, "20010db800012f"),
        ("2001:db8:1:2fff::1", 60, "20010db800012ff0"),
        ("2001:db8:1:2fff::1", 128, "20010db800012fff0000000000000001"),
        ("2001:db8:1:2fff::1", 32, "20010db800"),
        ("2001:db8:1:2fff::1", 0, "0000000000"),
    ],
)
def test_a_prefix_of_an_address(address: str, length: int, prefix: str) -> None:
    ipv6 = ":" in address
    cut = Cut.of(length, ipv6=ipv6)
    packed = socket.inet_pton(socket.AF_INET6 if ipv6 else socket.AF_INET, address)
    assert cut.masked(packed).hex() == prefix
    assert cut.masked(packed[: cut.octets]).hex() == prefix


def test_no_prefix_of_ipv4_is_one_of_ipv6() -> None:
    longest = Cut.of(32, ipv6=False).octets
    assert all(Cut.of(length, ipv6=True).octets > longest for length in range(129))


@pytest.mark.parametrize(
    ("prefix", "prefixes", "text"),
    [
        ("c00002", (24, 56), "192.0.2.0/24"),
        ("c00010", (20, 56), "192.0.16.0/20"),
        ("", (0, 56), "0.0.0.0/0"),
        ("20010db800012f", (24, 56), "2001:db8:1:2f00::/56"),
        ("20010db800", (24, 32), "2001:db8::/32"),
    ],
)
def test_a_prefix_in_the_log(prefix: str, prefixes: tuple[int, int], text: str) -> None:
    limits = RateLimiter(RateLimit(1, 2, prefixes), 30.0)
    drop(limits, bytes.fromhex(prefix))
    assert limits.due(1.0) == [Tally(text, 1, 0)]


# Turns and tallies


@pytest.mark.parametrize(
    ("slip", "turns"), [(0, "......"), (1, "tttttt"), (2, ".t.t.t"), (3, "..t..t"), (10, ".........t.........t")]
)
def test_every_slip_th_response_over_the_limit_goes_out_truncated(slip: int, turns: str) -> None:
    limits = limiter(slip=slip)
    found = ["t" if limits.slips(limits.limited(A)) else "." for _ in turns]
    assert "".join(found) == turns
    # Another prefix has its own turns.
    assert ["t" if limits.slips(limits.limited(B)) else "." for _ in turns] == found


def drop(limits: RateLimiter, prefix: bytes) -> None:
    limits.limited(prefix).dropped += 1


def test_the_first_is_told_at_once_then_there_is_one_tally_in_an_interval() -> None:
    limits = limiter()
    drop(limits, A)
    assert limits.due(1.0) == [Tally("192.0.2.0/24", 1, 0)]
    drop(limits, A)
    limits.limited(A).slipped += 3
    assert limits.due(30.9) == []
    drop(limits, B)
    assert limits.due(31.0) == [Tally("192.0.2.0/24", 1, 3), Tally("198.51.100.0/24", 1, 0)]
    assert limits.due(61.0) == []
    assert not limits._limited, "what comes no more is forgotten"
    drop(limits, A)
    assert limits.due(62.0) == [Tally("192.0.2.0/24", 1, 0)]


def test_a_tally_does_not_begin_the_turns_anew() -> None:
    limits = limiter(slip=2)
    assert not limits.slips(limits.limited(A))
    drop(limits, A)
    assert limits.due(1.0)
    assert limits.slips(limits.limited(A))


def test_prefixes_that_are_too_many_are_told_of_together() -> None:
    limits = limiter()
    for n in range(MOST_LIMITED + 5):
        drop(limits, n.to_bytes(3, "big"))
    tallies = limits.due(1.0)
    assert len(tallies) == MOST_LIMITED + 1
    assert tallies[-1] == Tally("-", 5, 0)
    drop(limits, A)
    assert limits.due(31.0) == [Tally("-", 1, 0)]


# Who is exempt, and what goes out truncated

ZONE = "@ 60 SOA ns host 7 3600 600 86400 300\n@ 60 NS ns.example.org.\nwww 60 A 192.0.2.80\n"
KEY = Key(names.from_text("k."), names.from_text("hmac-sha256."), b"k" * 32)
FORGED = Key(KEY.name, KEY.algorithm, b"not the secret at all")
PEER = Peer("192.0.2.1", 5353, False)
STRANGER = Peer("203.0.113.1", 5353, False)
CLIENT = bytes(range(8))


def served() -> ServerState:
    state = ServerState(keys={KEY.name: KEY}, cookies=CookieJar(CookieSecrets(bytes(16))))
    settings = ZoneSettings().with_change(("primaries=192.0.2.1",))
    senders = notify_in.senders(settings)
    meta = ZoneMeta(1, names.from_text("zone.test."), Role.SECONDARY, notify_from=senders)
    state.publish(meta, image(ZONE, "zone.test."))
    return state


STATE = served()
assert STATE.cookies is not None
COOKIE = STATE.cookies.judge(CLIENT, PEER.address, NOW).reply


def with_cookie(cookie: bytes) -> bytes:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    return query("www.zone.test.", options=[option])


def signed(key: Key, packet: bytes) -> bytes:
    return tsig.sign_request(packet, key, NOW)[0]


def notify(zone: str = "zone.test.") -> bytes:
    message = dns.message.make_query(zone, "SOA")
    message.set_opcode(dns.opcode.NOTIFY)
    return message.to_wire()


LONG = query("www.zone.test.", use_edns=0)


class Case(NamedTuple):
    """``slip``: the truncated answer as ``flags/OPT/cookie``, "" where there is none."""

    what: str
    packet: Callable[[], bytes]
    exempt: bool
    slip: str
    peer: Peer = PEER


CASES = [
    Case("plain", lambda: query("www.zone.test."), False, "QR TC"),
    Case("no such name", lambda: query("no.zone.test."), False, "QR TC"),
    Case("a zone that is not here", lambda: query("www.example."), False, "QR TC"),
    Case("RD", lambda: b"\0\1\1" + query("www.zone.test.")[3:], False, "QR TC RD"),
    Case("EDNS", lambda: query("www.zone.test.", use_edns=0), False, "QR TC/OPT"),
    Case("EDNS, DO", lambda: query("www.zone.test.", want_dnssec=True), False, "QR TC/OPT DO"),
    Case("a name with a zero octet", lambda: query("a\\000b.zone.test.", use_edns=0), False, "QR TC/OPT"),
    Case("the root", lambda: query(".", use_edns=0), False, "QR TC/OPT"),
    Case("the longest label", lambda: query("a" * 63 + ".test.", want_dnssec=True), False, "QR TC/OPT DO"),
    Case("too long a label", lambda: LONG[:12] + b"\x40" + LONG[13:], False, ""),
    Case("a label past the end", lambda: LONG[:12] + b"\x3f" + LONG[13:], False, ""),
    Case("a pointer", lambda: LONG[:12] + b"\xc0" + LONG[13:], False, ""),
    Case("too long a name", lambda: LONG[:12] + (b"\1a" * 128) + LONG[-16:], False, ""),
    Case("the longest name", lambda: query("a." * 127, use_edns=0), False, "QR TC/OPT"),
    Case("a record more", lambda: LONG[:5] + b"\1\0\0\0\0\0\2" + LONG[12:] + LONG[-11:], False, ""),
    Case("an answer in it", lambda: LONG[:7] + b"\1" + LONG[8:], False, ""),
    Case("a valid cookie", lambda: with_cookie(COOKIE), True, "QR TC/OPT/cookie"),
    Case("one of another address", lambda: with_cookie(COOKIE), False, "QR TC/OPT/cookie", STRANGER),
    Case("a forged cookie", lambda: with_cookie(CLIENT + b"\1\0\0\0" + bytes(12)), False, "QR TC/OPT/cookie"),
    Case("a client's cookie", lambda: with_cookie(CLIENT), False, "QR TC/OPT/cookie"),
    Case("a malformed cookie", lambda: with_cookie(bytes(9)), False, "QR TC/OPT"),
    Case("EDNS version 1", lambda: query("www.zone.test.", use_edns=1), False, ""),
    Case("signed", lambda: signed(KEY, query("www.zone.test.")), True, ""),
    Case("signed, from anywhere", lambda: signed(KEY, query("www.zone.test.")), True, "", STRANGER),
    Case("a forged signature", lambda: signed(FORGED, query("www.zone.test.")), False, ""),
    Case("a NOTIFY of a primary", notify, True, ""),
    Case("a NOTIFY of a stranger", notify, False, "", STRANGER),
    Case("a NOTIFY for a zone that is not here", lambda: notify("example."), False, ""),
    Case("a signed NOTIFY", lambda: signed(KEY, notify()), True, "", STRANGER),
    Case("UPDATE", lambda: b"\0\1\x28" + query("zone.test.", "SOA")[3:], False, ""),
    Case("STATUS", lambda: b"\0\1\x10" + query("zone.test.", "SOA")[3:], False, ""),
    Case("no question, with a cookie", lambda: b"\0\1" + bytes(9) + b"\1" + with_cookie(CLIENT)[31:], False, ""),
    Case("malformed", lambda: query("www.zone.test.")[:-1], False, ""),
    Case("a header alone", lambda: bytes(12), False, ""),
    # No response, no limit: they are dropped where they always are.
    Case("shorter than a header", lambda: query("www.zone.test.")[:11], True, ""),
    Case("a response", lambda: b"\0\1\x80" + query("www.zone.test.")[3:], True, ""),
    Case("nothing", lambda: b"", True, ""),
]
each = pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])


@each
def test_who_is_exempt(case: Case) -> None:
    packet = case.packet()
    assert (not is_plain(packet) and is_exempt(STATE, packet, case.peer, NOW)) is case.exempt
    assert is_exempt(STATE, packet, case.peer, NOW) is case.exempt, "what is plain is looked at less, not otherwise"


@each
def test_what_goes_out_truncated(case: Case) -> None:
    packet = case.packet()
    if case.exempt and not case.slip:
        return
    wire = truncated(STATE, packet, case.peer, NOW)
    if not case.slip:
        assert wire is None
        return
    assert wire is not None
    answer = dns.message.from_wire(wire)
    assert wire.startswith(packet[:2])
    assert answer.rcode() == dns.rcode.NOERROR
    assert [len(section) for section in answer.sections] == [1, 0, 0, 0]
    flags, _, rest = case.slip.partition("/")
    opt, _, cookie = rest.partition("/")
    assert set(dns.flags.to_text(answer.flags).split()) == set(flags.split())
    assert [option.otype for option in answer.options] == [dns.edns.OptionType.COOKIE] * bool(cookie)
    assert answer.edns == (0 if opt else -1)
    assert bool(answer.ednsflags & dns.flags.DO) is opt.endswith("DO")
    # Header, question, OPT, and nothing else.
    end = 12 + len(answer.question[0].name.to_wire() or b"") + 4
    assert wire[12:end] == packet[12:end]
    assert len(wire) == end + 11 * bool(opt) + 28 * bool(cookie)


def test_a_cookie_that_was_given_exempts_the_next_time() -> None:
    """RFC 7873, 5.2.3: a truncated answer teaches the client its cookie."""
    wire = truncated(STATE, with_cookie(CLIENT), PEER, NOW)
    assert wire is not None
    (option,) = dns.message.from_wire(wire).options
    cookie = option.to_wire()
    assert cookie is not None
    assert is_exempt(STATE, with_cookie(cookie), PEER, NOW)
    assert not is_exempt(STATE, with_cookie(cookie), STRANGER, NOW)


def test_where_cookies_are_off_none_exempts() -> None:
    state = served()
    state.cookies = None
    assert not is_exempt(state, with_cookie(COOKIE), PEER, NOW)
    wire = truncated(state, with_cookie(COOKIE), PEER, NOW)
    assert wire is not None
    assert not dns.message.from_wire(wire).options


@each
def test_a_plain_query_is_truncated_as_any_other(case: Case) -> None:
    """The quick way and the long one lead to the same octets."""
    packet = case.packet()
    if not is_plain(packet):
        return
    quick = truncated(STATE, packet, case.peer, NOW)
    read = parse(packet)
    if isinstance(read, Malformed):
        assert quick is None
        return
    assert quick == render(read, Body(0, TC, 0, 0, 0, b""), STATE.limits.udp_payload)
