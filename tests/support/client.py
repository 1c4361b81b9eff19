"""A DNS client for the tests, on dnspython: what a stranger to dnsserver's own code would ask and see."""

from __future__ import annotations

import hashlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
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
    text: str

    def __str__(self) -> str:
        return f"{self.owner} {self.ttl} {self.type} {self.text}"


def rows_of(rrsets: list[dns.rrset.RRset]) -> list[Row]:
    found = []
    for rrset in rrsets:
        owner, kind = rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype)
        for rdata in rrset:
            wire = rdata.to_digestable(dns.name.root)
            # The text is for people; comparisons must not depend on its case.
            found.append(Row(owner, rrset.ttl, kind, wire, rdata.to_text().lower()))
    return found


def ask(
    server: Endpoint, name: str, kind: str, *, tcp: bool = False, dnssec: bool = False, edns: bool = True,
    key: TsigKey | None = None, timeout: float = 3, tries: int = 3,
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


def udp_exchange(server: Endpoint, wire: bytes, timeout: float = 3, tries: int = 3) -> bytes:
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


def tcp_exchange(server: Endpoint, wire: bytes, timeout: float = 3) -> bytes:
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
        message = _parse(
            wire, keyring=query.keyring, request_mac=query.mac, xfr=True, tsig_ctx=context, multi=True,
            one_rr_per_rrset=True,
        )  # fmt: skip
        context = message.tsig_ctx
        if message.rcode() != dns.rcode.NOERROR:
            raise Refused(dns.rcode.to_text(message.rcode()), message)
        if key and not message.had_tsig:
            raise Refused("unsigned message in a signed transfer", message)
        rows += rows_of(message.answer)
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


def serial(server: Endpoint, zone: str, timeout: float = 1, tries: int = 1) -> int | None:
    """What a server says when it is asked for the SOA; None when it has none."""
    reply = ask(server, zone, "SOA", timeout=timeout, tries=tries)
    rows = rows_of(reply.answer)
    return serial_of(rows) if rows else None


def digest(rows: list[Row]) -> str:
    """A fingerprint of contents, to find two contents under one serial."""
    return hashlib.sha256(repr([row[:4] for row in rows]).encode()).hexdigest()


def difference(ours: list[Row], theirs: list[Row]) -> str:
    """What one has and the other has not, for people."""
    missing, extra = set(ours) - set(theirs), set(theirs) - set(ours)
    return "\n".join(
        [*(f"missing there: {row}" for row in sorted(missing)), *(f"only there: {row}" for row in sorted(extra))]
    )
