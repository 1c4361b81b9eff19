"""Response rate limiting: so many responses a second to one prefix, so that a forged source is no weapon against it.

What is over the limit is dropped, but for every ``slip``-th response, which goes out truncated: a client that really
asks comes again over TCP, or with the cookie that it was given; neither is limited. Nor is a NOTIFY that is accepted,
or a request with a good signature. All of that is only looked at where a prefix is over its limit.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dnsserver.protocol import edns, tsig
from dnsserver.protocol.cookies import Judged, is_malformed
from dnsserver.protocol.dispatch import handle
from dnsserver.protocol.edns import COOKIE
from dnsserver.protocol.message import render
from dnsserver.protocol.outcome import NotifyTaken, Peer, Reply
from dnsserver.protocol.query import HEADER_SIZE, OPCODE, QR, RD, TC, Malformed, Opcode, Query, parse
from dnsserver.protocol.server import Body, ServerState

# Buckets: 1 MiB, and at most 3 more for the numbers in them.
PLACES = 1 << 17
# Prefixes that are told apart in counts and in the log while they are over the limit.
MOST_LIMITED = 1000
_ONE_QUESTION = b"\x00\x01\x00\x00\x00\x00\x00"
_PLAIN_OPT = b"\x00\x00\x29"
# Prefixes of IPv6 are longer than any of IPv4: octets alone say which it is.
_SHORTEST_IPV6 = 5
# Longer than any prefix.
_OTHERS = bytes(17)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``rate-limit``, responses a second; ``-slip``: 0 for none; ``-prefixes``: lengths for IPv4 and IPv6 (LIMITS)."""

    per_second: int
    slip: int = 2
    prefixes: tuple[int, int] = (24, 56)


class Cut(NamedTuple):
    """What of an address in network order is its prefix: the first ``octets``, and of those what ``mask`` leaves.

    ``mask``: None where whole octets are the prefix, as in the default; others cost more for each packet.
    """

    octets: int
    mask: int | None

    @classmethod
    def of(cls, length: int, *, ipv6: bool) -> Cut:
        octets = (length + 7) // 8
        if ipv6:
            octets = max(octets, _SHORTEST_IPV6)
        bits = octets * 8
        return cls(octets, None if bits == length else (1 << bits) - (1 << bits - length))

    def masked(self, address: bytes) -> bytes:
        """The prefix of an address, or of its first ``octets``."""
        prefix = address[: self.octets]
        if self.mask is None:
            return prefix
        return (int.from_bytes(prefix, "big") & self.mask).to_bytes(self.octets, "big")


class Tally(NamedTuple):
    """What became of the responses over the limit; ``prefix`` as text, ``-`` for all that were not told apart."""

    prefix: str
    dropped: int
    slipped: int


@dataclass(slots=True)
class Limited:
    """A prefix over its limit: responses so far, those dropped and slipped since the last tally, and its time."""

    turn: int = 0
    dropped: int = 0
    slipped: int = 0
    since: float = -math.inf


class RateLimiter:
    """A leaky bucket for each prefix: a second's worth at once, and then as many as run out of it.

    A bucket is one number, the time at which it will be empty: nothing is refilled, swept or forgotten. Its place is
    given by the interpreter's keyed hash of octets (SipHash, a new key in each process, unless PYTHONHASHSEED is set):
    nobody can tell which prefixes share one. The table neither grows nor fills up: two prefixes in one place share one
    limit, that is all. With ``PLACES`` of them, a flood of 140,000 a second from sources of its choice keeps at most
    700 places over a limit of 200. That hits one in 190 of the others, by chance, and TCP and cookies remain to them.
    """

    def __init__(self, rule: RateLimit, interval: float, places: int = PLACES) -> None:
        """``interval``: seconds between two tallies of a prefix; ``places``: a power of two."""
        self.rule = rule
        self.interval = interval
        self.cuts = Cut.of(rule.prefixes[0], ipv6=False), Cut.of(rule.prefixes[1], ipv6=True)
        self._mask = places - 1
        # In responses, not seconds: then a response adds 1.0 exactly, and the limit is exact at any rate.
        self._empty_at = [0.0] * places
        self._limited: dict[bytes, Limited] = {}

    def over(self, prefixes: Iterable[bytes], now: float) -> list[tuple[int, bytes]]:
        """Count one response to each prefix; those over the limit, which are not counted, with their places in the row.

        ``now`` in seconds, of a clock that does not go back.
        """
        found: list[tuple[int, bytes]] = []
        empty_at, mask = self._empty_at, self._mask
        rate = self.rule.per_second
        level = now * rate
        first = level + 1.0
        # Half a response of slack, for what rounding made of the product.
        full = level + rate - 0.5
        for index, prefix in enumerate(prefixes):
            place = hash(prefix) & mask
            empty = empty_at[place]
            if empty < level:
                empty_at[place] = first
            elif empty < full:
                empty_at[place] = empty + 1.0
            else:
                found.append((index, prefix))
        return found

    def limited(self, prefix: bytes) -> Limited:
        """What is kept of a prefix while it is over the limit, from its first such response on.

        Where ``MOST_LIMITED`` prefixes are kept already, all others are one.
        """
        limited = self._limited.get(prefix)
        if limited is None:
            if len(self._limited) >= MOST_LIMITED:
                prefix = _OTHERS
            limited = self._limited.setdefault(prefix, Limited())
        return limited

    def slips(self, limited: Limited) -> bool:
        """Whether it is the turn of this response over the limit to go out, truncated."""
        limited.turn += 1
        slip = self.rule.slip
        return slip > 0 and limited.turn % slip == 0

    def due(self, now: float) -> list[Tally]:
        """What became of responses since the last tally of each prefix: the first is due at once, others in time."""
        tallies = []
        for prefix, limited in list(self._limited.items()):
            if now - limited.since < self.interval:
                continue
            if not limited.dropped + limited.slipped:
                del self._limited[prefix]
                continue
            tallies.append(Tally(self._text(prefix), limited.dropped, limited.slipped))
            self._limited[prefix] = Limited(limited.turn, since=now)
        return tallies

    def _text(self, prefix: bytes) -> str:
        if prefix == _OTHERS:
            return "-"
        ipv6 = len(prefix) >= _SHORTEST_IPV6
        address = ipaddress.ip_address(prefix.ljust(16 if ipv6 else 4, b"\0"))
        return f"{address}/{self.rule.prefixes[ipv6]}"


