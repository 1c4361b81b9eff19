"""What an answerer sends, by whatever road, against the general road through zones built anew, over generated worlds.

A real UDP listener with its first level, the caches of views and the quick road serve a replica that the keeper's
messages change: patches, whole zones, suspension, expiry, zones that come and go. After each change the same requests
are asked again, thrice: no answer may outlive what it was made from. The other side has no cache and no patched image:
each zone is built from its records, and each request is parsed and judged whole.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dns.message
import pytest
from hypothesis import Phase, given, settings

from dnsserver import link
from dnsserver.answerer.replica import Replica
from dnsserver.answerer.udp import FirstLevel, UdpListener
from dnsserver.protocol import dispatch, message
from dnsserver.protocol.dispatch import Drop, Outcome, Peer, Reply, TransferOut, handle
from dnsserver.protocol.query import OPCODE, QR, Malformed, Opcode, Query, Rcode, parse
from dnsserver.protocol.quick import QuickRoad
from dnsserver.protocol.server import ServerState, ZoneMeta
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import difference
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from dnsserver.zone.settings import ZoneSettings
from tests.protocol.answering import quick
from tests.protocol.generating import ALGORITHM, APEXES, KEY_NAME, SECRET, Contents, Requests, World, worlds
from tests.support.pages import zone_pages

ADDRESS = "127.0.0.1"
PACKETS = 300  # of one world
EVENTS = 6
AT_ONCE = 50  # datagrams, so that a socket's buffer holds the answers
SETTINGS = ZoneSettings().to_json()


class Clock:
    """The replica's, set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Zone:
    """What a zone is to be; ``zone_id`` None: it is not here."""

    apex: bytes
    versions: tuple[Contents, ...]
    zone_id: int | None = None
    role: Role = Role.SECONDARY
    at: int = -1
    version: int = 0  # the serial too; 0: a secondary zone that was never transferred
    suspended: bool = False
    expired: bool = False

    @property
    def records(self) -> list[Record]:
        return self.versions[self.at].records(self.apex, self.version)

    @property
    def info(self) -> link.ZoneInfo:
        assert self.zone_id is not None
        return link.ZoneInfo(self.zone_id, self.apex, self.role, self.suspended, self.version, SETTINGS, ())

    @property
    def meta(self) -> ZoneMeta:
        assert self.zone_id is not None
        return ZoneMeta(self.zone_id, self.apex, self.role, suspended=self.suspended, expired=self.expired)


