"""Transfers out: who asks is judged (R1 to R5), what is granted becomes a stream of whole DNS messages.

AXFR by RFC 5936, IXFR by RFC 1995. A granted transfer keeps the blocks of the image it began with, so that it is one
coherent version however the zone changes meanwhile. Every message repeats the question, which is what owners point at
(offset 12).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from dnsserver.protocol import edns, message, tsig
from dnsserver.protocol.edns import Ede
from dnsserver.protocol.outcome import Peer, Refusal, Reply
from dnsserver.protocol.query import AA, HEADER, HEADER_SIZE, QR, RD, TC, Query, Rcode
from dnsserver.protocol.server import CACHED_TRANSFER, AnswerLimits, Messages, ServerState, View
from dnsserver.protocol.tsig import Key, Status, StreamSigner, Verified
from dnsserver.zone.access import Decision, Signature, decide
from dnsserver.zone.blob import POINTER
from dnsserver.zone.blocks import Block
from dnsserver.zone.changeset import Difference, identity
from dnsserver.zone.image import Image
from dnsserver.zone.records import IN, Record, soa_serial, split
from dnsserver.zone.rrtypes import AXFR
from dnsserver.zone.serial import is_ahead, is_incomparable

# An IXFR below this is sent as one, whatever the share of the AXFR (LIMITS, ixfr-max-ratio).
RATIO_COUNTS_FROM = 64 * 1024
_TICKET_DIGITS = 6

_RR = struct.Struct(">HHIH")
# Records in wire form, and how many.
Piece = tuple[int, bytes]


def answer_transfer(
    state: ServerState, query: Query, peer: Peer, verified: Verified | None, now: float, options: bytes = b""
) -> Reply | TransferOut:
    """Judge a request for AXFR or IXFR; what it answers is signed where the request was.

    ``verified``: its TSIG, None where it has none; ``options``: EDNS options that the answer must carry (a cookie).
    """
    desk = _Desk(state.limits, query, peer, verified, now, options)
    # RFC 8945, 5.2: the signature is judged before anything else.
    if verified is not None and verified.status is not Status.VALID:
        return desk.bad_signature(verified)
    if query.qtype == AXFR and not peer.tcp:
        return desk.refuse(Rcode.FORMERR, "axfr-over-udp")  # R5; RFC 5936, 4.2
    if query.qtype != AXFR and query.ixfr_serial is None:
        return desk.refuse(Rcode.FORMERR, "ixfr-without-serial")  # RFC 1995, 3
    view = state.zones.get(query.name)
    if view is None or query.qclass != IN:
        return desk.refuse(Rcode.NOTAUTH, "zone-not-here", Ede.NOT_AUTHORITATIVE)  # R5; RFC 5936, 2.2.1
    decision = decide(
        role=view.meta.role,
        lists=state.access,
        zone_entries=view.meta.access,
        address=ip_address(peer.address),
        signature=Signature.UNSIGNED if verified is None else verified.signature,
        key=desk.key_name,
    )
    if not decision.allowed:
        return desk.refuse(Rcode.REFUSED, decision.reason, Ede.PROHIBITED, view)
    if view.meta.suspended:
        return desk.refuse(Rcode.REFUSED, "suspended", Ede.PROHIBITED, view)
    if view.served is None:
        reason = "expired" if view.meta.expired else "no-contents"
        return desk.refuse(Rcode.SERVFAIL, reason, Ede.NOT_READY, view)  # R11
    options += edns.expire(query.edns, state.expire(view, view.served))
    return TransferOut(replace(desk, options=options), state, view, view.served, decision)


def ticket(key: bytes, zone: bytes, address: str, reason: str) -> str:
    """What a refusal's EDE and its log line have in common: a keyed hash of zone, source prefix and reason."""
    ip = ip_address(address)
    prefix = ip_network((ip.packed, 24 if ip.version == 4 else 56), strict=False)
    text = b"\0".join((zone.lower(), str(prefix).encode(), reason.encode()))
    return hashlib.blake2b(text, key=key[:64], digest_size=16).hexdigest()[:_TICKET_DIGITS]


