from __future__ import annotations

import pytest
import sqlalchemy as sa

from dnsserver.store import journal, zones
from dnsserver.store.commit import commit_change, flip
from dnsserver.store.database import Database
from dnsserver.store.schema import CHUNK, journal_chunks
from dnsserver.store.zones import ZoneRow
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record
from tests.support.stores import APEX, WHO, a, journal_chain, make_zone, ns, soa, step


def edit(db: Database, zone: ZoneRow, label: str, serial: int | None = None, size: int | None = None) -> ZoneRow:
    with db.write() as conn:
        return commit_change(conn, zone, step(zone, added=[a(label)], serial=serial), WHO, journal_size=size)


def chain(db: Database, zone: ZoneRow, serial: int, version: int | None = None) -> list[Changeset] | None:
    with db.read() as conn:
        return journal_chain(conn, zone.id, serial, version or zone.version)


def test_a_chain_runs_from_a_serial_to_a_version(db: Database) -> None:
    zone = make_zone(db, serial=10)
    for number in range(4):
        zone = edit(db, zone, f"h{number}")
    serials = [(step.from_serial, step.to_serial) for step in chain(db, zone, 11) or []]
    assert serials == [(11, 12), (12, 13), (13, 14)]
    assert [step.to_serial for step in chain(db, zone, 10, version=3) or []] == [11, 12]
    assert chain(db, zone, 14) is None
    assert chain(db, zone, 9) is None
    assert chain(db, zone, 13, version=3) is None
    assert chain(db, zone, 10, version=99) is None


def test_a_chain_larger_than_asked_for_is_none(db: Database) -> None:
    zone = edit(db, make_zone(db), "www")
    with db.read() as conn:
        assert journal.chain(conn, zone.id, 1, 2, max_size=10_000) is not None
        assert journal.chain(conn, zone.id, 1, 2, max_size=300) is None


def test_no_chain_across_a_reset(db: Database) -> None:
    zone = edit(db, make_zone(db), "before")
    written = zones.write_contents(db, [soa(3), ns()], WHO.now)
    with db.write() as conn:
        zone = flip(conn, zone, written, None, WHO)
    zone = edit(db, zone, "after")
    assert chain(db, zone, 1) is None
    assert chain(db, zone, 2) is None
    assert [step.to_serial for step in chain(db, zone, 3) or []] == [4]


def test_a_serial_that_fits_two_versions_has_no_chain(db: Database) -> None:
    """DESIGN, SQL: serials can be forced and return; such a client gets an AXFR."""
    zone = make_zone(db, serial=5)
    for number, serial in enumerate((6, 7, 5, 8)):
        zone = edit(db, zone, f"h{number}", serial=serial)
    assert chain(db, zone, 5) is None
    assert [step.to_serial for step in chain(db, zone, 6) or []] == [7, 5, 8]
    assert [step.from_serial for step in chain(db, zone, 7) or []] == [7, 5]


def test_a_serial_that_a_pruned_version_had_has_no_chain(db: Database) -> None:
    zone = make_zone(db, serial=5)
    for number, serial in enumerate((6, 7, 8)):
        zone = edit(db, zone, f"a{number}", serial=serial)
    zone = edit(db, zone, "back", serial=5)
    # Only the newest entries stay: that 5 to 8 were used before is no longer in the journal.
    for number, serial in enumerate((6, 7, 8, 9, 10)):
        zone = edit(db, zone, f"b{number}", serial=serial, size=2500)
    with db.read() as conn:
        kept = [(entry.from_serial, entry.to_serial) for entry in journal.entries(conn, zone.id)]
    assert kept == [(9, 10), (8, 9), (7, 8), (6, 7), (5, 6)]
    assert [serial for serial in range(5, 10) if chain(db, zone, serial)] == [9]


def test_ranges_of_pruned_serials_stay_few(db: Database) -> None:
    zone = make_zone(db, serial=1)
    for number in range(40):
        zone = edit(db, zone, f"h{number}", size=1000)
    with db.read() as conn:
        assert conn.execute(sa.text("SELECT part, first, last FROM journal_pruned")).all() == [(0, 1, 38)]
        assert [entry.version for entry in journal.entries(conn, zone.id)] == [41, 40]
    assert chain(db, zone, 39) is not None
    assert chain(db, zone, 38) is None


