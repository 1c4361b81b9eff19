"""The zone commands that change a zone as a whole: create, set, suspend, resume, delete, restore, notify."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, shapes
from dnsserver.editing.commit import committed, created
from dnsserver.editing.context import Args, Context, ZoneDefaults
from dnsserver.editing.edit import refused
from dnsserver.errors import Conflict, InvalidData, NotFound, Unreachable, UsageError
from dnsserver.store import keys, zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import checks, names, rrtypes
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record, with_serial
from dnsserver.zone.serial import first_serial
from dnsserver.zone.settings import ZoneSettings

_TIMERS = struct.Struct(">5I")


def create(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.create {name, ns?: ["HOST[=ADDRESS]", …], settings?: ["KEY=VALUE", …] or {KEY: VALUE}}.

    A primary zone with SOA and NS. Raises Conflict when it is there, InvalidData naming what is wrong.
    """
    args.known("name", "ns", "settings")
    apex = inputs.zone_name(args.text("name"))
    settings = new_settings(ctx.defaults, ctx.defaults.minimum).with_change(_changes(args))
    records, messages = _first_records(ctx, apex, args.texts("ns"), settings)
    problems = checks.check_contents(apex, records, ctx.limits.zone)
    if errors := [problem for problem in problems if problem.severity == "error"]:
        raise refused(errors)
    messages += [f"warning: {problem.message}" for problem in problems]
    with ctx.db.write() as conn:
        known_keys(conn, settings)
        zone = zones.create(conn, apex, Role.PRIMARY, settings, records, ctx.who, comment=ctx.said("zone create"))
        records = list(zones.records(conn, zone))
    result = created(zone, records, messages)
    committed(ctx, result)
    return result


def new_settings(defaults: ZoneDefaults, minimum: int) -> ZoneSettings:
    """The settings of a new zone; its default TTL is the SOA's minimum at creation (CONTRACT, TTL)."""
    default_ttl = defaults.ttl if defaults.ttl is not None else minimum
    return ZoneSettings(serial_policy=defaults.serial_policy, default_ttl=default_ttl)


def _changes(args: Args) -> list[str]:
    given = args.values.get("settings")
    if isinstance(given, dict):
        pairs = []
        for key, value in given.items():
            values = value if isinstance(value, list) else [value]
            pairs += [f"{key}={'on' if v is True else 'off' if v is False else v}" for v in values]
        return pairs
    return args.texts("settings")


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


def known_keys(conn: Connection, settings: ZoneSettings) -> None:
    """Raises NotFound for a TSIG key that the settings name and that is not here."""
    for key in sorted(settings.keys()):
        need_key(conn, key)


def need_key(conn: Connection, key: bytes) -> None:
    """Raises NotFound when there is no such TSIG key."""
    try:
        keys.get(conn, key)
    except NotFound as error:
        raise NotFound(f"{error.message} (`dnsserver key import` or `key generate` makes it)") from None


def set_(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.set {name, changes: ["KEY=VALUE", …]}: ``changes`` of the result has key, old and new of what differs."""
    args.known("name", "changes")
    name = inputs.zone_name(args.text("name"))
    changes = args.texts("changes")
    if not changes:
        raise UsageError("zone.set needs at least one KEY=VALUE")
    with ctx.db.write() as conn:
        zone = zones.get(conn, name)
        settings = zone.settings.with_change(changes)
        known_keys(conn, settings)
        after = zones.set_settings(conn, zone, settings, ctx.who)
    differing = [
        {"key": key.replace("_", "-"), "old": shapes.setting(zone.settings, key), "new": shapes.setting(settings, key)}
        for key in settings.to_dict()
        if shapes.setting(zone.settings, key) != shapes.setting(settings, key)
    ]
    result = {
        "version": 1,
        "zone": names.to_text(name),
        "changed": bool(differing),
        "changes": differing,
        "settings": settings.to_dict(),
        "messages": [] if differing else ["nothing to do: the settings are so already"],
        "zone_version": after.version,
    }
    committed(ctx, result)
    return result


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
    result = {
        "version": 1,
        "zone": names.to_text(name),
        "state": shapes.state(zone),
        "serial": zone.serial,
        "changed": differs,
        "messages": [] if differs else [f"nothing to do: it is {nothing}"],
        "zone_version": zone.version,
    }
    committed(ctx, result)
    return result


def notify(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.notify {name}: NOTIFY to all targets again. Raises Unreachable where no server runs."""
    args.known("name")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
    if ctx.runtime is None:
        raise Unreachable("no server runs, so no NOTIFY can be sent; start `dnsserver serve`")
    ctx.runtime.notify_now(zone.id)
    return {
        "version": 1,
        "zone": names.to_text(name),
        "serial": zone.serial,
        "zone_version": zone.version,
        "messages": [],
    }
