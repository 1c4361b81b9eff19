"""A primary is asked for its SOA over real sockets: what falls back to what, and which failure is which (R6, R22)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from dnsserver.asking import ask_soa, connect, words_of
from dnsserver.exchange import local_address
from dnsserver.protocol import tsig
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.soa_query import SoaAnswer
from dnsserver.protocol.tsig import Key
from dnsserver.zone import names
from dnsserver.zone.settings import Target

APEX = names.from_text("example.com.")
KEY = Key(names.from_text("k1."), names.from_text("hmac-sha256."), b"s" * 32)
# What a primary makes of a question: an answer, None for silence, or b"" for the end of the connection.
Answerer = Callable[[dns.message.Message, bytes], bytes | None]


def soa(question: dns.message.Message, packet: bytes, *, rcode: int = 0, flags: int = 0) -> bytes:
    message = dns.message.make_response(question)
    message.flags |= dns.flags.AA | flags
    message.set_rcode(dns.rcode.Rcode(rcode))
    if not rcode and not flags:
        message.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "SOA", "a. b. 7 1 1 1 1"))
    return message.to_wire()


def refused(question: dns.message.Message, packet: bytes) -> bytes:
    return soa(question, packet, rcode=5)


def truncated(question: dns.message.Message, packet: bytes) -> bytes:
    return soa(question, packet, flags=dns.flags.TC)


def silent(question: dns.message.Message, packet: bytes) -> None:
    return None


def hung_up(question: dns.message.Message, packet: bytes) -> bytes:
    return b""


def forged(question: dns.message.Message, packet: bytes) -> bytes:
    """With another ID."""
    return bytes([packet[0] ^ 1]) + soa(question, packet)[1:]


def no_edns(question: dns.message.Message, packet: bytes) -> bytes:
    return soa(question, packet, rcode=0 if question.edns < 0 else 1)


def signed(question: dns.message.Message, packet: bytes) -> bytes:
    at = tsig.find(packet)
    assert at is not None
    verified = tsig.verify(packet, at, {KEY.name: KEY}, time.time())
    if verified.status is not tsig.Status.VALID:
        return tsig.error_reply(packet, b"", verified, time.time())
    question.tsig = None
    return tsig.sign(soa(question, packet), KEY, verified.mac, time.time())


@dataclass
class Primary:
    """``udp`` and ``tcp`` answer; None: there is no such socket. ``asked``: "udp" or "tcp", and who asked."""

    udp: Answerer | None
    tcp: Answerer | None
    asked: list[str] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    target: Target = field(default_factory=lambda: Target("127.0.0.1", 1))

    def answer(self, how: str, source: str, packet: bytes) -> bytes | None:
        self.asked.append(how)
        self.sources.add(source)
        answerer = self.udp if how == "udp" else self.tcp
        assert answerer is not None
        # A signature is judged by the answerer.
        return answerer(dns.message.from_wire(packet, keyring=False), packet)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, primary: Primary) -> None:
        self._primary = primary
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (answer := self._primary.answer("udp", addr[0], data)) is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def running(primary: Primary, address: str = "127.0.0.1") -> AsyncIterator[None]:
    """The sockets of a primary, on the same port; a port without one refuses."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = primary.answer("tcp", writer.get_extra_info("peername")[0], await reader.readexactly(size))
        if answer:
            writer.write(len(answer).to_bytes(2, "big") + answer)
        elif answer is None:
            # Until the other side has had enough.
            await reader.read()
        writer.close()

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family, socket.SOCK_STREAM) as tcp:
        tcp.bind((address, 0))
        port = tcp.getsockname()[1]
        transport = server = None
        if primary.udp is not None:
            udp.bind((address, port))
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(primary), sock=udp)
        if primary.tcp is not None:
            server = await asyncio.start_server(serve, sock=tcp)
        primary.target = Target(address, port)
        try:
            yield
        finally:
            if transport is not None:
                transport.close()
            if server is not None:
                server.close()


def ask(primary: Primary, key: Key | None = None, *, address: str = "127.0.0.1", sources: tuple[str, ...] = (),
        seconds: float | None = None) -> SoaAnswer | Failure:  # fmt: skip
    if seconds is None:
        seconds = 10.0
        if primary.udp in (silent, forged):
            # Where TCP answers, it does so in that time, too.
            seconds = 0.5 if primary.tcp is silent else 2.0

    async def scene() -> SoaAnswer | Failure:
        async with running(primary, address):
            return await ask_soa(APEX, primary.target, key, sources, time.time, tries=2, seconds=seconds)

    return asyncio.run(scene())


