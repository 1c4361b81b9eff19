"""When secondary zones expire (R11): the keeper's deadlines, kept by a clock that only runs forward.

So a zone expires on time also when the keeper is away, and whatever becomes of the wall clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from dnsserver.clock import running_time


class Expiry:
    """The deadline of each secondary zone that has one; ``clock`` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = running_time) -> None:
        self._clock = clock
        self._deadlines: dict[int, float] = {}
        # No deadline that has not been reported is before this.
        self._earliest = math.inf

    def set(self, entries: Iterable[tuple[int, float | None]]) -> None:
        """Take (zone id, seconds from now); None: it never expires, as nothing is known or it is no secondary."""
        now = self._clock()
        for zone_id, seconds in entries:
            if seconds is None:
                self._deadlines.pop(zone_id, None)
            else:
                self._deadlines[zone_id] = now + seconds
                self._earliest = min(self._earliest, now + seconds)

    def forget(self, zone_id: int) -> None:
        """The zone is gone."""
        self._deadlines.pop(zone_id, None)

    def left(self, zone_id: int) -> float | None:
        """Seconds until the zone expires, zero or less once it has; None: it does not."""
        deadline = self._deadlines.get(zone_id)
        return None if deadline is None else deadline - self._clock()

    def is_over(self, zone_id: int) -> bool:
        left = self.left(zone_id)
        return left is not None and left <= 0

    def due(self) -> list[int]:
        """The zones whose deadline passed since it was last asked."""
        now = self._clock()
        if now < self._earliest:
            return []
        over = [zone_id for zone_id, deadline in self._deadlines.items() if self._earliest <= deadline <= now]
        self._earliest = min((at for at in self._deadlines.values() if at > now), default=math.inf)
        return over
