"""The stream of one transfer in, over TCP: how it is opened, and how slow it may be (LIMITS, transfer-in-...)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from dnsserver.asking import connect, words_of
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.xfrin import BadTransfer
from dnsserver.zone.settings import Target

_CONNECT_WITHIN = 10.0
# Seconds by which the rate is counted, and after which it is judged.
_MINUTE = 60.0
_READ = 256 << 10
# Taken from the primary while what came before is worked on, by a helper that yields to everybody: Knot ends a transfer
# that takes nothing for half a second. Twice this for each transfer under way.
_AHEAD = 4 << 20


class Inbound:
    """``async with Inbound(...) as stream``; octets come as they are read. Everything raises BadTransfer.

    ``idle``: seconds without an octet; ``rate``: octets a minute, on the whole. Only the time spent waiting for the
    primary counts, not that in which what it sent is worked on.
    """

    def __init__(self, primary: Target, sources: Sequence[str], idle: float, rate: int) -> None:
        self._primary = primary
        self._sources = sources
        self._idle = idle
        self._pace = Pace(rate)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        seconds = min(_CONNECT_WITHIN, self._idle)
        try:
            self._reader, self._writer = await connect(self._primary, self._sources, seconds, limit=_AHEAD)
        except TimeoutError:
            raise _bad("timeout", f"no connection within {seconds:g} s") from None
        except OSError as error:
            raise _bad("unreachable", words_of(error)) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What the primary still sends is of no use to anybody.
        self._writer.transport.abort()

    async def send(self, message: bytes) -> None:
        """One DNS message, its length before it (RFC 1035, 4.2.2)."""
        self._writer.write(len(message).to_bytes(2, "big") + message)
        with contextlib.suppress(OSError):  # reading will tell
            await self._writer.drain()

    async def octets(self, is_ours: Callable[[], bool] = lambda: False) -> bytes:
        """The next octets, at least one; ``b""``: the primary has ended the stream.

        ``is_ours``: whether what came so far is still to be worked on: meanwhile the primary need not send.
        """
        while True:
            begun = self._loop.time()
            try:
                async with asyncio.timeout(self._idle):
                    octets = await self._reader.read(_READ)
                break
            except OSError as error:
                # The system's own ETIMEDOUT is the stream's end, and would come again and again.
                if not isinstance(error, TimeoutError) or error.errno is not None:
                    raise _bad("closed", words_of(error)) from None
                if not is_ours():
                    raise self._idled() from None
        self._pace.add(len(octets), self._loop.time() - begun)
        return octets

    def _idled(self) -> BadTransfer:
        if not self._pace.octets:
            return _bad("timeout", f"no answer within {self._idle:g} s")
        return _bad("too-slow", f"nothing came for {self._idle:g} s (transfer-in-idle)")


class Pace:
    """Octets that came, in seconds of waiting for them; ``rate``: the fewest that may come in a minute."""

    __slots__ = ("_rate", "_seconds", "octets")

    def __init__(self, rate: int) -> None:
        self.octets = 0
        self._rate = rate
        self._seconds = 0.0

    def add(self, octets: int, seconds: float) -> None:
        """Raises BadTransfer once a minute has passed and the rate on the whole is too low."""
        self.octets += octets
        self._seconds += seconds
        if self._seconds > _MINUTE and self.octets * _MINUTE < self._rate * self._seconds:
            detail = f"{self.octets} octets in {self._seconds:.0f} s, below {self._rate} a minute (transfer-in-rate)"
            raise _bad("too-slow", detail)


class Framing:
    """Octets of a TCP stream, cut into DNS messages."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def messages(self, octets: bytes) -> list[bytes]:
        """The messages that are whole with these octets."""
        data = self._rest + octets
        found, at, end = [], 0, len(data)
        while at + 2 <= end and (stop := at + 2 + int.from_bytes(data[at : at + 2], "big")) <= end:
            found.append(data[at + 2 : stop])
            at = stop
        self._rest = data[at:]
        return found


def _bad(reason: str, detail: str) -> BadTransfer:
    return BadTransfer(Failure(reason, detail))
