"""Secondary zones kept fresh: the machines of ``protocol.refresh``, and what carries out what they say.

One task looks and decides; one for each question and each transfer under way. What the machines know is stored
together, once a second (R11), and the answerers are told when zones expire, so that they need nobody for it.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dnsserver import link, log
from dnsserver.asking import ask_soa
from dnsserver.clock import Clock
from dnsserver.errors import DnsServerError
from dnsserver.events import Event
from dnsserver.keeper.fetch import Fetcher
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.secondaries import Left, Secondaries, State, Stored
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.timers import Timers
from dnsserver.keeper.turns import Turns
from dnsserver.keeper.watch import LOOK, FeedWatch
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import (
    Action,
    AskSoa,
    Fetch,
    Fetched,
    Outcome,
    SoaTimers,
    ZoneRefresh,
)
from dnsserver.protocol.soa_query import SoaAnswer
from dnsserver.store.database import Database
from dnsserver.store.feed import FeedMark
from dnsserver.store.zones import ZoneRow
from dnsserver.zone.settings import Target

_SAVE_EVERY = 1.0
# How soon it is looked whether a save that takes longer has ended.
_SAVE_SOON = 0.05
# Questions under way at once; those to one primary, which may be dead, are a fifth of them.
_ASKING, _ASKING_EACH = 500, 100
# The wall clock against the monotonic one: what is further off has jumped, and all that is stored is wrong by it.
_JUMP = 1.0
_DEADLINES = 200


@dataclass(slots=True)
class _Zone:
    """One secondary zone here.

    ``told``: the deadline that the answerers know; ``awaited``: who waits for the end of the machine's round of this
    number; ``fetching``: the transfer under way, and from whom.
    """

    row: ZoneRow
    machine: ZoneRefresh
    told: float | None = None
    expired: bool = False
    awaited: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)
    fetching: tuple[Target, asyncio.Task[Fetched | Failure]] | None = None

    def give_up(self, primaries: Iterable[Target] = ()) -> None:
        """End a transfer under way from another than these: of nobody's interest, it could take an hour."""
        if self.fetching is not None and self.fetching[0] not in primaries:
            self.fetching[1].cancel()


@dataclass(frozen=True, slots=True)
class _Turn:
    """Something that a machine wants, when its turn comes."""

    zone: _Zone
    action: AskSoa | Fetch


