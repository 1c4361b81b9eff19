"""Transfers in, from a primary that does as its script says (R13, R14, R22; RFC 1995, RFC 5936)."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dnsserver.editing.context import EditLimits
from dnsserver.events import Event
from dnsserver.keeper.fetch import SHORT, Fetcher
from dnsserver.keeper.offload import Offload
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Fetched
from dnsserver.store import contents, journal, keys, zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.secretbox import SecretBox
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names, zonemd
from dnsserver.zone.access import Role
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA, ZONEMD
from dnsserver.zone.settings import Target, ZoneSettings
from tests.support import hostile
from tests.support.client import TsigKey
from tests.support.hostile import IXFR, RR, Ask, End, Hosted, HostilePrimary, Pause, Step
from tests.support.keeping import keeper_settings
from tests.support.procs import wait_until

WHO = Who("jane", "test", 1_000_000.0)
APEX = names.from_text("example.com.")
KEY = TsigKey("xfr.example.")
KEY_NAME = names.from_text(KEY.name)
BOX = SecretBox(bytes(32))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "dnsserver.db"
    Database.open(f"sqlite:///{file}", create=True).close()
    return file


@dataclass
class Place:
    """A secondary zone, its primary, and the fetcher between them."""

    db: Database
    primary: HostilePrimary
    settings: Any
    events: list[Event] = field(default_factory=list)

    def zone(self, **settings: Any) -> ZoneRow:
        with self.db.write() as conn:
            return zones.create(conn, APEX, Role.SECONDARY, ZoneSettings(**settings), (), WHO)

    def has_key(self) -> None:
        algorithm = names.from_text(KEY.algorithm + ".")
        with self.db.write() as conn:
            keys.put(conn, KEY_NAME, algorithm, base64.b64decode(KEY.secret), WHO)

    def answers(self, script: Callable[[Ask], Iterable[Step]], key: TsigKey | None = None) -> None:
        self.primary.zones["example.com."] = Hosted(script, key)

    def fetch(self, *, full: bool = False, key: bytes | None = None) -> Fetched | Failure:
        return asyncio.run(self.fetching(full=full, key=key))

    async def fetching(self, *, full: bool = False, key: bytes | None = None) -> Fetched | Failure:
        offload = Offload()
        endpoint = self.primary.endpoint
        try:
            fetcher = Fetcher(self.settings, self.db, offload, self.events.append)
            return await fetcher.fetch(self.row, Target(endpoint[0], endpoint[1], key), full)
        finally:
            offload.close()

    def serves(self, serial: int) -> None:
        self.answers(lambda ask: hostile.good(ask, serial))

    @property
    def row(self) -> ZoneRow:
        with self.db.read() as conn:
            return zones.get(conn, APEX)

    @property
    def records(self) -> list[Record]:
        with self.db.read() as conn:
            return sorted(record for record in zones.records(conn, self.row) if record.type != SOA)

    def expected(self, serial: int) -> list[Record]:
        return sorted(Record(rr.owner, rr.type, rr.ttl, rr.rdata) for rr in _ask().body(serial))

    def kinds(self) -> list[str]:
        """Of the journal's entries, the oldest first."""
        with self.db.read() as conn:
            return [entry.kind for entry in reversed(journal.entries(conn, self.row.id))]

    def leftovers(self) -> int:
        """Contents that are neither a zone's nor marked for pruning."""
        with self.db.read() as conn:
            return int(conn.exec_driver_sql("SELECT count(*) FROM contents WHERE state = 'writing'").scalar_one())


def _ask() -> Ask:
    return Ask(0, hostile.name("example.com."), hostile.AXFR, True, None, b"", None)


@pytest.fixture
def place(tmp_path: Path, empty: Path) -> Iterator[Place]:
    file = tmp_path / "dnsserver.db"
    shutil.copy(empty, file)
    with Database.open(f"sqlite:///{file}", secret=BOX) as db, HostilePrimary() as primary:
        yield Place(db, primary, keeper_settings(transfer_in_idle=5.0, transfer_in_time=60.0))
        assert primary.errors == []