def test_the_oldest_goes_first_and_no_change_is_refused(db: Database) -> None:
    """LIMITS: journal-size."""
    zone = make_zone(db)
    for number in range(30):
        zone = edit(db, zone, f"h{number}", size=4000)
        with db.read() as conn:
            kept = journal.entries(conn, zone.id)
            assert sum(entry.size for entry in kept) == zone.journal_bytes <= 4000
            assert [entry.version for entry in kept] == list(range(zone.version, zone.version - len(kept), -1))
    assert 5 <= len(kept) <= 15
    assert chain(db, zone, kept[-1].from_serial or 0) is not None
    assert chain(db, zone, (kept[-1].from_serial or 0) - 1) is None


def test_a_change_larger_than_the_journal_is_a_reset(db: Database) -> None:
    zone = edit(db, make_zone(db), "first")
    many = [a(f"h{number}") for number in range(100)]
    with db.write() as conn:
        zone = commit_change(conn, zone, step(zone, added=many), WHO, journal_size=3000)
    zone = edit(db, zone, "last")
    with db.read() as conn:
        entries = journal.entries(conn, zone.id)
        assert [(entry.version, entry.reset) for entry in entries] == [(4, False), (3, True), (2, False), (1, True)]
        assert (entries[1].added, entries[1].removed) == (100, 0)
        assert journal.changeset(conn, zone.id, 3) is None
        assert journal.changeset(conn, zone.id, 77) is None
        assert len(list(zones.records(conn, zone))) == 104
    assert chain(db, zone, 1) is None
    assert chain(db, zone, 2) is None
    assert chain(db, zone, 3) is not None


def test_the_default_size_is_twice_the_zone_and_at_least_16_mib() -> None:
    assert journal.limit_of(1) == 16 * 1024 * 1024
    assert journal.limit_of(100 * 1024 * 1024) == 200 * 1024 * 1024


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_payloads_are_kept_in_chunks(db: Database, count: int) -> None:
    """DESIGN, SQL: chunks of at most 256 KiB (MariaDB's packet is 16 MiB)."""
    zone = make_zone(db)
    added = [Record(APEX, 65280, 1, bytes([number]) * 65000) for number in range(count)]
    changeset = step(zone, added=added)
    with db.write() as conn:
        zone = commit_change(conn, zone, changeset, WHO)
    with db.read() as conn:
        sizes = [len(data) for data in conn.execute(sa.select(journal_chunks.c.data)).scalars()]
        assert journal.changeset(conn, zone.id, zone.version) == changeset
    assert sum(sizes) == len(changeset.encode())
    assert all(size <= CHUNK for size in sizes)
    assert len(sizes) == -(-len(changeset.encode()) // CHUNK)


def unique(db: Database, zone: ZoneRow) -> list[bool]:
    """``is_unique`` of each entry that the journal keeps, the oldest first."""
    found = []
    with db.read() as conn:
        for entry in reversed(journal.entries(conn, zone.id)):
            kept = journal.kept(conn, zone.id, entry.version, 1 << 20)
            if entry.reset:
                assert kept is None
                continue
            assert kept is not None
            assert Changeset.decode(kept.changeset) == journal.changeset(conn, zone.id, entry.version)
            assert kept.records == entry.added + entry.removed + 2
            found.append(kept.is_unique)
    return found


def test_a_serial_that_came_twice_is_told_of_its_changes(db: Database) -> None:
    """R20: a client with such a serial may hold either version, so no answerer may follow these changes itself."""
    zone = make_zone(db, serial=5)
    for number, serial in enumerate((6, 7, 8)):
        zone = edit(db, zone, f"a{number}", serial=serial)
    assert unique(db, zone) == [True, True, True]
    zone = edit(db, zone, "back", serial=6)
    # 5 to 6, 6 to 7, 7 to 8, 8 to 6: 7 alone was had once, and no change has only that.
    assert unique(db, zone) == [False, False, True, False]
    zone = edit(db, zone, "on", serial=20)
    assert unique(db, zone) == [False, False, True, False, False]
    zone = edit(db, zone, "further", serial=21)
    assert unique(db, zone)[-1]


def test_a_serial_that_a_pruned_version_had_is_told_too(db: Database) -> None:
    zone = make_zone(db, serial=5)
    for number, serial in enumerate((6, 7, 8, 5, 6, 7)):
        zone = edit(db, zone, f"a{number}", serial=serial, size=600)
    assert unique(db, zone) == [False]
    zone = edit(db, zone, "on", serial=9, size=600)
    zone = edit(db, zone, "further", serial=10, size=600)
    assert unique(db, zone) == [True]


def test_what_is_larger_than_asked_for_is_not_read(db: Database) -> None:
    zone = edit(db, make_zone(db), "www")
    with db.read() as conn:
        assert journal.kept(conn, zone.id, zone.version, 1000) is not None
        assert journal.kept(conn, zone.id, zone.version, 50) is None
        assert journal.kept(conn, zone.id, 99, 1000) is None
