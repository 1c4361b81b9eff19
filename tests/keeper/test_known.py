"""What is remembered of a zone's targets: it holds after changes that do not touch them, and after no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsserver.keeper import known
from dnsserver.keeper.known import Known
from dnsserver.keeper.targets import ZoneFacts, facts_of
from dnsserver.store.database import Database
from tests.support.desk import Desk

COM, NET = 1, 2


def zone(more: str = "") -> str:
    return f"@ 300 SOA ns1 hostmaster 1 3600 600 86400 300\n@ 300 NS ns1.example.com.\n{more}"


class Scene:
    """A zone with a name server of its own, another with the same one, and what is remembered of both."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.edit = Desk(database)
        self.edit.load("example.com", zone("ns1 300 A 192.0.2.1"))
        self.edit.load("example.net", zone())
        self.known = Known()
        database.committed = self.known.committed
        for zone_id in (COM, NET):
            self.known.put(self.stored(zone_id), 100.0, self.known.moment)

    def stored(self, zone_id: int) -> ZoneFacts:
        facts = facts_of(self._database, [zone_id]).get(zone_id)
        assert facts is not None
        return facts

    def set(self, name: str, *rdata: str, type_: str = "A", zone: str = "example.com") -> None:
        self.edit("record.set", zone=zone, name=name, type=type_, rdata=list(rdata))

    def is_told(self, zone_id: int, now: float = 0.0) -> bool:
        """Whether what is remembered is enough to tell of the newest version: then it is what is stored."""
        stored = self.stored(zone_id)
        facts = self.known.served(zone_id, stored.zone.version, now)
        if facts is None:
            return False
        assert (facts.soa, facts.name_servers, facts.addresses) == (stored.soa, stored.name_servers, stored.addresses)
        assert (facts.zone.version, facts.zone.serial) == (stored.zone.version, stored.zone.serial)
        return True


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_changes_that_touch_no_target_are_told_of_once_served(scene: Scene) -> None:
    first = scene.stored(COM).zone.version
    for number in range(3):
        scene.set("www", f"192.0.2.{number + 10}")
    told = scene.known.served(COM, first + 2, 0.0)
    assert told is not None
    assert told.zone.version == first + 2
    assert scene.known.served(COM, first + 2, 0.0) is None, "it has been told of"
    assert scene.is_told(COM)
    assert not scene.is_told(NET), "it has not changed"


def test_a_name_servers_address_concerns_every_zone_it_serves(scene: Scene) -> None:
    scene.set("www", "192.0.2.10", zone="example.net")
    scene.set("NS1", "192.0.2.7")
    assert not scene.is_told(COM)
    assert not scene.is_told(NET)


@pytest.mark.parametrize(
    ("type_", "rdata"), [("NS", "ns2.example.com."), ("SOA", "ns2 hostmaster 9 3600 600 86400 300")]
)
def test_another_set_of_servers(scene: Scene, type_: str, rdata: str) -> None:
    scene.set("www", "192.0.2.10", zone="example.net")
    scene.set("ns2", "192.0.2.2")
    scene.set("@", rdata, type_=type_)
    assert not scene.is_told(COM)
    assert scene.is_told(NET)


def test_what_is_no_change_of_contents_may_concern_all(scene: Scene) -> None:
    scene.set("www", "192.0.2.10")
    scene.edit("zone.set", name="example.net", changes=["also-notify=192.0.2.9"])
    assert not scene.is_told(COM)


def test_a_change_of_many_records_is_not_looked_through(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper's loop has no second for that; it may concern all, then."""
    monkeypatch.setattr(known, "_MANY", 8)
    for number, is_told in ((1, True), (2, False)):
        scene.set("www", *(f"192.0.2.{10 * number + last}" for last in range(2 * number)))
        scene.set("ftp", f"192.0.2.{number}", zone="example.net")
        scene.set("www", *(f"192.0.{number}.{last}" for last in range(2 * number)))
        assert scene.is_told(NET) is is_told


def test_a_change_that_came_while_it_was_read(scene: Scene) -> None:
    moment = scene.known.moment
    facts = scene.stored(COM)
    scene.set("ns1", "192.0.2.7")
    scene.known.put(facts, 100.0, moment)
    scene.set("www", "192.0.2.10")
    assert not scene.is_told(COM)


def test_a_change_of_another_process_is_missing(scene: Scene, tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
        Desk(other)("record.set", zone="example.com", name="ns1", type="A", rdata=["192.0.2.7"])
    scene.set("www", "192.0.2.10")
    assert not scene.is_told(COM)


def test_names_are_resolved_again_in_time(scene: Scene) -> None:
    scene.set("www", "192.0.2.10")
    assert not scene.is_told(COM, now=100.0)
    assert scene.is_told(COM, now=99.0)
