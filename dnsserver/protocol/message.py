"""Writing answers: header, question as sent, sections, OPT; with name compression where it pays."""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnsserver.protocol import edns
from dnsserver.protocol.query import HEADER, OPCODE, QR, RD, TC, Malformed, Query
from dnsserver.protocol.server import Body
from dnsserver.zone import blob
from dnsserver.zone.records import IN
from dnsserver.zone.rrtypes import CNAME, MX, NS, PTR, SOA

_RR = struct.Struct(">HHIH")
_POINTERS_END = 0x4000
# RFC 1035, 4.1.4 lets pointers lead to pointers without end; readers do not follow so many (Go's 10, dnspython 16).
_MOST_POINTERS = 8
# Octets of rdata before a name that may be compressed (RFC 3597, 4: those of RFC 1035 alone).
_NAME_AFTER = {NS: 0, CNAME: 0, PTR: 0, MX: 2}


class RRset(NamedTuple):
    """One to be sent. ``owner`` in wire form; ``rrset`` and ``signatures`` blobs; ``ttl``: at most this.

    ``needed``: where it does not fit, the answer is truncated (RFC 2181, 9; in-domain glue: RFC 9471, 3.1).
    """

    owner: bytes
    rrset: bytes
    signatures: bytes | None = None
    ttl: int | None = None
    needed: bool = True


class Sections(NamedTuple):
    """What is to be sent, before it is written."""

    answer: list[RRset]
    authority: list[RRset]
    additional: list[RRset]


def write_body(sections: Sections, rcode: int, flags: int, known: bytes, known_at: int, start: int, limit: int) -> Body:
    """Writes whole RRsets, each with its signatures, until one does not fit; then TC (RFC 2181, 9).

    ``known``: a name that stands in the question at ``known_at``, to point at; ``start``: where the body begins in the
    message; ``limit``: where it must end.
    """
    writer = _Writer(known.lower(), known_at, start, limit)
    counts = [0, 0, 0]
    for index, section in enumerate(sections):
        for item in section:
            written = writer.write(item)
            counts[index] += written
            if not written and item.needed:
                return _body(writer, rcode, flags | TC, counts)
    return _body(writer, rcode, flags, counts)


def _body(writer: _Writer, rcode: int, flags: int, counts: list[int]) -> Body:
    return Body(rcode, flags, counts[0], counts[1], counts[2], bytes(writer.octets), tuple(writer.pointers))


class _Writer:
    __slots__ = ("_limit", "_names", "_start", "octets", "pointers")

    def __init__(self, known: bytes, known_at: int, start: int, limit: int) -> None:
        self.octets = bytearray()
        self.pointers: list[int] = []
        self._start = start
        self._limit = limit - start
        # Where a name stands, and how many pointers who reads it there follows.
        self._names: dict[bytes, tuple[int, int]] = {}
        at = 0
        while known[at]:
            self._names[known[at:]] = known_at + at, 0
            at += known[at] + 1

    def write(self, item: RRset) -> int:
        """Writes all of it or nothing; how many records."""
        mark = len(self.octets)
        count = self._write_blob(item, item.rrset)
        if item.signatures is not None:
            count += self._write_blob(item, item.signatures)
        if len(self.octets) <= self._limit:
            return count
        del self.octets[mark:]
        self.pointers = [at for at in self.pointers if at < mark]
        self._names = {name: place for name, place in self._names.items() if place[0] < self._start + mark}
        return 0

    def _write_blob(self, item: RRset, rrset: bytes) -> int:
        octets = self.octets
        rtype, _ = blob.key(rrset)
        for ttl, rdata in blob.members(rrset):
            self._write_name(item.owner)
            octets += _RR.pack(rtype, IN, ttl if item.ttl is None else min(ttl, item.ttl), len(rdata))
            at = len(octets)
            if rtype == SOA:
                self._write_names(rdata[:-20])
                octets += rdata[-20:]
            elif rtype in _NAME_AFTER:
                before = _NAME_AFTER[rtype]
                octets += rdata[:before]
                self._write_name(rdata[before:])
            else:
                octets += rdata
                continue
            octets[at - 2 : at] = (len(octets) - at).to_bytes(2, "big")
        return blob.count(rrset)

    def _write_names(self, names: bytes) -> None:
        start = at = 0
        while at < len(names):
            if length := names[at]:
                at += length + 1
                continue
            at += 1
            self._write_name(names[start:at])
            start = at

    def _write_name(self, name: bytes) -> None:
        octets, known = self.octets, self._names
        lowered = name.lower()
        fresh: list[tuple[bytes, int]] = []
        at = pointers = 0
        while length := name[at]:
            suffix = lowered[at:]
            target = known.get(suffix)
            if target is not None and target[1] < _MOST_POINTERS:
                self.pointers.append(len(octets))
                octets += (0xC000 | target[0]).to_bytes(2, "big")
                pointers = target[1] + 1
                break
            here = self._start + len(octets)
            if here < _POINTERS_END:
                fresh.append((suffix, here))
            octets += name[at : at + length + 1]
            at += length + 1
        else:
            octets.append(0)
        for suffix, here in fresh:
            known[suffix] = here, pointers


def render(request: Query | Malformed, body: Body, payload: int, options: bytes = b"") -> bytes:
    """The whole answer, unsigned. RD is copied, RA, AD and CD are clear (RFC 4035, 3.1.6).

    An OPT record goes only to a request that had one (RFC 6891, 7); ``payload`` is the size it advertises.
    """
    opt = b""
    if request.edns is not None:
        if options or body.rcode > 15:
            opt = edns.opt(payload, body.rcode, request.edns.do, options)
        else:
            opt = edns.plain_opt(payload, request.edns.do)
    flags = QR | request.flags & (OPCODE | RD) | body.flags | body.rcode & 0xF
    header = HEADER.pack(
        request.id, flags, 1 if request.question else 0, body.answers, body.authorities, body.additionals + bool(opt)
    )
    return header + request.question + body.octets + opt


def error(
    request: Query | Malformed, rcode: int, ede: int | None = None, text: str = "", *,
    payload: int = 1232, options: bytes = b"",
) -> bytes:  # fmt: skip
    """An answer of an RCODE alone, with an extended error (RFC 8914) where the request had an OPT record."""
    if ede is not None:
        options += edns.extended_error(ede, text)
    return render(request, Body(rcode, 0, 0, 0, 0, b""), payload, options)


def header_only(packet: bytes, rcode: int) -> bytes:
    """An answer to what was not read beyond its header: the ID, opcode and RD (RFC 8906, 8.1.4)."""
    ident, flags, *_ = HEADER.unpack_from(packet)
    return HEADER.pack(ident, QR | flags & (OPCODE | RD) | rcode, 0, 0, 0, 0)
