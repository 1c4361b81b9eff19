"""Secondary zones in an answerer: expiry by its own clock (R11, R26), and zones without contents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dnsserver import link, replication
from dnsserver.answerer.expiry import Expiry
from dnsserver.answerer.replica import Replica
from dnsserver.clock import running_time
from dnsserver.protocol.dispatch import handle
from dnsserver.protocol.outcome import Reply
from dnsserver.protocol.server import ServerState, View
from dnsserver.store import refresh, zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.secretbox import SecretBox
from dnsserver.zone import names, rdata
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA
from dnsserver.zone.settings import ZoneSettings
from tests.protocol.answering import UDP, query
from tests.support.pages import zone_pages

APEX = names.from_text("example.")
SETTINGS = ZoneSettings().with_change(["primaries=192.0.2.1,key=k", "allow-notify=198.51.100.0/24"])
NOW = 1_700_000_000.0
NOERROR, SERVFAIL, REFUSED = 0, 2, 5


def soa(serial: int) -> Record:
    return Record(APEX, SOA, 300, rdata.from_text(SOA, f"ns.example. h.example. {serial} 3600 600 86400 300", APEX))


def contents(serial: int) -> list[Record]:
    return [Record(APEX, NS, 300, names.from_text("ns.example.org.")), soa(serial)]


def info(version: int, *, role: str = "secondary", suspended: bool = False) -> link.ZoneInfo:
    return link.ZoneInfo(1, APEX, role, suspended, version, SETTINGS.to_json(), ())


def whole(version: int, serial: int) -> list[link.Message]:
    return [link.ZoneBegin(tuple(info(version)), version), *zone_pages(APEX, contents(serial)), link.ZoneEnd()]


def deadline(seconds: float | None, zone_id: int = 1) -> link.Deadlines:
    return link.Deadlines(((zone_id, seconds),))


@dataclass
class Answerer:
    """A replica, and its clock; ``version`` 0: of a zone without contents."""

    version: int = 5
    left: float | None = None
    now: float = 1000.0
    counters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.state = ServerState()
        self.replica = Replica(self.state, cookies=False, counters=self.counters, clock=lambda: self.now)
        no_globals = link.Globals((), (), (), (), b"key")
        start: list[link.Message] = [link.Mark(7, 70), no_globals, deadline(self.left)]
        start += [info(self.version), *(zone_pages(APEX, contents(10)) if self.version else [])]
        self.replica.load(start)

    def send(self, *messages: link.Message) -> list[link.Message]:
        return [answer for message in messages for answer in self.replica.take(link.decode(link.encode(message)[4:]))]

    def wait(self, seconds: float) -> None:
        self.now += seconds
        while self.replica.expire():
            pass

    @property
    def view(self) -> View:
        return self.state.zones[APEX]

    def rcode(self) -> int:
        outcome = handle(self.state, query("example.", "NS"), UDP, NOW)
        assert isinstance(outcome, Reply)
        return outcome.wire[3] & 15


# The deadlines by themselves


def test_what_is_due_is_told_once() -> None:
    now = [0.0]
    expiry = Expiry(lambda: now[0])
    expiry.set([(1, 10.0), (2, 20.0), (3, None), (4, 10.0)])
    assert expiry.due() == []
    now[0] = 9.9
    assert expiry.due() == []
    now[0] = 10.0
    assert sorted(expiry.due()) == [1, 4]
    assert expiry.due() == []
    now[0] = 30.0
    assert expiry.due() == [2]
    assert expiry.due() == []


def test_a_deadline_that_moves_is_due_when_it_says_last() -> None:
    now = [0.0]
    expiry = Expiry(lambda: now[0])
    expiry.set([(1, 10.0), (2, 50.0), (3, 60.0)])
    expiry.set([(1, 100.0), (2, 5.0), (3, None)])
    found = []
    for second in range(0, 120):
        now[0] = float(second)
        found += [(second, zone_id) for zone_id in expiry.due()]
    assert found == [(5, 2), (100, 1)]


def test_the_clock_runs_forward() -> None:
    before = running_time()
    assert running_time() >= before


# Expiry


def test_a_zone_expires_by_the_answerers_clock_and_comes_back() -> None:
    """R11: SERVFAIL at expire, its data kept; served again after a good check, without being sent anew."""
    answerer = Answerer(left=60.0)
    answerer.wait(59.9)
    assert answerer.rcode() == NOERROR
    before = answerer.view
    answerer.wait(0.1)
    assert answerer.rcode() == SERVFAIL
    assert not before.live, "nothing of it is answered from a cache"
    assert answerer.counters == {"zones-expired": 1}
    answerer.wait(3600.0)
    assert answerer.rcode() == SERVFAIL
    assert answerer.send(deadline(60.0)) == []
    assert answerer.rcode() == NOERROR
    assert answerer.counters == {"zones-expired": 1, "zones-recovered": 1}


def test_a_later_deadline_puts_it_off() -> None:
    answerer = Answerer(left=60.0)
    answerer.wait(50.0)
    view = answerer.view
    answerer.send(deadline(60.0))
    assert answerer.view is view, "nothing changed: what is cached stays"
    answerer.wait(59.0)
    assert answerer.rcode() == NOERROR
    answerer.wait(1.0)
    assert answerer.rcode() == SERVFAIL


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_one_that_has_expired_is_not_answered_from_the_start(seconds: float) -> None:
    """A restart does not give an expired zone a second life."""
    assert Answerer(left=seconds).rcode() == SERVFAIL
    running = Answerer(left=60.0)
    running.send(deadline(seconds))
    assert running.rcode() == SERVFAIL


def test_without_a_deadline_it_does_not_expire() -> None:
    answerer = Answerer(left=None)
    answerer.wait(1e9)
    assert answerer.rcode() == NOERROR
    answerer = Answerer(left=60.0)
    answerer.send(deadline(None))
    answerer.wait(1e9)
    assert answerer.rcode() == NOERROR


def change(from_version: int, serial: int) -> link.Patch:
    changeset = Changeset((soa(serial - 1),), (soa(serial),))
    return link.Patch(1, from_version, from_version + 1, changeset.encode(), True)


@pytest.mark.parametrize(
    "messages",
    [
        [info(5)],
        [change(5, 11)],
        whole(6, 11),
        [info(6), *whole(6, 11)],
        [info(5, suspended=True), info(5)],
        [link.ZonesAre((1,)), info(5)],
        [link.Globals((), (), (), (), b"key")],
    ],
    ids=["info", "patch", "whole", "info-and-whole", "suspended-and-back", "everything", "globals"],
)
def test_no_message_revives_an_expired_zone_but_a_deadline(messages: list[link.Message]) -> None:
    answerer = Answerer(left=60.0)
    answerer.wait(60.0)
    answerer.send(*messages)
    assert answerer.rcode() == SERVFAIL
    answerer.wait(10.0)
    assert answerer.rcode() == SERVFAIL
    answerer.send(deadline(60.0))
    assert answerer.rcode() == NOERROR


def test_a_deadline_before_its_zone_holds_when_it_comes() -> None:
    answerer = Answerer(version=0)
    answerer.send(deadline(30.0), info(5), *whole(5, 10))
    assert answerer.rcode() == NOERROR
    answerer.wait(30.0)
    assert answerer.rcode() == SERVFAIL


def test_a_suspended_zone_expires_while_nobody_looks() -> None:
    answerer = Answerer(left=60.0)
    answerer.send(info(5, suspended=True))
    answerer.wait(60.0)
    assert answerer.rcode() == REFUSED
    answerer.send(info(5))
    assert answerer.rcode() == SERVFAIL


def test_a_primary_zone_never_expires() -> None:
    """A secondary that was converted is valid again, whatever its deadline was."""
    answerer = Answerer(left=60.0)
    answerer.wait(60.0)
    answerer.send(info(5, role="primary"))
    assert answerer.rcode() == NOERROR
    answerer.send(deadline(-1.0))
    answerer.wait(1.0)
    assert answerer.rcode() == NOERROR


def test_what_was_cached_of_an_expired_zone_is_not_given() -> None:
    answerer = Answerer(left=60.0)
    first = handle(answerer.state, query("example.", "NS"), UDP, NOW)
    assert isinstance(first, Reply)
    assert first.cacheable
    assert first.view is not None
    answerer.wait(60.0)
    assert not first.view.live


def test_of_many_that_expire_at_once_some_are_taken_at_a_time() -> None:
    """Packets are answered in between; all of them are over in the end, but those that were put off meanwhile."""
    answerer = Answerer(left=60.0)
    for number in range(2, 1002):
        name = bytes([1, 97 + number % 26, 4]) + b"%04d" % number + b"\0"
        answerer.send(
            link.ZoneInfo(number, name, "secondary", False, 0, SETTINGS.to_json(), ()), deadline(60.0, number)
        )
    answerer.now += 60.0
    assert answerer.replica.expire()
    assert 0 < answerer.counters["zones-expired"] < 1000
    still = [view.zone_id for view in answerer.state.zones.values() if not view.meta.expired]
    answerer.send(*(deadline(60.0, zone_id) for zone_id in still[:10]))
    answerer.wait(0.0)
    assert answerer.counters == {"zones-expired": 1001 - 10}


def test_a_zone_that_is_gone_leaves_no_deadline() -> None:
    answerer = Answerer(left=60.0)
    answerer.send(link.ZoneGone(1), info(5), *whole(5, 10))
    answerer.wait(100.0)
    assert answerer.rcode() == NOERROR


# Who may send NOTIFY


def test_the_senders_of_notify_follow_the_settings() -> None:
    """R9."""
    found = [(str(entry.prefix), entry.key) for entry in Answerer().view.meta.notify_from]
    assert found == [("192.0.2.1/32", b"\x01k\x00"), ("198.51.100.0/24", None)]
    answerer = Answerer()
    answerer.send(info(5, role="primary"))
    assert answerer.view.meta.notify_from == ()


# Without contents


def test_a_zone_without_contents_is_here_and_asked_for_by_nobody() -> None:
    """SERVFAIL, not REFUSED: it is this server's, but not ready."""
    started = Answerer(version=0)
    running = Answerer(version=0)
    running.send(link.ZoneGone(1))
    assert running.send(info(0), link.Mark(8, 80)) == [link.Applied(8)]
    for answerer in (started, running):
        assert answerer.rcode() == SERVFAIL
        assert answerer.view.image is None
        assert answerer.replica.hello(1)[1:] == []
        assert answerer.send(info(0), info(0)) == []
        answerer.wait(10.0)
        assert answerer.rcode() == SERVFAIL


