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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from dnsserver.events import Event
from dnsserver.protocol import refresh_events as says
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh_limits import RefreshLimits, SoaTimers, soa_timers
from dnsserver.protocol.soa_query import SoaAnswer
from dnsserver.zone.serial import is_ahead, is_incomparable
from dnsserver.zone.settings import Target

__all__ = [
    "Action", "AskSoa", "Fetch", "Fetched", "Outcome", "RefreshLimits", "SoaTimers", "ZoneRefresh", "soa_timers",
]  # fmt: skip

# Without contents there is no SOA to go by: the pause is ``retry_min``, doubled so many times at most.
_DOUBLINGS = 4


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

    ``expire``: of the EDNS option (RFC 7314), in seconds; ``stored``: of ``current``, the SOA that it was measured by;
    the rest is for the log.
    """

    soa: SoaTimers
    kind: str
    expire: int | None = None
    messages: int = 0
    octets: int = 0
    records: int = 0
    seconds: float = 0.0
    stored: SoaTimers | None = None


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


@dataclass(slots=True)
class _Round:
    """``left``: the primaries that were not asked yet, in order; ``hoped``: the serial that a NOTIFY promised;
    ``good``: one has confirmed the zone already; ``failure``: the last one."""

    doing: AskSoa | Fetch
    left: list[Target]
    full: bool
    hoped: int | None
    good: Target | None = None
    failure: Event | None = None


class _Wanted(NamedTuple):
    """A round that is to come after the one under way."""

    full: bool
    address: str | None
    hoped: int | None


class _Fault(NamedTuple):
    """What went wrong last: for ``zone status``."""

    at: float
    event: str
    code: int | None
    reason: str
    primary: str
    message: str


class ZoneRefresh:
    """One secondary zone.

    ``deadline``: when it expires, None while it has no contents; ``rounds``: how many have ended, the last with
    ``outcome``; ``failures``: how many of them in a row without a good check.
    """

    __slots__ = (
        "_check_at", "_checked", "_fault", "_kind", "_limits", "_preferred", "_primaries", "_primary",
        "_primary_serial", "_random", "_repeats", "_round", "_soa", "_transferred", "_wanted", "_zone",
        "deadline", "expired", "failures", "outcome", "rounds",
    )  # fmt: skip

    def __init__(
        self, zone: bytes, primaries: tuple[Target, ...], limits: RefreshLimits, random: Callable[[], float]
    ) -> None:
        """``zone``: its wire name; ``primaries``: at least one; ``random``: from 0 up to 1."""
        self.deadline: float | None = None
        self.expired = False
        self.failures = 0
        self.rounds = 0
        self.outcome: Outcome | None = None
        self._zone = zone
        self._primaries = primaries
        self._limits = limits
        self._random = random
        self._soa: SoaTimers | None = None
        self._round: _Round | None = None
        self._wanted: _Wanted | None = None
        self._check_at: float | None = None
        # Asked first: the one that worked last.
        self._preferred = primaries[0]
        # How often in a row a primary has failed in the same way: event, reason, times. Most zones have none.
        self._repeats: dict[Target, tuple[str, str, int]] = {}
        # For people: when the last good check and transfer were, from whom, and what went wrong last.
        self._checked: float | None = None
        self._transferred: float | None = None
        self._kind: str | None = None
        self._primary: str | None = None
        self._primary_serial: int | None = None
        self._fault: _Fault | None = None

    # How it stands

    @property
    def is_busy(self) -> bool:
        """Whether a question or a transfer is under way."""
        return self._round is not None

    @property
    def next_at(self) -> float | None:
        """When ``due`` has something to do next: a check or the expiry; None: never, unless something happens."""
        check = None if self._round is not None else self._check_at
        if self.expired or self.deadline is None:
            return check
        return self.deadline if check is None else min(check, self.deadline)

    def export(self, now: float, wall: float) -> dict[str, Any]:
        """What must outlive this process, as JSON can hold it; times in seconds since the epoch, by the clock as it
        is now."""

        def stamp(moment: float | None) -> float | None:
            return None if moment is None else round(wall + (moment - now), 3)

        fault = self._fault
        return {
            "checked": stamp(self._checked),
            "next_check": stamp(now if self._check_at is None or self.is_busy else self._check_at),
            "expires": stamp(self.deadline),
            "expired": self.expired,
            "transferred": stamp(self._transferred),
            "kind": self._kind,
            "primary": self._primary,
            "primary_serial": self._primary_serial,
            "failures": self.failures,
            "error": fault and {**fault._asdict(), "at": stamp(fault.at)},
        }

    # What happens; each says what is to be done

    def start(self, now: float, wall: float, soa: SoaTimers | None, state: dict[str, Any] | None) -> list[Action]:
        """With what is stored: the zone's SOA, None without contents, and what ``export`` gave.

        A check that is overdue is due now: whoever starts many zones spreads them.
        """
        self._soa = soa
        self._check_at = now
        state = state or {}

        def moment(stored: float | None) -> float | None:
            return None if stored is None else now + (stored - wall)

        self._restore(state, moment)
        if soa is None:
            self.deadline, self.expired = None, False
            return []
        # A clock that was set back makes a zone live no longer than a good check just now would.
        latest = now + self._limits.expire(soa)
        stored = moment(state.get("expires"))
        self.deadline = latest if stored is None else min(stored, latest)
        check_at = moment(state.get("next_check"))
        if stored is not None and check_at is not None:
            self._check_at = min(max(now, check_at), now + self._limits.refresh(soa))
        self.expired = bool(state.get("expired"))
        if self.expired:
            self.deadline = min(self.deadline, now)
        return self._expire(now)

    def _restore(self, state: dict[str, Any], moment: Callable[[float | None], float | None]) -> None:
        self.failures = state.get("failures", 0)
        self._checked = moment(state.get("checked"))
        self._transferred = moment(state.get("transferred"))
        self._kind, self._primary = state.get("kind"), state.get("primary")
        self._primary_serial = state.get("primary_serial")
        if (fault := state.get("error")) is not None:
            self._fault = _Fault(**{**fault, "at": moment(fault["at"])})
        self._preferred = next((p for p in self._primaries if _text(p) == self._primary), self._primaries[0])

    def reconfigure(self, now: float, primaries: tuple[Target, ...], limits: RefreshLimits) -> list[Action]:
        """Other primaries make a check due now; other limits count from the next check on."""
        self._limits = limits
        if primaries == self._primaries:
            return []
        self._primaries = primaries
        self._repeats = {p: repeat for p, repeat in self._repeats.items() if p in primaries}
        if self._preferred not in primaries:
            self._preferred = primaries[0]
        self._check_at = now
        if self._round is not None:
            self._round.left = []
            self._want(_Wanted(False, None, None))
        return []

    def due(self, now: float) -> list[Action]:
        """The time is ``next_at``, or later."""
        actions = self._expire(now)
        if self._round is None and self._check_at is not None and self._check_at <= now:
            actions += self._begin(_Wanted(False, None, None))
        return actions

    def notified(self, now: float, serial: int | None, address: str) -> list[Action]:
        """An accepted NOTIFY (RFC 1996) from ``address``, which is asked first when it is a primary.

        ``serial``: its hint: a primary that is not so far yet is not the last to be asked.
        """
        return self._wake(_Wanted(False, address, serial))

    def refresh(self, now: float) -> list[Action]:
        """An operator wants a check now (R23)."""
        return self._wake(_Wanted(False, None, None))

    def retransfer(self, now: float) -> list[Action]:
        """An operator wants the whole zone anew (R23): from the first primary that gives it."""
        return self._wake(_Wanted(True, None, None))

    def soa_answered(self, now: float, primary: Target, answer: SoaAnswer) -> list[Action]:
        if (current := self._round_of(AskSoa(primary))) is None:
            return []
        if primary not in self._primaries:
            return self._go_on(now, [])
        self._primary_serial = answer.serial
        if self._soa is None or is_ahead(answer.serial, self._soa.serial):
            current.doing = Fetch(primary, full=False)
            return [current.doing]
        return self._not_ahead(now, primary, self._soa, answer)

    def soa_failed(self, now: float, primary: Target, failure: Failure) -> list[Action]:
        if self._round_of(AskSoa(primary)) is None:
            return []
        if primary not in self._primaries:
            return self._go_on(now, [])
        return self._failed(now, primary, failure, says.check_failed)

    def fetched(self, now: float, primary: Target, fetched: Fetched) -> list[Action]:
        if (current := self._round_of_fetch(primary)) is None:
            return []
        self._primary_serial = fetched.soa.serial
        if fetched.kind == "current" and self._soa is not None:
            # They differ where a transfer was committed, and the word of that was lost.
            self._soa = fetched.stored or self._soa
            return self._not_ahead(now, primary, self._soa, SoaAnswer(fetched.soa.serial, fetched.expire))
        old, self._soa = self._soa, fetched.soa
        full = self._limits.expire(fetched.soa)
        # RFC 7314, 4: the option takes the place of the SOA's value, which it never exceeds.
        self.deadline = now + (full if fetched.expire is None else min(full, fetched.expire))
        self._transferred, self._kind = now, fetched.kind
        old_serial = None if old is None else old.serial
        actions: list[Action] = [
            says.transferred(
                self._zone, primary, fetched.kind, old_serial, fetched.soa.serial, messages=fetched.messages,
                records=fetched.records, octets=fetched.octets, seconds=fetched.seconds,
            )
        ]  # fmt: skip
        actions += self._fresh(now, primary, has_been=old is not None)
        outcome = Outcome("transferred", old_serial, fetched.soa.serial, fetched.kind, primary, current.failure)
        return actions + self._end(now, outcome)

    def fetch_failed(self, now: float, primary: Target, failure: Failure) -> list[Action]:
        if self._round_of_fetch(primary) is None:
            return []
        if primary not in self._primaries:
            return self._go_on(now, [])
        return self._failed(now, primary, failure, says.transfer_failed)

    # A round

    def _wake(self, wanted: _Wanted) -> list[Action]:
        if self._round is None:
            return self._begin(wanted)
        self._want(wanted)
        return []

    def _want(self, wanted: _Wanted) -> None:
        """One more round, however often it is wanted; a retransfer that was asked for stays one."""
        before = self._wanted or wanted
        self._wanted = _Wanted(
            wanted.full or before.full,
            before.address if wanted.address is None else wanted.address,
            before.hoped if wanted.hoped is None else wanted.hoped,
        )

    def _begin(self, wanted: _Wanted) -> list[Action]:
        at = self._primaries.index(self._preferred)
        order = [*self._primaries[at:], *self._primaries[:at]]
        order.sort(key=lambda primary: primary.address != wanted.address)
        first, *left = order
        doing = self._ask(first, wanted.full)
        self._round = _Round(doing, left, wanted.full, wanted.hoped)
        return [doing]

    @staticmethod
    def _ask(primary: Target, full: bool) -> AskSoa | Fetch:
        return Fetch(primary, full=True) if full else AskSoa(primary)

    def _round_of(self, doing: AskSoa | Fetch) -> _Round | None:
        """The round under way, if this is what it waits for."""
        return self._round if self._round is not None and self._round.doing == doing else None

    def _round_of_fetch(self, primary: Target) -> _Round | None:
        return self._round_of(Fetch(primary, full=False)) or self._round_of(Fetch(primary, full=True))

    def _not_ahead(self, now: float, primary: Target, ours: SoaTimers, answer: SoaAnswer) -> list[Action]:
        """The primary has nothing newer than what is here."""
        current = self._round
        assert current is not None
        if answer.serial != ours.serial:
            say = says.incomparable if is_incomparable(answer.serial, ours.serial) else says.behind
            count = self._count(primary, say.__name__, "serial")
            return self._fault_of(now, primary, say(self._zone, primary, ours.serial, answer.serial, count))
        full = now + self._limits.expire(ours)
        # RFC 7314, 4: the later of the option and the timer as it is, never later than the SOA's value says.
        if answer.expire is not None and self.deadline is not None:
            full = min(full, max(self.deadline, now + answer.expire))
        self.deadline = full
        actions = self._fresh(now, primary, has_been=True)
        current.good = current.good or primary
        if current.hoped is not None and is_ahead(current.hoped, ours.serial):
            return self._go_on(now, actions)
        return actions + self._end(now, self._outcome("current", current))

    def _failed(
        self, now: float, primary: Target, failure: Failure, say: Callable[[bytes, Target, Failure, int], Event]
    ) -> list[Action]:
        count = self._count(primary, say.__name__, failure.reason)
        return self._fault_of(now, primary, say(self._zone, primary, failure, count))

    def _count(self, primary: Target, what: str, reason: str) -> int:
        """How often this primary has now failed in this way, one after the other."""
        *before, times = self._repeats.get(primary, ("", "", 0))
        times = times + 1 if before == [what, reason] else 1
        self._repeats[primary] = (what, reason, times)
        return times

    def _fault_of(self, now: float, primary: Target, event: Event) -> list[Action]:
        assert self._round is not None
        self._round.failure = event
        reason, message = str(event.fields["reason"]), str(event.fields["msg"])
        self._fault = _Fault(now, event.name, event.code, reason, _text(primary), message)
        return self._go_on(now, [event])

    def _go_on(self, now: float, actions: list[Action]) -> list[Action]:
        """To the next primary; after the last, the round has failed unless one of them was good."""
        current = self._round
        assert current is not None
        if current.left:
            current.doing = self._ask(current.left.pop(0), current.full)
            return [*actions, current.doing]
        if current.good is not None:
            return actions + self._end(now, self._outcome("current", current))
        # Without one, those asked are primaries no more, and those that are will be asked at once: no outage.
        if current.failure is not None:
            self.failures += 1
            if self.failures == 1 and self._soa is not None and self.deadline is not None and not self.expired:
                actions = [*actions, says.stale(self._zone, self._soa.serial, self.deadline - now)]
        return actions + self._end(now, self._outcome("failed", current))

    def _outcome(self, result: str, current: _Round) -> Outcome:
        serial = None if self._soa is None else self._soa.serial
        return Outcome(result, serial, serial, None, current.good, current.failure)

    def _end(self, now: float, outcome: Outcome) -> list[Action]:
        hoped = None if self._round is None else self._round.hoped
        self._round = None
        self.rounds += 1
        self.outcome = outcome
        self._check_at = now + self._pause(hoped) * (1.0 - self._limits.jitter * self._random())
        wanted, self._wanted = self._wanted, None
        return [] if wanted is None else self._begin(wanted)

    def _pause(self, hoped: int | None) -> float:
        """Until the next check, before chance takes its share; ``hoped``: the serial that a NOTIFY promised."""
        limits, soa = self._limits, self._soa
        if soa is None:
            return min(limits.retry_min * 2.0 ** min(self.failures - 1, _DOUBLINGS), limits.retry_max)
        # What was promised, and no primary has yet, is looked for again before long.
        is_behind = hoped is not None and is_ahead(hoped, soa.serial)
        return limits.retry(soa) if self.failures or self.expired or is_behind else limits.refresh(soa)

    # Fresh, stale, expired

    def _fresh(self, now: float, primary: Target, *, has_been: bool) -> list[Action]:
        """A good check; ``has_been``: there were contents before, so that it can be told of a recovery."""
        assert self._soa is not None
        assert self._round is not None
        assert self.deadline is not None
        was_ill = self.failures > 0 or self.expired
        self.failures = 0
        self._checked, self._primary = now, _text(primary)
        self._repeats.pop(primary, None)
        # Whoever was asked because of a NOTIFY does not take the place of one that did not fail.
        if self._preferred not in self._round.left and self._round.good is None and primary in self._primaries:
            self._preferred = primary
        # A primary that gives the zone no time to live (RFC 7314) does not bring it back.
        if self.deadline <= now:
            return []
        self.expired = False
        return [says.recovered(self._zone, primary, self._soa.serial)] if was_ill and has_been else []

    def _expire(self, now: float) -> list[Action]:
        if self.expired or self.deadline is None or now < self.deadline or self._soa is None:
            return []
        self.expired = True
        # Expired without a failed check (RFC 7314, or a downtime): the primaries are asked now.
        if not self.failures:
            self._check_at = now
        return [says.expired(self._zone, self._soa.serial)]


def _text(primary: Target) -> str:
    """Its address and port, without the key."""
    return Target(primary.address, primary.port).text()
