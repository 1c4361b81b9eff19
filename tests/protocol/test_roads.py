"""The quick road and the general one, over random zones: the same answer but for compression; and no answer that is
kept, by a view or by the first level, is ever other than a fresh one.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsserver.answerer.udp import FirstLevel
from dnsserver.protocol import dispatch
from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.dispatch import Reply, handle
from dnsserver.protocol.outcome import Peer
from dnsserver.protocol.query import Query, parse
from dnsserver.protocol.quick import CACHEABLE, QuickRoad
from dnsserver.protocol.server import CACHE_ENTRIES, AnswerLimits, Body, Kept, ServerState, View
from dnsserver.zone import names, rdata
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AAAA, CNAME, DNAME, DS, NS, RRSIG, SOA, TXT, A
from tests.protocol.answering import NOW, TCP, UDP, image, meta, query, quick, reply, serving

MX, NSEC = 15, 47
LABELS = ("a", "b", "*", "sub", "\\000x")
SIGNED = "{} 8 3 300 20300101000000 20200101000000 1 zone.test. AAAA"
RDATA = {
    A: ["192.0.2.1", "192.0.2.2"],
    AAAA: ["2001:db8::1"],
    MX: ["10 a.zone.test.", "20 b.sub.zone.test."],
    TXT: ['"x"', " ".join(['"' + "y" * 250 + '"'] * 2), " ".join(['"' + "z" * 250 + '"'] * 6)],
    NS: ["ns.sub.zone.test.", "a.zone.test.", "ns.other.test."],
    CNAME: ["a.zone.test.", "b.a.zone.test.", "www.other.test.", "www.nowhere.example."],
    DNAME: ["a.zone.test.", "sub.other.test."],
    DS: ["1 8 2 " + "00" * 32],
    RRSIG: [SIGNED.format(kind) for kind in ("A", "TXT", "MX", "NS")],
}
relative = st.lists(st.sampled_from(LABELS), min_size=0, max_size=3).map(".".join)


def absolute(name: str, apex: str = "zone.test.") -> str:
    return f"{name}.{apex}" if name else apex


def wire(name: str) -> bytes:
    return names.from_text(name)


def records_of(rrsets: list[tuple[str, int, int]]) -> list[Record]:
    """A zone of these (name, type, number of records), where CNAME stands alone but for its signatures."""
    apex = wire("zone.test.")
    soa = rdata.from_text(SOA, "ns host 7 2 3 4 300", apex)
    found = {Record(apex, SOA, 300, soa), Record(apex, NS, 300, wire("ns.other.test."))}
    aliases = {name for name, kind, _ in rrsets if kind == CNAME and name}
    for name, kind, count in rrsets:
        if (kind == CNAME and not name) or (name in aliases and kind not in (CNAME, RRSIG)):
            continue
        texts = RDATA[kind][: 1 if kind in (CNAME, DNAME) else count]
        found |= {Record(wire(absolute(name)), kind, 300, rdata.from_text(kind, text, apex)) for text in texts}
    return sorted(found, key=lambda record: (names.key(record.owner), record.type, record.rdata))


ZONES = st.lists(st.tuples(relative, st.sampled_from(sorted(RDATA)), st.integers(1, 4)), max_size=14).map(records_of)
TYPES = st.sampled_from([A, AAAA, MX, TXT, NS, CNAME, DNAME, DS, RRSIG, NSEC, SOA, 255, 99, 0, 41, 200])
FLAGS = st.sampled_from([0, dns.flags.RD, dns.flags.CD, dns.flags.AD | dns.flags.RD])
EDNS = st.one_of(
    st.just({"use_edns": False}),
    st.builds(
        lambda size, do, cookie: {
            "use_edns": 0,
            "payload": size,
            "ednsflags": dns.flags.DO if do else 0,
            "options": [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"\x01" * 8)] if cookie else [],
        },
        st.sampled_from([0, 512, 600, 1232, 4096]),
        st.booleans(),
        st.booleans(),
    ),
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    name = draw(st.one_of(relative.map(absolute), relative.map(lambda n: absolute(n, "other.test.")), relative))
    name = name.upper() if draw(st.integers(0, 4)) == 0 else name
    message = dns.message.make_query(name or ".", "A", flags=draw(FLAGS), id=7, **draw(EDNS))
    asked = message.to_wire()
    end = asked.index(b"\x00\x01\x00\x01", 12) if message.question else len(asked)
    return asked[:end] + draw(TYPES).to_bytes(2, "big") + asked[end + 2 :]


OTHER = image("@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nwww 60 A 192.0.2.9\na.sub 60 A 192.0.2.8\n", "other.test.")


def state_of(records: list[Record]) -> ServerState:
    made = serving([("zone.test.", Image.build(wire("zone.test."), 1, records)), ("other.test.", OTHER)])
    made.cookies = CookieJar(CookieSecrets(bytes(16)))
    return made


def content(octets: bytes) -> tuple[object, ...]:
    """All of a message but its compression (which may take a name's case from another) and the order of records."""
    message = dns.message.from_wire(octets)
    sections = [sorted(rrset.to_text().lower() for rrset in section) for section in message.sections]
    return (message.id, message.flags, message.rcode(), message.edns, message.ednsflags, message.payload,
            [option.to_wire() for option in message.options], sections)  # fmt: skip


def general(state: ServerState, packet: bytes, peer: Peer) -> Reply:
    parsed = parse(packet)
    assert isinstance(parsed, Query)
    return reply(dispatch._judge(state, packet, parsed, peer, NOW))


@settings(max_examples=100)
@given(ZONES, st.lists(packets(), min_size=1, max_size=12))
def test_both_roads_lead_to_the_same_answer(records: list[Record], asked: list[bytes]) -> None:
    state = state_of(records)
    roads = {UDP: QuickRoad(state), TCP: QuickRoad(state, tcp=True)}
    for packet in asked:
        for peer, road in roads.items():
            found = quick(road, packet)
            if found is None:
                continue
            slow = general(state, packet, peer)
            assert content(found.wire) == content(slow.wire)
            assert (found.view, found.cacheable, found.soa_asked) == (slow.view, slow.cacheable, slow.soa_asked)


@st.composite
def happenings(draw: st.DrawFn) -> list[object]:
    """A few packets again and again, and in between zones that come, go and are suspended."""
    pool = [query("zone.test.", "DS"), query("a.zone.test."), *draw(st.lists(packets(), min_size=1, max_size=4))]
    turn = st.tuples(st.sampled_from(sorted(PLACES)), st.sampled_from(["here", "gone", "suspended"]))
    return [event for turn in draw(st.lists(turn, min_size=2, max_size=8)) for event in (*pool, turn, *pool)]


PLACES = {
    "test.": image("@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nzone 60 NS a\nzone 60 DS 1 8 2 " + "00" * 32 + "\n", "test."),
    "sub.zone.test.": image("@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.7\n", "sub.zone.test."),
    "nowhere.example.": image("@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nwww 60 A 192.0.2.6\n", "nowhere.example."),
    "other.test.": OTHER,
}


@settings(max_examples=100)
@given(ZONES, happenings())
def test_what_is_kept_is_what_is_answered(records: list[Record], events: list[object]) -> None:
    """DESIGN, first level: "A hit counts only while view.live; any change gives the zone a new view"."""
    state, cache = state_of(records), FirstLevel(1 << 20)
    road = QuickRoad(state)
    for event in events:
        if isinstance(event, tuple):
            apex, what = event
            if what == "gone":
                state.withdraw(wire(apex))
            else:
                state.publish(meta(apex, suspended=what == "suspended"), PLACES[apex])
            continue
        assert isinstance(event, bytes)
        fresh = ServerState(cookies=CookieJar(CookieSecrets(bytes(16))))
        for view in state.zones.values():
            fresh.publish(view.meta, view.image)
        expected = quick(QuickRoad(fresh), event) or reply(handle(fresh, event, UDP, NOW))
        known = cache.entries.get(event[2:])
        if known is not None and known[0].live:
            assert known[1] == expected.wire[2:]
            continue
        given_now = quick(road, event) or reply(handle(state, event, UDP, NOW))
        assert content(given_now.wire) == content(expected.wire)
        if given_now.cacheable and given_now.view is not None:
            cache.put(event[2:], given_now.view, given_now.wire[2:])


def test_a_known_cookie_is_that_of_its_address_secret_and_time() -> None:
    """What the quick road knows by heart: asked twice, it answers as the general road does at that moment."""
    state = state_of(records_of([("a", A, 1)]))
    road = QuickRoad(state)

    def asked(address: str, now: float, octets: bytes = bytes(8)) -> bytes:
        packet = query("a.zone.test.", options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, octets)])
        expected = reply(handle(state, packet, UDP._replace(address=address), now))
        for _ in range(2):
            found = road.answer_cookie(packet[2:], ipaddress.ip_address(address).packed, now)
            assert found is not None
            assert packet[:2] + found[0] == expected.wire
            assert (found[2] == CACHEABLE, found[1]) == (expected.cacheable, expected.view)
        return expected.wire

    first = asked("192.0.2.1", NOW)
    server_cookie = first[-24:]
    assert asked("192.0.2.1", NOW + 1, server_cookie) == first
    later = {first, asked("192.0.2.2", NOW), asked("2001:db8::1", NOW), asked("192.0.2.1", NOW + 1801, server_cookie)}
    state.cookies = CookieJar(CookieSecrets(bytes(range(16))))
    later.add(asked("192.0.2.1", NOW))
    state.limits = AnswerLimits(udp_payload=1400)
    later.add(asked("192.0.2.1", NOW))
    assert len(later) == 6


