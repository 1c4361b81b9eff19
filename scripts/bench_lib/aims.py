"""What this server is meant to reach, as ratios of one run, and whether it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]
Parts = Mapping[str, Sequence[Row]]

OURS, ALONE = "dnsserver", "dnsserver, no server"
BUSY = ("importing", "transferring", "editing")


class Aim(NamedTuple):
    """``measured``, ``limit``: multiples, seconds or milliseconds, as ``unit`` says; ``least``: not to be below it."""

    part: str
    what: str
    measured: float
    limit: float
    unit: str
    least: bool = False

    @property
    def missed(self) -> float:
        """By which share of the limit; 0 when it is met."""
        over = self.limit / self.measured if self.least and self.measured else self.measured / self.limit
        return max(0.0, over - 1)

    @property
    def demand(self) -> str:
        return f"at {'least' if self.least else 'most'} {self.limit:g} {self.unit}"


class _Ratio(NamedTuple):
    """Of a value, found by the keys that lead to it, to another server's."""

    part: str
    what: str
    keys: tuple[str, ...]
    limit: float
    to: str
    least: bool = False
    other: tuple[str, ...] = ()  # the other's keys, where they are not the same


_RATIOS = (
    _Ratio("query", "hot query", ("hot", "microseconds"), 1.0, "Knot"),
    _Ratio("query", "hot query, response rate limiting on", ("limited", "microseconds"), 1.1, "Knot"),
    _Ratio("query", "cold query", ("cold", "microseconds"), 1.0, "BIND"),
    _Ratio("query", "cold query", ("cold", "microseconds"), 1.25, "Knot"),
    _Ratio("query", "mixed (root, DO)", ("mixed", "microseconds"), 1.25, "BIND"),
    _Ratio("query", "TCP, pipelined", ("tcp", "microseconds"), 1.5, "BIND"),
    _Ratio("axfr", "AXFR out, repeated", ("rate",), 0.8, "Knot", least=True),
    _Ratio("axfr", "AXFR out, first", ("first_rate",), 4.0, "BIND", least=True),
    _Ratio("axfr", "AXFR out, with TSIG", ("signed_rate",), 1.0, "BIND", least=True),
    _Ratio("ixfr", "IXFR, time", ("seconds",), 1.0, "BIND"),
    _Ratio("ixfr", "IXFR, processor time", ("processor_seconds",), 1.0, "BIND"),
    _Ratio("ixfr", "IXFR, many requests", ("requests_seconds",), 1.0, "BIND"),
    _Ratio("import", "import", ("first", "seconds"), 0.8, "PowerDNS"),
    _Ratio("start", "start to serving", ("records", "seconds"), 0.6, "BIND"),
    _Ratio("start", "memory of the answerer", ("records", "largest"), 0.8, "BIND", other=("records", "memory")),
    _Ratio("start", "memory with the keeper", ("records", "memory"), 1.2, "BIND"),
    *(
        _Ratio("edit", f"commit to {name} serving", (f"to {name}", "median"), limit, to)
        for name in ("Knot", "BIND", "NSD")
        for to, limit in (("BIND", 0.7), ("Knot", 3.0))
    ),
)
_SECONDS = (
    ("one CLI edit", OURS, "one", 0.2),
    ("one CLI edit, no server", ALONE, "one", 0.6),
    ("a batch of edits", OURS, "batch", 1.5),
)  # fmt: skip
_P99 = 3.0  # times idle
_GAP = 20.0  # ms


def _value(rows: Sequence[Row], server: str, keys: Sequence[str]) -> float | None:
    """What stands there; None where the server, or this of it, was not measured."""
    found: Any = next((row for row in rows if row["server"] == server), None)
    for key in keys:
        found = found.get(key) if found else None
    return None if found is None else float(found)


def _ratios(parts: Parts) -> Iterator[Aim]:
    for each in _RATIOS:
        rows = parts.get(each.part, ())
        own, other = _value(rows, OURS, each.keys), _value(rows, each.to, each.other or each.keys)
        if own is not None and other:
            yield Aim(each.part, each.what, own / other, each.limit, f"x {each.to}", each.least)


def _latency(parts: Parts) -> Iterator[Aim]:
    rows = parts.get("latency", ())
    idle = _value(rows, OURS, ("idle", "p99"))
    for state in BUSY:
        if (p99 := _value(rows, OURS, (state, "p99"))) is not None and idle:
            yield Aim("latency", f"p99 while {state}", p99 / idle, _P99, "x idle")
        if (gap := _value(rows, OURS, (state, "gap"))) is not None:
            yield Aim("latency", f"longest gap while {state}", gap, _GAP, "ms")


def _edits(parts: Parts) -> Iterator[Aim]:
    for what, server, kind, limit in _SECONDS:
        if (wall := _value(parts.get("edit", ()), server, (kind, "wall"))) is not None:
            yield Aim("edit", what, wall, limit, "s")


def aims(parts: Parts) -> list[Aim]:
    """Those that the rows of these parts tell of, part by part."""
    found = [*_ratios(parts), *_latency(parts), *_edits(parts)]
    places = {name: place for place, name in enumerate(parts)}
    return sorted(found, key=lambda aim: places[aim.part])
