"""Load over TCP (RFC 7766): one connection with many queries in flight, or a connection for each query."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from .load import Query, Result, wrong

_BATCH = 64
_IN_FLIGHT = 256
_AT_ONCE = 8  # connections: below what servers allow one address
_SOURCES = 200  # addresses that take turns, as a closed connection keeps its port for a minute
_BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen by connect, and need only be free toward this server
_PATIENCE = 5
_LISTENS_WITHIN, _AGAIN = 30, 0.1
_SILENT = 120  # seconds without an octet, after which a connection is broken
_AT_MOST = 5.0  # seconds in which queries are sent; some servers wait between segments, and do nothing meanwhile

Complain = Callable[[str], None]


def _framed(number: int, query: Query) -> bytes:
    message = (number & 0xFFFF).to_bytes(2, "big") + query.body
    return len(message).to_bytes(2, "big") + message


def connected(address: tuple[str, int]) -> socket.socket:
    """A server that answers over UDP already may be about to listen for TCP: it has some seconds for that."""
    deadline = time.monotonic() + _LISTENS_WITHIN
    while True:
        try:
            return socket.create_connection(address, _SILENT)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN)


class Pipeline:
    """Asks the same queries again and again, each run on a connection of its own."""

    def __init__(self, server: tuple[str, int], queries: Sequence[Query]) -> None:
        if len(queries) > 65536:
            raise ValueError("more than 65,536 queries cannot be told apart by their ID")
        self._server, self._queries = server, queries
        self._batches = [
            b"".join(_framed(i, queries[i]) for i in range(at, min(at + _BATCH, len(queries))))
            for at in range(0, len(queries), _BATCH)
        ]

    def run(self, count: int, complain: Complain) -> Result:
        """``count`` queries, rounded up to whole batches, or fewer where they take long; what is not answered in
        seconds is lost."""
        sent = answers = checked = bad = at = 0
        with connected(self._server) as sock:
            sock.settimeout(_PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            buffer = bytearray()
            begin = time.perf_counter()
            while answers < sent or sent < count:
                while sent < count and sent - answers <= _IN_FLIGHT - _BATCH:
                    sock.sendall(self._batches[at])
                    sent += min(_BATCH, len(self._queries) - at * _BATCH)
                    at = (at + 1) % len(self._batches)
                try:
                    chunk = sock.recv(1 << 16)
                except TimeoutError:
                    chunk = b""
                if not chunk:
                    break
                buffer += chunk
                found, first = _answers(buffer)
                answers += found
                if first:
                    checked += 1
                    if problem := wrong(first, self._queries[int.from_bytes(first[:2], "big") % len(self._queries)]):
                        bad += 1
                        complain(problem)
                if time.perf_counter() - begin > _AT_MOST:
                    count = sent
            return Result(answers, sent - answers, checked, bad, time.perf_counter() - begin)


def _answers(buffer: bytearray) -> tuple[int, bytes]:
    """How many whole messages the buffer holds, and the first of them; they are taken out of it."""
    at = found = 0
    end = len(buffer)
    first = b""
    while at + 2 <= end and (after := at + 2 + (buffer[at] << 8 | buffer[at + 1])) <= end:
        if not found:
            first = bytes(buffer[2:after])
        found += 1
        at = after
    del buffer[:at]
    return found, first


class Connections:
    """A connection for each query, some at once."""

    def __init__(self, server: tuple[str, int], queries: Sequence[Query]) -> None:
        self._server, self._queries, self._next = server, queries, 0

    def run(self, count: int, complain: Complain) -> Result:
        """``count`` queries; those whose connection failed are lost."""
        answers = bad = 0
        begin = time.perf_counter()
        for first in range(0, count, _AT_ONCE):
            opened = [self._open() for _ in range(min(_AT_ONCE, count - first))]
            for sock, query in opened:
                answer = _read(sock)
                sock.close()
                if answer is None:
                    continue
                answers += 1
                if problem := wrong(answer, query):
                    bad += 1
                    complain(problem)
        return Result(answers, count - answers, answers, bad, time.perf_counter() - begin)

    def _open(self) -> tuple[socket.socket, Query]:
        number, self._next = self._next, self._next + 1
        query = self._queries[number % len(self._queries)]
        sock = socket.socket()
        sock.settimeout(_PATIENCE)
        sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((f"127.0.1.{number % _SOURCES + 1}", 0))
        try:
            sock.connect(self._server)
            sock.sendall(_framed(number, query))
        except OSError:
            sock.close()  # reading it fails, too
        return sock, query


def _read(sock: socket.socket) -> bytes | None:
    """One message; None when it does not come whole."""
    data = b""
    try:
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            chunk = sock.recv(65535)
            if not chunk:
                return None
            data += chunk
    except OSError:
        return None
    return data[2:]
