"""NOTIFY out (R8): from the outbox to the targets, driven by the machine in ``protocol.notify``.

A NOTIFY is sent only when every answerer serves the version (DESIGN: durable, then served, then notified). What is
not acknowledged stays in the outbox, across restarts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from dnsserver import log
from dnsserver.errors import DnsServerError
from dnsserver.events import Event
from dnsserver.keeper.courier import Courier, rcode_text
from dnsserver.keeper.finder import Finder
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.mailbox import Mailbox
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.targets import Addresses, ZoneFacts
from dnsserver.keeper.watch import FeedWatch
from dnsserver.protocol.notify import NotifyMachine, Send
from dnsserver.store import feed
from dnsserver.store.database import Database
from dnsserver.store.feed import Appended, FeedRow
from dnsserver.store.outbox import PeerState, Pending
from dnsserver.zone import names
from dnsserver.zone.settings import Target

# Names that did not resolve are asked for again, for as long as the change is not told to all.
_RESOLVE_AGAIN = 60.0
_LOOK = 1.0
_SAVE_EVERY = 1.0
_ANY_VERSION = (1 << 63) - 1
# The whole outbox is read in one look: a long one is looked at less often, so that this takes a fifth of the time.
_LOOK_SHARE = 4.0
# What is pending is read at least so often, whatever is known of it.
_READ_EVERY = 60.0
# Zones that are stored by one transaction, since others wait for its end; and looked at between two turns of the loop.
_STORE = 2000


@dataclass(slots=True)
class _Zone:
    """What goes on with one zone.

    ``expected``: the version that it got by what this process committed, until all answerers serve it; ``told``: the
    version that the machine was told of, 0: none; ``facts``: what was known of it then, where it has targets;
    ``unresolved``: its servers' names without an address, to be resolved again at ``resolve_at``; ``not_before``: a
    suspended zone's change waits for its return, which is looked for so often; ``sent``: the serial that was sent last,
    and when (epoch), None: before this process began.
    """

    expected: int | None = None
    told: int = 0
    facts: ZoneFacts | None = None
    unresolved: tuple[str, ...] = ()
    resolve_at: float = math.inf
    not_before: float = 0.0
    sent: tuple[int, float | None] | None = None


class Notifier:
    """One task that looks and decides; those of the finder; one for each NOTIFY sent."""

    def __init__(
        self,
        settings: KeeperSettings,
        database: Database,
        hub: Hub,
        watch: FeedWatch,
        offload: Offload,
        happened: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._hub = hub
        self._watch = watch
        self._mailbox = Mailbox(database, offload)
        self._courier = Courier(settings, self._mailbox, happened)
        self.counters = self._courier.counters
        self._finder = Finder(settings, database, offload, self._start, self)
        self._machine = NotifyMachine(settings.notify_interval, settings.notifies_per_second)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._zones: defaultdict[int, _Zone] = defaultdict(_Zone)
        # Rows of the feed that this process wrote, and the zones that were told by what is known, since the last look.
        self._own: set[int] = set()
        self._assumed: set[int] = set()
        self._moved: set[int] = set()  # zones whose lists or settings changed
        # Secondary zones that have expired: nobody is told of them (R11).
        self._expired: set[int] = set()
        self._unsaved: set[int] = set()
        self._gone: set[int] = set()
        self._saved_at = 0.0
        self._looked_at = self._look_at = self._again_at = self._pauses_until = 0.0
        self._has_news = True
        self._runs = False  # whether it is known what targets knew before
        self._tasks: set[asyncio.Task[None]] = set()

    # What others ask

    def notified(self, zone_id: int) -> int | None:
        """The serial that was last sent, or acknowledged before this process began."""
        sent = self._state(zone_id).sent
        return None if sent is None else sent[0]

    def notified_since(self, zone_id: int) -> float | None:
        """When that was (epoch); None where it was before this process began."""
        sent = self._state(zone_id).sent
        return None if sent is None else sent[1]

    def expired(self, zone_id: int, expired: bool) -> None:
        """A secondary zone has expired, or is good again: what its targets do not know yet waits meanwhile."""
        if not expired:
            self._expired.discard(zone_id)
            if zone_id in self._zones:
                self._zones[zone_id].not_before = 0.0
            self._has_news = True
            self._wake.set()
        elif zone_id not in self._expired:
            self._expired.add(zone_id)
            self._forget(zone_id, gone=False)

    def notify_now(self, zone_id: int) -> None:
        """Tell all targets again, also those that know."""
        self._machine.again(zone_id, self._loop.time())
        self._finder.put_first(zone_id)

    def heard(self, zone_id: int, address: str) -> None:
        self._machine.heard(address, self._loop.time())
        self._wake.set()

    def committed(self, appended: Appended) -> None:
        """This process has committed something."""
        self._finder.known.committed(appended)
        for row, change in appended.rows:
            self._own.add(row.seq)
            if change is None:
                self._mailbox.forget_keys()
            if row.zone_id is not None and row.to_version is not None:
                self._zones[row.zone_id].expected = row.to_version

    def serving(self, zone_id: int | None) -> None:
        """An answerer serves another version of a zone; None: there is one answerer more, or one less."""
        if not self._runs:
            return
        if zone_id is None or (expected := self._state(zone_id).expected) is None:
            self._has_news = True
            self._wake.set()
        elif (served := self._hub.served(zone_id)) is not None:
            if served >= expected:
                self._zones[zone_id].expected = None
            self._tell_at_once(zone_id, served)

    def _tell_at_once(self, zone_id: int, version: int) -> None:
        now, zone = self._loop.time(), self._zones[zone_id]
        facts = None if self._finder.is_busy(zone_id) else self._finder.known.served(zone_id, version, now)
        if facts is not None and zone_id not in self._expired:
            self._assumed.add(zone_id)
            zone.facts, zone.told = facts, facts.zone.version
            self._machine.advanced(zone_id, facts.zone.version, facts.zone.serial, now)
            self._unsaved.add(zone_id)
            self._send_due()
        elif zone.expected is None:
            self._finder.put_first(zone_id)

    def reconfigure(self, settings: KeeperSettings) -> None:
        self._settings = self._courier.settings = self._finder.settings = settings
        self._finder.known.clear()
        self._machine.interval = settings.notify_interval
        self._machine.per_second = settings.notifies_per_second

    async def wait(self, zone_id: int, version: int, seconds: float) -> list[dict[str, Any]]:
        """Until all targets of a zone know ``version``, at most so many seconds; each target and what it answered."""
        end = self._loop.time() + seconds
        while not self._is_told(zone_id, version) and (left := end - self._loop.time()) > 0:
            await self._pause(min(left, _LOOK))
        return [
            {
                "target": status.target.text(),
                "ok": status.acknowledged >= version,
                "answer": None if status.rcode is None else rcode_text(status.rcode),
            }
            for status in self._machine.status(zone_id)
        ] + [
            {"target": name, "ok": False, "answer": "the name has no address"}
            for name in self._state(zone_id).unresolved
        ]

    def _is_told(self, zone_id: int, version: int) -> bool:
        return self._state(zone_id).told >= version and self._machine.is_done(zone_id)

    def _state(self, zone_id: int) -> _Zone:
        """To be read only: it makes no record where there is none."""
        return self._zones.get(zone_id) or _Zone()

    # The task

    async def run(self) -> None:
        for zone_id, target, state in await self._mailbox.stored():
            self._machine.restore(zone_id, Target.parse(target), state)
            self._zones[zone_id].sent = max(self.notified(zone_id) or 0, state["serial"]), None
        self._runs = True
        while True:
            try:
                await self._turn()
            except DnsServerError as error:
                log.event("notify-failed", msg=error.message)
                await asyncio.sleep(_LOOK)

    async def _turn(self) -> None:
        """One look: what is due, what is pending, what is to be saved; then wait for news."""
        news = self._watch.moment
        self._wake.clear()
        self._send_due()
        await self._look()
        self._finder.proceed()
        if self._unsaved and self._loop.time() - self._saved_at >= _SAVE_EVERY:
            await self._save()
        timer, now = self._machine.next_timer(), self._loop.time()
        left = min(_LOOK, math.inf if timer is None else timer - now)
        if self._has_news:
            left = min(left, self._look_at - now)
        self._pauses_until = now + left
        await self._pause(max(left, 0.0), news)
        self._has_news = self._has_news or news.is_set()

    def _send_due(self) -> None:
        for send in self._machine.due(self._loop.time()):
            self._zones[send.zone].sent = send.serial, time.time()
            self._start(self._send(send))
        timer = self._machine.next_timer()
        if timer is not None and timer < self._pauses_until:
            self._wake.set()

    async def _look(self) -> None:
        """Follow the feed once a second and at news; read the outbox, where there may be something to do in it."""
        began = self._loop.time()
        if began < self._look_at or not (self._has_news or began >= self._looked_at + _LOOK):
            return
        if whole := self._has_news or began >= self._again_at:
            # Also where it cannot be read now.
            self._again_at = began
        self._has_news = False
        waiting, rows = await self._mailbox.look(whole=whole)
        moved = self._follow(rows)
        if waiting is not None:
            self._again_at = began + _READ_EVERY
            here = {pending.zone_id for pending in waiting}
            self._look_for_deleted((set(self._zones) if moved is None else moved) - here)
            self._moved = here if moved is None else (self._moved | moved) & here
            for number, pending in enumerate(waiting):
                if not number % _STORE:
                    await asyncio.sleep(0)
                self._consider(pending, began)
        self._looked_at = self._loop.time()
        self._look_at = self._looked_at + _LOOK_SHARE * (self._looked_at - began)

    def _follow(self, rows: list[FeedRow] | None) -> set[int] | None:
        """What the feed says: the zones whose lists or settings changed; None: maybe all."""
        if rows is None or any(row.seq not in self._own for row in rows):
            # Others write, too: what was known may have been untrue for as long as nobody looked.
            self._finder.known.clear()
            self._mailbox.forget_keys()
            for zone_id in self._assumed:
                self._finder.put_first(zone_id)
        self._assumed.clear()
        if rows is None:
            self._own.clear()
            return None
        self._own.difference_update(row.seq for row in rows)
        moved = [row.zone_id for row in rows if row.kind in (feed.ACCESS, feed.ZONE)]
        return None if None in moved else {zone_id for zone_id in moved if zone_id is not None}

    def _look_for_deleted(self, zone_ids: Iterable[int]) -> None:
        """Of these nothing is pending: where targets do not know all of a zone, it went with its outbox row, maybe."""
        for zone_id in zone_ids:
            if not self._machine.is_done(zone_id):
                self._finder.put(zone_id)

    async def _pause(self, seconds: float, *news: asyncio.Event) -> None:
        """Until one of the events, or this time is over."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._wake, *news)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._save()
        except DnsServerError as error:
            log.event("notify-failed", msg=error.message)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except DnsServerError as error:
            log.event("notify-failed", msg=error.message)
        except Exception as error:
            # Not left to the collector, which tells of it some time or never.
            log.event("notify-failed", msg=f"{type(error).__name__}: {error}")
        self._wake.set()

    # Who is to be told: what the finder is asked for, and what it reports

    def _consider(self, pending: Pending, now: float) -> None:
        zone_id, version, _ = pending
        if zone_id in self._finder:
            return
        # Targets that were removed are told no more, new ones at once.
        zone = self._state(zone_id)
        is_news = zone_id in self._moved or zone.told < version
        due = zone.not_before if is_news else max(zone.not_before, zone.resolve_at)
        if due > now:
            self._again_at = min(self._again_at, due)
            return
        served = self._hub.served(zone_id)
        if served is not None and served >= version:
            self._finder.put(zone_id)

    def turn_begins(self, ids: list[int]) -> None:
        self._moved.difference_update(ids)

    def turn_ends(self, *, is_last: bool) -> None:
        """What came meanwhile for zones that had their turn was passed over: with the last of them it is looked for."""
        self._has_news = self._has_news or is_last
        self._wake.set()

    def unreadable(self, zone_id: int) -> None:
        self._zones[zone_id].not_before = self._loop.time() + _LOOK

    def read(self, zone_id: int, facts: ZoneFacts | None) -> bool:
        if facts is None or facts.zone.suspended or zone_id in self._expired:
            self._forget(zone_id, gone=facts is None)
            self._zones[zone_id].not_before = self._loop.time() + _LOOK
            return False
        self._zones[zone_id].not_before = 0.0
        self._gone.discard(zone_id)
        # Changed again meanwhile: what is not served yet is told when it is.
        return (self._hub.served(zone_id) or 0) >= facts.zone.version

    def found_before(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], *, is_all: bool) -> None:
        self._changed(zone_id, facts, addresses, keep=not is_all)

    def found(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], unresolved: list[str]) -> None:
        self._changed(zone_id, facts, addresses, keep=False)
        zone = self._zones[zone_id]
        zone.told, zone.unresolved, zone.resolve_at = facts.zone.version, tuple(unresolved), math.inf
        self._unsaved.add(zone_id)
        if unresolved:
            zone.resolve_at = self._loop.time() + _RESOLVE_AGAIN
            log.event("notify-target-unresolved", zone=names.to_text(facts.zone.name), names=",".join(unresolved))

    def _changed(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], *, keep: bool) -> None:
        targets = facts.targets(addresses, self._settings.listen) if self._settings.notify else ()
        if keep:
            there = [status.target for status in self._machine.status(zone_id)]
            targets = tuple(dict.fromkeys((*targets, *there)))
        self._zones[zone_id].facts = facts if targets else None
        self._machine.changed(zone_id, facts.zone.version, facts.zone.serial, targets, self._loop.time())
        self._send_due()

    def _forget(self, zone_id: int, *, gone: bool) -> None:
        self._machine.removed(zone_id)
        self._finder.known.forget(zone_id)
        self._courier.forget(zone_id)
        if (zone := self._zones.pop(zone_id, None)) is not None:
            self._zones[zone_id] = _Zone(not_before=zone.not_before, sent=zone.sent)
        if gone:
            self._gone.add(zone_id)
            self._unsaved.add(zone_id)

    async def _send(self, send: Send) -> None:
        facts = self._state(send.zone).facts
        if facts is not None and (rcode := await self._courier.deliver(send, facts)) is not None:
            meaning = self._machine.answered(send.zone, send.target, send.version, rcode)
            self._unsaved.add(send.zone)
            self._courier.answered(send, facts, rcode, meaning)

    # What is kept

    async def _save(self) -> None:
        """What targets know, and which zones are told to all: of one zone in one transaction."""
        self._saved_at = self._loop.time()
        unsaved = list(self._unsaved)
        for at in range(0, len(unsaved), _STORE):
            await self._save_some(unsaved[at : at + _STORE])

    async def _save_some(self, ids: list[int]) -> None:
        states = [
            PeerState(zone_id, target.text(), state)
            for zone_id in ids
            for target, state in self._machine.export(zone_id)
        ]
        gone = self._gone.intersection(ids)
        done = [(zone_id, _ANY_VERSION) for zone_id in gone]
        done += [(zone_id, self._zones[zone_id].told) for zone_id in ids if self._is_done(zone_id)]
        self._unsaved.difference_update(ids)
        self._gone -= gone
        for zone_id in gone:
            # Unless it is back.
            if self._state(zone_id).expected is None:
                self._zones.pop(zone_id, None)
        try:
            await self._mailbox.save(states, done)
        except DnsServerError:
            self._unsaved.update(ids)
            self._gone |= gone
            raise

    def _is_done(self, zone_id: int) -> bool:
        """Whether nobody is to be told of the version that the machine was told of, or of an older one."""
        zone = self._state(zone_id)
        is_whole = zone.told > 0 and not zone.unresolved and not self._finder.is_busy(zone_id)
        return is_whole and self._machine.is_done(zone_id)
