"""Queries at a fixed rate, whatever the server does, and how long each answer took.

A query's time counts from when it was due: one that had to wait for its turn has waited. What is in the way of the
generator itself is told by how late it was.
"""

from __future__ import annotations

import socket
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple

from .load import BATCH, SLOT, Feeder, Port, QuerySet, slots_of

_PORTS = 4
_LAST = 1.0  # seconds in which what is still out may come in
_BUFFER = 4 << 20  # more than a gap of a second fills

Chore = Callable[[], bool]


class Latency(NamedTuple):
    """Milliseconds, of all queries that were answered; ``gap``: the longest without an answer while one was awaited."""

    p50: float
    p99: float
    p999: float
    most: float
    gap: float
    late: float  # the longest that the generator was behind
    answers: int
    lost: int


class Paced:
    """Some source ports toward one server. An ID tells when its query was due, so at most 65,536 are out."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._ports = [Port(server) for _ in range(_PORTS)]
        for port in self._ports:
            port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._slots = [slots_of(port) for port in self._ports]
        self._due = array("d", bytes(8 << 16))

    def close(self) -> None:
        for port in self._ports:
            port.socket.close()

    def run(self, queries: QuerySet, rate: float, seconds: float, chore: Chore) -> Latency:
        """For so long, and then for as long as ``chore`` says so: it is done again and again meanwhile, and is short.

        The set has 65,536 queries, as the n-th query that is sent has the ID n.
        """
        feeder, clock, due = Feeder(queries), time.perf_counter, self._due
        spans = array("d")
        sent = out = turn = 0
        begin = heard = clock()
        gap = late = end = 0.0
        while not end or (out > 0 and clock() < end + _LAST):
            now = clock()
            if not chore() and now - begin > seconds and not end:
                end = now
            wanted = 0 if end else int((now - begin) * rate) + 1 - sent
            if wanted > 0:
                late = max(late, now - begin - sent / rate)
                turn = (turn + 1) % _PORTS
                iovecs, number = feeder.take(min(wanted, BATCH))
                for i in range(sent, sent + number):
                    due[i & 0xFFFF] = begin + i / rate
                if out <= 0:
                    heard = now
                out += self._ports[turn].send(iovecs, number)
                sent += number
            for port, slots in zip(self._ports, self._slots, strict=True):
                if received := port.receive():
                    now = clock()
                    gap, heard = max(gap, now - heard), now
                    out -= received
                    for at in range(0, received * SLOT, SLOT):
                        spans.append(now - due[int.from_bytes(slots[at : at + 2], "big")])
        return _summary(spans, max(gap, end - heard), late, sent - len(spans))


def _summary(spans: array[float], gap: float, late: float, lost: int) -> Latency:
    ordered = sorted(spans) or [0.0]

    def share(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000, 3)

    ends = round(ordered[-1] * 1000, 3), round(gap * 1000, 3), round(late * 1000, 3)
    return Latency(share(0.5), share(0.99), share(0.999), *ends, len(spans), lost)
