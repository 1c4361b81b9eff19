"""The answerer's end of the link over a real socket: no fault on it leaves an answerer that follows no more."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter
from pathlib import Path

from dnsserver import link, log
from dnsserver.answerer.keeper_link import KeeperLink
from dnsserver.answerer.replica import Replica
from dnsserver.protocol.server import ServerState
from dnsserver.store.feed import FeedMark
from dnsserver.zone import names, rdata
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA
from dnsserver.zone.settings import ZoneSettings

APEX = names.from_text("example.")
INFO = link.ZoneInfo(1, APEX, "primary", False, 5, ZoneSettings().to_json(), ())


def loaded() -> Replica:
    replica = Replica(ServerState(), cookies=False)
    soa = rdata.from_text(SOA, "ns.example. h.example. 10 3600 600 86400 300", APEX)
    records = [Record(APEX, NS, 300, names.from_text("ns.example.")), Record(APEX, SOA, 300, soa)]
    replica.load([FeedMark(7, 70), link.Globals((), (), (), (), b"key"), INFO, records])
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
            writer.write(link.encode(link.Patch(1, 5, 6, b"no changeset")))
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