@dataclass(frozen=True, slots=True)
class _Desk:
    """One request, and how it is answered."""

    limits: AnswerLimits
    query: Query
    peer: Peer
    verified: Verified | None
    now: float
    options: bytes

    @property
    def key(self) -> Key | None:
        return self.verified.key if self.verified is not None else None

    @property
    def key_name(self) -> bytes | None:
        """The key that signed the request, or is said to have."""
        record = self.verified.record if self.verified is not None else None
        return record.name if record is not None else None

    def opt(self) -> bytes:
        """The OPT record of the answer; none where the request had none (RFC 6891, 7)."""
        asked = self.query.edns
        return b"" if asked is None else edns.opt(self.limits.udp_payload, 0, asked.do, self.options)

    def message_room(self) -> int:
        """Octets for records in a message of a transfer, the OPT included."""
        return self.limits.transfer_message - HEADER_SIZE - len(self.query.question) - _tsig_room(self.key)

    def difference_key(self, serial: int) -> tuple[object, ...]:
        """What the messages of an IXFR go by, beside the zone's version."""
        return serial, self.query.qname, self.message_room(), len(self.opt())

    def signed(self, wire: bytes, now: float) -> bytes:
        if self.verified is None or self.verified.key is None:
            return wire
        return tsig.sign(wire, self.verified.key, self.verified.mac, now)

    def error(self, rcode: int, now: float, ede: Ede | None = None, text: str = "") -> bytes:
        payload = self.limits.udp_payload
        return self.signed(message.error(self.query, rcode, ede, text, payload=payload, options=self.options), now)

    def refuse(self, rcode: int, reason: str, ede: Ede | None = None, view: View | None = None) -> Reply:
        """An error RCODE, for the log too (R7); the ticket of a denial stands in both, the reason in the log alone."""
        number = ticket(self.limits.ticket_key, self.query.name, self.peer.address, reason)
        refusal = Refusal(self.query.name, self.key_name, reason, number)
        text = f"ticket {number}" if ede is Ede.PROHIBITED else ""
        return Reply(self.error(rcode, self.now, ede, text), view, refusal=refusal)

    def bad_signature(self, verified: Verified) -> Reply:
        query = self.query
        ident = query.id.to_bytes(2, "big") + query.flags.to_bytes(2, "big")
        wire = tsig.error_reply(ident, query.question, verified, self.now, self.opt())
        reason = str(verified.status)
        number = ticket(self.limits.ticket_key, query.name, self.peer.address, reason)
        return Reply(wire, refusal=Refusal(query.name, self.key_name, reason, number))


class TransferOut:
    """A transfer that is granted. ``kind``: what is asked, "axfr" or "ixfr"; ``client_serial``: None for AXFR.

    It holds the blocks of the version it was granted at. Where ``needs_chain``, the changes from ``client_serial`` to
    ``version`` are looked up elsewhere, then ``plan`` says how it goes.
    """

    __slots__ = (
        "_blocks", "_chain", "_desk", "_known", "_largest", "_size", "client_serial", "decision", "is_tcp", "kind",
        "needs_chain", "peer", "serial", "soa", "version", "view",
    )  # fmt: skip

    def __init__(self, desk: _Desk, state: ServerState, view: View, image: Image, decision: Decision) -> None:
        query = desk.query
        self._desk = desk
        self.view = view
        self.peer = desk.peer
        self.is_tcp = desk.peer.tcp
        self.decision = decision
        self.soa = image.soa
        self.version = image.version
        self.serial = image.serial
        self.kind = "axfr" if query.qtype == AXFR else "ixfr"
        self.client_serial = None if query.qtype == AXFR else query.ixfr_serial
        self._known: Messages | None = None
        self._chain: list[bytes] | None = None
        self.needs_chain = self._wants_chain(desk.limits)
        if self.needs_chain and self.client_serial is not None:
            self._known = view.difference(desk.difference_key(self.client_serial)) if self.is_tcp else None
            self._chain = state.recent.chain(view.zone_id, self.client_serial, self.version)
            self.needs_chain = self._known is None and self._chain is None
        self._size = image.wire_size
        self._largest = image.largest_chunk
        self._blocks = image.blocks() if self.is_tcp and not self._is_current() else ()

    @property
    def key(self) -> bytes | None:
        """The key that signed the request."""
        return self._desk.key_name

    def _is_current(self) -> bool:
        """RFC 1995, 2: a client of the same or a newer serial gets the single current SOA."""
        client = self.client_serial
        if client is None or is_incomparable(client, self.serial):
            return False
        return not is_ahead(self.serial, client)

    def _wants_chain(self, limits: AnswerLimits) -> bool:
        if self.client_serial is None or self._is_current() or is_incomparable(self.client_serial, self.serial):
            return False
        if not limits.ixfr or self.view.meta.ixfr == "off":
            return False
        # R13: over UDP an unsigned request gets the current SOA alone unless the zone allows more.
        return self.is_tcp or self.key is not None or self.view.meta.ixfr == "udp"

    def plan(self, found: Difference | None = None) -> TransferPlan:
        """How it goes; ``found``: where ``needs_chain``, what leads from ``client_serial`` to ``version``, None where
        that is not to be had.
        """
        desk, soa = self._desk, self.soa
        if self._is_current():
            return TransferPlan(desk, "soa", None, soa)
        if self._known is not None:
            return TransferPlan(desk, "ixfr", self.client_serial, soa, packed=self._known)
        if self._chain is not None:
            found = Difference.of(self._chain)
        elif not self.needs_chain:
            found = None
        if found is not None and self._is_sent(found):
            pieces = _ixfr(desk.query.qname, soa, found)
            view = self.view if found.size <= CACHED_TRANSFER else None
            return TransferPlan(desk, "ixfr", self.client_serial, soa, pieces, keep=view)
        if not self.is_tcp:
            # RFC 1995, 2: "If the UDP reply does not fit, the query is responded to with a single SOA record".
            return TransferPlan(desk, "soa", None, soa)
        if self._largest > _room(desk) and _largest(self._blocks) > _room(desk):
            return TransferPlan(desk, "failed", None, soa)
        return TransferPlan(desk, "axfr", None, soa, _axfr(desk.query.qname, soa, self._blocks))

    def _is_sent(self, found: Difference) -> bool:
        """Whether it is what was asked for, and worth it; else it is AXFR."""
        if soa_serial(found.old_soa.rdata) != self.client_serial or identity(found.new_soa) != identity(self.soa):
            return False
        ratio = self._desk.limits.ixfr_max_ratio
        is_too_large = ratio is not None and found.size > max(RATIO_COUNTS_FROM, self._size * ratio)
        return not is_too_large and found.largest <= _room(self._desk)

    def busy_reply(self, now: float) -> bytes:
        """SERVFAIL: too many transfers wait already (LIMITS, max-transfers-waiting)."""
        return self._desk.error(Rcode.SERVFAIL, now, Ede.NOT_READY)


