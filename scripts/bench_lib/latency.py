"""How long answers take at half of what a server can do, while it has nothing else to do, and while it has.

The other work is on the server's core, as far as the server does it there: with the priority that it gives it itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from . import primaries, zones
from .chores import Edits, Idle, Import, Transfers
from .load import Feeder, Load, QuerySet
from .pace import Latency, Paced
from .process import Cores, Daemon, pin, priorities
from .running import Running, Say, rotated, spared, wait_for
from .servers import Server, Site, free_port
from .sizes import Size
from .starting import settle

STATES = ("idle", "importing", "transferring", "editing")
EDITS = 100.0  # a second
_IDS = 65536

Chore = Idle | Import | Transfers | Edits


class _Lane:
    """One server, the zone that is asked for, and the large one."""

    def __init__(self, server: Server, served: dict[str, Path], folder: Path, cores: Cores) -> None:
        self.name, self._core = server.name, cores.server
        own = folder / server.name
        own.mkdir()
        files = {zone: own / path.name for zone, path in served.items()}
        for zone, path in files.items():
            path.write_bytes(served[zone].read_bytes())
        self.site = Site(own, free_port(), files)
        server.prepare(self.site)
        self._editable = primaries.allow_updates(self.site, self.name, zones.HOT)
        self.daemon = Daemon(server.command(self.site), own, cores.server)
        self.running = Running(self.name, ("127.0.0.1", self.site.port), self.daemon)
        self.rate = 0.0
        self._imports = 0

    def ready(self, queries: QuerySet, count: int) -> None:
        """Waits for it, and finds half of the rate that it can do."""
        wait_for(self.running, [zones.query(zones.wire_name(zone), b"", type_=6) for zone in self.site.zones])
        pin(self.daemon.pid, self._core)
        self.load, self.paced = Load(self.running.address), Paced(self.running.address)
        for _ in range(2):
            result = self.load.run(Feeder(queries), count, lambda _: None)
        self.rate = result.answers / result.seconds / 2

    def chores(self, size: Size) -> dict[str, Callable[[], Chore]]:
        found: dict[str, Callable[[], Chore]] = {
            "idle": Idle,
            "importing": lambda: self._import(size.names),
            "transferring": lambda: Transfers(self.running, size.names + zones.APEX_RECORDS - 2),
        }
        if self._editable:
            found["editing"] = lambda: Edits(self.site, self.running, EDITS)
        return found

    def _import(self, names: int) -> Import:
        self._imports += 1
        return Import(self.site, self.running, names, self._imports, self._core)

    def close(self) -> None:
        self.load.close()
        self.paced.close()


class _One(NamedTuple):
    """Of a server in a state: what was done meanwhile, and what ran then with which priority."""

    latency: Latency
    done: int
    running: list[str]


def _timed(lane: _Lane, make: Callable[[], Chore], queries: QuerySet, seconds: float) -> _One:
    ran: list[str] = []
    half = time.monotonic() + seconds / 2
    with contextlib.closing(make()) as chore:

        def step() -> bool:
            if not ran and time.monotonic() > half:
                ran.extend(priorities(lane.daemon.pid) + (priorities(chore.pid) if chore.pid else []))
            return chore.step()

        found = lane.paced.run(queries, lane.rate, seconds, step)
        done = chore.done
    settle(lane.daemon.pid)
    return _One(found, done, ran)


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server: medians of the percentiles of each state, and the longest gap of all rounds."""
    served = {zones.HOT: folder / "hot.zone", zones.BIG: folder / "big.zone"}
    zones.write(served[zones.HOT], zones.HOT, size.hot, alone=True)
    zones.write(served[zones.BIG], zones.BIG, size.names, alone=True)
    hot = zones.hot(size.hot)
    queries = QuerySet((hot * (_IDS // len(hot) + 1))[:_IDS])
    found: dict[tuple[str, str], list[_One]] = {}
    rounds = size.few
    with contextlib.ExitStack() as stack:
        lanes = []
        for server in servers:
            say(f"{server.name}: loads and starts")
            lanes.append(lane := _Lane(server, served, folder, cores))
            stack.enter_context(lane.daemon)
        for lane in lanes:
            lane.ready(queries, size.queries)
            stack.callback(lane.close)
        for number in range(rounds):
            for state in STATES:
                for lane in rotated(lanes, number):
                    if (make := lane.chores(size).get(state)) is not None:
                        with spared(lane.name, state, say):
                            one = _timed(lane, make, queries, size.seconds)
                            say(f"round {number + 1} of {rounds}, {state}: {lane.name} {one.latency}")
                            found.setdefault((lane.name, state), []).append(one)
        rates = {lane.name: lane.rate for lane in lanes}
    return [
        {"server": name, "rate": round(rate), "records": size.names}
        | {state: _medians(found.get((name, state))) for state in STATES}
        for name, rate in rates.items()
    ]


def _medians(rounds: Sequence[_One] | None) -> dict[str, Any] | None:
    if rounds is None:
        return None
    each = [one.latency for one in rounds]
    row = {field: round(median(getattr(one, field) for one in each), 3) for field in ("p50", "p99", "p999")}
    row |= {field: max(getattr(one, field) for one in each) for field in ("most", "gap", "late")}
    row |= {"lost": sum(one.lost for one in each), "done": sum(one.done for one in rounds)}
    return row | {"running": sorted({name for one in rounds for name in one.running})}
