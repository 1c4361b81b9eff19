"""The one road of a change: read the zone, edit, check, commit, tell the running server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from dnsserver.editing import shapes
from dnsserver.editing.context import Context
from dnsserver.editing.edit import ZoneEdit, text
from dnsserver.errors import Conflict, Denied
from dnsserver.store import commit as store_commit
from dnsserver.store import zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record

TRIES = 5
SHOWN = 1000

T = TypeVar("T")


class Stale(Exception):
    """The zone has changed since it was read; reading it again may help."""


def retrying(attempt: Callable[[], T]) -> T:
    """What ``attempt`` returns; tried again a few times when another change came between (Stale)."""
    for _ in range(TRIES):
        try:
            return attempt()
        except Stale as stale:
            cause = stale.__cause__
    raise Conflict(f"the zone kept changing meanwhile, {TRIES} times; try again ({cause})")


def editable(conn: Connection, name: bytes) -> ZoneRow:
    """The zone, when its data are made here. Raises NotFound, and Denied for a secondary zone."""
    zone = zones.get(conn, name)
    if zone.role != Role.PRIMARY:
        text, primaries = names.to_text(name), ", ".join(target.address for target in zone.settings.primaries)
        raise Denied(
            f"{text} is a secondary zone: its records are changed at its primary ({primaries}), or "
            f"`dnsserver zone convert {text} --to primary` makes it a zone that is edited here"
        )
    return zone


def commit(
    conn: Connection, ctx: Context, zone: ZoneRow, changeset: Changeset, *, comment: str, kind: str = "edit"
) -> ZoneRow:
    """Commit within ``conn``; raises Stale when the zone is not the one that was read."""
    try:
        return store_commit.commit_change(
            conn, zone, changeset, ctx.who, ctx.said(comment), kind=kind, journal_size=ctx.limits.journal_size
        )
    except Conflict as error:
        raise Stale from error


def edit_zone(ctx: Context, name: bytes, edit: Callable[[ZoneEdit], object], comment: str) -> dict[str, Any]:
    """Apply ``edit`` to the zone in one transaction; the change's result."""

    def attempt() -> dict[str, Any]:
        with ctx.db.write() as conn:
            zone = editable(conn, name)
            return edit_in(conn, ctx, zone, edit, comment)

    return retrying(attempt)


def edit_in(
    conn: Connection, ctx: Context, zone: ZoneRow, edit: Callable[[ZoneEdit], object], comment: str
) -> dict[str, Any]:
    """The same within a transaction that is open; the caller says ``committed`` afterwards."""
    draft = ZoneEdit(conn, zone, ctx.limits.zone, ctx.now)
    edit(draft)
    changeset = draft.finish()
    if changeset is None:
        return unchanged(zone, draft.messages or ["nothing to do"])
    after = commit(conn, ctx, zone, changeset, comment=comment)
    return changed(zone, after, changeset, draft.messages)


def changed(before: ZoneRow | None, after: ZoneRow, changeset: Changeset, messages: Sequence[str]) -> dict[str, Any]:
    """The result of a change in the contract's shape. The SOA is among its records when more of it than the serial
    changed; beyond 1,000 records of a kind only ``added_count`` and ``removed_count`` tell the rest."""
    old, new = changeset.removed[:1], changeset.added[:1]
    if old and new and _without_serial(old[0]) == _without_serial(new[0]):
        old, new = (), ()
    return _result(before, after, (*old, *changeset.removed[1:]), (*new, *changeset.added[1:]), messages)


def created(after: ZoneRow, records: Sequence[Record], messages: Sequence[str]) -> dict[str, Any]:
    """The result of a zone that is new."""
    return _result(None, after, (), records, messages)


def _result(
    before: ZoneRow | None,
    after: ZoneRow,
    removed: Sequence[Record],
    added: Sequence[Record],
    messages: Sequence[str],
) -> dict[str, Any]:
    return {
        "version": 1,
        "zone": names.to_text(after.name),
        "old_serial": None if before is None else before.serial,
        "new_serial": shapes.serial(after),
        "added": [text(record) for record in added[:SHOWN]],
        "removed": [text(record) for record in removed[:SHOWN]],
        "added_count": len(added),
        "removed_count": len(removed),
        "changed": True,
        "messages": list(messages),
        "zone_version": after.version,
    }


def unchanged(zone: ZoneRow, messages: Sequence[str]) -> dict[str, Any]:
    """The result of a change that came to nothing: no serial taken, nothing sent."""
    return {
        "version": 1,
        "zone": names.to_text(zone.name),
        "old_serial": zone.serial,
        "new_serial": zone.serial,
        "added": [],
        "removed": [],
        "added_count": 0,
        "removed_count": 0,
        "changed": False,
        "messages": list(messages),
        "zone_version": zone.version,
    }


def _without_serial(soa: Record) -> tuple[int, bytes]:
    return soa.ttl, soa.rdata[:-20] + soa.rdata[-16:]
