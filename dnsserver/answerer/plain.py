"""Datagrams one by one, where recvmmsg and sendmmsg are missing: the slots of ``mmsg.Batch``, filled by ``recvmsg``."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from typing import Any

from dnsserver.answerer.mmsg import BATCH, CONTROL, SLOT, ask_for_local_address
from dnsserver.protocol.ratelimit import Cut


class PlainBatch:
    """The same interface as ``mmsg.Batch``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._control_room = CONTROL if ask_for_local_address(sock) else 0
        self.data = memoryview(bytearray(BATCH * SLOT))
        self.lengths = [0] * BATCH
        self.answer_lengths = [0] * BATCH
        self._peers: list[Any] = [None] * BATCH
        self._controls: list[list[tuple[int, int, bytes]]] = [[] for _ in range(BATCH)]

    def receive(self) -> int:
        """Fill the slots; how many were filled, 0 when nothing waits. Raises OSError."""
        for slot in range(BATCH):
            at = slot * SLOT
            try:
                length, control, _, peer = self._sock.recvmsg_into([self.data[at : at + SLOT]], self._control_room)
            # An earlier answer that met nobody (ConnectionError) is no news of this one.
            except (BlockingIOError, InterruptedError, ConnectionError):
                return slot
            self.lengths[slot] = length
            self._peers[slot] = peer
            self._controls[slot] = control
        return BATCH

    def send(self, first: int, count: int) -> int:
        """Send ``count`` slots from ``first`` on; how many could not be sent."""
        failed = count
        for slot in range(first, first + count):
            at = slot * SLOT
            with contextlib.suppress(OSError):
                answer = self.data[at : at + self.answer_lengths[slot]]
                self._sock.sendmsg([answer], self._controls[slot], 0, self._peers[slot])
                failed -= 1
        return failed

    def address(self, slot: int) -> tuple[str, int]:
        """The peer of a slot: address text and port."""
        host, port = self._peers[slot][:2]
        return host.partition("%")[0], port

    def source(self, slot: int) -> bytes:
        """The address of a slot's peer in network order."""
        return socket.inet_pton(self._sock.family, self.address(slot)[0])

    def prefixes(self, count: int, cuts: tuple[Cut, Cut]) -> Iterable[bytes]:
        """The prefix of each peer's address, as many as there are slots in use; ``cuts``: of IPv4 and of IPv6."""
        cut = cuts[self._sock.family == socket.AF_INET6]
        return [cut.masked(self.source(slot)) for slot in range(count)]

    def reply_path(self, slot: int) -> tuple[Any, list[tuple[int, int, bytes]]]:
        """What ``socket.sendmsg`` needs to answer this slot later: its address, and its control messages."""
        return self._peers[slot], self._controls[slot]
