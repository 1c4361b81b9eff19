"""A server with one zone, requests for its transfer, and what a secondary on dnspython makes of the answers."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.xfr
import dns.zone

from dnsserver.protocol import query as wire_query
from dnsserver.protocol import tsig
from dnsserver.protocol.outcome import Peer, Reply
from dnsserver.protocol.server import AnswerLimits, ServerState, ZoneMeta
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrout import TransferOut, answer_transfer
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Role
from dnsserver.zone.changeset import Changeset, Difference
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA, TXT, A

NOW = 1_700_000_000.0
APEX = names.from_text("example.com.")
KEYED = (AccessEntry.parse(None, "k1"),)
ANYONE = (AccessEntry.parse("0.0.0.0/0"), AccessEntry.parse("::/0"), *KEYED)
TCP, UDP = Peer("192.0.2.7", 53000, True), Peer("192.0.2.7", 53000, False)
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)


def name(text: str, apex: bytes = APEX) -> bytes:
    return names.from_text(text, apex)


def soa(serial: int, apex: bytes = APEX, ttl: int = 3600) -> Record:
    rdata = name("ns1", apex) + name("hostmaster", apex) + struct.pack(">IIIII", serial, 3600, 600, 86400, 300)
    return Record(apex, SOA, ttl, rdata)


def address(number: int) -> bytes:
    return struct.pack(">I", 0x0A000000 + number)


def ordered(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (names.key(r.owner), r.type, r.rdata))


BASE = [
    soa(7),
    Record(APEX, NS, 3600, name("ns1")),
    Record(name("ns1"), A, 300, address(1)),
    Record(name("WWW"), A, 300, address(2)),
    Record(name("a.b.c"), TXT, 60, b"\x05hello"),
]


def server(
    records: Sequence[Record] = BASE,
    *,
    access: tuple[AccessEntry, ...] = ANYONE,
    lists: AccessLists | None = None,
    role: Role = Role.PRIMARY,
    ixfr: str = "on",
    suspended: bool = False,
    expired: bool = False,
    limits: AnswerLimits | None = None,
    version: int = 1,
) -> ServerState:
    apex = next(r.owner for r in records if r.type == SOA)
    state = ServerState()
    state.access = lists or AccessLists()
    state.keys = {KEY.name: KEY}
    state.limits = limits or AnswerLimits(ticket_key=b"t" * 16)
    meta = ZoneMeta(1, apex, role, suspended=suspended, expired=expired, ixfr=ixfr, access=access)
    state.publish(meta, Image.build(apex.lower(), version, ordered(records)))
    return state


def ask(
    state: ServerState, kind: str = "AXFR", *, serial: int | None = None, peer: Peer = TCP, key: Key | None = None,
    at: float = NOW, edns: bool = False, zone: str = "example.com.", payload: int = 1232, options: bytes = b"",
) -> tuple[TransferOut | Reply, dns.message.Message]:  # fmt: skip
    """(what becomes of a request that dnspython made, that request)."""
    asked = dns.message.make_query(
        zone, kind, use_edns=0 if edns else False, payload=payload, id=0x4242, flags=0
    )  # fmt: skip
    if serial is not None:
        asked.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    packet = asked.to_wire()
    if key is not None:
        packet, mac = tsig.sign_request(packet, key, at)
        asked.request_mac = mac
    parsed = wire_query.parse(packet)
    assert isinstance(parsed, wire_query.Query)
    verified = None
    if parsed.tsig_at is not None:
        verified = tsig.verify(packet, parsed.tsig_at, state.keys, NOW)
    return answer_transfer(state, parsed, peer, verified, NOW, options), asked


def granted(outcome: TransferOut | Reply) -> TransferOut:
    assert isinstance(outcome, TransferOut), outcome
    return outcome


def refused(outcome: TransferOut | Reply) -> tuple[dns.message.Message, Reply]:
    assert isinstance(outcome, Reply), outcome
    return dns.message.from_wire(outcome.wire, keyring=False), outcome


def diff(chain: Sequence[Changeset] | None) -> Difference | None:
    """What the keeper makes of a chain."""
    return Difference.of([step.encode() for step in chain]) if chain else None


def messages(outcome: TransferOut | Reply, chain: Sequence[Changeset] | None = None) -> list[bytes]:
    return list(granted(outcome).plan(diff(chain)).messages(lambda: NOW))


def read(wires: Sequence[bytes]) -> list[Record]:
    """All records of the answers, in order, by dnspython's parser."""
    found = []
    for wire in wires:
        assert len(wire) <= 65535
        message = dns.message.from_wire(wire, keyring=False, xfr=True, one_rr_per_rrset=True)
        assert message.rcode() == dns.rcode.NOERROR
        assert message.flags & (dns.flags.QR | dns.flags.AA) == dns.flags.QR | dns.flags.AA
        assert not message.flags & dns.flags.TC
        for rrset in message.answer:
            owner, rdata = rrset.name.to_wire(), rrset[0].to_wire()
            assert owner is not None
            found.append(Record(owner, int(rrset.rdtype), rrset.ttl, cast(bytes, rdata)))
    return found


def as_zone(records: Iterable[Record], apex: bytes = APEX) -> dns.zone.Zone:
    zone = dns.zone.Zone(names.to_text(apex), relativize=False)
    with zone.writer(True) as txn:
        for record in records:
            rdata = dns.rdata.from_wire(
                dns.rdataclass.IN, dns.rdatatype.RdataType.make(record.type), record.rdata, 0, len(record.rdata)
            )
            txn.add(dns.name.from_text(names.to_text(record.owner)), record.ttl, rdata)
    return zone


def contents(zone: dns.zone.Zone) -> set[tuple[bytes, int, int, bytes]]:
    found = set()
    for owner, ttl, rdata in zone.iterate_rdatas():
        owner_wire, rdata_wire = owner.to_wire(), rdata.to_wire()
        assert owner_wire is not None
        found.add((owner_wire.lower(), int(rdata.rdtype), ttl, cast(bytes, rdata_wire)))
    return found


def plain(records: Iterable[Record]) -> set[tuple[bytes, int, int, bytes]]:
    return {(r.owner.lower(), r.type, r.ttl, r.rdata) for r in records}


def inbound(
    wires: Sequence[bytes], zone: dns.zone.Zone, kind: str, serial: int | None = None, udp: bool = False
) -> set[tuple[bytes, int, int, bytes]]:
    """What a secondary on dnspython holds after these messages."""
    with dns.xfr.Inbound(zone, dns.rdatatype.from_text(kind), serial, udp) as transfer:
        done = False
        for wire in wires:
            assert not done, "something came after the end"
            done = transfer.process_message(dns.message.from_wire(wire, keyring=False, xfr=True, one_rr_per_rrset=True))
        assert done, "the transfer has no end"
    return contents(zone)


def empty() -> dns.zone.Zone:
    return dns.zone.Zone("example.com.", relativize=False)


def many(count: int, serial: int = 7) -> list[Record]:
    return [soa(serial), BASE[1], *(Record(name(f"host-{n}"), A, 300, address(n)) for n in range(count))]
