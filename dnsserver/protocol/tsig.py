"""Transaction signatures (RFC 8945): requests judged, answers and transfers signed, peers' answers verified.

All on raw bytes: no message is built to check its signature. Nothing here reads a clock: ``now`` is seconds since the
epoch. MACs are of full length; a shorter one that is right is answered BADTRUNC (5.2.4), as BIND does.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dnsserver.errors import DnsServerError
from dnsserver.zone import names
from dnsserver.zone.access import Signature
from dnsserver.zone.algorithms import ALGORITHMS
from dnsserver.zone.rrtypes import TSIG

FUDGE = 300
FORMERR, NOTAUTH = 1, 9
BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22

_ANY = 255
_FIXED = struct.Struct(">HHIH")  # type, class, TTL, RDLENGTH
_HEADER = struct.Struct(">HHHHHH")
_SECONDS = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class Key:
    """``name`` and ``algorithm``: lower-cased wire names. ``weak_allowed``: MD5 and SHA-1 are taken with this key."""

    name: bytes
    algorithm: bytes
    secret: bytes = field(repr=False)
    weak_allowed: bool = False

    @property
    def usable(self) -> bool:
        """Whether its algorithm is one of ours, and not a weak one without opt-in."""
        algorithm = ALGORITHMS.get(self.algorithm)
        return algorithm is not None and (self.weak_allowed or not algorithm.weak)

    @property
    def record_size(self) -> int:
        """Octets that its TSIG record adds to a message (without other data)."""
        return len(self.name) + len(self.algorithm) + 26 + ALGORITHMS[self.algorithm].size

    def mac(self, *parts: bytes) -> bytes:
        return hmac.digest(self.secret, b"".join(parts), ALGORITHMS[self.algorithm].digest)


class Status(StrEnum):
    """What a TSIG is worth (5.2). ``FORMERR`` is not a TSIG error: the record itself is broken."""

    VALID = "valid"
    BADKEY = "badkey"
    BADSIG = "badsig"
    BADTIME = "badtime"
    BADTRUNC = "badtrunc"
    FORMERR = "formerr"


_ERROR = {Status.BADKEY: BADKEY, Status.BADSIG: BADSIG, Status.BADTIME: BADTIME, Status.BADTRUNC: BADTRUNC}


class TsigRecord(NamedTuple):
    """The fields of a TSIG record (4.2); names lower-cased."""

    name: bytes
    algorithm: bytes
    time_signed: int
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """What ``verify`` found. ``key`` is set unless BADKEY or FORMERR; ``record`` unless FORMERR."""

    status: Status
    key: Key | None
    record: TsigRecord | None

    @property
    def mac(self) -> bytes:
        """The request's MAC, which goes into that of the answer (5.3)."""
        return self.record.mac if self.record is not None else b""

    @property
    def signature(self) -> Signature:
        """What ``zone.access.decide`` wants to know."""
        return Signature.VALID if self.status is Status.VALID else Signature.BAD


def verify(packet: bytes, tsig_at: int, keys: Mapping[bytes, Key], now: float, fudge_cap: int = FUDGE) -> Verified:
    """Judge a request whose TSIG record begins at ``tsig_at``, in the order of RFC 8945, 5.2: key, MAC, time, length.

    The fudge that the client asks for counts up to ``fudge_cap`` seconds.
    """
    record = parse(packet, tsig_at)
    if record is None:
        return Verified(Status.FORMERR, None, None)
    key = keys.get(record.name)
    # 5.2.1: a key that is not known, which one of a weak algorithm without opt-in, or of another algorithm, is too.
    if key is None or not key.usable or key.algorithm != record.algorithm:
        return Verified(Status.BADKEY, None, record)
    if not _length_is_possible(key, record.mac):
        return Verified(Status.FORMERR, None, None)
    return Verified(_judge(record, key, _signed_part(packet, tsig_at, record), b"", now, fudge_cap), key, record)


