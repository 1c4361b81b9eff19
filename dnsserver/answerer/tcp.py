"""The TCP listener: pipelined queries (RFC 7766), bounded in clients and time.

At a limit the client that has been silent longest makes room: first one of the same source, so that nobody takes
the places of others. A client that does not read is cut off when nothing left for it in ``tcp-write-stall``.
Transfers are counted apart (LIMITS).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from dnsserver import log
from dnsserver.answerer.settings import AnswererSettings
from dnsserver.answerer.stream import HIGH_WATER, Stream
from dnsserver.protocol.dispatch import Outcome, handle
from dnsserver.protocol.outcome import NotifyDenied, NotifyTaken, Peer, Refusal, Reply
from dnsserver.protocol.quick import SOA_ASKED, QuickRoad
from dnsserver.protocol.server import ServerState, View
from dnsserver.protocol.xfrout import TransferOut

_SWEEP = 0.25
# Messages of one client that are answered in one turn of the loop: a pipeline never holds up the others.
_AT_ONCE = 64
_BACKLOG = 512
_ACCEPT_AGAIN = 1.0


class Connection:
    """One client. Reads whole messages, answers them in order; a transfer has the connection for itself."""

    def __init__(self, listener: TcpListener, loop: asyncio.AbstractEventLoop, sock: socket.socket, peer: Peer) -> None:
        self._listener = listener
        self.transport = Stream(loop, sock, self)
        # What came, and where in it the first message begins that is not answered.
        self._buffer = b""
        self._start = 0
        self._busy = False
        self._finished = False
        # The message that the buffer begins with has its time already (tcp-message), however slowly it comes.
        self._is_timed = False
        self._next_turn: asyncio.Handle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._unsent = 0
        self.peer = peer
        self.deadline = listener.clock() + listener.settings.tcp_first_byte

    # What the stream calls

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer[self._start :] + data
        self._start = 0
        self._process()

    def eof_received(self) -> bool:
        self._finished = True
        return self._busy

    def pause_writing(self) -> None:
        self._writable.clear()
        self.transport.pause_reading()
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = self._listener.clock() + self._listener.settings.tcp_write_stall

    def resume_writing(self) -> None:
        self._writable.set()
        self._go_on()

    def connection_lost(self) -> None:
        self._writable.set()
        if self._next_turn is not None:
            self._next_turn.cancel()
        self._listener.leave(self)

    # Queries

    def _process(self) -> None:
        """Answer the whole messages of the buffer, in order, in one write; a long pipeline in several turns."""
        buffer = self._buffer
        quick = self._listener.quick.answer
        answers: list[bytes] = []
        at = self._start
        count = size = 0
        is_in_step = True
        while is_in_step and len(buffer) - at >= 2 and self._may_answer():
            end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if end > len(buffer):
                break
            if count >= _AT_ONCE or size >= HIGH_WATER:
                self.transport.pause_reading()
                self._next_turn = self._listener.call_soon(self._turn)
                break
            found = quick(buffer[at + 4 : end])
            if found is not None:
                octets, view, fate = found
                answers += ((len(octets) + 2).to_bytes(2, "big"), buffer[at + 2 : at + 4], octets)
                size += len(octets)
                if fate == SOA_ASKED and isinstance(view, View):
                    self._listener.heard(view, self.peer)
            elif isinstance(outcome := self._handle(buffer[at + 2 : end]), Reply):
                answers += (len(outcome.wire).to_bytes(2, "big"), outcome.wire)
                size += len(outcome.wire)
            elif isinstance(outcome, TransferOut):
                self._begin_transfer(outcome)
            else:
                # What is no query has no place on a connection (RFC 7766, 8: the stream may be out of step).
                self._listener.counters["tcp-dropped"] += 1
                is_in_step = False
            count += 1
            at = end
        self._buffer, self._start = (buffer, at) if at < len(buffer) else (b"", 0)
        if count:
            self._listener.counters["tcp-queries"] += count
            self._listener.active(self)
            self._is_timed = False
        if answers:
            self.transport.write(b"".join(answers))
        if not is_in_step:
            self.transport.close()
        self._set_deadline()

    def _may_answer(self) -> bool:
        return not self._busy and self._writable.is_set() and self._next_turn is None

    def _handle(self, packet: bytes) -> Outcome:
        listener = self._listener
        outcome = handle(listener.state, packet, self.peer, time.time())
        if isinstance(outcome, Reply):
            if outcome.refusal is not None:
                listener.refused(outcome.refusal, self.peer)
            if outcome.notify is not None:
                listener.notified(outcome.notify, self.peer)
            if outcome.soa_asked and outcome.view is not None:
                listener.heard(outcome.view, self.peer)
        return outcome

    def _turn(self) -> None:
        self._next_turn = None
        self._go_on()

    def _go_on(self) -> None:
        """Nothing of ours holds it up any more: answer what waits, and read on."""
        if self.transport.is_closing() or not self._may_answer():
            return
        self.transport.resume_reading()
        # Time in which it was not read is not the client's.
        self._is_timed = False
        self._process()
        if self._finished and self._may_answer():
            self.transport.close()

    def _set_deadline(self) -> None:
        settings = self._listener.settings
        if self._may_answer() and not self._is_timed:
            self._is_timed = self._start < len(self._buffer)
            limit = settings.tcp_message if self._is_timed else settings.tcp_idle
            self.deadline = self._listener.clock() + limit

    def _begin_transfer(self, transfer: TransferOut) -> None:
        self._busy = True
        self.transport.pause_reading()
        self._listener.begin_transfer(self, transfer)

    def end_transfer(self) -> None:
        """Back to queries; what the client sent meanwhile is answered now."""
        self._busy = False
        self._go_on()

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client is behind. Raises ConnectionError when it is gone or was cut off."""
        if self.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.transport.write(data)
        # Others have their turn between two writes of a transfer, even when the client keeps up.
        await asyncio.sleep(0)
        await self._writable.wait()

    # Time

    def expired(self, now: float) -> bool:
        """Whether its time is over; while it reads, even slowly, what waits for it, it has time."""
        if not self._writable.is_set() or self.transport.get_write_buffer_size():
            unsent = self.transport.get_write_buffer_size()
            if unsent < self._unsent or not self._unsent:
                self.deadline = now + self._listener.settings.tcp_write_stall
            self._unsent = unsent
            return now > self.deadline
        self._unsent = 0
        # What waits for its turn here is not late: its client has sent all of it.
        return not self._busy and self._next_turn is None and now > self.deadline


