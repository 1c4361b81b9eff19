"""The answerer's end of the link over a real socket: no fault on it leaves an answerer that follows no more."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from dnsserver import link, log
from dnsserver.answerer.keeper_link import KeeperLink
from dnsserver.answerer.replica import Replica
from dnsserver.events import Event
from dnsserver.protocol.server import ServerState
from dnsserver.zone import names, rdata
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA
from dnsserver.zone.settings import ZoneSettings
from tests.support.pages import zone_pages

APEX = names.from_text("example.")
INFO = link.ZoneInfo(1, APEX, "primary", False, 5, ZoneSettings().to_json(), ())


def loaded() -> Replica:
    replica = Replica(ServerState(), cookies=False)
    soa = rdata.from_text(SOA, "ns.example. h.example. 10 3600 600 86400 300", APEX)
    records = [Record(APEX, NS, 300, names.from_text("ns.example.")), Record(APEX, SOA, 300, soa)]
    replica.load([link.Mark(7, 70), link.Globals((), (), (), (), b"key"), INFO, *zone_pages(APEX, records)])
    return replica


async def _meet(path: Path, replica: Replica) -> tuple[list[link.Hello], list[link.Message]]:
    """A keeper whose first connection sends what cannot be taken, the second a zone's information."""
    hellos: list[link.Hello] = []
    after: list[link.Message] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await link.receive(reader)
        assert isinstance(hello, link.Hello)
        hellos.append(hello)
        if len(hellos) == 1:
            writer.write(link.encode(link.Patch(1, 5, 6, b"no changeset", True)))
            assert await link.receive(reader) is None, "it hangs up"
        else:
            writer.write(link.encode(INFO))
            if (message := await link.receive(reader)) is not None:
                after.append(message)
            done.set()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    following = asyncio.create_task(KeeperLink(str(path), replica, Counter()).run())
    try:
        async with asyncio.timeout(20):
            await done.wait()
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        server.close()
    return hellos, after


def test_a_message_that_cannot_be_taken_is_told_and_all_zones_are_read_anew(tmp_path: Path) -> None:
    replica, lines = loaded(), io.StringIO()
    log.configure(json_lines=False, stream=lines)
    try:
        hellos, after = asyncio.run(_meet(tmp_path / "link.sock", replica))
    finally:
        log.configure(json_lines=False)
    assert lines.getvalue().startswith("link-failed ")
    assert [(hello.seq, hello.tag) for hello in hellos] == [(7, 70), (0, 0)]
    # What is served stays, and is of the version that the keeper has: it is asked for all the same.
    view = replica.state.zones[APEX]
    assert view.image is not None
    assert view.image.version == 5
    assert after == [link.NeedZone(1)]


def test_a_keeper_that_dies_is_no_reason_to_read_zones_anew(tmp_path: Path) -> None:
    """What it had sent is taken, also when it is not there any more to be told so."""

    async def meet() -> list[link.Hello]:
        hellos: list[link.Hello] = []
        is_back = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            hello = await link.receive(reader)
            assert isinstance(hello, link.Hello)
            hellos.append(hello)
            if len(hellos) == 1:
                writer.write(link.encode(INFO) * 500)
                await writer.drain()
                writer.transport.abort()
            else:
                is_back.set()

        server = await asyncio.start_unix_server(serve, tmp_path / "link.sock")
        following = asyncio.create_task(KeeperLink(str(tmp_path / "link.sock"), loaded(), Counter()).run())
        async with asyncio.timeout(20):
            await is_back.wait()
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        server.close()
        return hellos

    assert [(hello.seq, hello.tag) for hello in asyncio.run(meet())] == [(7, 70), (7, 70)]


@contextlib.asynccontextmanager
async def connected(path: Path, reads: bool) -> AsyncIterator[tuple[KeeperLink, asyncio.Queue[link.Message]]]:
    """A link, and what its keeper took; one that does not read takes nothing."""
    taken: asyncio.Queue[link.Message] = asyncio.Queue()
    is_there = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(await link.receive(reader), link.Hello)
        is_there.set()
        if not reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
        while (message := await link.receive(reader)) is not None:
            taken.put_nowait(message)

    keeper = KeeperLink(str(path), loaded(), Counter())
    assert not keeper.tell(link.Heard(1, "192.0.2.1")), "nobody is there yet"
    server = await asyncio.start_unix_server(serve, path)
    following = asyncio.create_task(keeper.run())
    try:
        async with asyncio.timeout(20):
            await is_there.wait()
        yield keeper, taken
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        server.close()


def test_an_event_is_logged_and_told(tmp_path: Path) -> None:
    fields: dict[str, str | int | float | None] = {"zone": "example.", "peer": "192.0.2.1#53", "key": None}

    async def happen() -> link.Message:
        async with connected(tmp_path / "link.sock", reads=True) as (keeper, taken):
            keeper.happened(Event("notify-denied", fields))
            async with asyncio.timeout(20):
                return await taken.get()

    lines = io.StringIO()
    log.configure(json_lines=False, stream=lines)
    try:
        told = asyncio.run(happen())
    finally:
        log.configure(json_lines=False)
    assert lines.getvalue().startswith("notify-denied zone=example peer=192.0.2.1#53 key=-")
    assert told == link.Happened("notify-denied", fields)


def test_a_keeper_that_takes_nothing_is_told_a_bounded_amount(tmp_path: Path) -> None:
    """It may be stopped for hours: what waits for it must not fill the answerer's memory."""

    async def flood() -> int:
        async with connected(tmp_path / "link.sock", reads=False) as (keeper, _):
            message = link.Happened("notify-denied", {"zone": "x" * 1000})
            sent = 0
            while keeper.tell(message):
                sent += 1
                assert sent < 10_000
            return sent

    assert asyncio.run(flood()) > 100
