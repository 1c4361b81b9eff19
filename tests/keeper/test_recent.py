"""What this process committed, as answerers get it: the same messages as from the database, as far as they reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsserver.keeper.recent import Recent
from dnsserver.replication import PATCH_RECORDS, Source
from dnsserver.store.database import Database
from dnsserver.store.feed import Appended, FeedMark
from tests.support.desk import Desk

ZONE = "@ 300 SOA ns1 hostmaster 1 3600 600 86400 300\n@ 300 NS ns1.example.net.\n"


class Scene:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.edit = Desk(database)
        self.edit.load("example.com", ZONE)
        self.source = Source(database)
        self.mark = self.source.head()
        self.told: list[Appended] = []
        database.committed = self.told.append

    def set(self, number: int) -> None:
        self.edit("record.set", zone="example.com", name="www", type="A", rdata=[f"192.0.2.{number}"])

    def recent(self, most: int = 1 << 20) -> Recent:
        recent = Recent(most)
        for appended in self.told:
            recent.add(appended)
        return recent


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_it_says_what_the_database_says(scene: Scene) -> None:
    for number in range(5):
        scene.set(number)
    recent = scene.recent()
    messages, mark = recent.after(scene.mark)
    assert len(messages) == 5
    assert (messages, mark) == scene.source.after(scene.mark)
    assert recent.after(mark) == ([], mark)
    rows = [row for appended in scene.told for row, _ in appended.rows]
    between = FeedMark(*rows[1][:2])
    assert recent.after(between) == (messages[2:], mark)


def test_it_ends_where_another_process_wrote(scene: Scene, tmp_path: Path) -> None:
    scene.set(1)
    with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
        Desk(other)("record.set", zone="example.com", name="mail", type="A", rdata=["192.0.2.7"])
    scene.set(2)
    messages, mark = scene.recent().after(scene.mark)
    assert len(messages) == 1
    assert mark == FeedMark(*scene.told[0].rows[0][0][:2])


def test_what_follows_another_process_is_for_the_database_to_tell(scene: Scene, tmp_path: Path) -> None:
    """Who stands before that has to look: nothing here leads on from there."""
    recent = Recent()
    scene.set(1)
    assert recent.add(scene.told[-1])
    with Database.open(f"sqlite:///{tmp_path / 'dns.db'}") as other:
        Desk(other)("record.set", zone="example.com", name="mail", type="A", rdata=["192.0.2.7"])
    scene.set(2)
    assert not recent.add(scene.told[-1])
    scene.set(3)
    assert recent.add(scene.told[-1])


def test_a_backup_with_the_same_numbers_is_another_feed(scene: Scene) -> None:
    scene.set(1)
    assert scene.recent().after(FeedMark(scene.mark.seq, scene.mark.tag + 1))[0] == []


def test_the_oldest_make_room(scene: Scene) -> None:
    for number in range(5):
        scene.set(number)
    recent = scene.recent(most=1500)
    assert recent.after(scene.mark)[0] == []
    before_last = scene.told[-1].after
    assert len(recent.after(before_last)[0]) == 1


def test_what_only_the_database_has(scene: Scene) -> None:
    """Lists, settings, and changes that are no patch."""
    scene.edit("zone.set", name="example.com", changes=["also-notify=192.0.2.9"])
    lines = "".join(f"w{n} 300 A 10.0.{n >> 8}.{n & 255}\n" for n in range(PATCH_RECORDS))
    scene.edit.load("example.com", ZONE.replace(" 1 3600", " 9 3600") + lines, replace=True)
    scene.set(1)
    assert [Recent().add(appended) for appended in scene.told] == [False, False, True]
    assert scene.recent().after(scene.mark)[0] == []
