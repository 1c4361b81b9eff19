"""How work that can wait leaves the processor to answers."""

from __future__ import annotations

import contextlib
import os


def stand_back(nice: int) -> None:
    """This process becomes nicer by so much, and is taken for one that nobody waits for, where the system has that.

    Not SCHED_IDLE: where all processors are busy it would get next to nothing, and no long work would end.
    """
    os.nice(nice)
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
