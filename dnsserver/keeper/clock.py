"""The two clocks of the keeper, as one value: so that a test can let them jump (R11)."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic time within the process; the wall clock only for what is stored, across restarts."""

    def monotonic(self) -> float:
        """Seconds, never set back."""

    def wall(self) -> float:
        """Seconds since the epoch, as the machine has it."""


class SystemClock:
    """This machine's."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()
