"""TSIG keys for questions to other servers, from the store."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from dnsserver.errors import NotFound
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.tsig import Key
from dnsserver.store import keys
from dnsserver.zone import names


def key_of(conn: Connection, name: bytes | None) -> Key | Failure | None:
    """The key of this name; None where there is to be none; Failure ``no-key`` where it is gone or unreadable."""
    if name is None:
        return None
    text = names.to_text(name)
    try:
        stored = keys.get(conn, name)
    except NotFound:
        return Failure("no-key", f"there is no key {text}: `dnsserver key import {text}`")
    if stored.secret is None:
        return Failure("no-key", f"key {text} is unreadable: import it again")
    return Key(stored.name, stored.algorithm, stored.secret, stored.weak_allowed)
