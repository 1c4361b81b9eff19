"""What happened (R5, R22, R27), bounded: a repeat within an hour raises the count of its row instead of a new one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store.history import storable
from dnsserver.store.schema import events

# The most rows; those that happened longest ago go first. What goes well, on many zones, leaves room for failures, and
# so does what clients can bring about, whose addresses may be forged.
KEPT = 10_000
KEPT_ROUTINE = 2_000
ROUTINE = ("zone-transferred",)
KEPT_OF_CLIENTS = 2_000
OF_CLIENTS = ("notify-denied", "notifies-denied", "transfer-refused", "transfers-refused", "transfer-out-failed")
# Seconds without it after which an event is a new one.
APART = 3600.0


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """``first`` and ``last``: seconds since the epoch; ``code``: the event's stable number; ``zone``: wire name, None
    for an event of no zone; ``peer``: the other server or client; ``reason``: a stable word; ``message``: for people,
    of the last time. ``id``: given by the database, never to change; of one to be stored, it does not count.
    """

    id: int
    first: float
    last: float
    count: int
    name: str
    code: int
    zone: bytes | None
    peer: str
    reason: str
    message: str


def record(conn: Connection, happened: Iterable[StoredEvent]) -> None:
    """Stores these events, in the order in which they happened."""
    new = False
    for event in _gathered(happened):
        row = conn.execute(_SAME, {**_key(event), "since": event.first - APART}).one_or_none()
        if row is None:
            conn.execute(_INSERT, _values(event))
            new = True
        else:
            number, last, count = row
            raised = {"i": number, "l": max(last, event.last), "n": count + event.count}
            conn.execute(_RAISE, {**raised, "m": storable(event.message)})
    if new:
        _prune(conn)


def recent(conn: Connection, limit: int, after: int | None = None, zone: bytes | None = None) -> list[StoredEvent]:
    """The newest events by when they last happened, the newest last; those of one zone, where it is given.

    ``after``: instead, those with a higher id, the lowest ids first: what is new to who follows.
    """
    query = sa.select(events)
    if zone is not None:
        query = query.where(events.c.zone == zone.lower())
    if after is not None:
        rows = conn.execute(query.where(events.c.id > after).order_by(events.c.id).limit(limit)).all()
    else:
        rows = conn.execute(query.order_by(events.c.last.desc(), events.c.id.desc()).limit(limit)).all()[::-1]
    return [replace(StoredEvent(*row), zone=row.zone or None) for row in rows]


def _gathered(happened: Iterable[StoredEvent]) -> list[StoredEvent]:
    """Repeats among the events themselves as one: a burst is few statements."""
    found: list[StoredEvent] = []
    at: dict[tuple[str, ...], int] = {}
    for event in happened:
        key = (event.name, repr(event.zone), event.peer, event.reason)
        index = at.get(key)
        if index is None or event.first - found[index].last >= APART:
            at[key] = len(found)
            found.append(event)
        else:
            before = found[index]
            last, count = max(before.last, event.last), before.count + event.count
            found[index] = replace(event, first=before.first, last=last, count=count)
    return found


def _key(event: StoredEvent) -> dict[str, Any]:
    return {
        "name": _fitting(event.name, 64),
        "zone": (event.zone or b"").lower(),
        "peer": _fitting(event.peer, 128),
        "reason": _fitting(event.reason, 64),
    }


def _values(event: StoredEvent) -> dict[str, Any]:
    return {
        "first": event.first, "last": event.last, "count": event.count, "code": event.code, **_key(event),
        "message": storable(event.message),
    }  # fmt: skip


def _fitting(text: str, length: int) -> str:
    return storable(text)[:length]


def _prune(conn: Connection) -> None:
    is_routine, is_of_clients = events.c.name.in_(ROUTINE), events.c.name.in_(OF_CLIENTS)
    for these, kept in ((is_routine, KEPT_ROUTINE), (is_of_clients, KEPT_OF_CLIENTS), (sa.true(), KEPT)):
        newest_first = (events.c.last.desc(), events.c.id.desc())
        query = sa.select(events.c.last, events.c.id).where(these).order_by(*newest_first)
        edge = conn.execute(query.offset(kept).limit(1)).first()
        if edge is not None:
            older = sa.or_(events.c.last < edge.last, sa.and_(events.c.last == edge.last, events.c.id <= edge.id))
            conn.execute(sa.delete(events).where(these, older))


_SAME = (
    sa.select(events.c.id, events.c.last, events.c["count"])
    .where(
        events.c.zone == sa.bindparam("zone"),
        events.c.name == sa.bindparam("name"),
        events.c.peer == sa.bindparam("peer"),
        events.c.reason == sa.bindparam("reason"),
        events.c.last > sa.bindparam("since"),
    )
    .order_by(events.c.last.desc(), events.c.id.desc())
    .limit(1)
)
_INSERT = sa.insert(events)
_RAISE = (
    sa.update(events)
    .where(events.c.id == sa.bindparam("i"))
    .values(last=sa.bindparam("l"), count=sa.bindparam("n"), message=sa.bindparam("m"))
)
