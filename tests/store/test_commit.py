from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsserver.errors import Conflict, InvalidData
from dnsserver.store import feed, history, journal, outbox, zones
from dnsserver.store.commit import commit_change
from dnsserver.store.database import Database
from dnsserver.zone.changeset import condense, difference, identity
from dnsserver.zone.records import Record
from tests.support.stores import APEX, WHO, a, all_records, journal_chain, make_zone, ns, soa, step


def test_a_change_is_records_serial_journal_feed_history_and_outbox(db: Database) -> None:
    before = make_zone(db, [a("www", 1)])
    changeset = step(before, [a("www", 1)], [a("www", 2), a("mail", 3)])
    with db.write() as conn:
        mark = feed.head(conn)
        after = commit_change(conn, before, changeset, WHO, "why not")
    with db.read() as conn:
        assert zones.get(conn, APEX) == after
        assert (after.version, after.serial, after.changed, after.record_count) == (2, 2, WHO.now, 4)
        assert after.wire_size == sum(len(record.wire) for record in zones.records(conn, after))
        assert set(zones.records(conn, after)) == {soa(2), ns(), a("www", 2), a("mail", 3)}
        (entry, first) = journal.entries(conn, after.id)
        assert (entry.version, entry.from_version, entry.from_serial, entry.to_serial) == (2, 1, 1, 2)
        assert (entry.added, entry.removed, entry.comment, entry.kind, entry.user) == (2, 1, "why not", "edit", "jane")
        assert (first.version, first.from_serial, first.reset) == (1, None, True)
        assert journal.changeset(conn, after.id, 2) == changeset
        rows = feed.after(conn, mark)
        assert rows is not None
        assert [row[2:] for row in rows] == [("change", after.id, 1, 2)]
        assert outbox.pending(conn) == [(after.id, 2, 2)]
        line = history.entries(conn, 1)[0]
        assert (line.subject, line.action, line.detail) == (
            "example.com.", "zone-edit", "serial 1 -> 2, 2 added, 1 removed",
        )  # fmt: skip


def test_a_change_of_a_zone_that_changed_meanwhile_is_a_conflict(db: Database) -> None:
    stale = make_zone(db)
    with db.write() as conn:
        commit_change(conn, stale, step(stale, added=[a("www")]), WHO)
    with pytest.raises(Conflict, match="meanwhile"), db.write() as conn:
        commit_change(conn, stale, step(stale, added=[a("mail")]), WHO)


@pytest.mark.parametrize(
    ("removed", "added", "words"),
    [
        ([a("absent")], [], "to remove is not there"),
        ([a("www", 1, ttl=301)], [], "to remove is not there"),
        ([a("www", 2)], [], "to remove is not there"),
        ([], [a("WWW", 1)], "to add is there already"),
        ([], [a("x"), a("X")], "to add is there already"),
        ([a("www"), a("www")], [], "to remove is not there"),
    ],
)
def test_what_does_not_apply_is_refused_whole(
    db: Database, removed: list[Record], added: list[Record], words: str
) -> None:
    zone = make_zone(db, [a("www", 1)])
    with pytest.raises(Conflict, match=words), db.write() as conn:
        commit_change(conn, zone, step(zone, removed, [a("new"), *added]), WHO)
    with db.read() as conn:
        assert zones.get(conn, APEX) == zone
        assert set(zones.records(conn, zone)) == {soa(1), ns(), a("www", 1)}
        assert len(journal.entries(conn, zone.id)) == 1
        assert feed.head(conn).seq == 1
        assert outbox.pending(conn) == [(zone.id, 1, 1)]


def test_the_owner_is_matched_without_case_and_kept_as_written(db: Database) -> None:
    zone = make_zone(db, [a("WwW", 1)])
    assert all_records(db, zone)[-1] == a("WwW", 1)
    with db.write() as conn:
        zone = commit_change(conn, zone, step(zone, [a("www", 1)], [a("wWw", 2)]), WHO)
    assert all_records(db, zone)[-1] == a("wWw", 2)


def test_a_change_of_ttl_is_a_removal_and_an_addition(db: Database) -> None:
    zone = make_zone(db, [a("www", 1, ttl=60)])
    with db.write() as conn:
        zone = commit_change(conn, zone, step(zone, [a("www", 1, ttl=60)], [a("www", 1, ttl=90)]), WHO)
    assert all_records(db, zone)[-1] == a("www", 1, ttl=90)


def test_the_same_serial_is_refused(db: Database) -> None:
    zone = make_zone(db)
    with pytest.raises(InvalidData, match="serial"), db.write() as conn:
        commit_change(conn, zone, step(zone, added=[a("www")], serial=zone.serial), WHO)


