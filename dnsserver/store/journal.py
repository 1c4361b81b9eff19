"""The journal: what each version of a zone changed, for IXFR, history, diff and rollback.

Keyed by zone and version, since serials can be forced and return. A change larger than ``journal-size`` is stored as
``reset``, without its payload; the oldest entries go when the whole grows past it; no change is ever refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store.history import Who, storable
from dnsserver.store.schema import CHUNK, journal, journal_chunks, journal_pruned
from dnsserver.store.statements import Statement
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.serial import is_ahead

if TYPE_CHECKING:
    from dnsserver.store.zones import ZoneRow

# What an entry counts besides its payload.
OVERHEAD = 256
LEAST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What led to ``version``; ``from_serial`` is None for the first. ``size``: octets; ``reset``: no payload."""

    version: int
    from_version: int
    from_serial: int | None
    to_serial: int
    time: float
    user: str
    comment: str
    kind: str
    added: int
    removed: int
    size: int
    reset: bool


class Encoded(NamedTuple):
    """A changeset that another process has encoded; ``added``, ``removed``: records, its two SOAs included."""

    payload: bytes
    added: int
    removed: int

    def encode(self) -> bytes:
        return self.payload


@dataclass(frozen=True, slots=True)
class Step:
    """An entry to be written: the counts, and the changeset (None: a reset)."""

    changeset: Changeset | Encoded | None
    from_serial: int | None
    to_serial: int
    added: int
    removed: int
    comment: str
    kind: str


def limit_of(wire_size: int) -> int:
    """The default of journal-size for a zone of this size (LIMITS): twice the zone, at least 16 MiB."""
    return max(2 * wire_size, LEAST)


def append(conn: Connection, zone: ZoneRow, step: Step, who: Who, limit: int) -> tuple[int, bytes | None]:
    """Writes the entry for the version after ``zone.version`` and prunes the oldest to ``limit`` octets.

    Returns the journal's octets then, and the payload where it was kept. The caller holds the zone's row.
    """
    payload = step.changeset.encode() if step.changeset is not None else None
    if payload is not None and len(payload) + OVERHEAD > limit:
        payload = None
    size = OVERHEAD + len(payload or b"")
    version = zone.version + 1
    _INSERT.change(
        conn,
        {
            "zone": zone.id, "version": version, "from_version": zone.version, "from_serial": step.from_serial,
            "to_serial": step.to_serial, "time": who.now, "user": storable(who.user), "source": storable(who.source),
            "comment": storable(step.comment), "kind": step.kind, "added": step.added, "removed": step.removed,
            "size": size, "reset": payload is None,
        },
    )  # fmt: skip
    if payload is not None:
        chunks = [
            {"zone": zone.id, "version": version, "part": part, "data": payload[at : at + CHUNK]}
            for part, at in enumerate(range(0, len(payload), CHUNK))
        ]
        _INSERT_CHUNK.change_many(conn, chunks)
    total = zone.journal_bytes + size
    if total > limit:
        total -= _prune(conn, zone.id, total - limit, version)
    return total, payload


def _prune(conn: Connection, zone_id: int, excess: int, newest: int) -> int:
    """Deletes the oldest entries, at least ``excess`` octets of them but never ``newest``; returns their octets."""
    freed, through = 0, 0
    serials = []
    oldest = sa.select(journal.c.version, journal.c.from_serial, journal.c.size).where(
        journal.c.zone == zone_id, journal.c.version < newest
    )
    # Few rows are looked at: what one change adds is about what has to go.
    rows = conn.execute(oldest.order_by(journal.c.version), execution_options={"stream_results": True})
    for version, serial, size in rows:
        freed += size
        through = version
        if serial is not None:
            serials.append(serial)
        if freed >= excess:
            break
    rows.close()
    if through:
        _remember(conn, zone_id, serials)
        conn.execute(sa.delete(journal).where(journal.c.zone == zone_id, journal.c.version <= through))
    return freed


