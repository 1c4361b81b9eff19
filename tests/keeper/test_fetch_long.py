"""Long transfers in, and digests of large zones: the helper process's work."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnsserver.editing.context import EditLimits
from dnsserver.keeper.fetch import SHORT
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Fetched
from dnsserver.store import contents, journal
from tests.keeper.fetching import WHO, Place, digested
from tests.support import hostile
from tests.support.hostile import RR, Ask, End, Pause, Step
from tests.support.procs import wait_until

MANY = 12_000


def _long(ask: Ask, serial: int, *, count: int = MANY, last: int = 1) -> Iterator[Step]:
    """An AXFR of ``count`` more addresses, the last of them ending in ``last``."""
    yield ask.reply([ask.soa(serial), *ask.body(serial)])
    for at in range(0, count, 500):
        yield ask.reply(
            [
                ask.rr(f"host-{number:06d}", "A", f"192.0.2.{last if number == count - 1 else 1}")
                for number in range(at, min(at + 500, count))
            ]
        )
    yield ask.reply([ask.soa(serial)])


@pytest.mark.parametrize("large", [20_000, 1000, 1])
def test_a_long_transfer_goes_by_the_helper(place: Place, large: int) -> None:
    """As first contents, as a small difference, and as a large one."""
    assert MANY * 30 > SHORT
    place.settings = replace(place.settings, limits=EditLimits(large=large))
    place.zone(ixfr="off")
    for serial in (1, 2):
        place.answers(lambda ask, serial=serial: _long(ask, serial, last=serial))  # type: ignore[misc]
        got = place.fetch()
        assert isinstance(got, Fetched), got
        assert (got.kind, got.records) == ("axfr", MANY + 9)
        assert (place.row.serial, place.row.record_count) == (serial, MANY + 8)
    last = [record for record in place.records if record.owner.startswith(b"\x0bhost-011999")]
    assert [record.rdata[-1] for record in last] == [2]
    with place.db.read() as conn:
        kept = journal.changeset(conn, place.row.id, 2)
    assert kept is not None
    assert (len(kept.removed), len(kept.added)) == (4, 4)
    assert place.leftovers() == 0
    contents.prune_contents(place.db, WHO.now)
    with place.db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM records").scalar() == MANY + 8


@pytest.mark.parametrize(("grown", "is_journalled"), [(MANY, True), (40_000, False)])
def test_a_zone_that_has_grown_is_written_while_it_comes(place: Place, grown: int, is_journalled: bool) -> None:
    """By more than a small difference: its rows go on at once. The journal has the difference all the same, but where
    it is as large as the zone, and that is large."""
    place.settings = replace(place.settings, limits=EditLimits(large=1000))
    place.zone(ixfr="off")
    place.serves(1)
    place.fetch()
    place.answers(lambda ask: _long(ask, 2, count=grown))
    got = place.fetch()
    assert isinstance(got, Fetched), got
    assert (place.row.serial, place.row.record_count, place.kinds()) == (2, grown + 8, ["axfr", "axfr"])
    assert len(place.records) == grown + 7
    assert len(set(place.records)) == grown + 7
    with place.db.read() as conn:
        kept = journal.changeset(conn, place.row.id, 2)
    assert (kept is not None) is is_journalled
    if kept is not None:
        assert (len(kept.removed), len(kept.added)) == (3, grown + 3)
    assert place.leftovers() == 0
    place.answers(lambda ask: [End()])
    before = place.records
    assert isinstance(place.fetch(), Failure)
    assert place.records == before


def test_a_long_ixfr_goes_by_the_helper(place: Place) -> None:
    place.zone()
    place.serves(1)
    place.fetch()

    def answer(ask: Ask) -> Iterator[Step]:
        yield ask.reply([ask.soa(2), ask.soa(1), ask.rr("www", "A", "192.0.2.1"), ask.soa(2)])
        for at in range(0, MANY, 500):
            yield ask.reply([ask.rr(f"host-{number:06d}", "A", "192.0.2.1") for number in range(at, at + 500)])
        yield ask.reply([ask.soa(2)])

    place.answers(answer)
    got = place.fetch()
    assert isinstance(got, Fetched), got
    assert (got.kind, place.row.record_count, place.kinds()) == ("ixfr", MANY + 7, ["axfr", "ixfr"])
    place.answers(lambda ask: [])
    assert place.events == []


@pytest.mark.parametrize("how", ["closed", "invalid", "too-slow"])
def test_a_long_transfer_that_breaks_leaves_nothing(place: Place, how: str) -> None:
    if how == "too-slow":
        place.settings = replace(place.settings, transfer_in_idle=4.0)
    place.zone()

    def answer(ask: Ask) -> Iterator[Step]:
        yield from list(_long(ask, 1))[:-1]
        if how == "closed":
            yield End()
        elif how == "invalid":
            yield ask.reply([RR(hostile.name("elsewhere."), 1, bytes(4))])
        else:
            yield Pause(20)

    place.answers(answer)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert failed.reason == how
    assert (place.row.version, place.leftovers()) == (0, 0)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.parametrize("who", ["helper", "keeper"])
def test_a_helper_that_is_killed_and_a_keeper_that_stops_leave_nothing(place: Place, who: str) -> None:
    place.zone()
    place.answers(lambda ask: [*list(_long(ask, 1))[:-1], Pause(20)])
    before = set(_children())

    async def run() -> Fetched | Failure | None:
        fetching = asyncio.create_task(place.fetching())
        helpers = await asyncio.to_thread(wait_until, lambda: set(_children()) - before, 20, "a helper process")
        if who == "helper":
            for pid in helpers:
                os.kill(pid, signal.SIGKILL)
            return await fetching
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        return None

    got = asyncio.run(run())
    if who == "helper":
        assert isinstance(got, Failure)
        assert got.reason == "internal"
    assert set(_children()) <= before
    assert (place.row.version, place.leftovers()) == (0, 0)
    place.answers(lambda ask: _long(ask, 1))
    assert isinstance(place.fetch(), Fetched)


@pytest.mark.parametrize("ixfr", ["on", "off"])
@pytest.mark.parametrize("sent", ["right", "wrong"])
def test_the_digest_of_a_large_zone_is_the_helpers_work(place: Place, sent: str, ixfr: str) -> None:
    place.settings = replace(place.settings, limits=EditLimits(large=6))
    place.zone(zonemd="require", ixfr=ixfr)
    place.answers(lambda ask: digested(ask, 1))
    assert isinstance(place.fetch(), Fetched)
    place.answers(lambda ask: digested(ask, 2, wrong=sent == "wrong"))
    got = place.fetch()
    is_right = sent == "right"
    assert (isinstance(got, Fetched), place.row.serial) == ((True, 2) if is_right else (False, 1)), got
    # A difference that ends in another zone than the primary's is what a whole transfer may mend.
    fallback = ["ixfr-fallback"] if ixfr == "on" else []
    assert [event.name for event in place.events] == ([] if is_right else [*fallback, "zonemd-mismatch"])
    assert place.kinds() == (["axfr", "ixfr" if ixfr == "on" else "axfr"] if is_right else ["axfr"])


KEEPER = """
import asyncio, sys
from dnsserver.editing.context import EditLimits
from dnsserver.keeper.fetch_helper import Helper
from dnsserver.keeper.fetch_jobs import Job
from dnsserver.protocol.xfrin import build

async def run():
    _, asked = build(b"\\0", 1, None, None, 0.0, full=True)
    async with Helper(Job("", 1, 0, 0, EditLimits(), asked)) as helper:
        print(helper.pid, flush=True)
        await helper.message()

asyncio.run(run())
"""


def test_a_helper_ends_with_its_keeper() -> None:
    with subprocess.Popen([sys.executable, "-c", KEEPER], stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        pid = int(keeper.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        keeper.kill()
    wait_until(lambda: not _runs(pid), 20, "the helper's end")


def _runs(pid: int) -> bool:
    """Whether the process is there, and no zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
