"""Processor time for a query, of servers driven to saturation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import zones
from .load import Feeder, Load, Query, QuerySet
from .process import Cores
from .running import Running, Say, cookie_of, rotated, running
from .servers import Server

NAMES = 10_000
CLIENTS = 64  # client cookies
_COOKIE_WITHIN = 5
KINDS = ("hot", "cookies", "0x20")


class Round(NamedTuple):
    """What one server did in one round of one kind."""

    microseconds: float  # of processor time for an answer
    rate: float  # answers a second
    busy: float  # share of its core that the server used
    lost: int
    wrong: int


def _cookie_queries(server: Running) -> list[Query] | None:
    """The hot queries with a valid cookie each (RFC 7873, 5.4), of some clients; None when the server has none."""
    options = []
    probe = zones.hot(1)[0]
    for client in range(CLIENTS):
        half = (0x5EED0000 + client).to_bytes(8, "big")
        option = zones.COOKIE.to_bytes(2, "big") + b"\0\x08" + half
        cookie = _first_cookie(server, Query(_with_opt(probe.body, option), probe.rdata))
        if cookie is None:
            return None
        options.append(zones.COOKIE.to_bytes(2, "big") + len(cookie).to_bytes(2, "big") + cookie)
    return zones.hot(NAMES, options)


def _first_cookie(server: Running, query: Query) -> bytes | None:
    """A server that has just been started may have its secret a moment later."""
    end = time.monotonic() + _COOKIE_WITHIN
    while (cookie := cookie_of(server, query)) is None and time.monotonic() < end:
        time.sleep(0.1)
    return cookie


def _with_opt(body: bytes, option: bytes) -> bytes:
    return body[:8] + b"\0\1" + body[10:] + b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option


class _Lane:
    """One server and what it is asked."""

    def __init__(self, server: Running, hot: QuerySet, mixed: QuerySet) -> None:
        self.server, self.load = server, Load(server.address)
        self.feeders = {"hot": Feeder(hot), "0x20": Feeder(mixed, once=True)}
        if (queries := _cookie_queries(server)) is not None:
            self.feeders["cookies"] = Feeder(QuerySet(queries))

    def round(self, kind: str, count: int, say: Say) -> Round:
        before = self.server.processor_seconds()
        result = self.load.run(self.feeders[kind], count, lambda problem: say(f"{self.server.name}, {kind}: {problem}"))
        spent = self.server.processor_seconds() - before
        answers = max(1, result.answers)
        return Round(spent / answers * 1e6, answers / result.seconds, spent / result.seconds, result.lost, result.wrong)


def run(
    servers: Sequence[Server], folder: Path, cores: Cores, rounds: int, count: int, say: Say
) -> list[dict[str, object]]:
    """A row for each server: medians of all rounds, ``count`` queries each."""
    path = folder / "hot.zone"
    zones.write(path, zones.HOT, NAMES)
    hot = zones.hot(NAMES)
    say("makes the queries")
    sets = QuerySet(hot), QuerySet(list(zones.mixed_case(NAMES, NAMES + rounds * count, seed=7)))
    found: dict[tuple[str, str], list[Round]] = {}
    with running(servers, {zones.HOT: path}, hot[:1], folder, cores, say) as up:
        lanes = [_Lane(server, *sets) for server in up]
        for lane in lanes:
            for kind in lane.feeders:
                lane.round(kind, NAMES, say)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for kind in KINDS:
                for lane in rotated(lanes, number):
                    if kind in lane.feeders:
                        found.setdefault((lane.server.name, kind), []).append(lane.round(kind, count, say))
        for lane in lanes:
            lane.load.close()
    return [_row(server.name, found) for server in servers]


def _row(name: str, found: dict[tuple[str, str], list[Round]]) -> dict[str, object]:
    row: dict[str, object] = {"server": name}
    for kind in KINDS:
        rounds = found.get((name, kind))
        row[kind] = rounds and {
            "microseconds": round(median(each.microseconds for each in rounds), 2),
            "rate": round(median(each.rate for each in rounds)),
            "busy": round(median(each.busy for each in rounds), 2),
            "lost": sum(each.lost for each in rounds),
            "wrong": sum(each.wrong for each in rounds),
        }
    return row
