"""When each zone is to be looked at next: one time for each, which may be put off and brought forward at no cost."""

from __future__ import annotations

import heapq
import itertools

# Entries of the heap that count no more, before it is made anew.
_SPARE = 64


class Timers:
    """Of zones, by their ids; times are seconds of one clock."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}
        # May hold times that were set before: those that are not in the dictionary do not count.
        self._heap: list[tuple[float, int, int]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        """How much is kept, whether it still counts or not."""
        return len(self._heap)

    def set(self, zone_id: int, at: float | None) -> None:
        """From now on this is the zone's time; None: it has none."""
        if at is None:
            self._at.pop(zone_id, None)
        elif self._at.get(zone_id) != at:
            self._at[zone_id] = at
            heapq.heappush(self._heap, (at, next(self._order), zone_id))
            # Expiry is put off with each good check, by weeks: what is left behind would stay for so long.
            if len(self._heap) > 2 * len(self._at) + _SPARE:
                self._heap = [(time, next(self._order), zone) for zone, time in self._at.items()]
                heapq.heapify(self._heap)

    def due(self, now: float) -> list[int]:
        """The zones whose time has come, in that order; they have none any more."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, _, zone_id = heapq.heappop(self._heap)
            if self._at.get(zone_id) == at:
                del self._at[zone_id]
                found.append(zone_id)
        return found

    def next_at(self) -> float | None:
        """No time comes before this; None: there is none."""
        return self._heap[0][0] if self._heap else None