class Served:
    """The side under test: a replica fed with the keeper's messages, and a listener on a real socket."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state = ServerState()
        self.replica = Replica(self.state, cookies=True, clock=self.clock)
        key = (names.from_text(KEY_NAME).lower(), names.from_text(f"{ALGORITHM}."), SECRET, False)
        self.replica.load([link.Globals(((None, key[0]),), (), (key,), (bytes(16),), b"ticket")])
        self.cache = FirstLevel(1 << 22)
        self.by_tcp = QuickRoad(self.state, tcp=True)
        self.transfers: list[TransferOut] = []
        self._loop = asyncio.new_event_loop()
        self._client = socket.socket(type=socket.SOCK_DGRAM)
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind((ADDRESS, 0))
        sock.setblocking(False)
        self._client.connect(sock.getsockname())
        self._client.setblocking(False)
        self.peer = Peer(ADDRESS, self._client.getsockname()[1], False)
        self.listener = UdpListener(
            sock, self.state, self.cache, Counter(), lambda transfer, _: self.transfers.append(transfer),
            _ignore, _ignore, _ignore,
        )  # fmt: skip
        self.listener.start(self._loop)

    def close(self) -> None:
        self.listener.stop(self._loop)
        self._loop.close()
        self._client.close()

    def tell(self, *messages: link.Message) -> None:
        for told in messages:
            for answered in self.replica.take(told):
                assert not isinstance(answered, link.NeedZone), f"{told} was not taken"

    def ask(self, packets: list[bytes]) -> dict[bytes, bytes]:
        """The answers by their IDs, when the listener has read everything that was sent."""
        for packet in packets:
            self._client.send(packet)
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()
        found: dict[bytes, bytes] = {}
        while True:
            try:
                answer = self._client.recv(65535)
            except BlockingIOError:
                return found
            found[answer[:2]] = answer


def _ignore(*_: Any) -> None:
    """What the log and the keeper are told."""


def general(state: ServerState, packet: bytes, peer: Peer, now: float) -> Outcome:
    """``handle`` by the general road alone, from nothing that was kept."""
    for view in state.zones.values():
        view.bodies.clear()
    if len(packet) < 12 or packet[2] & QR >> 8:
        return Drop("")
    if (packet[2] & OPCODE >> 8) >> 3 not in list(Opcode):
        return Reply(message.header_only(packet, Rcode.NOTIMP))
    query = parse(packet)
    if isinstance(query, Malformed):
        return Reply(message.error(query, query.rcode, payload=state.limits.udp_payload))
    return dispatch._judge(state, packet, query, peer, now)


def content(octets: bytes) -> tuple[object, ...]:
    """All of a message but its compression (which may take a name's case from another) and the order of records."""
    read = dns.message.from_wire(octets, one_rr_per_rrset=True)
    sections = [
        sorted((rrset.name.canonicalize(), rrset.rdtype, rrset.rdclass, rrset.ttl, rrset[0].to_digestable())
               for rrset in section)
        for section in read.sections[1:]
    ]  # fmt: skip
    question = octets[12 : 12 + len(read.question[0].name.to_wire() or b"") + 4]
    return (octets[:4], question, read.rcode(), read.edns, read.ednsflags, read.payload,
            [option.to_wire() for option in read.options], sections)  # fmt: skip


def most(packet: bytes) -> int:
    """Octets that an answer over UDP may have."""
    query = parse(packet)
    assert isinstance(query, Query)
    return 512 if query.edns is None else max(512, min(query.edns.size, 1232))


class Walk:
    """A world from its first state to its last; ``tally`` counts (state, packet) pairs and what became of them."""

    def __init__(self, world: World, tally: Counter[str]) -> None:
        self.world, self.tally = world, tally
        self.served = Served()
        self.zones = [Zone(apex, versions) for apex, versions in zip(APEXES, world.zones, strict=True)]
        self.ids = 0
        self.seen: set[tuple[object, ...]] = set()
        known = {(record.owner.lower(), record.type) for zone in self.zones for contents in zone.versions
                 for record in contents.records(zone.apex, 1)}  # fmt: skip
        jar = self.served.state.cookies
        assert jar is not None
        requests = Requests(world.seed, sorted(known), jar, ADDRESS, time.time())
        self.packets = requests.pool(PACKETS)

    def run(self) -> None:
        try:
            for number, zone in enumerate(self.zones):
                if number not in (self.world.seed % 8, self.world.seed // 8 % 8):
                    self.come(zone)
            self.compare("start")
            for number, way in self.world.history:
                zone = self.zones[number]
                possible = self.possible(zone)
                change = possible[way % len(possible)]
                change(zone)
                self.compare(f"{change.__name__} {names.to_text(zone.apex)}")
        finally:
            self.served.close()

    # What may happen

    def possible(self, zone: Zone) -> list[Callable[[Zone], None]]:
        if zone.zone_id is None:
            return [self.come, self.come_empty]
        found: list[Callable[[Zone], None]] = [self.suspend, self.leave, self.convert, self.replace]
        if zone.version:
            found += [self.patch, self.patch]
        if zone.role is Role.SECONDARY:
            found.append(self.expire)
        return found

    def come(self, zone: Zone) -> None:
        self.ids += 1
        zone.zone_id, zone.role = self.ids, (Role.PRIMARY, Role.SECONDARY)[self.ids % 2]
        self.replace(zone)

    def come_empty(self, zone: Zone) -> None:
        self.ids += 1
        zone.zone_id, zone.role, zone.version = self.ids, Role.SECONDARY, 0
        self.served.tell(zone.info)

    def _next(self, zone: Zone) -> None:
        zone.at = (zone.at + 1) % len(zone.versions)
        zone.version += 1

    def replace(self, zone: Zone) -> None:
        self._next(zone)
        self.served.tell(
            link.ZoneBegin(tuple(zone.info), zone.version),
            *zone_pages(zone.apex, zone.records), link.ZoneEnd(),
        )  # fmt: skip

    def patch(self, zone: Zone) -> None:
        before = zone.records
        self._next(zone)
        assert zone.zone_id is not None
        changeset = difference(before, zone.records)
        self.served.tell(link.Patch(zone.zone_id, zone.version - 1, zone.version, changeset.encode(), True))

    def suspend(self, zone: Zone) -> None:
        """Or resume."""
        zone.suspended = not zone.suspended
        self.served.tell(zone.info)

    def convert(self, zone: Zone) -> None:
        """To a primary zone or a secondary one, where anything was ever loaded; no deadline holds any more."""
        if zone.version:
            zone.role = Role.PRIMARY if zone.role is Role.SECONDARY else Role.SECONDARY
        zone.expired = False
        assert zone.zone_id is not None
        self.served.tell(link.Deadlines(((zone.zone_id, None),)), zone.info)

    def expire(self, zone: Zone) -> None:
        """Or recover, by a transfer that found nothing new."""
        assert zone.zone_id is not None
        zone.expired = not zone.expired
        self.served.tell(link.Deadlines(((zone.zone_id, 5.0 if zone.expired else 1e6),)))
        if zone.expired:
            self.served.clock.now += 6
            assert not self.served.replica.expire()

    def leave(self, zone: Zone) -> None:
        assert zone.zone_id is not None
        self.served.tell(link.ZoneGone(zone.zone_id))
        zone.zone_id, zone.suspended, zone.expired = None, False, False

    # What is asked

    def oracle(self) -> ServerState:
        """The zones as they are to be, built from their records; keys, lists and secrets are those of the other."""
        ours = self.served.state
        state = ServerState(access=ours.access, keys=ours.keys, cookies=ours.cookies, limits=ours.limits)
        state.left = ours.left
        for zone in self.zones:
            if zone.zone_id is not None:
                image = Image.build(zone.apex, zone.version, zone.records) if zone.version else None
                state.publish(zone.meta, image)
        return state

    def compare(self, what: str) -> None:
        """Each request thrice over UDP, the last answer a kept one if it may be; every other one as by TCP."""
        oracle, served = self.oracle(), self.served
        self.tally["outlived"] += self._kept()
        for start in range(0, PACKETS, AT_ONCE):
            packets = self.packets[start : start + AT_ONCE]
            served.transfers.clear()
            begun = time.time()
            answers = [served.ask(packets) for _ in range(3)]
            seconds = range(int(begun), int(time.time()) + 1)
            granted = 0
            for number, packet in enumerate(packets, len(self.seen)):
                expected = [general(oracle, packet, served.peer, second) for second in seconds]
                granted += isinstance(expected[0], TransferOut)
                for found in answers:
                    self._compare(packet, found.get(packet[:2]), expected, most, what)
                if number % 2:
                    self._compare_tcp(oracle, packet, begun, what)
            assert len(served.transfers) == 3 * granted, what
        self.tally["kept"] += self._kept()
        self.tally["cookies"] += len(served.listener._quick._cookies)
        state = tuple((zone.zone_id, zone.role, zone.version, zone.suspended, zone.expired) for zone in self.zones)
        if state not in self.seen:
            self.seen.add(state)
            self.tally["pairs"] += PACKETS

    def _kept(self) -> int:
        return sum(view.live for view, _ in self.served.cache.entries.values())

    def _compare_tcp(self, oracle: ServerState, packet: bytes, now: float, what: str) -> None:
        peer = self.served.peer._replace(tcp=True)
        found = quick(self.served.by_tcp, packet) or handle(self.served.state, packet, peer, now)
        expected = general(oracle, packet, peer, now)
        if isinstance(found, TransferOut):
            assert isinstance(expected, TransferOut), (what, packet)
            assert (found.kind, found.version) == (expected.kind, expected.version), (what, packet)
            self.tally["transfers"] += 1
            return
        wire = found.wire if isinstance(found, Reply) else None
        self._compare(packet, wire, [expected], lambda _: 65535, f"{what}, TCP")

    def _compare(
        self, packet: bytes, found: bytes | None, expected: list[Outcome], limit: Callable[[bytes], int], what: str
    ) -> None:
        """The same octets; or all the same but compression and the order of records. A clock may tick meanwhile."""
        wires = [outcome.wire if isinstance(outcome, Reply) else None for outcome in expected]
        if found in wires:
            self.tally["identical"] += 1
            return
        where = (
            f"{what}\nasked {packet.hex()}\nanswered {found and found.hex()}\nto be {[w and w.hex() for w in wires]}"
        )
        assert found is not None, where
        assert content(found) in [content(wire) for wire in wires if wire is not None], where
        assert len(found) <= limit(packet), where
        self.tally["alike"] += 1


QUICK, WHOLE = 5_000, 100_000


@pytest.mark.parametrize("pairs", [QUICK, pytest.param(WHOLE, marks=pytest.mark.long)])
def test_no_road_and_no_cache_gives_another_answer(pairs: int) -> None:
    tally: Counter[str] = Counter()

    # What fails names the request, and a world is never small: to shrink one takes minutes.
    @settings(max_examples=pairs // (PACKETS * (EVENTS - 1)), phases=[Phase.reuse, Phase.generate])
    @given(worlds(EVENTS))
    def walk(world: World) -> None:
        Walk(world, tally).run()

    while tally["pairs"] < pairs:
        walk()
    # All kinds of ends were met, so that nothing above held for want of cases.
    assert tally["pairs"] >= pairs
    assert tally["kept"] > pairs // 10
    assert tally["cookies"] > pairs // 200
    assert tally["outlived"] > pairs // 50
    assert tally["alike"] > pairs // 20
    assert tally["transfers"] > pairs // 5000
