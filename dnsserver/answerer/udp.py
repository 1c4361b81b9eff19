"""The UDP listener: batches of packets, and the first level of answers.

The first level (DESIGN, The answer path) is a dictionary from a packet without its ID to (view, answer without its
ID). A hit counts only while its view is live: any change of a zone gives it a new view, so nothing is enumerated. In
place of the view may stand a cell of it, which lives on where a change touched other names alone.
What may be put in is decided by ``protocol.dispatch`` (``Reply.cacheable``).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable

from dnsserver import log
from dnsserver.answerer.mmsg import BATCH, SLOT, Batch, MmsgUnavailable
from dnsserver.answerer.plain import PlainBatch
from dnsserver.protocol.dispatch import handle
from dnsserver.protocol.outcome import NotifyDenied, NotifyTaken, Peer, Refusal, Reply
from dnsserver.protocol.quick import CACHEABLE, SOA_ASKED, Quick, QuickRoad
from dnsserver.protocol.ratelimit import RateLimiter, is_exempt, is_plain, truncated
from dnsserver.protocol.server import Cell, ServerState, View
from dnsserver.protocol.xfrout import TransferOut

# Batches taken in one callback, before others (TCP, the link) have their turn.
_ROUNDS = 4
# What an entry costs beside its octets: two bytes objects, a tuple, its place in the dictionary.
_ENTRY = 250
# So many octets of a slot, read as bytes and written: half the time of a slice of a memoryview. A datagram without even
# an ID (-2, -1) has none.
_OCTETS = [struct.Struct(f"{size}s") for size in (*range(SLOT + 1), 0, 0)]
_READS = [octets.unpack_from for octets in _OCTETS]
_WRITES = [octets.pack_into for octets in _OCTETS]
_DOOR_MASK = (1 << 16) - 1

SendLater = Callable[[bytes], None]


def batch_of(sock: socket.socket) -> Batch | PlainBatch:
    """Batches where the platform has them."""
    try:
        return Batch(sock)
    except MmsgUnavailable:
        return PlainBatch(sock)


class FirstLevel:
    """The cache that all UDP listeners of an answerer share, bounded by octets: full, it begins anew."""

    def __init__(self, size: int) -> None:
        self.entries: dict[bytes, tuple[View | Cell, bytes]] = {}
        self._size = size
        # Of each place, eight bits of the last packet's hash: whether a packet has been here before, probably.
        self._door = bytearray(_DOOR_MASK + 1)
        self._used = 0

    def offer(self, key: bytes, view: View | Cell, answer: bytes) -> None:
        """Keeps an answer that is asked for again: what comes once would only fill memory, and cost more than it."""
        fingerprint = hash(key)
        place, mark = fingerprint & _DOOR_MASK, fingerprint >> 32 & 0xFF
        if self._door[place] == mark:
            self.put(key, view, answer)
        else:
            self._door[place] = mark

    def put(self, key: bytes, view: View | Cell, answer: bytes) -> None:
        self._used += len(key) + len(answer) + _ENTRY
        if self._used > self._size:
            self.clear()
        self.entries[key] = (view, answer)

    def clear(self) -> None:
        self.entries.clear()
        self._used = 0


class UdpListener:
    """One UDP socket. ``transfer`` is told of an IXFR over UDP, and how to answer it later.

    ``limiter``: of the rate of responses, that of all listeners; None: there is no limit.
    """

    def __init__(
        self,
        sock: socket.socket,
        state: ServerState,
        cache: FirstLevel,
        counters: Counter[str],
        transfer: Callable[[TransferOut, SendLater], None],
        heard: Callable[[View, Peer], None],
        refused: Callable[[Refusal, Peer], None],
        notified: Callable[[NotifyTaken | NotifyDenied, Peer], None],
    ) -> None:
        self._sock = sock
        self._state = state
        self._cache = cache
        self._counters = counters
        self._transfer = transfer
        self._heard = heard
        self._refused = refused
        self._notified = notified
        self._quick = QuickRoad(state)
        self._batch = batch_of(sock)
        self.limiter: RateLimiter | None = None
        # Slots of the batch in hand that are over the limit: whether they go out, truncated.
        self._limited: dict[int, bool] = {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._sock.fileno(), self._readable)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what has arrived, and stop."""
        loop.remove_reader(self._sock.fileno())
        for _ in range(1000):
            if not self._answer_batch():
                break
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(_ROUNDS):
            if self._answer_batch() < BATCH:
                return

    def _answer_batch(self) -> int:
        batch = self._batch
        try:
            count = batch.receive()
        except OSError as error:
            log.event("listener-failed", address=str(self._sock.getsockname()), msg=str(error))
            return 0
        if not count:
            return 0
        if self.limiter is not None:
            self._limit(self.limiter, count)
        data, lengths, answer_lengths = batch.data, batch.lengths, batch.answer_lengths
        hit_of, quick, reads, writes = self._cache.entries.get, self._quick.answer, _READS, _WRITES
        first = unsent = 0
        at = 2
        for slot in range(count):
            (key,) = reads[lengths[slot] - 2](data, at)
            hit = hit_of(key)
            if hit is not None and hit[0].live:
                answer = hit[1]
                size = len(answer)
                writes[size](data, at, answer)
                answer_lengths[slot] = size + 2
            elif key and (found := quick(key) or self._quick_cookie(slot, key)) is not None:
                answer, view, fate = found
                size = len(answer)
                writes[size](data, at, answer)
                answer_lengths[slot] = size + 2
                if fate == CACHEABLE:
                    self._cache.offer(key, view, answer)
                elif fate == SOA_ASKED and isinstance(view, View):
                    self._heard(view, self._peer(slot))
            elif not self._general(slot, key):
                unsent += batch.send(first, slot - first)
                first = slot + 1
            at += SLOT
        unsent += batch.send(first, count - first)
        self._counters["udp-queries"] += count
        if unsent:
            self._counters["udp-unsent"] += unsent
        return count

    def _limit(self, limiter: RateLimiter, count: int) -> None:
        """Empty the slots that are over the limit: nothing in the first level is that short, and ``_general`` finds
        what becomes of them. So a batch without any costs no more than the count.
        """
        batch = self._batch
        over = limiter.over(batch.prefixes(count, limiter.cuts), time.monotonic())
        if not over:
            return
        wall = time.time()
        dropped = slipped = 0
        for slot, prefix in over:
            at = slot * SLOT
            packet = bytes(batch.data[at : at + batch.lengths[slot]])
            if not is_plain(packet) and is_exempt(self._state, packet, self._peer(slot), wall):
                continue
            limited = limiter.limited(prefix)
            answer = truncated(self._state, packet, self._peer(slot), wall) if limiter.slips(limited) else None
            batch.lengths[slot] = 0
            self._limited[slot] = answer is not None
            if answer is None:
                limited.dropped += 1
                dropped += 1
            else:
                limited.slipped += 1
                slipped += 1
                batch.data[at : at + len(answer)] = answer
                batch.answer_lengths[slot] = len(answer)
        self._counters["rate-limited-dropped"] += dropped
        self._counters["rate-limited-slipped"] += slipped

    def _peer(self, slot: int) -> Peer:
        address, port = self._batch.address(slot)
        return Peer(address, port, False)

    def _quick_cookie(self, slot: int, key: bytes) -> Quick | None:
        return self._quick.answer_cookie(key, self._batch.source(slot), time.time())

    def _general(self, slot: int, key: bytes) -> bool:
        """Answer what the first level does not know; False when nothing is to be sent now."""
        if not key and slot in self._limited:
            return self._limited.pop(slot)
        batch = self._batch
        at = slot * SLOT
        packet = bytes(batch.data[at : at + batch.lengths[slot]])
        peer = self._peer(slot)
        outcome = handle(self._state, packet, peer, time.time())
        if isinstance(outcome, Reply):
            wire = outcome.wire
            view = outcome.view
            if outcome.refusal is not None:
                self._refused(outcome.refusal, peer)
            if view is not None:
                if outcome.cacheable:
                    self._cache.offer(key, view, wire[2:])
                elif outcome.soa_asked:
                    self._heard(view, peer)
            elif outcome.notify is not None:
                self._notified(outcome.notify, peer)
            batch.data[at : at + len(wire)] = wire
            batch.answer_lengths[slot] = len(wire)
            return True
        if isinstance(outcome, TransferOut):
            self._transfer(outcome, self._later(slot))
        else:
            self._counters["udp-dropped"] += 1
        return False

    def _later(self, slot: int) -> SendLater:
        address, control = self._batch.reply_path(slot)

        def send(wire: bytes) -> None:
            # A datagram that cannot be sent is a datagram lost: the client asks again.
            with contextlib.suppress(OSError):
                self._sock.sendmsg([wire], control, 0, address)

        return send
