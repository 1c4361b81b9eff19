"""NOTIFY out (R8): from the outbox to the targets, driven by the machine in ``protocol.notify``.

A NOTIFY is sent only when every answerer serves the version (DESIGN: durable, then served, then notified). What is
not acknowledged stays in the outbox, across restarts.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from dnsserver import log
from dnsserver.errors import DnsServerError
from dnsserver.events import Event, Value
from dnsserver.exchange import exchange
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.known import Known
from dnsserver.keeper.mailbox import Mailbox
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.targets import Addresses, Resolver, ZoneFacts, facts_of, own_addresses
from dnsserver.keeper.watch import FeedWatch
from dnsserver.protocol.notify import NOERROR, Answer, NotifyMachine, Send
from dnsserver.protocol.notify_message import Expected, Ignored, build, read_answer
from dnsserver.protocol.notify_targets import targets_of
from dnsserver.protocol.query import Rcode
from dnsserver.store import feed
from dnsserver.store.database import Database
from dnsserver.store.feed import Appended, FeedRow
from dnsserver.store.outbox import PeerState, Pending
from dnsserver.zone import names
from dnsserver.zone.settings import Target

# An answer that comes later than this is not waited for; the machine asks again by then.
_ANSWER_WITHIN = 5.0
# Names that did not resolve are asked for again, for as long as the change is not told to all.
_RESOLVE_AGAIN = 60.0
_LOOK = 1.0
_SAVE_EVERY = 1.0
_ANY_VERSION = (1 << 63) - 1
# The whole outbox is read in one look: a long one is looked at less often, so that this takes a fifth of the time.
_LOOK_SHARE = 4.0
# Zones whose targets are found out at once; those after them have their turn when one is done.
_TELL_AT_ONCE = 1000


class Notifier:
    """One task that looks and decides; one for each zone whose targets are found out, and for each NOTIFY sent."""

    def __init__(
        self,
        settings: KeeperSettings,
        database: Database,
        hub: Hub,
        watch: FeedWatch,
        offload: Offload,
        happened: Callable[[Event], None],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._happened = happened
        self._settings = settings
        self._database = database
        self._hub = hub
        self._watch = watch
        self._offload = offload
        self._mailbox = Mailbox(database, offload)
        self._resolver = Resolver()
        self._machine = NotifyMachine(settings.notify_interval, settings.notifies_per_second)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._facts: dict[int, ZoneFacts] = {}
        self._known = Known()
        # Rows of the feed that this process wrote, and the zones that were told by what is known, since the last look.
        self._own: set[int] = set()
        self._assumed: set[int] = set()
        # The version that a zone got by what this process committed, until all answerers serve it.
        self._expected: dict[int, int] = {}
        # The version that the machine was told of; when names of the zone's servers are to be resolved again.
        self._told: dict[int, int] = {}
        self._resolve_at: dict[int, float] = {}
        self._unresolved: dict[int, list[str]] = {}
        # Zones whose lists or settings changed.
        self._moved: set[int] = set()
        # A suspended zone's change waits for its return, which is looked for so often.
        self._not_before: dict[int, float] = {}
        self._telling: set[int] = set()
        self._silent: dict[int, dict[Target, int]] = {}
        self._sent_serial: dict[int, int] = {}
        self._sent_at: dict[int, float] = {}
        # Secondary zones that have expired: nobody is told of them (R11).
        self._expired: set[int] = set()
        self._unsaved: set[int] = set()
        self._gone: set[int] = set()
        self._saved_at = 0.0
        self._looked_at = self._look_at = self._pauses_until = 0.0
        self._has_news = True
        # Whether it is known what targets knew before.
        self._runs = False
        self._tasks: set[asyncio.Task[None]] = set()

    # What others ask

    def notified(self, zone_id: int) -> int | None:
        """The serial that was last sent, or acknowledged before this process began."""
        return self._sent_serial.get(zone_id)

    def notified_since(self, zone_id: int) -> float | None:
        """When that was (epoch); None where it was before this process began."""
        return self._sent_at.get(zone_id)

    def expired(self, zone_id: int, expired: bool) -> None:
        """A secondary zone has expired, or is good again: what its targets do not know yet waits meanwhile."""
        if not expired:
            self._expired.discard(zone_id)
            self._not_before.pop(zone_id, None)
            self._has_news = True
            self._wake.set()
        elif zone_id not in self._expired:
            self._expired.add(zone_id)
            self._forget(zone_id, gone=False)

    def notify_now(self, zone_id: int) -> None:
        """Tell all targets again, also those that know."""
        self._machine.again(zone_id, self._loop.time())
        self._start(self._tell(zone_id))

    def heard(self, zone_id: int, address: str) -> None:
        self._machine.heard(address, self._loop.time())
        self._wake.set()

    def committed(self, appended: Appended) -> None:
        """This process has committed something."""
        self._known.committed(appended)
        for row, change in appended.rows:
            self._own.add(row.seq)
            if change is None:
                self._mailbox.forget_keys()
            if row.zone_id is not None and row.to_version is not None:
                self._expected[row.zone_id] = row.to_version

    def serving(self, zone_id: int | None) -> None:
        """An answerer serves another version of a zone; None: there is one answerer more, or one less."""
        if not self._runs:
            return
        served = None if zone_id is None else self._hub.served(zone_id)
        if zone_id is None or zone_id not in self._expected:
            self._has_news = True
            self._wake.set()
        elif served is not None:
            if served >= self._expected[zone_id]:
                del self._expected[zone_id]
            self._tell_at_once(zone_id, served)

    def _tell_at_once(self, zone_id: int, version: int) -> None:
        now = self._loop.time()
        facts = self._known.served(zone_id, version, now) if zone_id not in self._telling else None
        if facts is not None and zone_id not in self._expired:
            self._assumed.add(zone_id)
            self._facts[zone_id] = facts
            self._told[zone_id] = facts.zone.version
            self._machine.advanced(zone_id, facts.zone.version, facts.zone.serial, now)
            self._unsaved.add(zone_id)
            self._send_due()
        elif zone_id not in self._expected and len(self._telling) < _TELL_AT_ONCE:
            self._start(self._tell(zone_id))

    def reconfigure(self, settings: KeeperSettings) -> None:
        self._settings = settings
        self._known.clear()
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
                "answer": None if status.rcode is None else _rcode_text(status.rcode),
            }
            for status in self._machine.status(zone_id)
        ] + [
            {"target": name, "ok": False, "answer": "the name has no address"}
            for name in self._unresolved.get(zone_id, [])
        ]

    def _is_told(self, zone_id: int, version: int) -> bool:
        return self._told.get(zone_id, 0) >= version and self._machine.is_done(zone_id)

    # The task

    async def run(self) -> None:
        for zone_id, target, state in await self._mailbox.stored():
            self._machine.restore(zone_id, Target.parse(target), state)
            self._sent_serial[zone_id] = max(self._sent_serial.get(zone_id, 0), state["serial"])
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
            self._sent_serial[send.zone] = send.serial
            self._sent_at[send.zone] = time.time()
            self._start(self._send(send))
        timer = self._machine.next_timer()
        if timer is not None and timer < self._pauses_until:
            self._wake.set()

    async def _look(self) -> None:
        """Read the outbox, where there may be something new in it: at news, and once a second."""
        began = self._loop.time()
        if began < self._look_at or not (self._has_news or began >= self._looked_at + _LOOK):
            return
        self._has_news = False
        waiting, rows = await self._mailbox.look()
        moved = self._follow(rows)
        here = {pending.zone_id for pending in waiting}
        self._moved = here if moved is None else (self._moved | moved) & here
        for pending in waiting:
            self._consider(pending)
        self._looked_at = self._loop.time()
        self._look_at = self._looked_at + _LOOK_SHARE * (self._looked_at - began)

    def _follow(self, rows: list[FeedRow] | None) -> set[int] | None:
        """What the feed says: the zones whose lists or settings changed; None: maybe all."""
        if rows is None or any(row.seq not in self._own for row in rows):
            # Others write, too: what was known may have been untrue for as long as nobody looked.
            self._known.clear()
            self._mailbox.forget_keys()
            for zone_id in self._assumed:
                self._start(self._tell(zone_id))
        self._assumed.clear()
        if rows is None:
            self._own.clear()
            return None
        self._own.difference_update(row.seq for row in rows)
        moved = [row.zone_id for row in rows if row.kind in (feed.ACCESS, feed.ZONE)]
        return None if None in moved else {zone_id for zone_id in moved if zone_id is not None}

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

    # Finding out who is to be told

    def _consider(self, pending: Pending) -> None:
        zone_id, version, _ = pending
        # Targets that were removed are told no more, new ones at once.
        is_news = zone_id in self._moved or self._told.get(zone_id, 0) < version
        if len(self._telling) >= _TELL_AT_ONCE or zone_id in self._telling:
            return
        if self._loop.time() < self._not_before.get(zone_id, 0.0):
            return
        if not (is_news or self._loop.time() >= self._resolve_at.get(zone_id, math.inf)):
            return
        served = self._hub.served(zone_id)
        if served is not None and served >= version:
            self._start(self._tell(zone_id))

    async def _tell(self, zone_id: int) -> None:
        """Give the machine the zone's version and targets."""
        if zone_id in self._telling:
            return
        self._telling.add(zone_id)
        self._moved.discard(zone_id)
        moment = self._known.moment
        try:
            facts = await self._offload(facts_of, self._database, zone_id)
            if facts is None or facts.zone.suspended or zone_id in self._expired:
                self._forget(zone_id, gone=facts is None)
                self._not_before[zone_id] = self._loop.time() + _LOOK
                return
            self._not_before.pop(zone_id, None)
            self._gone.discard(zone_id)
            # Changed again meanwhile: what is not served yet is told when it is.
            if (self._hub.served(zone_id) or 0) < facts.zone.version:
                return
            await self._tell_targets(zone_id, facts)
            if zone_id not in self._resolve_at:
                asked = [name for name in facts.name_servers if name not in facts.addresses]
                until = min(map(self._resolver.until, asked), default=math.inf)
                self._known.put(facts, until, moment)
        finally:
            self._telling.discard(zone_id)
            # What came meanwhile was passed over.
            self._has_news = True

    async def _tell_targets(self, zone_id: int, facts: ZoneFacts) -> None:
        known = {name: facts.addresses[name] for name in facts.name_servers if name in facts.addresses}
        to_soa = facts.zone.settings.notify_to_soa
        asked = [name for name in facts.name_servers if name not in known and (to_soa or name != facts.primary_name)]
        if asked:
            # Those that can be told now do not wait for the resolver, nor do those that it told of before.
            before = {name: found for name in asked if (found := self._resolver.remembered(name)) is not None}
            self._changed(zone_id, facts, known | before, keep=len(before) < len(asked))
        for name in asked:
            known[name] = await self._resolver.addresses(name)
        unresolved = [names.to_text(name) for name in asked if not known[name]]
        self._changed(zone_id, facts, known, keep=False)
        self._told[zone_id] = facts.zone.version
        self._resolve_at.pop(zone_id, None)
        self._unresolved.pop(zone_id, None)
        if unresolved:
            if self._settings.notify and facts.zone.settings.notify:
                self._unresolved[zone_id] = unresolved
            self._resolve_at[zone_id] = self._loop.time() + _RESOLVE_AGAIN
            zone = names.to_text(facts.zone.name)
            log.event("notify-target-unresolved", zone=zone, names=",".join(unresolved))
        self._unsaved.add(zone_id)

    def _changed(self, zone_id: int, facts: ZoneFacts, addresses: dict[bytes, Addresses], *, keep: bool) -> None:
        settings = self._settings
        targets: tuple[Target, ...] = ()
        if settings.notify:
            candidates = [address for found in addresses.values() for address in found]
            targets = targets_of(
                role=facts.zone.role,
                settings=facts.zone.settings,
                name_servers=addresses,
                primary_name=facts.primary_name,
                zone_entries=facts.entries,
                lists=facts.lists,
                own=own_addresses(settings.listen, candidates),
                super_slave_ports=facts.ports,
            )
        if keep:
            there = [status.target for status in self._machine.status(zone_id)]
            targets = tuple(dict.fromkeys((*targets, *there)))
        self._facts[zone_id] = facts
        self._machine.changed(zone_id, facts.zone.version, facts.zone.serial, targets, self._loop.time())
        self._send_due()

    def _forget(self, zone_id: int, *, gone: bool) -> None:
        self._machine.removed(zone_id)
        self._known.forget(zone_id)
        self._silent.pop(zone_id, None)
        self._facts.pop(zone_id, None)
        self._unresolved.pop(zone_id, None)
        self._told.pop(zone_id, None)
        self._expected.pop(zone_id, None)
        if gone:
            self._gone.add(zone_id)
            self._unsaved.add(zone_id)

    # Sending

    async def _send(self, send: Send) -> None:
        facts = self._facts.get(send.zone)
        if facts is None:
            return
        zone, target = names.to_text(facts.zone.name), send.target
        try:
            key = await self._mailbox.key(target.key)
        except DnsServerError as error:
            log.event("notify-failed", zone=zone, target=target.text(), msg=error.message)
            return
        wire, expected = build(
            facts.soa, secrets.randbelow(1 << 16), target.address, target.port, key, time.time()
        )  # fmt: skip
        self.counters["notifies-sent"] += 1
        log.event("notify-sent", zone=zone, target=target.text(), serial=send.serial)
        try:
            rcode = await exchange(
                wire, target.address, target.port, self._settings.outbound_addresses, _ANSWER_WITHIN,
                lambda packet: self._accept(packet, expected, zone, target),
            )  # fmt: skip
        except OSError as error:
            self.counters["notifies-unreachable"] += 1
            if self._is_news(send):
                msg = error.strerror or str(error)
                self._happened(
                    Event(
                        "notify-unreachable", {"zone": zone, "target": target.text(), "serial": send.serial, "msg": msg}
                    )
                )
        else:
            if rcode is not None:
                self._answered(send, zone, rcode)
                return
            self.counters["notifies-unanswered"] += 1
            if self._is_news(send):
                self._happened(
                    Event("notify-unanswered", {"zone": zone, "target": target.text(), "serial": send.serial})
                )

    def _is_news(self, send: Send) -> bool:
        """Whether this target fails for the first time for this version: repetitions are counted, not logged."""
        silent = self._silent.setdefault(send.zone, {})
        known = silent.get(send.target) == send.version
        silent[send.target] = send.version
        return not known

    def _accept(self, packet: bytes, expected: Expected, zone: str, target: Target) -> int | None:
        read = read_answer(packet, (target.address, target.port), expected, time.time())
        if isinstance(read, Ignored):
            self.counters["notify-answers-ignored"] += 1
            log.event("notify-answer-ignored", zone=zone, target=target.text(), reason=read.reason)
            return None
        return read

    def _answered(self, send: Send, zone: str, rcode: int) -> None:
        meaning = self._machine.answered(send.zone, send.target, send.version, rcode)
        self.counters["notifies-answered" if rcode == NOERROR else "notifies-refused"] += 1
        self._unsaved.add(send.zone)
        if meaning is Answer.ERROR:
            msg = f"the secondary answered {_rcode_text(rcode)} to the NOTIFY"
            fields: dict[str, Value] = {
                "zone": zone,
                "target": send.target.text(),
                "rcode": _rcode_text(rcode),
                "msg": msg,
            }
            self._happened(Event("notify-refused", fields))
        elif meaning is Answer.DONE:
            log.event("notify-answered", zone=zone, target=send.target.text(), serial=send.serial)

    # What is kept

    async def _save(self) -> None:
        """What targets know, and which zones are told to all: in one transaction."""
        self._saved_at = self._loop.time()
        unsaved, self._unsaved = self._unsaved, set()
        states = [
            PeerState(zone_id, target.text(), state)
            for zone_id in unsaved
            for target, state in self._machine.export(zone_id)
        ]
        gone, self._gone = self._gone, set()
        done = [(zone_id, _ANY_VERSION) for zone_id in gone]
        done += [
            (zone_id, self._told[zone_id])
            for zone_id in unsaved & self._told.keys()
            if self._machine.is_done(zone_id) and zone_id not in self._resolve_at and zone_id not in self._telling
        ]
        await self._mailbox.save(states, done)


def _rcode_text(rcode: int) -> str:
    try:
        return Rcode(rcode).name
    except ValueError:
        return f"RCODE{rcode}"
