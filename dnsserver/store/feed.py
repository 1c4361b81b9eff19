"""The feed says what changed, in order; keepers on any machine follow it.

``seq`` comes from a one-row counter that a transaction raises at its end, so rows become visible in their order, which
a sequence does not promise. A follower asks for ``seq >= last`` and wants its own last row back, with its random tag:
where it does not come back (pruned, or the database was restored from a backup), everything is read anew.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store.schema import feed, feed_head
from dnsserver.store.statements import Statement
from dnsserver.zone.changeset import Changeset

CHANGE = "change"  # a journalled change of a zone's contents
ZONE = "zone"  # a zone was made, dropped, suspended, set, or its contents replaced
ACCESS = "access"
KEYS = "keys"
SETTINGS = "settings"

# How many rows are kept for those who follow.
KEEP = 100_000

# Where a connection holds the rows of its transaction until its end.
PENDING = "dnsserver_feed"


class FeedMark(NamedTuple):
    """Where a follower stands: the last row that it has."""

    seq: int
    tag: int


class FeedRow(NamedTuple):
    """``from_version`` and ``to_version`` are None where the row is of no zone's contents."""

    seq: int
    tag: int
    kind: str
    zone_id: int | None
    from_version: int | None
    to_version: int | None


class Change(NamedTuple):
    """A change of a zone's contents, also as the journal has it; ``is_unique``: no other version of the zone has, or
    had, one of its two serials."""

    changeset: Changeset
    encoded: bytes
    is_unique: bool


class Appended(NamedTuple):
    """What one transaction wrote: the row before its own, then each of its own with the change that it tells of, where
    whoever wrote it gave that along."""

    after: FeedMark
    rows: list[tuple[FeedRow, Change | None]]


def append(
    conn: Connection,
    kind: str,
    zone_id: int | None = None,
    from_version: int | None = None,
    to_version: int | None = None,
    change: Change | None = None,
) -> None:
    """A row, written at the end of the transaction of ``Database.write``: until then the counter is not locked."""
    conn.info.setdefault(PENDING, []).append(((kind, zone_id, from_version, to_version), change))


def flush(conn: Connection) -> Appended | None:
    """Writes what ``append`` gathered: for ``Database.write`` alone, as the last that a transaction does."""
    pending: list[tuple[tuple[Any, ...], Change | None]] = conn.info.pop(PENDING, [])
    if not pending:
        return None
    _RAISE.change(conn, {"rows": len(pending)})
    ((last, tag),) = _RAISED.rows(conn, {"rows": len(pending)})
    before = last - len(pending)
    rows = [
        (FeedRow(before + at, secrets.randbits(62), *values), change)
        for at, (values, change) in enumerate(pending, 1)
    ]  # fmt: skip
    _INSERT.change_many(conn, [dict(zip(_COLUMNS, row, strict=True)) for row, _ in rows])
    if last // 1000 != before // 1000:
        prune(conn)
    return Appended(FeedMark(before, tag or 0), rows)


def head(conn: Connection) -> FeedMark:
    """The newest row; there always is one."""
    return FeedMark(*conn.execute(_NEWEST).one())


def after(conn: Connection, mark: FeedMark, limit: int = 1000) -> list[FeedRow] | None:
    """The rows after ``mark``, oldest first, at most ``limit``; None when the mark's own row is gone or another."""
    rows = [FeedRow(*row) for row in conn.execute(_AFTER, {"mark": mark.seq, "rows": limit + 1})]
    if not rows or rows[0][:2] != mark:
        return None
    return rows[1:]


def prune(conn: Connection, keep: int = KEEP) -> None:
    """Leaves the newest ``keep`` rows, at least one."""
    newest = conn.execute(_SEQ).scalar_one()
    conn.execute(sa.delete(feed).where(feed.c.seq <= newest - max(keep, 1)))


_RAISE = Statement(sa.update(feed_head).where(feed_head.c.id == 1).values(seq=feed_head.c.seq + sa.bindparam("rows")))
_SEQ = sa.select(feed_head.c.seq).where(feed_head.c.id == 1)
# With the tag of the row that was the newest before so many more.
_BEFORE = sa.select(feed.c.tag).where(feed.c.seq == feed_head.c.seq - sa.bindparam("rows"))
_RAISED = Statement(sa.select(feed_head.c.seq, _BEFORE.scalar_subquery()).where(feed_head.c.id == 1))
_COLUMNS = ["seq", "tag", "kind", "zone", "from_version", "to_version"]
_INSERT = Statement(sa.insert(feed), _COLUMNS)
_NEWEST = sa.select(feed.c.seq, feed.c.tag).order_by(feed.c.seq.desc()).limit(1)
_AFTER = (
    sa.select(feed.c.seq, feed.c.tag, feed.c.kind, feed.c.zone, feed.c.from_version, feed.c.to_version)
    .where(feed.c.seq >= sa.bindparam("mark"))
    .order_by(feed.c.seq)
    .limit(sa.bindparam("rows"))
)