# What goes well


def test_a_zone_without_contents_is_transferred_whole(place: Place) -> None:
    place.zone()
    place.serves(1)
    got = place.fetch()
    assert isinstance(got, Fetched)
    assert (got.kind, got.soa.serial, got.soa.expire, got.messages, got.records) == ("axfr", 1, 604800, 1, 9)
    assert (place.row.version, place.row.serial) == (1, 1)
    assert place.records == place.expected(1)


def test_a_zone_that_is_here_is_brought_up_to_date_by_ixfr(place: Place) -> None:
    place.zone()
    for serial in (1, 2, 5):
        place.serves(serial)
        got = place.fetch()
        assert isinstance(got, Fetched)
        assert (place.row.serial, place.records) == (serial, place.expected(serial))
    assert place.kinds() == ["axfr", "ixfr", "ixfr"]
    assert place.events == []


def test_a_primary_that_has_nothing_newer_is_taken_at_its_word(place: Place) -> None:
    place.zone()
    place.serves(3)
    place.fetch()
    got = place.fetch()
    assert isinstance(got, Fetched)
    assert (got.kind, got.soa.serial, place.row.version) == ("current", 3, 1)
    assert got.stored == got.soa


@pytest.mark.parametrize("how", ["zone", "server"])
def test_ixfr_can_be_switched_off(place: Place, how: str) -> None:
    """R14."""
    place.zone(ixfr="off" if how == "zone" else "on")
    place.settings = replace(place.settings, ixfr=how != "server")
    for serial in (1, 2):
        place.serves(serial)
        place.fetch()
    assert place.kinds() == ["axfr", "axfr"]
    assert place.records == place.expected(2)


def test_a_retransfer_is_an_axfr_whatever_the_serial(place: Place) -> None:
    """R23."""
    place.zone()
    for serial in (9, 4, 4):
        place.serves(serial)
        got = place.fetch(full=True)
        assert isinstance(got, Fetched)
        assert got.kind == "axfr"
        assert (place.row.serial, place.records) == (serial, place.expected(serial))
    assert place.kinds() == ["axfr", "axfr"]


def test_a_signed_transfer_is_verified(place: Place) -> None:
    place.zone()
    place.has_key()
    place.answers(lambda ask: hostile.good(ask, 1), KEY)
    got = place.fetch(key=KEY_NAME)
    assert isinstance(got, Fetched), got
    place.answers(lambda ask: [ask.whole(serial=2)], KEY)
    failed = place.fetch(key=KEY_NAME)
    assert isinstance(failed, Failure)
    assert (failed.reason, place.records) == ("unauthenticated", place.expected(1))


def test_without_its_key_nothing_is_asked(place: Place) -> None:
    place.zone()
    failed = place.fetch(key=names.from_text("gone."))
    assert isinstance(failed, Failure)
    assert failed.reason == "no-key"


def test_ixfr_by_udp_where_that_is_chosen_and_there_is_a_key(place: Place) -> None:
    """R13."""
    place.zone(ixfr="udp")
    place.has_key()
    asked: list[bool] = []

    def script(serial: int) -> Callable[[Ask], Iterable[Step]]:
        def answer(ask: Ask) -> Iterable[Step]:
            asked.append(ask.is_tcp)
            return hostile.good(ask, serial)

        return answer

    for serial in (1, 2):
        place.answers(script(serial), KEY)
        place.fetch(key=KEY_NAME)
    assert asked == [True, False]
    place.answers(script(3))
    place.fetch()
    assert asked == [True, False, True]
    assert place.kinds() == ["axfr", "ixfr", "ixfr"]


