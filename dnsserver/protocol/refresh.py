"""How one secondary zone is kept fresh (R9, R11, R12, R26 to R28; RFC 1034, 4.3.5), without I/O and without a clock.

A *round* asks the primaries in turn until one says that nothing has changed, or gives the zone: it starts with the one
that worked last, goes on to the next when one fails, and ends after the last. A NOTIFY, a timer or an operator starts
a round; only one is under way, and whatever comes meanwhile makes one more after it.

A good check (an equal serial, or a transfer) puts off the expiry (``deadline``); a primary whose serial is lower, or
exactly 2^31 away (RFC 1982, 3.2), is passed over like one that fails. At the deadline the zone has ``expired`` until
the next good check.

Times are seconds of a clock that never goes back; ``wall`` is seconds since the epoch, and counts only in what is
stored (``start``, ``export``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dnsserver.events import Event, Value
from dnsserver.protocol.failure import UNREACHABLE, Failure
from dnsserver.protocol.query import Rcode
from dnsserver.protocol.soa_query import SoaAnswer
from dnsserver.zone import names
from dnsserver.zone.serial import is_ahead, is_incomparable
from dnsserver.zone.settings import Target

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


class AskSoa(NamedTuple):
    """Ask this primary for the zone's SOA; then ``soa_answered`` or ``soa_failed``."""

    primary: Target


class Fetch(NamedTuple):
    """Transfer the zone from this primary; then ``fetched`` or ``fetch_failed``.

    ``full``: by AXFR, and taken whatever its serial (an operator's retransfer); else IXFR is asked for where it can be.
    """

    primary: Target
    full: bool


Action = AskSoa | Fetch | Event


class Fetched(NamedTuple):
    """A transfer that is committed; ``kind`` ``current``: the primary had nothing newer (RFC 1995, 2), ``soa`` is its.

    ``expire``: of the EDNS option (RFC 7314), in seconds; the rest is for the log.
    """

    soa: SoaTimers
    kind: str
    expire: int | None = None
    messages: int = 0
    octets: int = 0
    records: int = 0
    seconds: float = 0.0


class Outcome(NamedTuple):
    """How a round ended: ``current``, ``transferred`` or ``failed``.

    ``kind``: of the transfer; ``event``: the last failure of the round, whatever came of the others.
    """

    result: str
    old_serial: int | None
    new_serial: int | None
    kind: str | None
    primary: Target | None
    event: Event | None


class ZoneRefresh:
    """One secondary zone.

    ``deadline``: when it expires, None while it has no contents; ``rounds``: how many have ended, the last with
    ``outcome``; ``failures``: how many of them in a row without a good check.
    """

    __slots__ = ("deadline", "expired", "failures", "outcome", "rounds")

    def __init__(
        self, zone: bytes, primaries: tuple[Target, ...], limits: RefreshLimits, random: Callable[[], float]
    ) -> None:
        """``zone``: its wire name; ``random``: from 0 up to 1."""
        self.deadline: float | None = None
        self.expired = False
        self.failures = 0
        self.rounds = 0
        self.outcome: Outcome | None = None

    # How it stands

    @property
    def is_busy(self) -> bool:
        """Whether a question or a transfer is under way."""
        raise NotImplementedError

    @property
    def next_at(self) -> float | None:
        """When ``due`` has something to do next: a check or the expiry; None: never, unless something happens."""
        raise NotImplementedError

    # What happens; each says what is to be done

    def start(self, now: float, wall: float, soa: SoaTimers | None, state: dict[str, Any] | None) -> list[Action]:
        """With what is stored: the zone's SOA, None without contents, and what ``export`` gave.

        A check that is overdue is due now: whoever starts many zones spreads them.
        """
        raise NotImplementedError

    def reconfigure(self, now: float, primaries: tuple[Target, ...], limits: RefreshLimits) -> list[Action]:
        """Other primaries make a check due now; other limits count from the next check on."""
        raise NotImplementedError

    def due(self, now: float) -> list[Action]:
        """The time is ``next_at``, or later."""
        raise NotImplementedError

    def notified(self, now: float, serial: int | None, address: str) -> list[Action]:
        """An accepted NOTIFY (RFC 1996) from ``address``; ``serial``: its hint."""
        raise NotImplementedError

    def refresh(self, now: float) -> list[Action]:
        """An operator wants a check now (R23)."""
        raise NotImplementedError

    def retransfer(self, now: float) -> list[Action]:
        """An operator wants the whole zone anew (R23)."""
        raise NotImplementedError

    def soa_answered(self, now: float, primary: Target, answer: SoaAnswer) -> list[Action]:
        raise NotImplementedError

    def soa_failed(self, now: float, primary: Target, failure: Failure) -> list[Action]:
        raise NotImplementedError

    def fetched(self, now: float, primary: Target, fetched: Fetched) -> list[Action]:
        raise NotImplementedError

    def fetch_failed(self, now: float, primary: Target, failure: Failure) -> list[Action]:
        raise NotImplementedError

    def export(self, now: float, wall: float) -> dict[str, Any]:
        """What must outlive this process, as JSON can hold it; times in seconds since the epoch, by the clock as it
        is now."""
        raise NotImplementedError
