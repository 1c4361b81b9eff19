"""The currency of change: what was removed and what was added between two versions of a zone.

CLI edit, journal, IXFR out and IXFR in are all changesets; AXFR in and import become one by difference.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dnsserver.zone import names
from dnsserver.zone.records import Record, pack, soa_serial, split, unpack
from dnsserver.zone.rrtypes import SOA

_LENGTH = struct.Struct(">Q")

Identity = tuple[bytes, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Changeset:
    """``removed`` begins with the old SOA, ``added`` with the new one, as an IXFR difference does (RFC 1995, 4)."""

    removed: tuple[Record, ...]
    added: tuple[Record, ...]

    @property
    def from_serial(self) -> int:
        return soa_serial(self.removed[0].rdata)

    @property
    def to_serial(self) -> int:
        return soa_serial(self.added[0].rdata)

    def inverse(self) -> Changeset:
        """What undoes it."""
        return Changeset(self.added, self.removed)

    def encode(self) -> bytes:
        """Length of the packed removed records (8 octets), they, the packed added records."""
        removed = pack(self.removed)
        return _LENGTH.pack(len(removed)) + removed + pack(self.added)

    @classmethod
    def decode(cls, encoded: bytes) -> Changeset:
        removed, added = sides(encoded)
        return cls(tuple(unpack(removed)), tuple(unpack(added)))


class Difference(NamedTuple):
    """A changeset as it is sent: packed records (``zone.records.pack``), and the octets of the largest of them."""

    removed: bytes
    added: bytes
    largest: int

    @classmethod
    def of(cls, chain: Sequence[bytes]) -> Difference | None:
        """Of encoded changesets, at least one: their net effect, as ``condense`` makes it, but the records in the order
        they came. None where they do not follow each other.
        """
        steps = [sides(encoded) for encoded in chain]
        if any(_serial(before[1]) != _serial(after[0]) for before, after in pairwise(steps)):
            return None
        removed, added = steps[0] if len(steps) == 1 else _net(steps)
        largest = max(len(owner) + len(rest) for side in (removed, added) for owner, rest in split(side))
        return cls(removed, added, largest)

    @property
    def size(self) -> int:
        """Octets of all its records."""
        return len(self.removed) + len(self.added)

    @property
    def old_soa(self) -> Record:
        return next(unpack(self.removed))

    @property
    def new_soa(self) -> Record:
        return next(unpack(self.added))


def sides(encoded: bytes) -> tuple[bytes, bytes]:
    """The packed records of an encoded changeset: removed, added."""
    (length,) = _LENGTH.unpack_from(encoded)
    return encoded[8 : 8 + length], encoded[8 + length :]


def _net(steps: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """``condense`` on packed records: in a third of its time, since no record is taken apart."""
    removed: dict[bytes, bytes] = {}
    added: dict[bytes, bytes] = {}
    for gone, come in steps:
        for side, here, there in ((gone, removed, added), (come, added, removed)):
            records = split(side)
            next(records)
            for owner, rest in records:
                # The identity, in octets.
                key = owner.lower() + rest
                if there.pop(key, None) is None:
                    here[key] = owner + rest
    return _soa(steps[0][0]) + b"".join(removed.values()), _soa(steps[-1][1]) + b"".join(added.values())


def _serial(side: bytes) -> int:
    return soa_serial(next(split(side))[1])


def _soa(side: bytes) -> bytes:
    return b"".join(next(split(side)))


def identity(record: Record) -> Identity:
    """What makes two records the same one: the owner without its case, type, TTL and rdata."""
    return (record.owner.lower(), record.type, record.ttl, record.rdata)


def difference(old: Iterable[Record], new: Iterable[Record]) -> Changeset:
    """The changeset from one whole zone to another; both hold exactly one SOA, which is in it even when equal.

    A change of TTL is a removal and an addition. The owner's case alone is no change.
    """
    before = {identity(record): record for record in old}
    after = {identity(record): record for record in new}
    removed = [record for key, record in before.items() if key not in after and record.type != SOA]
    added = [record for key, record in after.items() if key not in before and record.type != SOA]
    old_soa = next(record for record in before.values() if record.type == SOA)
    new_soa = next(record for record in after.values() if record.type == SOA)
    return ordered(old_soa, removed, new_soa, added)


def condense(chain: Sequence[Changeset]) -> Changeset:
    """One changeset with the net effect of a chain, in which each begins where the one before ended (RFC 1995, 5)."""
    removed: dict[Identity, Record] = {}
    added: dict[Identity, Record] = {}
    for step in chain:
        for record in step.removed[1:]:
            if added.pop(identity(record), None) is None:
                removed[identity(record)] = record
        for record in step.added[1:]:
            if removed.pop(identity(record), None) is None:
                added[identity(record)] = record
    return ordered(chain[0].removed[0], removed.values(), chain[-1].added[0], added.values())


def ordered(old_soa: Record, removed: Iterable[Record], new_soa: Record, added: Iterable[Record]) -> Changeset:
    """The changeset of these records, which come in any order, in canonical order of names."""

    def order(record: Record) -> tuple[bytes, int, bytes]:
        return (names.key(record.owner), record.type, record.rdata)

    return Changeset((old_soa, *sorted(removed, key=order)), (new_soa, *sorted(added, key=order)))
