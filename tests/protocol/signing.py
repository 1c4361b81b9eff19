"""Messages that dnspython signs, and what our TSIG says of them."""

from __future__ import annotations

import struct
from typing import Any

import dns.message
import dns.name
import dns.rdtypes.ANY.TSIG
import dns.tsig

from dnsserver.protocol import tsig
from dnsserver.protocol.tsig import Key, Verified
from dnsserver.zone import names
from dnsserver.zone.algorithms import algorithm_from_text

# dnspython's TSIG functions are not annotated.
reference: Any = dns.tsig
reference_rdata: Any = dns.rdtypes.ANY.TSIG

NOW = 1_700_000_000
SECRET = bytes(range(32))
ALGORITHMS = ["hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha1", "hmac-md5.sig-alg.reg.int"]
STRONG = ALGORITHMS[:4]
QUESTION = b"\x07example\x03com\x00\x00\x06\x00\x01"


def make_key(algorithm: str = "hmac-sha256", name: str = "key.test.", weak: bool = False) -> Key:
    return Key(names.from_text(name), algorithm_from_text(algorithm), SECRET, weak)


def theirs(key: Key) -> dns.tsig.Key:
    """dnspython's form of the same key."""
    algorithm = dns.name.from_text(names.to_text(key.algorithm))
    return dns.tsig.Key(dns.name.from_text(names.to_text(key.name)), key.secret, algorithm)


def request(key: Key | None, *, at: int = NOW, fudge: int = 300, message_id: int = 0x1234) -> bytes:
    """A query as dnspython signs it, with its clock set to ``at``."""
    query = dns.message.make_query("example.com", "SOA", id=message_id)
    if key is None:
        return query.to_wire()
    return signed(query.to_wire(), key, at=at, fudge=fudge)[0]


def signed(
    wire: bytes, key: Key, *, at: int = NOW, fudge: int = 300, request_mac: bytes = b"", context: object = None,
    multi: bool = False, truncate: int | None = None, error: int = 0, other: bytes = b"",
) -> tuple[bytes, bytes, object]:  # fmt: skip
    """(the message with dnspython's TSIG, its MAC, its context)."""
    key_ = theirs(key)
    blank = reference_rdata.TSIG(
        255, 250, key_.algorithm, at, fudge, b"", struct.unpack_from(">H", wire)[0], error, other
    )  # fmt: skip
    done, context = reference.sign(wire, key_, blank, at, request_mac, context, multi)
    if truncate is not None:
        done = done.replace(mac=done.mac[:truncate])
    return append(wire, key.name, done.to_wire()), done.mac, context


def append(wire: bytes, owner: bytes, rdata: bytes, rclass: int = 255, ttl: int = 0) -> bytes:
    arcount = struct.unpack_from(">H", wire, 10)[0] + 1
    record = owner + struct.pack(">HHIH", 250, rclass, ttl, len(rdata)) + rdata
    return wire[:10] + struct.pack(">H", arcount) + wire[12:] + record


def verify(packet: bytes, *keys: Key, now: float = NOW, cap: int = 300) -> Verified:
    at = tsig.find(packet)
    assert at is not None
    return tsig.verify(packet, at, {key.name: key for key in keys}, now, cap)


def answer_to(packet: bytes, flags: int = 0x8400) -> bytes:
    return packet[:2] + struct.pack(">HHHHH", flags, 1, 0, 0, 0) + QUESTION
