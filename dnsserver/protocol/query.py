"""Reading a request, by hand and in bounded time: header counts are checked before anything is parsed."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from dnsserver.zone.records import soa_serial
from dnsserver.zone.rrtypes import IXFR, OPT, SOA, TSIG

HEADER = struct.Struct(">HHHHHH")
HEADER_SIZE = HEADER.size
_TWO = struct.Struct(">HH")
_RR = struct.Struct(">HHIH")
_SMALLEST_RECORD = 11  # the root, type, class, TTL, RDLENGTH
# A name has at most 127 labels; pointers that lead to pointers would make work that the message's size does not bound.
_MOST_POINTERS = 127

QR = 0x8000
OPCODE = 0x7800
AA = 0x0400
TC = 0x0200
RD = 0x0100
DO = 0x8000  # in the flags of an OPT record


class Opcode(IntEnum):
    """Those that are understood (IANA)."""

    QUERY = 0
    NOTIFY = 4
    UPDATE = 5


class Rcode(IntEnum):
    """RFC 6895, 2.3; BADVERS and BADCOOKIE are extended ones."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    NOTAUTH = 9
    BADVERS = 16
    BADCOOKIE = 23


class Edns(NamedTuple):
    """An OPT record (RFC 6891, 6.1): ``size`` the sender's UDP payload as sent, ``options`` (code, octets) in order."""

    size: int
    version: int
    do: bool
    options: tuple[tuple[int, bytes], ...]


class RawRecord(NamedTuple):
    """A record as sent: the owner decompressed, the rdata as it stands in the message (it may hold pointers)."""

    owner: bytes
    type: int
    rclass: int
    ttl: int
    rdata: bytes


class Query(NamedTuple):
    """A well-formed request of any opcode.

    ``name`` is ``qname`` in lower case, ``question`` the question's octets as sent; both are empty, and ``qtype`` 0, in
    a request without a question (RFC 7873, 5.4). ``tsig_at`` is the offset of the TSIG record, which is the last.
    ``answer`` and ``authority`` are empty but in NOTIFY, UPDATE (prerequisites and updates) and IXFR.
    """

    id: int
    flags: int
    opcode: int
    rd: bool
    qname: bytes
    name: bytes
    qtype: int
    qclass: int
    question: bytes
    edns: Edns | None
    tsig_at: int | None
    answer: tuple[RawRecord, ...]
    authority: tuple[RawRecord, ...]

    @property
    def ixfr_serial(self) -> int | None:
        """The serial the client has, from the SOA in the authority section (RFC 1995, 3)."""
        for record in self.authority:
            if record.type == SOA and len(record.rdata) >= 22:
                return soa_serial(record.rdata)
        return None


class Malformed(NamedTuple):
    """A request that cannot be understood; ``question`` and ``edns`` as far as they could be read."""

    id: int
    flags: int
    rcode: Rcode
    reason: str
    question: bytes = b""
    edns: Edns | None = None


class _Broken(Exception):
    pass


def parse(packet: bytes) -> Query | Malformed:
    """Reads a request with QR=0 of opcode QUERY, NOTIFY or UPDATE and at least a whole header."""
    if len(packet) < HEADER_SIZE:
        return Malformed(0, 0, Rcode.FORMERR, "shorter than a header")
    reader = _Reader(packet)
    try:
        return reader.read()
    except _Broken as error:
        reason = str(error)
    except (IndexError, struct.error):
        reason = "ends early"
    return Malformed(reader.id, reader.flags, Rcode.FORMERR, reason, reader.question, reader.edns)


