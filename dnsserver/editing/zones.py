"""The zone commands that change a zone as a whole: create, suspend, resume, delete, restore, notify."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, secondaries, shapes
from dnsserver.editing.commit import created
from dnsserver.editing.context import Args, Context
from dnsserver.editing.edit import refused
from dnsserver.editing.settings import check_settings, given_changes, new_settings
from dnsserver.errors import Conflict, InvalidData, NotFound, Unreachable
from dnsserver.store import refresh, zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import checks, names, rrtypes
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record, with_serial
from dnsserver.zone.serial import first_serial
from dnsserver.zone.settings import ZoneSettings

_TIMERS = struct.Struct(">5I")


def create(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.create {name, ns?: ["HOST[=ADDRESS]", …], secondary_of?, settings?: ["KEY=VALUE", …] or {KEY: VALUE}}.

    A primary zone with SOA and NS; with ``secondary_of`` see ``secondaries.create``. Raises Conflict when it is there,
    InvalidData naming what is wrong.
    """
    args.known("name", "ns", "secondary_of", "settings")
    if args.texts("secondary_of"):
        return secondaries.create(ctx, args)
    apex = inputs.zone_name(args.text("name"))
    settings = new_settings(ctx.defaults, ctx.defaults.minimum).with_change(given_changes(args))
    records, messages = _first_records(ctx, apex, args.texts("ns"), settings)
    problems = checks.check_contents(apex, records, ctx.limits.zone)
    if errors := [problem for problem in problems if problem.severity == "error"]:
        raise refused(errors)
    messages += [f"warning: {problem.message}" for problem in problems]
    with ctx.db.write() as conn:
        check_settings(conn, apex, Role.PRIMARY, settings)
        zone = zones.create(conn, apex, Role.PRIMARY, settings, records, ctx.who, comment=ctx.said("zone create"))
        records = list(zones.records(conn, zone))
    return created(zone, records, messages)


def _first_records(
    ctx: Context, apex: bytes, servers: list[str], settings: ZoneSettings
) -> tuple[list[Record], list[str]]:
    """SOA, NS and glue of a new zone, in this order; and what the person should know."""
    defaults = ctx.defaults
    ttl = settings.default_ttl if settings.default_ttl is not None else defaults.minimum
    primary = names.from_user(ctx.server_name)
    hosts: dict[bytes, bytes] = {}
    glue: list[Record] = []
    messages: list[str] = []
    for server in servers or [ctx.server_name.rstrip(".") + "."]:
        host_text, equals, address = server.partition("=")
        host = inputs.host_name(host_text.strip(), apex)
        hosts.setdefault(host.lower(), host)
        if not equals:
            continue
        record = _address(host, ttl, address.strip(), server)
        if not names.is_within(host.lower(), apex):
            messages.append(f"{names.to_text(host)} is not in the zone: its address {address} is left out")
        elif record not in glue:
            glue.append(record)
    soa = primary + hostmaster(defaults.hostmaster, apex) + _TIMERS.pack(
        0, defaults.refresh, defaults.retry, defaults.expire, defaults.minimum
    )  # fmt: skip
    soa = with_serial(soa, first_serial(settings.serial_policy, ctx.now))
    return [
        Record(apex, rrtypes.SOA, ttl, soa),
        *(Record(apex, rrtypes.NS, ttl, host) for host in hosts.values()),
        *glue,
    ], messages


def _address(host: bytes, ttl: int, text: str, server: str) -> Record:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidData(f"--ns {server}: {text!r} is no IP address (HOST=ADDRESS)") from None
    rtype = rrtypes.A if address.version == 4 else rrtypes.AAAA
    return Record(host, rtype, ttl, address.packed)


def hostmaster(text: str, apex: bytes) -> bytes:
    """The RNAME of a mailbox (``a.b@example.net``: the first label is ``a.b``; RFC 1035, 8), a name, or a label."""
    if "@" in text:
        local, _, domain = text.partition("@")
        return names.from_labels([local.encode(), *names.labels(names.from_user(domain))])
    return names.from_text(text, apex) if "." not in text else names.from_user(text)


def suspend(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.suspend {name}: not answered, not transferred, kept."""
    return _suspended(ctx, args, True)


def resume(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.resume {name}."""
    return _suspended(ctx, args, False)


def _suspended(ctx: Context, args: Args, suspended: bool) -> dict[str, Any]:
    def change(conn: Connection, name: bytes) -> tuple[ZoneRow, bool]:
        zone = zones.get(conn, name)
        return zones.set_suspended(conn, zone, suspended, ctx.who), zone.suspended != suspended

    return _change(ctx, args, change, "suspended already" if suspended else "not suspended")


def delete(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.delete {name}: can be undone for ``undelete`` seconds. Whoever calls has asked the person."""

    def change(conn: Connection, name: bytes) -> tuple[ZoneRow, bool]:
        return zones.delete(conn, zones.get(conn, name), ctx.who), True

    result = _change(ctx, args, change, "")
    until = shapes.time_text(ctx.now + ctx.limits.undelete)
    result["messages"].append(f"it can be restored until {until} (`dnsserver zone restore {result['zone']}`)")
    return result


def restore(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.restore {name}. Raises NotFound when no zone of this name was deleted lately, Conflict when it is there."""

    def change(conn: Connection, name: bytes) -> tuple[ZoneRow, bool]:
        zone = zones.deleted(conn, name)
        if zone is None or zone.deleted is None or zone.deleted + ctx.limits.undelete < ctx.now:
            if zones.find(conn, name) is not None:
                raise Conflict(f"the zone {names.to_text(name)} is not deleted")
            raise NotFound(f"there is no deleted zone {names.to_text(name)} that could be restored")
        return zones.restore(conn, zone, ctx.who), True

    return _change(ctx, args, change, "")


def _change(
    ctx: Context, args: Args, change: Callable[[Connection, bytes], tuple[ZoneRow, bool]], nothing: str
) -> dict[str, Any]:
    args.known("name")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.write() as conn:
        zone, differs = change(conn, name)
        known = refresh.get(conn, zone.id)
    return {
        "version": 1,
        "zone": names.to_text(name),
        "state": shapes.state(zone, known, ctx.now),
        "serial": shapes.serial(zone),
        "changed": differs,
        "messages": [] if differs else [f"nothing to do: it is {nothing}"],
        "zone_version": zone.version,
    }


def notify(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.notify {name}: NOTIFY to all targets again.

    Raises Unreachable where no server runs, Conflict for a zone that has no contents yet.
    """
    args.known("name")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
    if ctx.runtime is None:
        raise Unreachable("no server runs, so no NOTIFY can be sent; start `dnsserver serve`")
    if not zone.version:
        raise Conflict(shapes.no_contents(zone))
    ctx.runtime.notify_now(zone.id)
    return {
        "version": 1,
        "zone": names.to_text(name),
        "serial": zone.serial,
        "zone_version": zone.version,
        "messages": [],
    }
