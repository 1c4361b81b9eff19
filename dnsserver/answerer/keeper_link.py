"""The answerer's end of the link: connects to the keeper, again and again; without it, answers go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import cast

from dnsserver import link, log
from dnsserver.answerer.replica import Replica, Slices
from dnsserver.events import Event
from dnsserver.zone.changeset import Difference

_AGAIN = 0.2
# Seconds of a long work between two turns of the loop.
_TURN = 0.0005
# A keeper that does not answer within this time is taken for absent: the IXFR becomes an AXFR.
_CHAIN_TIMEOUT = 10.0
_AFTER_FAULT = 2.0
# Octets that a keeper may be behind before it is told no more of what can be done without.
_MOST_UNSENT = 1 << 20


async def _in_turns(work: Slices) -> list[link.Message]:
    """What the work returns; packets are answered in between."""
    until = time.perf_counter() + _TURN
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("list[link.Message]", end.value)
        if time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + _TURN


class KeeperLink:
    """Messages in are taken by the replica; questions out are chains for IXFR."""

    def __init__(self, path: str, replica: Replica, counters: Counter[str]) -> None:
        self._path = path
        self._replica = replica
        self._counters = counters
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[Difference | None]] = {}
        self._requests = 0
        # Called with each keeper that is there anew.
        self.connected: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """For ever: connect, follow, and when the keeper is gone, begin again."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    await self._follow(reader, writer)
                except Exception as error:
                    # Whatever it was: one that follows no more would answer what is old, and nobody would know.
                    log.event("link-failed", msg=f"{type(error).__name__}: {error}; all zones are read anew")
                    self._replica.doubt()
                    await asyncio.sleep(_AFTER_FAULT)
                finally:
                    self._disconnected(writer)
            await asyncio.sleep(_AGAIN)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        for greeting in self._replica.hello(os.getpid()):
            writer.write(link.encode(greeting))
        self.connected()
        # A keeper that died meanwhile is found out by what it is told; what it had sent was taken whole.
        with contextlib.suppress(ConnectionError):
            while (message := await link.receive(reader)) is not None:
                await self._take(message, writer)
                await writer.drain()
                # A stream of patches or rows is taken one by one, with packets answered in between.
                await asyncio.sleep(0)
        log.event("keeper-lost", msg="answers go on; IXFR becomes AXFR until it is back")

    async def _take(self, message: link.Message, writer: asyncio.StreamWriter) -> None:
        if isinstance(message, link.Chain):
            future = self._asked.pop(message.request, None)
            if future is not None and not future.done():
                future.set_result(None if message.difference is None else Difference(*message.difference))
        elif isinstance(message, link.AskCounters):
            writer.write(link.encode(link.Counters(message.request, dict(self._counters))))
        else:
            for answer in await _in_turns(self._replica.taking(message)):
                writer.write(link.encode(answer))

    def _disconnected(self, writer: asyncio.StreamWriter) -> None:
        self._writer = None
        writer.close()
        for future in self._asked.values():
            if not future.done():
                future.set_result(None)
        self._asked.clear()

    async def chain(self, zone_id: int, from_serial: int, to_version: int) -> Difference | None:
        """The changes from a client's serial to a version; None when they are not to be had."""
        if self._writer is None:
            return None
        self._requests += 1
        request = self._requests
        future: asyncio.Future[Difference | None] = asyncio.get_running_loop().create_future()
        self._asked[request] = future
        self._writer.write(link.encode(link.AskChain(request, zone_id, from_serial, to_version)))
        try:
            async with asyncio.timeout(_CHAIN_TIMEOUT):
                return await future
        except TimeoutError:
            return None
        finally:
            self._asked.pop(request, None)

    def tell(self, message: link.Message) -> bool:
        """Send what needs no answer; false when there is no keeper, or one that takes nothing: then it is not sent."""
        writer = self._writer
        if writer is None or writer.is_closing() or writer.transport.get_write_buffer_size() > _MOST_UNSENT:
            return False
        writer.write(link.encode(message))
        return True

    def happened(self, event: Event) -> None:
        """An event for the log, and for the database's list where there is a keeper."""
        log.event(event.name, **event.fields)
        self.tell(link.Happened(event.name, event.fields))