class _Reader:
    __slots__ = ("edns", "flags", "id", "packet", "question", "tsig_at")

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.id, self.flags = _TWO.unpack_from(packet)
        self.question = b""
        self.edns: Edns | None = None
        self.tsig_at: int | None = None

    def read(self) -> Query:
        packet = self.packet
        _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
        opcode = (flags & OPCODE) >> 11
        _check_counts(opcode, questions, answers, authorities, additionals, len(packet))
        at = HEADER_SIZE
        qname = b""
        qtype = qclass = 0
        if questions:
            end = _question_end(packet)
            qname = packet[at:end]
            qtype, qclass = _TWO.unpack_from(packet, end)
            at = end + 4
            self.question = packet[HEADER_SIZE:at]
        if authorities and opcode == Opcode.QUERY and qtype != IXFR:
            raise _Broken("a query with an authority section")
        answer, at = self._records(at, answers)
        authority, at = self._records(at, authorities)
        at = self._additional(at, additionals)
        if at != len(packet):
            raise _Broken("octets after the last record")
        name = qname.lower()
        return Query(
            self.id, flags, opcode, bool(flags & RD), qname, name, qtype, qclass, self.question, self.edns,
            self.tsig_at, answer, authority,
        )  # fmt: skip

    def _records(self, at: int, count: int) -> tuple[tuple[RawRecord, ...], int]:
        if not count:
            return (), at
        packet = self.packet
        found = []
        for _ in range(count):
            owner, at = read_name(packet, at)
            rtype, rclass, ttl, size = _RR.unpack_from(packet, at)
            at += 10
            if rtype in (OPT, TSIG):
                raise _Broken("OPT or TSIG outside the additional section")
            if at + size > len(packet):
                raise _Broken("rdata ends early")
            found.append(RawRecord(owner, rtype, rclass, ttl, packet[at : at + size]))
            at += size
        return tuple(found), at

    def _additional(self, at: int, count: int) -> int:
        packet = self.packet
        for left in range(count - 1, -1, -1):
            start = at
            at = _skip_name(packet, at)
            rtype, rclass, ttl, size = _RR.unpack_from(packet, at)
            at += 10
            if at + size > len(packet):
                raise _Broken("rdata ends early")
            if rtype == OPT:
                # RFC 6891, 6.1.1: "If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST
                # be returned." and "The NAME ... MUST be 0 (root domain)."
                if self.edns is not None or packet[start]:
                    self.edns = None
                    raise _Broken("more than one OPT, or one whose owner is not the root")
                options = _options(packet, at, at + size) if size else ()
                self.edns = Edns(rclass, ttl >> 16 & 0xFF, bool(ttl & DO), options)
            elif rtype == TSIG:
                # RFC 8945, 5.1: last in the additional section, and only one, else FORMERR.
                if left:
                    raise _Broken("a TSIG record that is not the last")
                self.tsig_at = start
            at += size
        return at


def _check_counts(opcode: int, questions: int, answers: int, authorities: int, additionals: int, size: int) -> None:
    """Bounds the work before any of it is done. RFC 9619, 4: a QDCOUNT above 1 is FORMERR."""
    if questions > 1 or (questions == 0 and opcode != Opcode.QUERY):
        raise _Broken("not one question")
    if opcode == Opcode.UPDATE:
        if HEADER_SIZE + (answers + authorities + additionals) * _SMALLEST_RECORD > size:
            raise _Broken("more records counted than the message can hold")
        return
    allowed = 1 if opcode == Opcode.NOTIFY else 0  # RFC 1996, 3.7: the new SOA, as a hint
    if answers > allowed or authorities > 1 or additionals > 2:
        raise _Broken("more records than such a request has")


def _question_end(packet: bytes) -> int:
    """Where the question's name ends. A pointer there can only lead into the header: broken."""
    at = HEADER_SIZE
    while length := packet[at]:
        if length > 63:
            raise _Broken("a compressed or unknown label in the question")
        at += length + 1
    if at + 1 - HEADER_SIZE > 255:
        raise _Broken("a name longer than 255 octets")
    return at + 1


def _skip_name(packet: bytes, at: int) -> int:
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise _Broken("an unknown kind of label")
        at += length + 1
    return at + 1


def read_name(packet: bytes, at: int) -> tuple[bytes, int]:
    """A name of a message, decompressed, and the offset after it; pointers only lead backwards, so none can loop."""
    parts: list[bytes] = []
    total = 1
    end = -1
    pointers = 0
    lowest = at
    while length := packet[at]:
        if length >= 0xC0:
            pointers += 1
            target = (length & 0x3F) << 8 | packet[at + 1]
            if target >= lowest or pointers > _MOST_POINTERS:
                raise _Broken("a pointer that does not lead backwards, or too many")
            if end < 0:
                end = at + 2
            at = lowest = target
            continue
        total += length + 1
        if length > 63 or total > 255:
            raise _Broken("a name that is too long, or an unknown kind of label")
        parts.append(packet[at : at + length + 1])
        at += length + 1
    return b"".join(parts) + b"\x00", at + 1 if end < 0 else end


def _options(packet: bytes, at: int, end: int) -> tuple[tuple[int, bytes], ...]:
    found = []
    while at < end:
        if at + 4 > end:
            raise _Broken("an EDNS option ends early")
        code, size = _TWO.unpack_from(packet, at)
        at += 4
        if at + size > end:
            raise _Broken("an EDNS option ends early")
        found.append((code, packet[at : at + size]))
        at += size
    return tuple(found)
