"""The clocks, as one value: so that a test can let them jump (R11)."""

from __future__ import annotations

import time
from typing import Protocol

# Unlike ``time.monotonic`` it goes on while the machine sleeps, and a zone expires then, too; Linux has it.
_RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def running_time() -> float:
    """Seconds of a clock that only runs forward and that nobody sets."""
    return time.clock_gettime(_RUNNING)


class Clock(Protocol):
    """Monotonic time within the process; the wall clock only for what is stored, across restarts."""

    def monotonic(self) -> float:
        """Seconds, never set back."""

    def wall(self) -> float:
        """Seconds since the epoch, as the machine has it."""


class SystemClock:
    """This machine's."""

    def monotonic(self) -> float:
        return running_time()

    def wall(self) -> float:
        return time.time()
