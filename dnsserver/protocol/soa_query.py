"""The SOA question to a primary (RFC 1034, 4.3.5) and its answer, signed where the primary has a key (RFC 8945).

The question asks for the time until the zone expires at the primary, too (RFC 7314).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from dnsserver.protocol import edns as edns_
from dnsserver.protocol import tsig
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.query import AA, HEADER, HEADER_SIZE, OPCODE, QR, TC, Rcode
from dnsserver.protocol.records_in import BadRecords, SectionReader, read_tail
from dnsserver.protocol.tsig import Key, Unauthentic
from dnsserver.zone.records import IN, soa_serial
from dnsserver.zone.rrtypes import SOA

_TYPE_CLASS = SOA.to_bytes(2, "big") + IN.to_bytes(2, "big")
_OPT = edns_.opt(1232, 0, False, edns_.option(edns_.EXPIRE, b""))


class SoaAnswer(NamedTuple):
    """``expire``: seconds until the zone expires at the primary, where it says so (RFC 7314)."""

    serial: int
    expire: int | None = None


class SoaExpected(NamedTuple):
    """What the answer must match. ``question``: name lower-cased, type and class; ``mac``: the request's, empty without
    ``key``; ``edns``: whether there was an OPT record."""

    apex: bytes
    message_id: int
    question: bytes
    key: Key | None
    mac: bytes
    edns: bool


class Again(Enum):
    """The question is to be asked once more.

    ``BY_TCP``: the answer was truncated, or its signature is none to believe, as anybody can send over UDP.
    ``PLAIN``: the primary knows no EDNS, or not this version.
    """

    BY_TCP = "by-tcp"
    PLAIN = "plain"


def build(apex: bytes, message_id: int, key: Key | None, now: float, *, edns: bool = True) -> tuple[bytes, SoaExpected]:
    """The question, and what answers it. ``now``: seconds since the epoch."""
    apex = apex.lower()
    question = apex + _TYPE_CLASS
    wire = HEADER.pack(message_id, 0, 1, 0, 0, int(edns)) + question + (_OPT if edns else b"")
    mac = b""
    if key is not None:
        wire, mac = tsig.sign_request(wire, key, now)
    return wire, SoaExpected(apex, message_id, question, key, mac, edns)


def read(
    packet: bytes, expected: SoaExpected, now: float, *, tcp: bool = False, fudge_cap: int = tsig.FUDGE
) -> SoaAnswer | Failure | Again | None:
    """What the primary says; None: this is no answer to the question, and another may come.

    ``PLAIN`` only for a question with EDNS, ``BY_TCP`` only over UDP.
    """
    if not _is_answer(packet, expected):
        return None
    flags = int.from_bytes(packet[2:4], "big")
    rcode = flags & 0xF
    if flags & TC:
        return Failure("malformed", "a truncated message over TCP") if tcp else Again.BY_TCP
    # RFC 6891, 7: a server that knows no EDNS answers FORMERR (or NOTIMP), and often cannot sign that.
    if expected.edns and rcode in (Rcode.FORMERR, Rcode.NOTIMP):
        return Again.PLAIN
    if expected.key is not None:
        try:
            tsig.verify_answer(packet, expected.key, expected.mac, now, fudge_cap)
        except Unauthentic as error:
            if not tcp:
                return Again.BY_TCP
            # An error that the primary could not sign is still worth knowing. With NOTAUTH it is the signature that it
            # does not accept (RFC 8945, 5.2): else it would have signed. PowerDNS says so little.
            if rcode == Rcode.NOTAUTH or not (rcode and error.reason == "unsigned"):
                return Failure("unauthenticated", error.reason, rcode or None)
    return _judge(packet, expected, flags, rcode)


def _is_answer(packet: bytes, expected: SoaExpected) -> bool:
    if len(packet) < HEADER_SIZE:
        return False
    message_id, flags, questions, *_ = HEADER.unpack_from(packet)
    if message_id != expected.message_id or not flags & QR or flags & OPCODE:
        return False
    # A server that could not read the question may answer without it.
    if not questions:
        return bool(flags & 0xF)
    end = HEADER_SIZE + len(expected.question)
    # Lower-casing leaves type and class as they are: none of their octets is a letter.
    return questions == 1 and packet[HEADER_SIZE:end].lower() == expected.question


def _judge(packet: bytes, expected: SoaExpected, flags: int, rcode: int) -> SoaAnswer | Failure | Again:
    """An answer that is authentic, as far as that can be known."""
    _, _, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    start = HEADER_SIZE + (len(expected.question) if questions else 0)
    try:
        found = SectionReader(expected.apex).read(packet, start, answers)
        tail = read_tail(packet, found.end, authorities, additionals)
    except BadRecords as error:
        return _refusal(rcode) if rcode else Failure("malformed", str(error))
    rcode |= tail.rcode << 4
    if rcode == Rcode.BADVERS and expected.edns:
        return Again.PLAIN
    if rcode:
        return _refusal(rcode)
    if not flags & AA:
        return Failure("not-authoritative", "the answer lacks AA")
    if not found.soas:
        return Failure("not-authoritative", "the answer has no SOA")
    if len(found.soas) > 1:
        return Failure("malformed", "the answer has more than one SOA")
    return SoaAnswer(soa_serial(found.records[found.soas[0]].rdata), tail.expire)


def _refusal(rcode: int) -> Failure:
    reasons = {int(Rcode.REFUSED): "refused", int(Rcode.NOTAUTH): "not-authoritative"}
    return Failure(reasons.get(rcode, "error"), rcode=rcode)
