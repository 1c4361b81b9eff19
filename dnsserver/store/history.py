"""Who changed what, and when (R25): access, keys, settings, zones; contents in a line each (the journal has more)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store.schema import history
from dnsserver.store.statements import Statement

# How many lines of changed contents are kept; changes of access, keys and settings all are.
KEEP_BULK = 100_000


@dataclass(frozen=True, slots=True)
class Who:
    """The author of a change: ``user`` (a login, or a peer), ``source`` (cli, control, transfer …), ``now`` (epoch)."""

    user: str
    source: str
    now: float


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line; ``subject``: the zone, key or list; ``time``: seconds since the epoch."""

    id: int
    time: float
    user: str
    source: str
    subject: str
    action: str
    detail: str


def storable(text: str) -> str:
    """The text as every database takes it: no lone surrogates (an odd command line), no NUL (PostgreSQL)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")


def add(conn: Connection, who: Who, subject: str, action: str, detail: str = "", *, bulk: bool = False) -> None:
    """A line; ``bulk``: of changed contents, kept only while it is among the newest."""
    line = {
        "time": who.now, "user": storable(who.user), "source": storable(who.source), "subject": storable(subject),
        "action": action, "detail": storable(detail), "bulk": bulk,
    }  # fmt: skip
    number = _INSERT.insert(conn, line)
    if number % 1000 == 0:
        conn.execute(sa.delete(history).where(history.c.id <= number - KEEP_BULK, history.c.bulk))


def entries(conn: Connection, limit: int = 100) -> list[HistoryEntry]:
    """The newest lines, newest first."""
    return [HistoryEntry(*row) for row in conn.execute(_NEWEST.limit(limit))]


_INSERT = Statement(sa.insert(history), ["time", "user", "source", "subject", "action", "detail", "bulk"])
_NEWEST = sa.select(
    history.c.id, history.c.time, history.c.user, history.c.source, history.c.subject, history.c.action,
    history.c.detail,
).order_by(history.c.id.desc())  # fmt: skip
