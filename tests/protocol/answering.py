"""What the tests of answers share: a state made of zone text, and asking it."""

from __future__ import annotations

from collections.abc import Iterable

import dns.message
import dns.zone

from dnsserver.protocol.dispatch import Outcome, Peer, Reply, handle
from dnsserver.protocol.quick import CACHEABLE, SOA_ASKED, QuickRoad
from dnsserver.protocol.server import ServerState, View, ZoneMeta
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record

NOW = 1_700_000_000.0
UDP = Peer("192.0.2.53", 5353, False)
TCP = Peer("192.0.2.53", 5353, True)


def image(text: str, apex: str) -> Image:
    """The image of zone text, read by dnspython."""
    zone = dns.zone.from_text(text, origin=apex, relativize=False, check_origin=False)
    records = [
        Record(name.to_wire() or b"", int(rdataset.rdtype), rdataset.ttl, rdata.to_wire() or b"")
        for name, rdataset in zone.iterate_rdatasets()
        for rdata in rdataset
    ]
    return Image.build(
        names.from_text(apex), 1, sorted(records, key=lambda record: (names.key(record.owner), record.type))
    )


def meta(apex: str, *, suspended: bool = False, expired: bool = False) -> ZoneMeta:
    return ZoneMeta(1, names.from_text(apex), Role.PRIMARY, suspended=suspended, expired=expired)


def serving(zones: Iterable[tuple[str, Image | None]]) -> ServerState:
    state = ServerState()
    for apex, contents in zones:
        state.publish(meta(apex), contents)
    return state


def query(name: str, kind: str = "A", **options: object) -> bytes:
    """A request with RD clear; ``options`` are dnspython's."""
    message = dns.message.make_query(name, kind, flags=0, id=4711, **options)  # type: ignore[arg-type]
    return message.to_wire()


def ask(state: ServerState, packet: bytes, peer: Peer = UDP, now: float = NOW) -> dns.message.Message:
    """The answer, which there must be."""
    return dns.message.from_wire(reply(handle(state, packet, peer, now)).wire, keyring=False)


def quick(road: QuickRoad, packet: bytes) -> Reply | None:
    """What the quick road answers, as a reply."""
    found = road.answer(packet[2:])
    if found is None:
        return None
    octets, holds, fate = found
    # A cell of the view, of a large zone, is no view.
    view = holds if isinstance(holds, View) else None
    return Reply(packet[:2] + octets, view, fate == CACHEABLE, fate == SOA_ASKED)


def reply(outcome: Outcome) -> Reply:
    assert isinstance(outcome, Reply)
    return outcome