def _remember(conn: Connection, zone_id: int, serials: list[int]) -> None:
    """Keeps the serials of pruned versions as ranges, each rising; a forced step back begins another."""
    here = journal_pruned.c.zone == zone_id
    newest = sa.select(journal_pruned.c.part, journal_pruned.c.first, journal_pruned.c.last).where(here)
    row = conn.execute(newest.order_by(journal_pruned.c.part.desc()).limit(1)).one_or_none()
    part, first, last = row if row is not None else (-1, 0, 0)
    known = part
    ranges: dict[int, tuple[int, int]] = {}
    for serial in serials:
        if part >= 0 and is_ahead(serial, last) and not _in_range(serial, first, last):
            last = serial
        elif part < 0 or serial != last:
            part, first, last = part + 1, serial, serial
        ranges[part] = (first, last)
    for number, (low, high) in ranges.items():
        if number == known:
            conn.execute(sa.update(journal_pruned).where(here, journal_pruned.c.part == number).values(last=high))
        else:
            values = {"zone": zone_id, "part": number, "first": low, "last": high}
            conn.execute(sa.insert(journal_pruned), values)


def _in_range(serial: int, first: int, last: int) -> bool:
    return (serial - first) % (1 << 32) <= (last - first) % (1 << 32)


def entries(conn: Connection, zone_id: int, limit: int = 100) -> list[JournalEntry]:
    """The newest entries, newest first."""
    query = _ENTRIES.where(journal.c.zone == zone_id).order_by(journal.c.version.desc()).limit(limit)
    return [JournalEntry(*row) for row in conn.execute(query)]


def entry(conn: Connection, zone_id: int, version: int) -> JournalEntry | None:
    """The entry that led to ``version``."""
    row = conn.execute(_ENTRIES.where(journal.c.zone == zone_id, journal.c.version == version)).one_or_none()
    return JournalEntry(*row) if row is not None else None


def changeset(conn: Connection, zone_id: int, version: int) -> Changeset | None:
    """What led to ``version``; None when that is a reset, or gone."""
    parts = list(conn.execute(_CHUNKS, {"zone": zone_id, "version": version}).scalars())
    return Changeset.decode(b"".join(parts)) if parts else None


class Kept(NamedTuple):
    """An encoded changeset of ``records``, its SOAs included; ``is_unique``: no other version up to the one it leads to
    has, or had, one of its two serials."""

    changeset: bytes
    records: int
    is_unique: bool


def kept(conn: Connection, zone_id: int, version: int, most: int) -> Kept | None:
    """What led to ``version``; None when that is a reset, gone, or larger than ``most`` octets."""
    rows = conn.execute(_KEPT, {"zone": zone_id, "version": version, "most": most + OVERHEAD}).all()
    if not rows:
        return None
    row = rows[0]
    serials = (row.from_serial, row.to_serial)
    sole = row.from_serial is not None and is_unique(conn, zone_id, (row.from_version, version), serials)
    return Kept(b"".join([each.data for each in rows]), row.added + row.removed + 2, sole)


def is_unique(conn: Connection, zone_id: int, versions: tuple[int, int], serials: tuple[int, int]) -> bool:
    """Whether the serials of the entry that leads from one version to another are those of these two alone."""
    found = _VERSIONS.rows(conn, {"zone": zone_id, "one": serials[0], "other": serials[1]})
    return set(versions).issuperset(version for (version,) in found) and not _pruned(conn, zone_id, *serials)