def test_several_changes_in_one_transaction(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        mark = feed.head(conn)
        for number in range(5):
            zone = commit_change(conn, zone, step(zone, added=[a(f"h{number}")]), WHO)
    with db.read() as conn:
        rows = feed.after(conn, mark)
        assert rows is not None
        assert [(row.seq, row.from_version, row.to_version) for row in rows] == [
            (mark.seq + number, number, number + 1) for number in range(1, 6)
        ]


def test_serials_and_versions_of_full_size(db: Database) -> None:
    """MODELS: BIGINT for serials."""
    zone = make_zone(db, serial=0xFFFFFFFF)
    with db.write() as conn:
        conn.execute(sa.text("UPDATE zones SET version = 9000000000000000000"))
        conn.execute(sa.text("UPDATE journal SET version = 9000000000000000000"))
    with db.read() as conn:
        zone = zones.get(conn, APEX)
    with db.write() as conn:
        zone = commit_change(conn, zone, step(zone, added=[a("www")], serial=1), WHO)
    with db.read() as conn:
        assert zones.get(conn, APEX) == zone
        assert zone.version == 9_000_000_000_000_000_001
        found = journal_chain(conn, zone.id, 0xFFFFFFFF, zone.version)
    assert found is not None
    assert found[0].to_serial == 1


def test_large_records_are_kept(db: Database) -> None:
    """An rdata of 65,535 octets, and a changeset of several chunks."""
    zone = make_zone(db)
    big = [Record(APEX, 65280, 1, bytes([number]) * 65535) for number in range(9)]
    changeset = step(zone, added=big)
    with db.write() as conn:
        zone = commit_change(conn, zone, changeset, WHO)
    assert all_records(db, zone)[2:] == big
    with db.read() as conn:
        assert journal_chain(conn, zone.id, 1, 2) == [changeset]


def test_odd_words_are_stored(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        commit_change(conn, zone, step(zone, added=[a("www")]), WHO, "Zürich \udce9 \0 🐟")
    with db.read() as conn:
        assert journal.entries(conn, zone.id)[0].comment == "Zürich ? � 🐟"


def test_no_statement_of_a_change_scans_a_table(sqlite_url: str) -> None:
    """A change of one record costs the same in a zone of a million: every statement finds its rows by an index."""
    db = Database.open(sqlite_url)
    zone = make_zone(db, [a("www")])
    seen: list[str] = []
    with db.write() as conn:
        driver: Any = conn.connection.driver_connection
        driver.set_trace_callback(seen.append)
        commit_change(conn, zone, step(zone, [a("www")], [a("mail")]), WHO, journal_size=800)
        driver.set_trace_callback(None)
    changing = [text for text in seen if text.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(changing) >= 6
    with db.read() as conn:
        for text in changing:
            plan = [str(row) for row in conn.exec_driver_sql("EXPLAIN QUERY PLAN " + text)]
            assert not [line for line in plan if "SCAN" in line], (text, plan)
    db.close()


_LABELS = st.sampled_from(["www", "WWW", "mail", "a.b", "*", "\\000", "\\001x"])
_RECORDS = st.builds(a, _LABELS, st.integers(0, 3), st.sampled_from([60, 300]))
_WANTED = st.lists(st.sets(_RECORDS, max_size=8), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=_WANTED)
def test_changes_are_those_of_a_set_and_the_journal_is_their_difference(
    db: Database, wanted: list[set[Record]]
) -> None:
    """Applying changesets equals applying them to a set; the chain condensed equals the difference of its ends."""
    with db.write() as conn:
        if (old := zones.find(conn, APEX)) is not None:
            zones.delete(conn, old, WHO)
            zones.purge_deleted(conn, WHO.now + 1)
    zone = make_zone(db, serial=1_000)
    versions = [{identity(record): record for record in all_records(db, zone)}]
    serials = [zone.serial]
    for records in wanted:
        target = {identity(record): record for record in [soa(zone.serial + 1), ns(), *records]}
        changeset = difference(versions[-1].values(), target.values())
        with db.write() as conn:
            zone = commit_change(conn, zone, changeset, WHO)
        found = all_records(db, zone)
        assert {identity(record) for record in found} == set(target)
        assert len(found) == len(target) == zone.record_count
        assert sum(len(record.wire) for record in found) == zone.wire_size
        versions.append(target)
        serials.append(zone.serial)
    with db.read() as conn:
        for start, serial in enumerate(serials[:-1]):
            chain = journal_chain(conn, zone.id, serial, zone.version)
            assert chain is not None
            net = condense(chain)
            expected = difference(versions[start].values(), versions[-1].values())
            assert {identity(r) for r in net.removed} == {identity(r) for r in expected.removed}
            assert {identity(r) for r in net.added} == {identity(r) for r in expected.added}
