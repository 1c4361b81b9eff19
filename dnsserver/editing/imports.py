"""Whole zones in and out: import, export, and the text of ``zone edit``. The payload is packed records."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, serials, shapes
from dnsserver.editing.commit import Stale, changed, created, editable, retrying, unchanged
from dnsserver.editing.context import Args, Context
from dnsserver.editing.edit import refused, text
from dnsserver.editing.settings import new_settings
from dnsserver.errors import Conflict, DnsServerError, Problem, UsageError
from dnsserver.store import commit as store_commit
from dnsserver.store import zones
from dnsserver.store.comparison import difference
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import checks, names, rrtypes
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record, pack, soa_serial, unpack, with_serial
from dnsserver.zone.serial import following, is_ahead
from dnsserver.zone.whole import Whole, arranged, uncollected

# Lines of a difference that an error carries.
SUMMARY = 40


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an import will do to a zone that is there; ``changeset`` None: nothing."""

    zone: ZoneRow
    changeset: Changeset | None
    messages: tuple[str, ...]


@uncollected()
def import_(ctx: Context, args: Args) -> tuple[dict[str, Any], bytes]:
    """zone.import {name, replace?, dry_run?, source?} with the records as payload.

    The result of the change, and ``dry_run``. Raises Conflict, with the difference, when the zone is there and
    ``replace`` is not set; InvalidData with all problems of the records.
    """
    args.known("name", "replace", "dry_run", "source")
    apex = inputs.zone_name(args.text("name"))
    source = args.optional_text("source") or "-"
    dry_run = args.flag("dry_run")
    whole, warnings = checked(ctx, apex, args.payload)

    def attempt() -> dict[str, Any]:
        with ctx.db.read() as conn:
            zone = zones.find(conn, apex)
            plan = _plan(ctx, conn, editable(conn, apex), whole, None) if zone is not None else None
        if plan is None:
            return _create(ctx, apex, whole, source, dry_run)
        if not args.flag("replace") and not dry_run:
            raise _there(plan)
        return _replace(ctx, plan, whole, f"import {source}", dry_run)

    result = retrying(attempt)
    result["messages"] = [*warnings, *result["messages"]]
    result["dry_run"] = dry_run
    return result, b""


@uncollected()
def replace_text(ctx: Context, args: Args) -> tuple[dict[str, Any], bytes]:
    """zone.replace_text {name, base_version, dry_run?, force?}: what ``zone edit`` made of version ``base_version``.

    A serial that was left alone gets the policy's next; one that was set backwards needs ``force``. Raises Conflict
    when the zone was changed meanwhile.
    """
    args.known("name", "base_version", "dry_run", "force")
    apex = inputs.zone_name(args.text("name"))
    base = args.number("base_version")
    if base is None:
        raise UsageError("zone.replace_text needs base_version")
    dry_run, force = args.flag("dry_run"), args.flag("force")
    whole, warnings = checked(ctx, apex, args.payload)
    with ctx.db.read() as conn:
        zone = editable(conn, apex)
        if zone.version != base:
            raise _meanwhile(zone)
        plan = _plan(ctx, conn, zone, whole, force)
    try:
        result = _replace(ctx, plan, whole, "zone edit", dry_run)
    except Stale:
        raise _meanwhile(zone) from None
    result["messages"] = [*warnings, *result["messages"]]
    result["dry_run"] = dry_run
    return result, b""


@uncollected()
def export(ctx: Context, args: Args) -> tuple[dict[str, Any], bytes]:
    """zone.export {name}: the records in canonical order as payload. Raises Conflict when there are none yet."""
    args.known("name")
    apex = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, apex)
        if not zone.version:
            raise Conflict(shapes.no_contents(zone))
        payload = b"".join(pack(page) for page in zones.record_pages(conn, zone))
    result = {
        "version": 1,
        "zone": names.to_text(apex),
        "role": str(zone.role),
        "serial": zone.serial,
        "zone_version": zone.version,
        "default_ttl": zone.settings.default_ttl,
        "records": zone.record_count,
    }
    return result, payload


def checked(ctx: Context, apex: bytes, payload: bytes | Whole) -> tuple[Whole, list[str]]:
    """The zone in the payload, each record once, one TTL an RRset; and warnings. Raises InvalidData."""
    if isinstance(payload, bytes):
        try:
            payload = arranged(list(unpack(payload)))
        except (IndexError, struct.error):
            raise UsageError("the payload is not packed records") from None
    problems = checks.check_whole(apex, payload, ctx.limits.zone)
    if errors := [problem for problem in problems if problem.severity == "error"]:
        raise refused(errors)
    return checks.settled(payload), [f"warning: {problem}" for problem in problems]


def _plan(ctx: Context, conn: Connection, zone: ZoneRow, new: Whole, force: bool | None) -> _Plan:
    """``force`` None: an import, where a serial that is not ahead gives way; else it was set by hand."""
    found = difference(conn, zone, new)
    before, after = found.removed[0], found.added[0]
    asked = soa_serial(after.rdata)
    same = len(found.removed) == len(found.added) == 1 and before.ttl == after.ttl
    if (
        same
        and with_serial(after.rdata, zone.serial) == before.rdata
        and (asked == zone.serial or (force is None and not is_ahead(asked, zone.serial)))
    ):
        lower = "" if asked == zone.serial else f" but the serial {asked}, which is not ahead of {zone.serial}"
        return _Plan(zone, None, (f"nothing to do: the zone differs in nothing{lower}",))
    messages: list[str] = []
    if force is None and not is_ahead(asked, zone.serial):
        serial = serials.chosen(zone.settings.serial_policy, zone.serial, None, ctx.now)
        messages.append(
            f"the serial {asked} is not ahead of the stored {zone.serial}: "
            f"the policy ({zone.settings.serial_policy}) makes it {serial}"
        )
    else:
        serial = serials.chosen(zone.settings.serial_policy, zone.serial, asked, ctx.now, force=bool(force))
        if not is_ahead(serial, zone.serial):
            messages.append(serials.BACKWARDS.format(new=serial, old=zone.serial))
    soa = after._replace(rdata=with_serial(after.rdata, serial))
    return _Plan(zone, Changeset(found.removed, (soa, *found.added[1:])), tuple(messages))


