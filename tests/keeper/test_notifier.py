"""What the notifier takes off the outbox, and what it must leave there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsserver import link, replication
from dnsserver.keeper import notifier as notifier_module
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.notifier import Notifier
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.targets import Resolver
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store import feed, outbox, zones
from dnsserver.store.database import Database
from dnsserver.store.schema import records
from tests.support.desk import Desk
from tests.support.keeping import Reports, keeper_settings


@pytest.mark.parametrize(("gone", "left"), [(False, 1), (True, 0)])
def test_a_suspended_zones_change_waits_in_the_outbox_and_a_gone_ones_does_not(
    tmp_path: Path, gone: bool, left: int
) -> None:
    """R8: an answer that comes after the suspension must not pass for the answers of all targets."""
    database = Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True)
    Desk(database)("zone.create", name="example.com", ns=["ns1.example.net"])

    async def scene() -> int:
        offload, watch = Offload(), FeedWatch()
        hub = Hub(str(tmp_path / "l"), replication.Source(database), watch, offload, Reports(), 1)
        notifier = Notifier(keeper_settings(), database, hub, watch, offload, lambda _: None)
        with database.read() as conn:
            (pending,) = outbox.pending(conn)
        notifier._told[pending.zone_id] = pending.version
        notifier._forget(pending.zone_id, gone=gone)
        notifier._unsaved.add(pending.zone_id)
        await notifier._save()
        offload.close()
        with database.read() as conn:
            return len(outbox.pending(conn))

    try:
        assert asyncio.run(scene()) == left
    finally:
        database.close()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(folder: Path, database: Database) -> AsyncIterator[Notifier]:
    """A notifier with an answerer that serves every zone as it is stored."""
    offload, watch, reports = Offload(), FeedWatch(), Reports()
    hub = Hub(str(folder / "link"), replication.Source(database), watch, offload, reports, 1)
    notifier = Notifier(keeper_settings(), database, hub, watch, offload, reports.events.append)
    await hub.start()
    _, writer = await asyncio.open_unix_connection(str(folder / "link"))
    with database.read() as conn:
        served = tuple((zone.id, zone.version, zone.serial) for zone in zones.all_zones(conn))
        mark = feed.head(conn)
    writer.write(link.encode(link.Hello(link.PROTOCOL, 1, *mark, served)))
    await until(lambda: bool(reports.served))
    task = asyncio.create_task(notifier.run())
    try:
        yield notifier
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await notifier.stop()
        writer.close()
        await hub.stop()
        offload.close()


def waiting(database: Database) -> list[int]:
    with database.read() as conn:
        return [pending.zone_id for pending in outbox.pending(conn)]


def test_one_zone_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier_module, "_TOGETHER", 4)
    desk = Desk(database)
    for number in range(10):
        desk("zone.create", name=f"z{number}.example.com", ns=[f"ns.z{number}.example.com"])
    with database.write() as conn:
        broken, *_ = outbox.pending(conn)
        conn.execute(sa.delete(records).where(records.c.type == 6, records.c.contents == broken.zone_id))

    async def scene() -> None:
        async with running(tmp_path, database):
            await until(lambda: len(waiting(database)) == 1)

    asyncio.run(scene())
    assert waiting(database) == [broken.zone_id]


def test_what_could_not_be_stored_is_stored_later(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True, busy_timeout=0.01) as database:
        Desk(database)("zone.create", name="example.com", ns=["ns.example.com"])

        async def scene() -> None:
            async with running(tmp_path, database) as notifier:
                with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other, other.write():
                    said = ""
                    while "notify-failed" not in said:
                        await asyncio.sleep(0.01)
                        said += capfd.readouterr().err
                    assert notifier._told == {1: 1}
                await until(lambda: not waiting(database))

        asyncio.run(scene())


def test_a_zone_told_of_waits_for_a_name_that_has_no_address_and_no_other_does(
    tmp_path: Path, database: Database
) -> None:
    """It stays in the outbox; what is there already is not read again and again, and what comes anew is told of."""
    desk = Desk(database)
    desk("zone.create", name="example.com", ns=["ns.invalid"])
    desk("zone.create", name="example.net", ns=["ns.example.net"])

    async def scene() -> None:
        async with running(tmp_path, database) as notifier:
            notifier._resolver = Resolver(no_address)
            await until(lambda: waiting(database) == [1] and 1 in notifier._told)
            with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
                Desk(other)("zone.suspend", name="example.com")
            await until(lambda: 1 not in notifier._told)
            with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
                Desk(other)("zone.resume", name="example.com")
            await until(lambda: 1 in notifier._told)

    asyncio.run(scene())
    assert waiting(database) == [1]


async def no_address(_: asyncio.AbstractEventLoop, host: str) -> tuple[str, ...]:
    return ()
