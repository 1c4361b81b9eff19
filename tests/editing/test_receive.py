"""What a primary sent, committed: differences and whole zones (R12, R14; RFC 1995, 4; RFC 5936, 3; RFC 8976)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from dnsserver.editing import EditLimits, receive
from dnsserver.errors import Conflict
from dnsserver.store import commit as store_commit
from dnsserver.store import contents, feed, journal, zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.schema import outbox
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.gather import Gather, TooLarge
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import TXT
from dnsserver.zone.settings import Target, ZoneSettings
from tests.support.stores import APEX, a, all_records, ns, soa

WHO = Who("transfer", "192.0.2.53#53", 1_000_000.0)
LIMITS = EditLimits()
PRIMARY = Target("192.0.2.53")


def secondary(db: Database, records: Iterable[Record] | None = None, *, zonemd: str = "warn") -> ZoneRow:
    """A secondary zone; with SOA (serial 1), NS and these records, when any are given."""
    settings = ZoneSettings(primaries=(PRIMARY,), zonemd=zonemd)
    with db.write() as conn:
        zone = zones.create(conn, APEX, Role.SECONDARY, settings, (), WHO)
    if records is None:
        return zone
    return whole(db, zone, [soa(1), ns(), *records])


def whole(db: Database, zone: ZoneRow, records: Iterable[Record], *, force: bool = False, **limits: int) -> ZoneRow:
    gathered = Gather(APEX, LIMITS.zone)
    gathered.add(list(records))
    given = replace(LIMITS, **limits)  # type: ignore[arg-type]
    return receive.receive_whole(db, given, zone.id, gathered, WHO, force=force).zone


def changes(db: Database, zone: ZoneRow, removed: Iterable[Record], added: Iterable[Record], **limits: int) -> ZoneRow:
    """An IXFR to the next serial."""
    changeset = Changeset((soa(zone.serial), *removed), (soa(zone.serial + 1), *added))
    given = replace(LIMITS, **limits)  # type: ignore[arg-type]
    return receive.receive_changes(db, given, zone.id, changeset, WHO).zone


def stored(db: Database, zone: ZoneRow) -> list[Record]:
    with db.read() as conn:
        found = zones.by_id(conn, zone.id)
    assert found is not None
    return sorted(all_records(db, found))


def journalled(db: Database, zone: ZoneRow) -> Changeset | None:
    with db.read() as conn:
        return journal.changeset(conn, zone.id, zone.version)


def last_feed(db: Database) -> str:
    with db.read() as conn:
        head = feed.head(conn)
        rows = feed.after(conn, feed.FeedMark(*conn.exec_driver_sql(
            f"SELECT seq, tag FROM feed WHERE seq = {head.seq - 1}").one()))  # fmt: skip
    assert rows
    return rows[-1].kind


def upper(record: Record) -> Record:
    return record._replace(owner=record.owner.upper())


# First contents


@pytest.mark.parametrize("large", [20_000, 1])
def test_first_contents_are_a_reset_for_the_journal_and_go_onward(db: Database, large: int) -> None:
    zone = secondary(db)
    after = whole(db, zone, [soa(7), ns(), a("www")], large=large)
    assert (after.version, after.serial, after.record_count) == (1, 7, 3)
    assert stored(db, zone) == sorted([soa(7), ns(), a("www")])
    assert journalled(db, after) is None
    with db.read() as conn:
        entry = journal.entry(conn, zone.id, 1)
        assert entry is not None
        assert (entry.kind, entry.reset, entry.user) == ("axfr", True, "transfer")
        assert list(conn.execute(outbox.select()).scalars()) == [zone.id]
    assert last_feed(db) == feed.ZONE


# Whole zones over a zone that is there


@pytest.mark.parametrize("large", [20_000, 1])
def test_a_whole_zone_becomes_a_difference(db: Database, large: int) -> None:
    zone = secondary(db, [a("www", 1), a("mail", 2)])
    after = whole(db, zone, [soa(2), ns(), a("www", 1), a("ftp", 3)], large=large)
    assert (after.version, after.serial, after.record_count) == (2, 2, 4)
    assert stored(db, zone) == sorted([soa(2), ns(), a("www", 1), a("ftp", 3)])
    kept = journalled(db, after)
    assert kept is not None
    assert (kept.removed, kept.added) == ((soa(1), a("mail", 2)), (soa(2), a("ftp", 3)))


def test_the_serial_that_is_here_means_that_nothing_is_new(db: Database) -> None:
    zone = secondary(db, [a("www", 1)])
    after = whole(db, zone, [soa(1), ns(), a("other", 1)])
    assert after == zone
    assert a("www", 1) in stored(db, zone)


@pytest.mark.parametrize("serial", [0, (1 + (1 << 31)) % (1 << 32)])
def test_a_serial_that_is_not_ahead_is_not_taken(db: Database, serial: int) -> None:
    zone = secondary(db, [a("www", 1)])
    before = stored(db, zone)
    with pytest.raises(receive.BadSerial):
        whole(db, zone, [soa(serial), ns()])
    assert stored(db, zone) == before


def test_a_retransfer_takes_any_serial(db: Database) -> None:
    zone = whole(db, secondary(db, [a("www", 1)]), [soa(9), ns()])
    after = whole(db, zone, [soa(5), ns(), a("www", 4)], force=True)
    assert (after.version, after.serial) == (zone.version + 1, 5)
    assert a("www", 4) in stored(db, zone)


def test_a_retransfer_of_the_same_serial_replaces_what_differs(db: Database) -> None:
    zone = secondary(db, [a("www", 1)])
    after = whole(db, zone, [soa(1), ns(), a("www", 2)], force=True)
    assert (after.version, after.serial) == (zone.version + 1, 1)
    assert stored(db, zone) == sorted([soa(1), ns(), a("www", 2)])
    # Nobody who has this serial could be told the difference by IXFR; whoever follows the feed reads the zone anew.
    assert journalled(db, after) is None
    assert last_feed(db) == feed.ZONE


def test_a_retransfer_that_brings_nothing_else_changes_nothing(db: Database) -> None:
    zone = secondary(db, [a("www", 1)])
    assert whole(db, zone, [soa(1), ns(), a("www", 1)], force=True) == zone


# Differences


@pytest.mark.parametrize("large", [20_000, 1])
def test_a_difference_is_committed_and_kept_for_ixfr(db: Database, large: int) -> None:
    zone = secondary(db, [a("www", 1), a("mail", 2)])
    after = changes(db, zone, [a("mail", 2)], [a("ftp", 3), a("www", 9)], large=large)
    assert (after.version, after.serial, after.record_count) == (2, 2, 5)
    assert stored(db, zone) == sorted([soa(2), ns(), a("www", 1), a("www", 9), a("ftp", 3)])
    kept = journalled(db, after)
    assert kept is not None
    assert kept.removed == (soa(1), a("mail", 2))
    assert sorted(kept.added[1:]) == sorted([a("ftp", 3), a("www", 9)])
    with db.read() as conn:
        entry = journal.entry(conn, zone.id, 2)
    assert entry is not None
    assert (entry.kind, entry.added, entry.removed) == ("ixfr", 2, 1)


def test_a_removal_does_not_look_at_ttl_and_case(db: Database) -> None:
    """RFC 1995 says nothing of either; RFC 2136, 2.5.4: a record to delete has no TTL; RFC 4343: names have no case."""
    cname = Record(names.from_text("alias", APEX), 5, 300, names.from_text("Target", APEX))
    zone = secondary(db, [a("www", 1), cname])
    peer_cname = upper(cname)._replace(rdata=names.from_text("tARGET", APEX), ttl=1)
    after = changes(db, zone, [upper(a("www", 1, ttl=77)), peer_cname], [])
    assert stored(db, zone) == sorted([soa(2), ns()])
    kept = journalled(db, after)
    assert kept is not None
    # The journal has what was stored here: whoever follows it has that.
    assert sorted(kept.removed[1:]) == sorted([a("www", 1), cname])


def test_an_addition_that_is_there_is_left_out_or_replaces(db: Database) -> None:
    zone = secondary(db, [a("www", 1), a("www", 2)])
    after = changes(db, zone, [], [upper(a("www", 1)), a("www", 2, ttl=60)])
    assert stored(db, zone) == sorted([soa(2), ns(), a("www", 1), a("www", 2, ttl=60)])
    kept = journalled(db, after)
    assert kept is not None
    assert (kept.removed[1:], kept.added[1:]) == ((a("www", 2),), (a("www", 2, ttl=60),))


def test_an_addition_that_comes_twice_counts_once(db: Database) -> None:
    zone = secondary(db, [])
    after = changes(db, zone, [], [a("www", 1), a("www", 1, ttl=60)])
    assert stored(db, zone) == sorted([soa(2), ns(), a("www", 1, ttl=60)])
    assert after.record_count == 3


def test_what_goes_and_comes_back_stays(db: Database) -> None:
    zone = secondary(db, [a("www", 1)])
    after = changes(db, zone, [a("www", 1, ttl=5)], [a("www", 1)])
    kept = journalled(db, after)
    assert kept is not None
    assert (len(kept.removed), len(kept.added)) == (1, 1)
    assert a("www", 1) in stored(db, zone)


@pytest.mark.parametrize(
    "removed",
    [a("nobody", 1), a("www", 2), Record(names.from_text("www", APEX), TXT, 300, b"\x01x")],
    ids=["name", "rdata", "type"],
)
def test_a_removal_of_what_is_not_there_does_not_apply(db: Database, removed: Record) -> None:
    zone = secondary(db, [a("www", 1)])
    before = stored(db, zone)
    with pytest.raises(receive.DoesNotApply):
        changes(db, zone, [removed], [a("new", 1)])
    assert stored(db, zone) == before


def test_a_difference_from_another_serial_or_soa_does_not_apply(db: Database) -> None:
    zone = secondary(db, [a("www", 1)])
    other = soa(1)._replace(rdata=soa(1).rdata[:-1] + b"\x01")
    for old in (soa(2), other):
        with pytest.raises(receive.DoesNotApply):
            receive.receive_changes(db, LIMITS, zone.id, Changeset((old,), (soa(3),)), WHO)
    with pytest.raises(receive.BadSerial):
        receive.receive_changes(db, LIMITS, zone.id, Changeset((soa(1),), (soa(0),)), WHO)


def test_a_difference_for_a_zone_without_contents_does_not_apply(db: Database) -> None:
    with pytest.raises(receive.DoesNotApply):
        receive.receive_changes(db, LIMITS, secondary(db).id, Changeset((soa(0),), (soa(1),)), WHO)


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (ZoneLimits(zone_records=4), "zone-records"),
        (ZoneLimits(zone_size=200), "zone-size"),
        (ZoneLimits(rrset_records=2), "rrset-records"),
        (ZoneLimits(name_types=1), "name-types"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_difference_is_held_to_the_limits_on_contents(db: Database, limits: ZoneLimits, word: str) -> None:
    zone = secondary(db, [a("www", 1)])
    before = stored(db, zone)
    text = Record(names.from_text("www", APEX), TXT, 300, b"\x01x")
    changeset = Changeset((soa(1),), (soa(2), a("www", 2), a("www", 3), text))
    with pytest.raises(TooLarge, match=word):
        receive.receive_changes(db, replace(LIMITS, zone=limits), zone.id, changeset, WHO)
    assert stored(db, zone) == before


# Zones that are not taken into any more


@pytest.mark.parametrize("what", ["deleted", "suspended", "changed"])
def test_a_zone_that_was_changed_meanwhile_is_left_alone(db: Database, what: str) -> None:
    zone = secondary(db, [a("www", 1)])
    plan = receive.plan_changes(db, LIMITS, zone.id, Changeset((soa(1),), (soa(2), a("new"))))
    with db.write() as conn:
        if what == "deleted":
            zones.delete(conn, zone, WHO)
        elif what == "suspended":
            zones.set_suspended(conn, zone, True, WHO)
        else:
            store_commit.commit_change(conn, zone, Changeset((soa(1),), (soa(5),)), WHO)
    before = stored(db, zone)
    with pytest.raises(Conflict):
        receive.commit_plan(db, LIMITS, plan, WHO, "ixfr")
    with pytest.raises(Conflict):
        receive.commit_plan(db, replace(LIMITS, large=1), plan, WHO, "ixfr")
    assert stored(db, zone) == before
    with db.read() as conn:
        abandoned = conn.exec_driver_sql("SELECT count(*) FROM contents WHERE state = 'writing'").scalar()
    assert abandoned == 0


def test_a_primary_zone_is_never_received(db: Database) -> None:
    with db.write() as conn:
        zone = zones.create(conn, APEX, Role.PRIMARY, ZoneSettings(), [soa(1), ns()], WHO)
    with pytest.raises(Conflict, match="no secondary"):
        whole(db, zone, [soa(2), ns()])


def test_contents_that_were_replaced_are_pruned(db: Database) -> None:
    zone = secondary(db, [a("www", 1)])
    whole(db, zone, [soa(2), ns(), a("ftp", 1), a("mail", 1)], large=1)
    assert contents.prune_contents(db, WHO.now) >= 1
    assert a("ftp", 1) in stored(db, zone)
    with db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM records").scalar() == 4


def test_a_zone_that_is_another_one_altogether_is_known_by_its_beginning(db: Database) -> None:
    old = [a(f"host{n}") for n in range(20)]
    zone = secondary(db, old)
    for changed, replaced in ((0, False), (10, False), (20, True)):
        new = [soa(2), ns(), *(record._replace(ttl=5) for record in old[:changed]), *old[changed:]]
        gathered = Gather(APEX, LIMITS.zone)
        gathered.add(new)
        with db.read() as conn:
            # Where all is different, the difference has twice what the zone has; where half is, as much as that.
            assert receive.is_replaced(conn, zone, gathered, kept=zone.wire_size) == replaced, changed


def test_a_zone_that_grew_from_next_to_nothing_is_another_one(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its difference is as large as itself: nobody would be sent it."""
    zone = secondary(db, [a("www", 1)])
    gathered = Gather(APEX, LIMITS.zone)
    gathered.add([soa(2), ns(), *(a(f"host{n}") for n in range(50))])
    with db.read() as conn:
        assert not receive.is_replaced(conn, zone, gathered), "small"
        monkeypatch.setattr(receive, "ALWAYS_JOURNALLED", gathered.size // 2)
        assert receive.is_replaced(conn, zone, gathered)