def test_an_answer_that_another_zone_would_change_ends_when_that_comes() -> None:
    """An alias that led out of all zones (RFC 1034, 4.3.2, 3a); DS, which is the parent's (RFC 4035, 3.1.4.1)."""
    apex = wire("zone.test.")
    alias = Record(wire("away.zone.test."), CNAME, 60, wire("www.nowhere.example."))
    state = state_of([*records_of([]), alias])
    asked = {"nowhere.example.": query("away.zone.test."), "test.": query("zone.test.", "DS")}
    for place, packet in asked.items():
        alone = reply(handle(state, packet, UDP, NOW))
        assert alone.cacheable
        assert alone.view is state.zones[apex]
        state.publish(meta(place), PLACES[place])
        assert alone.view is not None
        assert not alone.view.live
        both = reply(handle(state, packet, UDP, NOW))
        assert content(both.wire) != content(alone.wire)
        state.publish(meta(place, suspended=True), PLACES[place])
        again = reply(handle(state, packet, UDP, NOW))
        assert again.wire == alone.wire
        assert again.cacheable
        assert again.view is not None
        state.publish(meta(place), PLACES[place])
        assert not again.view.live
        assert handle(state, packet, UDP, NOW) == both._replace(view=reply(handle(state, packet, UDP, NOW)).view)


