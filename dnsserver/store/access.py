"""The three access lists (R1 to R5) as they are stored; ``zone.access`` decides by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store import feed, history
from dnsserver.store.history import Who
from dnsserver.store.schema import access
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Layer

DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry of a list; ``zone_id`` is None for the lists of the whole server; ``created``: epoch.

    ``notify_port``: where a super-slave of a single address takes NOTIFY (R8).
    """

    layer: Layer
    zone_id: int | None
    entry: AccessEntry
    created: float
    user: str
    notify_port: int = DNS_PORT


def entries(conn: Connection, layer: Layer | None = None, zone_id: int | None = None) -> list[StoredEntry]:
    """The entries, oldest first: all, those of one layer, of one zone, or of both together."""
    query = sa.select(access).order_by(access.c.id)
    if layer is not None:
        query = query.where(access.c.layer == str(layer))
    if zone_id is not None:
        query = query.where(access.c.zone == zone_id)
    return [
        StoredEntry(
            Layer(row.layer), row.zone or None, _entry(row.prefix, row.key), row.created, row.user, row.notify_port
        )
        for row in conn.execute(query)
    ]


def lists(conn: Connection) -> AccessLists:
    """The lists of the whole server."""
    return AccessLists(
        tuple(stored.entry for stored in entries(conn, Layer.GLOBAL)),
        tuple(stored.entry for stored in entries(conn, Layer.SUPER_SLAVE)),
    )


def notify_ports(conn: Connection) -> dict[AccessEntry, int]:
    """The ports of super-slaves that take NOTIFY elsewhere than on 53."""
    stored = entries(conn, Layer.SUPER_SLAVE)
    return {one.entry: one.notify_port for one in stored if one.notify_port != DNS_PORT}


def zone_entries(conn: Connection, zone_id: int) -> tuple[AccessEntry, ...]:
    """A zone's own list."""
    return tuple(stored.entry for stored in entries(conn, Layer.ZONE, zone_id))


def all_zone_entries(conn: Connection, ids: Collection[int] | None = None) -> dict[int, tuple[AccessEntry, ...]]:
    """The zones' own lists by zone id, or those of some zones, a few hundred; zones with an empty one are left out."""
    query = sa.select(access.c.zone, access.c.prefix, access.c.key).where(access.c.layer == str(Layer.ZONE))
    if ids is not None:
        query = query.where(access.c.zone.in_(ids))
    found: dict[int, list[AccessEntry]] = {}
    for zone_id, prefix, key in conn.execute(query.order_by(access.c.id)):
        found.setdefault(zone_id, []).append(_entry(prefix, key))
    return {zone_id: tuple(its) for zone_id, its in found.items()}


def allow(
    conn: Connection,
    layer: Layer,
    zone: ZoneRow | None,
    entry: AccessEntry,
    who: Who,
    notify_port: int | None = None,
) -> bool:
    """Puts an entry on a list; False when it was there already. ``zone`` goes with the layer ``zone`` alone.

    ``notify_port`` None: 53 for a new entry; one that is there keeps its own.
    """
    here = _columns(layer, zone, entry)
    port = DNS_PORT if notify_port is None else notify_port
    found = conn.execute(sa.select(access.c.id, access.c.notify_port).filter_by(**here)).first()
    if found is None:
        values = {**here, "notify_port": port, "created": who.now, "user": history.storable(who.user)}
        conn.execute(sa.insert(access), values)
    elif notify_port is not None and notify_port != found.notify_port:
        conn.execute(sa.update(access).where(access.c.id == found.id).values(notify_port=port))
    else:
        return False
    _tell(conn, layer, zone, entry, who, "access-allow")
    return True


def revoke(conn: Connection, layer: Layer, zone: ZoneRow | None, entry: AccessEntry, who: Who) -> bool:
    """Takes an entry off a list; False when it was not there."""
    if conn.execute(sa.delete(access).filter_by(**_columns(layer, zone, entry))).rowcount == 0:
        return False
    _tell(conn, layer, zone, entry, who, "access-revoke")
    return True


def _columns(layer: Layer, zone: ZoneRow | None, entry: AccessEntry) -> dict[str, object]:
    if (layer == Layer.ZONE) != (zone is not None):
        raise ValueError("a zone is given for the layer 'zone', and for no other")
    return {
        "layer": str(layer),
        "zone": zone.id if zone is not None else 0,
        "prefix": str(entry.prefix) if entry.prefix is not None else "",
        "key": entry.key or b"",
    }


def _tell(conn: Connection, layer: Layer, zone: ZoneRow | None, entry: AccessEntry, who: Who, action: str) -> None:
    subject = names.to_text(zone.name) if zone is not None else str(layer)
    history.add(conn, who, subject, action, entry.text())
    feed.append(conn, feed.ACCESS, zone.id if zone is not None else None)


@lru_cache(maxsize=4096)
def _entry(prefix: str, key: bytes) -> AccessEntry:
    return AccessEntry(AccessEntry.parse(prefix).prefix if prefix else None, key or None)


def using(stored: Iterable[StoredEntry], key: bytes) -> list[StoredEntry]:
    """Those entries that ask for the key."""
    return [item for item in stored if item.entry.key == key]
