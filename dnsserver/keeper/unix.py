"""A Unix stream socket that the keeper listens on, with its mode, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class UnixServer:
    """``serve(reader, writer)`` runs for each connection, until it returns or the server stops."""

    def __init__(self, path: str, mode: int, serve: Serve) -> None:
        self._path = path
        self._mode = mode
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._connections: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Listen; a socket file that a killed predecessor left is replaced."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        umask = os.umask(0o777 & ~self._mode)
        try:
            self._server = await asyncio.start_unix_server(self._connected, self._path, limit=1 << 20)
        finally:
            os.umask(umask)
        self._inode = os.stat(self._path).st_ino

    def close(self) -> None:
        """Take no more connections. A successor's socket of the same path stays."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)

    async def stop(self) -> None:
        """Close, and end what is connected."""
        self.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        except asyncio.CancelledError:
            # Only ``stop`` cancels; asyncio's own end of a connection's task would log it as an error.
            return
        finally:
            self._connections.discard(task)
            writer.close()
