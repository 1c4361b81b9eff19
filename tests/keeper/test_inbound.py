"""The stream of a transfer in: how slow it may be, and how it is cut into messages (RFC 1035, 4.2.2)."""

from __future__ import annotations

import asyncio
import errno

import pytest

from dnsserver.keeper.inbound import Framing, Inbound, Pace
from dnsserver.protocol.xfrin import BadTransfer
from dnsserver.zone.settings import Target


def test_the_rate_is_judged_after_a_minute_and_on_the_whole() -> None:
    pace = Pace(10_240)
    pace.add(1, 59.0)
    pace.add(20_000, 2.0)
    pace.add(0, 50.0)
    with pytest.raises(BadTransfer) as caught:
        pace.add(0, 10.0)
    assert caught.value.failure.reason == "too-slow"
    assert "transfer-in-rate" in caught.value.failure.detail


def test_a_rate_of_zero_is_none() -> None:
    Pace(0).add(1, 1e6)


def test_a_connection_that_the_system_gives_up_is_closed_and_not_idle() -> None:
    """It is a TimeoutError like that of our own patience, but comes again at once: the loop would never go on."""

    async def read() -> None:
        async with (
            await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as server,
            Inbound(Target(*server.sockets[0].getsockname()), (), 60.0, 0) as stream,
        ):
            stream._reader.set_exception(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            await stream.octets(lambda: True)

    with pytest.raises(BadTransfer) as caught:
        asyncio.run(read())
    assert caught.value.message == "closed: Connection timed out"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_messages_are_the_same_however_they_come(size: int) -> None:
    messages = [b"", b"x", b"y" * 300, b"z" * 65535]
    stream = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
    framing = Framing()
    found = [message for at in range(0, len(stream), size) for message in framing.messages(stream[at : at + size])]
    assert found == messages


def test_the_primary_gets_rid_of_what_it_sends_before_anybody_reads_it() -> None:
    """Knot gives a write half a second, and then the transfer up: meanwhile the helper may have had no turn."""
    size = 8 << 20

    async def sent_and_read() -> int:
        written = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.set_write_buffer_limits(high=0)
            writer.write(bytes(size))
            await writer.drain()
            written.set()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Inbound(Target("127.0.0.1", port), (), 60.0, 0) as stream:
                async with asyncio.timeout(30):
                    await written.wait()
                count = 0
                while octets := await stream.octets():
                    count += len(octets)
                return count

    assert asyncio.run(sent_and_read()) == size
