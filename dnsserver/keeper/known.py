"""Who is told of a zone's change, remembered: where this process changes a zone again, its NOTIFY waits for no SQL.

What is remembered of a zone goes with the first change that could make it untrue: of the zone's own apex, of a name
whose addresses were looked up, and of whatever is no change of contents (lists, settings, zones that come and go).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dnsserver.keeper.targets import ZoneFacts
from dnsserver.store.feed import Appended, FeedRow
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record, soa_serial

# Zones that are remembered: those whose targets were found out last.
_MOST = 1000
# A change of more records is not looked through: a million take a quarter of a second of the keeper's loop.
_MANY = 20_000


@dataclass(slots=True)
class _Zone:
    """``newest``: the version that the newest change led to; ``steps``: versions that were not told of yet, with their
    SOA; ``until``: when names of its servers are to be resolved again (clock of the caller)."""

    facts: ZoneFacts
    newest: int
    until: float
    steps: dict[int, Record] = field(default_factory=dict)


class Known:
    """The facts of zones that were told of, kept up by what this process commits."""

    def __init__(self) -> None:
        self._zones: dict[int, _Zone] = {}
        self._watched: dict[bytes, set[int]] = {}
        # Rises with whatever is committed: what was read before may be untrue.
        self.moment = 0

    def put(self, facts: ZoneFacts, until: float, moment: int) -> None:
        """Remember what was read; not if anything was committed since ``moment``, when the reading began."""
        zone_id = facts.zone.id
        self.forget(zone_id)
        if moment != self.moment:
            return
        if len(self._zones) >= _MOST:
            self.forget(next(iter(self._zones)))
        self._zones[zone_id] = _Zone(facts, facts.zone.version, until)
        for name in facts.name_servers:
            self._watched.setdefault(name, set()).add(zone_id)

    def forget(self, zone_id: int) -> None:
        zone = self._zones.pop(zone_id, None)
        if zone is None:
            return
        for name in zone.facts.name_servers:
            watching = self._watched[name]
            watching.discard(zone_id)
            if not watching:
                del self._watched[name]

    def clear(self) -> None:
        """Something happened that may concern every zone."""
        self.moment += 1
        self._zones.clear()
        self._watched.clear()

    def committed(self, appended: Appended) -> None:
        """Take in what this process has committed."""
        self.moment += 1
        for row, change in appended.rows:
            if change is None or len(change.changeset.removed) + len(change.changeset.added) > _MANY:
                self.clear()
            else:
                self._follow(row, change.changeset)

    def _follow(self, row: FeedRow, changeset: Changeset) -> None:
        assert row.zone_id is not None
        assert row.to_version is not None
        for record in (*changeset.removed[1:], *changeset.added[1:]):
            for zone_id in tuple(self._watched.get(record.owner.lower(), ())):
                self.forget(zone_id)
        zone = self._zones.get(row.zone_id)
        if zone is None:
            return
        soa, apex = changeset.added[0], zone.facts.zone.name
        rest = (*changeset.removed[1:], *changeset.added[1:])
        is_same = replace(zone.facts, soa=soa).primary_name == zone.facts.primary_name
        if zone.newest != row.from_version or not is_same or any(record.owner.lower() == apex for record in rest):
            self.forget(row.zone_id)
            return
        zone.newest = row.to_version
        zone.steps[row.to_version] = soa

    def served(self, zone_id: int, version: int, now: float) -> ZoneFacts | None:
        """The facts of the newest version up to ``version``, if it was not told of and they still hold."""
        zone = self._zones.get(zone_id)
        if zone is None or now >= zone.until:
            return None
        ready = [step for step in zone.steps if step <= version]
        if not ready:
            return None
        for step in ready:
            soa = zone.steps.pop(step)
        row = replace(zone.facts.zone, version=ready[-1], serial=soa_serial(soa.rdata))
        zone.facts = replace(zone.facts, zone=row, soa=soa)
        return zone.facts
