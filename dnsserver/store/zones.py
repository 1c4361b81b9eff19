"""Zones as rows: found, made, set, suspended, deleted, restored. Their records stand in ``contents``, offered here too.

A change of contents goes through ``commit.commit_change``, or replaces them whole through ``commit.flip``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.errors import Conflict, NotFound
from dnsserver.store import contents as _contents
from dnsserver.store import dialects, feed, history, journal, outbox
from dnsserver.store.contents import all_records as records
from dnsserver.store.contents import discard_contents, exists_below, prune_contents, record_pages, write_contents
from dnsserver.store.history import Who
from dnsserver.store.schema import access, contents, serial_floors, zones
from dnsserver.store.schema import outbox as outbox_table
from dnsserver.store.statements import Statement
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record
from dnsserver.zone.serial import following, is_ahead
from dnsserver.zone.settings import ZoneSettings

__all__ = [
    "ZoneRow", "all_zones", "by_id", "by_ids", "convert", "create", "delete", "deleted", "discard_contents",
    "exists_below", "find", "get", "live", "prune_contents", "purge_deleted", "record_pages", "records", "restore",
    "serial_floor", "set_settings", "set_suspended", "write_contents",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ZoneRow:
    """A zone as it stands in SQL.

    ``name``: lower-cased wire name; ``contents``: id of its records; ``version``: 64 bits, always rising, 0 before
    the first contents; ``serial``: its SOA's; ``deleted``: when (epoch), or None; ``wire_size``: octets of its
    records, uncompressed; ``journal_bytes``: what its journal takes.
    """

    id: int
    name: bytes
    role: Role
    suspended: bool
    contents: int
    version: int
    serial: int
    settings: ZoneSettings
    created: float
    changed: float
    deleted: float | None
    record_count: int
    wire_size: int
    journal_bytes: int


_settings_of = lru_cache(maxsize=4096)(ZoneSettings.from_json)


def _row(row: Any) -> ZoneRow:
    number, name, role, suspended, contents_id, version, serial, settings, *rest = row
    return ZoneRow(
        number, name, Role(role), bool(suspended), contents_id, version, serial, _settings_of(settings), *rest
    )


def find(conn: Connection, name: bytes) -> ZoneRow | None:
    """The live zone of this name; inside ``Database.write`` it stays as it is until the transaction's end."""
    live = _LIVE_LOCKED if dialects.is_writing(conn) else _LIVE
    row = live.row(conn, {"name": name.lower()})
    return _row(row) if row is not None else None


def get(conn: Connection, name: bytes) -> ZoneRow:
    """The live zone of this name; raises NotFound."""
    zone = find(conn, name)
    if zone is None:
        raise NotFound(f"there is no zone {names.to_text(name)}")
    return zone


def by_id(conn: Connection, zone_id: int) -> ZoneRow | None:
    """The zone with this id, a deleted one too."""
    row = _BY_ID.row(conn, {"id": zone_id})
    return _row(row) if row is not None else None


def by_ids(conn: Connection, ids: Sequence[int]) -> list[ZoneRow]:
    """The zones with these ids, deleted ones too."""
    return list(_several(conn, _BY_IDS, ids))


def live(conn: Connection, wanted: Iterable[bytes]) -> dict[bytes, ZoneRow]:
    """The live zones of these names, by their (lower-cased) names."""
    return {zone.name: zone for zone in _several(conn, _BY_NAMES, [name.lower() for name in wanted])}


def _several(conn: Connection, query: sa.Select[Any], values: Sequence[int] | Sequence[bytes]) -> Iterator[ZoneRow]:
    for at in range(0, len(values), _contents.LOOKUP):
        yield from map(_row, conn.execute(query, {"values": values[at : at + _contents.LOOKUP]}).all())


def all_zones(conn: Connection, role: Role | None = None) -> list[ZoneRow]:
    """The live zones, or those of one role, sorted by name."""
    rows = conn.execute(_ALL if role is None else _ALL.where(zones.c.role == str(role)))
    return sorted((_row(row) for row in rows), key=lambda zone: names.key(zone.name))


def deleted(conn: Connection, name: bytes) -> ZoneRow | None:
    """The zone of this name that was deleted last and can be restored."""
    row = conn.execute(_DELETED, {"name": name.lower()}).one_or_none()
    return _row(row) if row is not None else None


def serial_floor(conn: Connection, name: bytes) -> int | None:
    """The last serial of a deleted zone of this name: a zone made anew starts above it."""
    return conn.execute(
        sa.select(serial_floors.c.serial).where(serial_floors.c.name == name.lower())
    ).scalar_one_or_none()


