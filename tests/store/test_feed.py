from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from dnsserver.store import feed
from dnsserver.store.commit import commit_change
from dnsserver.store.database import Database
from dnsserver.store.feed import FeedMark, FeedRow
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from tests.support.stores import WHO, a, make_zone, step


def test_an_empty_feed_has_a_mark_to_follow_from(db: Database) -> None:
    with db.read() as conn:
        mark = feed.head(conn)
        assert mark.seq == 0
        assert feed.after(conn, mark) == []


def test_rows_come_in_order_and_in_portions(db: Database) -> None:
    with db.write() as conn:
        mark = feed.head(conn)
        feed.append(conn, feed.ACCESS)
        feed.append(conn, feed.CHANGE, 7, 1, 2)
    with db.write() as conn:
        feed.append(conn, feed.KEYS)
    with db.read() as conn:
        rows = feed.after(conn, mark)
        assert rows is not None
        assert [(row.seq, *row[2:]) for row in rows] == [
            (1, "access", None, None, None), (2, "change", 7, 1, 2), (3, "keys", None, None, None),
        ]  # fmt: skip
        assert feed.after(conn, mark, limit=2) == rows[:2]
        assert feed.after(conn, FeedMark(*rows[1][:2])) == rows[2:]
        assert feed.after(conn, feed.head(conn)) == []
        assert len({row.tag for row in rows}) == 3


def test_what_is_rolled_back_is_not_fed(db: Database) -> None:
    def fail() -> None:
        with db.write() as conn:
            feed.append(conn, feed.KEYS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with db.write() as conn:
        feed.append(conn, feed.ACCESS)
    with db.read() as conn:
        assert feed.head(conn).seq == 1


def test_a_follower_whose_row_is_gone_or_another_reads_anew(db: Database) -> None:
    """A database restored from a backup has the same numbers with other tags."""
    for _ in range(5):
        with db.write() as conn:
            feed.append(conn, feed.KEYS)
    with db.read() as conn:
        head = feed.head(conn)
        assert feed.after(conn, head) == []
        assert feed.after(conn, FeedMark(head.seq, head.tag ^ 1)) is None
        assert feed.after(conn, FeedMark(head.seq + 1, head.tag)) is None
        old = FeedMark(*conn.execute(sa.text("SELECT seq, tag FROM feed WHERE seq = 2")).one())
        assert len(feed.after(conn, old) or []) == 3
    with db.write() as conn:
        feed.prune(conn, keep=2)
    with db.read() as conn:
        assert feed.after(conn, old) is None
        assert feed.head(conn) == head
    with db.write() as conn:
        feed.prune(conn, keep=0)
        assert feed.head(conn) == head


def test_the_feed_prunes_itself(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed.prune, "__defaults__", (100,))
    for _ in range(11):
        with db.write() as conn:
            for _ in range(100):
                feed.append(conn, feed.KEYS)
    with db.read() as conn:
        seqs = list(conn.execute(sa.text("SELECT seq FROM feed ORDER BY seq")).scalars())
    assert (seqs[0], seqs[-1]) == (901, 1100)


class _Follower(threading.Thread):
    """Follows until it has seen ``expected`` rows."""

    def __init__(self, db: Database, expected: int) -> None:
        super().__init__()
        self._db = db
        self._expected = expected
        self.rows: list[FeedRow] = []
        with db.read() as conn:
            self._mark = feed.head(conn)

    def run(self) -> None:
        while len(self.rows) < self._expected:
            with self._db.read() as conn:
                rows = feed.after(conn, self._mark, limit=7)
            assert rows is not None
            if rows:
                self._mark = FeedMark(*rows[-1][:2])
                self.rows += rows


def test_a_follower_loses_no_row_to_concurrent_writers(db: Database) -> None:
    """DESIGN, SQL: a sequence commits out of order, and a naive follower loses rows; the counter does not."""
    writers, changes = 4, 25
    zones_of = [make_zone(db, apex=names.from_text(f"z{number}.example.")) for number in range(writers)]
    follower = _Follower(db, writers * changes)
    failed: list[Exception] = []

    def write(zone: ZoneRow) -> None:
        try:
            for number in range(changes):
                with db.write() as conn:
                    zone = commit_change(conn, zone, step(zone, added=[a(f"h{number}", apex=zone.name)]), WHO)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(zone,)) for zone in zones_of]
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    follower.join(60)
    assert not failed
    assert [row.seq for row in follower.rows] == list(range(follower.rows[0].seq, follower.rows[0].seq + 100))
    for zone in zones_of:
        steps = [(row.from_version, row.to_version) for row in follower.rows if row.zone_id == zone.id]
        assert steps == [(number, number + 1) for number in range(1, changes + 1)]


def test_who_commits_is_told_what_follows_what(db: Database) -> None:
    """In the order of the rows, so that one who stands at the row before need not read them."""
    told: list[feed.Appended] = []
    db.committed = told.append
    with db.write() as conn:
        mark = feed.head(conn)
        feed.append(conn, feed.ACCESS)
        feed.append(conn, feed.CHANGE, 7, 1, 2)
        assert told == []
    with db.write() as conn:
        feed.append(conn, feed.KEYS)
    with db.write():
        pass
    with db.read() as conn:
        rows = feed.after(conn, mark)
    assert rows is not None
    assert [appended.after for appended in told] == [mark, rows[1][:2]]
    assert [row for appended in told for row, _ in appended.rows] == rows


def test_a_change_is_told_with_what_it_changed(db: Database) -> None:
    zone = make_zone(db)
    told: list[feed.Appended] = []
    db.committed = told.append
    changeset = step(zone, added=[a("www")])
    with db.write() as conn:
        commit_change(conn, zone, changeset, WHO)
    ((row, change),) = told[0].rows
    assert change is not None
    assert (row.from_version, row.to_version) == (zone.version, zone.version + 1)
    assert (change.changeset, change.encoded) == (changeset, changeset.encode())
