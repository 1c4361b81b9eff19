"""The SOA question on the wire and what its answers mean, dnspython on the other side (R12, R22, R27; RFC 7314)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.protocol import tsig
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.soa_query import Again, SoaAnswer, build, read
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names

APEX = names.from_text("Example.com.")
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)
OTHER = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"o" * 32)
SOA = "a. b. 4294967295 1 2 3 4"


def now() -> float:
    # dnspython signs by this clock, too.
    return time.time()


def answer(*records: str, rcode: int = 0, flags: str = "QR AA", question: str = "example.COM. SOA",
           expire: int | None = None, message_id: int = 0x1234) -> dns.message.Message:  # fmt: skip
    """``records``: ``NAME TYPE RDATA``."""
    message = dns.message.Message(id=message_id)
    message.flags = dns.flags.from_text(flags)
    if question:
        name, qtype = question.split()
        message.question = [dns.rrset.from_text(name, 0, "IN", qtype)]
        message.question[0].clear()
    options: list[dns.edns.Option] = []
    if expire is not None:
        options.append(dns.edns.GenericOption(dns.edns.OptionType.make(9), expire.to_bytes(4, "big")))
    if expire is not None or rcode > 15:
        message.use_edns(0, payload=1232, options=options)
    message.set_rcode(dns.rcode.Rcode(rcode))
    for record in records:
        name, rtype, rdata = record.split(" ", 2)
        message.answer.append(dns.rrset.from_text(name, 60, "IN", rtype, rdata))
    return message


def good(**more: Any) -> dns.message.Message:
    return answer(f"example.com. SOA {SOA}", **more)


def unsigned(message: dns.message.Message, *, tcp: bool = False, edns: bool = True) -> object:
    """What an unsigned question makes of it."""
    _, expected = build(APEX, 0x1234, None, now(), edns=edns)
    return read(message.to_wire(), expected, now(), tcp=tcp)


def test_the_question_as_dnspython_reads_it() -> None:
    """RFC 7314, 2: the option is asked for empty; RFC 6891: 1232 octets over UDP."""
    wire, _ = build(APEX, 0x1234, None, now())
    message = dns.message.from_wire(wire)
    assert message.id == 0x1234
    assert message.flags == 0
    assert message.question[0].to_text() == "example.com. IN SOA"
    assert (message.edns, message.payload) == (0, 1232)
    assert [(int(option.otype), option.to_wire()) for option in message.options] == [(9, b"")]


def test_a_plain_question_has_no_edns() -> None:
    wire, _ = build(APEX, 1, None, now(), edns=False)
    assert dns.message.from_wire(wire).edns == -1


@pytest.mark.parametrize("edns", [False, True])
def test_a_signed_question_is_verified_by_dnspython(edns: bool) -> None:
    wire, _ = build(APEX, 1, KEY, now(), edns=edns)
    key = dns.tsig.Key("k1.", KEY.secret, "hmac-sha256")
    assert dns.message.from_wire(wire, keyring={key.name: key}).had_tsig


class Case(NamedTuple):
    about: str
    message: Callable[[], dns.message.Message]
    udp: object
    # Over TCP, where it differs.
    tcp: object = ...


def refusal(rcode: int, reason: str = "error") -> Failure:
    return Failure(reason, rcode=rcode)


CASES = [
    Case("the serial", good, SoaAnswer(4294967295)),
    Case("the serial and the time to expiry", lambda: good(expire=77), SoaAnswer(4294967295, 77)),
    Case("another case of the owner", lambda: answer(f"EXAMPLE.Com. SOA {SOA}"), SoaAnswer(4294967295)),
    Case("with RD and RA, as some have it", lambda: good(flags="QR AA RD RA"), SoaAnswer(4294967295)),
    Case("with other records beside it", lambda: answer(f"example.com. SOA {SOA}", "example.com. NS ns."),
         SoaAnswer(4294967295)),
    Case("an answer that lacks AA", lambda: good(flags="QR"), Failure("not-authoritative", "the answer lacks AA")),
    Case("an answer without an SOA", answer, Failure("not-authoritative", "the answer has no SOA")),
    Case("only another type", lambda: answer("example.com. A 192.0.2.1"),
         Failure("not-authoritative", "the answer has no SOA")),
    Case("two SOAs", lambda: answer("example.com. SOA a. b. 1 1 1 1 1", "example.com. SOA a. b. 2 1 1 1 1"),
         Failure("malformed", "the answer has more than one SOA")),
    Case("REFUSED", lambda: answer(rcode=5), refusal(5, "refused")),
    Case("REFUSED without the question", lambda: answer(rcode=5, question=""), refusal(5, "refused")),
    Case("REFUSED with an SOA", lambda: good(rcode=5), refusal(5, "refused")),
    Case("NOTAUTH", lambda: answer(rcode=9), refusal(9, "not-authoritative")),
    Case("SERVFAIL", lambda: answer(rcode=2), refusal(2)),
    Case("NXDOMAIN", lambda: answer(rcode=3), refusal(3)),
    Case("an extended RCODE", lambda: answer(rcode=23), refusal(23)),
    Case("FORMERR: no EDNS there", lambda: answer(rcode=1), Again.PLAIN),
    Case("NOTIMP: no EDNS there", lambda: answer(rcode=4), Again.PLAIN),
    Case("BADVERS", lambda: answer(rcode=16), Again.PLAIN),
    Case("truncated", lambda: answer(flags="QR AA TC"), Again.BY_TCP,
         Failure("malformed", "a truncated message over TCP")),
    Case("another ID", lambda: good(message_id=1), None),
    Case("a query", lambda: good(flags="AA"), None),
    Case("another name", lambda: good(question="example.org. SOA"), None),
    Case("another type", lambda: good(question="example.com. NS"), None),
    Case("no question", lambda: good(question=""), None),
]  # fmt: skip


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_what_an_answer_means(case: Case, tcp: bool) -> None:
    assert unsigned(case.message(), tcp=tcp) == (case.tcp if tcp and case.tcp is not ... else case.udp)


@pytest.mark.parametrize("rcode", [1, 4, 16])
def test_a_plain_question_is_not_asked_again_for_edns(rcode: int) -> None:
    assert unsigned(answer(rcode=rcode), edns=False) == refusal(rcode)


@pytest.mark.parametrize("record", [f"other.com. SOA {SOA}", f"sub.example.com. SOA {SOA}"])
def test_the_soa_of_another_zone_is_none(record: str) -> None:
    found = unsigned(answer(record))
    assert isinstance(found, Failure)
    assert found.reason == "malformed"


@pytest.mark.parametrize("cut", [1, 5, 20, 30])
def test_an_answer_that_is_cut_off_is_malformed(cut: int) -> None:
    _, expected = build(APEX, 0x1234, None, now())
    found = read(good().to_wire()[:-cut], expected, now())
    assert isinstance(found, Failure)
    assert found.reason == "malformed"


def test_octets_after_the_answer_are_malformed() -> None:
    _, expected = build(APEX, 0x1234, None, now())
    found = read(good().to_wire() + b"\0", expected, now())
    assert isinstance(found, Failure)
    assert found.reason == "malformed"


# Signed questions


def signed(message: dns.message.Message, key: Key, *, tcp: bool, at: float = 0.0) -> object:
    """What a question signed with KEY makes of this message, signed with ``key``."""
    _, expected = build(APEX, 0x1234, KEY, now())
    packet = tsig.sign(message.to_wire(), key, expected.mac, now() + at)
    return read(packet, expected, now(), tcp=tcp)


@pytest.mark.parametrize("tcp", [False, True])
def test_a_signed_answer(tcp: bool) -> None:
    assert signed(good(expire=9), KEY, tcp=tcp) == SoaAnswer(4294967295, 9)
    assert signed(answer(rcode=5), KEY, tcp=tcp) == refusal(5, "refused")


@pytest.mark.parametrize(
    ("key", "at", "reason"),
    [
        (OTHER, 0.0, "badsig"),
        (Key(names.from_text("k2."), KEY.algorithm, KEY.secret), 0.0, "badkey"),
        (Key(KEY.name, names.from_text("hmac-sha512."), KEY.secret), 0.0, "badkey"),
        (KEY, 301.0, "badtime"),
        (KEY, -301.0, "badtime"),
    ],
)
def test_an_answer_signed_wrongly_is_not_believed(key: Key, at: float, reason: str) -> None:
    """Over UDP anybody can send such a thing: the primary is asked by TCP, and what it says there counts."""
    assert signed(good(), key, tcp=False, at=at) is Again.BY_TCP
    assert signed(good(), key, tcp=True, at=at) == Failure("unauthenticated", reason)


def test_an_unsigned_answer_to_a_signed_question() -> None:
    _, expected = build(APEX, 0x1234, KEY, now())
    assert read(good().to_wire(), expected, now()) is Again.BY_TCP
    assert read(good().to_wire(), expected, now(), tcp=True) == Failure("unauthenticated", "unsigned")
    refused = answer(rcode=5).to_wire()
    assert read(refused, expected, now()) is Again.BY_TCP
    assert read(refused, expected, now(), tcp=True) == refusal(5, "refused")
    not_taken = answer(rcode=9).to_wire()
    assert read(not_taken, expected, now(), tcp=True) == Failure("unauthenticated", "unsigned", 9)


@pytest.mark.parametrize(
    ("known", "late", "reason"),
    [({}, 0.0, "peer-badkey"), ({KEY.name: OTHER}, 0.0, "peer-badsig"), ({KEY.name: KEY}, 900.0, "peer-badtime")],
)
def test_what_the_primary_says_of_our_signature(known: dict[bytes, Key], late: float, reason: str) -> None:
    """R22: a wrong key, a wrong secret and a wrong clock are told apart (RFC 8945, 5.3.2)."""
    wire, expected = build(APEX, 0x1234, KEY, now())
    at = tsig.find(wire)
    assert at is not None
    verified = tsig.verify(wire, at, known, now() + late)
    reply = tsig.error_reply(wire, wire[12 : 12 + len(expected.question)], verified, now() + late)
    assert read(reply, expected, now()) is Again.BY_TCP
    assert read(reply, expected, now(), tcp=True) == Failure("unauthenticated", reason, 9)


def test_an_unsigned_formerr_asks_again_without_edns() -> None:
    """RFC 6891, 7: a server that cannot read the question cannot sign either."""
    _, expected = build(APEX, 0x1234, KEY, now())
    assert read(answer(rcode=1).to_wire(), expected, now()) is Again.PLAIN
    _, plain = build(APEX, 0x1234, KEY, now(), edns=False)
    assert read(answer(rcode=1).to_wire(), plain, now(), tcp=True) == refusal(1)


def test_a_cap_on_the_fudge() -> None:
    _, expected = build(APEX, 0x1234, KEY, now())
    packet = tsig.sign(good().to_wire(), KEY, expected.mac, now() - 100)
    assert read(packet, expected, now(), fudge_cap=50) is Again.BY_TCP
    assert read(packet, expected, now(), fudge_cap=200) == SoaAnswer(4294967295)


# Whatever comes


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_are_an_answer_or_none(octets: bytes, tcp: bool) -> None:
    wire, expected = build(APEX, 0x1234, None, 0.0)
    for packet in (octets, b"\x12\x34\x84\x00\x00\x01" + octets, b"\x12\x34\x84\x00" + wire[4:] + octets):
        found = read(packet, expected, 0.0, tcp=tcp)
        assert found is None or isinstance(found, Failure | SoaAnswer | Again)
        assert not isinstance(found, SoaAnswer)


def test_every_flipped_bit_of_a_signed_answer_is_seen() -> None:
    _, expected = build(APEX, 0x1234, KEY, now())
    packet = tsig.sign(good(expire=5).to_wire(), KEY, expected.mac, now())
    assert isinstance(read(packet, expected, now()), SoaAnswer)
    for bit in range(len(packet) * 8):
        tampered = bytearray(packet)
        tampered[bit // 8] ^= 1 << bit % 8
        found = read(bytes(tampered), expected, now())
        # The letters of names may change their case (RFC 4343); the message's ID may not, nor anything else.
        assert not isinstance(found, SoaAnswer) or found == SoaAnswer(4294967295, 5), bit
