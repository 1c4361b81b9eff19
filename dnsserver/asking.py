"""Questions to a primary: its SOA, by UDP and where that does not do by TCP; and the connections for more."""

from __future__ import annotations

import asyncio
import os
import secrets
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from dnsserver.exchange import exchange, local_address
from dnsserver.protocol import tsig
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.soa_query import Again, SoaAnswer, SoaExpected, build, read
from dnsserver.protocol.tsig import Key
from dnsserver.zone.settings import Target

T = TypeVar("T")
_Said = SoaAnswer | Failure | Again


async def ask_soa(
    apex: bytes, target: Target, key: Key | None, sources: Sequence[str], clock: Callable[[], float], *,
    tries: int = 2, seconds: float = 3.0, fudge_cap: int = tsig.FUDGE,
) -> SoaAnswer | Failure:  # fmt: skip
    """The serial that a primary has: asked by UDP, at most ``tries`` times, and by TCP when the answer is
    truncated, not to be believed, or does not come.

    ``seconds``: for each try; ``key``: that of ``target``; ``sources``: local addresses (R6); ``clock``: seconds since
    the epoch, for signatures.
    """
    question = _Question(apex, target, key, sources, clock, seconds, fudge_cap)
    edns = True
    said = await question.by_udp(tries)
    if said is Again.PLAIN:
        edns = False
        said = await question.by_udp(tries, edns=False)
    return said if isinstance(said, SoaAnswer | Failure) else await question.by_tcp(edns=edns)


class _Question:
    def __init__(
        self, apex: bytes, target: Target, key: Key | None, sources: Sequence[str], clock: Callable[[], float],
        seconds: float, fudge_cap: int,
    ) -> None:  # fmt: skip
        self._apex = apex
        self._target = target
        self._key = key
        self._sources = sources
        self._clock = clock
        self._seconds = seconds
        self._fudge_cap = fudge_cap

    async def by_udp(self, tries: int, *, edns: bool = True) -> _Said | None:
        """None: no answer came, or none can, as far as UDP goes."""
        for _ in range(tries):
            packet, expected = self._build(edns)
            accept: Callable[[bytes], _Said | None] = partial(self._read, expected, tcp=False)
            try:
                said: _Said | None = await exchange(
                    packet, self._target.address, self._target.port, self._sources, self._seconds, accept
                )
            except OSError:
                return None
            if said is not None:
                return said
        return None

    async def by_tcp(self, *, edns: bool) -> SoaAnswer | Failure:
        packet, expected = self._build(edns)
        accept: Callable[[bytes], _Said | None] = partial(self._read, expected, tcp=True)
        said: _Said = await tcp_exchange(packet, self._target, self._sources, self._seconds, accept)
        # Over TCP only EDNS is a reason to ask again.
        return await self.by_tcp(edns=False) if isinstance(said, Again) else said

    def _build(self, edns: bool) -> tuple[bytes, SoaExpected]:
        return build(self._apex, secrets.randbelow(1 << 16), self._key, self._clock(), edns=edns)

    def _read(self, expected: SoaExpected, packet: bytes, *, tcp: bool) -> _Said | None:
        return read(packet, expected, self._clock(), tcp=tcp, fudge_cap=self._fudge_cap)


async def connect(
    target: Target, sources: Sequence[str], seconds: float, *, limit: int = 64 << 10
) -> tuple[StreamReader, StreamWriter]:
    """A TCP connection, from the local address of the right family (R6). Raises TimeoutError, or another OSError.

    ``limit``: twice as many octets are taken from the other side before anybody reads them.
    """
    source = local_address(target.address, sources)
    async with asyncio.timeout(seconds):
        return await asyncio.open_connection(
            target.address, target.port, local_addr=None if source is None else (source, 0), limit=limit
        )


async def tcp_exchange(
    packet: bytes, target: Target, sources: Sequence[str], seconds: float, accept: Callable[[bytes], T | None]
) -> T | Failure:
    """One question over a connection of its own: what ``accept`` makes of the first message it takes (RFC 7766).

    ``seconds``: for the connection, and again for the answer. ``timeout``, ``unreachable``, ``closed``.
    """
    try:
        reader, writer = await connect(target, sources, seconds)
    except TimeoutError:
        return Failure("timeout", f"no connection within {seconds:g} s")
    except OSError as error:
        return Failure("unreachable", words_of(error))
    try:
        async with asyncio.timeout(seconds):
            writer.write(len(packet).to_bytes(2, "big") + packet)
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                taken = accept(await reader.readexactly(size))
                if taken is not None:
                    return taken
    except TimeoutError:
        return Failure("timeout", f"no answer within {seconds:g} s")
    except asyncio.IncompleteReadError:
        return Failure("closed", "the connection ended without an answer")
    except OSError as error:
        return Failure("closed", words_of(error))
    finally:
        writer.close()


def words_of(error: OSError) -> str:
    """The system's own words; asyncio's repeat the address."""
    return str(error) if error.errno is None else os.strerror(error.errno)
