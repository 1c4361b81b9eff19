"""How cost grows with the names of a zone, and with the number of zones.

Each server is up alone, and is asked for names at random, of which a fifth are not there: of few names a packet cache
holds all, of many it holds none, and both belong to what is shown. Edits come over a connection that stays, so that
only the server's part of them counts.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Sequence
from math import log
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import axfr, many, primaries, starting, zones
from .load import Feeder, Load, Query, QuerySet
from .process import Cores, pin
from .running import Running, Say, rotated, spared
from .servers import Server
from .sizes import Size
from .starting import Prepared

MEASURES = {
    "query": "processor time of a query (us)",
    "edit": "one edit (ms)",
    "start": "start to answers (s)",
    "memory": "memory (MB)",
    "axfr": "full transfer (s)",
}
OF = {"records": "records of one zone", "zones": "zones of ten records"}
_MOST_QUERIES = 50_000
_EDITS_FOR, _LEAST_EDITS = 10_000.0, 3  # milliseconds in which a slow server is edited, and how often in any case


class Cost(NamedTuple):
    """What one server took; None: it was not measured."""

    query: float
    edit: float | None
    start: float
    memory: float
    axfr: float | None


class Job(NamedTuple):
    """So many names or zones: the queries, and what is transferred.

    ``owner`` has a record, which is edited: they are as many in the next round, too.
    """

    kind: str
    amount: int
    queries: QuerySet
    zone: str
    owner: str
    records: int


def _zone_queries(count: int, asked: int) -> list[Query]:
    rng = random.Random(11)
    names = [zones.wire_name(zone) for zone in many.names(count)]
    return [
        zones.query(b"\6host-%d" % (host := rng.randrange(many.HOSTS)) + rng.choice(names), bytes((10, 0, 0, host)))
        for _ in range(asked)
    ]


def job(kind: str, count: int, size: Size) -> Job:
    asked = 2 * min(size.queries, _MOST_QUERIES)
    if kind == "zones":
        first = many.names(1)[0]
        queries = _zone_queries(count, asked)
        return Job(kind, count, QuerySet(queries), first, f"host-0.{first}", many.RECORDS)
    queries = zones.cold(count, min(asked, count * 5 // 4), seed=11, zone=zones.BIG)
    if len(queries) < asked:
        queries = random.Random(11).choices(queries, k=asked)
    return Job(
        kind, count, QuerySet(queries), zones.BIG, f"{zones.label(0)}.{zones.BIG}", count + zones.APEX_RECORDS - 2
    )


def _prepared(server: Server, job: Job, folder: Path, source: Path) -> tuple[Prepared, bool]:
    """A server with the job's zones, and whether it can be edited."""
    small = many.names(job.amount) if job.kind == "zones" else ()
    prepared = starting.prepare(server, {job.zone: source}, folder, small)
    if small and server.name == "BIND":
        return prepared, False  # it writes to the file of a zone that takes edits, which here is everyone's
    return prepared, primaries.allow_updates(prepared.site, server.name, job.zone)


def _cost(prepared: Prepared, editable: bool, job: Job, size: Size, cores: Cores) -> Cost:
    with starting.started(prepared, cores) as (running, seconds):
        starting.settle(running.daemon.pid)
        pin(running.daemon.pid, cores.server)
        memory = sum(starting.memory(running.daemon.pid))
        query = _query(running, job.queries)
        transferred = None
        if job.kind == "records":
            begin = time.perf_counter()
            axfr.read_transfer(running.address, job.records, axfr.request(job.zone))
            transferred = time.perf_counter() - begin
        edit = _edit(prepared, job, size.edits) if editable else None
        return Cost(query, edit, seconds, memory, transferred)


def _query(running: Running, queries: QuerySet) -> float:
    """Microseconds of processor time for one of the second half; the first does not count."""
    half = len(queries.queries) // 2
    with contextlib.closing(Load(running.address)) as load:
        feeder = Feeder(queries, once=True)
        load.run(feeder, half, lambda _: None)
        before = running.processor_seconds()
        answers = load.run(feeder, half, lambda _: None).answers
        return (running.processor_seconds() - before) / max(1, answers) * 1e6


def _edit(prepared: Prepared, job: Job, count: int) -> float:
    """Milliseconds, after one that does not count."""
    spans = []
    with primaries.editor(prepared.site, prepared.server.name, job.zone) as change:
        for _ in range(count + 1):
            begin = time.perf_counter()
            change(job.owner, zones.address(random.randrange(1 << 24)))
            spans.append((time.perf_counter() - begin) * 1000)
            if sum(spans) > _EDITS_FOR and len(spans) > _LEAST_EDITS:
                break
    return median(spans[1:])


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server, kind and count."""
    rows: list[dict[str, object]] = []
    for kind, counts in (("records", size.grown), ("zones", size.zones_grown)):
        for count in counts:
            below = folder / f"{kind}-{count}"
            below.mkdir()
            rows += _rows(servers, job(kind, count, size), below, cores, size, say)
            shutil.rmtree(below)
    return rows


def _rows(
    servers: Sequence[Server], job: Job, folder: Path, cores: Cores, size: Size, say: Say
) -> list[dict[str, object]]:
    source = folder / "zone"
    if job.kind == "zones":
        many.write(source)
    else:
        zones.write(source, job.zone, job.amount, alone=True)
    prepared = []
    for server in servers:
        say(f"{job.amount:,} {job.kind}: {server.name} takes them in")
        prepared.append(_prepared(server, job, folder, source))
    found: dict[str, list[Cost]] = {server.name: [] for server in servers}
    for number in range(size.few):
        for each, editable in rotated(prepared, number):
            say(f"{job.amount:,} {job.kind}, round {number + 1} of {size.few}: {each.server.name}")
            with spared(each.server.name, f"{job.amount:,} {job.kind}", say):
                found[each.server.name].append(_cost(each, editable, job, size, cores))
    return [{"server": name, "of": job.kind, "count": job.amount, **_medians(costs)} for name, costs in found.items()]


def _medians(costs: Sequence[Cost]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in MEASURES:
        values = [value for cost in costs if (value := getattr(cost, name)) is not None]
        found[name] = round(median(values), 4) if values else None
    return found


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """e of the power n^e by which the last step of (n, value) grows; None without two points."""
    if len(points) < 2 or min(points[-1][1], points[-2][1]) <= 0:
        return None
    (before, low), (after, high) = points[-2:]
    return log(high / low) / log(after / before)
