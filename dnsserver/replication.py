"""The store as link messages: what the keeper sends, and what an answerer reads for itself at its start."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import lru_cache

from sqlalchemy.engine import Connection

from dnsserver import link
from dnsserver.store import access, contents, feed, journal, keys, refresh, settings, zones
from dnsserver.store.database import Database
from dnsserver.store.feed import FeedMark, FeedRow
from dnsserver.store.zones import ZoneRow
from dnsserver.zone.access import AccessEntry
from dnsserver.zone.changeset import Difference
from dnsserver.zone.pages import PAGE_NAMES, Pager, Row
from dnsserver.zone.settings import ZoneSettings

# A change above this many records, or octets, is sent as the whole zone: a patch is prepared in slices, but published
# in one stretch, about a microsecond a name.
PATCH_RECORDS = 20_000
PATCH_SIZE = 2 << 20
_LONG_CHAIN = 32 << 20
# Rows taken at once: what is made of so many stays in the processor's cache (with 5,000, reading takes 15 % longer).
_ROWS = 5 * PAGE_NAMES
# What the tickets of refusals are hashed with: the same on all servers of a database.
TICKET_KEY = "ticket-key"


def zone_info(conn: Connection, zone: ZoneRow) -> link.ZoneInfo:
    """A zone without its contents."""
    return _info(zone, access.zone_entries(conn, zone.id))


# Most zones have the settings of others.
_settings = lru_cache(maxsize=4096)(ZoneSettings.to_json)


def _info(zone: ZoneRow, entries: Iterable[AccessEntry]) -> link.ZoneInfo:
    parts = tuple(link.entry_parts(entry) for entry in entries)
    return link.ZoneInfo(
        zone.id, zone.name, str(zone.role), zone.suspended, zone.version, _settings(zone.settings), parts
    )


def globals_of(conn: Connection) -> link.Globals:
    """The lists, keys and secrets that hold for all zones; a key that cannot be read is left out: it refuses all."""
    lists = access.lists(conn)
    cookies = settings.stored_cookie_secrets(conn)
    usable = tuple(
        (key.name, key.algorithm, key.secret, key.weak_allowed)
        for key in keys.all_keys(conn)
        if key.secret is not None
    )  # fmt: skip
    return link.Globals(
        tuple(link.entry_parts(entry) for entry in lists.global_),
        tuple(link.entry_parts(entry) for entry in lists.super_slaves),
        usable,
        () if cookies is None else (cookies.current, *filter(None, (cookies.previous,))),
        settings.get(conn, TICKET_KEY) or b"",
    )


def ensure_secrets(database: Database, now: float) -> None:
    """Make the secrets of a database that has none yet."""
    with database.read() as conn:
        there = settings.stored_cookie_secrets(conn) and settings.get(conn, TICKET_KEY)
    if not there:
        with database.write() as conn:
            renew_secrets(conn, now)


def renew_secrets(conn: Connection, now: float) -> None:
    """Make the secrets that are missing, and those anew whose time is over; ``conn`` writes, ``now`` is the epoch's."""
    settings.cookie_secrets(conn, now)
    settings.secret(conn, TICKET_KEY)