def create(
    conn: Connection,
    name: bytes,
    role: Role,
    settings: ZoneSettings,
    records: Iterable[Record],
    who: Who,
    *,
    serial: int = 0,
    contents: int | None = None,
    kind: str = "create",
    comment: str = "",
) -> ZoneRow:
    """A new zone of these records, or of ``contents`` that ``write_contents`` wrote.

    ``serial`` is its SOA's; where it is not ahead of the floor that a deleted zone left, the SOA gets the one after
    the floor. Without records (a secondary) it begins at version 0. Raises Conflict (the zone is there already, or the
    contents are gone), InvalidData (records without an SOA).
    """
    name = name.lower()
    if find(conn, name) is not None:
        raise Conflict(f"zone {names.to_text(name)} is there already")
    if contents is None:
        contents = _contents.new_contents(conn, who.now)
        _contents.insert_all(conn, contents, records)
    count, size, stored = claim_contents(conn, contents)
    if count:
        serial = _settle_serial(conn, name, contents, serial or stored, stored)
    values = {
        "name": name, "live": 1, "role": str(role), "suspended": False, "contents": contents,
        "version": 1 if count else 0, "serial": serial if count else 0, "settings": settings.to_json(),
        "created": who.now, "changed": who.now, "deleted": None, "record_count": count, "wire_size": size,
        "journal_bytes": journal.OVERHEAD if count else 0,
    }  # fmt: skip
    key = conn.execute(sa.insert(zones), values).inserted_primary_key
    assert key is not None
    zone = by_id(conn, key[0])
    assert zone is not None
    if count:
        step = journal.Step(None, None, serial, count, 0, comment, kind)
        journal.append(conn, replace(zone, version=0, journal_bytes=0), step, who, journal.LEAST)
        outbox.put(conn, zone.id, zone.version, serial)
    primaries = " ".join(target.text() for target in settings.primaries)
    detail = f"secondary of {primaries}" if primaries else f"serial {serial}, {count} records"
    history.add(conn, who, names.to_text(name), "zone-" + kind, detail)
    feed.append(conn, feed.ZONE, zone.id, 0, zone.version)
    return zone


def claim_contents(conn: Connection, contents_id: int) -> tuple[int, int, int]:
    """Marks written contents as a zone's; returns their record count, wire size and serial. Raises Conflict."""
    here = contents.c.id == contents_id
    claimed = sa.update(contents).where(here, contents.c.state == "writing").values(state="live")
    if conn.execute(claimed).rowcount != 1:
        raise Conflict("the records that were written for this zone are gone; try again")
    row = conn.execute(sa.select(contents.c.record_count, contents.c.wire_size, contents.c.serial).where(here)).one()
    return row.record_count, row.wire_size, row.serial


def _settle_serial(conn: Connection, name: bytes, contents_id: int, wanted: int, stored: int) -> int:
    floor = serial_floor(conn, name)
    serial = wanted if floor is None or is_ahead(wanted, floor) else following(floor)
    if serial != stored or not stored:  # 0: a serial, or no SOA at all, which set_serial refuses
        _contents.set_serial(conn, contents_id, name, serial)
    return serial


def set_settings(conn: Connection, zone: ZoneRow, settings: ZoneSettings, who: Who) -> ZoneRow:
    """Other settings; a line of history for what changed."""
    if settings == zone.settings:
        return zone
    before, after = zone.settings.to_dict(), settings.to_dict()
    changed = [
        f"{key.replace('_', '-')}={_shown(before.get(key))}->{_shown(value)}"
        for key, value in after.items()
        if before.get(key) != value
    ]
    return _change_row(conn, zone, who, "zone-set", " ".join(changed), settings=settings)


