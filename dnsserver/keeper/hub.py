"""The answerers: each follows the feed over its own connection, and says what it serves.

One task a connection writes, in this order and never interleaved: zones that were asked for, then the feed from the
connection's mark on. So a patch that an answerer gets after a zone's contents is never older than they are, but for
those it can tell by their version (DESIGN, SQL: older is skipped).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

from dnsserver import link, log
from dnsserver.errors import DnsServerError
from dnsserver.events import Event
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.recent import Recent
from dnsserver.keeper.unix import UnixServer
from dnsserver.keeper.watch import LOOK, FeedWatch
from dnsserver.replication import Source
from dnsserver.store.feed import Appended, FeedMark

# Seconds after which an answerer that reads nothing is given up.
_STALLED = 60.0
# Messages of a zone that are made in one turn of a thread: to change threads takes as long as to make one.
_TOGETHER = 16
# Octets that are written without waiting for the answerer to take them.
_MOST_UNSENT = 1 << 20


class Answerer:
    """One connected answerer: its mark, and the version of each zone it serves."""

    def __init__(self, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._hub = hub
        self._reader = reader
        self._writer = writer
        # A plain dictionary that is emptied from its front looks past all that has gone, each time.
        self._needed: OrderedDict[int, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._chains: set[asyncio.Task[None]] = set()
        # Whether nothing is on its way that ``follow`` could come in between.
        self._rests = False
        self.pid = 0
        self.mark = FeedMark(0, 0)
        self.applied = -1
        self.versions: dict[int, int] = {}
        self.serials: dict[int, int] = {}
        # When it began to serve that version (epoch), where that was since it connected.
        self.since: dict[int, float] = {}

    async def run(self) -> None:
        hello = await link.receive(self._reader)
        if not isinstance(hello, link.Hello) or hello.protocol != link.PROTOCOL:
            log.event("answerer-refused", msg="it speaks another version of the link: restart the server")
            return
        self.pid = hello.pid
        self.mark = FeedMark(hello.seq, hello.tag)
        for zone_id, version, serial in hello.zones:
            self.versions[zone_id] = version
            self.serials[zone_id] = serial
        self._hub.joined(self)
        for greeting in self._hub.listener.greeting():
            self._write(greeting)
        streaming = asyncio.create_task(self._stream())
        # Whatever ends it, the answerer connects anew, and begins where it stands.
        streaming.add_done_callback(lambda _: self._writer.close())
        try:
            while (message := await link.receive(self._reader)) is not None:
                self._take(message)
        finally:
            self._hub.left(self)
            streaming.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, DnsServerError):
                await streaming

    def _take(self, message: link.Message) -> None:
        match message:
            case link.Serving(zone_id, link.GONE):
                self.versions.pop(zone_id, None)
                self.serials.pop(zone_id, None)
                self.since.pop(zone_id, None)
            case link.Serving(zone_id, version, serial):
                if self.versions.get(zone_id) != version:
                    self.since[zone_id] = time.time()
                self.versions[zone_id] = version
                self.serials[zone_id] = serial
                self._hub.progress(zone_id)
            case link.Applied(seq):
                self.applied = seq
                self._hub.reported()
            case link.NeedZone(zone_id):
                self._needed[zone_id] = None
                self._wake.set()
            case link.AskChain(request, zone_id, from_serial, to_version):
                # Whatever else it reports does not wait for that.
                task = asyncio.create_task(self._answer_chain(request, zone_id, from_serial, to_version))
                self._chains.add(task)
                task.add_done_callback(self._chains.discard)
            case link.Heard(zone_id, address):
                self._hub.listener.heard(zone_id, address)
            case link.NotifyHeard(zone_id, address, serial_hint):
                self._hub.listener.notify_heard(zone_id, address, serial_hint)
            case link.Happened(name, fields):
                self._hub.listener.told(Event(name, fields))
            case link.Counters(request, counters):
                self._hub.counted(request, counters)
            case _:
                log.event("link-failed", msg=f"an answerer sent {type(message).__name__}")

    async def _answer_chain(self, request: int, zone_id: int, from_serial: int, to_version: int) -> None:
        difference = None
        try:
            difference = await self._hub.offload(self._hub.source.chain, zone_id, from_serial, to_version)
        except DnsServerError as error:
            log.event("feed-failed", msg=error.message)
        self._write(link.Chain(request, difference))

    def tell(self, message: link.Message) -> None:
        """Send a message that stands for itself, between whatever else is sent."""
        self._write(message)

    def _write(self, message: link.Message) -> None:
        self._writer.write(link.encode(message))

    async def _stream(self) -> None:
        """Write what the feed says, for as long as the connection lasts."""
        while True:
            moment = self._hub.watch.moment
            self._wake.clear()
            try:
                while self._needed:
                    await self._send_zone(next(iter(self._needed)))
                messages, mark = await self._hub.offload(self._hub.source.after, self.mark)
            except DnsServerError as error:
                log.event("feed-failed", msg=error.message)
                await asyncio.sleep(LOOK)
                continue
            for message in messages:
                await self._send(message)
            if mark != self.mark or self.applied < 0:
                self.mark = mark
                await self._send(link.Mark(mark.seq, mark.tag))
            if not messages:
                await self._rest(moment)

    async def _rest(self, moment: asyncio.Event) -> None:
        """Until there is something that only the database tells."""
        self._rests = True
        self.follow()
        waiting = {asyncio.create_task(self._hub.watch.wait(moment)), asyncio.create_task(self._wake.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._rests = False
            for task in waiting:
                task.cancel()

    def follow(self) -> None:
        """Send what this process has committed, at once where nothing else is on its way."""
        messages, mark = self._hub.recent.after(self.mark)
        if not messages or not self._rests:
            return
        if self._writer.transport.get_write_buffer_size() > _MOST_UNSENT:
            # It is behind, and is waited for.
            self._wake.set()
            return
        for message in messages:
            self._write(message)
        self.mark = mark
        self._write(link.Mark(mark.seq, mark.tag))

    async def _send_zone(self, zone_id: int) -> None:
        del self._needed[zone_id]
        contents = self._hub.source.contents(zone_id)
        # A thread may still be at its next part when this task is cancelled: the end waits for that.
        turn = threading.Lock()

        def part() -> bytes:
            with turn:
                return b"".join(map(link.encode, islice(contents, _TOGETHER)))

        def end() -> None:
            with turn:
                contents.close()

        try:
            while frames := await self._hub.offload(part):
                self._writer.write(frames)
                await self._taken()
        except DnsServerError:
            self._needed[zone_id] = None
            raise
        finally:
            # It holds a database connection, which belongs to the thread pool's side. Where the connection's loss ends
            # this, it is cancelled besides: that must not take back an end that waits for its thread.
            await asyncio.shield(self._hub.offload(end))

    async def _send(self, message: link.Message) -> None:
        """Write, and wait as ``_taken`` does."""
        self._write(message)
        await self._taken()

    async def _taken(self) -> None:
        """Wait while the answerer is behind. Raises ConnectionError when it takes nothing any more."""
        try:
            async with asyncio.timeout(_STALLED):
                await self._writer.drain()
        except TimeoutError:
            # A stopped one must not hold a database's snapshot open for ever: the log could not be truncated.
            log.event("link-failed", msg=f"answerer {self.pid} took nothing for {_STALLED:.0f} s")
            self._writer.transport.abort()
            raise ConnectionAbortedError("it takes nothing") from None


class Listener(Protocol):
    """Who is told what answerers report of peers, and what a new one is to know."""

    def heard(self, zone_id: int, address: str) -> None:
        """A secondary of the zone is alive."""

    def notify_heard(self, zone_id: int, address: str, serial: int | None) -> None:
        """A primary of the zone sent NOTIFY (R9)."""

    def serving(self, zone_id: int | None) -> None:
        """An answerer serves another version of the zone; None: there is one answerer more, or one less."""

    def told(self, event: Event) -> None:
        """Something happened that the answerer has logged."""

    def greeting(self) -> Iterable[link.Message]:
        """What an answerer that connects is told first."""


class Hub:
    """All answerers of this keeper, and what is known through them."""

    def __init__(
        self,
        path: str,
        source: Source,
        watch: FeedWatch,
        offload: Offload,
        listener: Listener,
        workers: int,
    ) -> None:
        self.source = source
        self.watch = watch
        self.offload = offload
        self.listener = listener
        self.workers = workers
        self.recent = Recent()
        self._answerers: list[Answerer] = []
        self._progress = asyncio.Event()
        self._server = UnixServer(path, 0o600, self._serve)
        self._requests = 0
        self._counts: dict[int, list[dict[str, int]]] = {}

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Answerer(self, reader, writer).run()

    # What the connections report

    def joined(self, answerer: Answerer) -> None:
        self._answerers.append(answerer)
        self.progress(None)

    def left(self, answerer: Answerer) -> None:
        self._answerers.remove(answerer)
        self.progress(None)

    def progress(self, zone_id: int | None) -> None:
        """An answerer serves something new of this zone; None: they are others."""
        self.reported()
        self.listener.serving(zone_id)

    def reported(self) -> None:
        """Whoever waits for a report looks again."""
        self._progress.set()
        self._progress = asyncio.Event()

    def counted(self, request: int, counters: dict[str, int]) -> None:
        self._counts.setdefault(request, []).append(counters)
        self.reported()

    # What the keeper says and asks

    def committed(self, appended: Appended) -> None:
        """This process has written to the feed."""
        if not self.recent.add(appended):
            self.watch.hint()
        for answerer in self._answerers:
            answerer.follow()

    def served(self, zone_id: int) -> int | None:
        """The version of a zone that every answerer serves at least; None when one of them does not, or is away."""
        if len(self._answerers) < self.workers:
            return None
        versions = [answerer.versions.get(zone_id) for answerer in self._answerers]
        known = [version for version in versions if version is not None]
        return min(known) if len(known) == len(versions) and known else None

    def served_serial(self, zone_id: int) -> tuple[int, int] | None:
        """The version that all serve, and its serial."""
        version = self.served(zone_id)
        for answerer in self._answerers:
            if version is not None and answerer.versions.get(zone_id) == version:
                return version, answerer.serials[zone_id]
        return None

    def served_since(self, zone_id: int) -> float | None:
        """Since when all serve the version they serve (epoch); None where that was before they connected."""
        times = [answerer.since.get(zone_id) for answerer in self._answerers]
        known = [at for at in times if at is not None]
        return max(known) if known and len(known) == len(times) else None

    def tell_all(self, message: link.Message) -> None:
        """Send it to every answerer that is there."""
        for answerer in self._answerers:
            answerer.tell(message)

    def applied(self, seq: int) -> bool:
        """Whether all answerers that are there serve everything of the feed up to ``seq``."""
        return bool(self._answerers) and all(answerer.applied >= seq for answerer in self._answerers)

    async def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for reports until ``condition`` holds, at most so many seconds; whether it does."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self._progress.wait()
        except TimeoutError:
            return condition()
        return True

    async def counters(self) -> Counter[str]:
        """The sum of what the answerers counted since their start."""
        self._requests += 1
        request = self._requests
        self._counts[request] = []
        asked = len(self._answerers)
        for answerer in self._answerers:
            answerer.tell(link.AskCounters(request))
        await self.wait_until(lambda: len(self._counts[request]) >= asked, 2.0)
        total: Counter[str] = Counter()
        for counters in self._counts.pop(request):
            total.update(counters)
        return total
