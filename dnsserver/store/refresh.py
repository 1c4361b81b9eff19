"""What is known of each secondary zone's refreshes: the timers survive a restart, and `zone status` shows them.

A state is JSON that the keeper writes; all times are seconds since the epoch, or null:

``checked``         the last good SOA check or transfer
``next_check``      when the primaries are asked next
``expires``         when the zone expires unless a check is good before
``expired``         whether it has
``transferred``     the last transfer, of ``kind`` "axfr" or "ixfr" (null: none yet)
``primary``         ``ADDR:PORT`` of the primary that worked last, ``primary_serial`` the serial it had
``failures``        checks that failed since the last good one
``error``           the last failure, or null: ``at``, ``event``, ``code``, ``reason``, ``primary``, ``message``
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dnsserver.store.schema import refresh, words, zones

State = dict[str, Any]


def load(conn: Connection) -> list[tuple[int, State]]:
    """All states, each with its zone's id."""
    rows = conn.execute(sa.select(refresh.c.zone, refresh.c.state).order_by(refresh.c.zone))
    return [(zone, json.loads(state)) for zone, state in rows]


def get(conn: Connection, zone_id: int) -> State | None:
    """The zone's state; None when nothing is known yet."""
    state = conn.execute(_ONE, {"z": zone_id}).scalar_one_or_none()
    return None if state is None else json.loads(state)


def save(conn: Connection, states: Iterable[tuple[int, State]]) -> None:
    """Replaces these states; others stay. What is of no secondary zone any more is left out."""
    rows = [{"z": zone, "s": json.dumps(state)} for zone, state in states]
    if rows:
        conn.execute(_DELETE, [{"z": row["z"]} for row in rows])
        conn.execute(_INSERT, rows)


def forget(conn: Connection, zone_id: int) -> None:
    """Nothing is known of the zone any more: it is no secondary, or begins anew."""
    conn.execute(_DELETE, {"z": zone_id})


_ONE = sa.select(refresh.c.state).where(refresh.c.zone == sa.bindparam("z"))
_DELETE = sa.delete(refresh).where(refresh.c.zone == sa.bindparam("z"))
_INSERT = sa.insert(refresh).from_select(
    ["zone", "state"],
    sa.select(zones.c.id, sa.bindparam("s", type_=words())).where(
        zones.c.id == sa.bindparam("z"), zones.c.role == "secondary"
    ),
)
