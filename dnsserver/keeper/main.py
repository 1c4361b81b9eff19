"""The keeping process: runs operations for the CLI, feeds the answerers, sends NOTIFY."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from dnsserver import child, editing, link, log
from dnsserver.clock import SystemClock
from dnsserver.editing import secondaries
from dnsserver.editing.context import Context
from dnsserver.errors import Conflict, DnsServerError, InvalidData, UsageError
from dnsserver.events import Event
from dnsserver.keeper.control import ControlServer
from dnsserver.keeper.events import EventBook
from dnsserver.keeper.fetch import Fetcher
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.keyring import key_of
from dnsserver.keeper.notifier import Notifier
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.refresher import Refresher
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.watch import FeedWatch
from dnsserver.probing import probe
from dnsserver.protocol.tsig import Key
from dnsserver.replication import Source, renew_secrets
from dnsserver.store import contents, zones
from dnsserver.store.commit import Who
from dnsserver.store.database import Database
from dnsserver.store.feed import Appended
from dnsserver.store.secretbox import SecretBox
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names

# How long the answer to a change may be held back until it is served.
_SERVED_WITHIN = 2.0
# How long a question for events waits for those of the last second to be stored.
_WRITTEN_WITHIN = 1.0
_CLEAN_EVERY = 60.0
# How long who asks for a refresh waits for its outcome.
_TIMEOUT = 30.0
_RELOAD_WITHIN = 10.0
_NICE = 5
_LIMIT = re.compile(r"\blimit ([a-z-]+) = ")


class Keeper:
    """Puts the parts together. It is the ``Runtime`` of the operations, too."""

    def __init__(self, settings: KeeperSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._offload = Offload()
        # Operations have threads of their own: long ones never hold up the feed and NOTIFY.
        self._operations = Offload()
        self._watch = FeedWatch()
        self._source = Source(database)
        self._book = EventBook(database, self._offload)
        self._hub = Hub(settings.link_path, self._source, self._watch, self._offload, self, settings.workers)
        happened = self._book.happened
        # What a thread of operations has committed last, for whoever asked for it.
        self._last = threading.local()
        database.committed = self._committed
        self._notifier = Notifier(settings, database, self._hub, self._watch, self._offload, happened)
        self._fetching = Offload()
        self._fetcher = Fetcher(settings, database, self._fetching, happened)
        self._refresher = Refresher(
            settings, database, self._watch, self._offload, self._fetcher, SystemClock(),
            happened=happened, tell=self._hub.tell_all, expired=self._notifier.expired,
        )  # fmt: skip
        self._control = ControlServer(settings.control_path, self._request)
        self._reloads: list[asyncio.Future[str | None]] = []
        self._counted: Counter[str] = Counter()

    async def run(self) -> None:
        life = child.Life(self._reloaded)
        await life.begin()
        await self._hub.start()
        await self._control.start()
        tasks = [
            asyncio.create_task(self._notify(), name="notifier"),
            asyncio.create_task(self._refresher.run(), name="refresher"),
            asyncio.create_task(self._book.run(), name="events"),
            asyncio.create_task(self._clean(), name="cleaner"),
        ]
        for task in tasks:
            life.needs(task)
        child.tell("ready")
        await life.ending.wait()
        await self._control.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._refresher.stop()
        await self._notifier.stop()
        await self._book.write()
        await self._hub.stop()
        self._operations.close()
        self._fetching.close()
        self._offload.close()

    # Runtime: what operations ask, from their threads

    def served(self, zone_id: int) -> tuple[int, int] | None:
        return self._hub.served_serial(zone_id)

    def notified(self, zone_id: int) -> int | None:
        return self._notifier.notified(zone_id)

    def served_since(self, zone_id: int) -> float | None:
        return self._hub.served_since(zone_id)

    def notified_since(self, zone_id: int) -> float | None:
        return self._notifier.notified_since(zone_id)

    def notify_now(self, zone_id: int) -> None:
        self._loop.call_soon_threadsafe(self._notifier.notify_now, zone_id)

    # What this process commits, told by the thread that does

    def _committed(self, appended: Appended) -> None:
        self._last.seq = appended.rows[-1][0].seq
        # While it ends, the loop may be closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._follow, appended)

    def _follow(self, appended: Appended) -> None:
        self._notifier.committed(appended)
        self._hub.committed(appended)

    # Listener: what answerers report

    def serving(self, zone_id: int | None) -> None:
        self._notifier.serving(zone_id)

    def heard(self, zone_id: int, address: str) -> None:
        self._notifier.heard(zone_id, address)

    def notify_heard(self, zone_id: int, address: str, serial: int | None) -> None:
        self._refresher.notify_heard(zone_id, serial, address)

    def told(self, event: Event) -> None:
        self._book.told(event)

    def greeting(self) -> Iterable[link.Message]:
        return self._refresher.deadlines()

    # Requests

    async def _request(self, op: str, args: dict[str, Any], payload: bytes, user: str) -> tuple[dict[str, Any], bytes]:
        own = {
            "ping": self._ping,
            "wait": self._wait,
            "counters": self._counters,
            "reload": self._reload,
            "probe": self._probe,
            "zone.refresh": self._refresh,
            "zone.retransfer": self._retransfer,
        }
        if op in own:
            return await own[op](args), b""
        if op == "events":
            await self._events_written()
        try:
            result, data, seq = await self._operations(self._operate, op, args, payload, user)
        except InvalidData as error:
            # Every limit that is passed is counted (LIMITS); its name stands in the problem.
            self._counted.update(f"limit-{name}" for name in _LIMIT.findall(" ".join(map(str, error.problems))))
            raise
        if seq and not self._hub.applied(seq):
            # So that whoever changed something is served it when he is told so.
            await self._hub.wait_until(lambda: self._hub.applied(seq), _SERVED_WITHIN)
        return result, data

    async def _events_written(self) -> None:
        """So that what was told of already (an outcome, a status) is found; a slow database is not waited for."""
        writing = asyncio.create_task(self._book.write())
        await asyncio.wait({writing}, timeout=_WRITTEN_WITHIN)

    def _operate(self, op: str, args: dict[str, Any], payload: bytes, user: str) -> tuple[dict[str, Any], bytes, int]:
        now = time.time()
        settings = self._settings
        context = Context(
            self._database,
            Who(user, "control-socket", now),
            settings.limits,
            settings.defaults,
            settings.server_name,
            self,
            now,
        )
        self._last.seq = 0
        result, data = editing.run(context, op, args, payload)
        return result, data, self._last.seq

    async def _ping(self, args: dict[str, Any]) -> dict[str, Any]:
        return {"version": 1}

    async def _counters(self, args: dict[str, Any]) -> dict[str, Any]:
        counters = await self._hub.counters()
        for part in (self._notifier, self._refresher, self._book):
            counters.update(part.counters)
        counters.update(self._counted)
        return {"version": 1, "counters": dict(sorted(counters.items()))}

    async def _reload(self, args: dict[str, Any]) -> dict[str, Any]:
        outcome: asyncio.Future[str | None] = self._loop.create_future()
        self._reloads.append(outcome)
        child.tell("reload")
        try:
            async with asyncio.timeout(_RELOAD_WITHIN):
                failure = await outcome
        except TimeoutError:
            raise DnsServerError("the server did not answer the reload; see its log") from None
        if failure is not None:
            raise DnsServerError(f"nothing was reloaded: {failure}")
        return {"version": 1, "reloaded": True}

    def _reloaded(self, value: KeeperSettings | child.ReloadFailed) -> None:
        failure: str | None = None
        if isinstance(value, child.ReloadFailed):
            failure = value.message
        else:
            self._settings = value
            log.configure(json_lines=value.json_log)
            self._notifier.reconfigure(value)
            self._fetcher.reconfigure(value)
            self._refresher.reconfigure(value)
        waiting, self._reloads = self._reloads, []
        for outcome in waiting:
            if not outcome.done():
                outcome.set_result(failure)

    async def _wait(self, args: dict[str, Any]) -> dict[str, Any]:
        """Until a zone's version is served, and its targets have answered the NOTIFY; or the time is over."""
        name, seconds = _name_of(args, "zone"), _seconds_of(args)
        try:
            version = int(args["zone_version"])
        except (KeyError, ValueError, TypeError):
            raise UsageError("wait needs zone_version") from None
        zone_id = (await self._offload(self._zone, name)).id
        end = self._loop.time() + seconds

        def is_served() -> bool:
            served = self._hub.served(zone_id)
            return served is not None and served >= version

        served = await self._hub.wait_until(is_served, seconds)
        targets = await self._notifier.wait(zone_id, version, max(0.0, end - self._loop.time())) if served else []
        return {"version": 1, "served": served, "targets": targets}

    async def _refresh(self, args: dict[str, Any]) -> dict[str, Any]:
        return await self._ask_primaries(args, full=False)

    async def _retransfer(self, args: dict[str, Any]) -> dict[str, Any]:
        return await self._ask_primaries(args, full=True)

    async def _ask_primaries(self, args: dict[str, Any], *, full: bool) -> dict[str, Any]:
        """Check a secondary zone now, or transfer it whole (R23); the outcome, waited for ``timeout`` seconds."""
        zone = await self._offload(self._secondary, _name_of(args))
        text = names.to_text(zone.name)
        if zone.suspended:
            raise Conflict(f"{text} is suspended, so it is not refreshed; `dnsserver zone resume {text}`")
        outcome = await self._refresher.refresh(zone.id, _seconds_of(args), full=full)
        if outcome["outcome"] == "transferred":

            def is_served() -> bool:
                served = self._hub.served_serial(zone.id)
                return served is not None and served[1] == outcome["new_serial"]

            await self._hub.wait_until(is_served, _SERVED_WITHIN)
        return {"version": 1, "zone": text, **outcome}

    async def _probe(self, args: dict[str, Any]) -> dict[str, Any]:
        """What each primary of a secondary zone says of it (R28)."""
        zone = await self._offload(self._zone, _name_of(args))
        primaries = zone.settings.primaries
        keys = await self._offload(self._keys, [primary.key for primary in primaries if primary.key is not None])
        found = await probe(zone.name, primaries, keys, self._settings.outbound_addresses, time.time)
        return {"version": 1, "zone": names.to_text(zone.name), "primaries": found}

    def _keys(self, wanted: list[bytes]) -> dict[bytes, Key]:
        with self._database.read() as conn:
            found = [key_of(conn, name) for name in wanted]
        return {key.name: key for key in found if isinstance(key, Key)}

    def _zone(self, name: bytes) -> ZoneRow:
        with self._database.read() as conn:
            return zones.get(conn, name)

    def _secondary(self, name: bytes) -> ZoneRow:
        with self._database.read() as conn:
            return secondaries.get(conn, name)

    # What goes on by itself

    async def _notify(self) -> None:
        """Send NOTIFY; of no zone that expired while nobody was here (R11)."""
        await self._refresher.loaded()
        await self._notifier.run()

    async def _clean(self) -> None:
        """Secrets that grew old are renewed; deleted zones whose time is over, and contents of no zone, go."""
        while True:
            await self._quietly("cleaning-failed", self._purge)
            await asyncio.sleep(_CLEAN_EVERY)

    def _purge(self) -> None:
        with self._database.write() as conn:
            renew_secrets(conn, time.time())
            zones.purge_deleted(conn, time.time() - self._settings.limits.undelete)
        contents.prune_contents(self._database, time.time())

    async def _quietly(self, event: str, work: Callable[[], None]) -> None:
        try:
            await self._offload(work)
        except DnsServerError as error:
            log.event(event, msg=error.message)


def _name_of(args: dict[str, Any], key: str = "name") -> bytes:
    if not isinstance(text := args.get(key), str):
        raise UsageError(f"{key} is missing")
    return names.zone_from_user(text)


def _seconds_of(args: dict[str, Any]) -> float:
    try:
        return float(args.get("timeout", _TIMEOUT))
    except (ValueError, TypeError):
        raise UsageError("timeout is a number of seconds") from None


async def _run(settings: KeeperSettings) -> None:
    database = Database.open(
        settings.database_url, create=False, secret=SecretBox.load(settings.secret_file, create=False)
    )
    try:
        keeper = Keeper(settings, database)
        # What stays for good is not looked through while everybody waits: of the modules alone that took 0.1 s.
        gc.collect()
        gc.freeze()
        await keeper.run()
    finally:
        database.close()


def main() -> None:
    """The process, under the supervisor."""
    # Where there is one processor for both, answers come first; a quarter of it is left for edits at any load.
    os.nice(_NICE)
    settings: KeeperSettings = child.read_settings()
    log.configure(json_lines=settings.json_log)
    with child.failing("keeper"):
        asyncio.run(_run(settings))
