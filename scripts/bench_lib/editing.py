"""Edits: what a command takes as a whole process, and how long until secondaries serve what was committed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import primaries, secondaries, zones
from .load import Query, wrong
from .process import Cores, Daemon, pin, run_timed
from .running import Running, Say, rotated, spared, wait_for
from .servers import SERVERS, Server, Site, free_port, ours
from .sizes import Size

ALONE = "dnsserver, no server"
SECONDARIES = ("Knot", "BIND", "NSD")
_MESSAGE = 1_000  # records of a message to those whose transaction is a message of at most 64 KiB
_APART = 1.2  # seconds between changes of one primary: NOTIFYs within a second are one
_OWN = ("dnsserver", ALONE)
_HOW = dict.fromkeys(_OWN, "record add, record apply")
_LONGEST = 120.0
# Another server that is slow makes fewer transactions, and fewer changes that secondaries are watched for.
_TRIED, _TRANSACTIONS_FOR = 10, 30.0  # transactions that tell how many, and about how many seconds all may take
_CHANGES_FOR, _LEAST_CHANGES = 45.0, 3
_MOST_NAMES = 100_000  # of the zone that goes to secondaries: there are twelve


class Spent(NamedTuple):
    """Of a command: wall, and processor seconds of its own and of the server."""

    wall: float
    own: float
    server: float


class Delay(NamedTuple):
    """Seconds until a secondary serves a change: since it was acknowledged, and since it was asked for.

    This server's acknowledgement comes when the change is served, the others' when it is committed.
    """

    acknowledged: float
    asked: float


class _Edited:
    """A server with the zone, or for ``ALONE`` the database alone."""

    def __init__(self, name: str, site: Site, running: Running | None) -> None:
        self.name, self.site, self.running = name, site, running
        self.done = 0  # transactions of each round
        self._number = 0

    def timed(self, command: Sequence[str]) -> Spent:
        before = self.running.processor_seconds() if self.running else 0.0
        spent = run_timed(command, self.site.folder)
        after = self.running.processor_seconds() if self.running else 0.0
        return Spent(spent.wall, spent.processor, after - before)

    def one(self) -> Spent:
        """A new record by a command of its own."""
        if self.name in _OWN:
            owner, address = f"edit-{self._next()}", _text(self._number)
            return self.timed(ours(self.site, "record", "add", zones.BIG, owner, "A", address))
        return self._script([self._additions(1)])

    def batch(self, size: int) -> Spent:
        """So many new records in one transaction, or in messages as large as they may be."""
        lines = self._additions(size)
        step = size if self.name in _OWN else _MESSAGE
        return self._script([lines[at : at + step] for at in range(0, size, step)])

    def transactions(self, most: int) -> Spent:
        """So many transactions of one new record by one command, or fewer of another server that is slow."""
        self.done = self.done or (most if self.name in _OWN else affordable(self._each(_TRIED).wall / _TRIED, most))
        return self._each(self.done)

    def _each(self, count: int) -> Spent:
        return self._script([[line] for line in self._additions(count)])

    def _script(self, transactions: Sequence[Sequence[str]]) -> Spent:
        kind = "dnsserver" if self.name == ALONE else self.name
        spent = self.timed(primaries.script(self.site, kind, zones.BIG, transactions))
        if self.running:
            # The last one is there, and so are all.
            name = zones.wire_name(f"edit-{self._number}.{zones.BIG}")
            wait_for(self.running, [zones.query(name, zones.address(self._number))])
        return spent

    def _additions(self, count: int) -> list[str]:
        return [f"update add edit-{self._next()}.{zones.BIG} 300 A {_text(self._number)}" for _ in range(count)]

    def _next(self) -> int:
        self._number += 1
        return self._number


def affordable(seconds: float, most: int) -> int:
    """Of what takes each so many seconds, how many a server is asked for."""
    return max(1, min(most, int(_TRANSACTIONS_FOR / seconds)))


def _text(number: int) -> str:
    return ".".join(map(str, zones.address(number)))


def _started(
    servers: Sequence[Server], path: Path, folder: Path, cores: Cores, stack: contextlib.ExitStack, say: Say
) -> list[_Edited]:
    found = []
    for server in servers:
        own = folder / server.name
        own.mkdir()
        site = Site(own, free_port(), {zones.BIG: path})
        say(f"{server.name}: loads and starts")
        primaries.PREPARE[server.name](site, ())
        daemon = stack.enter_context(Daemon(server.command(site), own, cores.server))
        found.append(_Edited(server.name, site, Running(server.name, ("127.0.0.1", site.port), daemon)))
    if any(each.name == "dnsserver" for each in found):
        own = folder / "alone"
        own.mkdir()
        primaries.PREPARE["dnsserver"](site := Site(own, free_port(), {zones.BIG: path}), ())
        found.append(_Edited(ALONE, site, None))
    for each in found:
        if each.running:
            wait_for(each.running, [zones.query(zones.wire_name(zones.BIG), b"", type_=6)])
            pin(each.running.daemon.pid, cores.server)
    return found


def _commands(
    servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say
) -> dict[str, dict[str, object]]:
    """A row for each: medians of single edits, of batches, of transactions."""
    path = folder / "big.zone"
    zones.write(path, zones.BIG, size.names, alone=True)
    found: dict[str, dict[str, list[Spent]]] = {}
    with contextlib.ExitStack() as stack:
        edited = _started(servers, path, folder, cores, stack, say)
        for number in range(size.some):
            kinds: dict[str, tuple[int, Callable[[_Edited], Spent]]] = {
                "one": (size.edits, lambda each: each.one()),
                "batch": (1, lambda each: each.batch(size.batch)),
                "transactions": (1, lambda each: each.transactions(size.transactions)),
            }
            for kind, (times, work) in kinds.items():
                say(f"round {number + 1} of {size.some}: {kind}, {times} of each server")
                for again in range(times):
                    for each in rotated(edited, number + again):
                        found.setdefault(each.name, {}).setdefault(kind, []).append(work(each))
        for each in edited:
            if each.done < size.transactions:
                say(f"{each.name}: {each.done} transactions of {size.transactions:,}, as they take long")
    return {each.name: _row(each, found[each.name]) for each in edited}


def _row(edited: _Edited, kinds: dict[str, list[Spent]]) -> dict[str, object]:
    medians = {
        kind: {field: round(median(getattr(one, field) for one in each), 4) for field in Spent._fields}
        for kind, each in kinds.items()
    }
    medians["transactions"]["done"] = edited.done
    return {"how": _HOW.get(edited.name, "nsupdate"), **medians}


class _Chain:
    """A primary and its secondaries."""

    def __init__(self, server: Server, path: Path, folder: Path, cores: Cores, stack: contextlib.ExitStack) -> None:
        self.name = server.name
        followers = [each for each in SERVERS if each.installed and each.name in SECONDARIES]
        ports = [free_port() for _ in followers]
        own = folder / f"{server.name}-primary"
        own.mkdir()
        site = Site(own, free_port(), {zones.BIG: path})
        primaries.PREPARE[server.name](site, ports)
        daemon = stack.enter_context(Daemon(server.command(site), own, cores.server))
        apex = [zones.query(zones.wire_name(zones.BIG), b"", type_=6)]
        wait_for(Running(server.name, ("127.0.0.1", site.port), daemon), apex)
        self.followers = []
        for each, port in zip(followers, ports, strict=True):
            self.followers.append(_follower(each, port, site.port, own / each.name, cores, stack))
        for follower in self.followers:
            wait_for(follower, apex)
            pin(follower.daemon.pid, cores.server)
        pin(daemon.pid, cores.server)
        self._edit = stack.enter_context(primaries.editor(site, server.name, zones.BIG))
        self._edited = 0.0
        self._spent = 0.0
        self.rounds: list[dict[str, Delay]] = []
        self._asked = 0

    @property
    def ended(self) -> bool:
        """Whether one of its changes was lost, or there are enough of a slow one; the first does not count."""
        return self._asked > len(self.rounds) or (self._spent > _CHANGES_FOR and len(self.rounds) > _LEAST_CHANGES)

    def spread(self, number: int) -> None:
        """One more round: from one change until each secondary serves it. Raises RuntimeError when one does not."""
        self._asked += 1
        time.sleep(max(0.0, self._edited + _APART - time.monotonic()))
        owner, address = f"edit.{zones.BIG}", zones.address(number + 1)
        query = zones.query(zones.wire_name(owner), address)
        asked = time.perf_counter()
        self._edit(owner, address)
        begin = time.perf_counter()
        self._edited = time.monotonic()
        found: dict[str, Delay] = {}
        while len(found) < len(self.followers):
            for follower in self.followers:
                if follower.name not in found and _serves(follower, query):
                    now = time.perf_counter()
                    found[follower.name] = Delay(now - begin, now - asked)
            if time.perf_counter() - begin > _LONGEST:
                late = {follower.name for follower in self.followers} - set(found)
                raise RuntimeError(f"change {number} of {self.name} is not served by {', '.join(late)}")
        self._spent += time.perf_counter() - asked
        self.rounds.append(found)


def _follower(
    server: Server, port: int, primary: int, folder: Path, cores: Cores, stack: contextlib.ExitStack
) -> Running:
    folder.mkdir()
    site = Site(folder, port, {})
    secondaries.PREPARE[server.name](site, zones.BIG, primary)
    if server.name == "NSD":
        config = folder / "nsd.conf"
        config.write_text(config.read_text().replace("server:\n", "server:\n    xfrd-reload-timeout: 0\n", 1))
    daemon = stack.enter_context(Daemon(server.command(site), folder, cores.server))
    return Running(server.name, ("127.0.0.1", port), daemon)


def _serves(follower: Running, query: Query) -> bool:
    try:
        return wrong(follower.ask(query), query) is None
    except OSError:
        return False


def _spread(
    servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say
) -> dict[str, dict[str, object]]:
    """Milliseconds until each secondary serves a change, by primary."""
    path = folder / "spread.zone"
    zones.write(path, zones.BIG, min(size.names, _MOST_NAMES), alone=True)
    with contextlib.ExitStack() as stack:
        chains = []
        for server in servers:
            say(f"{server.name} and its secondaries: load and start")
            chains.append(_Chain(server, path, folder, cores, stack))
        for number in range(size.edits + 1):
            say(f"change {number} of {size.edits}" if number else "one change that does not count")
            for chain in rotated(chains, number):
                if not chain.ended:
                    with spared(chain.name, "the last of its changes", say):
                        chain.spread(number)
    return {chain.name: _delays(chain.rounds[1:]) for chain in chains}


def _delays(rounds: Sequence[dict[str, Delay]]) -> dict[str, object]:
    if not rounds:
        return {}
    return {"changes": len(rounds)} | {
        f"to {name}": {
            "median": round(median(each[name].acknowledged for each in rounds) * 1000, 2),
            "most": round(max(each[name].acknowledged for each in rounds) * 1000, 2),
            "asked": round(median(each[name].asked for each in rounds) * 1000, 2),
        }
        for name in SECONDARIES
        if name in rounds[0]
    }


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server that can be edited, and one for our command where no server runs."""
    able = [server for server in servers if server.name in primaries.PREPARE]
    if not able:
        raise RuntimeError(f"none of {', '.join(primaries.PREPARE)} is among the servers")
    rows = _commands(able, folder, cores, size, say)
    for name, delays in _spread(able, folder, cores, size, say).items():
        rows[name] |= delays
    counts = {"records": size.names, "batch_size": size.batch, "transaction_count": size.transactions}
    return [{"server": name, **counts, **row} for name, row in rows.items()]
