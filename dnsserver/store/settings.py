"""What the server keeps for itself: secrets of DNS cookies, the key of tickets, and the like; values are bytes."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store import feed
from dnsserver.store.schema import settings

# LIMITS, cookies: the current and the previous secret are valid.
COOKIE_PERIOD = 86400.0

_COOKIES = "cookie-secrets"


class CookieSecrets(NamedTuple):
    """Secrets of 16 octets (RFC 9018, 4.4); ``since``: when ``current`` began (epoch)."""

    current: bytes
    previous: bytes | None
    since: float


def get(conn: Connection, name: str) -> bytes | None:
    return conn.execute(sa.select(settings.c.value).where(settings.c.name == name)).scalar_one_or_none()


def put(conn: Connection, name: str, value: bytes) -> None:
    """Sets a value, and tells the feed."""
    if conn.execute(sa.update(settings).where(settings.c.name == name).values(value=value)).rowcount == 0:
        conn.execute(sa.insert(settings), {"name": name, "value": value})
    feed.append(conn, feed.SETTINGS)


def secret(conn: Connection, name: str, size: int = 16) -> bytes:
    """The random value of this name, made when it is missing (then ``conn`` must be one that writes)."""
    value = get(conn, name)
    if value is None:
        value = os.urandom(size)
        put(conn, name, value)
    return value


def cookie_secrets(conn: Connection, now: float) -> CookieSecrets:
    """The secrets as they are due at ``now`` (epoch); ``conn`` must be one that writes, for they may be to be renewed.

    A previous secret that is older than two periods is no longer given.
    """
    found = stored_cookie_secrets(conn)
    if found is not None and found.since <= now < found.since + COOKIE_PERIOD:
        return found
    recent = found is not None and now < found.since + 2 * COOKIE_PERIOD
    renewed = CookieSecrets(os.urandom(16), found.current if found is not None and recent else None, now)
    values = {
        "current": renewed.current.hex(),
        "previous": renewed.previous.hex() if renewed.previous else None,
        "since": now,
    }
    put(conn, _COOKIES, json.dumps(values).encode())
    return renewed


def stored_cookie_secrets(conn: Connection) -> CookieSecrets | None:
    """The secrets as they were last renewed."""
    value = get(conn, _COOKIES)
    if value is None:
        return None
    parsed = json.loads(value)
    previous = bytes.fromhex(parsed["previous"]) if parsed["previous"] else None
    return CookieSecrets(bytes.fromhex(parsed["current"]), previous, parsed["since"])
