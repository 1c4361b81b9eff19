"""A change of an image: prepared aside, in slices, while the image is answered from; then published in one stretch.

The octets of a changed name are found in its block, and others put there: to render a block of 32 names anew for one
of them takes ten times as long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dnsserver.errors import DnsServerError
from dnsserver.zone import blob, names
from dnsserver.zone.blob import POINTER, Node
from dnsserver.zone.blocks import BLOCK_NAMES, CHUNK_SIZE, Block, Blocks, render_block, split
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import DNAME, NS, SOA

if TYPE_CHECKING:
    from dnsserver.zone.image import Image

# Records or names of one slice.
_SLICE = 32
# Changed names of one block that are put into it one by one; and blocks that are replaced one by one, where else the
# list of all blocks is made anew, aside.
_FEW = 8
# Types that say something of other names, or of the zone.
_PLACED = frozenset({SOA, NS, DNAME})


class DoesNotApply(DnsServerError):
    """A changeset that is not for this image: it removes what is not there, or adds what is."""

    code = "does-not-apply"


# What will stand at a name; the octets of its finished records in a transfer, before and after, and how many more they
# are. No class of its own: tuples of bytes are nothing to the garbage collector, whose pause would be the longest.
_Changed = tuple[Node, bytes, bytes, int]


class Patching:
    """One change of one image, which nothing else may change meanwhile: ``prepare`` to its end, then ``publish``.

    The records are a changeset's, taken as they are needed.
    """

    def __init__(self, image: Image, removed: Iterable[Record], added: Iterable[Record]) -> None:
        self._image = image
        self._sides = ((removed, False), (added, True))
        self._grown = 0
        self._groups: dict[bytes, blob.Groups] = {}
        self._owners: dict[bytes, bytes] = {}
        self._changed: dict[bytes, _Changed] = {}
        # What is left to ``publish``: names that say nothing of others, those that do, and those that go.
        self._plain: dict[bytes, bytes | Node] = {}
        self._placed: list[bytes] = []
        self._leaves: list[bytes] = []
        self._maybe_empty: set[bytes] = set()
        self._others: dict[int, list[Block]] = {}
        self._blocks: Blocks | None = None

    def prepare(self) -> Iterator[None]:
        """In slices of less than a millisecond; the image is not touched. Raises DoesNotApply."""
        yield from self._gather()
        yield from self._make_nodes()
        yield from self._make_blocks()
        for number, name in enumerate(self._changed, 1):
            self._sort_out(name)
            if not number % _SLICE:
                yield

    def publish(self, version: int) -> None:
        """The image becomes this version."""
        image = self._image
        image._nodes.put_all(tuple(self._plain), tuple(self._plain.values()))
        for name in self._leaves:
            image._nodes.discard(name)
        for name in self._placed:
            self._place(name)
        if self._blocks is not None:
            image._blocks = self._blocks
        else:
            image._blocks.replace(self._others)
        for name in self._maybe_empty:
            image._drop_empty(name)
        image._keep_chain(self._changed)
        image._take_apex()
        image._show()
        image.record_count += self._grown
        image.version = version

    # What stands at each name

    def _gather(self) -> Iterator[None]:
        for records, is_added in self._sides:
            number = 0
            for number, record in enumerate(records, 1):
                self._take(record, is_added)
                if not number % _SLICE:
                    yield
            self._grown += number if is_added else -number

    def _take(self, record: Record, is_added: bool) -> None:
        owner, rtype, ttl, rdata = record
        name = owner.lower()
        groups = self._groups.get(name)
        if groups is None:
            image = self._image
            if not names.is_within(name, image.apex):
                raise DoesNotApply(f"{names.to_text(owner)} is not in {names.to_text(image.apex)}")
            groups = self._groups[name] = blob.ungroup(image._whole(name))
            # A name keeps its spelling for as long as it holds records.
            self._owners[name] = image.owner(name) if groups else owner
        members = groups.setdefault((rtype, blob.covered_type(rtype, rdata)), [])
        if ((ttl, rdata) in members) == is_added:
            word, what = ("adds", "is there") if is_added else ("removes", "is not there")
            raise DoesNotApply(f"it {word} a record of type {rtype} at {names.to_text(owner)} that {what}")
        if is_added:
            members.append((ttl, rdata))
        else:
            members.remove((ttl, rdata))

    def _make_nodes(self) -> Iterator[None]:
        image = self._image
        apex = self._groups.get(image.apex)
        if apex is not None and len(apex.get((SOA, 0), ())) != 1:
            raise DoesNotApply(f"{names.to_text(image.apex)} would not have exactly one SOA")
        while self._groups:
            name, groups = self._groups.popitem()
            node = blob.node(groups)
            before, after = self._finished(name, image._whole(name)), self._finished(name, node)
            self._changed[name] = node, b"".join(before), b"".join(after), len(after) - len(before)
            if not len(self._groups) % _SLICE:
                yield

    def _finished(self, name: bytes, node: Node) -> list[bytes]:
        return blob.transferred(node, self._owners[name][: len(name) - len(self._image.apex)] + POINTER)

    def _sort_out(self, name: bytes) -> None:
        """Most names are put or taken away, and that is all; the others are ``placed``."""
        image, node = self._image, self._changed[name][0]
        tree, hashed = blob.split(node)
        is_known = image._says_more(name)
        says_more = hashed or self._owners[name] != name or any(blob.key(rrset)[0] in _PLACED for rrset in tree)
        parent = names.parent(name) if name != image.apex else name
        if tree and not (is_known or says_more) and parent in image._nodes:
            self._plain[name] = tree[0] if len(tree) == 1 else tree
        elif node or is_known or name == image.apex or name in self._maybe_empty:
            self._placed.append(name)
            self._maybe_empty.add(name)
        else:
            self._leaves.append(name)
            self._maybe_empty.add(parent)

    def _place(self, name: bytes) -> None:
        image, node = self._image, self._changed[name][0]
        image._place(name, node)
        if image._nodes.get(name):
            image._add_parents(name)
        image._written.pop(name, None)
        if node and self._owners[name] != name:
            image._written[name] = self._owners[name]

    # Their blocks

    def _make_blocks(self) -> Iterator[None]:
        blocks = self._image._blocks
        touched: dict[int, dict[bytes, bytes]] = {}
        for number, (name, (node, before, after, _)) in enumerate(self._changed.items(), 1):
            # Every change has a new SOA, which is not in the blocks: the apex's is left alone where that is all.
            if before != after or not node:
                key = names.key(name)
                touched.setdefault(blocks.index(key), {})[key] = name
            if not number % _SLICE:
                yield
        # From the last block to the first: what follows a block is as it will be.
        following: dict[int, bytes | None] = {}
        for index in sorted(touched, reverse=True):
            old, changed = blocks.at(index), touched[index]
            behind = following.get(index + 1, blocks.first(index + 1))
            self._others[index] = made = []
            for block in self._made(old, changed, behind):
                made.append(block)
                yield
            following[index] = made[0].first if made else behind
        if len(self._others) > _FEW:
            for number, made_so_far in enumerate(blocks.with_others(self._others), 1):
                self._blocks = made_so_far
                if not number % _SLICE:
                    yield

    def _made(self, old: Block | None, changed: dict[bytes, bytes], behind: bytes | None) -> Iterator[Block]:
        """The blocks that take the place of one, in which what stands at these keys (and names) changes; ``behind``:
        the key that follows it.
        """
        kept = None
        if old is None or not self._all_stay(changed):
            kept = self._kept([] if old is None else old.keys, changed, behind)
        spliced = None if old is None else self._spliced(old, kept, changed)
        if spliced is not None:
            yield spliced
            return
        if kept is None:
            kept = [] if old is None else old.keys
        for part in split(kept):
            yield render_block(part, lambda key: self._rendered(key, changed))

    def _all_stay(self, changed: dict[bytes, bytes]) -> bool:
        """Whether each of these names had records in the blocks, and will have."""
        return all(before and after for _, before, after, _ in map(self._changed.__getitem__, changed.values()))

    def _kept(self, keys: list[bytes], changed: dict[bytes, bytes], behind: bytes | None) -> list[bytes]:
        """The keys that will be there, in order; names that go but have others below them are noted."""
        gone = [key for key, name in changed.items() if not self._changed[name][0]]
        kept = sorted(set(keys).union(changed).difference(gone))
        for key in gone:
            at = bisect_left(kept, key)
            following = kept[at] if at < len(kept) else behind
            if following is not None and following.startswith(key):
                self._maybe_empty.add(changed[key])
        return kept

    def _rendered(self, key: bytes, changed: dict[bytes, bytes]) -> list[bytes]:
        name = changed.get(key)
        return self._image._render(key) if name is None else self._finished(name, self._changed[name][0])

    def _spliced(self, old: Block, kept: list[bytes] | None, changed: dict[bytes, bytes]) -> Block | None:
        """The block with some octets changed; None: it has to be rendered. ``kept``: its keys, None where all stay."""
        if len(changed) > _FEW or len(old.chunks) != 1 or (kept is not None and not 0 < len(kept) <= BLOCK_NAMES):
            return None
        ((count, octets),) = old.chunks
        # From the last key to the first: what follows a key is as it will be.
        for key in sorted(changed, reverse=True):
            _, before, after, more = self._changed[changed[key]]
            if before:
                at = _sole(octets, before)
            elif changed[key] == self._image.apex:
                at = -1  # there before, with nothing but the SOA
            elif kept is None or key == kept[-1]:
                at = len(octets)
            else:
                at = _sole(octets, b"".join(self._rendered(kept[bisect_left(kept, key) + 1], changed)))
            if at < 0:
                return None
            octets = octets[:at] + after + octets[at + len(before) :]
            count += more
        if not 0 < len(octets) <= CHUNK_SIZE:
            return None
        chunks = ((count, octets),)
        return Block(old.prefix, old.packed, chunks) if kept is None else Block.of(kept, chunks)


def _sole(octets: bytes, part: bytes) -> int:
    """Where a part stands that is there; -1 where it is in two places, since rdata may look like a record."""
    at = octets.find(part) if part else -1
    return at if octets.rfind(part) == at else -1