def _shown(value: object) -> str:
    """A setting as ``zone set`` takes it; ``-`` for none."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " ".join(value) or "-"
    return "-" if value is None else str(value)


def set_suspended(conn: Connection, zone: ZoneRow, suspended: bool, who: Who) -> ZoneRow:
    """Neither answered nor transferred while it is suspended."""
    if suspended == zone.suspended:
        return zone
    return _change_row(conn, zone, who, "zone-suspend" if suspended else "zone-resume", "", suspended=suspended)


def convert(
    conn: Connection, zone: ZoneRow, role: Role, settings: ZoneSettings, who: Who, comment: str = ""
) -> ZoneRow:
    """Another role, with the settings that go with it; the contents stay."""
    primaries = " ".join(target.text() for target in settings.primaries)
    detail = f"{zone.role}->{role}" + (f" of {primaries}" if primaries else "") + (f" ({comment})" if comment else "")
    return _change_row(conn, zone, who, "zone-convert", detail, role=role, settings=settings)


def delete(conn: Connection, zone: ZoneRow, who: Who) -> ZoneRow:
    """The zone is gone, but can be restored until ``purge_deleted``; its serial becomes the floor of its name."""
    conn.execute(sa.delete(outbox_table).where(outbox_table.c.zone == zone.id))
    gone = _change_row(conn, zone, who, "zone-delete", f"serial {zone.serial}", deleted=who.now)
    _raise_floor(conn, zone)
    return gone


def restore(conn: Connection, zone: ZoneRow, who: Who) -> ZoneRow:
    """Undoes ``delete``; raises Conflict when there is a zone of this name again."""
    if find(conn, zone.name) is not None:
        raise Conflict(f"zone {names.to_text(zone.name)} is there again; delete it first")
    back = _change_row(conn, zone, who, "zone-restore", f"serial {zone.serial}", deleted=None)
    if back.version:
        outbox.put(conn, back.id, back.version, back.serial)
    return back


def purge_deleted(conn: Connection, before: float) -> list[bytes]:
    """Ends what was deleted before this time (epoch); their records go with ``prune_contents``. Returns the names."""
    rows = conn.execute(sa.select(zones.c.id, zones.c.name, zones.c.contents).where(zones.c.deleted < before)).all()
    for row in rows:
        conn.execute(sa.delete(access).where(access.c.zone == row.id))
        conn.execute(sa.delete(zones).where(zones.c.id == row.id))
        _contents.retire(conn, row.contents)
    return [row.name for row in rows]


def _change_row(conn: Connection, zone: ZoneRow, who: Who, action: str, detail: str, **changes: Any) -> ZoneRow:
    """Changes columns of a zone that is still as live as ``zone`` is; feed and history."""
    stored = {key: value.to_json() if isinstance(value, ZoneSettings) else value for key, value in changes.items()}
    if "role" in changes:
        stored["role"] = str(changes["role"])
    if "deleted" in changes:
        stored["live"] = 1 if changes["deleted"] is None else None
    as_it_was = zones.c.live.is_(None) if zone.deleted is not None else zones.c.live == 1
    update = sa.update(zones).where(zones.c.id == zone.id, zones.c.version == zone.version, as_it_was)
    if conn.execute(update.values(stored)).rowcount != 1:
        raise Conflict(f"zone {names.to_text(zone.name)} was changed by somebody else meanwhile; try again")
    history.add(conn, who, names.to_text(zone.name), action, detail)
    feed.append(conn, feed.ZONE, zone.id, zone.version, zone.version)
    return replace(zone, **changes)


def _raise_floor(conn: Connection, zone: ZoneRow) -> None:
    if not zone.version:
        return
    floor = serial_floor(conn, zone.name)
    if floor is None:
        conn.execute(sa.insert(serial_floors), {"name": zone.name, "serial": zone.serial})
    elif is_ahead(zone.serial, floor):
        here = serial_floors.c.name == zone.name
        conn.execute(sa.update(serial_floors).where(here).values(serial=zone.serial))


_SELECT = sa.select(
    zones.c.id, zones.c.name, zones.c.role, zones.c.suspended, zones.c.contents, zones.c.version, zones.c.serial,
    zones.c.settings, zones.c.created, zones.c.changed, zones.c.deleted, zones.c.record_count, zones.c.wire_size,
    zones.c.journal_bytes,
)  # fmt: skip
_FIND = _SELECT.where(zones.c.name == sa.bindparam("name"), zones.c.live == 1)
_LIVE, _LIVE_LOCKED = Statement(_FIND), Statement(_FIND.with_for_update())
_BY_ID = Statement(_SELECT.where(zones.c.id == sa.bindparam("id")))
_BY_IDS = _SELECT.where(zones.c.id.in_(sa.bindparam("values", expanding=True)))
_BY_NAMES = _SELECT.where(zones.c.name.in_(sa.bindparam("values", expanding=True)), zones.c.live == 1)
_ALL = _SELECT.where(zones.c.live == 1)
_DELETED = (
    _SELECT.where(zones.c.name == sa.bindparam("name"), zones.c.live.is_(None))
    .order_by(zones.c.deleted.desc(), zones.c.id.desc())
    .limit(1)
)
