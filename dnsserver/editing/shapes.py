"""How values look in results: times in RFC 3339, names absolute, settings as ``zone set`` takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, Layer
from dnsserver.zone.settings import ZoneSettings


def time_text(seconds: float | None) -> str | None:
    """Seconds since the epoch as ``2026-01-31T12:00:00Z``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def state(zone: ZoneRow) -> str:
    """``active``, ``suspended``, ``deleted``; ``empty`` for a secondary zone that has no contents yet."""
    if zone.deleted is not None:
        return "deleted"
    if zone.suspended:
        return "suspended"
    return "active" if zone.version else "empty"


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
