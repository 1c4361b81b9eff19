"""Secondary zones, as operators make and unmake them (R9, R28). What their primaries send comes in elsewhere."""

from __future__ import annotations

from typing import Any, NoReturn

from sqlalchemy import Connection

from dnsserver.editing import inputs, shapes
from dnsserver.editing.commit import created
from dnsserver.editing.context import Args, Context
from dnsserver.editing.settings import check_settings, given_changes
from dnsserver.errors import Conflict, InvalidData, Unreachable, UsageError
from dnsserver.store import outbox, refresh, zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import checks, names, rrtypes
from dnsserver.zone.access import Role
from dnsserver.zone.settings import ZoneSettings


def create(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.create {name, secondary_of: [TARGET, …], settings?}: a zone whose contents come with its first transfer.

    ``new_serial`` of the result is null, ``settings`` are the zone's.
    """
    if args.texts("ns"):
        raise UsageError("name servers are given to a primary zone: those of a secondary zone come from its primary")
    apex = inputs.zone_name(args.text("name"))
    settings = ZoneSettings(serial_policy=ctx.defaults.serial_policy).with_change(given_changes(args))
    settings = _with_primaries(settings, args)
    with ctx.db.write() as conn:
        check_settings(conn, apex, Role.SECONDARY, settings)
        zone = zones.create(conn, apex, Role.SECONDARY, settings, (), ctx.who, comment=ctx.said("zone create"))
    return created(zone, (), []) | {"settings": settings.to_dict()}


def convert(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.convert {name, to: "primary"|"secondary", secondary_of?: [TARGET, …]}: the zone keeps what it holds.

    A zone that becomes secondary serves that until its first transfer, or until it expires. Raises Conflict for a zone
    that never had contents: there is nothing to make a primary zone of.
    """
    args.known("name", "to", "secondary_of")
    name, role = inputs.zone_name(args.text("name")), _role(args.text("to"))
    if (role is Role.SECONDARY) != bool(args.texts("secondary_of")):
        raise UsageError("secondary_of names the primaries of a zone that becomes secondary, and goes with no other")
    with ctx.db.write() as conn:
        zone = zones.get(conn, name)
        settings = _with_primaries(zone.settings, args)
        if zone.role is role:
            if settings != zone.settings:
                raise Conflict(_is_so(zone) + f"; `dnsserver zone set {names.to_text(name)} primaries=…` changes these")
            return _result(zone, settings, ["nothing to do: " + _is_so(zone)], changed=False)
        check_settings(conn, name, role, settings)
        messages = _to_secondary(zone) if role is Role.SECONDARY else _to_primary(conn, zone)
        after = zones.convert(conn, zone, role, settings, ctx.who, ctx.comment)
        if role is Role.SECONDARY:
            _begin_to_expire(conn, after, ctx.now)
    return _result(after, settings, messages, changed=True)


def need_server(ctx: Context, args: Args) -> NoReturn:
    """zone.refresh and zone.retransfer {name, timeout?}: a server does these itself, so that here none runs.

    Raises Unreachable; NotFound and Conflict before that, as the server does.
    """
    args.known("name", "timeout")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        get(conn, name)
    raise Unreachable("no server runs, so no primary is asked; start `dnsserver serve`")


def get(conn: Connection, name: bytes) -> ZoneRow:
    """The secondary zone of this name; raises NotFound, and Conflict for a primary zone."""
    zone = zones.get(conn, name)
    if zone.role is not Role.SECONDARY:
        raise Conflict(_is_so(zone) + ": there is no primary to ask")
    return zone


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidData(f"to: {text!r} is none of {', '.join(Role)}") from None


def _with_primaries(settings: ZoneSettings, args: Args) -> ZoneSettings:
    """The settings with ``secondary_of`` as primaries, none where it is not given."""
    return settings.with_change([f"primaries={target}" for target in args.texts("secondary_of") or [""]])


def _is_so(zone: ZoneRow) -> str:
    primaries = ", ".join(target.text() for target in zone.settings.primaries)
    return f"{names.to_text(zone.name)} is a {zone.role} zone" + (f" of {primaries}" if primaries else "")


def _to_secondary(zone: ZoneRow) -> list[str]:
    name = names.to_text(zone.name)
    return [
        "it serves what it holds until its first transfer, which replaces all of it",
        f"where the primary's serial is not ahead of {zone.serial}: `dnsserver zone retransfer {name}`",
    ]


def _begin_to_expire(conn: Connection, zone: ZoneRow, now: float) -> None:
    """What it holds is good from now on for as long as its SOA says (R11), whenever a server runs."""
    soa = next((record for record in zones.records(conn, zone, zone.name) if record.type == rrtypes.SOA), None)
    if soa is not None:
        expire = int.from_bytes(soa.rdata[-8:-4], "big")
        refresh.save(conn, [(zone.id, {"expires": now + expire})])


def _to_primary(conn: Connection, zone: ZoneRow) -> list[str]:
    """What is left of the old primary; its timers go, and the zone's own secondaries are told of their primary."""
    if not zone.version:
        raise Conflict(f"{names.to_text(zone.name)} never had contents, so there is nothing to make a primary zone of")
    refresh.forget(conn, zone.id)
    outbox.put(conn, zone.id, zone.version, zone.serial)
    apex = list(zones.records(conn, zone, zone.name))
    messages = [
        f"the SOA names {names.to_text(checks.first_name(record.rdata))} as the primary (`record set` changes it)"
        for record in apex
        if record.type == rrtypes.SOA
    ]
    types = {record.type for record in apex}
    if rrtypes.RRSIG in types:
        messages.append("warning: the zone is signed; what is edited here has no signature, and those there are expire")
    if rrtypes.ZONEMD in types:
        messages.append("warning: the zone's digest (ZONEMD) is wrong from its first change here on; delete it")
    return messages


def _result(zone: ZoneRow, settings: ZoneSettings, messages: list[str], *, changed: bool) -> dict[str, Any]:
    return {
        "version": 1,
        "zone": names.to_text(zone.name),
        "role": str(zone.role),
        "serial": shapes.serial(zone),
        "changed": changed,
        "settings": settings.to_dict(),
        "messages": messages,
        "zone_version": zone.version,
    }
