from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from dnsserver.errors import Conflict, InvalidData, NotFound, StoreFailed
from dnsserver.store import commit, contents, feed, history, journal, outbox, schema, zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import TXT, A
from dnsserver.zone.settings import ZoneSettings
from tests.support.stores import APEX, WHO, a, all_records, journal_chain, make_zone, ns, soa, step


def test_a_zone_is_found_by_name_without_case(db: Database) -> None:
    made = make_zone(db, [a("www")])
    with db.read() as conn:
        assert zones.get(conn, names.from_text("EXAMPLE.com.")) == made == zones.by_id(conn, made.id)
        assert zones.all_zones(conn) == [made]
        with pytest.raises(NotFound, match=r"example\.net\."):
            zones.get(conn, names.from_text("example.net."))
    assert (made.version, made.serial, made.record_count) == (1, 1, 3)
    assert made.wire_size == sum(len(record.wire) for record in [soa(1), ns(), a("www")])


def test_records_come_in_canonical_order_with_the_case_as_written(db: Database) -> None:
    # RFC 4034, 6.1: the example's names, with octets that sort specially.
    texts = [
        "@", "a", "yljkjljk.a", "Z.a", "zABC.a", "z", "\\001.z", "\\000.z", "*.z", "\\200.z", "a.\\000.z", "z\\000b",
    ]  # fmt: skip
    written = [Record(names.from_text(text, APEX), TXT, 300, b"\x01x") for text in texts]
    zone = make_zone(db, reversed(written))
    found = [record.owner for record in all_records(db, zone) if record.type == TXT]
    assert found == sorted((record.owner for record in written), key=names.key)
    assert found[0] == APEX
    assert names.from_text("Z.a.example.com.") in found
    assert sorted(all_records(db, zone)) == sorted([soa(1), ns(), *written])


def test_records_of_the_root_zone(db: Database) -> None:
    records = [Record(names.from_text(text), TXT, 1, b"\x00") for text in (".", "a.", "b.a.", "zz.")]
    zone = make_zone(db, records, apex=names.ROOT)
    assert [record for record in all_records(db, zone) if record.type == TXT] == records
    with db.read() as conn:
        assert zones.exists_below(conn, zone, names.ROOT)


def test_records_of_one_name(db: Database) -> None:
    zone = make_zone(db, [a("www", 1), a("WWW", 2), a("x.www", 3)])
    with db.read() as conn:
        assert list(zones.records(conn, zone, names.from_text("wWw", APEX))) == [a("www", 1), a("WWW", 2)]
        assert list(zones.records(conn, zone, names.from_text("absent", APEX))) == []


def test_exists_below(db: Database) -> None:
    zone = make_zone(db, [a("x.ent"), a("ent2"), Record(names.from_text("\\000\\001.odd", APEX), A, 1, bytes(4))])
    with db.read() as conn:
        below = {text: zones.exists_below(conn, zone, names.from_text(text, APEX)) for text in ("@", "ent", "ent2")}
        assert below == {"@": True, "ent": True, "ent2": False}
        assert zones.exists_below(conn, zone, names.from_text("odd", APEX))
        assert not zones.exists_below(conn, zone, names.from_text("en", APEX))
        assert not zones.exists_below(conn, zone, names.from_text("x.ent", APEX))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 5000])
def test_pages_hold_every_record_once(db: Database, size: int) -> None:
    zone = make_zone(db, [a(f"h{number % 5}", number) for number in range(20)])
    with db.read() as conn:
        pages = list(zones.record_pages(conn, zone, size))
    assert all(1 <= len(page) <= size for page in pages)
    assert [record for page in pages for record in page] == all_records(db, zone)
    assert len(all_records(db, zone)) == 22


def test_a_zone_twice_is_a_conflict(db: Database) -> None:
    make_zone(db)
    with pytest.raises(Conflict, match="there already"):
        make_zone(db)


def test_a_zone_without_soa_is_refused_and_leaves_nothing(db: Database) -> None:
    with pytest.raises(InvalidData, match="SOA"), db.write() as conn:
        zones.create(conn, APEX, Role.PRIMARY, ZoneSettings(), [ns()], WHO)
    with db.read() as conn:
        assert zones.all_zones(conn) == []
        assert feed.head(conn).seq == 0


def test_a_secondary_begins_without_contents(db: Database) -> None:
    with db.write() as conn:
        zone = zones.create(conn, APEX, Role.SECONDARY, ZoneSettings(), [], WHO)
    assert (zone.version, zone.record_count, zone.role) == (0, 0, Role.SECONDARY)
    written = zones.write_contents(db, [soa(7), ns()], WHO.now)
    with db.write() as conn:
        zone = commit.flip(conn, zone, written, None, WHO, kind="transfer")
    assert (zone.version, zone.serial, all_records(db, zone)) == (1, 7, [ns(), soa(7)])


