"""How answers come before work that can wait, on a processor that both need."""

from __future__ import annotations

import contextlib
import os
import struct

# The slice that the system would rather give this process at a time, in nanoseconds: the least that it takes.
_SHORT_SLICE = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_KEEP_POLICY = 8


def come_first() -> None:
    """This process is put before others of its niceness and above as soon as it has something to do.

    Linux 6.12 and later: who asks for short slices is let in when it wakes (man 2 sched_setattr; EEVDF, base_slice).
    Elsewhere nothing happens.
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is not None:
        # Commands import this module, too, and have no use for that: it would take each of them 10 ms.
        import ctypes

        # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
        wanted = struct.pack("=IIQiIQQQ", 48, 0, _KEEP_POLICY, os.nice(0), 0, _SHORT_SLICE, 0, 0)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def stand_back(nice: int) -> None:
    """This process becomes nicer by so much, and is taken for one that nobody waits for, where the system has that.

    Not SCHED_IDLE: where all processors are busy it would get next to nothing, and no long work would end.
    """
    os.nice(nice)
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
