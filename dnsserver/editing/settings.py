"""The settings of zones: those of a new zone, ``zone set``, and what goes with a zone's role."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from dnsserver.editing import inputs, shapes
from dnsserver.editing.context import Args, Context, ZoneDefaults
from dnsserver.errors import InvalidData, NotFound, UsageError
from dnsserver.store import keys, zones
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.settings import ZoneSettings


def new_settings(defaults: ZoneDefaults, minimum: int) -> ZoneSettings:
    """The settings of a new zone; its default TTL is the SOA's minimum at creation (CONTRACT, TTL)."""
    default_ttl = defaults.ttl if defaults.ttl is not None else minimum
    return ZoneSettings(serial_policy=defaults.serial_policy, default_ttl=default_ttl)


def given_changes(args: Args) -> list[str]:
    """The argument ``settings``, ["KEY=VALUE", …] or {KEY: VALUE or [VALUE, …]}, as ``with_change`` takes it."""
    given = args.values.get("settings")
    if isinstance(given, dict):
        pairs = []
        for key, value in given.items():
            values = value if isinstance(value, list) else [value]
            pairs += [f"{key}={'on' if v is True else 'off' if v is False else v}" for v in values]
        return pairs
    return args.texts("settings")


def check_settings(conn: Connection, name: bytes, role: Role, settings: ZoneSettings) -> None:
    """Raises InvalidData when a secondary zone has no primaries, or another has; NotFound for an unknown TSIG key."""
    zone = names.to_text(name)
    if role is Role.SECONDARY and not settings.primaries:
        raise InvalidData(
            f"primaries: the secondary zone {zone} needs at least one "
            f"(`dnsserver zone convert {zone} --to primary` makes it a primary zone)"
        )
    if role is Role.PRIMARY and settings.primaries:
        raise InvalidData(
            f"primaries: {zone} is a primary zone and has none "
            f"(`dnsserver zone convert {zone} --to secondary --secondary-of ADDR` makes it a secondary zone)"
        )
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
        check_settings(conn, name, zone.role, settings)
        after = zones.set_settings(conn, zone, settings, ctx.who)
    differing = [
        {"key": key.replace("_", "-"), "old": shapes.setting(zone.settings, key), "new": shapes.setting(settings, key)}
        for key in settings.to_dict()
        if shapes.setting(zone.settings, key) != shapes.setting(settings, key)
    ]
    return {
        "version": 1,
        "zone": names.to_text(name),
        "changed": bool(differing),
        "changes": differing,
        "settings": settings.to_dict(),
        "messages": [] if differing else ["nothing to do: the settings are so already"],
        "zone_version": after.version,
    }
