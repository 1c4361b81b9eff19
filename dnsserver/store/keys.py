"""TSIG keys. Their secrets are sealed at rest; one that cannot be opened is listed as unreadable, never an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.errors import Conflict, NotFound, StoreFailed
from dnsserver.store import access, feed, history, zones
from dnsserver.store.history import Who
from dnsserver.store.schema import keys
from dnsserver.zone import names

if TYPE_CHECKING:
    from dnsserver.store.secretbox import SecretBox


@dataclass(frozen=True, slots=True)
class StoredKey:
    """``name`` and ``algorithm``: lower-cased wire names; ``secret``: None when it is unreadable; ``created``: epoch.

    ``weak_allowed``: its algorithm (hmac-md5, hmac-sha1) was taken knowingly.
    """

    name: bytes
    algorithm: bytes
    secret: bytes | None = field(repr=False)
    weak_allowed: bool
    created: float


def put(
    conn: Connection, name: bytes, algorithm: bytes, secret: bytes, who: Who, *, weak_allowed: bool = False
) -> StoredKey:
    """Stores a key, or gives one that is there another secret. Raises StoreFailed when there is no secret file."""
    name, algorithm = name.lower(), algorithm.lower()
    box = _box(conn)
    if box is None:
        raise StoreFailed("TSIG secrets cannot be stored: there is no secret file to seal them with")
    values = {
        "name": name, "algorithm": algorithm, "secret": box.seal(secret, name), "weak_allowed": weak_allowed,
        "created": who.now,
    }  # fmt: skip
    replaced = conn.execute(sa.delete(keys).where(keys.c.name == name)).rowcount
    conn.execute(sa.insert(keys), values)
    detail = names.to_text(algorithm) + (", weak allowed" if weak_allowed else "")
    history.add(conn, who, names.to_text(name), "key-replace" if replaced else "key-add", detail)
    feed.append(conn, feed.KEYS)
    return StoredKey(name, algorithm, secret, weak_allowed, who.now)


def get(conn: Connection, name: bytes) -> StoredKey:
    """The key of this name; raises NotFound."""
    found = _read(conn, sa.select(keys).where(keys.c.name == name.lower()))
    if not found:
        raise NotFound(f"there is no key {names.to_text(name)}")
    return found[0]


def all_keys(conn: Connection) -> list[StoredKey]:
    """All keys by name."""
    return _read(conn, sa.select(keys).order_by(keys.c.name))


def delete(conn: Connection, name: bytes, who: Who) -> None:
    """Raises NotFound, or Conflict when the key is in use, with where."""
    key = get(conn, name)
    if places := uses(conn, key.name):
        raise Conflict(f"key {names.to_text(key.name)} is in use: {', '.join(places)}")
    conn.execute(sa.delete(keys).where(keys.c.name == key.name))
    history.add(conn, who, names.to_text(key.name), "key-delete")
    feed.append(conn, feed.KEYS)


def uses(conn: Connection, name: bytes) -> list[str]:
    """Where the key is mentioned, in words: access lists, and settings of zones."""
    name = name.lower()
    live = zones.all_zones(conn)
    names_of = {zone.id: names.to_text(zone.name) for zone in live}
    found = []
    for stored in access.using(access.entries(conn), name):
        if stored.zone_id is None:
            found.append(f"the {stored.layer} list ({stored.entry.text()})")
        elif stored.zone_id in names_of:
            found.append(f"the list of zone {names_of[stored.zone_id]} ({stored.entry.text()})")
    found += [f"the settings of zone {names_of[zone.id]}" for zone in live if name in zone.settings.keys()]  # noqa: SIM118
    return found


def _read(conn: Connection, query: sa.Select[tuple[bytes, bytes, bytes, bool, float]]) -> list[StoredKey]:
    box = _box(conn)
    return [
        StoredKey(row.name, row.algorithm, _open(box, row.secret, row.name), bool(row.weak_allowed), row.created)
        for row in conn.execute(query)
    ]


def _open(box: SecretBox | None, sealed: bytes, name: bytes) -> bytes | None:
    if box is None:
        return None
    try:
        return box.open(sealed, name)
    except StoreFailed:
        return None


def _box(conn: Connection) -> SecretBox | None:
    """The box that ``Database.open`` was given."""
    box = conn.info.get("secret")
    return cast("SecretBox | None", box)
