"""Zones whose targets are to be found out, in the order in which that is done: together, but not all at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container


class Line:
    """Each zone stands in it once, by its id."""

    def __init__(self) -> None:
        # Those that changed just now, and after them those that wait in the outbox. A plain dictionary that is emptied
        # from its front looks past all that has gone, each time.
        self._first: OrderedDict[int, None] = OrderedDict()
        self._others: OrderedDict[int, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._first or self._others)

    def __contains__(self, zone_id: int) -> bool:
        return zone_id in self._first or zone_id in self._others

    def put(self, zone_id: int, *, first: bool = False) -> None:
        """Let it stand in the line; ``first``: before all others that did not come so."""
        if first:
            self._others.pop(zone_id, None)
            self._first[zone_id] = None
        elif zone_id not in self._first:
            self._others[zone_id] = None

    def take(self, most: int, busy: Container[int]) -> list[int]:
        """The next zones, at most so many; those that are ``busy`` leave the line without having had a turn."""
        taken: list[int] = []
        for waiting in (self._first, self._others):
            while waiting and len(taken) < most:
                zone_id, _ = waiting.popitem(last=False)
                if zone_id not in busy:
                    taken.append(zone_id)
        return taken