def _length_is_possible(key: Key, mac: bytes) -> bool:
    """5.2.2.1: a MAC longer than the hash, or shorter than half of it or 10 octets, is FORMERR."""
    size = ALGORITHMS[key.algorithm].size
    return max(10, size // 2) <= len(mac) <= size


def _judge(
    record: TsigRecord, key: Key, signed: bytes, prefix: bytes, now: float, fudge_cap: int, timers_only: bool = False
) -> Status:
    variables = _timers(record.time_signed, record.fudge) if timers_only else _variables(record)
    mac = key.mac(prefix, signed, variables)
    if not hmac.compare_digest(mac[: len(record.mac)], record.mac):
        return Status.BADSIG
    if abs(int(now) - record.time_signed) > min(record.fudge, fudge_cap):
        return Status.BADTIME
    # 5.2.4: the time is judged before the truncation.
    return Status.VALID if len(record.mac) == len(mac) else Status.BADTRUNC


def _signed_part(packet: bytes, tsig_at: int, record: TsigRecord) -> bytes:
    """4.3.2: the message without its TSIG, ARCOUNT one less, with the original ID."""
    additional = int.from_bytes(packet[10:12], "big") - 1
    return b"".join(
        (record.original_id.to_bytes(2, "big"), packet[2:10], additional.to_bytes(2, "big"), packet[12:tsig_at])
    )


def _variables(record: TsigRecord) -> bytes:
    """4.3.3: names in canonical form, class ANY, TTL 0."""
    return b"".join(
        (
            record.name,
            b"\x00\xff\x00\x00\x00\x00",
            record.algorithm,
            _timers(record.time_signed, record.fudge),
            struct.pack(">HH", record.error, len(record.other)),
            record.other,
        )
    )


def _timers(time_signed: int, fudge: int) -> bytes:
    return struct.pack(">HIH", time_signed >> 32, time_signed & 0xFFFFFFFF, fudge)


def _prior(mac: bytes) -> bytes:
    """4.3.1: the MAC of the request, or of the message before, with its length."""
    return len(mac).to_bytes(2, "big") + mac


def parse(packet: bytes, at: int) -> TsigRecord | None:
    """The TSIG record at ``at``; None when it is broken, not the last, not of class ANY, or its TTL is not 0 (5.2)."""
    try:
        name, at = _read_name(packet, at)
        rtype, rclass, ttl, length = _FIXED.unpack_from(packet, at)
        at += 10
        if (rtype, rclass, ttl) != (TSIG, _ANY, 0) or at + length != len(packet) or packet[10:12] == b"\0\0":
            return None
        start = at
        algorithm, at = _read_name(packet, at)
        high, low, fudge, mac_size = struct.unpack_from(">HIHH", packet, at)
        # 4.2: the algorithm's name must not be compressed.
        if at - start != len(algorithm):
            return None
        at += 10
        mac = packet[at : at + mac_size]
        original_id, error, other_size = struct.unpack_from(">HHH", packet, at + mac_size)
        at += mac_size + 6
    except (struct.error, IndexError, ValueError):
        return None
    if at + other_size != len(packet):
        return None
    return TsigRecord(name, algorithm, high << 32 | low, fudge, mac, original_id, error, packet[at:])


def _read_name(packet: bytes, at: int) -> tuple[bytes, int]:
    """(lower-cased name, where it ends). Pointers go strictly backwards; raises ValueError or IndexError."""
    parts: list[bytes] = []
    size, end, before = 1, 0, at
    while length := packet[at]:
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | packet[at + 1]
            end = end or at + 2
            if target >= before:
                raise ValueError("a compression pointer that does not go back")
            before = at = target
            continue
        size += length + 1
        if length > 63 or size > names.MAX_NAME or at + length >= len(packet):
            raise ValueError("a name that is broken")
        parts.append(packet[at : at + length + 1])
        at += length + 1
    return b"".join(parts).lower() + names.ROOT, end or at + 1


def find(packet: bytes) -> int | None:
    """Where the last additional record begins if it is a TSIG, else None; ValueError for a broken message."""
    try:
        _, _, questions, *counts = _HEADER.unpack_from(packet)
        at, last = 12, None
        for _ in range(questions):
            at = _skip_name(packet, at) + 4
        for _ in range(sum(counts)):
            last = at
            at = _skip_name(packet, at)
            rtype, _, _, length = _FIXED.unpack_from(packet, at)
            at += 10 + length
    except (struct.error, IndexError):
        raise ValueError("a message that is cut off") from None
    if at != len(packet):
        raise ValueError("a message with something after its end" if at < len(packet) else "a message that is cut off")
    return last if counts[2] and rtype == TSIG else None


def _skip_name(packet: bytes, at: int) -> int:
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        at += length + 1
    return at + 1


def _record(key_name: bytes, rdata: bytes) -> bytes:
    return key_name + _FIXED.pack(TSIG, _ANY, 0, len(rdata)) + rdata


def _rdata(record: TsigRecord) -> bytes:
    return b"".join(
        (
            record.algorithm,
            _timers(record.time_signed, record.fudge),
            _prior(record.mac),
            struct.pack(">HHH", record.original_id, record.error, len(record.other)),
            record.other,
        )
    )


def _append(message: bytes, record: TsigRecord) -> bytes:
    additional = int.from_bytes(message[10:12], "big") + 1
    return message[:10] + additional.to_bytes(2, "big") + message[12:] + _record(record.name, _rdata(record))


def _unsigned(message: bytes, key: Key, now: float, error: int = 0, other: bytes = b"") -> TsigRecord:
    message_id = int.from_bytes(message[:2], "big")
    return TsigRecord(key.name, key.algorithm, int(now) & _SECONDS, FUDGE, b"", message_id, error, other)


def sign(message: bytes, key: Key, request_mac: bytes, now: float) -> bytes:
    """The answer with its TSIG (5.3); ``request_mac``: that of the request that it answers."""
    record = _unsigned(message, key, now)
    return _append(message, record._replace(mac=key.mac(_prior(request_mac), message, _variables(record))))


def sign_request(message: bytes, key: Key, now: float) -> tuple[bytes, bytes]:
    """(the request with its TSIG, its MAC, which the answer's verification needs) (5.1)."""
    record = _unsigned(message, key, now)
    mac = key.mac(message, _variables(record))
    return _append(message, record._replace(mac=mac)), mac


class StreamSigner:
    """Signs the messages of one answer in order: a transfer. Every one is signed (5.3.1)."""

    def __init__(self, key: Key, request_mac: bytes) -> None:
        self._key = key
        self._mac = request_mac
        self._first = True

    def sign(self, message: bytes, now: float) -> bytes:
        """The message with its TSIG; the first as any answer, those after it with the MAC before and the timers."""
        record = _unsigned(message, self._key, now)
        variables = _variables(record) if self._first else _timers(record.time_signed, record.fudge)
        self._first = False
        self._mac = self._key.mac(_prior(self._mac), message, variables)
        return _append(message, record._replace(mac=self._mac))


def error_reply(packet: bytes, question: bytes, verified: Verified, now: float, opt: bytes = b"") -> bytes:
    """The answer to a request whose TSIG failed: NOTAUTH with the TSIG error, FORMERR for a broken record (R5).

    BADKEY and BADSIG go unsigned (5.3.2), BADTIME signed with the client's time and, as other data, the server's
    (5.2.3), BADTRUNC signed (5.2.4). ``packet``: the request, of which ID and flags are taken; ``question``: as sent,
    may be empty; ``opt``: an OPT record to add, or empty.
    """
    message_id, flags = struct.unpack_from(">HH", packet)
    rcode = FORMERR if verified.status is Status.FORMERR else NOTAUTH
    # QR; of the request's: opcode and RD.
    flags = 0x8000 | flags & 0x7900 | rcode
    message = _HEADER.pack(message_id, flags, bool(question), 0, 0, bool(opt)) + question + opt
    asked = verified.record
    if asked is None or verified.status is Status.VALID:
        return message
    answer = asked._replace(
        time_signed=int(now) & _SECONDS, fudge=FUDGE, mac=b"", original_id=message_id, error=_ERROR[verified.status],
        other=b"",
    )  # fmt: skip
    if verified.status is Status.BADTIME:
        answer = answer._replace(time_signed=asked.time_signed, other=(int(now) & _SECONDS).to_bytes(6, "big"))
    if verified.status in (Status.BADTIME, Status.BADTRUNC) and verified.key is not None:
        answer = answer._replace(mac=verified.key.mac(_prior(asked.mac), message, _variables(answer)))
    return _append(message, answer)


class Unauthentic(DnsServerError):
    """A peer's answer that is not to be believed.

    ``reason``: ``unsigned``, ``formerr``, ``badkey``, ``badsig``, ``badtime``, ``badtrunc`` (what is wrong with it), or
    ``peer-badkey``, ``peer-badsig``, ``peer-badtime``, ``peer-badtrunc``, ``peer-error`` (what the peer says of our
    request; without a MAC, as the first two always are, that is not authenticated, 5.3.2).
    """

    code = "unauthentic"

    def __init__(self, reason: str) -> None:
        super().__init__(f"TSIG of the answer: {reason}")
        self.reason = reason


class ResponseVerifier:
    """Verifies the answer to one signed request: a single message, or all of a transfer in order (5.3.1, 5.4).

    The first and the last message are signed, with at most 99 unsigned ones in between: whoever reads a transfer
    feeds each message and, before it believes the whole, calls ``finish``.
    """

    MAX_UNSIGNED = 99

    def __init__(self, key: Key, request_mac: bytes, fudge_cap: int = FUDGE) -> None:
        self._key = key
        self._mac = request_mac
        self._fudge_cap = fudge_cap
        self._first = True
        self._pending: list[bytes] = []

    def feed(self, packet: bytes, tsig_at: int | None, now: float) -> None:
        """Take the next message, its TSIG at ``tsig_at`` (see ``find``); raises Unauthentic."""
        if tsig_at is None:
            if self._first or len(self._pending) == self.MAX_UNSIGNED:
                raise Unauthentic("unsigned")
            self._pending.append(packet)
            return
        record = parse(packet, tsig_at)
        if record is None:
            raise Unauthentic("formerr")
        # 5.3.2 wants a BADTIME signed, but NSD's is not.
        if record.error and not record.mac:
            raise Unauthentic(_PEER_SAYS.get(record.error, "peer-error"))
        if (record.name, record.algorithm) != (self._key.name, self._key.algorithm):
            raise Unauthentic("badkey")
        if not _length_is_possible(self._key, record.mac):
            raise Unauthentic("formerr")
        prefix = b"".join((_prior(self._mac), *self._pending))
        signed = _signed_part(packet, tsig_at, record)
        status = _judge(record, self._key, signed, prefix, now, self._fudge_cap, timers_only=not self._first)
        if status is not Status.VALID:
            raise Unauthentic(str(status))
        if record.error:
            raise Unauthentic(_PEER_SAYS.get(record.error, "peer-error"))
        self._mac, self._first, self._pending = record.mac, False, []

    def finish(self) -> None:
        """The answer is whole; raises Unauthentic when its last message was not signed."""
        if self._first or self._pending:
            raise Unauthentic("unsigned")


_PEER_SAYS = {error: f"peer-{status}" for status, error in _ERROR.items()}


def verify_answer(packet: bytes, key: Key, request_mac: bytes, now: float, fudge_cap: int = FUDGE) -> None:
    """Verify an answer of one message to a request that ``sign_request`` signed; raises Unauthentic."""
    try:
        tsig_at = find(packet)
    except ValueError:
        raise Unauthentic("formerr") from None
    ResponseVerifier(key, request_mac, fudge_cap).feed(packet, tsig_at, now)