REFUSED = Failure("refused", rcode=5)
CASES: list[tuple[str, Primary, SoaAnswer | Failure, list[str]]] = [
    ("by UDP", Primary(soa, soa), SoaAnswer(7), ["udp"]),
    ("truncated: by TCP", Primary(truncated, soa), SoaAnswer(7), ["udp", "tcp"]),
    ("unanswered: twice by UDP, then by TCP", Primary(silent, soa), SoaAnswer(7), ["udp", "udp", "tcp"]),
    ("forged answers count as none", Primary(forged, soa), SoaAnswer(7), ["udp", "udp", "tcp"]),
    ("no UDP there: by TCP", Primary(None, soa), SoaAnswer(7), ["tcp"]),
    ("no EDNS there", Primary(no_edns, soa), SoaAnswer(7), ["udp", "udp"]),
    ("no EDNS over TCP", Primary(None, no_edns), SoaAnswer(7), ["tcp", "tcp"]),
    ("refused", Primary(refused, soa), REFUSED, ["udp"]),
    ("refused over TCP", Primary(silent, refused), REFUSED, ["udp", "udp", "tcp"]),
    ("silent", Primary(silent, silent), Failure("timeout", "no answer within 0.5 s"), ["udp", "udp", "tcp"]),
    ("no primary there", Primary(None, None), Failure("unreachable", "Connection refused"), []),
    ("the connection ends", Primary(silent, hung_up), Failure("closed", "the connection ended without an answer"),
     ["udp", "udp", "tcp"]),
]  # fmt: skip


@pytest.mark.parametrize(("primary", "said", "asked"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_how_a_primary_is_asked(primary: Primary, said: SoaAnswer | Failure, asked: list[str]) -> None:
    assert ask(primary) == said
    assert primary.asked == asked


@pytest.mark.parametrize("primary", [Primary(signed, None), Primary(silent, signed)], ids=["udp", "tcp"])
def test_a_signed_question(primary: Primary) -> None:
    assert ask(primary, KEY) == SoaAnswer(7)


def test_an_answer_that_is_not_signed_is_not_believed() -> None:
    """R13: a forged datagram costs a question by TCP, and no more."""
    primary = Primary(soa, signed)
    assert ask(primary, KEY) == SoaAnswer(7)
    assert primary.asked == ["udp", "tcp"]
    assert ask(Primary(soa, soa), KEY) == Failure("unauthenticated", "unsigned")


def test_the_primary_does_not_take_our_signature() -> None:
    """R22: by TCP it is believed that it says so."""
    primary = Primary(signed, signed)
    other = Key(KEY.name, KEY.algorithm, b"o" * 32)
    assert ask(primary, other) == Failure("unauthenticated", "peer-badsig", 9)
    assert primary.asked == ["udp", "tcp"]


def test_a_key_of_another_name_is_told_from_one_of_another_secret() -> None:
    other = Key(names.from_text("k2."), KEY.algorithm, KEY.secret)
    assert ask(Primary(signed, signed), other) == Failure("unauthenticated", "peer-badkey", 9)


@pytest.mark.parametrize("answerer", [soa, truncated], ids=["udp", "tcp"])
def test_the_question_leaves_from_the_configured_address(answerer: Answerer) -> None:
    """R6: of the family of the primary; the other's is passed over."""
    primary = Primary(answerer, soa)
    assert ask(primary, sources=("::1", "127.0.0.2")) == SoaAnswer(7)
    assert primary.sources == {"127.0.0.2"}


@pytest.mark.parametrize("answerer", [soa, truncated], ids=["udp", "tcp"])
def test_over_ipv6(answerer: Answerer) -> None:
    primary = Primary(answerer, soa)
    assert ask(primary, address="::1", sources=("127.0.0.2",)) == SoaAnswer(7)
    assert primary.sources == {"::1"}


def test_a_connection_that_takes_too_long() -> None:
    assert ask(Primary(soa, soa), seconds=0.0) == Failure("timeout", "no connection within 0 s")


def test_a_local_address_that_is_not_here() -> None:
    failure = ask(Primary(soa, soa), sources=("192.0.2.77",))
    assert failure == Failure("unreachable", "Cannot assign requested address")


@pytest.mark.parametrize(("address", "source"), [("192.0.2.1", "10.0.0.1"), ("2001:db8::1", "::2"), ("::1", "::2")])
def test_the_local_address_is_the_first_of_the_family(address: str, source: str) -> None:
    assert local_address(address, ("10.0.0.1", "::2", "10.0.0.3", "::4")) == source
    assert local_address(address, ()) is None


def test_a_connection_says_what_went_wrong_in_the_systems_words() -> None:
    async def scene() -> None:
        primary = Primary(None, None)
        async with running(primary):
            await connect(primary.target, (), 1.0)

    with pytest.raises(ConnectionRefusedError) as caught:
        asyncio.run(scene())
    assert words_of(caught.value) == "Connection refused"
