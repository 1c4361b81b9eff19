"""Transfers out: slots, the chain for an IXFR, the stream, and a log line for each (R7)."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator

from dnsserver import log
from dnsserver.answerer.keeper_link import KeeperLink
from dnsserver.answerer.settings import AnswererSettings
from dnsserver.answerer.tcp import Connection
from dnsserver.events import Event
from dnsserver.protocol.outcome import Peer
from dnsserver.protocol.server import View
from dnsserver.protocol.xfrout import TransferOut, TransferPlan
from dnsserver.zone import names

_LENGTH = struct.Struct(">H")
# Octets handed to the socket at once, between two turns of the loop.
_WRITE = 64 << 10


class Slots:
    """At most ``most`` at once; at most ``waiting`` more wait, in their order (LIMITS, max-transfers-out)."""

    def __init__(self, most: int, waiting: int) -> None:
        self._most = self._free = most
        self._most_waiting = waiting
        self._queue: deque[asyncio.Future[None]] = deque()

    async def take(self) -> bool:
        """A slot, at once or after waiting; False when too many wait already."""
        if self._free > 0:
            self._free -= 1
            return True
        self._queue = deque(future for future in self._queue if not future.done())
        if len(self._queue) >= self._most_waiting:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back()
            raise
        return True

    def give_back(self) -> None:
        self._free += 1
        self._hand_out()

    def resize(self, most: int, waiting: int) -> None:
        """Other limits: those that have a slot keep it."""
        self._free += most - self._most
        self._most, self._most_waiting = most, waiting
        self._hand_out()

    def _hand_out(self) -> None:
        while self._queue and self._free > 0:
            future = self._queue.popleft()
            if not future.done():
                self._free -= 1
                future.set_result(None)


class Transfers:
    """Carries out what ``protocol.xfrout`` granted."""

    def __init__(
        self,
        settings: AnswererSettings,
        keeper: KeeperLink,
        counters: Counter[str],
        ended: Callable[[Connection], None],
        heard: Callable[[View, Peer], None],
    ) -> None:
        self._slots = Slots(settings.max_transfers_out, settings.max_transfers_waiting)
        self._most_waiting = settings.max_transfers_waiting
        self._keeper = keeper
        self._counters = counters
        self._ended = ended
        self._heard = heard
        self._tasks: set[asyncio.Task[None]] = set()
        # IXFRs over UDP that wait for their chain: sources can be forged, so they are bounded, too.
        self._chains = 0

    def reconfigure(self, settings: AnswererSettings) -> None:
        self._most_waiting = settings.max_transfers_waiting
        self._slots.resize(settings.max_transfers_out, settings.max_transfers_waiting)

    def over_tcp(self, transfer: TransferOut, client: Connection) -> None:
        self._start(self._tcp(transfer, client))

    def over_udp(self, transfer: TransferOut, send: Callable[[bytes], None]) -> None:
        self._start(self._udp(transfer, send))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _plan(self, transfer: TransferOut) -> TransferPlan:
        """How it goes: along the chain that is here, or that the keeper has; or whole."""
        found = None
        if transfer.needs_chain and transfer.client_serial is not None:
            found = await self._keeper.chain(transfer.view.zone_id, transfer.client_serial, transfer.version)
        return transfer.plan(found)

    async def _tcp(self, transfer: TransferOut, client: Connection) -> None:
        try:
            if not await self._slots.take():
                self._counters["transfers-no-slot"] += 1
                self._failed(transfer, "-", client.peer, reason="too-many-waiting")
                await client.send(_framed(transfer.busy_reply(time.time())))
                return
            try:
                await self._stream(transfer, client)
            finally:
                self._slots.give_back()
        except ConnectionError as error:
            self._counters["transfers-out-aborted"] += 1
            self._failed(transfer, transfer.kind, client.peer, reason="client-gone", msg=str(error))
        except Exception as error:
            # A transfer that ends in its middle must not look as if it went on (MODELS, Never).
            msg = f"{type(error).__name__}: {error}"
            self._failed(transfer, transfer.kind, client.peer, reason="internal-error", msg=msg)
            client.transport.abort()
        finally:
            self._ended(client)

    async def _stream(self, transfer: TransferOut, client: Connection) -> None:
        begun = time.monotonic()
        plan = await self._plan(transfer)
        total = 0
        for data in _writes(plan.messages(time.time)):
            total += len(data)
            await client.send(data)
        self._done(transfer, plan, client.peer, total, begun)

    async def _udp(self, transfer: TransferOut, send: Callable[[bytes], None]) -> None:
        begun = time.monotonic()
        if self._chains < self._most_waiting:
            self._chains += 1
            try:
                plan = await self._plan(transfer)
            finally:
                self._chains -= 1
        else:
            plan = transfer.plan()
        wire = plan.datagram(time.time())
        send(wire)
        self._done(transfer, plan, transfer.peer, len(wire), begun)

    def _done(self, transfer: TransferOut, plan: TransferPlan, peer: Peer, total: int, begun: float) -> None:
        self._counters[f"transfers-out-{plan.kind}"] += 1
        milliseconds = round((time.monotonic() - begun) * 1000)
        serial = str(transfer.serial) if plan.from_serial is None else f"{plan.from_serial}->{transfer.serial}"
        known = _known(transfer, plan.kind, peer)
        log.event("transfer-out", **known, serial=serial, bytes=total, ms=milliseconds)
        self._heard(transfer.view, peer)

    def _failed(self, transfer: TransferOut, kind: str, peer: Peer, **fields: str) -> None:
        self._keeper.happened(Event("transfer-out-failed", {**_known(transfer, kind, peer), **fields}))


def _known(transfer: TransferOut, kind: str, peer: Peer) -> dict[str, str | None]:
    """What every line of a transfer begins with (R7)."""
    key = None if transfer.key is None else names.to_text(transfer.key)
    zone = names.to_text(transfer.view.apex)
    return {"zone": zone, "peer": f"{peer.address}#{peer.port}", "key": key, "kind": kind}


def _framed(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def _writes(messages: Iterator[bytes]) -> Iterator[bytes]:
    """Messages with their lengths, joined to pieces of some 64 KiB: one system call, one turn of the loop each."""
    pieces: list[bytes] = []
    size = 0
    for message in messages:
        pieces += (_LENGTH.pack(len(message)), message)
        size += len(message) + 2
        if size >= _WRITE:
            yield b"".join(pieces)
            pieces.clear()
            size = 0
    if pieces:
        yield b"".join(pieces)
