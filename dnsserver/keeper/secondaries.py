"""Secondary zones as the store has them; every method is one look, and runs off the loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from dnsserver.keeper.keyring import key_of
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import SoaTimers, soa_timers
from dnsserver.protocol.tsig import Key
from dnsserver.store import contents, feed, refresh, zones
from dnsserver.store.database import Database
from dnsserver.store.feed import FeedMark
from dnsserver.store.refresh import State
from dnsserver.store.zones import ZoneRow
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA

__all__ = ["Left", "Secondaries", "State", "Stored"]

# A zone: its row, its SOA (None without contents), what was exported of its machine.
Stored = tuple[ZoneRow, SoaTimers | None, State | None]
# What became of a zone that is not to be refreshed.
Left = Literal["suspended", "gone"]


class Secondaries:
    """The zones that are refreshed: those that are suspended are not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[FeedMark, list[Stored]]:
        """All of them, and how far of the feed that is."""
        with self._database.read() as conn:
            mark = feed.head(conn)
            states = dict(refresh.load(conn))
            rows = [row for row in zones.all_zones(conn, Role.SECONDARY) if not row.suspended]
            apexes = contents.at_names(conn, [(row.contents, row.name) for row in rows], (SOA,))
            return mark, [_stored(row, _soa_of(apexes[row.contents, row.name]), states.get(row.id)) for row in rows]

    def changed(self, mark: FeedMark) -> tuple[FeedMark, dict[int, Stored | Left]] | None:
        """The zones that are not what they were at the mark; None: it is gone, everything is to be read anew."""
        with self._database.read() as conn:
            rows = feed.after(conn, mark)
            if rows is None:
                return None
            found: dict[int, Stored | Left] = {}
            for zone_id in {row.zone_id for row in rows if row.kind == feed.ZONE and row.zone_id is not None}:
                row = zones.by_id(conn, zone_id)
                if row is None or row.role is not Role.SECONDARY or row.deleted is not None:
                    found[zone_id] = "gone"
                elif row.suspended:
                    found[zone_id] = "suspended"
                else:
                    soa = _soa_of(zones.records(conn, row, row.name))
                    found[zone_id] = _stored(row, soa, refresh.get(conn, zone_id))
            return FeedMark(rows[-1].seq, rows[-1].tag) if rows else mark, found

    def key(self, name: bytes | None) -> Key | Failure | None:
        with self._database.read() as conn:
            return key_of(conn, name)

    def save(self, states: Iterable[tuple[int, State]]) -> None:
        with self._database.write() as conn:
            refresh.save(conn, states)


def _stored(row: ZoneRow, soa: SoaTimers | None, state: State | None) -> Stored:
    """Contents that were committed, and no state any more before the keeper died: their time runs since then (R11)."""
    if state is None and soa is not None:
        state = {"expires": row.changed + soa.expire}
    return row, soa, state


def _soa_of(apex: Iterable[Record]) -> SoaTimers | None:
    return next((soa_timers(record.rdata) for record in apex if record.type == SOA), None)
