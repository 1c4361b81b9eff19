"""The keeper's end of the link, over its real socket: what is known of answerers, and what one leaves behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dnsserver import link, replication
from dnsserver.keeper import hub as hub_module
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store.database import Database
from dnsserver.store.feed import Appended, FeedMark
from dnsserver.store.secretbox import SecretBox
from tests.support.desk import Desk
from tests.support.keeping import Reports

THREADS = 6


@asynccontextmanager
async def hub_of(folder: Path) -> AsyncIterator[tuple[Hub, Database, Desk, str]]:
    database = Database.open(f"sqlite:///{folder / 'dns.db'}", create=True, secret=SecretBox(bytes(32)))
    offload = Offload(THREADS)
    path = str(folder / "link.sock")
    hub = Hub(path, replication.Source(database), FeedWatch(), offload, Reports(), 1)
    await hub.start()
    try:
        yield hub, database, Desk(database), path
    finally:
        await hub.stop()
        offload.close()
        database.close()


async def greet(path: str, *zones: tuple[int, int, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(link.encode(link.Hello(link.PROTOCOL, 1, 0, 0, zones)))
    return reader, writer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def run(test: Callable[..., Awaitable[None]], folder: Path) -> None:
    async def whole() -> None:
        async with hub_of(folder) as parts:
            await test(*parts)

    asyncio.run(whole())


async def a_dropped_zone_is_not_served(hub: Hub, _: Database, __: Desk, path: str) -> None:
    """Else the NOTIFY of a zone that is restored would go before its answerers have it again (DESIGN, 5)."""
    _reader, writer = await greet(path, (5, 3, 30), (6, 1, 1))
    await until(lambda: hub.served(5) == 3)
    writer.write(link.encode(link.Serving(5, link.GONE, 0)))
    await until(lambda: hub.served(5) is None)
    assert hub.served_serial(5) is None
    assert hub.served(6) == 1
    writer.close()


async def ask_for_a_large_zone(desk: Desk, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    lines = "".join(f'h{n}.example.com. 300 TXT "{"x" * 200}"\n' for n in range(20_000))
    head = "example.com. 300 SOA ns.example.org. h.example.com. 1 1 1 1 1\nexample.com. 300 NS ns.example.org.\n"
    desk.load("example.com", head + lines)
    reader, writer = await greet(path)
    writer.write(link.encode(link.NeedZone(1)))
    while not isinstance(await link.receive(reader), link.ZonePage):
        pass
    return reader, writer


def used(database: Database) -> int:
    pool: Any = database._engine.pool
    return int(pool.checkedout())


async def an_answerer_that_dies_in_a_zone(hub: Hub, database: Database, desk: Desk, path: str) -> None:
    """Nothing is raised where nobody sees it, and no connection of the database stays in use."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    _reader, writer = await ask_for_a_large_zone(desk, path)
    assert used(database) == 1
    writer.transport.abort()
    await until(lambda: not hub._answerers)
    await until(lambda: used(database) == 0)
    assert faults == []


async def an_answerer_that_dies_while_threads_are_busy(hub: Hub, database: Database, desk: Desk, path: str) -> None:
    """The end of its zone, which a failed write began, waits for a thread; the end of reading does not take it back."""
    reader, writer = await ask_for_a_large_zone(desk, path)
    sending, lost = asyncio.Event(), asyncio.Event()
    # As a stream does, the test holds what it raises, and with it all that stands in its traceback.
    failure = ConnectionResetError("the answerer is gone")

    async def fails() -> None:
        sending.set()
        await lost.wait()
        raise failure

    hub._answerers[0]._taken = fails  # type: ignore[method-assign]
    while not sending.is_set():
        await link.receive(reader)
    free, taken = threading.Event(), threading.Semaphore(0)

    def busy() -> None:
        taken.release()
        free.wait()

    threads = [asyncio.create_task(hub.offload(busy)) for _ in range(THREADS)]
    for _ in threads:
        await asyncio.to_thread(taken.acquire)
    lost.set()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await until(lambda: not hub._answerers)
    assert used(database) == 1
    free.set()
    await asyncio.gather(*threads)
    await until(lambda: used(database) == 0)


async def an_answerer_that_takes_nothing(hub: Hub, database: Database, desk: Desk, path: str) -> None:
    """A stopped one must not hold a snapshot: SQLite's log would grow for as long as it is stopped."""
    _reader, _writer = await ask_for_a_large_zone(desk, path)
    assert used(database) == 1
    await until(lambda: used(database) == 0)
    await until(lambda: not hub._answerers)


async def an_edit_goes_to_answerers_without_a_look(hub: Hub, database: Database, desk: Desk, path: str) -> None:
    """Its patch, and the mark behind it, are written by the time that the committer's news is taken in."""
    desk.load("example.com", "@ 300 SOA ns h 1 1 1 1 1\n@ 300 NS ns.example.org.\n")
    reader, writer = await greet(path)
    while not isinstance(mark := await link.receive(reader), link.Mark):
        pass
    writer.write(link.encode(link.Applied(mark.seq)))
    await until(lambda: hub.applied(mark.seq) and hub._answerers[0]._rests)
    told: list[Appended] = []
    database.committed = told.append
    desk("record.add", zone="example.com", name="www", type="A", rdata=["192.0.2.1"])
    looks, hub.source.after = hub.source.after, no_look  # type: ignore[assignment]
    hub.committed(told[0])
    while isinstance(patch := await link.receive(reader), link.Mark):
        pass
    after = await link.receive(reader)
    assert isinstance(patch, link.Patch)
    assert isinstance(after, link.Mark)
    assert after.seq == mark.seq + 1
    hub.source.after = looks  # type: ignore[method-assign]
    # The same change is not sent again by the look that follows.
    hub.watch.hint()
    desk("record.add", zone="example.com", name="ftp", type="A", rdata=["192.0.2.1"])
    hub.watch.hint()
    following = await link.receive(reader)
    assert isinstance(following, link.Patch)
    assert following.from_version == patch.to_version
    writer.close()


def no_look(_: FeedMark) -> tuple[list[link.Message], FeedMark]:
    raise AssertionError("the database was looked at")


def test_an_edit_goes_to_answerers_without_a_look(tmp_path: Path) -> None:
    run(an_edit_goes_to_answerers_without_a_look, tmp_path)


def test_a_dropped_zone_is_not_served(tmp_path: Path) -> None:
    run(a_dropped_zone_is_not_served, tmp_path)


def test_an_answerer_that_dies_while_threads_are_busy(tmp_path: Path) -> None:
    run(an_answerer_that_dies_while_threads_are_busy, tmp_path)


def test_an_answerer_that_dies_in_a_zone(tmp_path: Path) -> None:
    run(an_answerer_that_dies_in_a_zone, tmp_path)


def test_an_answerer_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_STALLED", 0.3)
    run(an_answerer_that_takes_nothing, tmp_path)
