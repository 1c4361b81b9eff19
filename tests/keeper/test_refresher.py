"""The keeper's refresher with a real store and a real primary: floods, limits, zones that come, change and go."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from dnsserver import link
from dnsserver.asking import ask_soa
from dnsserver.clock import SystemClock
from dnsserver.events import Event
from dnsserver.keeper import refresher as refresher_module
from dnsserver.keeper.fetch import Fetcher
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.refresher import Refresher
from dnsserver.keeper.secondaries import State
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store import refresh, zones
from dnsserver.store.database import Database
from dnsserver.zone import names
from tests.support.desk import Desk
from tests.support.hostile import AXFR, SOA, Ask, End, Hosted, HostilePrimary, Pause, Step, good
from tests.support.keeping import keeper_settings


class Keeping:
    """A refresher and what it told."""

    def __init__(self, database: Database, **settings: object) -> None:
        self.database = database
        self.desk = Desk(database)
        self.watch = FeedWatch()
        self.events: list[Event] = []
        self.told: dict[int, float | None] = {}
        self.expired: dict[int, bool] = {}
        self.offload = Offload(4)
        given = keeper_settings(**settings)
        fetcher = Fetcher(given, database, self.offload, self.events.append)
        self.refresher = Refresher(
            given, database, self.watch, self.offload, fetcher, SystemClock(),
            happened=self.events.append, tell=self._take, expired=self.expired.__setitem__,
        )  # fmt: skip

    def _take(self, message: link.Message) -> None:
        assert isinstance(message, link.Deadlines)
        self.told.update(message.entries)

    def create(self, name: str, primary: HostilePrimary, **more: object) -> int:
        """A secondary zone; its id."""
        target = f"{primary.endpoint.address}:{primary.endpoint.port}"
        self.desk("zone.create", name=name, secondary_of=[target], **more)
        self.watch.hint()
        with self.database.read() as conn:
            return zones.get(conn, names.from_text(name)).id

    def serial(self, name: str) -> int:
        with self.database.read() as conn:
            return zones.get(conn, names.from_text(name)).serial


@pytest.fixture
def primary() -> Iterator[HostilePrimary]:
    with HostilePrimary() as found:
        yield found


@asynccontextmanager
async def running(keeping: Keeping) -> AsyncIterator[Refresher]:
    task = asyncio.create_task(keeping.refresher.run())
    try:
        yield keeping.refresher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await keeping.refresher.stop()
        keeping.offload.close()


async def until(check: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    asyncio.run(main())


def test_a_flood_of_notifies_leaves_one_check_pending(database: Database, primary: HostilePrimary) -> None:
    """R9: 10,000 of them, and the primary is asked once for what is under way and once for all that came after."""
    asked: list[int] = []

    def counting(ask: Ask) -> list[bytes]:
        asked.append(ask.qtype)
        return good(ask, 1)

    primary.zones["a.test."] = Hosted(counting)
    keeping = Keeping(database)

    async def scene() -> None:
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await until(lambda: keeping.serial("a.test.") == 1, "the first transfer")
            await refresher.refresh(zone_id, 10, full=False)
            asked.clear()
            for _ in range(10_000):
                refresher.notify_heard(zone_id, 1, primary.endpoint.address)
            await refresher.refresh(zone_id, 10, full=False)
            # A datagram that was lost may be sent again.
            assert set(asked) == {SOA}
            assert 2 <= len(asked) <= 4

    play(scene)


def test_a_notify_that_comes_before_the_zones_are_loaded_is_not_lost(
    database: Database, primary: HostilePrimary
) -> None:
    version = 1
    primary.zones["a.test."] = Hosted(lambda ask: good(ask, version))

    async def scene() -> None:
        nonlocal version
        first = Keeping(database)
        zone_id = first.create("a.test.", primary)
        async with running(first):
            await until(lambda: first.serial("a.test.") == 1, "the first transfer")
            await until(lambda: first.told.get(zone_id), "its deadline is told")
        version = 2
        second = Keeping(database)
        second.refresher.notify_heard(zone_id, 2, primary.endpoint.address)
        async with running(second):
            await until(lambda: second.serial("a.test.") == 2, "the check that the NOTIFY asked for")

    play(scene)


def test_zones_that_expired_meanwhile_are_known_once_it_is_loaded(database: Database, primary: HostilePrimary) -> None:
    """R11: only then may the keeper send NOTIFY."""
    hosted = primary.zones["a.test."] = Hosted(lambda ask: good(ask, 1))

    async def scene() -> None:
        first = Keeping(database)
        zone_id = first.create("a.test.", primary)
        async with running(first) as refresher:
            await refresher.refresh(zone_id, 10, full=False)
        with database.write() as conn:
            state = refresh.get(conn, zone_id) or {}
            refresh.save(conn, [(zone_id, state | {"expires": time.time() - 1})])
        hosted.script = lambda ask: [End()]
        second = Keeping(database)
        async with running(second) as refresher:
            await refresher.loaded()
            assert second.expired == {zone_id: True}

    play(scene)


def test_no_more_transfers_at_once_than_the_limits_say(database: Database, primary: HostilePrimary) -> None:
    """LIMITS, max-transfers-in-per-primary: the primary never sees more than two."""
    under_way = most = 0

    def slow(ask: Ask) -> Iterator[Step]:
        nonlocal under_way, most
        if ask.qtype != AXFR:
            yield from good(ask, 1)
            return
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.05)
        under_way -= 1
        yield from good(ask, 1)

    apexes = [f"zone-{number}.test." for number in range(12)]
    for apex in apexes:
        primary.zones[apex] = Hosted(slow)
    keeping = Keeping(database)

    async def scene() -> None:
        for apex in apexes:
            keeping.create(apex, primary)
        async with running(keeping):
            await until(lambda: all(keeping.serial(apex) == 1 for apex in apexes), "all are transferred")

    play(scene)
    assert most == 2


def test_a_dead_primary_does_not_delay_the_others(
    database: Database, primary: HostilePrimary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its zones wait for answers that never come, more of them than may be asked for at once in all."""
    monkeypatch.setattr(refresher_module, "_ASKING", 20)
    monkeypatch.setattr(refresher_module, "_ASKING_EACH", 4)
    # None of them is given up before the test is over.
    monkeypatch.setattr(refresher_module, "ask_soa", partial(ask_soa, seconds=600.0))
    primary.zones["alive.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database, soa_checks_per_second=10_000)

    async def scene() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.2", 0))
            dead = f"127.0.0.2:{silent.getsockname()[1]}"
            for number in range(30):
                keeping.desk("zone.create", name=f"dead-{number}.test", secondary_of=[dead])
            async with running(keeping) as refresher:
                await until(lambda: refresher.counters["soa-checks"] == 4, "as many as may be are asked for")
                keeping.create("alive.test.", primary)
                await until(lambda: keeping.serial("alive.test.") == 1, "the zone of the other primary")

    play(scene)


def test_of_two_saves_at_once_what_is_known_last_is_stored_last(database: Database, primary: HostilePrimary) -> None:
    """One waits for the database; what came of a check meanwhile is not overwritten by it."""
    hosted = primary.zones["a.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database)
    waits, free = threading.Event(), threading.Event()

    async def scene() -> None:
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await refresher.refresh(zone_id, 60, full=False)
            save = refresher._stored.save

            def slowly(states: Iterable[tuple[int, State]]) -> None:
                refresher._stored.save = save  # type: ignore[method-assign]
                waits.set()
                free.wait()
                save(states)

            refresher._stored.save = slowly  # type: ignore[method-assign]
            refresher._unsaved.add(zone_id)
            first = asyncio.create_task(refresher._save())
            await until(waits.is_set, "the first is under way")
            hosted.script = lambda ask: [ask.reply(rcode=5)]
            second = asyncio.create_task(refresher.refresh(zone_id, 60, full=False))
            await until(lambda: keeping.events, "the check has failed")
            await asyncio.sleep(0.2)
            free.set()
            await first
            assert (await second)["error"] == "refused"
        with database.read() as conn:
            state = refresh.get(conn, zone_id)
        assert state is not None
        assert state["error"]["reason"] == "refused"

    play(scene)


def test_zones_are_suspended_resumed_converted_and_deleted(database: Database, primary: HostilePrimary) -> None:
    version = 1
    hosted = primary.zones["a.test."] = Hosted(lambda ask: good(ask, version))
    keeping = Keeping(database)

    async def scene() -> None:
        nonlocal version
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await until(lambda: keeping.told.get(zone_id), "the first transfer")
            keeping.desk("zone.suspend", name="a.test")
            version, asked_at = 2, hosted.asked_at
            assert (await refresher.refresh(zone_id, 5, full=False))["outcome"] == "failed"
            refresher.notify_heard(zone_id, 2, primary.endpoint.address)
            assert hosted.asked_at == asked_at
            keeping.desk("zone.resume", name="a.test")
            keeping.watch.hint()
            await until(lambda: keeping.serial("a.test.") == 2, "what it missed is fetched at once")
            keeping.desk("zone.convert", name="a.test", to="primary")
            keeping.watch.hint()
            await until(lambda: keeping.told[zone_id] is None, "a primary zone never expires (R11)")
            with database.read() as conn:
                assert refresh.get(conn, zone_id) is None
            keeping.desk("zone.delete", name="a.test")

    play(scene)


def test_other_primaries_are_asked_at_once(database: Database, primary: HostilePrimary) -> None:
    """zone set primaries=… (R28)."""
    primary.zones["a.test."] = Hosted(lambda ask: good(ask, 3))
    keeping = Keeping(database)

    async def scene() -> None:
        keeping.desk("zone.create", name="a.test", secondary_of=["127.0.0.2:9"])
        async with running(keeping):
            await until(lambda: keeping.events, "the first primary is not there")
            target = f"primaries={primary.endpoint.address}:{primary.endpoint.port}"
            keeping.desk("zone.set", name="a.test", changes=[target])
            keeping.watch.hint()
            await until(lambda: keeping.serial("a.test.") == 3, "the new primary's zone")

    play(scene)


def stalling(ask: Ask) -> Iterator[Step]:
    """A primary whose transfers do not come to an end."""
    if ask.qtype == AXFR:
        yield Pause(60)
    yield from good(ask, 1)


def test_a_transfer_from_a_primary_of_the_past_is_given_up(database: Database, primary: HostilePrimary) -> None:
    """Its operator has just turned away from it: he does not wait for its hour (LIMITS, transfer-in-time) to end."""
    hosted = primary.zones["a.test."] = Hosted(stalling)
    keeping = Keeping(database)

    async def scene() -> None:
        keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await until(lambda: refresher.counters["transfers-in-begun"], "the transfer begins")
            with HostilePrimary() as other:
                other.zones["a.test."] = Hosted(lambda ask: good(ask, 3))
                target = f"primaries={other.endpoint.address}:{other.endpoint.port}"
                keeping.desk("zone.set", name="a.test", changes=[target])
                keeping.watch.hint()
                await until(lambda: keeping.serial("a.test.") == 3, "the new primary's zone")
        assert "transfer-failed" not in {event.name for event in keeping.events}

    play(scene)
    assert hosted.asked_at


def test_who_waits_for_a_primary_of_the_past_is_told_so(database: Database, primary: HostilePrimary) -> None:
    hosted = primary.zones["a.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database)

    async def scene() -> None:
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await refresher.refresh(zone_id, 10, full=False)
            hosted.script = stalling
            waiting = asyncio.create_task(refresher.refresh(zone_id, 10, full=True))
            await until(lambda: refresher.counters["transfers-in-begun"] == 2, "the transfer begins")
            keeping.desk("zone.set", name="a.test", changes=["primaries=127.0.0.2:9"])
            keeping.watch.hint()
            outcome = await waiting
            assert (outcome["outcome"], outcome["message"]) == ("failed", "the zone has other primaries now")

    play(scene)


def test_a_zone_that_goes_gives_its_transfer_up(database: Database, primary: HostilePrimary) -> None:
    primary.zones["a.test."] = Hosted(stalling)
    primary.zones["b.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database, max_transfers_in_per_primary=1)

    async def scene() -> None:
        keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await until(lambda: refresher.counters["transfers-in-begun"], "the transfer begins")
            keeping.create("b.test.", primary)
            keeping.desk("zone.delete", name="a.test")
            keeping.watch.hint()
            await until(lambda: keeping.serial("b.test.") == 1, "the turn of the other zone")

    play(scene)


def test_an_operator_hears_what_came_of_it(database: Database, primary: HostilePrimary) -> None:
    """R23: current, transferred whole, failed with the reason, and pending where it takes longer than he waits."""
    hosted = primary.zones["a.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database)

    async def scene() -> None:
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            first = await refresher.refresh(zone_id, 10, full=False)
            assert (first["outcome"], first["old_serial"], first["new_serial"]) == ("transferred", None, 1)
            assert (await refresher.refresh(zone_id, 10, full=False))["outcome"] == "current"
            whole = await refresher.refresh(zone_id, 10, full=True)
            assert (whole["outcome"], whole["kind"]) == ("transferred", "axfr")
            hosted.script = lambda ask: [ask.reply(rcode=5)]
            refused = await refresher.refresh(zone_id, 10, full=True)
            assert (refused["outcome"], refused["error"]) == ("failed", "refused")
            assert "RCODE 5, REFUSED" in refused["message"]
            hosted.script = lambda ask: [End()]
            assert (await refresher.refresh(zone_id, 0.05, full=False))["outcome"] == "pending"

    play(scene)


def test_a_zone_that_a_restored_backup_sets_back_is_fetched_again(
    database: Database, primary: HostilePrimary, tmp_path: Path
) -> None:
    """What the primary has is what was here, but is here no more: no good check (R26)."""
    version = 1
    primary.zones["a.test."] = Hosted(lambda ask: good(ask, version))
    keeping = Keeping(database)

    def copy(source: str, target: str) -> None:
        with closing(sqlite3.connect(tmp_path / source)) as one, closing(sqlite3.connect(tmp_path / target)) as other:
            one.backup(other)

    async def scene() -> None:
        nonlocal version
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await refresher.refresh(zone_id, 10, full=False)
            copy("dns.db", "backup.db")
            version = 2
            assert (await refresher.refresh(zone_id, 10, full=False))["new_serial"] == 2
            copy("backup.db", "dns.db")
            assert keeping.serial("a.test.") == 1
            keeping.watch.hint()
            await until(lambda: keeping.serial("a.test.") == 2, "it is fetched again")

    play(scene)


def test_who_waits_for_a_zone_that_goes_away_is_told_so(database: Database, primary: HostilePrimary) -> None:
    """And not what came of the round before."""
    hosted = primary.zones["a.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database)

    async def scene() -> None:
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            assert (await refresher.refresh(zone_id, 10, full=False))["outcome"] == "transferred"
            hosted.script = lambda ask: [Pause(5)]
            asked_at = hosted.asked_at
            waiting = asyncio.create_task(refresher.refresh(zone_id, 10, full=True))
            await until(lambda: hosted.asked_at != asked_at, "it is asked for")
            keeping.desk("zone.delete", name="a.test")
            keeping.watch.hint()
            outcome = await waiting
            assert (outcome["outcome"], outcome["message"]) == ("failed", "the zone went away meanwhile")

    play(scene)


def test_a_lost_database_does_not_let_zones_expire(database: Database, primary: HostilePrimary, tmp_path: Path) -> None:
    """CONTRACT: answers go on. A good check needs nothing of it."""
    primary.zones["a.test."] = Hosted(lambda ask: good(ask, 1))
    keeping = Keeping(database)

    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(tmp_path / "dns.db")) as conn, conn:
            conn.execute(f"ALTER TABLE {old} RENAME TO {new}")

    async def scene() -> None:
        zone_id = keeping.create("a.test.", primary)
        async with running(keeping) as refresher:
            await refresher.refresh(zone_id, 10, full=False)
            rename("feed", "lost")
            keeping.watch.hint()
            keeping.told.clear()
            refresher.notify_heard(zone_id, None, primary.endpoint.address)
            await until(lambda: keeping.told.get(zone_id), "a good check puts off the expiry")
            rename("lost", "feed")

    play(scene)
