"""SOA serials: RFC 1982 arithmetic, and the policies that choose the next one."""

from __future__ import annotations

import time
from enum import StrEnum

_MODULUS = 1 << 32
_HALF = 1 << 31


class SerialPolicy(StrEnum):
    """How a zone's serial rises by itself (R10)."""

    INCREMENT = "increment"
    UNIXTIME = "unixtime"
    DATE = "date"


def is_ahead(serial: int, of: int) -> bool:
    """Whether ``serial`` is greater than ``of`` (RFC 1982, 3.2). Exactly 2^31 apart compares neither way: False."""
    return 0 < (serial - of) % _MODULUS < _HALF


def is_incomparable(serial: int, other: int) -> bool:
    """Whether the two are exactly 2^31 apart, where RFC 1982 (3.2) leaves the comparison undefined."""
    return (serial - other) % _MODULUS == _HALF


def following(serial: int) -> int:
    """The next serial; 0 is left out, since some servers take it to mean 'none'."""
    return (serial + 1) % _MODULUS or 1


def next_serial(policy: SerialPolicy, current: int, now: float) -> int:
    """The serial after ``current``, always ahead of it; ``now`` in seconds since the epoch (UTC).

    Where the policy's own value (the time, or YYYYMMDD00) is not ahead, the serial rises by one: a day of more than
    a hundred changes, or a clock that was set back, never makes it go backwards.
    """
    match policy:
        case SerialPolicy.INCREMENT:
            return following(current)
        case SerialPolicy.UNIXTIME | SerialPolicy.DATE:
            wanted = first_serial(policy, now)
    return wanted if is_ahead(wanted, current) else following(current)


def first_serial(policy: SerialPolicy, now: float) -> int:
    """The serial of a new zone."""
    match policy:
        case SerialPolicy.INCREMENT:
            return 1
        case SerialPolicy.UNIXTIME:
            return int(now) % _MODULUS or 1
        case SerialPolicy.DATE:
            return int(time.strftime("%Y%m%d00", time.gmtime(now)))
