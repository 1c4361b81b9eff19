"""One TCP client's socket on the loop: what an asyncio transport does, without what one costs for each connection.

Most clients open a connection for a single query: the octets that came with it are read, and answered, before the loop
is told of the socket at all.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

_READ = 32 << 10
HIGH_WATER = 128 << 10
_LOW_WATER = HIGH_WATER // 4


class Client(Protocol):
    """Whom a stream serves: the callbacks of ``asyncio.Protocol``, with the same meaning."""

    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self) -> None: ...


class Stream:
    """The methods are those of ``asyncio.Transport``. ``connection_lost`` is called once, and before a method returns
    that ends the stream; octets that were written before ``close`` still go out.
    """

    __slots__ = (
        "_client", "_fd", "_is_awaited", "_is_closing", "_is_ended", "_is_full", "_is_read", "_loop", "_sock",
        "_unsent",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, client: Client) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._client = client
        self._unsent = bytearray()
        # The loop tells of octets to read; of room to write.
        self._is_read = self._is_awaited = False
        self._is_full = self._is_closing = self._is_ended = False

    def start(self) -> None:
        """Take what came with the connection, and wait for more."""
        self._is_read = True
        self._readable()
        if self._is_read and not self._is_closing:
            self._loop.add_reader(self._fd, self._readable)

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def pause_reading(self) -> None:
        if self._is_read and not self._is_closing:
            self._is_read = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._is_read and not self._is_closing:
            self._is_read = True
            self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        if self._is_ended or self._is_closing:
            return
        sent = 0
        if not self._unsent:
            sent = self._send(data)
            if sent == len(data) or self._is_ended:
                return
            self._is_awaited = True
            self._loop.add_writer(self._fd, self._writable)
        self._unsent += data[sent:]
        if len(self._unsent) > HIGH_WATER and not self._is_full:
            self._is_full = True
            self._client.pause_writing()

    def close(self) -> None:
        if not self._is_closing:
            self.pause_reading()
            self._is_closing = True
            if not self._unsent:
                self._end()

    def abort(self) -> None:
        self._unsent.clear()
        self._end()

    # What the loop calls

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            return self.abort()
        if data:
            self._client.data_received(data)
        elif self._client.eof_received():
            self.pause_reading()
        else:
            self.close()

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if self._is_ended:
            return
        if not self._unsent:
            self._is_awaited = False
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                return self._end()
        if self._is_full and len(self._unsent) <= _LOW_WATER:
            self._is_full = False
            self._client.resume_writing()

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.abort()
            return 0

    def _end(self) -> None:
        if not self._is_ended:
            self.pause_reading()
            self._is_closing = self._is_ended = True
            if self._is_awaited:
                self._loop.remove_writer(self._fd)
            self._sock.close()
            client = self._client
            # Each knows the other: a connection would wait for the collector, which is off while a zone comes.
            del self._client
            client.connection_lost()
