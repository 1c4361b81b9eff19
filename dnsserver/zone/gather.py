"""A whole zone as it comes in: every record once, within the limits, in less than half the memory of ``Record``s."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from dnsserver.errors import DnsServerError
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset, ordered
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.rdata import type_to_text
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import RRSIG, SOA

_FIRST = struct.Struct(">BIHH")  # the count, then an entry
_ENTRY = struct.Struct(">IHH")  # TTL, type, RDLENGTH; rdata follows
_TTL_SIZE = 4
_CROWD = 64


class TooLarge(DnsServerError):
    """What came is above a limit of LIMITS.md (R22), which the message names."""

    code = "too-large"


class _Crowd:
    """The records of a name that has many: found at once, however many, and counted by RRset."""

    __slots__ = ("entries", "sizes")

    def __init__(self) -> None:
        self.entries: dict[bytes, int] = {}  # type, RDLENGTH and rdata -> TTL
        self.sizes: dict[bytes, int] = {}  # type, and of an RRSIG the covered type -> records

    def add(self, entry: bytes) -> bytes | None:
        """The RRset that has one more now; None where the record is here."""
        key = entry[_TTL_SIZE:]
        if key in self.entries:
            return None
        self.entries[key] = int.from_bytes(entry[:_TTL_SIZE], "big")
        rtype = key[:2]
        rrset = rtype + key[4:6] if rtype == _RRSIG else rtype
        self.sizes[rrset] = self.sizes.get(rrset, 0) + 1
        return rrset


_RRSIG = RRSIG.to_bytes(2, "big")
# Of a name with few records: how many, then their entries one after the other.
_Node = bytes | _Crowd


class Gather:
    """The records of a zone, told apart by owner (without its case), type and rdata. ``apex``: lower-cased.

    ``count`` and ``size`` (octets of wire form) are of what was kept. A name keeps the spelling that came first.
    """

    def __init__(self, apex: bytes, limits: ZoneLimits) -> None:
        self.count = 0
        self.size = 0
        self._apex = apex
        self._limits = limits
        self._nodes: dict[bytes, _Node] = {}
        self._spelled: dict[bytes, bytes] = {}  # names that are not written in lower case
        # From so many records on a name is a crowd: below it no limit can be passed, and a search is short.
        self._few = min(limits.rrset_records, limits.name_types, _CROWD)

    def add(self, records: Iterable[Record]) -> list[Record]:
        """Takes records, in any order; returns those that were not here. Raises TooLarge.

        One that differs in its TTL alone is a duplicate: the first stays (RFC 2181, 5.2 knows no RRset of two TTLs).
        """
        nodes, first, head, few = self._nodes, _FIRST.pack, _ENTRY.pack, self._few
        fresh: list[Record] = []
        size = 0
        for record in records:
            owner, rtype, ttl, rdata = record
            name = owner.lower()
            node = nodes.get(name)
            if node is None:
                nodes[name] = first(1, ttl, rtype, len(rdata)) + rdata
                if name != owner:
                    self._spelled[name] = owner
            else:
                entry = head(ttl, rtype, len(rdata)) + rdata
                if node.__class__ is bytes and node[0] < few and entry[_TTL_SIZE:] not in node:
                    nodes[name] = bytes((node[0] + 1,)) + node[1:] + entry
                elif not self._add_to(name, node, entry):
                    continue
            size += len(owner) + 10 + len(rdata)
            fresh.append(record)
        self.count += len(fresh)
        self.size += size
        limits = self._limits
        if self.count > limits.zone_records:
            raise TooLarge(f"the zone has more than zone-records = {limits.zone_records} records")
        if self.size > limits.zone_size:
            raise TooLarge(f"the zone has more than zone-size = {limits.zone_size} octets")
        return fresh

    def _add_to(self, name: bytes, node: _Node, entry: bytes) -> bool:
        """Adds to a name that may have the record, or has many; whether it was not here."""
        if isinstance(node, bytes):
            entries = list(_entries(node))
            if any(other[_TTL_SIZE:] == entry[_TTL_SIZE:] for other in entries):
                return False
            if node[0] < self._few:
                self._nodes[name] = bytes((node[0] + 1,)) + node[1:] + entry
                return True
            crowd = self._nodes[name] = _Crowd()
            for other in entries:
                crowd.add(other)
            node = crowd
        rrset = node.add(entry)
        if rrset is None:
            return False
        limits, what = self._limits, names.to_text(name)
        if node.sizes[rrset] > limits.rrset_records:
            kind = type_to_text(int.from_bytes(rrset[:2], "big"))
            raise TooLarge(f"{what} {kind} has more than rrset-records = {limits.rrset_records} records")
        if len(node.sizes) > limits.name_types:
            raise TooLarge(f"{what} has more than name-types = {limits.name_types} types")
        return True

    def has(self, record: Record) -> bool:
        """Whether the very record is here, TTL included."""
        name = record.owner.lower()
        return name in self._nodes and any(other[1:] == record[1:] for other in self.at(name))

    def records(self) -> Iterator[Record]:
        """All, in canonical order of names (RFC 4034, 6.1), those of a name by type and rdata."""
        nodes, spelled, first = self._nodes, self._spelled, _FIRST.unpack_from
        for name in sorted(nodes, key=names.key):
            node = nodes[name]
            if isinstance(node, bytes) and node[0] == 1:
                _, ttl, rtype, _ = first(node)
                yield Record(spelled.get(name, name), rtype, ttl, node[_FIRST.size :])
            else:
                yield from self.at(name)

    def difference(self, old: Iterable[Record]) -> Changeset:
        """What leads from the records of the whole ``old`` zone to these; both have one SOA.

        As ``changeset.difference``: another TTL is a removal and an addition. What is equal is let go, so that nothing
        but the changes is left here afterwards.
        """
        new_soa = next(record for record in self.at(self._apex) if record.type == SOA)
        removed: list[Record] = []
        old_soa = new_soa
        for record in old:
            if record.type == SOA:
                old_soa = record
            elif not self._remove(record):
                removed.append(record)
        added = [record for name in self._nodes for record in self.at(name) if record.type != SOA]
        return ordered(old_soa, removed, new_soa, added)

    def at(self, name: bytes) -> list[Record]:
        """The records of a name that is here, by type and rdata."""
        node, owner = self._nodes[name], self._spelled.get(name, name)
        if isinstance(node, bytes):
            entries: Iterable[bytes] = _entries(node)
        else:
            entries = [ttl.to_bytes(_TTL_SIZE, "big") + key for key, ttl in node.entries.items()]
        found = []
        for entry in entries:
            ttl, rtype, _ = _ENTRY.unpack_from(entry)
            found.append(Record(owner, rtype, ttl, entry[_ENTRY.size :]))
        if len(found) > 1:
            found.sort(key=_place)
        return found

    def _remove(self, record: Record) -> bool:
        """Takes the very record away, TTL included; whether it was here."""
        owner, rtype, ttl, rdata = record
        name = owner.lower()
        node = self._nodes.get(name)
        entry = _ENTRY.pack(ttl, rtype, len(rdata)) + rdata
        if isinstance(node, _Crowd):
            if node.entries.get(entry[_TTL_SIZE:]) != ttl:
                return False
            del node.entries[entry[_TTL_SIZE:]]
            return True
        if node is None or entry not in node:
            return False
        if node.startswith(entry, 1):
            at = 1
        else:
            entries = list(_entries(node))
            if entry not in entries:
                return False
            at = 1 + sum(map(len, entries[: entries.index(entry)]))
        if node[0] == 1:
            del self._nodes[name]
        else:
            self._nodes[name] = bytes((node[0] - 1,)) + node[1:at] + node[at + len(entry) :]
        return True


def _entries(node: bytes) -> Iterator[bytes]:
    at = 1
    while at < len(node):
        size = int.from_bytes(node[at + 6 : at + 8], "big")
        yield node[at : at + _ENTRY.size + size]
        at += _ENTRY.size + size


def _place(record: Record) -> tuple[int, bytes]:
    return (record.type, record.rdata)
