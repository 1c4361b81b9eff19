"""Statements that go to SQLite's driver as they are, and by SQLAlchemy: both do the same."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dnsserver.errors import StoreFailed
from dnsserver.store import dialects, schema, zones
from dnsserver.store.commit import commit_change
from dnsserver.store.database import Database
from dnsserver.store.schema import history, settings
from dnsserver.store.statements import Statement
from tests.support.stores import APEX, WHO, a, make_zone, step

SET = Statement(sa.insert(settings), ["name", "value"])
GET = Statement(sa.select(settings.c.value).where(settings.c.name == sa.bindparam("name")))
LISTED = Statement(
    sa.select(settings.c.name).where(settings.c.value.in_(sa.bindparam("wanted", expanding=True))), listed="wanted"
)
DROP = Statement(sa.delete(settings).where(settings.c.name != sa.bindparam("kept"), settings.c.name != "fixed"))
RENAME = Statement(
    sa.update(settings).where(settings.c.name == sa.bindparam("old")).values(value=sa.bindparam("value"))
)


@pytest.fixture(params=["driver", "sqlalchemy"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which way statements go: as other databases get them, too."""
    if request.param == "sqlalchemy":
        monkeypatch.setattr(dialects, "sqlite_driver", lambda _connection: None)
    return str(request.param)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 40])
def test_a_statement_reads_and_changes_rows(db: Database, count: int) -> None:
    names = [f"n{number:02}" for number in range(count)]
    with db.write() as conn:
        SET.change_many(conn, [{"name": name, "value": name.encode()} for name in names])
        SET.change_many(conn, [])
        SET.change_many(conn, [{"name": "fixed", "value": b"\0"}])
        assert RENAME.change(conn, {"old": names[0], "value": b"new"}) == 1
        assert RENAME.change(conn, {"old": "absent", "value": b"new"}) == 0
        RENAME.change_many(conn, [{"old": name, "value": name.encode()} for name in names])
    with db.read() as conn:
        assert GET.row(conn, {"name": "absent"}) is None
        assert [tuple(row) for row in GET.rows(conn, {"name": "n00"})] == [(b"n00",)]
        wanted = [b"absent", *(name.encode() for name in names)]
        assert sorted(name for (name,) in LISTED.rows(conn, {"wanted": wanted})) == names
    with db.write() as conn:
        assert DROP.change(conn, {"kept": names[-1]}) == count - 1
    with db.read() as conn:
        assert sorted(conn.execute(sa.select(settings.c.name)).scalars()) == ["fixed", names[-1]]


@pytest.mark.usefixtures("road")
def test_an_insert_tells_the_new_id(db: Database) -> None:
    line = {"time": 1.0, "user": "u", "source": "s", "subject": "", "action": "", "detail": "", "bulk": False}
    insert = Statement(sa.insert(history), list(line))
    with db.write() as conn:
        first, second = insert.insert(conn, line), insert.insert(conn, line)
        found = set(conn.execute(sa.select(history.c.id)).scalars())
    assert second > first
    assert {first, second} <= found


def test_changes_are_the_same_on_both_roads(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last row of every table."""
    by_driver = _changed(shutil.copy(template, tmp_path / "driver.db"))
    monkeypatch.setattr(dialects, "sqlite_driver", lambda _connection: None)
    assert _changed(shutil.copy(template, tmp_path / "sqlalchemy.db")) == by_driver
    assert [rdata for _, key, _, _, _, _, rdata in by_driver["records"] if b"www" in key] == [
        a("www", 3).rdata,
        a("www", 4).rdata,
    ]
    assert by_driver["journal_pruned"]
    assert by_driver["journal_chunks"]


def _changed(file: Path | str) -> dict[str, list[tuple[Any, ...]]]:
    """All tables of a database in which a zone was changed; feed rows without their tags."""
    with Database.open(f"sqlite:///{file}") as db:
        zone = make_zone(db, [a("www", 1), a("www", 2), a("www", 3), a("mail", 1), a("Old", 1)])
        for removed, added in (
            ([a("www", 2)], [a("www", 4), a("www", 5)]),
            ([a("www", 1), a("www", 5), a("mail", 1)], [a("mail", 2, ttl=60), a("new")]),
            ([a("old", 1)], [a("oLD", 1)]),
        ):
            with db.write() as conn:
                zone = commit_change(conn, zone, step(zone, removed, added), WHO, "why", journal_size=1_000)
        with db.read() as conn:
            assert zones.get(conn, APEX) == zone == zones.by_id(conn, zone.id)
            found = {
                table.name: [tuple(row) for row in conn.execute(sa.select(table).order_by(*table.primary_key))]
                for table in schema.metadata.sorted_tables
            }
    return {**found, "feed": [(seq, *rest) for seq, _, *rest in found["feed"]]}


def test_after_a_rollback_by_sqlite_no_statement_commits_alone(sqlite_url: str) -> None:
    db = Database.open(sqlite_url)

    def careless() -> None:
        with db.write() as conn:
            driver: Any = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.execute("ROLLBACK")
            SET.change(conn, {"name": "alone", "value": b""})

    with pytest.raises(StoreFailed, match="nothing of it is kept"):
        careless()
    with db.read() as conn:
        assert GET.row(conn, {"name": "alone"}) is None
    db.close()
