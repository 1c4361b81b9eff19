"""A zone's rows as pages: what an image takes in as it is, made where there is time for it.

A page is plain tuples and octets, so that it can be marshalled. Taking one in takes some tens of microseconds, however
large the zone; making one, a microsecond a record where names have one record each, as most have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from operator import add, lt
from typing import Any, NamedTuple

from dnsserver.zone import blob, names
from dnsserver.zone.blob import HEAD_SIZE, POINTER
from dnsserver.zone.blocks import BLOCK_NAMES, Block, chunks_of
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import DNAME, NS, NSEC3, RRSIG, SOA
from dnsserver.zone.shards import Stored

# Canonical key, type, owner where it is not in lower case, TTL, rdata: as the store keeps records.
Row = tuple[bytes, int, bytes | None, int, bytes]

# Names of a page, and octets of rdata of one with several names: so it has some 16 KiB.
PAGE_NAMES = 4 * BLOCK_NAMES
_OCTETS = 8 << 10
# Types that say where a name belongs or what is below it, and those whose RRsets are told apart by more.
_SPECIAL = frozenset({SOA, NS, DNAME, NSEC3, RRSIG})
_APART = frozenset({NSEC3, RRSIG})
_LENGTHS = [bytes((length,)) for length in range(names.MAX_LABEL + 1)]


class Page(NamedTuple):
    """Names that follow each other in canonical order.

    ``names`` and ``nodes``: what stands at each; ``hashed``: the same of owners of NSEC3; ``above``: names over them,
    which are empty non-terminals where nothing stands; ``cuts``: (name, NS or DNAME); ``written``: (name, as it was
    written); ``blocks``: the fields of each ``Block``.
    """

    records: int
    names: tuple[bytes, ...]
    nodes: tuple[Stored, ...]
    hashed: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    above: tuple[bytes, ...]
    cuts: tuple[tuple[bytes, int], ...]
    written: tuple[tuple[bytes, bytes], ...]
    blocks: tuple[Block, ...]

    @property
    def plain(self) -> tuple[Any, ...]:
        """Tuples without names, which marshal takes."""
        return (*self[:-1], tuple(map(tuple, self.blocks)))

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> Page:
        """The inverse of ``plain``."""
        return cls._make((*plain[:-1], tuple([Block(*block) for block in plain[-1]])))


def rows_of(records: Iterable[Record]) -> list[Row]:
    """Records as rows."""
    found: list[Row] = []
    for owner, rtype, ttl, rdata in records:
        name = owner.lower()
        found.append((names.key(name), rtype, None if owner == name else owner, ttl, rdata))
    return found


class _Rows(NamedTuple):
    """Rows by column."""

    keys: tuple[bytes, ...]
    types: tuple[int, ...]
    owners: tuple[bytes | None, ...]
    ttls: tuple[int, ...]
    rdatas: tuple[bytes, ...]

    def part(self, start: int, end: int) -> _Rows:
        return _Rows(
            self.keys[start:end], self.types[start:end], self.owners[start:end], self.ttls[start:end],
            self.rdatas[start:end],
        )  # fmt: skip


class Pager:
    """Rows in canonical order go in (``add``), pages come out; the last ones by ``finish``. Both raise ValueError."""

    __slots__ = ("_apex", "_family", "_key", "_last", "_parent", "_waiting")

    def __init__(self, apex: bytes) -> None:
        self._apex = apex.lower()
        self._key = names.key(apex)
        self._last: bytes | None = None
        self._waiting: Sequence[Row] = ()
        # Mostly names have the parent of those before them: its key, and its name.
        self._family, self._parent = self._key, self._apex

    def add(self, rows: Sequence[Row]) -> Iterator[Page]:
        """The pages that are full with these rows."""
        rows = [*self._waiting, *rows]
        self._waiting = rows
        if len(rows) > PAGE_NAMES:
            columns = _Rows(*zip(*rows, strict=True))
            starts = self._starts(columns.keys)
            # The last name may go on.
            whole = (len(starts) - 1) // PAGE_NAMES * PAGE_NAMES
            if whole:
                self._waiting = rows[starts[whole] :]
                self._last = columns.keys[starts[whole] - 1]
                yield from self._pages(columns, starts[: whole + 1])

    def finish(self) -> Iterator[Page]:
        """What is left."""
        rows, self._waiting = self._waiting, ()
        if rows:
            columns = _Rows(*zip(*rows, strict=True))
            yield from self._pages(columns, [*self._starts(columns.keys), len(rows)])

    def _starts(self, keys: Sequence[bytes]) -> Sequence[int]:
        """Where the rows of each name begin. Raises ValueError."""
        starts: Sequence[int] = range(len(keys))
        is_ordered = all(map(lt, keys, keys[1:]))
        if not is_ordered:
            starts = [0, *[at for at, (one, other) in enumerate(pairwise(keys), 1) if one != other]]
            firsts = [keys[start] for start in starts]
            is_ordered = all(map(lt, firsts, firsts[1:]))
        if not is_ordered or (self._last is not None and keys[0] <= self._last):
            raise ValueError(f"records of {names.to_text(self._apex)} are out of canonical order")
        # What lies between is below the apex, too.
        for key in (keys[0], keys[-1]):
            if not key.startswith(self._key):
                raise ValueError(f"{names.to_text(names.from_key(key))} is not in {names.to_text(self._apex)}")
        return starts

    def _pages(self, rows: _Rows, starts: Sequence[int]) -> Iterator[Page]:
        """``starts``: where the rows of each name begin, and where those of the last one end."""
        for at in range(0, len(starts) - 1, PAGE_NAMES):
            some = starts[at : at + PAGE_NAMES + 1]
            part = rows.part(some[0], some[-1])
            if sum(map(len, part.rdatas)) <= _OCTETS:
                yield self._page(part, some)
            else:
                for few in _cut(rows, some):
                    yield self._page(rows.part(few[0], few[-1]), few)

    def _page(self, rows: _Rows, starts: Sequence[int]) -> Page:
        keys, types, owners, ttls, rdatas = rows
        if len(keys) >= len(starts) or not _SPECIAL.isdisjoint(types):
            return self._mixed_page(rows, [start - starts[0] for start in starts])
        sizes = tuple(map(len, rdatas))
        labels = self._labels(keys)
        if labels and _all_same(types) and _all_same(ttls) and _all_same(sizes) and not any(owners):
            return self._alike_page(labels, blob.single_head(types[0], 0, ttls[0], sizes[0]), rdatas)
        found = self._names(keys, labels)
        nodes = tuple(map(add, map(blob.single_head, types, repeat(0), ttls, sizes), rdatas))
        written: tuple[tuple[bytes, bytes], ...] = ()
        spelled: Sequence[bytes] = found
        if any(owners):
            written = tuple([(name, owner) for name, owner in zip(found, owners, strict=True) if owner])
            spelled = [owner or name for name, owner in zip(found, owners, strict=True)]
        at, size = -len(self._apex), HEAD_SIZE
        finished = [owner[:at] + node[size:] for owner, node in zip(spelled, nodes, strict=True)]
        blocks = _blocks(keys, finished, range(len(keys) + 1))
        return Page(len(keys), tuple(found), nodes, (), self._above(found), (), written, blocks)

    def _alike_page(self, labels: Sequence[bytes], head: bytes, rdatas: Sequence[bytes]) -> Page:
        """Of names with one parent and one record each, which differ in labels and rdata alone: as most of a large
        zone, so that each operation here counts.
        """
        parent, family = self._parent, self._family
        starts = [_LENGTHS[len(label)] + label for label in labels]
        found = tuple([start + parent for start in starts])
        nodes = tuple([head + rdata for rdata in rdatas])
        between = parent[: len(parent) - len(self._apex)] + head[HEAD_SIZE:]
        finished = [start + between + rdata for start, rdata in zip(starts, rdatas, strict=True)]
        blocks = tuple([
            Block.of_family(family, labels[at : at + BLOCK_NAMES], chunks_of(finished[at : at + BLOCK_NAMES]))
            for at in range(0, len(labels), BLOCK_NAMES)
        ])  # fmt: skip
        return Page(len(labels), found, nodes, (), self._above(found[:1]), (), (), blocks)

    def _mixed_page(self, rows: _Rows, starts: Sequence[int]) -> Page:
        """Of names that have several records, or say something of others."""
        types, owners, ttls, rdatas = rows[1:]
        keys = [rows.keys[start] for start in starts[:-1]]
        has_apart, has_dnames = not _APART.isdisjoint(types), DNAME in types
        singles = list(map(add, map(blob.single_head, types, repeat(0), ttls, map(len, rdatas)), rdatas))
        nodes: dict[bytes, Stored] = {}
        hashed: list[tuple[bytes, blob.Node]] = []
        cuts: list[tuple[bytes, int]] = []
        written: list[tuple[bytes, bytes]] = []
        finished: list[bytes] = []
        ends = [0]
        for name, start, end in zip(self._names(keys, self._labels(keys)), starts, starts[1:], strict=False):
            owner = owners[start]
            if owner:
                written.append((name, owner))
            relative = (owner or name)[: len(name) - len(self._apex)]
            if end == start + 1 and types[start] not in _SPECIAL:
                nodes[name] = single = singles[start]
                finished.append(relative + single[HEAD_SIZE:])
                ends.append(len(finished))
                continue
            members = zip(types[start:end], ttls[start:end], rdatas[start:end], strict=True)
            whole = blob.node(blob.group(members))
            finished += blob.transferred(whole, relative + POINTER)
            ends.append(len(finished))
            node, apart = blob.split(whole) if has_apart else (whole, ())
            if apart:
                hashed.append((name, apart))
            if node:
                nodes[name] = node[0] if len(node) == 1 else node
            if name != self._apex and blob.find(node, NS):
                cuts.append((name, NS))
            elif has_dnames and blob.find(node, DNAME):
                cuts.append((name, DNAME))
        return Page(
            len(types), tuple(nodes), tuple(nodes.values()), tuple(hashed), self._above(nodes), tuple(cuts),
            tuple(written), _blocks(keys, finished, ends),
        )  # fmt: skip

    def _labels(self, keys: Sequence[bytes]) -> list[bytes] | None:
        """The first labels of the names of these keys, where all have one parent, which is noted; else None."""
        first = keys[0]
        if first == self._key:
            return None
        at = first.rfind(0, 0, -1) + 1
        family = first[:at]
        joined, labels = b"".join(keys), len(keys) * (family.count(0) + 1)
        if not keys[-1].startswith(family) or joined.count(0) != labels or 1 in joined:
            return None
        if family != self._family:
            self._family, self._parent = family, names.from_key(family)
        # After each family comes a label, whose end is the next 00: what looks alike elsewhere is never met.
        return joined[at:-1].split(b"\x00" + family)

    def _names(self, keys: Sequence[bytes], labels: list[bytes] | None) -> list[bytes]:
        """The names of these keys; ``labels`` as ``_labels`` returned them."""
        if labels:
            parent = self._parent
            return [_LENGTHS[len(label)] + label + parent for label in labels]
        if keys[0] == self._key:
            return [self._apex, *(self._names(keys[1:], self._labels(keys[1:])) if keys[1:] else ())]
        if any(1 in key for key in keys):
            return [names.from_key(key) for key in keys]
        parts = [key[:-1].rpartition(b"\x00") for key in keys]
        parents = {family: names.from_key(family and family + b"\x00") for family in {part[0] for part in parts}}
        return [_LENGTHS[len(label)] + label + parents[family] for family, _, label in parts]

    def _above(self, found: Iterable[bytes]) -> tuple[bytes, ...]:
        """All names over these, within the zone."""
        shortest = len(self._apex)
        above: dict[bytes, None] = {}
        for parent in {name[name[0] + 1 :] for name in found}:
            while len(parent) > shortest and parent not in above:
                above[parent] = None
                parent = parent[parent[0] + 1 :]
        return tuple(above)


def _all_same(column: tuple[int, ...]) -> bool:
    return column.count(column[0]) == len(column)


def _cut(rows: _Rows, starts: Sequence[int]) -> Iterator[Sequence[int]]:
    """Parts that have not too many octets, if they have more than one name; ``rows`` are all that ``starts`` count."""
    at, size = 0, 0
    for number, (start, end) in enumerate(pairwise(starts)):
        own = sum(map(len, rows.rdatas[start:end]))
        if number > at and (size + own > _OCTETS or number - at == BLOCK_NAMES):
            yield starts[at : number + 1]
            at, size = number, 0
        size += own
    yield starts[at:]


def _blocks(keys: Sequence[bytes], records: list[bytes], ends: Sequence[int]) -> tuple[Block, ...]:
    """The blocks of these names; the records of each end where ``ends``, which begins with 0, says."""
    last = len(keys)
    return tuple([
        Block.of(keys[at : at + BLOCK_NAMES], chunks_of(records[ends[at] : ends[min(at + BLOCK_NAMES, last)]]))
        for at in range(0, last, BLOCK_NAMES)
    ])  # fmt: skip
