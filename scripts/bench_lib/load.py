"""A load generator for UDP: batches of queries from several source ports, so many in flight and no more.

It keeps a fixed number of queries in flight on each port, below what socket buffers hold, and sends as many new ones
as answers came: so it drives a server to saturation without drowning it. It never sleeps; give it a core of its own.
Nothing is done for a single packet in Python but the check of a sample: iovecs are made once and copied in slices.
"""

from __future__ import annotations

import socket
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cffi

BATCH = 64
SLOT = 2048
PORTS = 8
WINDOW = 24
SILENCE = 0.5  # seconds without an answer, after which what is in flight is lost

_CDEF = """
struct iovec { void *iov_base; size_t iov_len; };
struct msghdr { void *msg_name; uint32_t msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
                void *msg_control; size_t msg_controllen; int msg_flags; };
struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
int recvmmsg(int, struct mmsghdr *, unsigned int, int, void *);
int sendmmsg(int, struct mmsghdr *, unsigned int, int);
"""
_ffi: Any = cffi.FFI()
_ffi.cdef(_CDEF)
_libc: Any = _ffi.dlopen(None)


@dataclass(frozen=True, slots=True)
class Query:
    """A query after its ID, and what the answer must be: octets that it holds, as the rdata of its record."""

    body: bytes
    rdata: bytes
    rcode: int = 0
    authoritative: bool = True

    @property
    def question(self) -> bytes:
        """Name, type and class (RFC 1035, 4.1.2), as they must come back."""
        return self.body[10 : self.body.index(b"\0", 10) + 5]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one run: answers received, queries never answered, wrong ones in the sample, seconds."""

    answers: int
    lost: int
    checked: int
    wrong: int
    seconds: float
    waited: float = 0.0  # seconds in which the generator looked and there was nothing to do


def wrong(answer: bytes, query: Query) -> str | None:
    """What is wrong with an answer, None when it is right: whole, and all that the query expects."""
    end = 12 + len(query.question)
    if len(answer) < end or not answer[2] & 0x80:
        return "not a response"
    if answer[3] & 0x0F != query.rcode or answer[2] & 0x02:
        return f"RCODE {answer[3] & 0x0F}, flags {answer[2]:02x}"
    if bool(answer[2] & 0x04) != query.authoritative:
        return "not authoritative" if query.authoritative else "authoritative"
    if answer[12:end] != query.question:
        return "another question"
    if query.rdata not in answer[end:] or end == len(answer):
        return "another answer"
    return None


class QuerySet:
    """Queries in one buffer with their iovecs; the ID of query i is i modulo 65536."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self.queries = queries
        wires = [(i & 0xFFFF).to_bytes(2, "big") + query.body for i, query in enumerate(queries)]
        self._buffer = bytearray(b"".join(wires))
        at = int(_ffi.cast("uintptr_t", _ffi.from_buffer(self._buffer)))
        words = array("Q")
        for wire in wires:
            words.extend((at, len(wire)))
            at += len(wire)
        self.iovecs = memoryview(words).cast("B")


class Feeder:
    """Gives out the queries of a set in order: ``once``, or again and again (65,536 of them at most, by their IDs)."""

    def __init__(self, queries: QuerySet, *, once: bool = False) -> None:
        if not once and len(queries.queries) > 65536:
            raise ValueError("more than 65,536 queries cannot be told apart by their ID when they are repeated")
        self._set, self._once, self._next = queries, once, 0

    def take(self, count: int) -> tuple[memoryview, int]:
        """The iovecs of up to ``count`` next queries, and how many they are: 0 when all are used up."""
        size = len(self._set.queries)
        if self._next == size and not self._once:
            self._next = 0
        first, self._next = self._next, min(self._next + count, size)
        return self._set.iovecs[first * 16 : self._next * 16], self._next - first

    def of(self, answer: bytes) -> Query:
        """The query that was sent last under the ID of an answer."""
        id_ = int.from_bytes(answer[:2], "big")
        if not self._once:
            return self._set.queries[id_ % len(self._set.queries)]
        last = self._next - 1
        # One that was late for an earlier run may have an ID that was not yet sent in this one.
        return self._set.queries[max(0, last - ((last - id_) & 0xFFFF))]


class Port:
    """One source port: a connected socket and its two blocks of headers."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(server)
        self.fd = self.socket.fileno()
        self.in_flight = 0
        self.heard = time.monotonic()
        self.slots = _ffi.new(f"char[{BATCH * SLOT}]")
        self._vectors_in, self._vectors_out = _ffi.new("struct iovec[]", BATCH), _ffi.new("struct iovec[]", BATCH)
        self.headers_in, self.headers_out = _ffi.new("struct mmsghdr[]", BATCH), _ffi.new("struct mmsghdr[]", BATCH)
        for i in range(BATCH):
            self._vectors_in[i].iov_base, self._vectors_in[i].iov_len = self.slots + i * SLOT, SLOT
            for headers, vectors in (self.headers_in, self._vectors_in), (self.headers_out, self._vectors_out):
                headers[i].msg_hdr.msg_iov, headers[i].msg_hdr.msg_iovlen = vectors + i, 1
        self.vectors = _ffi.buffer(self._vectors_out)

    def receive(self) -> int:
        return max(0, int(_libc.recvmmsg(self.fd, self.headers_in, BATCH, socket.MSG_DONTWAIT, _ffi.NULL)))

    def first(self) -> bytes:
        """The first datagram of the last batch."""
        return bytes(_ffi.buffer(self.slots, self.headers_in[0].msg_len))

    def send(self, iovecs: memoryview, count: int) -> int:
        self.vectors[0 : count * 16] = iovecs
        return max(0, int(_libc.sendmmsg(self.fd, self.headers_out, count, 0)))


def slots_of(port: Port) -> memoryview:
    """The datagrams of the last batch, each in its slot."""
    return memoryview(_ffi.buffer(port.slots))


class Load:
    """The source ports toward one server."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._ports = [Port(server) for _ in range(PORTS)]

    def close(self) -> None:
        for port in self._ports:
            port.socket.close()

    def run(self, queries: Feeder, count: int, complain: Callable[[str], None]) -> Result:
        """Send ``count`` queries; returns when each was answered or is lost."""
        for port in self._ports:
            while port.receive():
                pass
            port.in_flight, port.heard = 0, time.monotonic()
        answers = checked = bad = lost = 0
        left = count
        waited = 0.0
        begin = now = time.perf_counter()
        while left or any(port.in_flight for port in self._ports):
            before, had = now, answers
            for port in self._ports:
                if received := port.receive():
                    answers += received
                    port.in_flight = max(0, port.in_flight - received)
                    port.heard = time.monotonic()
                    checked += 1
                    answer = port.first()
                    if problem := wrong(answer, queries.of(answer)):
                        bad += 1
                        complain(problem)
                elif port.in_flight and time.monotonic() - port.heard > SILENCE:
                    lost, port.in_flight = lost + port.in_flight, 0
                if left and port.in_flight < WINDOW:
                    left = self._refill(port, queries, left)
            now = time.perf_counter()
            if answers == had:
                waited += now - before
        return Result(answers, lost, checked, bad, now - begin, waited)

    @staticmethod
    def _refill(port: Port, queries: Feeder, left: int) -> int:
        """Send what the window allows; how many are left to send."""
        iovecs, number = queries.take(min(left, WINDOW - port.in_flight))
        if not number:
            return 0
        if not port.in_flight:
            port.heard = time.monotonic()
        port.in_flight += port.send(iovecs, number)
        return left - number
