"""The NOTIFY on the wire and its answer (RFC 1996), read and written by dnspython on the other side."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.protocol import tsig
from dnsserver.protocol.notify_message import Expected, Ignored, build, read_answer
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA

NOW = 1_700_000_000.0
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)
APEX = names.from_text("Example.com.")
ZONE_SOA = Record(APEX, SOA, 3600, b"\x01a\x00\x01b\x00" + struct.pack(">IIIII", 2024, 1, 2, 3, 4))
FROM = ("192.0.2.1", 5301)


def sent(key: Key | None = None) -> tuple[bytes, Expected]:
    return build(ZONE_SOA, 0x1234, *FROM, key, NOW)


def answer(rcode: int = 0, **changes: int) -> bytes:
    head = {"id": 0x1234, "flags": 0xA400 | rcode, "questions": 1} | changes
    question = names.from_text("example.COM.") + b"\0\6\0\1" if head["questions"] else b""
    return struct.pack(">HHHHHH", head["id"], head["flags"], head["questions"], 0, 0, 0) + question


def read(packet: bytes, key: Key | None = None, source: tuple[str, int] = FROM) -> int | Ignored:
    return read_answer(packet, source, sent(key)[1], NOW)


@pytest.mark.parametrize("key", [None, KEY])
def test_a_notify_as_dnspython_reads_it(key: Key | None) -> None:
    """RFC 1996, 3: opcode 4, one question for the SOA, the SOA as a hint."""
    wire, _ = sent(key)
    message = dns.message.from_wire(wire, keyring=False)
    assert message.opcode() == dns.opcode.NOTIFY
    assert message.flags & ~0x7800 == dns.flags.AA
    assert message.question[0].to_text() == "Example.com. IN SOA"
    assert message.answer[0].to_text() == "Example.com. 3600 IN SOA a. b. 2024 1 2 3 4"
    assert (message.tsig is not None) == (key is not None)
    if key is not None:
        at = tsig.find(wire)
        assert at is not None
        assert tsig.verify(wire, at, {key.name: key}, NOW).status is tsig.Status.VALID


@pytest.mark.parametrize("rcode", [0, 1, 4, 5, 9])
def test_the_rcode_of_a_matching_answer(rcode: int) -> None:
    assert read(answer(rcode)) == rcode


def test_an_error_may_come_without_the_question() -> None:
    assert read(answer(1, questions=0)) == 1
    assert read(answer(0, questions=0)) == Ignored("zone")


@pytest.mark.parametrize(
    ("packet", "source", "reason"),
    [
        (answer(), ("192.0.2.2", 5301), "source"), (answer(), ("192.0.2.1", 53), "source"),
        (answer(id=0x1235), FROM, "id"), (answer(flags=0x2400), FROM, "not-an-answer"),
        (answer(flags=0x8400), FROM, "not-an-answer"), (b"\x12\x34\xa4", FROM, "malformed"),
        (answer().replace(b"COM", b"org"), FROM, "zone"), (answer().replace(b"\0\6\0\1", b"\0\1\0\1"), FROM, "zone"),
        (answer()[:20], FROM, "zone"),
    ],
)  # fmt: skip
def test_what_is_no_answer(packet: bytes, source: tuple[str, int], reason: str) -> None:
    assert read(packet, source=source) == Ignored(reason)


def test_the_answer_to_a_signed_notify_must_be_signed() -> None:
    """RFC 8945, 5.4: such an answer is ignored; the reason is for the log."""
    wire, expected = sent(KEY)
    assert read_answer(tsig.sign(answer(), KEY, expected.mac, NOW), FROM, expected, NOW) == 0
    assert read_answer(tsig.sign(answer(5), KEY, expected.mac, NOW), FROM, expected, NOW) == 5
    assert read_answer(answer(), FROM, expected, NOW) == Ignored("unsigned")
    assert read_answer(tsig.sign(answer(), KEY, b"other", NOW), FROM, expected, NOW) == Ignored("badsig")
    assert read_answer(tsig.sign(answer(), KEY, expected.mac, NOW), FROM, expected, NOW + 301) == Ignored("badtime")
    at = tsig.find(wire)
    assert at is not None
    unknown = tsig.verify(wire, at, {}, NOW)
    assert read_answer(tsig.error_reply(wire, wire[12:29], unknown, NOW), FROM, expected, NOW) == Ignored("peer-badkey")


@given(st.binary(max_size=80), st.booleans())
def test_whatever_comes_is_read(packet: bytes, signed: bool) -> None:
    assert isinstance(read(packet, KEY if signed else None), int | Ignored)
