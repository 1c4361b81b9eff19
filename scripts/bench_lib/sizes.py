"""How much is measured: enough to see that a part works, the usual, and all."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Numbers of each part."""

    rounds: int
    some: int  # rounds of what takes long: import, start, edit
    few: int  # of what takes longest: latency, growth, receive
    queries: int  # a round over UDP, and pipelined over TCP
    connections: int  # a round, each for one query
    hot: int  # names of the small zone
    names: int  # of the big one
    zones: int  # of ten records each
    edits: int  # commands, and changes that secondaries are watched for
    batch: int  # records of one transaction
    transactions: int
    changes: int  # of the difference that IXFR transfers
    requests: int  # for it
    transfers: int  # at once
    seconds: float  # that latency is measured in each state
    grown: tuple[int, ...]  # names of the zone, in turn
    zones_grown: tuple[int, ...]
    kinds: tuple[str, ...] = ()  # of queries; all where none is named


QUICK = Size(
    *(1, 1, 1, 2_000, 100, 500, 2_000, 20, 2, 200, 20, 100, 5, 4, 0.5),
    (100, 1_000),
    (2, 20),
)
USUAL = Size(
    *(5, 3, 3, 100_000, 2_000, 10_000, 100_000, 1_000, 10, 10_000, 1_000, 1_000, 100, 20, 5.0),
    (1_000, 10_000, 100_000),
    (10, 100, 1_000),
)
# A million records, on two cores in less than an hour: fewer rounds of what takes long.
FULL = USUAL._replace(
    rounds=3,
    some=2,
    few=1,
    connections=5_000,
    names=1_000_000,
    zones=100_000,
    edits=20,
    requests=1_000,
    seconds=10.0,
    grown=(1_000, 10_000, 100_000, 1_000_000),
    zones_grown=(10, 100, 1_000, 10_000, 100_000),
)
