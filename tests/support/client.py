"""A DNS client for the tests, on dnspython: what a stranger to dnsserver's own code would ask and see."""

from __future__ import annotations

import functools
import hashlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.tsig


class Endpoint(NamedTuple):
    """Where a server answers, UDP and TCP."""

    address: str
    port: int


class Refused(ConnectionError):
    """A transfer was answered with an error RCODE (``rcode``); a kind of OSError, so that a loop that waits goes on."""

    def __init__(self, rcode: str, message: dns.message.Message | None = None) -> None:
        super().__init__(rcode)
        self.rcode, self.message = rcode, message


@dataclass(frozen=True)
class TsigKey:
    """One shared secret, and how each program spells it."""

    name: str
    secret: str = field(default="c2VjcmV0IG9mIHRlc3RzIG9mIGRuc3NlcnZlciAwMDE=", repr=False)
    algorithm: str = "hmac-sha256"

    @property
    def dnspython(self) -> dns.tsig.Key:
        return dns.tsig.Key(self.name, self.secret, self.algorithm)


class Row(NamedTuple):
    """A record as it is compared between servers: owner lower-cased, rdata in canonical form (RFC 4034, 6.2)."""

    owner: str
    ttl: int
    type: str
    rdata: bytes

    def __str__(self) -> str:
        kind = dns.rdatatype.from_text(self.type)
        value = dns.rdata.from_wire("IN", kind, self.rdata, 0, len(self.rdata))
        return f"{self.owner} {self.ttl} {self.type} {value}"


# Octets before the first name in rdata, and how many names follow one another there.
_NAMES_IN = {
    "NS": (0, 1), "CNAME": (0, 1), "PTR": (0, 1), "DNAME": (0, 1), "SOA": (0, 2), "MX": (2, 1), "AFSDB": (2, 1),
    "KX": (2, 1), "RT": (2, 1), "SRV": (6, 1), "RRSIG": (18, 1),
}  # fmt: skip


def read_name(wire: bytes, at: int) -> tuple[list[bytes], int]:
    """The labels of a name, perhaps compressed (RFC 1035, 4.1.4), and where it ends."""
    labels: list[bytes] = []
    end = 0
    while length := wire[at]:
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | wire[at + 1]
            continue
        labels.append(wire[at + 1 : at + 1 + length])
        at += 1 + length
    return labels, end or at + 1


def canonical_rdata(kind: str, wire: bytes, start: int, end: int) -> bytes:
    """Names in it uncompressed and lower-cased."""
    if kind not in _NAMES_IN:
        return wire[start:end]
    before, names = _NAMES_IN[kind]
    at = start + before
    parts = [wire[start:at]]
    for _ in range(names):
        labels, at = read_name(wire, at)
        parts += [bytes([len(label)]) + label.lower() for label in labels] + [b"\0"]
    return b"".join([*parts, wire[at:end]])


def rows_of(rrsets: list[dns.rrset.RRset]) -> list[Row]:
    found = []
    for rrset in rrsets:
        owner, kind = rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype)
        for rdata in rrset:
            wire = rdata.to_wire(origin=dns.name.root)
            assert wire is not None
            found.append(Row(owner, rrset.ttl, kind, canonical_rdata(kind, wire, 0, len(wire))))
    return found


def answers_in(wire: bytes) -> list[Row]:
    """The answer section of a message; much faster than dnspython, and it keeps duplicates and order."""
    questions, answers = struct.unpack_from("!HH", wire, 4)
    at = 12
    for _ in range(questions):
        at = read_name(wire, at)[1] + 4
    found = []
    for _ in range(answers):
        labels, at = read_name(wire, at)
        kind, _, ttl, length = struct.unpack_from("!HHIH", wire, at)
        at += 10
        owner = dns.name.Name((*labels, b"")).to_text().lower()
        found.append(Row(owner, ttl, _type(kind), canonical_rdata(_type(kind), wire, at, at + length)))
        at += length
    return found


@functools.cache
def _type(number: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType(number))


def ask(
    server: Endpoint, name: str, kind: str, *, tcp: bool = False, dnssec: bool = False, edns: bool = True,
    key: TsigKey | None = None, timeout: float = 5, tries: int = 3,
) -> dns.message.Message:  # fmt: skip
    """The answer to one question (RD clear); OSError when there is none."""
    query = dns.message.make_query(name, kind, use_edns=0 if edns else False, want_dnssec=dnssec, payload=1232)
    query.flags &= ~dns.flags.RD
    if key:
        query.use_tsig(key.dnspython)
    wire = query.to_wire()
    reply = tcp_exchange(server, wire, timeout) if tcp else udp_exchange(server, wire, timeout, tries)
    return _parse(reply, keyring=query.keyring, request_mac=query.mac)


def _parse(wire: bytes, **options: Any) -> dns.message.Message:
    """As ``from_wire``, but the TSIG error of the other side (RFC 8945, 5.2) as Refused."""
    try:
        return dns.message.from_wire(wire, **options)
    except dns.tsig.PeerError as error:
        raise Refused(f"NOTAUTH {type(error).__name__.removeprefix('Peer').upper()}") from error