def chain(
    conn: Connection, zone_id: int, from_serial: int, to_version: int, max_size: int | None = None
) -> list[bytes] | None:
    """The encoded changesets from the version with ``from_serial`` to ``to_version``, oldest first.

    None when one is missing or a reset, when ``from_serial`` fits two versions (it was forced and came again), or
    when together they have more than ``max_size`` octets.
    """
    start = _version_of(conn, zone_id, from_serial)
    if start is None or start >= to_version:
        return None
    between = (journal.c.zone == zone_id) & (journal.c.version > start) & (journal.c.version <= to_version)
    steps = conn.execute(_ENTRIES.where(between).order_by(journal.c.version)).all()
    at, size = start, 0
    for step in steps:
        if step.from_version != at or step.reset:
            return None
        at = step.version
        size += step.size
    if at != to_version or (max_size is not None and size > max_size):
        return None
    parts = conn.execute(_CHAIN, {"zone": zone_id, "after": start, "version": to_version})
    found = [b"".join([data for _, data in group]) for _, group in groupby(parts, itemgetter(0))]
    return found if len(found) == len(steps) else None


def _version_of(conn: Connection, zone_id: int, serial: int) -> int | None:
    """The one version that has this serial; None when there is none, two, or one might be among the pruned."""
    if _pruned(conn, zone_id, serial):
        return None
    versions = {version for (version,) in _VERSIONS.rows(conn, {"zone": zone_id, "one": serial, "other": serial})}
    return versions.pop() if len(versions) == 1 else None


def _pruned(conn: Connection, zone_id: int, *serials: int) -> bool:
    """Whether a version that the journal no longer knows might have had one of these serials."""
    ranges = _PRUNED.rows(conn, {"zone": zone_id})
    return any(_in_range(serial, first, last) for first, last in ranges for serial in serials)


_INSERT = Statement(sa.insert(journal), [column.name for column in journal.columns])
_INSERT_CHUNK = Statement(sa.insert(journal_chunks), [column.name for column in journal_chunks.columns])
_CHUNKS = (
    sa.select(journal_chunks.c.data)
    .where(journal_chunks.c.zone == sa.bindparam("zone"), journal_chunks.c.version == sa.bindparam("version"))
    .order_by(journal_chunks.c.part)
)
_CHAIN = (
    sa.select(journal_chunks.c.version, journal_chunks.c.data)
    .where(
        journal_chunks.c.zone == sa.bindparam("zone"),
        journal_chunks.c.version > sa.bindparam("after"),
        journal_chunks.c.version <= sa.bindparam("version"),
    )
    .order_by(journal_chunks.c.version, journal_chunks.c.part)
)
_KEPT = (
    sa.select(
        journal.c.from_version, journal.c.from_serial, journal.c.to_serial, journal.c.added, journal.c.removed,
        journal_chunks.c.data,
    )
    .join(journal_chunks, (journal_chunks.c.zone == journal.c.zone) & (journal_chunks.c.version == journal.c.version))
    .where(
        journal.c.zone == sa.bindparam("zone"),
        journal.c.version == sa.bindparam("version"),
        journal.c.size <= sa.bindparam("most"),
    )
    .order_by(journal_chunks.c.part)
)  # fmt: skip
_ZONE: sa.BindParameter[int] = sa.bindparam("zone")
# No list of any length: that would be made anew each time, which takes longer than the query.
_SERIALS: tuple[sa.BindParameter[int], ...] = (sa.bindparam("one"), sa.bindparam("other"))
# A version is known by the change that led to it, and by the one that led on.
_VERSIONS = Statement(
    sa.union_all(
        sa.select(journal.c.version).where(journal.c.zone == _ZONE, journal.c.to_serial.in_(_SERIALS)),
        sa.select(journal.c.from_version).where(journal.c.zone == _ZONE, journal.c.from_serial.in_(_SERIALS)),
    )
)
_PRUNED = Statement(sa.select(journal_pruned.c.first, journal_pruned.c.last).where(journal_pruned.c.zone == _ZONE))
_ENTRIES: sa.Select[Any] = sa.select(
    journal.c.version, journal.c.from_version, journal.c.from_serial, journal.c.to_serial, journal.c.time,
    journal.c.user, journal.c.comment, journal.c.kind, journal.c.added, journal.c.removed, journal.c.size,
    journal.c.reset,
)  # fmt: skip