def test_a_dead_view_holds_no_image() -> None:
    """The first level keeps dead views until it is full: a replaced zone of a million records must not stay in it."""
    state = serving([("other.test.", OTHER)])
    old = state.zones[wire("other.test.")]
    state.publish(meta("other.test."), OTHER)
    assert (old.live, old.image, old.served) == (False, None, None)
    child = state.publish(meta("sub.other.test."), OTHER)
    state.withdraw(child.apex)
    assert child.image is None
    assert state.zones[wire("other.test.")].image is OTHER


def test_what_is_asked_for_once_takes_no_place_in_the_packet_cache() -> None:
    cache, view = FirstLevel(1 << 20), View(meta("other.test."), OTHER, Kept())
    cache.offer(b"a packet", view, b"an answer")
    assert not cache.entries
    cache.offer(b"a packet", view, b"an answer")
    assert cache.entries == {b"a packet": (view, b"an answer")}


def test_what_all_views_keep_is_bounded() -> None:
    """Clients choose the sizes and lengths that bodies are kept by, in each of 100,000 zones."""
    kept = Kept(most=100_000)
    views = [View(meta("other.test."), OTHER, kept) for _ in range(50)]
    for number in range(CACHE_ENTRIES):
        views[number % 50].keep_body((number,), Body(0, 0, 0, 0, 0, bytes(1000)))
        views[number % 50].keep_hash(number.to_bytes(2, "big"), bytes(32))
        assert sum(len(view.bodies) * 1000 + len(view.hashes) * 34 for view in views) <= 100_000
        assert kept.used <= 100_000


def test_pointers_to_pointers_are_bounded_work() -> None:
    """RFC 1035, 4.1.4: a chain of pointers costs what the message's size does not show."""
    question = b"\x00\x00\x06\x00\x01"
    base = 12 + len(question) + 11
    chain = b"".join((0xC000 | (base + 2 * at - 2 if at else 12)).to_bytes(2, "big") for at in range(2000))
    fixed = b"\x00\x01\x00\x01\x00\x00\x00\x00"
    # The first record's rdata is a chain of pointers; the owners of all others are its end.
    first = b"\x00" + fixed + len(chain).to_bytes(2, "big") + chain
    others = ((0xC000 | base + 2 * 1999).to_bytes(2, "big") + fixed + b"\x00\x00") * 100
    update = b"\x00\x07\x28\x00\x00\x01\x00\x00\x00\x65\x00\x00"
    assert reply(handle(ServerState(), update + question + first + others, UDP, NOW)).wire[3] & 0xF == 1


class _Zones(dict[bytes, View]):
    """Remembers the longest name that was looked for."""

    longest = 0

    def get(self, name: bytes, default: Any = None) -> Any:
        self.longest = max(self.longest, len(name))
        return super().get(name, default)


def test_a_name_that_is_too_long_is_not_looked_for_label_by_label() -> None:
    """In a message of 64 KiB over TCP it has 32,000 labels: a second of work, for an answer that is FORMERR."""
    state = state_of([*records_of([]), Record(wire("cut.zone.test."), NS, 60, wire("ns.other.test."))])
    state.zones = zones = _Zones(state.zones)
    road = QuickRoad(state, tcp=True)
    plain = query("a.zone.test.")
    for longest, at_most in ((b"\x01a" * 119, 255), (b"\x01a" * 120, 0), (b"\x01a" * 32_000, 0)):
        packet = plain[:12] + longest + b"\x01a\x01b" + plain[12:]
        zones.longest = 0
        found = quick(road, packet)
        assert zones.longest <= at_most
        assert found is None or found.wire == reply(handle(state, packet, TCP, NOW)).wire
        assert (found is None) is (not at_most)
