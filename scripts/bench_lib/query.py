"""Processor time for a query, of servers driven to saturation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import limits, root, zones
from .load import Feeder, Load, Query, QuerySet, Result
from .process import Cores
from .running import Running, Say, cookie_of, rotated, running
from .servers import Server
from .sizes import Size
from .tcp import Connections, Pipeline

CLIENTS = 64  # client cookies
_COOKIE_WITHIN = 5
KINDS = ("hot", "limited", "cookies", "0x20", "cold", "mixed", "tcp", "connections")

Way = Callable[[int, Callable[[str], None]], Result]


class Round(NamedTuple):
    """What one server did in one round of one kind."""

    microseconds: float  # of processor time for an answer
    rate: float  # answers a second
    busy: float  # share of its core that the server used
    load: float  # and the generator, of the other
    lost: int
    wrong: int


class _Asked:
    """The queries of each kind that is measured, shared by all servers, and how many make a round."""

    def __init__(self, size: Size, kinds: Collection[str], root_zone: Path | None) -> None:
        self.counts = dict.fromkeys(kinds, size.queries)
        self.hot = zones.hot(size.hot)
        self.hot_names = size.hot
        self.again = {"hot": QuerySet(self.hot)}
        self.once: dict[str, QuerySet] = {}
        needed = (size.rounds + 1) * size.queries
        if "0x20" in kinds:
            self.once["0x20"] = QuerySet(list(zones.mixed_case(size.hot, needed, seed=7)))
        if "cold" in kinds:
            self.counts["cold"] = min(size.queries, size.names * 5 // 4 // (size.rounds + 1))
            total = self.counts["cold"] * (size.rounds + 1)
            self.once["cold"] = QuerySet(zones.cold(size.names, total, seed=5))
        if root_zone is not None:
            self.once["mixed"] = QuerySet(root.Questions(root_zone).make(needed))
        if "connections" in kinds:
            self.counts["connections"] = size.connections

    def ways(self, server: Running, load: Load, *, limited: bool = False) -> dict[str, Way]:
        """How each kind is asked of a server; one that limits the rate of its responses is asked for nothing else."""
        if limited:
            return {"limited": partial(load.run, Feeder(self.again["hot"]))}
        found: dict[str, Way] = {
            kind: partial(load.run, Feeder(queries)) for kind, queries in self.again.items() if kind in self.counts
        }
        found |= {kind: partial(load.run, Feeder(queries, once=True)) for kind, queries in self.once.items()}
        if "cookies" in self.counts and (cookies := self._cookies(server)) is not None:
            found["cookies"] = partial(load.run, Feeder(QuerySet(cookies)))
        if "tcp" in self.counts:
            found["tcp"] = Pipeline(server.address, self.hot).run
        if "connections" in self.counts:
            found["connections"] = Connections(server.address, self.hot).run
        return found

    def _cookies(self, server: Running) -> list[Query] | None:
        """The hot queries with a valid cookie each (RFC 7873, 5.4), of some clients; None when the server has none."""
        options = []
        probe = self.hot[0]
        for client in range(CLIENTS):
            half = (0x5EED0000 + client).to_bytes(8, "big")
            option = zones.COOKIE.to_bytes(2, "big") + b"\0\x08" + half
            cookie = _first_cookie(server, Query(_with_opt(probe.body, option), probe.rdata))
            if cookie is None:
                return None
            options.append(zones.COOKIE.to_bytes(2, "big") + len(cookie).to_bytes(2, "big") + cookie)
        return zones.hot(self.hot_names, options)


def _first_cookie(server: Running, query: Query) -> bytes | None:
    """A server that has just been started may have its secret a moment later."""
    end = time.monotonic() + _COOKIE_WITHIN
    while True:
        with contextlib.suppress(OSError):  # lost
            if (cookie := cookie_of(server, query)) is not None:
                return cookie
        if time.monotonic() > end:
            return None
        time.sleep(0.1)


def _with_opt(body: bytes, option: bytes) -> bytes:
    return body[:8] + b"\0\1" + body[10:] + b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option


class Lane:
    """One server and the ways in which it is asked."""

    def __init__(self, server: Running, asked: _Asked, *, limited: bool = False) -> None:
        self.server, self.load, self._counts = server, Load(server.address), asked.counts
        self.ways = asked.ways(server, self.load, limited=limited)

    def round(self, kind: str, say: Say) -> Round:
        problems: set[str] = set()
        before, own = self.server.processor_seconds(), time.process_time()
        result = self.ways[kind](self._counts[kind], problems.add)
        own, spent = time.process_time() - own - result.waited, self.server.processor_seconds() - before
        for problem in sorted(problems):
            say(f"{self.server.name}, {kind}: {problem}")
        answers = max(1, result.answers)
        rate, busy, load = (each / result.seconds for each in (answers, spent, max(0.0, own)))
        return Round(spent / answers * 1e6, rate, busy, load, result.lost, result.wrong)


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server: medians of all rounds. Without a root zone ``mixed`` is left out, with a word."""
    kinds = size.kinds or KINDS
    served = {zones.HOT: folder / "hot.zone"}
    zones.write(served[zones.HOT], zones.HOT, size.hot)
    if "cold" in kinds:
        served[zones.COLD] = folder / "cold.zone"
        zones.write(served[zones.COLD], zones.COLD, size.names)
    if "mixed" in kinds:
        if (why := root.unpack(folder / "root.zone")) is None:
            served["."] = folder / "root.zone"
        else:
            say(f"mixed is skipped: {why}")
    say("makes the queries")
    asked = _Asked(size, kinds, served.get("."))
    found = measure(servers, served, asked, folder, cores, size, say)
    return [_row(server.name, found) for server in servers]


