"""Who may begin now: work that waits for its turn, in the order it came, and fairly among primaries.

At most so many at once, so many of one primary, so many begun a second (LIMITS: transfers in, SOA checks). A primary
that is dead holds its own share up, and no other's.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Generic, TypeVar

T = TypeVar("T")

# Seconds' worth of turns that may be taken together after a quiet time.
_BURST = 0.1


class Turns(Generic[T]):
    """``most`` at once, ``most_each`` of one key; ``per_second`` None: as fast as they end. ``now``: monotonic."""

    def __init__(self, most: int, most_each: int, per_second: int | None = None) -> None:
        self.most = most
        self.most_each = most_each
        self.per_second = per_second
        # Keys with work waiting, the one whose turn is next first.
        self._waiting: dict[str, deque[T]] = {}
        self._under_way: Counter[str] = Counter()
        self._next_at = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def put(self, key: str, item: T, *, first: bool = False) -> None:
        """Let it wait for its turn; ``first``: before all that wait."""
        queue = self._waiting.setdefault(key, deque())
        if not first:
            queue.append(item)
            return
        queue.appendleft(item)
        del self._waiting[key]
        self._waiting = {key: queue, **self._waiting}

    def done(self, key: str) -> None:
        """What was taken with this key has ended."""
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]

    def take(self, now: float) -> list[T]:
        """All whose turn it is, one of each key after the other."""
        taken: list[T] = []
        skipped = 0
        while self._waiting and skipped < len(self._waiting) and self._under_way.total() < self.most:
            if not self._may_begin(now):
                break
            key, queue = next(iter(self._waiting.items()))
            # To the end of the line, with what else it has.
            del self._waiting[key]
            if self._under_way[key] >= self.most_each:
                self._waiting[key] = queue
                skipped += 1
                continue
            taken.append(queue.popleft())
            self._under_way[key] += 1
            self._begun(now)
            skipped = 0
            if queue:
                self._waiting[key] = queue
        return taken

    def next_at(self) -> float | None:
        """When the rate lets the next begin; None when it is not the rate that holds it up."""
        held = all(self._under_way[key] >= self.most_each for key in self._waiting)
        if self.per_second is None or held or self._under_way.total() >= self.most:
            return None
        return self._next_at

    def _may_begin(self, now: float) -> bool:
        return self.per_second is None or now >= self._next_at - 1e-9

    def _begun(self, now: float) -> None:
        if self.per_second is not None:
            self._next_at = max(self._next_at, now - _BURST) + 1 / self.per_second
