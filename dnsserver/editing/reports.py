"""What can be asked about zones: list, show (R25), check (R30), and the server's history."""

from __future__ import annotations

import struct
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, keys, shapes
from dnsserver.editing.access import permissions
from dnsserver.editing.context import Args, Context
from dnsserver.errors import Problem
from dnsserver.store import history as store_history
from dnsserver.store import refresh, zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import checks, names, rrtypes
from dnsserver.zone.records import Record

LINES = 50


def list_(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.list {}: all zones by name."""
    args.known()
    with ctx.db.read() as conn:
        known = dict(refresh.load(conn))
        found = [_row(zone, known.get(zone.id), ctx.now) for zone in zones.all_zones(conn)]
    return {"version": 1, "zones": found}


def _row(zone: ZoneRow, known: refresh.State | None, now: float) -> dict[str, Any]:
    return {
        "zone": names.to_text(zone.name),
        "role": str(zone.role),
        "state": shapes.state(zone, known, now),
        "serial": shapes.serial(zone),
        "zone_version": zone.version,
        "records": zone.record_count,
        "size": zone.wire_size,
        "changed": shapes.time_text(zone.changed),
    }


def show(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.show {name}: one report of SOA, settings, transfer permissions and keys with their times (R25)."""
    args.known("name")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
        apex = list(zones.records(conn, zone, zone.name))
        allowed = permissions(conn, zone)
        used = {entry["key"] for entry in allowed if entry["key"] is not None}
        used |= {names.to_text(key) for key in zone.settings.keys()}  # noqa: SIM118
        found = [_key(conn, text) for text in sorted(used)]
        known = refresh.get(conn, zone.id)
    return {
        "version": 1,
        **_row(zone, known, ctx.now),
        "created": shapes.time_text(zone.created),
        "soa": _soa(apex),
        "name_servers": sorted(names.to_text(record.rdata) for record in apex if record.type == rrtypes.NS),
        "serial_policy": str(zone.settings.serial_policy),
        "settings": zone.settings.to_dict(),
        "access": allowed,
        "keys": found,
    }


def _key(conn: Connection, text: str) -> dict[str, Any]:
    key = keys.find(conn, names.from_text(text))
    return keys.shown(key) if key is not None else {"name": text, "algorithm": None, "created": None}


def _soa(apex: list[Record]) -> dict[str, Any] | None:
    soa = next((record for record in apex if record.type == rrtypes.SOA), None)
    if soa is None:
        return None
    mname = checks.first_name(soa.rdata)
    rname = checks.first_name(soa.rdata[len(mname) :])
    serial, refresh, retry, expire, minimum = struct.unpack(">5I", soa.rdata[-20:])
    return {
        "mname": names.to_text(mname),
        "rname": names.to_text(rname),
        "serial": serial,
        "refresh": refresh,
        "retry": retry,
        "expire": expire,
        "minimum": minimum,
        "ttl": soa.ttl,
    }


def check(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.check {name}: all problems of the zone; ``ok`` when there is none, not even a warning (R30)."""
    args.known("name")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
        problems = _problems(ctx, conn, zone)
    return {
        "version": 1,
        "zone": names.to_text(name),
        "serial": shapes.serial(zone),
        "ok": not problems,
        "errors": sum(problem.severity == "error" for problem in problems),
        "warnings": sum(problem.severity == "warning" for problem in problems),
        "problems": [{"place": p.place, "message": p.message, "severity": p.severity} for p in problems],
    }


def _problems(ctx: Context, conn: Connection, zone: ZoneRow) -> list[Problem]:
    if not zone.version:
        return [Problem(names.to_text(zone.name), shapes.no_contents(zone), "warning")]
    problems = list(checks.check_contents(zone.name, zones.records(conn, zone), ctx.limits.zone))
    apex = list(zones.records(conn, zone, zone.name))
    problems += checks.check_servers(zone.name, apex, lambda host: list(zones.records(conn, zone, host)))
    return problems + _unnotified(zone, apex)


def _unnotified(zone: ZoneRow, apex: list[Record]) -> list[Problem]:
    """R30: in-zone secondaries that NOTIFY does not reach, since it is switched off."""
    soa = next((record for record in apex if record.type == rrtypes.SOA), None)
    if zone.settings.notify or soa is None:
        return []
    primary = checks.first_name(soa.rdata).lower()
    hosts = sorted({record.rdata.lower() for record in apex if record.type == rrtypes.NS} - {primary})
    inside = [names.to_text(host) for host in hosts if names.is_within(host, zone.name)]
    if not inside:
        return []
    text = f"NOTIFY is switched off (notify=off), so {', '.join(inside)} learn of changes only by their refresh timer"
    return [Problem(names.to_text(zone.name), text, "warning")]


def history(ctx: Context, args: Args) -> dict[str, Any]:
    """history {limit?}: who changed access, keys, settings and zones, the newest first."""
    args.known("limit")
    limit = args.number("limit", LINES, low=1) or LINES
    with ctx.db.read() as conn:
        found = [
            {
                "time": shapes.time_text(line.time),
                "user": line.user,
                "source": line.source,
                "subject": line.subject,
                "action": line.action,
                "detail": line.detail,
            }
            for line in store_history.entries(conn, limit)
        ]
    return {"version": 1, "entries": found}
