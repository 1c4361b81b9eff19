"""What an answerer holds: its zones as views, the lists, the keys. Changed between two packets, never during one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dnsserver.protocol.cookies import CookieJar
from dnsserver.zone.access import AccessEntry, AccessLists, Role
from dnsserver.zone.image import Image

if TYPE_CHECKING:
    from dnsserver.protocol.tsig import Key


@dataclass(frozen=True, slots=True)
class ZoneMeta:
    """What a zone goes by beside its contents; ``name`` as written, ``ixfr`` "on", "udp" or "off"."""

    zone_id: int
    name: bytes
    role: Role
    suspended: bool = False
    expired: bool = False
    ixfr: str = "on"
    access: tuple[AccessEntry, ...] = ()


class Body(NamedTuple):
    """Sections in wire form: their RCODE and flags (AA, TC), the counts, and the octets after the question."""

    rcode: int
    flags: int
    answers: int
    authorities: int
    additionals: int
    octets: bytes


# Bodies and hashes kept for each view; past it the cache starts anew, which bounds it without bookkeeping.
CACHE_ENTRIES = 4096
CACHED_BODY = 4096  # octets; longer ones, for TCP, are made each time


class View:
    """A token for one state of one zone: whatever was derived from it holds while ``live``.

    Any change, suspension, expiry, and a zone that comes or goes below it, gives the zone a new view.
    """

    __slots__ = ("apex", "bodies", "hashes", "image", "live", "meta", "served", "zone_id")

    def __init__(self, meta: ZoneMeta, image: Image | None) -> None:
        self.zone_id = meta.zone_id
        self.apex = meta.name.lower()
        self.image = image
        self.live = True
        self.meta = meta
        # The image where queries are answered from it; None: suspended, expired, or nothing is loaded.
        self.served = None if meta.suspended or meta.expired else image
        self.bodies: dict[tuple[object, ...], Body] = {}
        self.hashes: dict[bytes, bytes] = {}

    def keep_body(self, key: tuple[object, ...], body: Body) -> Body:
        """Caches a body that is not too long."""
        if len(body.octets) > CACHED_BODY:
            return body
        if len(self.bodies) >= CACHE_ENTRIES:
            self.bodies.clear()
        self.bodies[key] = body
        return body


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Of LIMITS.md what answers go by. ``udp_payload`` and ``transfer_message`` in octets, ``tsig_fudge`` in seconds.

    ``ixfr_max_ratio``: 1.0 is 100 %, None off; ``ticket_key``: what refusals' tickets are hashed with; ``ixfr``: the
    server-wide switch.
    """

    udp_payload: int = 1232
    tsig_fudge: int = 300
    transfer_message: int = 16 * 1024
    ixfr_max_ratio: float | None = 1.0
    ticket_key: bytes = field(default=b"", repr=False)
    ixfr: bool = True


@dataclass(slots=True)
class ServerState:
    """One answerer's. ``zones`` by lower-cased apex, ``keys`` by lower-cased name; ``cookies`` None: off."""

    zones: dict[bytes, View] = field(default_factory=dict)
    access: AccessLists = field(default_factory=lambda: AccessLists((), ()))
    keys: Mapping[bytes, Key] = field(default_factory=dict)
    cookies: CookieJar | None = None
    limits: AnswerLimits = field(default_factory=AnswerLimits)

    def find(self, name: bytes) -> View | None:
        """The zone that a lower-cased name is in: the closest enclosing one (RFC 1034, 4.3.2, 2)."""
        zones = self.zones
        view = zones.get(name)
        while view is None and len(name) > 1:
            name = name[name[0] + 1 :]
            view = zones.get(name)
        return view

    def find_above(self, apex: bytes) -> View | None:
        """The zone that holds the parent's side of an apex."""
        return self.find(apex[apex[0] + 1 :]) if len(apex) > 1 else None

    def publish(self, meta: ZoneMeta, image: Image | None) -> View:
        """Gives a zone its next view. A zone that comes takes names from the one around it: that is renewed too."""
        view = View(meta, image)
        old = self.zones.get(view.apex)
        self.zones[view.apex] = view
        if old is not None:
            old.live = False
        else:
            self._renew_above(view.apex)
        return view

    def withdraw(self, apex: bytes) -> None:
        """Takes a zone away."""
        old = self.zones.pop(apex, None)
        if old is not None:
            old.live = False
            self._renew_above(apex)

    def _renew_above(self, apex: bytes) -> None:
        above = self.find_above(apex)
        if above is not None:
            above.live = False
            self.zones[above.apex] = View(above.meta, above.image)