def udp_exchange(server: Endpoint, wire: bytes, timeout: float = 5, tries: int = 3) -> bytes:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect(server)
        for left in reversed(range(tries)):
            sock.send(wire)
            try:
                return sock.recv(65535)
            except TimeoutError:
                if not left:
                    raise
    raise AssertionError("unreachable")


def tcp_exchange(server: Endpoint, wire: bytes, timeout: float = 15) -> bytes:
    with socket.create_connection(server, timeout) as sock:
        send_tcp(sock, wire)
        return receive_tcp(sock)


def send_tcp(sock: socket.socket, wire: bytes) -> None:
    sock.sendall(struct.pack("!H", len(wire)) + wire)


def receive_tcp(sock: socket.socket) -> bytes:
    """One DNS message; EOFError when the other side ends before it is whole."""
    return exactly(sock, struct.unpack("!H", exactly(sock, 2))[0])


def exactly(sock: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        chunk = sock.recv(count - len(found))
        if not chunk:
            raise EOFError("the connection was closed")
        found += chunk
    return found


def messages_in(stream: bytes) -> Iterator[bytes]:
    """The DNS messages of all that a TCP connection brought."""
    at = 0
    while at < len(stream):
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        yield stream[at + 2 : end]
        at = end


class Transfer(NamedTuple):
    """A whole transfer as it came: its records in order (first and last SOA included), and its messages."""

    rows: list[Row]
    messages: int
    sizes: list[int]


def transfer(
    server: Endpoint, zone: str, *, serial: int | None = None, key: TsigKey | None = None, timeout: float = 15,
) -> Transfer:  # fmt: skip
    """AXFR, or IXFR from ``serial``, over TCP; Refused with the RCODE when it is denied."""
    with socket.create_connection(server, timeout) as sock:
        query = transfer_query(zone, serial, key)
        send_tcp(sock, query.to_wire())
        return read_transfer(sock, query, key)


def transfer_query(zone: str, serial: int | None = None, key: TsigKey | None = None) -> dns.message.QueryMessage:
    query = dns.message.make_query(zone, "AXFR" if serial is None else "IXFR")
    query.flags &= ~dns.flags.RD
    if serial is not None:
        soa = f". . {serial} 0 0 0 0"
        query.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", soa))
    if key:
        query.use_tsig(key.dnspython)
    return query


def read_transfer(sock: socket.socket, query: dns.message.QueryMessage, key: TsigKey | None) -> Transfer:
    """RFC 5936, 2.2 and RFC 1995, 4: messages until the first SOA has come again where it ends the transfer."""
    rows: list[Row] = []
    sizes: list[int] = []
    context = None
    while not _complete(rows):
        wire = receive_tcp(sock)
        sizes.append(len(wire))
        if key or wire[3] & 0xF:
            message = _parse(
                wire, keyring=query.keyring, request_mac=query.mac, xfr=True, tsig_ctx=context, multi=True,
                one_rr_per_rrset=True,
            )  # fmt: skip
            context = message.tsig_ctx
            if message.rcode() != dns.rcode.NOERROR:
                raise Refused(dns.rcode.to_text(message.rcode()), message)
            if key and not message.had_tsig:
                raise Refused("unsigned message in a signed transfer", message)
        rows += answers_in(wire)
        if query.question[0].rdtype == dns.rdatatype.IXFR and len(sizes) == 1 and len(rows) == 1:
            break  # the single current SOA
    return Transfer(rows, len(sizes), sizes)


def _complete(rows: list[Row]) -> bool:
    if len(rows) < 2 or rows[-1].type != "SOA" or rows[-1].rdata != rows[0].rdata:
        return False
    if rows[1].type != "SOA":
        return True  # AXFR
    # In an IXFR the newest SOA also begins the last added part: the end is its third standing.
    return sum(row.rdata == rows[0].rdata and row.type == "SOA" for row in rows) == 3


def axfr(server: Endpoint, zone: str, key: TsigKey | None = None, timeout: float = 15) -> list[Row]:
    """The zone's records, sorted, SOA once."""
    return sorted(transfer(server, zone, key=key, timeout=timeout).rows[:-1])


def serial_of(rows: list[Row]) -> int:
    """The serial in the SOA's rdata: the first of its five last words."""
    soa = next(row for row in rows if row.type == "SOA")
    return int(struct.unpack("!I", soa.rdata[-20:-16])[0])


def serial(server: Endpoint, zone: str, timeout: float = 5, tries: int = 3) -> int | None:
    """What a server says when it is asked for the SOA; None when it has none."""
    reply = ask(server, zone, "SOA", timeout=timeout, tries=tries)
    rows = rows_of(reply.answer)
    return serial_of(rows) if rows else None


def digest(rows: list[Row]) -> str:
    """A fingerprint of contents, to find two contents under one serial."""
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


def difference(ours: list[Row], theirs: list[Row]) -> str:
    """What one has and the other has not, for people."""
    missing, extra = set(ours) - set(theirs), set(theirs) - set(ours)
    return "\n".join(
        [*(f"missing there: {row}" for row in sorted(missing)), *(f"only there: {row}" for row in sorted(extra))]
    )
