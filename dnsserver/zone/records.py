"""Records as values, and their packed form.

The packed form of records is their uncompressed wire form, one after the other (RFC 1035, 3.2.1: owner, type, class
IN, TTL, RDLENGTH, RDATA). The journal, the link and the control socket carry it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

IN = 1
_HEAD = struct.Struct(">HHIH")


class Record(NamedTuple):
    """One resource record of class IN.

    ``owner``: wire name, in the case as written; ``rdata``: uncompressed wire form; ``ttl``: seconds, below 2^31.
    """

    owner: bytes
    type: int
    ttl: int
    rdata: bytes

    @property
    def wire(self) -> bytes:
        return self.owner + _HEAD.pack(self.type, IN, self.ttl, len(self.rdata)) + self.rdata


def pack(records: Iterable[Record]) -> bytes:
    """The packed form."""
    head = _HEAD.pack
    return b"".join([r.owner + head(r.type, IN, r.ttl, len(r.rdata)) + r.rdata for r in records])


def unpack(packed: bytes) -> Iterator[Record]:
    """The records of a packed form that this program wrote itself (a peer's message is parsed elsewhere)."""
    at, end = 0, len(packed)
    while at < end:
        start = at
        while length := packed[at]:
            at += length + 1
        at += 1
        owner = packed[start:at]
        rtype, _, ttl, size = _HEAD.unpack_from(packed, at)
        at += 10
        yield Record(owner, rtype, ttl, packed[at : at + size])
        at += size


def split(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(owner, all that follows it) of each record of a packed form that this program wrote itself."""
    at, end = 0, len(packed)
    while at < end:
        start = at
        while length := packed[at]:
            at += length + 1
        at += 1
        owner = packed[start:at]
        start = at
        at += 10 + (packed[at + 8] << 8 | packed[at + 9])
        yield owner, packed[start:at]


def soa_serial(rdata: bytes) -> int:
    """The serial of an SOA's rdata: the first of the last five 32-bit numbers (RFC 1035, 3.3.13)."""
    return int.from_bytes(rdata[-20:-16], "big")


def with_serial(rdata: bytes, serial: int) -> bytes:
    """The SOA's rdata with another serial."""
    return rdata[:-20] + serial.to_bytes(4, "big") + rdata[-16:]
