"""From the start of a server to its first answers, and the memory that it has then: one large zone, many small ones."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import many, zones
from .load import Query
from .process import Cores, Daemon, descendants, spent_seconds
from .running import Running, Say, answers, rotated
from .servers import Server, Site, free_port
from .sizes import Size

_EVERY = 0.002
_ANSWER_WITHIN = 0.25  # a datagram may be lost before the server listens
_LONGEST = 300.0
_IDLE_SHARE = 0.05  # of a core
_SETTLED_WITHIN = 60.0
KINDS = ("records", "zones")


class Start(NamedTuple):
    """Seconds until it answers, processor seconds until it is idle, and megabytes then: all, its largest process."""

    seconds: float
    processor: float
    memory: float
    largest: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A server that can be started; its first and last zone answer when it serves them all."""

    server: Server
    site: Site
    probes: Sequence[Query]


def memory(pid: int) -> list[float]:
    """Megabytes of each process below and with this one; what they share is divided among them (PSS, proc(5))."""
    found = []
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            found += [int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")]
    return found


def settle(pid: int) -> None:
    """Until it does nothing any more, for a minute at most."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    spent, before = 1.0, spent_seconds(pid)
    while spent > _IDLE_SHARE and time.monotonic() < deadline:
        time.sleep(1)
        spent, before = spent_seconds(pid) - before, spent_seconds(pid)


def prepare(
    server: Server, served: Mapping[str, Path], folder: Path, small: Sequence[str] = (), *, name: str = ""
) -> Prepared:
    """A server with these zones; or with ``small`` ones, that share the one file."""
    own = folder / f"{server.name}{name}"
    own.mkdir()
    site = Site(own, free_port(), dict.fromkeys(small, *served.values()) if small else served)
    (many.PREPARE[server.name] if small else server.prepare)(site)
    asked = (small[0], small[-1]) if small else served
    return Prepared(server, site, [zones.query(zones.wire_name(zone), b"", type_=6) for zone in asked])


@contextlib.contextmanager
def started(prepared: Prepared, cores: Cores) -> Iterator[tuple[Running, float]]:
    """The server, and the seconds that it took to answer."""
    begin = time.perf_counter()
    with Daemon(prepared.server.command(prepared.site), prepared.site.folder, cores.server) as daemon:
        running = Running(prepared.server.name, ("127.0.0.1", prepared.site.port), daemon)
        while not all(answers(running, probe, _ANSWER_WITHIN) for probe in prepared.probes):
            if not daemon.running or time.perf_counter() - begin > _LONGEST:
                raise RuntimeError(f"{running.name} does not answer:\n{daemon.tail()}")
            time.sleep(_EVERY)
        yield running, time.perf_counter() - begin


def measure(prepared: Prepared, cores: Cores) -> Start:
    with started(prepared, cores) as (running, seconds):
        settle(running.daemon.pid)
        used = memory(running.daemon.pid)
        return Start(seconds, spent_seconds(running.daemon.pid), sum(used), max(used))


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server: medians, of the large zone and of the many."""
    big, ten = folder / "big.zone", folder / "ten.zone"
    records = zones.write(big, zones.BIG, size.names)
    many.write(ten)
    found: dict[tuple[str, str], list[Start]] = {}
    for kind in KINDS:
        prepared = []
        for server in servers:
            say(f"{server.name}: takes in the {kind}")
            small = many.names(size.zones) if kind == "zones" else ()
            served = {zones.BIG: big} if kind == "records" else {"": ten}
            prepared.append(prepare(server, served, folder, small, name=f"-{kind}"))
        for number in range(size.some):
            for each in rotated(prepared, number):
                say(f"{kind}, round {number + 1} of {size.some}: {each.server.name}")
                found.setdefault((each.server.name, kind), []).append(measure(each, cores))
    counts = {"records": records, "zones": size.zones}
    return [
        {"server": server.name, **{f"of_{kind}": counts[kind] for kind in KINDS}}
        | {kind: _medians(found[server.name, kind]) for kind in KINDS}
        for server in servers
    ]


def _medians(rounds: Sequence[Start]) -> dict[str, float]:
    return {field: round(median(getattr(each, field) for each in rounds), 3) for field in Start._fields}