def test_the_first_contents_are_asked_for_once_and_served() -> None:
    answerer = Answerer(version=0)
    assert answerer.send(info(1), info(1)) == [link.NeedZone(1)]
    assert answerer.rcode() == SERVFAIL
    assert answerer.send(*whole(1, 10)) == [link.Serving(1, 1, 10)]
    assert answerer.rcode() == NOERROR


def test_settings_of_a_zone_without_contents_are_taken() -> None:
    answerer = Answerer(version=0)
    answerer.send(info(0, suspended=True))
    assert answerer.rcode() == REFUSED
    answerer.send(info(0))
    assert answerer.rcode() == SERVFAIL


def test_it_is_withdrawn_as_any_zone() -> None:
    answerer = Answerer(version=0)
    answerer.send(link.ZonesAre(()))
    assert answerer.rcode() == REFUSED


def test_after_a_fault_it_is_not_waited_for() -> None:
    answerer = Answerer(version=0)
    answerer.replica.doubt()
    assert answerer.send(link.ZonesAre((1,)), info(0), link.Mark(8, 80)) == [link.Applied(8)]


# The store


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True, secret=SecretBox(bytes(32)))
    with database.write() as conn:
        replication.renew_secrets(conn, NOW)
    yield database
    database.close()


def make(db: Database, name: str, records: Iterable[Record] = (), state: refresh.State | None = None) -> int:
    with db.write() as conn:
        zone = zones.create(conn, names.from_text(name), Role.SECONDARY, SETTINGS, records, Who("test", "cli", NOW))
        if state is not None:
            refresh.save(conn, [(zone.id, state)])
    return zone.id


