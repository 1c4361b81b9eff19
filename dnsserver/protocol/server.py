"""What an answerer holds: its zones as views, the lists, the keys. Changed between two packets, never during one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dnsserver.protocol.cookies import CookieJar
from dnsserver.protocol.recent import RecentChanges
from dnsserver.protocol.refresh_limits import soa_timers
from dnsserver.zone.access import AccessEntry, AccessLists, Role
from dnsserver.zone.image import Image

if TYPE_CHECKING:
    from dnsserver.protocol.tsig import Key

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class ZoneMeta:
    """What a zone goes by beside its contents; ``name`` as written, ``ixfr`` "on", "udp" or "off".

    ``notify_from``: of a secondary zone, who may send NOTIFY (R9): its primaries, and ``allow-notify``.
    """

    zone_id: int
    name: bytes
    role: Role
    suspended: bool = False
    expired: bool = False
    ixfr: str = "on"
    access: tuple[AccessEntry, ...] = ()
    notify_from: tuple[AccessEntry, ...] = ()


class Body(NamedTuple):
    """Sections in wire form: their RCODE and flags (AA, TC), the counts, and the octets after the question.

    ``pointers``: where in them compression pointers stand.
    """

    rcode: int
    flags: int
    answers: int
    authorities: int
    additionals: int
    octets: bytes
    pointers: tuple[int, ...] = ()


class Shared(NamedTuple):
    """A body that answers all names that one cut or one denial stands for, whatever their length.

    ``heads``: the header after its ID, without RD and with it. ``octets``: the body as one number, as it stands behind
    a question that ends at ``size``; ``pointers`` has a one at the end of each compression pointer in it. All of them
    move alike with the end of the question, so that a sum moves them. ``length`` of the body in octets.
    """

    heads: tuple[bytes, bytes]
    size: int
    octets: int
    pointers: int
    length: int


# Bodies and hashes kept for each view; past it the cache starts anew, which bounds it without bookkeeping.
CACHE_ENTRIES = 4096
CACHED_BODY = 4096  # octets; longer ones, for TCP, are made each time
CACHED_TRANSFER = 1 << 20  # octets of a difference, uncompressed
# Octets that all views keep together: clients choose the keys, and there may be 100,000 zones.
CACHE_OCTETS = 64 << 20
_ENTRY = 400  # what an entry costs beside its octets


class Kept:
    """What the views of one answerer keep, bounded together: full, all of it is forgotten."""

    __slots__ = ("_most", "_tables", "used")

    def __init__(self, most: int = CACHE_OCTETS) -> None:
        self._most = most
        self._tables: list[dict[Any, Any]] = []
        self.used = 0

    def put(self, table: dict[K, V], key: K, value: V, size: int) -> None:
        """Keeps a value of so many octets in the table of a view."""
        if len(table) >= CACHE_ENTRIES:
            table.clear()
        self.used += size + _ENTRY
        if self.used > self._most:
            for one in self._tables:
                one.clear()
            self._tables, self.used = [], size + _ENTRY
        if not table:
            self._tables.append(table)
        table[key] = value


# What is between question and OPT of each message of a transfer: records, and how many.
Messages = tuple[tuple[int, bytes], ...]


_NOTHING_SHARED: dict[tuple[int, object], Shared] = {}  # of the many zones that are asked for nothing; never changed


class Cell:
    """A token for what stands at some names of a zone: what was derived from one of them alone holds while ``live``."""

    __slots__ = ("live",)

    def __init__(self) -> None:
        self.live = True


# Of a zone of so many records, an edit leaves the answers of most other names as they are: they have so many cells.
CELLS_FROM = 1000
_CELLS = 256


class View:
    """A token for one state of one zone: whatever was derived from it holds while ``live``.

    Any change, suspension, expiry, and a zone that comes or goes below it, gives the zone a new view. A dead one holds
    no image: caches that still hold the view must not keep a zone's former contents in memory.
    """

    __slots__ = (
        "_cells", "_differences", "_kept",
        "apex", "bodies", "hashes", "image", "live", "meta", "served", "shared", "zone_id",
    )  # fmt: skip

    def __init__(self, meta: ZoneMeta, image: Image | None, kept: Kept) -> None:
        self.zone_id = meta.zone_id
        self.apex = meta.name.lower()
        self.image = image
        self.live = True
        self._cells: list[Cell] = []
        self.meta = meta
        # The image where queries are answered from it; None: suspended, expired, or nothing is loaded.
        self.served = None if meta.suspended or meta.expired else image
        self.bodies: dict[tuple[object, ...], Body] = {}
        self.hashes: dict[bytes, bytes] = {}
        self.shared: dict[tuple[int, object], Shared] = _NOTHING_SHARED
        self._differences: dict[tuple[object, ...], Messages] | None = None
        self._kept = kept

    def end(self) -> None:
        """Another view takes its place, or the zone is gone."""
        for cell in self._cells:
            cell.live = False
        self._cells = []
        self.live = False
        self.image = self.served = None
        self.bodies.clear()
        self.hashes.clear()
        self.shared = _NOTHING_SHARED
        self._differences = None

    def token(self, name: bytes) -> View | Cell:
        """What holds as long as a positive answer from the records of this name alone."""
        return self._cells[hash(name) % _CELLS] if self._cells else self

    def begin_cells(self, old: View | None, touched: Iterable[bytes] | None) -> None:
        """Large zones have cells: those of the view before, but for the names that were touched; None: all are new."""
        if self.served is None or self.served.record_count < CELLS_FROM:
            return
        if old is None or old.served is None or not old._cells or touched is None:
            self._cells = [Cell() for _ in range(_CELLS)]
            return
        self._cells, old._cells = old._cells, []
        for name in touched:
            at = hash(name) % _CELLS
            self._cells[at].live = False
            self._cells[at] = Cell()

    def keep_body(self, key: tuple[object, ...], body: Body) -> Body:
        """Caches a body that is not too long."""
        if len(body.octets) <= CACHED_BODY:
            self._kept.put(self.bodies, key, body, len(body.octets))
        return body

    def keep_shared(self, key: tuple[int, object], shared: Shared) -> None:
        """Caches a body for the quick road."""
        if self.shared is _NOTHING_SHARED:
            self.shared = {}
        self._kept.put(self.shared, key, shared, 2 * shared.length)

    def keep_hash(self, name: bytes, label: bytes) -> bytes:
        """Caches the NSEC3 hash of a name."""
        self._kept.put(self.hashes, name, label, len(name) + len(label))
        return label

    def difference(self, key: tuple[object, ...]) -> Messages | None:
        """The messages of an IXFR, as ``keep_difference`` was given them."""
        return None if self._differences is None else self._differences.get(key)

    def keep_difference(self, key: tuple[object, ...], messages: Messages) -> None:
        """Caches the messages of an IXFR to this version, if it still is the one that is served."""
        if self.live:
            self._differences = {} if self._differences is None else self._differences
            self._kept.put(self._differences, key, messages, sum(len(octets) for _, octets in messages))


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
    """One answerer's. ``zones`` by lower-cased apex, ``keys`` by lower-cased name; ``cookies`` None: off.

    ``outward``: apexes of zones with answers that another zone, were it here, would change: an alias led out of all
    zones, or the parent of an apex whose DS was asked for is not here. ``left``: seconds until the secondary zone with
    this id expires; None: not known. ``recent``: what led to the images, for IXFR.
    """

    zones: dict[bytes, View] = field(default_factory=dict)
    outward: set[bytes] = field(default_factory=set)
    kept: Kept = field(default_factory=Kept)
    access: AccessLists = field(default_factory=lambda: AccessLists((), ()))
    keys: Mapping[bytes, Key] = field(default_factory=dict)
    cookies: CookieJar | None = None
    limits: AnswerLimits = field(default_factory=AnswerLimits)
    left: Callable[[int], float | None] = lambda _: None
    recent: RecentChanges = field(default_factory=RecentChanges)

    def find(self, name: bytes) -> View | None:
        """The zone that a lower-cased name is in: the closest enclosing one (RFC 1034, 4.3.2, 2)."""
        zones = self.zones
        view = zones.get(name)
        while view is None and len(name) > 1:
            name = name[name[0] + 1 :]
            view = zones.get(name)
        return view

    def expire(self, view: View, image: Image) -> int | None:
        """The EXPIRE of a zone in seconds (RFC 7314): what is left to a secondary, the SOA's of a primary."""
        if view.meta.role is Role.PRIMARY:
            return soa_timers(image.soa.rdata).expire
        left = self.left(view.zone_id)
        return None if left is None else max(0, int(left))

    def find_above(self, apex: bytes) -> View | None:
        """The zone that holds the parent's side of an apex."""
        return self.find(apex[apex[0] + 1 :]) if len(apex) > 1 else None

    def publish(self, meta: ZoneMeta, image: Image | None, touched: Iterable[bytes] | None = None) -> View:
        """Gives a zone its next view. A zone that comes takes names from the one around it: that is renewed too.

        ``touched``: all lower-cased names whose records are others than before, where these say nothing of any other
        name; None: that is not known.
        """
        view = View(meta, image, self.kept)
        old = self.zones.get(view.apex)
        if (old is not None and old.served is not None) != (view.served is not None):
            self._renew_outward()
            old = self.zones.get(view.apex)
        self.zones[view.apex] = view
        view.begin_cells(old, touched)
        if old is not None:
            old.end()
        else:
            self._renew_above(view.apex)
        return view

    def withdraw(self, apex: bytes) -> None:
        """Takes a zone away."""
        old = self.zones.pop(apex, None)
        if old is not None:
            old.end()
            self._renew_above(apex)
            self._renew_outward()

    def _renew_above(self, apex: bytes) -> None:
        above = self.find_above(apex)
        if above is not None:
            self._renew(above)

    def _renew_outward(self) -> None:
        apexes, self.outward = self.outward, set()
        for apex in apexes:
            view = self.zones.get(apex)
            if view is not None:
                self._renew(view)

    def _renew(self, view: View) -> None:
        self.zones[view.apex] = View(view.meta, view.image, self.kept)
        view.end()
