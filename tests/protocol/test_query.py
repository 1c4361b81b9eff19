"""Reading requests: what is taken, what is FORMERR, in bounded time."""

from __future__ import annotations

import time

import dns.message
import pytest

from dnsserver.protocol.query import Edns, Malformed, Query, Rcode, parse
from dnsserver.zone.rrtypes import IXFR, SOA, A
from tests.interop.answer_requests import OPT, QUESTION, header
from tests.protocol.answering import query


def parsed(packet: bytes) -> Query:
    found = parse(packet)
    assert isinstance(found, Query), found
    return found


def test_a_plain_query() -> None:
    found = parsed(header(0x0100) + b"\x03wWw\x07feature\x04test\x00\x00\x01\x00\x01")
    assert (found.id, found.opcode, found.rd, found.qtype, found.qclass) == (4711, 0, True, A, 1)
    assert (found.qname, found.name) == (b"\x03wWw\x07feature\x04test\x00", b"\x03www\x07feature\x04test\x00")
    assert found.question == b"\x03wWw\x07feature\x04test\x00\x00\x01\x00\x01"
    assert (found.edns, found.tsig_at, found.authority) == (None, None, ())


def test_an_opt_record() -> None:
    """RFC 6891, 6.1."""
    opt = b"\x00\x00\x29\x10\x00\x00\x02\x80\x00\x00\x0b\x00\x03\x00\x00\xfd\xe9\x00\x03abc"
    assert parsed(header(ar=1) + QUESTION + opt).edns == Edns(4096, 2, True, ((3, b""), (65001, b"abc")))


@pytest.mark.parametrize("compressed", [True, False])
def test_the_soa_of_an_ixfr(compressed: bool) -> None:
    """RFC 1995, 3; its owner and names compressed or not."""
    owner = b"\xc0\x0c" if compressed else b"\x01z\x00"
    names = b"\xc0\x0c\xc0\x0c" if compressed else b"\x00\x00"
    rdata = names + (4242).to_bytes(4, "big") + bytes(16)
    soa = owner + b"\x00\x06\x00\x01" + bytes(4) + len(rdata).to_bytes(2, "big") + rdata
    found = parsed(header(ns=1) + b"\x01z\x00\x00\xfb\x00\x01" + soa)
    assert (found.qtype, found.ixfr_serial) == (IXFR, 4242)
    assert [(record.owner, record.type) for record in found.authority] == [(b"\x01z\x00", SOA)]


def test_where_the_tsig_is() -> None:
    tsig = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x01x"
    packet = header(ar=2) + QUESTION + OPT + tsig
    assert parsed(packet).tsig_at == len(packet) - len(tsig)


def test_an_update_has_many_records() -> None:
    """RFC 2136, 2: prerequisites and updates are the answer and authority sections."""
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
    found = parsed(header(0x2800, an=1, ns=3) + QUESTION + record * 4)
    assert (len(found.answer), len(found.authority)) == (1, 3)
    assert found.answer[0].rdata == b"\xc0\x00\x02\x01"
    assert found.answer[0].owner == QUESTION[:-4]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        header()[:11],
        header(qd=2) + QUESTION * 2,
        header(qd=0, ar=0x0100) + OPT,
        header(0x2000, qd=0),
        header(0x2400, an=2) + QUESTION,
        header(0x2800, an=65535) + QUESTION,
        header(0x2800, an=1) + QUESTION + b"\xc0\x1f\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00",
        header(0x2800, an=1) + QUESTION + OPT,
        header(ar=1) + QUESTION + b"\x80\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00",
    ],
)
def test_malformed(packet: bytes) -> None:
    found = parse(packet)
    assert isinstance(found, Malformed)
    assert found.rcode == Rcode.FORMERR
    assert found.reason


def test_a_question_that_was_read_is_kept() -> None:
    found = parse(header(ar=1) + QUESTION)
    assert isinstance(found, Malformed)
    assert found.question == QUESTION


def test_a_message_stuffed_with_records_costs_little() -> None:
    """MODELS: dnspython takes over a second for 64 KiB of junk; counts are checked before anything is parsed."""
    junk = (b"\x01a" * 100 + b"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00") * 300
    started = time.process_time()
    for counts in ({"an": 300}, {"ns": 300}, {"ar": 300}, {"ar": 65535}):
        assert isinstance(parse(header(**counts) + QUESTION + junk), Malformed)
    assert time.process_time() - started < 0.05


def test_pointers_cannot_loop_or_grow() -> None:
    """Each pointer leads before the name it is in; a name ends at 255 octets."""
    chain = b"".join(b"\x3f" + b"a" * 63 for _ in range(3)) + b"\x3a" + b"b" * 58
    owner = chain + b"\xc0\x0c"
    record = owner + b"\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"
    found = parse(header(0x2800, an=1) + QUESTION + record)
    assert isinstance(found, Malformed)
    assert "too long" in found.reason


def test_dnspythons_requests_are_taken() -> None:
    for packet in (query("www.test."), query("www.test.", use_edns=0, want_dnssec=True), query(".", "NS")):
        assert parsed(packet).id == dns.message.from_wire(packet).id
