"""A zone in memory, in wire form: what stands at each name, and the whole of it in order.

An image is one version of a zone's contents. It changes in one stretch, between two packets (``patching``); who needs
a version that stays (a transfer) takes ``blocks()``. Each name keeps one spelling, that of its first record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain

from dnsserver.zone import blob, names, nsec3
from dnsserver.zone.blob import POINTER, Node
from dnsserver.zone.blocks import Block, Blocks
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.pages import Page, Pager, rows_of
from dnsserver.zone.patching import DoesNotApply, Patching
from dnsserver.zone.records import Record, soa_serial
from dnsserver.zone.rrtypes import DNAME, NS, NSEC, NSEC3, NSEC3PARAM, SOA
from dnsserver.zone.shards import Shards

__all__ = ["Block", "Denial", "DoesNotApply", "Image", "Node"]


class Denial(Enum):
    """What a zone proves absence with."""

    NONE = "none"
    NSEC = "nsec"
    NSEC3 = "nsec3"


class Image:
    """One version of a zone. ``record_count`` counts the SOA once; all names given to it are lower-cased.

    ``shards`` and ``mask``: what ``node`` looks into (``shards.Shards``), for who has no time to call it; ``cuts``: the
    type, NS or DNAME, of every cut, which ``cut`` looks into.
    """

    __slots__ = (
        "_blocks", "_hashed", "_nodes", "_written",
        "apex", "chain", "cuts", "denial", "mask", "record_count", "shards", "soa", "version",
    )  # fmt: skip

    def __init__(self, apex: bytes, version: int) -> None:
        self.apex = apex
        self.version = version
        self.soa: Record
        self.record_count = 0
        self.denial = Denial.NONE
        self.chain: nsec3.Chain | None = None
        self._nodes = Shards()
        self._nodes.put(apex, ())
        self._hashed = Shards()  # NSEC3 RRsets by owner: not names of the tree (RFC 5155, 7.2.8)
        self._show()
        self.cuts: dict[bytes, int] = {}
        self._written: dict[bytes, bytes] = {}  # owners whose case is not lower
        self._blocks = Blocks()

    @classmethod
    def build(cls, apex: bytes, version: int, records: Iterable[Record]) -> Image:
        """The image of records in canonical order of their owners. Raises ValueError: out of order, no single SOA."""
        builder, pager = Builder(apex, version), Pager(apex)
        for page in chain(pager.add(rows_of(records)), pager.finish()):
            builder.add(page)
        return builder.finish()

    @property
    def serial(self) -> int:
        return soa_serial(self.soa.rdata)

    @property
    def wire_size(self) -> int:
        """Octets of a transfer's records, about."""
        return self._blocks.wire_size + 2 * (len(self.soa.rdata) + 12)

    @property
    def largest_chunk(self) -> int:
        """Octets of the largest chunk of its blocks, or more: one that went may have been larger."""
        return self._blocks.largest

    # What stands where

    def node(self, name: bytes) -> Node | None:
        """What stands at a name; ``()`` an empty non-terminal; None: no such name. NSEC3 owners are no names."""
        found = self.shards[hash(name) & self.mask].get(name)
        return (found,) if isinstance(found, bytes) else found

    def nsec3_node(self, label: bytes) -> Node:
        """The NSEC3 RRset and its signatures at the owner with this first label."""
        return self._hashed.get(b"\x20" + label + self.apex) or ()

    def cut(self, name: bytes) -> tuple[bytes, int] | None:
        """The topmost cut that a name of this zone is subject to, and its type.

        NS at or above the name, below the apex (RFC 1034, 4.3.2, 3b); DNAME above the name (RFC 6672, 3.2).
        """
        cuts = self.cuts
        if not cuts:
            return None
        found = None
        shortest = len(self.apex)
        current = name
        while True:
            rtype = cuts.get(current)
            if rtype is not None and (rtype == NS or current is not name):
                found = (current, rtype)
            if len(current) <= shortest:
                return found
            current = current[current[0] + 1 :]

    def before(self, key: bytes) -> bytes | None:
        """The greatest canonical key below ``key`` of a name that holds records."""
        return self._blocks.before(key)

    def predecessor(self, name: bytes) -> bytes | None:
        """The greatest name in canonical order that is before ``name`` and holds records."""
        before = self._blocks.before(names.key(name))
        return None if before is None else names.from_key(before)

    def nsec_covering(self, name: bytes) -> bytes | None:
        """The NSEC owner at or before a name: glue and what stands below a cut have none (RFC 4035, 2.3)."""
        at: bytes | None = name
        while at is not None:
            node = self._nodes.get(at)
            if node and blob.find(node, NSEC):
                return at
            at = self.predecessor(at)
        return None

    # The whole, in order

    def blocks(self) -> tuple[Block, ...]:
        """An immutable snapshot for transfers; the SOA is not in it."""
        return self._blocks.snapshot()

    def parts(self) -> list[object]:
        """What it is made of, in parts of which each takes less than a millisecond to be let go."""
        return [*self._nodes.shards, *self._hashed.shards, *self._blocks.parts()]

    def owner(self, name: bytes) -> bytes:
        """The name as it was written."""
        return self._written.get(name, name)

    def records_at(self, name: bytes) -> list[Record]:
        """The records of one name, NSEC3 included."""
        return list(blob.records(self.owner(name), self._whole(name)))

    def records(self) -> Iterator[Record]:
        """All records in canonical order of their owners, then by type."""
        for key in self._blocks:
            yield from self.records_at(names.from_key(key))

    def apply(self, changeset: Changeset, version: int) -> None:
        """Becomes the next version; all or nothing. Raises DoesNotApply."""
        patching = Patching(self, changeset.removed, changeset.added)
        for _ in patching.prepare():
            pass
        patching.publish(version)

    # Inside

    def _whole(self, name: bytes) -> Node:
        node = self._nodes.get(name) or ()
        hashed = self._hashed.get(name)
        return tuple(sorted(node + hashed, key=blob.key)) if hashed else node

    def _render(self, key: bytes) -> list[bytes]:
        name = names.from_key(key)
        return blob.transferred(self._whole(name), self.owner(name)[: len(name) - len(self.apex)] + POINTER)

    def _says_more(self, name: bytes) -> bool:
        """Whether more is known of a name than what ``node`` gives."""
        return name in self.cuts or name in self._hashed or name in self._written

    def _place(self, name: bytes, node: Node) -> None:
        """Puts the whole node of a name where it belongs; does not look at parents."""
        node, hashed = blob.split(node)
        if hashed:
            self._hashed.put(name, hashed)
        else:
            self._hashed.discard(name)
        if node or (name in self._nodes and name != self.apex):
            self._nodes.put(name, node)
        types = {blob.key(rrset)[0] for rrset in node}
        if NS in types and name != self.apex:
            self.cuts[name] = NS
        elif DNAME in types:
            self.cuts[name] = DNAME
        else:
            self.cuts.pop(name, None)

    def _add_parents(self, name: bytes) -> None:
        """Empty non-terminals exist (RFC 4592, 2.2.2)."""
        while len(name) > len(self.apex):
            name = names.parent(name)
            if not self._nodes.add_empty(name):
                return

    def _drop_empty(self, name: bytes) -> None:
        """Takes away empty nodes that nothing stands below any more, from ``name`` upwards."""
        while len(name) > len(self.apex) and self._nodes.get(name) == () and not self._has_names_below(name):
            self._nodes.discard(name)
            name = names.parent(name)

    def _has_names_below(self, name: bytes) -> bool:
        return self._blocks.has_below(names.key(name))

    def _take_apex(self) -> None:
        """Derives from the apex what the whole zone goes by."""
        node = self._nodes.get(self.apex) or ()
        ((ttl, rdata),) = blob.members(blob.find(node, SOA) or b"")
        self.soa = Record(self.owner(self.apex), SOA, ttl, rdata)
        params = blob.find(node, NSEC3PARAM)
        usable = [nsec3.Param.usable(rdata) for _, rdata in blob.members(params)] if params else ()
        # Each names a whole chain (RFC 5155, 4): of several, the cheapest.
        param = min([found for found in usable if found is not None], default=None)
        if param is None:
            self.chain = None
        elif self.chain is None or self.chain.param != param:
            self.chain = nsec3.Chain(param, [name[1:33] for name in self._hashed if self._is_in_chain(name, param)])
        if self.chain:
            self.denial = Denial.NSEC3
        else:
            self.denial = Denial.NSEC if blob.find(node, NSEC) else Denial.NONE

    def _is_in_chain(self, name: bytes, param: nsec3.Param) -> bool:
        """Whether an NSEC3 of this chain stands here: there may be others, being built or taken down (RFC 5155, 10)."""
        rrset = blob.find(self._hashed.get(name) or (), NSEC3)
        if rrset is None or name[0] != 32 or name[33:] != self.apex:
            return False
        return any(nsec3.Param.of(rdata) == param for _, rdata in blob.members(rrset))

    def _show(self) -> None:
        """The dictionaries may be others, once there are many names."""
        self.shards, self.mask = self._nodes.shards, self._nodes.mask

    def _keep_chain(self, changed: Iterable[bytes]) -> None:
        if self.chain is None:
            return
        for name in changed:
            if self._is_in_chain(name, self.chain.param):
                self.chain.add(name[1:33])
            elif name[0] == 32 and name[33:] == self.apex:
                self.chain.discard(name[1:33])


class Builder:
    """Makes an image of pages (``pages.Pager``), one by one, then ``finish``."""

    __slots__ = ("_image",)

    def __init__(self, apex: bytes, version: int) -> None:
        self._image = Image(apex.lower(), version)

    def parts(self) -> list[object]:
        """As ``Image.parts``, of what is there so far."""
        return self._image.parts()

    def add(self, page: Page) -> None:
        """Takes the page that follows in canonical order."""
        image = self._image
        image._nodes.put_all(page.names, page.nodes)
        for name, node in page.hashed:
            image._hashed.put(name, node)
        for name in page.above:
            image._nodes.add_empty(name)
        image.cuts.update(page.cuts)
        image._written.update(page.written)
        for block in page.blocks:
            image._blocks.append(block)
        image.record_count += page.records

    def finish(self) -> Image:
        """The image. Raises ValueError where the apex has not exactly one SOA."""
        image = self._image
        image._show()
        soa = blob.find(image.node(image.apex) or (), SOA)
        if soa is None or blob.count(soa) != 1:
            raise ValueError(f"{names.to_text(image.apex)} has not exactly one SOA")
        image._take_apex()
        return image