class TransferPlan:
    """A transfer as it goes: ``kind`` "axfr", "ixfr", "soa" (the single current one) or "failed".

    ``from_serial``: the client's, of an IXFR; else None. A plan is sent once. ``packed``: what its messages are made
    of, where that is known; else it is made of ``pieces``, and ``keep`` keeps it.
    """

    __slots__ = ("_desk", "_keep", "_packed", "_pieces", "_soa", "from_serial", "kind")

    def __init__(
        self, desk: _Desk, kind: str, from_serial: int | None, soa: Record, pieces: Iterable[Piece] = (),
        *, packed: Messages | None = None, keep: View | None = None,
    ) -> None:  # fmt: skip
        self.kind = kind
        self._packed = packed
        self._keep = keep
        self.from_serial = from_serial
        self._desk = desk
        self._soa = soa
        self._pieces = pieces

    def messages(self, clock: Callable[[], float]) -> Iterator[bytes]:
        """Whole DNS messages for TCP, without their lengths; each is signed at the time it is taken (RFC 8945, 5.3.1).

        Each is as full as ``transfer_message`` allows; a record that is larger has one of its own. A zone with a
        record that fits no message is answered SERVFAIL.
        """
        if self.kind == "failed":
            yield self._desk.error(Rcode.SERVFAIL, clock(), Ede.INVALID_DATA)
            return
        desk, key = self._desk, self._desk.key
        signer = StreamSigner(key, self._desk.verified.mac) if key and self._desk.verified else None
        opt = desk.opt()
        pieces = self._pieces if self.kind != "soa" else (_single(desk, self._soa),)
        made: list[Piece] = []
        for piece in self._packed or _packed(pieces, desk.message_room(), len(opt)):
            wire = _message(desk.query, *piece, opt)
            yield wire if signer is None else signer.sign(wire, clock())
            opt = b""  # RFC 5936, 2.2.5: in the first message
            if self._keep is not None:
                made.append(piece)
        if self._keep is not None and self.from_serial is not None:
            self._keep.keep_difference(desk.difference_key(self.from_serial), tuple(made))

    def datagram(self, now: float) -> bytes:
        """The one message of an answer over UDP: what does not fit is the single current SOA, TC clear."""
        desk = self._desk
        offered = desk.query.edns.size if desk.query.edns is not None else None
        opt = desk.opt()
        limit = edns.size_limit(offered, desk.limits.udp_payload, False)
        limit -= HEADER_SIZE + len(desk.query.question) + len(opt) + _tsig_room(desk.key)
        if self.kind == "ixfr":
            whole = _up_to(self._pieces, limit)
            if whole is not None:
                return desk.signed(_message(desk.query, *whole, opt), now)
            self.kind, self.from_serial = "soa", None
        count, octets = _single(desk, self._soa)
        if len(octets) > limit:
            return desk.signed(_message(desk.query, 0, b"", opt, TC), now)
        return desk.signed(_message(desk.query, count, octets, opt), now)


