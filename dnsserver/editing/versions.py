"""What the journal knows of a zone's versions: history, diff, and rollback, which is a new change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, serials, shapes
from dnsserver.editing.commit import changed, commit, editable, retrying, unchanged
from dnsserver.editing.context import Args, Context
from dnsserver.editing.edit import text
from dnsserver.errors import InvalidData, NotFound
from dnsserver.store import journal, zones
from dnsserver.store.journal import JournalEntry
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset, condense
from dnsserver.zone.records import with_serial

ENTRIES = 20
ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class _Version:
    version: int
    serial: int


def history(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.history {name, limit?}: the newest changes first."""
    args.known("name", "limit")
    name = inputs.zone_name(args.text("name"))
    limit = args.number("limit", ENTRIES, low=1) or ENTRIES
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
        entries = journal.entries(conn, zone.id, limit)
    return {"version": 1, "zone": names.to_text(name), "entries": [_shown(entry) for entry in entries]}


def _shown(entry: JournalEntry) -> dict[str, Any]:
    return {
        "zone_version": entry.version,
        "time": shapes.time_text(entry.time),
        "user": entry.user,
        "kind": entry.kind,
        "comment": entry.comment,
        "old_serial": entry.from_serial,
        "new_serial": entry.to_serial,
        "added": entry.added,
        "removed": entry.removed,
        "reset": entry.reset,
    }


def diff(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.diff {name, from?, to?}: between two versions or serials; by default the last change, ``to`` the present.

    Raises NotFound when the journal does not know one of them, or not the whole way between them.
    """
    args.known("name", "from", "to")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
        entries = journal.entries(conn, zone.id, ALL)
        end = _version(zone, entries, args.values.get("to"), "to")
        if args.values.get("from") is None:
            start = _before(zone, entries, end)
        else:
            start = _version(zone, entries, args.values["from"], "from")
        found = _between(conn, zone, entries, start, end)
    removed, added = ((), ()) if found is None else (found.removed, found.added)
    return {
        "version": 1,
        "zone": names.to_text(name),
        "from": {"version": start.version, "serial": start.serial},
        "to": {"version": end.version, "serial": end.serial},
        "old_serial": start.serial,
        "new_serial": end.serial,
        "added": [text(record) for record in added],
        "removed": [text(record) for record in removed],
    }


def rollback(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.rollback {name, to}: the zone as it was at a version or serial, as a new change; the serial rises."""
    args.known("name", "to")
    name = inputs.zone_name(args.text("name"))
    to = args.values.get("to")

    def attempt() -> dict[str, Any]:
        with ctx.db.write() as conn:
            zone = editable(conn, name)
            entries = journal.entries(conn, zone.id, ALL)
            target = _version(zone, entries, to, "to")
            found = _between(conn, zone, entries, _Version(zone.version, zone.serial), target)
            if found is None or _is_only_serial(found):
                return unchanged(zone, [f"nothing to do: the zone is as it was at serial {target.serial}"])
            serial = serials.chosen(zone.settings.serial_policy, zone.serial, None, ctx.now)
            soa = found.added[0]
            changeset = Changeset(found.removed, (soa._replace(rdata=with_serial(soa.rdata, serial)), *found.added[1:]))
            comment = f"rollback to version {target.version} (serial {target.serial})"
            after = commit(conn, ctx, zone, changeset, comment=comment, kind="rollback")
            return changed(zone, after, changeset, [comment])

    return retrying(attempt)


def _is_only_serial(found: Changeset) -> bool:
    old, new = found.removed[0], found.added[0]
    same_soa = old.ttl == new.ttl and with_serial(old.rdata, found.to_serial) == new.rdata
    return len(found.removed) == len(found.added) == 1 and same_soa


def _version(zone: ZoneRow, entries: list[JournalEntry], asked: object, what: str) -> _Version:
    """The version that ``asked`` means: a serial, ``vN`` a version; None the present. A number that is no serial of
    the journal is a version."""
    present = _Version(zone.version, zone.serial)
    if asked is None or asked == "":
        return present
    words = str(asked).strip().lower()
    by_version = words.startswith("v")
    digits = words.removeprefix("v")
    if isinstance(asked, bool) or not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        raise InvalidData(f"{what}: {asked!r} is neither a serial nor a version (a number, or vN for version N)")
    number = int(digits)
    known = {present}
    for entry in entries:
        known.add(_Version(entry.version, entry.to_serial))
        if entry.from_serial is not None and entry.from_version:
            known.add(_Version(entry.from_version, entry.from_serial))
    if not by_version:
        found = [version for version in known if version.serial == number]
        if len(found) == 1:
            return found[0]
        if found:
            versions = ", ".join(f"v{version.version}" for version in sorted(found, key=lambda v: v.version))
            raise InvalidData(f"{what}: the serial {number} stood for several versions; say which: {versions}")
    for version in known:
        if version.version == number:
            return version
    raise NotFound(
        f"the journal of {names.to_text(zone.name)} knows no serial or version {asked} "
        f"(`dnsserver zone history {names.to_text(zone.name)}` shows those it knows)"
    )


def _before(zone: ZoneRow, entries: list[JournalEntry], end: _Version) -> _Version:
    for entry in entries:
        if entry.version == end.version:
            if entry.from_serial is None or not entry.from_version:
                break
            return _Version(entry.from_version, entry.from_serial)
    raise NotFound(f"the journal of {names.to_text(zone.name)} knows nothing before version {end.version}")


def _between(
    conn: Connection, zone: ZoneRow, entries: list[JournalEntry], start: _Version, end: _Version
) -> Changeset | None:
    """The net change from one version to another, either of which may be the older; None when they are the same."""
    if start.version == end.version:
        return None
    older, newer = sorted((start, end), key=lambda version: version.version)
    by_version = {entry.version: entry for entry in entries}
    steps: list[Changeset] = []
    at = newer.version
    while at > older.version:
        entry = by_version.get(at)
        step = journal.changeset(conn, zone.id, at) if entry is not None else None
        if entry is None or step is None:
            why = "was too large for the journal" if entry is not None else "is no longer in the journal"
            raise NotFound(f"{names.to_text(zone.name)}: the change to version {at} {why}; there is no way past it")
        steps.append(step)
        at = entry.from_version
    if start is newer:
        return condense([step.inverse() for step in steps])
    return condense(steps[::-1])