def test_a_datagram_that_does_not_do_is_no_answer(place: Place) -> None:
    """What is truncated, unsigned or too large goes by TCP."""
    place.zone(ixfr="udp")
    place.has_key()

    def script(ask: Ask) -> Iterable[Step]:
        if ask.is_tcp:
            return hostile.good(ask, 1 if ask.serial is None else 2)
        reply = ask.reply([ask.soa(2)])
        return [ask.reply([ask.soa(9)]), ask.signer()(reply)]

    place.answers(script, KEY)
    place.fetch(key=KEY_NAME)
    place.fetch(key=KEY_NAME)
    assert (place.row.serial, place.kinds()) == (2, ["axfr", "ixfr"])


# IXFR that does not do


def _ixfr_gone_wrong(name: str) -> Callable[[Ask], Iterable[Step]]:
    def answer(ask: Ask) -> Iterable[Step]:
        if ask.qtype != IXFR:
            return hostile.good(ask, 2)
        new = ask.soa(2)
        if name in ("notimp", "refused", "formerr"):
            return [ask.reply(rcode={"notimp": 4, "refused": 5, "formerr": 1}[name])]
        if name == "closed":
            return [ask.reply([new, ask.soa(1)]), End()]
        if name == "does-not-apply":
            return [ask.reply([new, ask.soa(1), ask.rr("nobody", "A", "192.0.2.9"), new, new])]
        return [ask.reply([new, ask.soa(1), new, ask.rr("x", "A", "192.0.2.9"), ask.soa(3)])]

    return answer


@pytest.mark.parametrize("name", ["notimp", "refused", "formerr", "closed", "does-not-apply", "invalid"])
def test_an_ixfr_that_fails_is_followed_by_an_axfr(place: Place, name: str) -> None:
    """R14; RFC 1995, 4."""
    place.zone()
    place.serves(1)
    place.fetch()
    place.answers(_ixfr_gone_wrong(name))
    got = place.fetch()
    assert isinstance(got, Fetched)
    assert got.kind == "axfr"
    assert place.records == place.expected(2)
    (event,) = place.events
    assert event.name == "ixfr-fallback"
    assert event.fields["zone"] == "example.com."


def test_an_answer_in_the_style_of_axfr_is_one(place: Place) -> None:
    """RFC 1995, 4."""
    place.zone()
    for serial in (1, 2):
        place.answers(lambda ask, serial=serial: [ask.whole(serial=serial)])  # type: ignore[misc]
        place.fetch()
    assert place.kinds() == ["axfr", "axfr"]
    assert place.events == []
    assert place.records == place.expected(2)


def test_a_primary_that_knows_no_edns_is_asked_without(place: Place) -> None:
    """RFC 6891, 7."""
    place.zone()
    asked: list[int] = []

    def answer(ask: Ask) -> Iterable[Step]:
        asked.append(1)
        return [ask.reply(rcode=1)] if len(asked) == 1 else hostile.good(ask, 1)

    place.answers(answer)
    assert isinstance(place.fetch(), Fetched)
    assert len(asked) == 2


# Failures, by their reasons


def _endless(ask: Ask) -> Iterator[Step]:
    yield ask.reply([ask.soa(2)])
    at = 0
    while True:
        yield ask.reply([ask.rr(f"h{at + i}", "A", "192.0.2.1") for i in range(500)])
        at += 500