def _there(plan: _Plan) -> Conflict:
    """The zone is there: what a replacement would do."""
    name = names.to_text(plan.zone.name)
    if plan.changeset is None:
        return Conflict(f"zone {name} is there already, and the file differs in nothing")
    removed, added = plan.changeset.removed[1:], plan.changeset.added[1:]
    lines = [f"- {text(record)}" for record in removed[:SUMMARY]] + [f"+ {text(record)}" for record in added[:SUMMARY]]
    if len(removed) > SUMMARY or len(added) > SUMMARY:
        lines.append("…")
    return Conflict(
        f"zone {name} is there already: the file would add {len(added)} and remove {len(removed)} records and make "
        f"the serial {plan.changeset.to_serial} (it is {plan.zone.serial}); --replace does so",
        [Problem("", line, "warning") for line in lines],
    )


def _meanwhile(zone: ZoneRow) -> Conflict:
    return Conflict(
        f"zone {names.to_text(zone.name)} was changed meanwhile (it is at version {zone.version}, serial "
        f"{zone.serial}); edit it again"
    )


def _replace(ctx: Context, plan: _Plan, new: Whole, comment: str, dry_run: bool) -> dict[str, Any]:
    zone, changeset, comment = plan.zone, plan.changeset, ctx.said(comment)
    if changeset is None:
        return unchanged(zone, plan.messages)
    if dry_run:
        after = dataclasses.replace(zone, serial=changeset.to_serial)
    elif len(changeset.added) + len(changeset.removed) > ctx.limits.large:
        after = _flip(ctx, zone, changeset, new, comment)
    else:
        with ctx.db.write() as conn:
            try:
                after = store_commit.commit_change(
                    conn, zone, changeset, ctx.who, comment, kind="import", journal_size=ctx.limits.journal_size
                )
            except Conflict as error:
                raise Stale from error
    return changed(zone, after, changeset, plan.messages)


def _flip(ctx: Context, zone: ZoneRow, changeset: Changeset, new: Whole, comment: str) -> ZoneRow:
    """Write the new contents aside, in batches, and point the zone at them in one transaction."""
    written = zones.write_contents(ctx.db, _with_soa(new, changeset.added[0]), ctx.now)
    try:
        with ctx.db.write() as conn:
            return store_commit.flip(
                conn, zone, written, changeset, ctx.who, comment, journal_size=ctx.limits.journal_size
            )
    except DnsServerError as error:
        zones.discard_contents(ctx.db, written)
        if isinstance(error, Conflict):
            raise Stale from error
        raise


def _with_soa(whole: Whole, soa: Record) -> Whole:
    """The zone with another SOA in place of its own."""
    return Whole(whole.keys, [soa if record[1] == rrtypes.SOA else record for record in whole.records])


def _create(ctx: Context, apex: bytes, new: Whole, source: str, dry_run: bool) -> dict[str, Any]:
    soa = next(record for record in new.at(apex) if record.type == rrtypes.SOA)
    serial = soa_serial(soa.rdata)
    settings = new_settings(ctx.defaults, int.from_bytes(soa.rdata[-4:], "big"))
    messages = []
    with ctx.db.read() as conn:
        floor = zones.serial_floor(conn, apex)
    if floor is not None and not is_ahead(serial, floor):
        messages.append(
            f"the serial {serial} is not ahead of {floor}, which the deleted zone of this name had: "
            f"it becomes {following(floor)}"
        )
        serial = following(floor)
        new = _with_soa(new, soa._replace(rdata=with_serial(soa.rdata, serial)))
    records = new.records
    if dry_run:
        return _would_create(apex, serial, records, messages)
    comment = ctx.said(f"import {source}")
    if len(records) > ctx.limits.large:
        written = zones.write_contents(ctx.db, new, ctx.now)
        try:
            with ctx.db.write() as conn:
                zone = zones.create(
                    conn, apex, Role.PRIMARY, settings, (), ctx.who, serial=serial, contents=written, kind="import",
                    comment=comment,
                )  # fmt: skip
        except DnsServerError:
            zones.discard_contents(ctx.db, written)
            raise
    else:
        with ctx.db.write() as conn:
            zone = zones.create(
                conn, apex, Role.PRIMARY, settings, records, ctx.who, serial=serial, kind="import", comment=comment
            )
    return created(zone, records, messages)


def _would_create(apex: bytes, serial: int, records: Sequence[Record], messages: list[str]) -> dict[str, Any]:
    return {
        "version": 1,
        "zone": names.to_text(apex),
        "old_serial": None,
        "new_serial": serial,
        "added": [text(record) for record in records[:SUMMARY]],
        "removed": [],
        "added_count": len(records),
        "removed_count": 0,
        "changed": True,
        "messages": messages,
        "zone_version": 0,
    }
