"""Transfers in: AXFR (RFC 5936) and IXFR (RFC 1995) as a machine that is fed a primary's messages.

Pure: no sockets and no clock. What comes is believed only as a whole: whoever feeds it keeps what ``take`` gives aside
until ``is_done``, since the messages between two signed ones are covered by the later signature alone (RFC 8945,
5.3.1). Every rule that is broken raises ``BadTransfer``, after which the machine is of no more use.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from dnsserver.errors import DnsServerError
from dnsserver.protocol import edns, tsig
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.query import HEADER, HEADER_SIZE, OPCODE, QR, TC, Rcode
from dnsserver.protocol.records_in import EXPIRE, BadRecords, Records, SectionReader, Tail, read_tail
from dnsserver.protocol.tsig import Key, ResponseVerifier, Unauthentic
from dnsserver.zone.blob import POINTER
from dnsserver.zone.changeset import Changeset, condense
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import IN, Record, soa_serial
from dnsserver.zone.rrtypes import AXFR, IXFR
from dnsserver.zone.serial import is_ahead, is_incomparable

_UDP_PAYLOAD = 1232
_TWO = struct.Struct(">HH")
# What a message may hold beside records of the zone, on average: header, question, OPT, TSIG, pointers to nothing.
_OVERHEAD = 1024


class BadTransfer(DnsServerError):
    """The transfer cannot be taken; ``failure`` says why."""

    code = "bad-transfer"

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.reason}: {failure.detail}" if failure.detail else failure.reason)
        self.failure = failure


class Asked(NamedTuple):
    """A request that was built.

    ``apex``: lower-cased; ``question``: as sent; ``serial``: what an IXFR starts from, None for an AXFR; ``mac``: the
    request's, empty without ``key``.
    """

    apex: bytes
    message_id: int
    question: bytes
    serial: int | None
    key: Key | None
    mac: bytes


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """``zone``: its size and records hold for what comes, be it a zone or a difference; ``fudge``: cap in seconds."""

    zone: ZoneLimits = field(default_factory=ZoneLimits)
    fudge: int = tsig.FUDGE


def build(
    apex: bytes, message_id: int, soa: Record | None, key: Key | None, now: float, *, full: bool, expire: bool = True
) -> tuple[bytes, Asked]:
    """The request, and what its answer is measured by.

    IXFR from ``soa`` where there is one, AXFR where there is none or ``full``. ``expire``: with EDNS, and the EXPIRE
    option asked for (RFC 7314); without, for a primary that knows no EDNS.
    """
    old = None if full else soa
    question = apex + _TWO.pack(AXFR if old is None else IXFR, IN)
    opt = edns.opt(_UDP_PAYLOAD, 0, False, edns.option(EXPIRE, b"")) if expire else b""
    authority = POINTER + old.wire[len(old.owner) :] if old is not None else b""
    wire = HEADER.pack(message_id, 0, 1, 0, bool(authority), bool(opt)) + question + authority + opt
    mac = b""
    if key is not None:
        wire, mac = tsig.sign_request(wire, key, now)
    serial = soa_serial(old.rdata) if old is not None else None
    return wire, Asked(apex.lower(), message_id, question, serial, key, mac)


def is_answer(message: bytes, asked: Asked) -> bool:
    """Whether a datagram claims to answer this request: what does not is no answer at all, forged or late."""
    if len(message) < HEADER_SIZE:
        return False
    message_id, flags, questions, *_ = HEADER.unpack_from(message)
    if message_id != asked.message_id or not flags & QR or flags & OPCODE:
        return False
    # A server that could not read the request may answer without its question.
    return _has_question(message, asked) if questions else bool(flags & 0xF)


def _has_question(message: bytes, asked: Asked) -> bool:
    # Lower-casing leaves type and class as they are: none of their octets is a letter.
    end = HEADER_SIZE + len(asked.question)
    return message[4:6] == b"\x00\x01" and message[HEADER_SIZE:end].lower() == asked.question.lower()


class TransferIn:
    """The answer to one request, message by message.

    ``kind``: None until it is known, then "axfr" (an IXFR may be answered so), "ixfr", "current" (the single SOA of a
    primary that has nothing newer; ``soa`` is its) or, over UDP alone, "udp-too-large" (ask by TCP).
    ``messages``, ``octets`` (of messages) and ``records`` (of answer sections) count what came; ``expire``: the
    EXPIRE option's seconds, None where the primary sent none.
    """

    __slots__ = (
        "_added", "_asked", "_chain", "_is_tcp", "_limits", "_reader", "_removed", "_size", "_soa", "_taken",
        "_verifier", "expire", "is_done", "kind", "messages", "octets", "records",
    )  # fmt: skip

    def __init__(self, asked: Asked, limits: TransferLimits, *, tcp: bool = True) -> None:
        self.is_done = False
        self.kind: str | None = None
        self.expire: int | None = None
        self.messages = self.octets = self.records = 0
        self._asked = asked
        self._limits = limits
        self._is_tcp = tcp
        self._reader = SectionReader(asked.apex)
        self._verifier = ResponseVerifier(asked.key, asked.mac, limits.fudge) if asked.key is not None else None
        self._soa: Record | None = None
        self._size = 0  # octets of the zone's records, uncompressed
        self._taken: list[Record] = []  # of an AXFR, not yet taken
        # Of an IXFR: whole sequences, and the one that is under way: what it removes, then what it adds.
        self._chain: list[Changeset] = []
        self._removed: list[Record] = []
        self._added: list[Record] = []

    @property
    def soa(self) -> Record:
        """The primary's SOA, with which its answer began; ValueError before that."""
        if self._soa is None:
            raise ValueError("no SOA came yet")
        return self._soa

    def feed(self, message: bytes, now: float) -> None:
        """Takes one DNS message (without the length that TCP puts before it); raises BadTransfer.

        ``now``: seconds since the epoch, for the signature.
        """
        self.messages += 1
        self.octets += len(message)
        if self.is_done:
            raise _invalid("a message after the end")
        flags, counts = _header(message, self._asked)
        try:
            found, tail = self._read(message, counts)
        except BadRecords as error:
            self._blame_signature(message, now)
            raise _invalid(str(error)) from None
        rcode = tail.rcode << 4 | flags & 0xF
        self._verify(message, tail.tsig_at, now, rcode)
        if rcode:
            raise BadTransfer(_refusal(rcode, self.messages))
        if not counts[0] and self.messages == 1:
            raise BadTransfer(Failure("malformed", "an answer without its question"))
        if tail.expire is not None:
            self.expire = tail.expire
        if flags & TC:
            self._truncated()
        else:
            self._count(found)
            self._take_all(found)
        if self.is_done:
            self._verify_end()

    def take(self) -> list[Record]:
        """The records of an AXFR since the last call: its SOA first, no second time at the end; [] for an IXFR."""
        if self.kind != "axfr":
            return []
        taken, self._taken = self._taken, []
        return taken

    def changeset(self) -> Changeset:
        """The differences of a whole IXFR as one, as the primary sees them."""
        if self.kind != "ixfr" or not self.is_done:
            raise ValueError("no whole IXFR")
        return condense(self._chain)

    def finish(self) -> None:
        """The stream ended; raises BadTransfer when the transfer is not whole."""
        if not self.is_done:
            raise BadTransfer(Failure("closed", f"the stream ended after {self.records} records"))

    def _read(self, message: bytes, counts: tuple[int, ...]) -> tuple[Records, Tail]:
        questions, answers, authorities, additionals = counts
        start = HEADER_SIZE
        if questions:
            start += len(self._asked.question)
            if not _has_question(message, self._asked):
                raise BadTransfer(Failure("malformed", "the answer is to another question"))
        found = self._reader.read(message, start, answers)
        return found, read_tail(message, found.end, authorities, additionals)

    def _verify(self, message: bytes, tsig_at: int | None, now: float, rcode: int = 0) -> None:
        if self._verifier is None:
            if tsig_at is not None:
                raise BadTransfer(Failure("malformed", "a signature that was not asked for"))
            return
        try:
            self._verifier.feed(message, tsig_at, now)
        except Unauthentic as error:
            # What cannot be signed is still worth knowing; over UDP anybody can send it. NOTAUTH is all that some say
            # of a signature that they do not accept (PowerDNS).
            if not (rcode not in (0, Rcode.NOTAUTH) and self._is_tcp and error.reason == "unsigned"):
                raise BadTransfer(Failure("unauthenticated", error.reason, rcode or None)) from None

    def _blame_signature(self, message: bytes, now: float) -> None:
        """A message that cannot be read was perhaps tampered with: then that is what is wrong."""
        try:
            tsig_at = tsig.find(message)
        except ValueError:
            return
        if tsig_at is not None:
            self._verify(message, tsig_at, now)

    def _verify_end(self) -> None:
        try:
            if self._verifier is not None:
                self._verifier.finish()
        except Unauthentic as error:
            raise BadTransfer(Failure("unauthenticated", error.reason)) from None

    def _truncated(self) -> None:
        if self._is_tcp:
            raise BadTransfer(Failure("malformed", "a truncated message over TCP"))
        self.is_done, self.kind = True, "udp-too-large"

    def _count(self, found: Records) -> None:
        """Bounds what comes, whatever it is. The final SOA is no record of the zone."""
        if not found.records:
            raise _invalid("a message without records")
        limits = self._limits.zone
        self.records += len(found.records)
        self._size += found.size
        if self.records > limits.zone_records + 1:
            raise _too_large(f"more than zone-records = {limits.zone_records} records")
        spare = len(found.records[0].wire) if self._soa is None else len(self._soa.wire)
        if self._size > limits.zone_size + spare or self.octets > limits.zone_size + _OVERHEAD * (64 + self.messages):
            raise _too_large(f"more than zone-size = {limits.zone_size} octets")

    def _take_all(self, found: Records) -> None:
        records, soas = found.records, found.soas
        at = 0
        if self._soa is None:
            if 0 not in soas:
                raise _invalid("the first record is not the zone's SOA")
            at = 1
            self._begin(records[0])
        if self.kind is None and at < len(records):
            self._decide(records[at], at in soas)
        if self.is_done:
            return
        if self.kind == "axfr":
            self._take_zone(records, soas, at)
        elif self.kind == "ixfr":
            self._take_differences(records, soas, at)
        if not self._is_tcp and not self.is_done:
            if self.records > 1:
                raise _invalid("a datagram that is not the whole answer")
            # RFC 1995, 2: "If the UDP reply does not fit, the query is responded to with a single SOA record".
            self.is_done, self.kind = True, "udp-too-large"

    def _begin(self, soa: Record) -> None:
        self._soa = soa
        serial, asked = soa_serial(soa.rdata), self._asked.serial
        if asked is None:
            self._is_zone(soa)
        elif is_incomparable(serial, asked):
            raise BadTransfer(Failure("serial", f"{serial} and {asked} cannot be compared (RFC 1982, 3.2)"))
        elif not is_ahead(serial, asked):
            # RFC 1995, 2: "If an IXFR query with the same or newer version number than that of the server is
            # received, it is replied to with a single SOA record of the server's current version".
            self.is_done, self.kind = True, "current"

    def _is_zone(self, soa: Record) -> None:
        self.kind = "axfr"
        self._taken.append(soa)

    def _decide(self, second: Record, is_soa: bool) -> None:
        """The second record tells how an IXFR is answered (RFC 1995, 4)."""
        serial = soa_serial(second.rdata) if is_soa else None
        if is_soa and serial == self._asked.serial:
            self.kind = "ixfr"
        elif is_soa and not _is_same(second, self.soa):
            raise BadTransfer(
                Failure("does-not-apply", f"the difference starts from {serial}, not from {self._asked.serial}")
            )
        else:
            self._is_zone(self.soa)

    def _take_zone(self, records: list[Record], soas: list[int], at: int) -> None:
        end = next((place for place in soas if place >= at), None)
        if end is None:
            self._taken += records[at:] if at else records
            return
        if not _is_same(records[end], self.soa):
            raise _invalid("the SOA at the end is not the one at the beginning")
        self._end(end, records)
        self._taken += records[at:end]

    def _take_differences(self, records: list[Record], soas: list[int], at: int) -> None:
        for place in soas:
            if place >= at:
                (self._added or self._removed).extend(records[at:place])
                self._turn(records, place)
                at = place + 1
        (self._added or self._removed).extend(records[at:])

    def _turn(self, records: list[Record], place: int) -> None:
        """An SOA ends what is removed, or what is added (RFC 1995, 4); serials chain, and only rise."""
        soa, last = records[place], soa_serial(self.soa.rdata)
        serial = soa_serial(soa.rdata)
        if not self._removed:
            self._removed = [soa]
        elif not self._added:
            if not is_ahead(serial, soa_serial(self._removed[0].rdata)) or is_ahead(serial, last):
                raise BadTransfer(Failure("serial", f"a difference that leads to {serial}"))
            self._added = [soa]
        else:
            reached = soa_serial(self._added[0].rdata)
            if serial != reached:
                raise BadTransfer(
                    Failure("serial", f"a difference starts from {serial}, the one before led to {reached}")
                )
            self._chain.append(Changeset(tuple(self._removed), tuple(self._added)))
            if reached != last:
                self._removed, self._added = [soa], []
                return
            if not _is_same(soa, self.soa) or not _is_same(self._chain[-1].added[0], self.soa):
                raise _invalid("the SOA at the end is not the one at the beginning")
            self._end(place, records)
            self._removed, self._added = [], []

    def _end(self, place: int, records: list[Record]) -> None:
        if place != len(records) - 1:
            raise _invalid("records after the SOA that ends it")
        self.is_done = True


