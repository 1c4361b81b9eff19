"""What is still to be told: the newest version of each zone whose targets have not all answered, and their states.

The keeper resolves the targets; those who edit cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store.schema import outbox, peers
from dnsserver.store.statements import Statement


class Pending(NamedTuple):
    zone_id: int
    version: int
    serial: int


class PeerState(NamedTuple):
    """What the keeper keeps of one target of one zone (``Target.text()``); ``state`` is anything that JSON can hold."""

    zone_id: int
    target: str
    state: dict[str, Any]


def put(conn: Connection, zone_id: int, version: int, serial: int) -> None:
    """The version supersedes what was there. The caller holds the zone's row."""
    values = {"version": version, "serial": serial}
    if _UPDATE.change(conn, {"z": zone_id, **values}) == 0:
        conn.execute(sa.insert(outbox), {"zone": zone_id, **values})


def pending(conn: Connection) -> list[Pending]:
    return [Pending(*row) for row in conn.execute(_PENDING)]


def done(conn: Connection, told: Iterable[tuple[int, int]]) -> None:
    """Zone ids and versions: all targets of the zone know that version, or are not to be told; a newer one stays."""
    if rows := [{"z": zone_id, "v": version} for zone_id, version in told]:
        conn.execute(_DELETE, rows)


def peer_states(conn: Connection) -> list[PeerState]:
    rows = conn.execute(sa.select(peers.c.zone, peers.c.target, peers.c.state))
    return [PeerState(zone, target.decode(), json.loads(state)) for zone, target, state in rows]


def save_peer_states(conn: Connection, states: Iterable[PeerState], gone: Iterable[tuple[int, str]] = ()) -> None:
    """Replaces these states, and forgets those ``gone`` (zone id, target); others stay."""
    states = list(states)
    replaced = [(state.zone_id, state.target) for state in states] + list(gone)
    if replaced:
        conn.execute(_DELETE_PEER, [{"z": zone, "t": target.encode()} for zone, target in replaced])
    if states:
        rows = [{"zone": s.zone_id, "target": s.target.encode(), "state": json.dumps(s.state)} for s in states]
        conn.execute(sa.insert(peers), rows)


_UPDATE = Statement(
    sa.update(outbox)
    .where(outbox.c.zone == sa.bindparam("z"))
    .values(version=sa.bindparam("version"), serial=sa.bindparam("serial"))
)
_PENDING = sa.select(outbox.c.zone, outbox.c.version, outbox.c.serial).order_by(outbox.c.zone)
_DELETE = sa.delete(outbox).where(outbox.c.zone == sa.bindparam("z"), outbox.c.version <= sa.bindparam("v"))
_DELETE_PEER = sa.delete(peers).where(peers.c.zone == sa.bindparam("z"), peers.c.target == sa.bindparam("t"))
