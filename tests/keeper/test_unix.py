"""The keeper's Unix sockets: their mode, and that a predecessor's end never takes its successor's away."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from dnsserver.keeper.unix import UnixServer


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)


async def _asked(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"hello")
    answer = await reader.readexactly(5)
    writer.close()
    return answer


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_only_those_of_the_mode_may_connect(tmp_path: Path, mode: int) -> None:
    path = str(tmp_path / "s.sock")

    async def scene() -> None:
        server = UnixServer(path, mode, _echo)
        await server.start()
        assert stat.S_IMODE(os.stat(path).st_mode) == mode
        assert await _asked(path) == b"hello"
        await server.stop()

    asyncio.run(scene())
    assert not os.path.exists(path)


def test_a_late_predecessor_leaves_the_successors_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")

    async def scene() -> None:
        old, new = UnixServer(path, 0o600, _echo), UnixServer(path, 0o600, _echo)
        await old.start()
        await new.start()
        await old.stop()
        assert await _asked(path) == b"hello"
        await new.stop()

    asyncio.run(scene())


def test_an_open_connection_ends_with_the_server_and_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "s.sock")

    async def scene() -> None:
        server = UnixServer(path, 0o600, _echo)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await server.stop()
        assert await reader.read() == b""

    asyncio.run(scene())
    assert caplog.records == []
