"""One question over UDP and its answers, carried by asyncio-dgram.

Each exchange has a connected socket of its own: the kernel lets in only what comes from the peer's address and port,
an error is this exchange's own, and the source port is random.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

import asyncio_dgram
from asyncio_dgram.aio import DatagramClient

T = TypeVar("T")
_FIRST_LOOK = 0.02


def local_address(address: str, sources: Sequence[str]) -> str | None:
    """The first of ``sources`` of the family of ``address``: what a question to it is sent from (R6)."""
    version = ipaddress.ip_address(address).version
    return next((s for s in sources if ipaddress.ip_address(s).version == version), None)


def _connected(address: str, port: int, sources: Sequence[str]) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        source = local_address(address, sources)
        if source is not None:
            sock.bind((source, 0))
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


async def _receive(stream: DatagramClient) -> bytes:
    """The next datagram; raises OSError soon after the peer's host has said that nobody listens.

    The stream tells of an error when it is read from anew, never to one who waits: so the wait is interrupted, less and
    less often.
    """
    pause = _FIRST_LOOK
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                octets, _ = await stream.recv()
                return bytes(octets)
        pause *= 2


async def exchange(
    packet: bytes,
    address: str,
    port: int,
    sources: Sequence[str],
    seconds: float,
    accept: Callable[[bytes], T | None],
) -> T | None:
    """Send ``packet``, and return what ``accept`` makes of the first answer it takes; None when none came in that
    time.

    ``sources``: local addresses, the first of the right family is used (R6). Raises OSError: unreachable, refused.
    """
    stream = await asyncio_dgram.from_socket(_connected(address, port, sources))
    assert isinstance(stream, DatagramClient)
    try:
        async with asyncio.timeout(seconds):
            await stream.send(packet)
            while True:
                taken = accept(await _receive(stream))
                if taken is not None:
                    return taken
    except TimeoutError:
        return None
    except asyncio_dgram.TransportClosed as error:
        raise OSError(str(error)) from error
    finally:
        stream.close()