FAILURES: dict[str, tuple[str, Callable[[Ask], Iterable[Step]]]] = {
    "refused": ("refused", lambda ask: [ask.reply(rcode=5)]),
    "notauth": ("not-authoritative", lambda ask: [ask.reply(rcode=9)]),
    "servfail": ("error", lambda ask: [ask.reply(rcode=2)]),
    "closed": ("closed", lambda ask: [End()]),
    "reset": ("closed", lambda ask: [ask.reply([ask.soa(2)]), End(reset=True)]),
    "silent": ("timeout", lambda ask: [Pause(20)]),
    "stops": ("too-slow", lambda ask: [ask.reply([ask.soa(2)]), Pause(20)]),
    "endless": ("too-large", _endless),
    "lower": ("serial", lambda ask: hostile.good(ask, 0)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_transfer_that_fails_leaves_the_zone_as_it_is(place: Place, name: str) -> None:
    """R22: told apart."""
    place.settings = keeper_settings(transfer_in_idle=0.5, limits=EditLimits(ZoneLimits(zone_records=30_000)))
    place.zone(ixfr="off")
    place.serves(1)
    place.fetch()
    reason, script = FAILURES[name]
    place.answers(script)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert failed.reason == reason, failed
    assert (place.row.version, place.records, place.leftovers()) == (1, place.expected(1), 0)
    place.serves(2)
    assert isinstance(place.fetch(), Fetched)


def test_a_primary_that_is_not_there_is_unreachable(place: Place) -> None:
    place.zone()
    place.primary.close_tcp()
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert (failed.reason, failed.detail) == ("unreachable", "Connection refused")


def test_the_whole_has_its_time(place: Place) -> None:
    def drip(ask: Ask) -> Iterator[Step]:
        yield ask.reply([ask.soa(2)])
        while True:
            yield Pause(0.05)
            yield ask.reply([ask.rr("x", "A", "192.0.2.1")])

    place.settings = replace(place.settings, transfer_in_time=0.5)
    place.zone()
    place.answers(drip)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert (failed.reason, "transfer-in-time" in failed.detail) == ("too-slow", True)


def test_a_zone_that_is_not_to_be_transferred_any_more_is_not(place: Place) -> None:
    zone = place.zone()
    place.serves(1)
    with place.db.write() as conn:
        zones.set_suspended(conn, zone, True, WHO)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert failed.reason == "internal"
    assert place.row.version == 0


# Digests (RFC 8976)


def _digest_record(ask: Ask, serial: int, *, wrong: bool = False) -> RR:
    """SIMPLE, SHA-384."""
    found = [Record(rr.owner, rr.type, rr.ttl, rr.rdata) for rr in (ask.soa(serial), *ask.body(serial))]
    found.sort(key=lambda record: names.key(record.owner.lower()))
    _, digests = zonemd.digests(APEX, found, [1])
    return RR(ask.apex, ZONEMD, serial.to_bytes(4, "big") + b"\x01\x01" + (bytes(48) if wrong else digests[1]))


def _digested(ask: Ask, serial: int, *, wrong: bool = False) -> list[bytes]:
    """The zone with its digest, and the difference to the one before."""
    new = [*ask.body(serial), _digest_record(ask, serial, wrong=wrong)]
    if ask.serial is None:
        return [ask.reply([ask.soa(serial), *new, ask.soa(serial)])]
    old = [*ask.body(ask.serial), _digest_record(ask, ask.serial)]
    removed, added = [rr for rr in old if rr not in new], [rr for rr in new if rr not in old]
    soa = ask.soa(serial)
    return [ask.reply([soa, ask.soa(ask.serial), *removed, soa, *added, soa])]


@pytest.mark.parametrize(
    ("mode", "sent", "taken", "events"),
    [
        ("warn", "right", True, []),
        ("warn", "wrong", True, ["zonemd-mismatch"]),
        ("warn", "none", True, []),
        ("off", "wrong", True, []),
        ("require", "right", True, []),
        ("require", "wrong", False, ["zonemd-mismatch"]),
        ("require", "none", False, ["zonemd-missing"]),
    ],
)
def test_the_zones_digest_is_looked_at_as_is_set(
    place: Place, mode: str, sent: str, taken: bool, events: list[str]
) -> None:
    place.zone(zonemd=mode)
    if sent == "none":
        place.serves(1)
    else:
        place.answers(lambda ask: _digested(ask, 1, wrong=sent == "wrong"))
    got = place.fetch()
    assert isinstance(got, Fetched) == taken, got
    assert isinstance(got, Fetched) or got.reason == "zonemd"
    assert [event.name for event in place.events] == events
    assert place.row.version == taken


# Long transfers, by the helper process

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
    place.answers(lambda ask: _digested(ask, 1))
    assert isinstance(place.fetch(), Fetched)
    place.answers(lambda ask: _digested(ask, 2, wrong=sent == "wrong"))
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