class Source:
    """What the keeper reads for its answerers; every method is one look, and runs off the loop."""

    def __init__(self, database: Database, patch_records: int = PATCH_RECORDS) -> None:
        self._database = database
        self._patch_records = patch_records

    def after(self, mark: FeedMark) -> tuple[list[link.Message], FeedMark]:
        """What happened after ``mark``, and the mark up to which that is; everything, when the mark is gone."""
        with self._database.read() as conn:
            rows = feed.after(conn, mark)
            if rows is None:
                return self._everything(conn), feed.head(conn)
            return list(self._messages(conn, rows)), FeedMark(rows[-1].seq, rows[-1].tag) if rows else mark

    def head(self) -> FeedMark:
        with self._database.read() as conn:
            return feed.head(conn)

    def _everything(self, conn: Connection) -> list[link.Message]:
        rows, entries = zones.all_zones(conn), access.all_zone_entries(conn)
        return [
            globals_of(conn),
            link.ZonesAre(tuple(zone.id for zone in rows)),
            *(_info(zone, entries.get(zone.id, ())) for zone in rows),
        ]

    def _messages(self, conn: Connection, rows: Iterable[FeedRow]) -> Iterator[link.Message]:
        globals_sent = False
        for row in rows:
            if row.kind in ("access", "keys", "settings") and row.zone_id is None:
                if not globals_sent:
                    globals_sent = True
                    yield globals_of(conn)
            elif row.zone_id is not None:
                yield self._zone_message(conn, row)

    def _zone_message(self, conn: Connection, row: FeedRow) -> link.Message:
        assert row.zone_id is not None
        if row.kind == "change" and row.from_version is not None and row.to_version is not None:
            kept = journal.kept(conn, row.zone_id, row.to_version, PATCH_SIZE)
            if kept is not None and kept.records <= self._patch_records:
                return link.Patch(row.zone_id, row.from_version, row.to_version, kept.changeset, kept.is_unique)
        zone = zones.by_id(conn, row.zone_id)
        if zone is None or zone.deleted is not None:
            return link.ZoneGone(row.zone_id)
        info = zone_info(conn, zone)
        # Later rows of this look may hold patches from here on: so not the newest version, but the row's own.
        return info if row.to_version is None else info._replace(version=row.to_version)

    def contents(self, zone_id: int) -> Generator[link.Message, None, None]:
        """A whole zone in one snapshot: ZoneBegin, ZonePage…, ZoneEnd; ZoneGone when it is not here.

        Of a secondary zone that was never transferred there is the ZoneInfo alone.
        """
        with self._database.read() as conn:
            zone = zones.by_id(conn, zone_id)
            if zone is None or zone.deleted is not None:
                yield link.ZoneGone(zone_id)
                return
            if not zone.version:
                yield zone_info(conn, zone)
                return
            yield link.ZoneBegin(tuple(zone_info(conn, zone)), zone.version)
            yield from _pages(zone, contents.row_pages(conn, zone.contents, _ROWS))
            yield link.ZoneEnd()

    def chain(self, zone_id: int, from_serial: int, to_version: int) -> tuple[bytes, bytes, int] | None:
        """The changes from a client's serial to a version as one ``Difference``; None when there is no whole chain.

        They are condensed here, since it takes milliseconds, which an answerer has not.
        """
        with self._database.read() as conn:
            chain = journal.chain(conn, zone_id, from_serial, to_version, _LONG_CHAIN)
        found = Difference.of(chain) if chain else None
        # marshal takes no tuples with names.
        return None if found is None else (found.removed, found.added, found.largest)


def _pages(zone: ZoneRow, rows: Iterable[Sequence[Row]]) -> Iterator[link.ZonePage]:
    """The zone's rows, as an answerer takes them in without delaying answers."""
    pager = Pager(zone.name)
    for some in rows:
        for page in pager.add(some):
            yield link.ZonePage(page.plain)
    for page in pager.finish():
        yield link.ZonePage(page.plain)


def _together(found: Iterable[ZoneRow]) -> Iterator[list[ZoneRow]]:
    """The zones in parts of so many that have not too many records, unless it is one alone."""
    part: list[ZoneRow] = []
    records = 0
    for zone in found:
        records += zone.record_count
        if part and (records > contents.BATCH or len(part) == contents.LOOKUP):
            yield part
            part, records = [], zone.record_count
        part.append(zone)
    if part:
        yield part


def deadlines(conn: Connection, now: float) -> link.Deadlines:
    """When the secondary zones expire, by what was stored last; ``now`` is the epoch's (R11)."""
    return link.Deadlines(tuple((zone_id, _left(state, now)) for zone_id, state in refresh.load(conn)))


def _left(state: refresh.State, now: float) -> float | None:
    if state.get("expired"):
        return 0.0
    expires = state.get("expires")
    return None if expires is None else expires - now


def snapshot(database: Database, now: float) -> Iterator[link.Message]:
    """Everything, for an answerer that starts: the feed's head (Mark) first, then globals, when zones expire, and each
    zone (ZoneInfo, then ZonePage…).

    What changes meanwhile is in the feed after that mark (DESIGN, SQL).
    """
    with database.read() as conn:
        yield link.Mark(*feed.head(conn))
        yield globals_of(conn)
        yield deadlines(conn, now)
        entries = access.all_zone_entries(conn)
        for some in _together(zones.all_zones(conn)):
            # One zone alone may be large; small ones are read by one query.
            rows = dict(contents.several(conn, [zone.contents for zone in some])) if len(some) > 1 else {}
            for zone in some:
                yield _info(zone, entries.get(zone.id, ()))
                if zone.version:
                    own = [rows[zone.contents]] if rows else contents.row_pages(conn, zone.contents, _ROWS)
                    yield from _pages(zone, own)
