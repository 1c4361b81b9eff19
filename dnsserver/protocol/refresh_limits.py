"""The timers of an SOA record, and what they are held to (R11, LIMITS)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

_TIMERS = struct.Struct(">IIII")


class SoaTimers(NamedTuple):
    """Of an SOA record (RFC 1035, 3.3.13); times in seconds."""

    serial: int
    refresh: int
    retry: int
    expire: int


def soa_timers(rdata: bytes) -> SoaTimers:
    """From an SOA's rdata, which is well-formed."""
    return SoaTimers(*_TIMERS.unpack(rdata[-20:-4]))


@dataclass(frozen=True, slots=True)
class RefreshLimits:
    """What an SOA's timers are held to (LIMITS), in seconds.

    ``expire_min`` None: refresh and retry together, so that a zone is asked for more than once before it expires.
    ``jitter``: the share of refresh and retry that chance may take off; they never get longer.
    """

    refresh_min: float = 300.0
    refresh_max: float = 2419200.0
    retry_min: float = 60.0
    retry_max: float = 1209600.0
    expire_min: float | None = None
    expire_max: float = 14515200.0
    jitter: float = 0.25

    def refresh(self, soa: SoaTimers) -> float:
        return min(max(soa.refresh, self.refresh_min), self.refresh_max)

    def retry(self, soa: SoaTimers) -> float:
        return min(max(soa.retry, self.retry_min), self.retry_max)

    def expire(self, soa: SoaTimers) -> float:
        shortest = self.refresh(soa) + self.retry(soa) if self.expire_min is None else self.expire_min
        return min(max(soa.expire, shortest), self.expire_max)
