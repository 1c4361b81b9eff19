"""A change of a zone's contents: records, SOA, zone row, journal, outbox, history and feed, in one transaction."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.errors import Conflict, InvalidData
from dnsserver.store import contents, feed, history, journal, outbox
from dnsserver.store.history import Who
from dnsserver.store.journal import Encoded
from dnsserver.store.schema import zones
from dnsserver.store.statements import Statement
from dnsserver.store.zones import ZoneRow, claim_contents
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset

__all__ = ["Who", "commit_change", "flip"]


def commit_change(
    conn: Connection,
    zone: ZoneRow,
    changeset: Changeset,
    who: Who,
    comment: str = "",
    kind: str = "edit",
    journal_size: int | None = None,
) -> ZoneRow:
    """Applies a changeset to the zone as it stands in ``zone``, and returns it as it then is.

    ``journal_size``: octets that the zone's journal may take (None: LIMITS' default). Raises Conflict when the zone was
    changed meanwhile, or the changeset does not apply; InvalidData when it leaves the serial as it is.
    """
    if changeset.to_serial == changeset.from_serial:
        raise InvalidData(f"zone {names.to_text(zone.name)}: a change of contents needs another serial")
    added, removed = changeset.added, changeset.removed
    grown = sum(map(contents.wire_size, added)) - sum(map(contents.wire_size, removed))
    after = replace(
        zone,
        version=zone.version + 1,
        serial=changeset.to_serial,
        changed=who.now,
        record_count=zone.record_count + len(added) - len(removed),
        wire_size=zone.wire_size + grown,
    )
    _claim(conn, zone, after)
    contents.apply(conn, zone.contents, changeset)
    # The two SOAs are in every changeset; what a person counts is the rest.
    step = journal.Step(
        changeset, zone.serial, after.serial, len(added) - 1, len(removed) - 1, comment, kind
    )  # fmt: skip
    return _record(conn, zone, after, step, who, journal_size)


def flip(
    conn: Connection,
    zone: ZoneRow,
    contents_id: int,
    changeset: Changeset | Encoded | None,
    who: Who,
    comment: str = "",
    kind: str = "import",
    journal_size: int | None = None,
    same_serial: bool = False,
) -> ZoneRow:
    """Points the zone at contents that ``write_contents`` wrote; the old ones go with ``prune_contents``.

    ``changeset``: the difference, for the journal; None: a reset, nothing of the zone's past can be had as IXFR.
    ``same_serial``: other contents under the serial that is there, as a secondary that was told to transfer its zone
    anew may get them; always a reset.

    Raises Conflict when the zone was changed meanwhile, or the contents are gone; InvalidData when the serial stays.
    """
    count, size, serial = claim_contents(conn, contents_id)
    if serial == zone.serial and zone.version:
        if not same_serial:
            raise InvalidData(f"zone {names.to_text(zone.name)}: a change of contents needs another serial")
        changeset = None
    after = replace(
        zone,
        contents=contents_id,
        version=zone.version + 1,
        serial=serial,
        changed=who.now,
        record_count=count,
        wire_size=size,
    )
    _claim(conn, zone, after)
    contents.retire(conn, zone.contents)
    added, removed = _counts(changeset) if changeset is not None else (count, zone.record_count)
    before = zone.serial if zone.version else None
    step = journal.Step(changeset, before, serial, added, removed, comment, kind)
    return _record(conn, zone, after, step, who, journal_size)


def _counts(changeset: Changeset | Encoded) -> tuple[int, int]:
    """Records added and removed, the SOAs aside."""
    if isinstance(changeset, Encoded):
        return changeset.added - 1, changeset.removed - 1
    return len(changeset.added) - 1, len(changeset.removed) - 1


def _claim(conn: Connection, before: ZoneRow, after: ZoneRow) -> None:
    """The zone's row as it shall be, if it still is as it was; from here on nobody else changes the zone."""
    values = {
        "z": before.id, "v": before.version, "s": before.serial, "r": str(before.role), "contents": after.contents,
        "version": after.version, "serial": after.serial, "changed": after.changed,
        "record_count": after.record_count, "wire_size": after.wire_size,
    }  # fmt: skip
    if _CLAIM.change(conn, values) != 1:
        raise Conflict(f"zone {names.to_text(before.name)} was changed by somebody else meanwhile; try again")


def _record(
    conn: Connection, before: ZoneRow, after: ZoneRow, step: journal.Step, who: Who, journal_size: int | None
) -> ZoneRow:
    """Journal, outbox, history and feed of a change whose zone row is claimed and whose records are written."""
    limit = journal_size if journal_size is not None else journal.limit_of(after.wire_size)
    total, payload = journal.append(conn, before, step, who, limit)
    _JOURNAL_BYTES.change(conn, {"z": after.id, "total": total})
    outbox.put(conn, after.id, after.version, after.serial)
    detail = f"serial {before.serial} -> {after.serial}, {step.added} added, {step.removed} removed"
    history.add(conn, who, names.to_text(after.name), f"zone-{step.kind}", detail, bulk=True)
    # Without a changeset to follow, a keeper reads the zone anew.
    change = None
    if payload is not None and isinstance(step.changeset, Changeset):
        versions, serials = (before.version, after.version), (before.serial, after.serial)
        change = feed.Change(step.changeset, payload, journal.is_unique(conn, after.id, versions, serials))
    kind = feed.ZONE if payload is None else feed.CHANGE
    feed.append(conn, kind, after.id, before.version, after.version, change)
    return replace(after, journal_bytes=total)


_CLAIM = Statement(
    sa.update(zones)
    .where(
        zones.c.id == sa.bindparam("z"),
        zones.c.version == sa.bindparam("v"),
        zones.c.serial == sa.bindparam("s"),
        zones.c.role == sa.bindparam("r"),
        zones.c.live == 1,
    )
    .values(
        {
            column: sa.bindparam(column)
            for column in ("contents", "version", "serial", "changed", "record_count", "wire_size")
        }
    )
)
_JOURNAL_BYTES = Statement(
    sa.update(zones).where(zones.c.id == sa.bindparam("z")).values(journal_bytes=sa.bindparam("total"))
)
