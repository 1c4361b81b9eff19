"""Transfers as a primary sends them, good and bad, built octet by octet, and a machine run over them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.renderer
import dns.rrset

from dnsserver.protocol import xfrin
from dnsserver.protocol.tsig import Key, StreamSigner
from dnsserver.protocol.xfrin import Asked, BadTransfer, TransferIn, TransferLimits
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AAAA, CNAME, MX, NS, SOA, SRV, TXT, A

NOW = 1_700_000_000.0
APEX = names.from_text("example.com.")
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)
ID = 4711
RESPONSE = 0x8400


def name(text: str, origin: bytes = APEX) -> bytes:
    return names.from_text(text, origin)


def soa(serial: int, *, ttl: int = 3600, owner: bytes = APEX, mname: str = "ns1") -> Record:
    timers = struct.pack(">IIIII", serial, 3600, 600, 86400, 300)
    return Record(owner, SOA, ttl, name(mname) + name("hostmaster") + timers)


def address(owner: str, number: int, ttl: int = 300) -> Record:
    return Record(name(owner), A, ttl, struct.pack(">I", 0x0A000000 + number))


NEW, OLD = soa(9), soa(7)
ZONE = [
    Record(APEX, NS, 3600, name("ns1")),
    Record(APEX, NS, 3600, name("ns.example.net.")),
    Record(APEX, MX, 3600, b"\x00\x0a" + name("mail")),
    address("ns1", 1),
    Record(name("ns1"), AAAA, 300, bytes(15) + b"\x01"),
    address("mail", 2),
    Record(name("WWW"), CNAME, 300, name("web.eu")),
    address("web.eu", 3),
    Record(name("web.eu"), TXT, 60, b"\x05hello\x05world"),
    Record(name("_sip._tcp"), SRV, 60, b"\x00\x01\x00\x02\x13\xc4" + name("sip.example.net.")),
    Record(name("x"), 65280, 60, b"\xc0\x0c\xff"),
]
WHOLE = [NEW, *ZONE, NEW]


def wire(records: Iterable[Record]) -> bytes:
    return b"".join([record.wire for record in records])


def raw(owner: bytes, rtype: int, rdata: bytes, *, ttl: int = 60, rclass: int = 1, size: int | None = None) -> bytes:
    """A record of any octets; ``size``: an RDLENGTH that lies."""
    return owner + struct.pack(">HHIH", rtype, rclass, ttl, len(rdata) if size is None else size) + rdata


def ask(serial: int | None = None, key: Key | None = None) -> Asked:
    """What asked for an AXFR, or for an IXFR from a serial."""
    old = soa(serial) if serial is not None else None
    return xfrin.build(APEX, ID, old, key, NOW, full=False)[1]


@dataclass(frozen=True)
class Message:
    """One message: answer octets and their count, and what may be wrong with it."""

    octets: bytes
    count: int
    flags: int = RESPONSE
    message_id: int = ID
    question: bytes | None = None
    questions: int | None = None
    authority: bytes = b""
    authorities: int = 0
    additional: bytes = b""
    additionals: int = 0

    def bytes(self, asked: Asked) -> bytes:
        question = asked.question if self.question is None else self.question
        questions = bool(question) if self.questions is None else self.questions
        counts = (questions, self.count, self.authorities, self.additionals)
        head = struct.pack(">HHHHHH", self.message_id, self.flags, *counts)
        return head + question + self.octets + self.authority + self.additional


def answer(records: Sequence[Record | bytes], **how: object) -> Message:
    """A message of these records, or octets of one, without compression."""
    octets = b"".join([record if isinstance(record, bytes) else record.wire for record in records])
    return Message(octets, len(records), **how)  # type: ignore[arg-type]


def compressed(asked: Asked, records: Iterable[Record], size: int = 16384) -> list[bytes]:
    """Messages of at most ``size`` octets as dnspython compresses them."""
    made: list[bytes] = []
    renderer: Any = None
    question = dns.message.from_wire(struct.pack(">HHHHHH", ID, 0, 1, 0, 0, 0) + asked.question).question[0]
    for record in records:
        owner = dns.name.from_wire(record.owner, 0)[0]
        rdata = dns.rdata.from_wire("IN", dns.rdatatype.RdataType.make(record.type), record.rdata, 0, len(record.rdata))
        rrset = dns.rrset.from_rdata(owner, record.ttl, rdata)
        if renderer is None or len(renderer.output.getvalue()) + len(record.wire) > size:
            made += _done(renderer)
            renderer = dns.renderer.Renderer(ID, RESPONSE, 65535)  # type: ignore[no-untyped-call]
            renderer.add_question(question.name, question.rdtype, question.rdclass)
        renderer.add_rrset(dns.renderer.ANSWER, rrset)
    return made + _done(renderer)


def _done(renderer: Any) -> list[bytes]:
    if renderer is None:
        return []
    renderer.write_header()
    return [renderer.get_wire()]


def signed(messages: Iterable[bytes], asked: Asked, *, key: Key = KEY, now: float = NOW) -> list[bytes]:
    signer = StreamSigner(key, asked.mac)
    return [signer.sign(message, now) for message in messages]


class Outcome(NamedTuple):
    """What a whole transfer gave."""

    kind: str | None
    records: list[Record]
    changes: Changeset | None
    machine: TransferIn


def run(
    messages: Iterable[bytes], asked: Asked, *, limits: TransferLimits | None = None, tcp: bool = True, now: float = NOW
) -> Outcome:
    """Feeds all and finishes; raises BadTransfer."""
    machine = TransferIn(asked, limits if limits is not None else TransferLimits(), tcp=tcp)
    records: list[Record] = []
    for message in messages:
        machine.feed(message, now)
        records += machine.take()
    machine.finish()
    return Outcome(machine.kind, records, machine.changeset() if machine.kind == "ixfr" else None, machine)


def reason(messages: Iterable[bytes], asked: Asked, **how: object) -> str | None:
    """Why it is not taken; None when it is."""
    try:
        run(messages, asked, **how)  # type: ignore[arg-type]
    except BadTransfer as error:
        return error.failure.reason
    return None


@dataclass(frozen=True)
class Case:
    """``what`` goes wrong, or right; ``reason``: of the failure, None for a good one of ``kind``."""

    what: str
    messages: Sequence[Message]
    reason: str | None = None
    kind: str | None = "axfr"
    serial: int | None = None
    detail: str = ""
    tcp: bool = True
    limits: TransferLimits = field(default_factory=TransferLimits)

    def __str__(self) -> str:
        return self.what.replace(" ", "-")