class Refresher:
    """``tell``: a message to all answerers; ``expired``: told of zones that expire and come back."""

    def __init__(
        self,
        settings: KeeperSettings,
        database: Database,
        watch: FeedWatch,
        offload: Offload,
        fetcher: Fetcher,
        clock: Clock,
        *,
        happened: Callable[[Event], None],
        tell: Callable[[link.Message], None],
        expired: Callable[[int, bool], None],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._settings = settings
        self._stored = Secondaries(database)
        self._watch = watch
        self._offload = offload
        self._fetcher = fetcher
        self._clock = clock
        self._happened = happened
        self._tell = tell
        self._expired = expired
        self._zones: dict[int, _Zone] = {}
        self._timers = Timers()
        self._checks: Turns[_Turn] = Turns(_ASKING, _ASKING_EACH, settings.soa_checks_per_second)
        self._transfers: Turns[_Turn] = Turns(settings.max_transfers_in, settings.max_transfers_in_per_primary)
        self._unsaved: set[int] = set()
        self._saved_at = -math.inf
        self._saving: asyncio.Task[None] | None = None
        # Of two at once, the one that began first might be written last.
        self._saves = asyncio.Lock()
        self._ahead = clock.wall() - clock.monotonic()
        # How far the feed was followed, when it was looked at, and what is set when there is more.
        self._mark = FeedMark(0, 0)
        self._looked_at = 0.0
        self._moment = watch.moment
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loaded = asyncio.Event()
        # NOTIFYs that came before the zones were loaded.
        self._early: dict[int, tuple[int | None, str]] = {}

    # What others ask

    def reconfigure(self, settings: KeeperSettings) -> None:
        """Take what a reload changed."""
        self._settings = settings
        self._checks.per_second = settings.soa_checks_per_second
        self._transfers.most = settings.max_transfers_in
        self._transfers.most_each = settings.max_transfers_in_per_primary
        now = self._clock.monotonic()
        for zone_id, zone in self._zones.items():
            self._act(zone_id, zone, zone.machine.reconfigure(now, zone.row.settings.primaries, settings.refresh))
        self._wake.set()

    def notify_heard(self, zone_id: int, serial: int | None, address: str) -> None:
        """A NOTIFY that an answerer took (R9)."""
        zone = self._zones.get(zone_id)
        if not self._loaded.is_set():
            self._early[zone_id] = (serial, address)
        elif zone is not None:
            self.counters["notifies-heard"] += 1
            self._act(zone_id, zone, zone.machine.notified(self._clock.monotonic(), serial, address))

    async def loaded(self) -> None:
        """Return when it is known which zones have expired."""
        await self._loaded.wait()

    def deadlines(self) -> Iterator[link.Deadlines]:
        """When every secondary zone expires, for an answerer that is new."""
        now = self._clock.monotonic()
        entries = [(zone_id, _left(zone.machine, now)) for zone_id, zone in self._zones.items()]
        for at in range(0, len(entries), _DEADLINES):
            yield link.Deadlines(tuple(entries[at : at + _DEADLINES]))

    async def refresh(self, zone_id: int, seconds: float, *, full: bool) -> dict[str, Any]:
        """Check a zone now (R23), or with ``full`` transfer it whole, and wait for the outcome at most so long."""
        await self.loaded()
        await self._look()
        zone = self._zones.get(zone_id)
        if zone is None:
            return {"outcome": "failed", "message": "it is no secondary zone that is refreshed (suspended?)"}
        machine, now = zone.machine, self._clock.monotonic()
        done = asyncio.get_running_loop().create_future()
        # What is under way may have asked too early; but the first transfer of a new zone is what is waited for.
        is_first = machine.is_busy and not zone.row.version and not full
        zone.awaited.append((machine.rounds + (2 if machine.is_busy and not is_first else 1), done))
        if not is_first:
            actions = machine.retransfer(now) if full else machine.refresh(now)
            self._act(zone_id, zone, actions, first=True)
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            return {"outcome": "pending", "message": f"nothing came of it in {seconds:g} s; it goes on"}
        outcome = machine.outcome if self._is_here(zone) else None
        # Who asks for the zone's status now, reads it in the database. By then another round may have ended.
        await self._save()
        return _outcome(outcome)

    # The task

    async def run(self) -> None:
        """For ever."""
        while not self._loaded.is_set():
            await self._try(self._load)
            if not self._loaded.is_set():
                await asyncio.sleep(LOOK)
        while True:
            await self._turn()

    @staticmethod
    async def _try(work: Callable[[], Awaitable[None]]) -> None:
        """A database that is lost holds nothing else up: primaries are asked, and good checks put off the expiry."""
        try:
            await work()
        except DnsServerError as error:
            log.event("refresher-failed", msg=error.message)

    async def stop(self) -> None:
        """End what is under way, and store what is known."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._saving is not None:
            await self._saving
        await self._try(self._save)

    async def _load(self) -> None:
        self._mark, found = await self._offload(self._stored.all)
        for stored in found:
            self._begin(*stored)
        self._loaded.set()
        early, self._early = self._early, {}
        for zone_id, (serial, address) in early.items():
            self.notify_heard(zone_id, serial, address)

    async def _turn(self) -> None:
        """One look: what changed, what is due, what may begin, what is to be stored; then wait for news."""
        self._wake.clear()
        if self._moment.is_set() or self._clock.monotonic() >= self._looked_at + LOOK:
            await self._try(self._look)
        now = self._clock.monotonic()
        for zone_id in self._timers.due(now):
            zone = self._zones[zone_id]
            self._act(zone_id, zone, zone.machine.due(now))
        self._begin_turns(now)
        if self._clock.monotonic() - self._saved_at >= _SAVE_EVERY and (self._saving is None or self._saving.done()):
            # A database that is slow to write holds no question up.
            self._saving = asyncio.create_task(self._try(self._save))
        await self._pause()

    async def _pause(self) -> None:
        now = self._clock.monotonic()
        ends = [max(self._saved_at + _SAVE_EVERY, now + _SAVE_SOON)]
        rate = self._checks.next_at() if len(self._checks) else None
        ends += [at for at in (self._timers.next_at(), rate) if at is not None]
        waiting = [asyncio.create_task(event.wait()) for event in (self._wake, self._moment)]
        try:
            seconds = min(max(min(ends) - now, 0.001), LOOK)
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    # Zones that come, change and go

    async def _look(self) -> None:
        """Follow the feed: zones made, set, converted, suspended, gone."""
        self._moment, self._looked_at = self._watch.moment, self._clock.monotonic()
        found = await self._offload(self._stored.changed, self._mark)
        if found is None:
            await self._reload()
            return
        self._mark, changed = found
        for zone_id, stored in changed.items():
            self._take(zone_id, stored)

    async def _reload(self) -> None:
        """The database is another one than it was, of a backup maybe: what machines know is not what is here."""
        self._mark, found = await self._offload(self._stored.all)
        here = {row.id for row, _, _ in found}
        for zone_id in list(self._zones):
            self._forget(zone_id, "suspended" if zone_id in here else "gone")
        for stored in found:
            self._take(stored[0].id, stored)

    def _take(self, zone_id: int, stored: Stored | Left) -> None:
        if isinstance(stored, str):
            self._forget(zone_id, stored)
            return
        zone = self._zones.get(zone_id)
        if zone is None:
            # New, converted, resumed or restored: what was told of it meanwhile was not heard.
            self._begin(*stored)
            zone = self._zones[zone_id]
            self._act(zone_id, zone, zone.machine.refresh(self._clock.monotonic()))
            return
        before, zone.row = zone.row, stored[0]
        if before.settings.primaries != zone.row.settings.primaries:
            now, primaries = self._clock.monotonic(), zone.row.settings.primaries
            self._act(zone_id, zone, zone.machine.reconfigure(now, primaries, self._settings.refresh))
            zone.give_up(primaries)

    def _begin(self, row: ZoneRow, soa: SoaTimers | None, state: State | None) -> _Zone:
        machine = ZoneRefresh(row.name, row.settings.primaries, self._settings.refresh, random.random)
        zone = self._zones[row.id] = _Zone(row, machine)
        self._act(row.id, zone, machine.start(self._clock.monotonic(), self._clock.wall(), soa, state))
        return zone

    def _forget(self, zone_id: int, why: Left) -> None:
        zone = self._zones.pop(zone_id, None)
        if zone is None:
            return
        zone.give_up()
        self._settle(zone, math.inf)
        self._timers.set(zone_id, None)
        self._unsaved.discard(zone_id)
        if zone.expired:
            self._expired(zone_id, False)
        # One that is suspended expires all the same, were it resumed when no keeper is there.
        if why == "gone":
            self._tell(link.Deadlines(((zone_id, None),)))

    # What machines say

    def _act(self, zone_id: int, zone: _Zone, actions: Iterable[Action], *, first: bool = False) -> None:
        """Carry out what a machine said, and note what it knows now; ``first``: somebody waits for it."""
        for action in actions:
            if isinstance(action, Event):
                self._happened(action)
            elif isinstance(action, AskSoa):
                self._checks.put(action.primary.address, _Turn(zone, action), first=first)
            else:
                self._transfers.put(action.primary.address, _Turn(zone, action), first=first)
        self._unsaved.add(zone_id)
        machine = zone.machine
        self._timers.set(zone_id, machine.next_at)
        if machine.deadline != zone.told:
            zone.told = machine.deadline
            self._tell(link.Deadlines(((zone_id, _left(machine, self._clock.monotonic())),)))
        if machine.expired != zone.expired:
            zone.expired = machine.expired
            self._expired(zone_id, machine.expired)
        if zone.awaited:
            self._settle(zone, machine.rounds)
        self._wake.set()

    @staticmethod
    def _settle(zone: _Zone, rounds: float) -> None:
        """Tell who waits for a round that has ended."""
        for wanted, future in zone.awaited:
            if wanted <= rounds and not future.done():
                future.set_result(None)
        zone.awaited = [(wanted, future) for wanted, future in zone.awaited if not future.done()]

    def _begin_turns(self, now: float) -> None:
        for turn in self._checks.take(now):
            self._start(self._ask(turn.zone, turn.action), self._checks, turn)
        for turn in self._transfers.take(now):
            self._start(self._fetch(turn.zone, turn.action), self._transfers, turn)

    def _start(self, work: Coroutine[Any, Any, None], turns: Turns[_Turn], turn: _Turn) -> None:
        task = asyncio.create_task(self._guarded(work, turns, turn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], turns: Turns[_Turn], turn: _Turn) -> None:
        try:
            await work
        finally:
            turns.done(turn.action.primary.address)
            self._wake.set()

    async def _ask(self, zone: _Zone, action: AskSoa | Fetch) -> None:
        if not self._is_here(zone):
            return
        machine, primary = zone.machine, action.primary
        self.counters["soa-checks"] += 1
        result: SoaAnswer | Failure
        try:
            key = None if primary.key is None else await self._offload(self._stored.key, primary.key)
            if isinstance(key, Failure):
                result = key
            else:
                settings, wall = self._settings, self._clock.wall
                sources, fudge = settings.outbound_addresses, settings.tsig_fudge
                result = await ask_soa(zone.row.name, primary, key, sources, wall, fudge_cap=fudge)
        except Exception as error:  # whatever it was, the machine must hear of it, or the zone is never asked for again
            result = _internal(error)
        now = self._clock.monotonic()
        if isinstance(result, Failure):
            self.counters[f"soa-checks-{result.reason}"] += 1
            actions = machine.soa_failed(now, primary, result)
        else:
            actions = machine.soa_answered(now, primary, result)
        self._heard(zone, actions)

    async def _fetch(self, zone: _Zone, action: AskSoa | Fetch) -> None:
        if not self._is_here(zone) or not isinstance(action, Fetch):
            return
        machine, primary = zone.machine, action.primary
        self.counters["transfers-in-begun"] += 1
        fetching = asyncio.create_task(self._fetcher.fetch(zone.row, primary, action.full))
        zone.fetching = primary, fetching
        result: Fetched | Failure
        try:
            result = await fetching
            if isinstance(result, Failure) and result.reason == "internal":
                # Where the zone was suspended, converted or deleted meanwhile, that is no failure to tell of.
                await self._look()
        except asyncio.CancelledError:
            if (this := asyncio.current_task()) is not None and this.cancelling():
                raise
            result = Failure("internal", "given up")
        except Exception as error:
            result = _internal(error)
        finally:
            zone.fetching = None
        now = self._clock.monotonic()
        if isinstance(result, Failure):
            self.counters[f"transfers-in-{result.reason}"] += 1
            actions = machine.fetch_failed(now, primary, result)
        else:
            self.counters[f"transfers-in-{result.kind}"] += 1
            self._looked_at = -math.inf
            actions = machine.fetched(now, primary, result)
        self._heard(zone, actions)

    def _heard(self, zone: _Zone, actions: Iterable[Action]) -> None:
        """What came of a question; nothing, where the zone is not the one any more that asked."""
        if self._is_here(zone):
            self._act(zone.row.id, zone, actions)

    def _is_here(self, zone: _Zone) -> bool:
        """Not forgotten meanwhile, or begun anew."""
        return self._zones.get(zone.row.id) is zone

    # What is stored

    async def _save(self) -> None:
        """Store what machines know, together: of all of them, where the wall clock has jumped."""
        async with self._saves:
            await self._save_next()

    async def _save_next(self) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._saved_at = now
        if abs(wall - now - self._ahead) > _JUMP:
            self._unsaved = set(self._zones)
        self._ahead = wall - now
        unsaved, self._unsaved = self._unsaved, set()
        states = [
            (zone_id, self._zones[zone_id].machine.export(now, wall)) for zone_id in unsaved if zone_id in self._zones
        ]
        if not states:
            return
        try:
            await self._offload(self._stored.save, states)
        except DnsServerError:
            self._unsaved |= unsaved
            raise


def _left(machine: ZoneRefresh, now: float) -> float | None:
    if machine.expired:
        return 0.0
    return None if machine.deadline is None else machine.deadline - now


def _internal(error: Exception) -> Failure:
    detail = error.message if isinstance(error, DnsServerError) else f"{type(error).__name__}: {error}"
    return Failure("internal", detail)


def _outcome(found: Outcome | None) -> dict[str, Any]:
    if found is None:
        return {"outcome": "failed", "message": "the zone went away meanwhile"}
    failure = found.event.fields if found.event is not None else {}
    # Nobody has failed where the primaries that were asked are none any more.
    otherwise = "the zone has other primaries now" if found.result == "failed" else None
    return {
        "outcome": found.result,
        "old_serial": found.old_serial,
        "new_serial": found.new_serial,
        "kind": found.kind,
        "primary": None if found.primary is None else found.primary.text(),
        "error": failure.get("reason"),
        "message": failure.get("msg", otherwise),
    }
