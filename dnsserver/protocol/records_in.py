"""The records of a peer's message: names decompressed, every one judged, as fast as Python allows.

What a transfer brings is read here, hostile or not: a message either gives records that may be stored as they are, or
``BadRecords``, and never any other exception. The work is bounded by the message's size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dnsserver.errors import InvalidData
from dnsserver.zone import names, rdata, rrtypes
from dnsserver.zone.rdata import type_to_text
from dnsserver.zone.records import IN, Record

_RR = struct.Struct(">HHIH")
_TWO = struct.Struct(">HH")
_HEADER_SIZE = 12
# A name has at most 127 labels; pointers that lead to pointers would make work that the message's size does not bound.
_MOST_POINTERS = 127
_MAX_TTL = 0x7FFFFFFF
_POINTERS_END = 0x4000
EXPIRE = 9  # the EDNS option (RFC 7314)
# A quarter of the time of ``Record(...)``.
_make = tuple.__new__


class _Shape(NamedTuple):
    """Rdata with names: octets before the first, how many names, octets after the last (None: any number)."""

    before: int
    names: int
    after: int | None = 0


# RFC 3597, 4: names are decompressed in the types of RFC 1035, and in RP, AFSDB, RT, SIG, PX, NXT, NAPTR and SRV.
_NAME = _Shape(0, 1)
_SHAPES: dict[int, _Shape] = {
    **dict.fromkeys((rrtypes.NS, 3, 4, rrtypes.CNAME, 7, 8, 9, rrtypes.PTR), _NAME),  # MD, MF, MB, MG, MR
    **dict.fromkeys((rrtypes.MX, 18, 21), _Shape(2, 1)),  # AFSDB, RT
    **dict.fromkeys((14, 17), _Shape(0, 2)),  # MINFO, RP
    rrtypes.SOA: _Shape(0, 2, 20),
    24: _Shape(18, 1, None),  # SIG
    26: _Shape(2, 2),  # PX
    30: _Shape(0, 1, None),  # NXT
    rrtypes.SRV: _Shape(6, 1),
}
# Octets before the one name of the common ones; of rdata that is always so long.
_NAMED = {rrtypes.NS: 0, rrtypes.CNAME: 0, rrtypes.PTR: 0, rrtypes.MX: 2}
_SIZES = {rrtypes.A: 4, rrtypes.AAAA: 16}
# RFC 6895, 3.1: 128 to 255 are for queries and messages; OPT is the one below.
_META = frozenset({0, rrtypes.OPT, *range(128, 256)})


class BadRecords(Exception):
    """The message breaks a rule; says which."""


class Records(NamedTuple):
    """``soas``: places of SOAs among ``records``; ``size``: octets, uncompressed; ``end``: offset after the last."""

    records: list[Record]
    soas: list[int]
    size: int
    end: int


class Tail(NamedTuple):
    """What stands beside the records: ``rcode``: its upper eight bits; ``expire``: seconds; ``tsig_at``: offset."""

    rcode: int
    expire: int | None
    tsig_at: int | None


class SectionReader:
    """Reads the answer sections of a transfer of one zone. ``apex``: lower-cased."""

    __slots__ = ("_apex", "_inside", "_known", "_quick")

    def __init__(self, apex: bytes) -> None:
        self._apex = apex
        # By pointer, as it stands in the message at hand: names within the zone, and all names.
        self._inside: dict[int, bytes] = {}
        self._known: dict[int, bytes] = {}
        self._quick = _quick_checks(apex)

    def read(self, packet: bytes, at: int, count: int) -> Records:
        """``count`` records from offset ``at``; raises BadRecords.

        Each is of class IN, owned within the zone, of a type that zones hold, an SOA at the apex alone, with rdata
        that is well-formed, uncompressed, and as long as RDLENGTH says. A TTL above 2^31 - 1 is 0 (RFC 2181, 8).
        """
        self._inside, self._known = {}, {}
        try:
            return self._read(packet, at, count)
        except (IndexError, struct.error):
            raise BadRecords("a message that ends within a record") from None

    def _read(self, packet: bytes, at: int, count: int) -> Records:
        inside, fixed, quick, sizes, named = self._inside, _RR.unpack_from, self._quick, _SIZES, _NAMED
        found: list[Record] = []
        soas: list[int] = []
        append, total, size_left = found.append, 0, len(packet)
        for place in range(count):
            start, first = at, packet[at]
            # Most owners are a pointer, or one label and a pointer, to a name that is known to be in the zone.
            if first >= 0xC0 and (owner := inside.get(first << 8 | packet[at + 1], b"")):
                at += 2
            elif (
                0 < first < 64
                and (then := packet[at + first + 1]) >= 0xC0
                and (suffix := inside.get(then << 8 | packet[at + first + 2])) is not None
                and first + len(suffix) < names.MAX_NAME
            ):
                at += first + 1
                owner = packet[start:at] + suffix
                at += 2
                if start < _POINTERS_END:
                    inside[0xC000 | start] = owner
            else:
                owner, at = self._owner(packet, at)
            rtype, rclass, ttl, size = fixed(packet, at)
            at += 10
            end = at + size
            if rclass != IN or end > size_left:
                raise BadRecords(_what(owner, rtype, "another class than IN" if rclass != IN else "cut off"))
            if sizes.get(rtype) == size:
                data = packet[at:end]
            elif (before := named.get(rtype)) is not None and (name := self._short(packet, at + before, end)):
                data = packet[at : at + before] + name if before else name
            elif (check := quick.get(rtype)) is not None and check(data := packet[at:end]):
                pass
            else:
                data = self._rdata(packet, at, end, owner, rtype)
                if rtype == rrtypes.SOA:
                    soas.append(place)
            append(_make(Record, (owner, rtype, ttl if ttl <= _MAX_TTL else 0, data)))
            total += len(owner) + len(data)
            at = end
        return Records(found, soas, total + 10 * count, at)

    def _owner(self, packet: bytes, at: int) -> tuple[bytes, int]:
        """The name at ``at``, which is within the zone, and the offset after it; keeps it, and what it points to."""
        start = at
        while 0 < (length := packet[at]) < 64:
            at += length + 1
        pointer = length << 8 | packet[at + 1]
        rest = self._inside.get(pointer) if length else None
        if rest is not None and at - start + len(rest) <= names.MAX_NAME:
            owner, end = packet[start:at] + rest, at + 2
        else:
            owner, end = self._name(packet, start)
            if not names.is_within(owner.lower(), self._apex):
                raise BadRecords(f"{names.to_text(owner)} is outside the zone")
            target = self._known.get(pointer)
            if target is not None and names.is_within(target.lower(), self._apex):
                self._inside[pointer] = target
        if start < _POINTERS_END:
            self._inside[0xC000 | start] = owner
        return owner, end

    def _name(self, packet: bytes, at: int) -> tuple[bytes, int]:
        """The name at ``at``, decompressed, and the offset after it. Pointers only lead back, so none can loop."""
        start = at
        while 0 < (length := packet[at]) < 64:
            at += length + 1
        if length >= 0xC0:
            pointer = length << 8 | packet[at + 1]
            rest = self._known.get(pointer)
            if rest is None:
                rest = self._known[pointer] = _target(packet, pointer, start)
            name, end = packet[start:at] + rest, at + 2
        elif length:
            raise BadRecords("a name with an unknown kind of label")
        else:
            end = at + 1
            name = packet[start:end]
        if len(name) > names.MAX_NAME:
            raise BadRecords("a name that is longer than 255 octets")
        if start < _POINTERS_END:
            self._known[0xC000 | start] = name
        return name, end

    def _short(self, packet: bytes, at: int, end: int) -> bytes:
        """The name from ``at`` to ``end`` where it is a pointer, or a label and one, to what is known; else empty."""
        inside, known = self._inside, self._known
        first, size = packet[at], end - at
        if size == 2 and first >= 0xC0:
            pointer = first << 8 | packet[at + 1]
            return inside.get(pointer) or known.get(pointer, b"")
        if size != first + 3 or not 0 < first < 64 or (then := packet[end - 2]) < 0xC0:
            return b""
        pointer = then << 8 | packet[end - 1]
        place = inside if pointer in inside else known
        rest = place.get(pointer)
        if rest is None or first + len(rest) >= names.MAX_NAME:
            return b""
        name = packet[at : end - 2] + rest
        if at < _POINTERS_END:
            place[0xC000 | at] = name
        return name

    def _rdata(self, packet: bytes, at: int, end: int, owner: bytes, rtype: int) -> bytes:
        """The rdata without compression, validated."""
        if rtype in _META:
            raise BadRecords(_what(owner, rtype, "is of a type that no zone holds"))
        if rtype == rrtypes.SOA and owner.lower() != self._apex:
            raise BadRecords(_what(owner, rtype, "is not at the zone's own name"))
        shape = _SHAPES.get(rtype)
        try:
            if shape is None and rtype != rrtypes.NAPTR:
                data = packet[at:end]
                rdata.validate(rtype, data)
                return data
            data = self._expanded(packet, at, end, shape if shape is not None else _naptr(packet, at, end))
            if shape is None or shape.after is None:
                rdata.validate(rtype, data)
        except (BadRecords, InvalidData) as error:
            raise BadRecords(_what(owner, rtype, str(error))) from None
        return data

    def _expanded(self, packet: bytes, at: int, end: int, shape: _Shape) -> bytes:
        first = at + shape.before
        if shape.names == 1:
            name, after = self._name(packet, first)
            found = packet[at:first] + name if shape.before else name
        else:
            name, after = self._name(packet, first)
            second, after = self._name(packet, after)
            found = packet[at:first] + name + second
        if after > end or (shape.after is not None and after + shape.after != end):
            raise BadRecords("the rdata is not as long as RDLENGTH says")
        return found + packet[after:end] if after != end else found


def read_tail(packet: bytes, at: int, authorities: int, additionals: int) -> Tail:
    """Reads what follows the answer section, which must end where the message does; raises BadRecords.

    Other records than OPT (RFC 6891, 6.1.1: one, of the root) and TSIG (RFC 8945, 5.1: the last) are of no interest.
    """
    opt: tuple[int, int | None] | None = None
    tsig_at = None
    try:
        for left in range(authorities + additionals - 1, -1, -1):
            start = at
            at = _skip_name(packet, at)
            rtype, _, ttl, size = _RR.unpack_from(packet, at)
            at += 10 + size
            if rtype == rrtypes.OPT:
                if opt is not None or left >= additionals or packet[start]:
                    raise BadRecords("more than one OPT, or one where none belongs")
                opt = (ttl >> 24, _expire(packet[at - size : at]))
            elif rtype == rrtypes.TSIG:
                if left or not additionals:
                    raise BadRecords("a TSIG record that is not the last")
                tsig_at = start
    except (IndexError, struct.error):
        raise BadRecords("a message that ends within a record") from None
    if at != len(packet):
        raise BadRecords("a message that ends elsewhere than its last record")
    rcode, expire = opt if opt is not None else (0, None)
    return Tail(rcode, expire, tsig_at)


def _skip_name(packet: bytes, at: int) -> int:
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        if length > 63:
            raise BadRecords("a name with an unknown kind of label")
        at += length + 1
    return at + 1


def _expire(options: bytes) -> int | None:
    """The seconds of the EXPIRE option (RFC 7314, 2); one of another length says nothing."""
    at = 0
    while at + 4 <= len(options):
        code, size = _TWO.unpack_from(options, at)
        at += 4 + size
        if code == EXPIRE and size == 4 and at <= len(options):
            return int.from_bytes(options[at - 4 : at], "big")
    return None


def _target(packet: bytes, pointer: int, before: int) -> bytes:
    """The name that a pointer leads to. All of it stands before ``before`` (RFC 1035, 4.1.4: "a prior occurance")."""
    parts: list[bytes] = []
    at, total = pointer & 0x3FFF, 1
    for _ in range(_MOST_POINTERS):
        start = at
        if at < _HEADER_SIZE:
            break
        while 0 < (length := packet[at]) < 64 and at < before:
            total += length + 1
            if total > names.MAX_NAME:
                raise BadRecords("a name that is longer than 255 octets")
            parts.append(packet[at : at + length + 1])
            at += length + 1
        if at + (length >= 0xC0) >= before:
            break
        if not length:
            return b"".join(parts) + names.ROOT
        if length < 0xC0:
            raise BadRecords("a name with an unknown kind of label")
        before, at = start, (length & 0x3F) << 8 | packet[at + 1]
    raise BadRecords("a compression pointer that does not lead back, or too many")


def _naptr(packet: bytes, at: int, end: int) -> _Shape:
    """Where the name of a NAPTR stands: after two numbers and three strings (RFC 3403, 4.1)."""
    start, at = at, at + 4
    for _ in range(3):
        at += packet[at] + 1
    if at >= end:
        raise BadRecords("the rdata is too short")
    return _Shape(at - start, 1)


def _what(owner: bytes, rtype: int, problem: str) -> str:
    return f"{names.to_text(owner)} {type_to_text(rtype)}: {problem}"


def _quick_checks(apex: bytes) -> dict[int, Callable[[bytes], bool]]:
    """For types without names that may be compressed: whether rdata is surely well-formed.

    What is not goes to ``rdata.validate``, which takes longer and has the last word.
    """
    signer_end = 18 + len(apex)

    def is_rrsig(data: bytes) -> bool:
        return data.startswith(apex, 18) and len(data) > signer_end

    return {
        rrtypes.TXT: _is_txt,
        rrtypes.RRSIG: is_rrsig,
        rrtypes.NSEC: _is_nsec,
        rrtypes.NSEC3: _is_nsec3,
        rrtypes.DS: lambda data: len(data) == _DS_SIZES.get(data[3:4]),
        rrtypes.DNAME: lambda data: 0 < _name_end(data, 0) == len(data),
        rrtypes.SVCB: _is_svcb,
        rrtypes.HTTPS: _is_svcb,
        44: lambda data: len(data) > 2,  # SSHFP
        52: lambda data: len(data) > 3,  # TLSA
        257: lambda data: len(data) > 2 and len(data) > 1 + data[1] and data[2 : 2 + data[1]].isalnum(),  # CAA
    }


# Octets of a DS by its digest type (RFC 4034, 4509, 6605).
_DS_SIZES = {b"\x01": 24, b"\x02": 36, b"\x04": 52}


def _name_end(data: bytes, at: int) -> int:
    """Where the uncompressed name that begins at ``at`` ends; 0 where none is."""
    start, size = at, len(data)
    while at < size:
        length = data[at]
        at += length + 1
        if not length:
            return at if at - start <= names.MAX_NAME else 0
        if length > names.MAX_LABEL:
            break
    return 0


def _is_txt(data: bytes) -> bool:
    at, size = 0, len(data)
    while at < size:
        at += data[at] + 1
    return at == size > 0


def _is_nsec(data: bytes) -> bool:
    end = _name_end(data, 0)
    return end > 0 and _is_bitmap(data[end:])


def _is_nsec3(data: bytes) -> bool:
    try:
        at = 5 + data[4]
        size = data[at]
    except IndexError:
        return False
    at += 1 + size
    return size > 0 and at <= len(data) and _is_bitmap(data[at:])


@lru_cache(maxsize=1024)
def _is_bitmap(data: bytes) -> bool:
    """Whether it is a type bitmap: judged as that of an NSEC whose next name is the root."""
    try:
        rdata.validate(rrtypes.NSEC, names.ROOT + data)
    except InvalidData:
        return False
    return True


def _is_svcb(data: bytes) -> bool:
    """Priority, target, and parameters in rising order of their keys (RFC 9460, 2.2); only common ones are known."""
    at = _name_end(data, 2)
    before, end, found = -1, len(data), 0
    while 0 < at < end:
        key, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        value = data[at + 4 : at + 4 + size]
        check = _SVC_VALUES.get(key)
        if key <= before or check is None or not check(value):
            return False
        found += 1
        at, before = at + 4 + size, key
    # RFC 9460, 2.4.2: priority 0 has no parameters.
    return 0 < at == end and (not found or data[:2] != b"\x00\x00")


# RFC 9460, 7: alpn, port, ipv4hint, ech, ipv6hint.
_SVC_VALUES: dict[int, Callable[[bytes], bool]] = {
    1: lambda value: _is_txt(value) and b"\x00" not in value,
    3: lambda value: len(value) == 2,
    4: lambda value: len(value) > 0 and len(value) % 4 == 0,
    5: lambda value: len(value) > 0,
    6: lambda value: len(value) > 0 and len(value) % 16 == 0,
}
