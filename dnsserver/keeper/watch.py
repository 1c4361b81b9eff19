"""Following the feed: a look once a second, and at once on a hint (DESIGN: a hint only saves latency)."""

from __future__ import annotations

import asyncio

LOOK = 1.0


class FeedWatch:
    """Wakes those who follow the feed. A hint comes with this process's own commits."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def hint(self) -> None:
        """Something was committed: all who wait look now."""
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def moment(self) -> asyncio.Event:
        """Taken before a look at the feed, waited for after it: a hint between the two is not lost."""
        return self._changed

    @staticmethod
    async def wait(moment: asyncio.Event) -> None:
        """Return at the next hint after ``moment`` was taken, or after a second."""
        try:
            async with asyncio.timeout(LOOK):
                await moment.wait()
        except TimeoutError:
            return
