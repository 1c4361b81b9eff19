"""RRsets and nodes in wire form, as an image holds them and an answer sends them.

A *blob* is one RRset: type, covered type (RRSIG only, else 0) and count, two octets each, then its finished records:
owner as the pointer C0 0C (the name in the question), type, class, TTL, RDLENGTH, RDATA uncompressed. The signatures
of each covered type are a blob of their own, since they go where that RRset goes (RFC 4035, 3.1.1).

A *node* is the tuple of blobs of one name, ordered by (type, covered); ``()`` is an empty non-terminal
(RFC 4592, 2.2.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

from dnsserver.zone.records import IN, Record
from dnsserver.zone.rrtypes import NSEC3, RRSIG, SOA

Node = tuple[bytes, ...]
Groups = dict[tuple[int, int], list[tuple[int, bytes]]]

POINTER = b"\xc0\x0c"
_SOA = SOA.to_bytes(2, "big")
HEAD = struct.Struct(">HHH")
HEAD_SIZE = HEAD.size
_KEY = struct.Struct(">HH")
_RR = struct.Struct(">HHHIH")
RR_FIXED = _RR.size  # pointer, type, class, TTL, RDLENGTH
_SINGLE = struct.Struct(">HHHHHHIH")


def covered_type(rtype: int, rdata: bytes) -> int:
    """What an RRSIG signs; 0 for every other type."""
    return int.from_bytes(rdata[:2], "big") if rtype == RRSIG else 0


def make(rtype: int, covered: int, members: list[tuple[int, bytes]]) -> bytes:
    """The blob of these (TTL, rdata)."""
    if len(members) == 1:
        ((ttl, rdata),) = members
        return single_head(rtype, covered, ttl, len(rdata)) + rdata
    pack = _RR.pack
    return HEAD.pack(rtype, covered, len(members)) + b"".join(
        [pack(0xC00C, rtype, IN, ttl, len(rdata)) + rdata for ttl, rdata in members]
    )


@lru_cache(maxsize=1 << 12)
def single_head(rtype: int, covered: int, ttl: int, size: int) -> bytes:
    """What stands before the rdata, of ``size`` octets, in the blob of one record."""
    return _SINGLE.pack(rtype, covered, 1, 0xC00C, rtype, IN, ttl, size)


def key(blob: bytes) -> tuple[int, int]:
    """(type, covered type)."""
    rtype, covered = _KEY.unpack_from(blob)
    return rtype, covered


def count(blob: bytes) -> int:
    """How many records."""
    return blob[4] << 8 | blob[5]


def members(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """(TTL, rdata) of each record."""
    at, end = HEAD_SIZE, len(blob)
    while at < end:
        _, _, _, ttl, size = _RR.unpack_from(blob, at)
        at += RR_FIXED
        yield ttl, blob[at : at + size]
        at += size


def find(node: Node, rtype: int, covered: int = 0) -> bytes | None:
    """The node's blob of a type."""
    prefix = _KEY.pack(rtype, covered)
    for blob in node:
        if blob.startswith(prefix):
            return blob
    return None


def group(found: Iterable[tuple[int, int, bytes]]) -> Groups:
    """The records of one name, as (type, TTL, rdata), by (type, covered), in their order."""
    groups: Groups = {}
    for rtype, ttl, rdata in found:
        groups.setdefault((rtype, covered_type(rtype, rdata)), []).append((ttl, rdata))
    return groups


def node(groups: Groups) -> Node:
    """The node of these groups; empty ones are left out."""
    if len(groups) == 1:
        ((which, found),) = groups.items()
        return (make(*which, found),) if found else ()
    return tuple([make(*which, groups[which]) for which in sorted(groups) if groups[which]])


def ungroup(node: Node) -> Groups:
    """The inverse of ``node``."""
    return {key(blob): list(members(blob)) for blob in node}


def is_nsec3(blob: bytes) -> bool:
    """Whether it is an NSEC3 RRset or its signatures, which stand outside the tree of names (RFC 5155, 7.2.8)."""
    return NSEC3 in key(blob)


def split(node: Node) -> tuple[Node, Node]:
    """What stands in the tree of names, and what is of NSEC3."""
    apart = tuple(filter(is_nsec3, node))
    return (tuple([blob for blob in node if blob not in apart]), apart) if apart else (node, ())


def records(owner: bytes, node: Node) -> Iterator[Record]:
    """The node's records."""
    for blob in node:
        rtype, _ = key(blob)
        for ttl, rdata in members(blob):
            yield Record(owner, rtype, ttl, rdata)


def transferred(node: Node, owner: bytes) -> list[bytes]:
    """The finished records of a node, without the SOA, which begins and ends a transfer."""
    return [record for blob in node if not blob.startswith(_SOA) for record in finished(blob, owner)]


def finished(blob: bytes, owner: bytes) -> list[bytes]:
    """Each record in wire form, its owner written as ``owner``: any octets that are a name where they will stand."""
    if blob[4:6] == b"\x00\x01":
        return [owner + blob[HEAD_SIZE + 2 :]]
    found = []
    at, end = HEAD_SIZE, len(blob)
    while at < end:
        size = RR_FIXED + (blob[at + 10] << 8 | blob[at + 11])
        found.append(owner + blob[at + 2 : at + size])
        at += size
    return found