def _header(message: bytes, asked: Asked) -> tuple[int, tuple[int, ...]]:
    """The flags and the counts of an answer to this request."""
    if len(message) < HEADER_SIZE:
        raise BadTransfer(Failure("malformed", "a message shorter than its header"))
    message_id, flags, *counts = HEADER.unpack_from(message)
    if message_id != asked.message_id:
        raise BadTransfer(Failure("malformed", "the ID of another message"))
    if not flags & QR or flags & OPCODE:
        raise BadTransfer(Failure("malformed", "no answer to a query"))
    return flags, tuple(counts)


def _is_same(soa: Record, other: Record) -> bool:
    """Equal but for the case of names, which compression may change."""
    return (soa.ttl, soa.rdata[-20:], soa.rdata[:-20].lower()) == (
        other.ttl, other.rdata[-20:], other.rdata[:-20].lower(),
    )  # fmt: skip


def _refusal(rcode: int, messages: int) -> Failure:
    reasons: dict[int, str] = {Rcode.REFUSED: "refused", Rcode.NOTAUTH: "not-authoritative"}
    return Failure(reasons.get(rcode, "error"), "" if messages == 1 else f"in message {messages}", rcode)


def _too_large(detail: str) -> BadTransfer:
    return BadTransfer(Failure("too-large", detail))


def _invalid(detail: str) -> BadTransfer:
    return BadTransfer(Failure("invalid", detail))
