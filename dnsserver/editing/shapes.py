"""How values look in results: times in RFC 3339, names absolute, settings as ``zone set`` takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dnsserver.store.refresh import State
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, Layer, Role
from dnsserver.zone.settings import ZoneSettings


def time_text(seconds: float | None) -> str | None:
    """Seconds since the epoch as ``2026-01-31T12:00:00Z``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def state(zone: ZoneRow, known: State | None, now: float) -> str:
    """``active``, ``suspended``, ``deleted``; of a secondary zone also ``waiting`` (for its first transfer) and
    ``expired`` (R11), by what is ``known`` of its refreshes."""
    if zone.deleted is not None:
        return "deleted"
    if zone.suspended:
        return "suspended"
    if not zone.version:
        return "waiting"
    if known is None or zone.role is not Role.SECONDARY:
        return "active"
    expires = known.get("expires")
    return "expired" if known.get("expired") or (expires is not None and expires <= now) else "active"


def serial(zone: ZoneRow) -> int | None:
    """The stored serial; None before the first contents."""
    return zone.serial if zone.version else None


def no_contents(zone: ZoneRow) -> str:
    """Why there is nothing to be had of a secondary zone that is new."""
    primaries = ", ".join(target.text() for target in zone.settings.primaries)
    return f"{names.to_text(zone.name)} has no contents yet: it waits for its first transfer from {primaries}"


def entry(found: AccessEntry, layer: Layer, zone: bytes | None = None) -> dict[str, Any]:
    """An entry of an access list."""
    return {
        "layer": str(layer),
        "zone": None if zone is None else names.to_text(zone),
        "entry": found.text(),
        "prefix": None if found.prefix is None else str(found.prefix),
        "key": None if found.key is None else names.to_text(found.key),
    }


def setting(settings: ZoneSettings, key: str) -> Any:
    """The value of a setting by the name that ``to_dict`` gives it, switches as on and off."""
    value = settings.to_dict()[key]
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value
