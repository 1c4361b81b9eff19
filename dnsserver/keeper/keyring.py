"""TSIG keys for questions to other servers, from the store."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from dnsserver.errors import DnsServerError, NotFound
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.tsig import Key
from dnsserver.store import keys
from dnsserver.zone import names


def load(conn: Connection, name: bytes) -> Key:
    """The key of this name. Raises NotFound, and DnsServerError where its secret cannot be read."""
    stored = keys.get(conn, name)
    if stored.secret is None:
        raise DnsServerError(f"key {names.to_text(name)} is unreadable: import it again")
    return Key(stored.name, stored.algorithm, stored.secret, stored.weak_allowed)


def key_of(conn: Connection, name: bytes | None) -> Key | Failure | None:
    """The key of this name; None where there is to be none; Failure ``no-key`` where it is gone or unreadable."""
    if name is None:
        return None
    try:
        return load(conn, name)
    except NotFound:
        text = names.to_text(name)
        return Failure("no-key", f"there is no key {text}: `dnsserver key import {text}`")
    except DnsServerError as error:
        return Failure("no-key", error.message)