def test_settings_and_suspension_are_fed_and_kept_in_history(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        zone = zones.set_settings(conn, zone, zone.settings.with_change(["notify=off", "ixfr=udp"]), WHO)
        zone = zones.set_suspended(conn, zone, True, WHO)
        assert zones.set_suspended(conn, zone, True, WHO) == zone
    with db.read() as conn:
        assert zones.get(conn, APEX) == zone
        assert not zone.settings.notify
        assert zone.suspended
        lines = [(line.subject, line.action, line.detail) for line in history.entries(conn, 2)]
        assert lines[0] == ("example.com.", "zone-suspend", "")
        assert lines[1][1:] == ("zone-set", "notify=on->off ixfr=on->udp")
        assert feed.head(conn).seq == 3


def test_a_stale_zone_row_cannot_be_set(db: Database) -> None:
    stale = make_zone(db)
    with db.write() as conn:
        commit.commit_change(conn, stale, step(stale, added=[a("www")]), WHO)
    with pytest.raises(Conflict, match="somebody else"), db.write() as conn:
        zones.set_suspended(conn, stale, True, WHO)


def test_delete_and_restore(db: Database) -> None:
    zone = make_zone(db, [a("www")], serial=41)
    with db.write() as conn:
        zones.delete(conn, zone, WHO)
        assert outbox.pending(conn) == []
    with db.read() as conn:
        assert zones.find(conn, APEX) is None
        assert zones.serial_floor(conn, APEX) == 41
        gone = zones.deleted(conn, APEX)
    assert gone is not None
    assert gone.deleted == WHO.now
    with db.write() as conn:
        assert zones.restore(conn, gone, WHO) == zone
        assert [pending.serial for pending in outbox.pending(conn)] == [41]
    assert all_records(db, zone)[-1] == a("www")


def test_a_zone_made_anew_starts_above_the_old_serial(db: Database) -> None:
    zone = make_zone(db, serial=41)
    with db.write() as conn:
        gone = zones.delete(conn, zone, WHO)
    again = make_zone(db, serial=1)
    assert again.serial == 42
    assert soa(42) in all_records(db, again)
    with db.write() as conn, pytest.raises(Conflict, match="there again"):
        zones.restore(conn, gone, WHO)
    with db.write() as conn:
        zones.delete(conn, again, WHO)
        assert [names.to_text(name) for name in zones.purge_deleted(conn, WHO.now + 1)] == ["example.com."] * 2
    assert zones.prune_contents(db, WHO.now) == 2
    assert make_zone(db, serial=50).serial == 50


def test_deleted_zones_are_purged_when_their_time_has_come(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        zones.delete(conn, zone, WHO)
    with db.write() as conn:
        assert zones.purge_deleted(conn, WHO.now) == []
        assert zones.purge_deleted(conn, WHO.now + 1) == [APEX]
        assert zones.deleted(conn, APEX) is None
        assert journal.entries(conn, zone.id) == []


def test_flip_replaces_all_and_leaves_the_journal_a_difference(db: Database) -> None:
    zone = make_zone(db, [a("www")])
    changeset = step(zone, [a("www")], [a("new", 9)])
    written = zones.write_contents(db, [soa(2), ns(), a("new", 9)], WHO.now)
    assert sorted(all_records(db, zone)) == sorted([soa(1), ns(), a("www")])
    with db.write() as conn:
        flipped = commit.flip(conn, zone, written, changeset, WHO)
    assert sorted(all_records(db, flipped)) == sorted([soa(2), ns(), a("new", 9)])
    assert zones.prune_contents(db, WHO.now) == 1
    assert all_records(db, zone) == []
    with db.read() as conn:
        assert journal_chain(conn, zone.id, 1, 2) == [changeset]
        assert (flipped.version, flipped.serial, flipped.record_count) == (2, 2, 3)
        assert zones.get(conn, APEX) == flipped


def test_flip_without_a_difference_is_a_reset(db: Database) -> None:
    zone = make_zone(db)
    written = zones.write_contents(db, [soa(9), ns()], WHO.now)
    with db.write() as conn:
        mark = feed.head(conn)
        zone = commit.flip(conn, zone, written, None, WHO)
    with db.read() as conn:
        assert journal_chain(conn, zone.id, 1, 2) is None
        rows = feed.after(conn, mark)
    assert rows is not None
    assert [(row.kind, row.from_version, row.to_version) for row in rows] == [("zone", 1, 2)]


def test_flip_of_a_zone_that_changed_meanwhile_is_a_conflict(db: Database) -> None:
    zone = make_zone(db)
    written = zones.write_contents(db, [soa(9), ns()], WHO.now)
    with db.write() as conn:
        commit.commit_change(conn, zone, step(zone, added=[a("www")]), WHO)
    with pytest.raises(Conflict), db.write() as conn:
        commit.flip(conn, zone, written, None, WHO)
    # What never came to be pointed at is taken away: by who wrote it, or after a day.
    assert zones.prune_contents(db, WHO.now) == 0
    assert zones.prune_contents(db, WHO.now + contents.ABANDONED + 1) == 1
    with pytest.raises(Conflict, match="try again"), db.write() as conn:
        commit.flip(conn, zone, written, None, WHO)


def test_many_records_in_batches(db: Database) -> None:
    many = [a(f"h{number:05d}", number % 250) for number in range(12_001)]
    zone = make_zone(db)
    written = zones.write_contents(db, iter([soa(2), ns(), *many]), WHO.now)
    with db.write() as conn:
        zone = commit.flip(conn, zone, written, None, WHO)
    assert zone.record_count == len(many) + 2
    assert all_records(db, zone)[2:] == many
    with db.write() as conn:
        zones.delete(conn, zone, WHO)
        zones.purge_deleted(conn, WHO.now + 1)
    assert zones.prune_contents(db, WHO.now) == 2
    assert all_records(db, zone) == []


def test_a_write_that_fails_takes_its_rows_away(db: Database) -> None:
    def broken() -> object:
        yield from (a(f"h{number}") for number in range(6000))
        raise StoreFailed("the source ended")

    with pytest.raises(StoreFailed, match="source"):
        zones.write_contents(db, broken(), WHO.now)  # type: ignore[arg-type]
    with db.read() as conn:
        assert conn.execute(schema.records.select()).first() is None
        assert conn.execute(schema.contents.select()).first() is None


def test_a_contents_half_read_is_not_disturbed_by_others(db: Database) -> None:
    """A read is one snapshot, however others write meanwhile."""
    zone = make_zone(db, [a(f"h{number}") for number in range(50)])
    with db.read() as conn:
        before = zones.get(conn, APEX)
        pages = zones.record_pages(conn, before, 10)
        seen = next(pages)
        written = zones.write_contents(db, [soa(2), ns()], WHO.now)
        with db.write() as other:
            commit.flip(other, zone, written, None, Who("x", "y", 1.0))
        zones.prune_contents(db, WHO.now)
        seen += [record for page in pages for record in page]
        assert len(seen) == 52
        assert zones.get(conn, APEX) == before
    gc.collect()


def test_a_zone_takes_another_role_and_keeps_its_contents(db: Database) -> None:
    """A change that was made of it in its old role is refused."""
    zone = make_zone(db, [a("www")])
    change, records = step(zone, added=[a("new")]), all_records(db, zone)
    primaries = zone.settings.with_change(["primaries=192.0.2.1"])
    with db.write() as conn:
        after = zones.convert(conn, zone, Role.SECONDARY, primaries, WHO, "moved")
    with db.read() as conn:
        assert zones.get(conn, zone.name) == after == replace(zone, role=Role.SECONDARY, settings=primaries)
        assert history.entries(conn, 1)[0].detail == "primary->secondary of 192.0.2.1 (moved)"
    assert all_records(db, after) == records
    with pytest.raises(Conflict, match="meanwhile"), db.write() as conn:
        commit.commit_change(conn, zone, change, WHO)
    with db.write() as conn:
        assert commit.commit_change(conn, after, change, WHO, kind="ixfr").serial == 2


def test_a_zone_without_contents_leaves_no_floor(db: Database) -> None:
    """A serial of 3,000,000,000 is not ahead of 0 (RFC 1982), which such a zone never had."""
    with db.write() as conn:
        zone = zones.create(conn, APEX, Role.SECONDARY, ZoneSettings(), (), WHO)
        zones.delete(conn, zone, WHO)
        assert zones.serial_floor(conn, APEX) is None
    assert make_zone(db, serial=3_000_000_000).serial == 3_000_000_000


def test_who_stops_at_the_first_record_of_a_name_leaves_nothing_open(db: Database) -> None:
    """Else the connection, back in the pool, would write on top of what was there then: SQLITE_BUSY_SNAPSHOT."""
    zone = make_zone(db)
    with db.read() as conn:
        kept = zones.records(conn, zone, APEX)
        next(kept)
    other = Database.open(db.url.render_as_string(hide_password=False))
    with other.write() as conn:
        zones.set_suspended(conn, zone, True, WHO)
    other.close()
    with db.write() as conn:
        assert zones.get(conn, APEX).suspended
    assert next(kept)
