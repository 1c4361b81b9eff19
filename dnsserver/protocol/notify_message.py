"""The NOTIFY message and its answer (RFC 1996), signed where the target has a key (RFC 8945)."""

from __future__ import annotations

from typing import NamedTuple

from dnsserver.protocol import tsig
from dnsserver.protocol.query import AA, HEADER, HEADER_SIZE, OPCODE, QR, Opcode
from dnsserver.protocol.tsig import Key, Unauthentic
from dnsserver.zone.blob import POINTER
from dnsserver.zone.records import IN, Record
from dnsserver.zone.rrtypes import SOA

_TYPE_CLASS = SOA.to_bytes(2, "big") + IN.to_bytes(2, "big")


class Expected(NamedTuple):
    """What the answer to a NOTIFY must match: the request's ID and zone, where it was sent, and its TSIG."""

    message_id: int
    apex: bytes
    address: str
    port: int
    key: Key | None
    mac: bytes


class Ignored(NamedTuple):
    """A datagram that is no answer to believe. ``reason``: ``source``, ``malformed``, ``id``, ``not-an-answer``,
    ``zone``, or one of ``tsig.Unauthentic``."""

    reason: str


def build(soa: Record, message_id: int, address: str, port: int, key: Key | None, now: float) -> tuple[bytes, Expected]:
    """The NOTIFY for the zone of this SOA, which goes along as a hint (RFC 1996, 3.7), and what answers it."""
    question = soa.owner + _TYPE_CLASS
    record = POINTER + soa.wire[len(soa.owner) :]
    # AA as BIND, NSD and Knot set it.
    wire = HEADER.pack(message_id, Opcode.NOTIFY << 11 | AA, 1, 1, 0, 0) + question + record
    mac = b""
    if key is not None:
        wire, mac = tsig.sign_request(wire, key, now)
    return wire, Expected(message_id, soa.owner, address, port, key, mac)


def read_answer(
    packet: bytes, source: tuple[str, int], expected: Expected, now: float, fudge_cap: int = tsig.FUDGE
) -> int | Ignored:
    """The RCODE of the answer, or why the datagram is none."""
    if source != (expected.address, expected.port):
        return Ignored("source")
    if len(packet) < HEADER_SIZE:
        return Ignored("malformed")
    message_id, flags, questions, *_ = HEADER.unpack_from(packet)
    if message_id != expected.message_id:
        return Ignored("id")
    if not flags & QR or (flags & OPCODE) >> 11 != Opcode.NOTIFY:
        return Ignored("not-an-answer")
    rcode: int = flags & 0xF
    question = expected.apex.lower() + _TYPE_CLASS
    # A server that could not read the request may answer without its question.
    if not (questions == 0 and rcode) and (
        questions != 1 or packet[HEADER_SIZE : HEADER_SIZE + len(question)].lower() != question
    ):
        return Ignored("zone")
    if expected.key is not None:
        try:
            tsig.verify_answer(packet, expected.key, expected.mac, now, fudge_cap)
        except Unauthentic as error:
            return Ignored(error.reason)
    return rcode
