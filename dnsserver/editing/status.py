"""What is going on with a zone, and what happened: ``zone status`` and ``events`` (R22, R26, R27)."""

from __future__ import annotations

from typing import Any

from dnsserver.editing import inputs, shapes
from dnsserver.editing.context import Args, Context
from dnsserver.store import events as store_events
from dnsserver.store import refresh, zones
from dnsserver.store.refresh import State
from dnsserver.zone import names

EVENTS = 100


def status(ctx: Context, args: Args) -> dict[str, Any]:
    """zone.status {name}: the serials served, stored and notified, ``since`` when each is; null without a server.

    Of a secondary zone also ``primaries``, when the next check is and when it expires, the last transfer (its time, its
    kind, the primary that worked last), ``stale`` while checks fail, and ``last_error``.
    """
    args.known("name")
    name = inputs.zone_name(args.text("name"))
    with ctx.db.read() as conn:
        zone = zones.get(conn, name)
        known = refresh.get(conn, zone.id)
    server = ctx.runtime
    served = server.served(zone.id) if server is not None else None
    return {
        "version": 1,
        "zone": names.to_text(name),
        "role": str(zone.role),
        "state": shapes.state(zone, known, ctx.now),
        "serial": {
            "served": None if served is None else served[1],
            "stored": shapes.serial(zone),
            "notified": server.notified(zone.id) if server is not None else None,
        },
        "since": {
            "served": shapes.time_text(server.served_since(zone.id) if server is not None else None),
            "stored": shapes.time_text(zone.changed if zone.version else None),
            "notified": shapes.time_text(server.notified_since(zone.id) if server is not None else None),
        },
        "zone_version": zone.version,
        "served_version": None if served is None else served[0],
        "primaries": [target.text() for target in zone.settings.primaries],
        **_refreshed(known or {}),
    }


def _refreshed(known: State) -> dict[str, Any]:
    error = known.get("error")
    return {
        "primary": known.get("primary"),
        "checked": shapes.time_text(known.get("checked")),
        "next_check": shapes.time_text(known.get("next_check")),
        "expires": shapes.time_text(known.get("expires")),
        "transferred": shapes.time_text(known.get("transferred")),
        "kind": known.get("kind"),
        "stale": bool(known.get("failures")),
        "last_error": None
        if not error
        else {
            "time": shapes.time_text(error.get("at")),
            **{key: error.get(key) for key in ("event", "code", "reason", "primary", "message")},
        },
    }


def events(ctx: Context, args: Args) -> dict[str, Any]:
    """events {limit?, zone?, after?}: what happened, the newest last; repeats within an hour are one, counted.

    ``after``: only those with a higher id, and the lowest of them first.
    """
    args.known("limit", "zone", "after")
    limit = args.number("limit", EVENTS, low=1, high=store_events.KEPT) or EVENTS
    zone = args.optional_text("zone")
    only = inputs.zone_name(zone) if zone else None
    with ctx.db.read() as conn:
        found = store_events.recent(conn, limit, args.number("after"), only)
    return {
        "version": 1,
        "events": [
            {
                "id": event.id,
                "first": shapes.time_text(event.first),
                "last": shapes.time_text(event.last),
                "count": event.count,
                "name": event.name,
                "code": event.code,
                "zone": names.to_text(event.zone) if event.zone is not None else None,
                "peer": event.peer or None,
                "reason": event.reason or None,
                "message": event.message,
            }
            for event in found
        ],
    }