def is_exempt(state: ServerState, packet: bytes, peer: Peer, now: float) -> bool:
    """Whether a request counts whatever the rate: the sender proved its address, or is expected. ``now``: wall clock.

    Exempt, too, is what will get no response at all. Nothing that ``is_plain`` is exempt.
    """
    if len(packet) < HEADER_SIZE or packet[2] & QR >> 8:
        return True
    query = parse(packet)
    if isinstance(query, Malformed):
        return False
    if query.tsig_at is not None:
        verified = tsig.verify(packet, query.tsig_at, state.keys, now, state.limits.tsig_fudge)
        if verified.status is tsig.Status.VALID:
            return True
    cookie = _judge_cookie(state, query, peer, now)
    if cookie is not None and cookie.is_valid:
        return True
    if query.opcode != Opcode.NOTIFY:
        return False
    outcome = handle(state, packet, peer, now)
    return isinstance(outcome, Reply) and isinstance(outcome.notify, NotifyTaken)


def is_plain(packet: bytes) -> bool:
    """What most are: one question alone, or with an OPT record of version 0 that holds no options."""
    return _plain_end(packet) > 0


def _plain_end(packet: bytes) -> int:
    """Where the question of a plain query ends; 0 where it is none. The name in it may be malformed."""
    if len(packet) < HEADER_SIZE or packet[2] & (QR | OPCODE) >> 8 or not packet.startswith(_ONE_QUESTION, 4):
        return 0
    # The counts of a question alone, or with one more record.
    end = packet.find(b"\x00", HEADER_SIZE) + 5
    if packet[11] == 0:
        return end if len(packet) == end else 0
    is_opt = packet.startswith(_PLAIN_OPT, end) and packet[end + 6] == 0 and packet[-2:] == b"\x00\x00"
    return end if packet[11] == 1 and len(packet) == end + edns.OPT_SIZE and is_opt else 0


def truncated(state: ServerState, packet: bytes, peer: Peer, now: float) -> bytes | None:
    """The answer that says no more than "ask over TCP"; None where the request is no well-formed query.

    A client that has sent its cookie gets the server's, and may come again with that (RFC 7873, 5.2.3).
    """
    end = _plain_end(packet)
    if end and _is_name(packet, end - 4):
        flags = (QR | TC) >> 8 | packet[2] & RD >> 8
        opt = edns.plain_opt(state.limits.udp_payload, packet[end + 7] > 127) if len(packet) > end else b""
        return packet[:2] + bytes((flags, 0)) + packet[4:end] + opt
    query = parse(packet)
    if isinstance(query, Malformed) or query.opcode != Opcode.QUERY or not query.question:
        return None
    # Who signs takes no unsigned answer; and of another version of EDNS nothing can be said but BADVERS.
    if query.tsig_at is not None or (query.edns is not None and query.edns.version):
        return None
    cookie = _judge_cookie(state, query, peer, now)
    options = b"" if cookie is None else edns.option(COOKIE, cookie.reply)
    return render(query, Body(0, TC, 0, 0, 0, b""), state.limits.udp_payload, options)


def _is_name(packet: bytes, end: int) -> bool:
    """Whether the labels of the question lead to where its first zero octet stands."""
    at = HEADER_SIZE
    while at < end - 1:
        length = packet[at]
        if length > 63:
            return False
        at += length + 1
    return at == end - 1 and end - HEADER_SIZE <= 255


def _judge_cookie(state: ServerState, query: Query, peer: Peer, now: float) -> Judged | None:
    """What a well-formed cookie is worth; None where there is none, or none is taken."""
    if query.edns is None or state.cookies is None:
        return None
    option = next((octets for code, octets in query.edns.options if code == COOKIE), None)
    if option is None or is_malformed(option):
        return None
    return state.cookies.judge(option, peer.address, now)