def measure(
    servers: Sequence[Server],
    served: Mapping[str, Path],
    asked: _Asked,
    folder: Path,
    cores: Cores,
    size: Size,
    say: Say,
) -> dict[tuple[str, str], list[Round]]:
    """The rounds of each server and kind, after one that does not count."""
    found: dict[tuple[str, str], list[Round]] = {}
    probes = [zones.query(zones.wire_name(zone), b"", type_=6) for zone in served]
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(running(servers, served, probes, folder, cores, say))
        lanes = [Lane(server, asked) for server in up]
        if "limited" in asked.counts:
            more = stack.enter_context(_limited(servers, served[zones.HOT], folder, cores, say))
            lanes += [Lane(server, asked, limited=True) for server in more]
        for number in range(size.rounds + 1):
            for kind in (kind for kind in KINDS if any(kind in lane.ways for lane in lanes)):
                say(f"round {number} of {size.rounds}: {kind}" if number else f"{kind}, which does not count")
                for lane in rotated(lanes, number):
                    if kind in lane.ways:
                        one = lane.round(kind, say)
                        if number:
                            found.setdefault((lane.server.name, kind), []).append(one)
        for lane in lanes:
            lane.load.close()
    return found


@contextlib.contextmanager
def _limited(servers: Sequence[Server], hot: Path, folder: Path, cores: Cores, say: Say) -> Iterator[list[Running]]:
    """Those that can limit the rate of their responses once more, so that what the judging costs is seen."""
    below = folder / "limited"
    below.mkdir()
    able = [limits.limited(server) for server in servers if server.name in limits.ABLE]
    probe = zones.query(zones.wire_name(zones.HOT), b"", type_=6)
    with running(able, {zones.HOT: hot}, [probe], below, cores, say) as up:
        yield up


def _row(name: str, found: Mapping[tuple[str, str], list[Round]]) -> dict[str, object]:
    row: dict[str, object] = {"server": name}
    for kind in KINDS:
        rounds = found.get((name, kind))
        row[kind] = rounds and {
            "microseconds": round(median(each.microseconds for each in rounds), 2),
            "rate": round(median(each.rate for each in rounds)),
            "busy": round(median(each.busy for each in rounds), 2),
            "load": round(median(each.load for each in rounds), 2),
            "lost": sum(each.lost for each in rounds),
            "wrong": sum(each.wrong for each in rounds),
        }
    return row
