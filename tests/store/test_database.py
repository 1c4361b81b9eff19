"""What a person is told when the database fails, and that nothing is half done then."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsserver.errors import Conflict, StoreFailed
from dnsserver.store import schema, zones
from dnsserver.store.commit import commit_change
from dnsserver.store.database import Database
from dnsserver.zone.records import Record
from tests.support.stores import APEX, WHO, a, all_records, make_zone, step

ROOT = Path(__file__).parents[2]


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def opened(url: str, busy_timeout: float = 30.0) -> Iterator[Database]:
    database = Database.open(url, busy_timeout=busy_timeout)
    yield database
    database.close()


def test_a_missing_file_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=rf"no database at {tmp_path}/absent\.db .*db upgrade"):
        Database.open(f"sqlite:///{tmp_path}/absent.db")
    assert not (tmp_path / "absent.db").exists()


def test_a_relative_path_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreFailed, match=str(tmp_path / "absent.db")):
        Database.open("sqlite:///absent.db", migrate=True)


@pytest.mark.parametrize("create", [False, True])
def test_a_missing_folder_is_named(tmp_path: Path, create: bool) -> None:
    with pytest.raises(StoreFailed, match=rf"no folder {tmp_path}/absent"):
        Database.open(f"sqlite:///{tmp_path}/absent/dns.db", create=create)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="it is no file"):
        Database.open(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("migrate", [False, True])
def test_another_file_is_no_database(tmp_path: Path, migrate: bool) -> None:
    (tmp_path / "zone.txt").write_text("example.com. IN SOA ...\n" * 100)
    with pytest.raises(StoreFailed, match=r"zone\.txt: this is no SQLite database"):
        Database.open(f"sqlite:///{tmp_path}/zone.txt", migrate=migrate)


def test_another_database_has_no_tables_of_ours(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE music (title)")
    connection.close()
    with pytest.raises(StoreFailed, match="no tables of dnsserver"):
        Database.open(f"sqlite:///{tmp_path}/other.db")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "cannot be read"),
        ("oracle://x/y", "no database of kind 'oracle'"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_urls_that_are_none(url: str, words: str) -> None:
    with pytest.raises(StoreFailed, match=words):
        Database.open(url)


def test_create_makes_the_file_for_its_owner_and_group(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/with space.db"
    Database.open(url, create=True).close()
    assert (tmp_path / "with space.db").stat().st_mode & 0o777 == 0o640
    Database.open(url, create=True).close()
    with opened(url) as db:
        make_zone(db)


def test_a_newer_schema_is_refused(sqlite_url: str) -> None:
    with opened(sqlite_url) as db, db.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for migrate in (False, True):
        with pytest.raises(StoreFailed, match=r"newer \(9999\) than this program"):
            Database.open(sqlite_url, migrate=migrate)


def test_an_older_schema_is_refused_unless_migrate(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = schema.REVISIONS[-1]
    monkeypatch.setattr("dnsserver.store.schema.REVISIONS", (*schema.REVISIONS, "9999"))
    with pytest.raises(StoreFailed, match=rf"older \({newest}\) than this program; run `dnsserver db upgrade`"):
        Database.open(sqlite_url)


def test_pragmas(sqlite_url: str) -> None:
    """MODELS: WAL, FULL, foreign keys on."""
    with opened(sqlite_url) as db, db.read() as conn:
        found = [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert conn.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30000


def test_a_write_takes_its_lock_at_once_and_a_read_waits_for_none(sqlite_url: str) -> None:
    with opened(sqlite_url, 0.05) as db, opened(sqlite_url, 0.05) as other:
        zone = make_zone(db)
        with db.write():
            with pytest.raises(StoreFailed, match="locked by another process"), other.write():
                pytest.fail("two writers at once")
            with other.read() as conn:
                assert zones.get(conn, APEX) == zone
        with other.write() as conn:
            commit_change(conn, zone, step(zone, added=[a("www")]), WHO)


def test_writers_wait_for_each_other(db: Database) -> None:
    zone = make_zone(db)
    order = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with db.write() as conn:
            current = zones.get(conn, APEX)
            commit_change(conn, current, step(current, added=[a("second")]), WHO)
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with db.write() as conn:
        inside.set()
        commit_change(conn, zone, step(zone, added=[a("first")]), WHO)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert all_records(db, zone)[2:] == [a("first"), a("second")]


def test_a_full_disk_fails_the_change_and_keeps_the_data(sqlite_url: str) -> None:
    """CONTRACT: clear error, nothing half done; and the next change that fits is taken."""
    with opened(sqlite_url) as db:
        zone = make_zone(db)
        with db.write() as conn:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
            conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")
        big = [Record(APEX, 65280, 1, bytes([number]) * 60000) for number in range(5)]
        with pytest.raises(StoreFailed, match=r"dns\.db: the disk is full; nothing was changed"), db.write() as conn:
            commit_change(conn, zone, step(zone, added=big), WHO)
        with db.read() as conn:
            assert zones.get(conn, APEX) == zone
            assert len(list(zones.records(conn, zone))) == 2
        with db.write() as conn:
            zone = commit_change(conn, zone, step(zone, added=[a("www")]), WHO)
        assert zone.version == 2


def test_statements_after_a_failed_one_do_not_commit_alone(sqlite_url: str) -> None:
    """MODELS: after some errors SQLite has rolled back, and the next statement would autocommit."""
    with opened(sqlite_url) as db:
        zone = make_zone(db)

        def careless() -> None:
            with db.write() as conn:
                conn.connection.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]
                commit_change(conn, zone, step(zone, added=[a("www")]), WHO)

        with pytest.raises(StoreFailed, match="nothing of it is kept"):
            careless()
        with db.read() as conn:
            assert zones.get(conn, APEX) == zone


def test_a_file_that_was_replaced_is_not_written_to(sqlite_url: str) -> None:
    with opened(sqlite_url) as db:
        zone = make_zone(db)
        file = file_of(sqlite_url)
        copy = file.with_name("copy.db")
        copy.write_bytes(file.read_bytes())
        copy.replace(file)
        with pytest.raises(StoreFailed, match="moved or replaced"), db.write():
            pytest.fail("a write to a file that is gone")
        file.unlink()
        with pytest.raises(StoreFailed, match="moved or replaced"), db.write():
            pytest.fail("a write to a file that is gone")
        assert len(all_records(db, zone)) == 2


def run_child(script: str, *arguments: str) -> str:
    """The output of a script in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_file_that_may_only_be_read(template: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dnsserver-test-") as folder:
        file = Path(folder, "dns.db")
        file.write_bytes(template.read_bytes())
        file.chmod(0o444)
        Path(folder).chmod(0o777)
        script = """
            import os, shutil, sys
            from dnsserver.errors import StoreFailed
            from dnsserver.store.database import Database
            shutil.copy(sys.argv[1], sys.argv[2])
            Database.open("sqlite:///" + sys.argv[2]).close()  # all is imported, before the rights to do so are gone
            if os.getuid() == 0:
                os.setuid(65534)
            try:
                with Database.open("sqlite:///" + sys.argv[1]).write() as conn:
                    conn.exec_driver_sql("DELETE FROM feed")
            except StoreFailed as error:
                print(error)
            """
        told = run_child(script, str(file), str(Path(folder, "warm.db")))
    assert f"{file}: the database cannot be written to: look at the rights" in told


def test_after_an_io_error_nothing_more_is_written(sqlite_url: str) -> None:
    """MODELS: fatal for writing until the database is opened again; what is there can be read."""
    script = """
        import resource, sys
        from dnsserver.errors import StoreFailed
        from dnsserver.store import zones
        from dnsserver.store.commit import commit_change
        from dnsserver.store.database import Database
        from dnsserver.zone.records import Record
        from tests.support.stores import APEX, WHO, a, all_records, make_zone, step
        db = Database.open(sys.argv[1])
        zone = make_zone(db)
        big = [Record(APEX, 65280, 1, bytes([number]) * 60000) for number in range(50)]
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, limits[1]))
        for attempt in (big, [a("www")]):
            try:
                with db.write() as conn:
                    commit_change(conn, zone, step(zone, added=attempt), WHO)
                print("written")
            except StoreFailed as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        print(len(all_records(db, zone)))
        db.close()
        db = Database.open(sys.argv[1])
        with db.write() as conn:
            print(commit_change(conn, zone, step(zone, added=[a("www")]), WHO).version)
        """
    first, second, count, version = run_child(script, sqlite_url).splitlines()
    assert "the disk failed; nothing was changed" in first
    assert "start the program again" in second
    assert (count, version) == ("2", "2")


def test_a_lost_race_is_a_conflict_not_a_failure(db: Database) -> None:
    zone = make_zone(db)
    with pytest.raises(Conflict), db.write() as conn:
        commit_change(conn, zone, step(zone, [a("absent")]), WHO)
    make_zone(db, apex=b"\x05other\x00")


def test_what_is_written_aside_is_synced_by_the_next_commit_alone(sqlite_url: str) -> None:
    with Database.open(sqlite_url) as db:
        for aside, level in ((False, 2), (True, 1), (True, 1), (False, 2)):  # 1: NORMAL, 2: FULL
            with db.write(aside=aside) as conn:
                assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == level
