"""What the notifier takes off the outbox, and what it must leave there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsserver import link, replication
from dnsserver.keeper import finder
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.notifier import Notifier
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.targets import Resolver
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store import feed, outbox, schema, zones
from dnsserver.store.database import Database
from dnsserver.store.outbox import PeerState
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
        notifier._zones[pending.zone_id].told = pending.version
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


def is_told(notifier: Notifier) -> bool:
    return 1 in notifier._zones and notifier._zones[1].told > 0


def waiting(database: Database) -> list[int]:
    with database.read() as conn:
        return [pending.zone_id for pending in outbox.pending(conn)]


def test_one_zone_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "_TOGETHER", 4)
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
                    assert is_told(notifier)
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
            notifier._finder._resolver = Resolver(no_address)
            await until(lambda: waiting(database) == [1] and is_told(notifier))
            with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
                Desk(other)("zone.suspend", name="example.com")
            await until(lambda: not is_told(notifier))
            with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
                Desk(other)("zone.resume", name="example.com")
            await until(lambda: is_told(notifier))

    asyncio.run(scene())
    assert waiting(database) == [1]


def test_nobody_is_told_of_a_zone_while_it_has_expired(tmp_path: Path, database: Database) -> None:
    """R11; its change stays in the outbox, also where it had its turn before, and is told of when it is good again."""
    desk = Desk(database)
    for name in ("example.com", "example.net"):
        desk("zone.create", name=name, ns=[f"ns.{name}"])

    async def scene() -> None:
        async with running(tmp_path, database) as notifier:
            notifier.expired(1, True)
            notifier.notify_now(1)
            await until(lambda: waiting(database) == [1])
            notifier.expired(2, True)
            notifier.expired(2, False)
            notifier.expired(1, False)
            await until(lambda: not waiting(database))

    asyncio.run(scene())


def test_what_targets_knew_is_known_after_a_restart(tmp_path: Path, database: Database) -> None:
    """The highest serial of them all; when that was, nobody knows."""
    Desk(database)("zone.create", name="example.com", ns=["ns.example.com"])
    states = [
        PeerState(1, f"192.0.2.{serial}", {"version": 1, "serial": serial, "rcode": 0}) for serial in (3, 7, 5)
    ]  # fmt: skip
    with database.write() as conn:
        outbox.save_peer_states(conn, states)

    async def scene() -> None:
        async with running(tmp_path, database) as notifier:
            assert notifier.notified(1) is None
            await until(lambda: notifier.notified(1) is not None)
            assert (notifier.notified(1), notifier.notified_since(1)) == (7, None)
            await until(lambda: not waiting(database))
            assert notifier.notified(1) == 7, "also where none of them is a target any more"
            assert notifier.notified(2) is None

    asyncio.run(scene())


def test_nothing_is_kept_of_a_zone_that_is_gone(tmp_path: Path, database: Database) -> None:
    desk = Desk(database)
    desk("zone.create", name="example.com", ns=["ns.example.com"])

    async def scene() -> None:
        async with running(tmp_path, database) as notifier:
            await until(lambda: not waiting(database) and is_told(notifier))
            desk("zone.delete", name="example.com")
            notifier.notify_now(1)
            await until(lambda: 1 not in notifier._zones)
            assert notifier.notified(1) is None
            assert 1 not in notifier._zones, "a question makes no record"

    asyncio.run(scene())


@pytest.mark.parametrize("feed_is_whole", [True, False])
def test_a_deleted_zones_targets_are_told_no_more(tmp_path: Path, database: Database, feed_is_whole: bool) -> None:
    """Though they have not acknowledged its last change; its row went from the outbox."""
    desk = Desk(database)
    with socket.socket(type=socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{deaf.getsockname()[1]}"
        desk("zone.create", name="example.com", ns=["ns.example.com"], settings=[f"also-notify={target}"])

        async def scene() -> None:
            async with running(tmp_path, database) as notifier:
                await until(lambda: notifier.notified(1) is not None)
                assert not notifier._machine.is_done(1)
                if not feed_is_whole:
                    with database.write() as conn:
                        conn.execute(sa.delete(schema.feed))
                desk("zone.delete", name="example.com")
                await until(lambda: 1 not in notifier._zones and notifier._machine.next_timer() is None)

        asyncio.run(scene())


async def no_address(_: asyncio.AbstractEventLoop, host: str) -> tuple[str, ...]:
    return ()