def _tsig_room(key: Key | None) -> int:
    return key.record_size if key is not None else 0


def _room(desk: _Desk) -> int:
    """Octets for records in the largest message there is, an OPT without options included."""
    return 65535 - HEADER_SIZE - len(desk.query.question) - len(desk.opt()) - _tsig_room(desk.key)


def _largest(blocks: tuple[Block, ...]) -> int:
    return max(len(octets) for block in blocks for _, octets in block.chunks)


def _message(query: Query, count: int, octets: bytes, opt: bytes, flags: int = 0) -> bytes:
    head = HEADER.pack(query.id, QR | AA | query.flags & RD | flags, 1, count, 0, bool(opt))
    return b"".join((head, query.question, octets, opt))


def _packed(pieces: Iterable[Piece], limit: int, reserved: int) -> Iterator[Piece]:
    """Pieces joined up to ``limit`` octets, ``reserved`` fewer in the first; a larger record stays alone.

    A piece that does not fit fills the message record by record: each is as full as it can be.
    """
    pending: list[bytes] = []
    total, room = 0, limit - reserved
    for piece in pieces:
        for count, octets in (piece,) if piece[0] == 1 or len(piece[1]) <= room else _records(piece[1]):
            if len(octets) > room and pending:
                yield total, b"".join(pending)
                pending, total, room = [], 0, limit
            pending.append(octets)
            total += count
            room -= len(octets)
    yield total, b"".join(pending)


def _records(chunk: bytes) -> Iterator[Piece]:
    """The records of a block's chunk, one by one."""
    at = 0
    while at < len(chunk):
        end = _record_end(chunk, _owner_end(chunk, at))
        yield 1, chunk[at:end]
        at = end


def _owner_end(octets: bytes, at: int) -> int:
    """Where the pointer of an owner in a chunk stands."""
    while (length := octets[at]) < 0xC0:
        at += length + 1
    return at


def _record_end(octets: bytes, pointer: int) -> int:
    return pointer + 12 + int.from_bytes(octets[pointer + 10 : pointer + 12], "big")


def _up_to(pieces: Iterable[Piece], limit: int) -> Piece | None:
    """All pieces as one, None where they are larger than ``limit``."""
    parts: list[bytes] = []
    size = 0
    for _, octets in pieces:
        parts.append(octets)
        size += len(octets)
        if size > limit:
            return None
    return len(parts), b"".join(parts)


def _wire(record: Record, qname: bytes) -> bytes:
    """The record in a message that has ``qname`` at offset 12, the case of its owner kept (RFC 5936, 3.4)."""
    owner, rtype, ttl, rdata = record
    # Owners are within the zone: one that ends in the same octets ends in the same labels.
    if owner.endswith(qname):
        owner = owner[: len(owner) - len(qname)] + POINTER
    return owner + _RR.pack(rtype, IN, ttl, len(rdata)) + rdata


def _single(desk: _Desk, soa: Record) -> Piece:
    return 1, _wire(soa, desk.query.qname)


def _axfr(qname: bytes, soa: Record, blocks: tuple[Block, ...]) -> Iterator[Piece]:
    """RFC 5936, 2.2: the SOA first and last, the zone in between."""
    first_and_last = (1, _wire(soa, qname))
    yield first_and_last
    for block in blocks:
        if qname == soa.owner:
            yield from block.chunks
        else:
            for _, octets in block.chunks:
                yield from _respelled(octets, soa.owner)
    yield first_and_last


def _respelled(octets: bytes, apex: bytes) -> Iterator[Piece]:
    """The records of a chunk, with the apex as the zone writes it, where the question has it in another case."""
    at = 0
    while at < len(octets):
        pointer = _owner_end(octets, at)
        end = _record_end(octets, pointer)
        yield 1, octets[at:pointer] + apex + octets[pointer + 2 : end]
        at = end


def _ixfr(qname: bytes, soa: Record, found: Difference) -> Iterator[Piece]:
    """RFC 1995, 4: the new SOA; the old SOA and what went; the new SOA and what came; the new SOA."""
    yield 1, _wire(soa, qname)
    shared = len(qname)
    for side in (found.removed, found.added):
        for owner, rest in split(side):
            # As ``_wire``.
            yield 1, owner[:-shared] + POINTER + rest if owner.endswith(qname) else owner + rest
    yield 1, _wire(soa, qname)
