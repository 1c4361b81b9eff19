"""The newest changes of each zone as an answerer took them in: most IXFRs need no others, and no keeper is asked."""

from __future__ import annotations

from typing import NamedTuple

# Octets that the changes of all zones take together.
MOST = 8 << 20
# What a change costs beside its octets.
_EACH = 300
# Octets of a chain that is condensed between two packets: some 5 ms. For a longer one the keeper is asked.
LONG = 256 << 10


class _Step(NamedTuple):
    to_serial: int
    to_version: int
    encoded: bytes


class _Zone:
    """Changes that follow each other, by the serial that each begins with; ``version``: that of the newest."""

    __slots__ = ("octets", "steps", "version")

    def __init__(self) -> None:
        self.steps: dict[int, _Step] = {}
        self.version = 0
        self.octets = 0

    def drop_oldest(self) -> None:
        step = self.steps.pop(next(iter(self.steps)))
        self.octets -= len(step.encoded) + _EACH


class RecentChanges:
    """Encoded changesets by zone, bounded together: the zone that was silent longest makes room, then the oldest."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._octets = 0
        # In the order of their last change.
        self._zones: dict[int, _Zone] = {}

    def put(self, zone_id: int, versions: tuple[int, int], serials: tuple[int, int], encoded: bytes) -> None:
        """Takes in a change (from, to) of a zone whose two serials no other of its versions ever had."""
        if len(encoded) > LONG:
            self.forget(zone_id)
            return
        zone = self._zones.pop(zone_id, None)
        if zone is not None and zone.version != versions[0]:
            self._octets -= zone.octets
            zone = None
        self._zones[zone_id] = zone = zone or _Zone()
        zone.steps[serials[0]] = _Step(serials[1], versions[1], encoded)
        zone.version = versions[1]
        zone.octets += len(encoded) + _EACH
        self._octets += len(encoded) + _EACH
        while self._octets > self._most:
            self._make_room()

    def _make_room(self) -> None:
        oldest = next(iter(self._zones))
        if len(self._zones) > 1:
            self.forget(oldest)
            return
        zone = self._zones[oldest]
        self._octets -= zone.octets
        zone.drop_oldest()
        self._octets += zone.octets

    def forget(self, zone_id: int) -> None:
        """The zone goes, or has other contents than its changes led to."""
        zone = self._zones.pop(zone_id, None)
        if zone is not None:
            self._octets -= zone.octets

    def chain(self, zone_id: int, serial: int, version: int) -> list[bytes] | None:
        """The changes from the version with this serial to ``version``; None when one is not here, or they are long."""
        zone = self._zones.get(zone_id)
        if zone is None or zone.version != version:
            return None
        found: list[bytes] = []
        left = LONG
        while (step := zone.steps.get(serial)) is not None:
            found.append(step.encoded)
            left -= len(step.encoded)
            if left < 0:
                return None
            if step.to_version == version:
                return found
            serial = step.to_serial
        return None