class TcpListener:
    """All TCP clients of an answerer, whatever socket they came by."""

    def __init__(
        self,
        settings: AnswererSettings,
        state: ServerState,
        counters: Counter[str],
        transfer: Callable[[TransferOut, Connection], None],
        heard: Callable[[View, Peer], None],
        refused: Callable[[Refusal, Peer], None],
        notified: Callable[[NotifyTaken | NotifyDenied, Peer], None],
    ) -> None:
        self.settings = settings
        self.state = state
        self.quick = QuickRoad(state, tcp=True)
        self.counters = counters
        self.heard = heard
        self.refused = refused
        self.notified = notified
        self._transfer = transfer
        self._listening: list[socket.socket] = []
        # In the order of their last activity, the most silent first.
        self._clients: dict[Connection, None] = {}
        self._by_source: defaultdict[str, dict[Connection, None]] = defaultdict(dict)
        self._transferring: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        self.call_soon = self._loop.call_soon
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep)
        self._idle = asyncio.Event()

    def reconfigure(self, settings: AnswererSettings) -> None:
        self.settings = settings

    def listen(self, sock: socket.socket) -> None:
        """Take clients from a bound socket."""
        sock.setblocking(False)
        # A client's socket has it, too: an answer does not wait until the one before it is acknowledged (RFC 896).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.listen(_BACKLOG)
        self._listening.append(sock)
        self._loop.add_reader(sock.fileno(), self._accept, sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if listening.fileno() >= 0:
                    self._wait(listening, error)
                return
            sock.setblocking(False)
            client = Connection(self, self._loop, sock, Peer(address[0].partition("%")[0], address[1], True))
            self.admit(client)
            client.transport.start()

    def _wait(self, listening: socket.socket, error: OSError) -> None:
        """There are no more descriptors, or no more memory: try again when some were given back."""
        log.event("listener-failed", address=str(listening.getsockname()), msg=str(error))
        self._loop.remove_reader(listening.fileno())
        self._loop.call_later(_ACCEPT_AGAIN, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def admit(self, client: Connection) -> None:
        """Take a new client in; at a limit the most silent one of its source, or of all, goes."""
        same_source = self._by_source[client.peer.address]
        if len(same_source) >= self.settings.tcp_clients_per_source:
            self._evict(next(iter(same_source)), "tcp-evicted-per-source")
        elif len(self._clients) >= self.settings.tcp_clients:
            self._evict(next(iter(self._clients)), "tcp-evicted")
        self._clients[client] = None
        self._by_source[client.peer.address][client] = None
        self.counters["tcp-connections"] += 1

    def _evict(self, client: Connection, counter: str) -> None:
        self.counters[counter] += 1
        self.leave(client)
        client.transport.abort()

    def active(self, client: Connection) -> None:
        if client in self._clients:
            del self._clients[client]
            self._clients[client] = None
            same_source = self._by_source[client.peer.address]
            del same_source[client]
            same_source[client] = None

    def leave(self, client: Connection) -> None:
        self._transferring.discard(client)
        if not self._transferring:
            self._idle.set()
        if client in self._clients:
            del self._clients[client]
            same_source = self._by_source[client.peer.address]
            del same_source[client]
            if not same_source:
                del self._by_source[client.peer.address]

    def begin_transfer(self, client: Connection, transfer: TransferOut) -> None:
        self.leave(client)
        self._transferring.add(client)
        self._transfer(transfer, client)

    def end_transfer(self, client: Connection) -> None:
        if client in self._transferring:
            self.leave(client)
            self.admit(client)
            client.end_transfer()

    def _sweep(self) -> None:
        now = self.clock()
        for client in [*self._clients, *self._transferring]:
            if client.expired(now):
                self.counters["tcp-timeouts"] += 1
                client.transport.abort()
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep)

    async def stop(self, grace: float) -> None:
        """Take no more clients; let transfers end, at most ``grace`` seconds; then close."""
        for sock in self._listening:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        if self._transferring:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._idle.wait()
        self._sweeping.cancel()
        for client in [*self._clients, *self._transferring]:
            client.transport.close()