def started(db: Database, now: float) -> Replica:
    replica = Replica(ServerState(), cookies=False, clock=lambda: 50.0)
    replica.load(replication.snapshot(db, now))
    return replica


def test_a_start_knows_when_zones_expire(db: Database) -> None:
    """R11, without a keeper: by the wall clock across restarts alone."""
    state = {"expires": NOW + 60, "expired": False}
    zone_id = make(db, "example.", contents(10), state)
    never = make(db, "never.", (), {"expires": None, "expired": False})
    over = make(db, "over.", (), {"expires": NOW + 500, "expired": True})
    with db.read() as conn:
        found = replication.deadlines(conn, NOW).entries
    assert sorted(found) == sorted([(zone_id, 60.0), (never, None), (over, 0.0)])
    assert not started(db, NOW).state.zones[APEX].meta.expired
    assert started(db, NOW + 60).state.zones[APEX].meta.expired
    assert started(db, NOW + 86400).state.zones[APEX].meta.expired
    assert started(db, NOW).state.left(zone_id) == 60.0


def test_a_start_takes_a_zone_without_contents(db: Database) -> None:
    zone_id = make(db, "example.")
    view = started(db, NOW).state.zones[APEX]
    assert (view.zone_id, view.image, view.meta.role) == (zone_id, None, Role.SECONDARY)


def test_whoever_asks_for_a_zone_without_contents_is_told_what_it_is(db: Database) -> None:
    zone_id = make(db, "example.")
    (told,) = replication.Source(db).contents(zone_id)
    assert isinstance(told, link.ZoneInfo)
    assert (told.zone_id, told.version) == (zone_id, 0)
