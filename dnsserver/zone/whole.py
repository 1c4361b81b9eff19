"""A whole zone in canonical order (RFC 4034, 6.1), its keys at hand: what is checked, compared and written in bulk."""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress, count, islice
from operator import eq, le, ne

from dnsserver.zone import names
from dnsserver.zone.records import Record, pack


@dataclass(frozen=True, slots=True)
class Whole:
    """Records in canonical order of their owners, and the canonical key of each one's owner."""

    keys: list[bytes]
    records: list[Record]

    def at(self, name: bytes) -> list[Record]:
        """The records of a name."""
        key = names.key(name)
        first = end = bisect_left(self.keys, key)
        while end < len(self.keys) and self.keys[end] == key:
            end += 1
        return self.records[first:end]

    def starts(self) -> list[int]:
        """The index of each name's first record, in order; after them, how many records there are."""
        keys = self.keys
        return [*([0] if keys else []), *compress(count(1), map(ne, keys, islice(keys, 1, None))), len(keys)]

    def crowded(self) -> list[int]:
        """The indexes of records whose owner is the next one's, too."""
        return list(compress(count(), map(eq, self.keys, islice(self.keys, 1, None))))

    def pack(self) -> bytes:
        """The packed form of its records."""
        return pack(self.records)


@contextmanager
def uncollected() -> Iterator[None]:
    """Meanwhile no cyclic collection: it would look at each of a million tuples again and again, and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def arranged(records: Sequence[Record], keys: list[bytes] | None = None) -> Whole:
    """Records in canonical order; those of one name stay in the order in which they came.

    ``keys``: the canonical key of each one's owner, where they are known.
    """
    if keys is None:
        keys = names.keys([record[0] for record in records])
    if all(map(le, keys, islice(keys, 1, None))):
        return Whole(keys, list(records))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return Whole([keys[at] for at in order], [records[at] for at in order])
