"""TCP clients over real sockets: pipelines, half-closed and slow ones (RFC 7766; LIMITS, tcp-message)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dnsserver.answerer.settings import AnswererSettings
from dnsserver.answerer.tcp import Connection, TcpListener
from tests.protocol.answering import image, query, serving

TEXT = '" "'.join(["x" * 250] * 60)
IMAGE = image(f'@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nwww 60 A 192.0.2.1\nbig 60 TXT "{TEXT}"\n', "zone.test.")
SETTINGS = AnswererSettings((), (), "", "", "", tcp_message=60.0, tcp_idle=60.0, tcp_write_stall=60.0)


def framed(packet: bytes) -> bytes:
    return struct.pack(">H", len(packet)) + packet


def numbered(number: int, name: str, kind: str = "A") -> bytes:
    return framed(number.to_bytes(2, "big") + query(name, kind)[2:])


@contextlib.asynccontextmanager
async def listening(settings: AnswererSettings = SETTINGS) -> AsyncIterator[tuple[TcpListener, int]]:
    def nobody(*_: Any) -> None:
        return

    listener = TcpListener(settings, serving([("zone.test.", IMAGE)]), Counter(), nobody, nobody, nobody, nobody)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    listener.listen(sock)
    try:
        yield listener, sock.getsockname()[1]
    finally:
        await listener.stop(0.1)


async def answer(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">H", await reader.readexactly(2))
    return await reader.readexactly(length)


def client_of(listener: TcpListener) -> Connection:
    (client,) = listener._clients
    return client


async def pipeline_of_large_answers() -> None:
    """4,000 queries of 30 octets in a few reads, each with an answer of 15 KB: 60 MB, of which little is ever held."""
    async with listening() as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(b"".join(numbered(number, "big.zone.test.", "TXT") for number in range(4000)))
        held = 0
        for number in range(4000):
            assert (await answer(reader))[:2] == number.to_bytes(2, "big")
            held = max(held, client_of(listener).transport.get_write_buffer_size())
        assert held < 512 << 10
        writer.close()


async def others_have_their_turn() -> None:
    """Between the first and the last answer of a long pipeline the loop goes round many times."""
    async with listening() as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            if listener.counters["tcp-queries"] < 4000:
                asyncio.get_running_loop().call_soon(turn)

        writer.write(b"".join(numbered(number, "www.zone.test.") for number in range(4000)))
        turn()
        for number in range(4000):
            assert (await answer(reader))[:2] == number.to_bytes(2, "big")
        assert turns > 4000 // 64
        writer.close()


async def who_waits_for_a_turn_is_not_late() -> None:
    """A pipeline that came at the last moment is answered to its end, in however many turns."""
    async with listening() as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        late: list[bool] = []

        def turn() -> None:
            answered = listener.counters["tcp-queries"]
            if 0 < answered < 200:
                client = client_of(listener)
                client.deadline = 0.0
                late.append(client.expired(listener.clock()))
            if answered < 200:
                asyncio.get_running_loop().call_soon(turn)

        turn()
        writer.write(b"".join(numbered(number, "www.zone.test.") for number in range(200)))
        for number in range(200):
            assert (await answer(reader))[:2] == number.to_bytes(2, "big")
        assert set(late) == {False}
        writer.close()


async def half_closed() -> None:
    """Whoever has nothing more to ask may still read (RFC 7766, 6.2.1: the answers, then the end)."""
    async with listening() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(numbered(number, "www.zone.test.") for number in range(1000)))
        writer.write_eof()
        for number in range(1000):
            assert (await answer(reader))[:2] == number.to_bytes(2, "big")
        assert await reader.read() == b""
        writer.close()


async def trickling() -> None:
    """An octet now and then does not make a message's time longer (LIMITS, tcp-message), here of three seconds."""
    async with listening(replace(SETTINGS, tcp_message=0.4)) as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            for octet in framed(query("www.zone.test.")) * 9:
                writer.write(bytes((octet,)) if octet else b"\x00")
                done, _ = await asyncio.wait([ended], timeout=0.1)
                if done:
                    break
                if listener.counters["tcp-queries"]:
                    pytest.fail("the message came through")
        await asyncio.wait([ended])
        assert listener.counters["tcp-timeouts"] == 1
        writer.close()


async def no_message() -> None:
    """A message of no octets, or a response, ends the connection; what was asked before it is answered."""
    for broken in (b"\x00\x00", framed(bytes((0, 1, 0x80)) + bytes(9))):
        async with listening() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(numbered(1, "www.zone.test.") + numbered(2, "nx.zone.test.") + broken)
            assert [(await answer(reader))[1] for _ in range(2)] == [1, 2]
            assert await reader.read() == b""
            writer.close()


async def gone_is_gone() -> None:
    """Nothing is left of a client for the garbage collector, whoever ends it: that is off while a large zone comes."""
    async with listening() as (listener, port):
        gc.disable()
        try:
            for how in (asyncio.StreamWriter.write_eof, lambda _: client_of(listener).transport.abort()):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(numbered(1, "www.zone.test."))
                assert (await answer(reader))[1] == 1
                client = weakref.ref(client_of(listener))
                how(writer)
                assert await reader.read() == b""
                assert client() is None
                writer.close()
        finally:
            gc.enable()


@pytest.mark.parametrize(
    "case",
    [
        pipeline_of_large_answers,
        others_have_their_turn,
        who_waits_for_a_turn_is_not_late,
        half_closed,
        trickling,
        no_message,
        gone_is_gone,
    ],
)
def test_clients(case: Any) -> None:
    asyncio.run(asyncio.wait_for(case(), 60))
