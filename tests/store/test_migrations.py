from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import alembic.command
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from dnsserver.errors import StoreFailed
from dnsserver.store import events, migrate, refresh, schema, zones
from dnsserver.store.database import Database
from dnsserver.zone.serial import SerialPolicy
from dnsserver.zone.settings import ZoneSettings
from tests.support.stores import a, all_records, make_zone

ROOT = Path(__file__).parents[2]


def test_the_migrations_make_the_schema(db: Database) -> None:
    with db.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": conn.dialect.name == "sqlite"})
        assert compare_metadata(context, schema.metadata) == []


def test_options_that_a_comparison_does_not_see(sqlite_url: str) -> None:
    engine = sa.create_engine(sqlite_url)
    with engine.connect() as conn:
        made = dict(
            tuple(row) for row in conn.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        )
    engine.dispose()
    assert "WITHOUT ROWID" in made["records"]
    for table in ("zones", "contents", "history", "access"):
        # An id that is never given again.
        assert "AUTOINCREMENT" in made[table]
    assert made["journal"].count("ON DELETE CASCADE") == 1


def test_the_program_knows_every_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == schema.REVISIONS


def test_upgrade_tells_what_it_did_and_is_repeatable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/dns.db"
    with pytest.raises(StoreFailed, match="no database at"):
        migrate.current(url)
    with pytest.raises(StoreFailed, match="no database at"):
        migrate.upgrade(url, create=False)
    head = schema.REVISIONS[-1]
    assert migrate.upgrade(url) == (None, head)
    assert migrate.upgrade(url) == (head, head)
    assert migrate.current(url) == (head, head)
    db = Database.open(url)
    assert len(all_records(db, make_zone(db))) == 2
    db.close()


def test_an_empty_file_is_current_at_nothing(tmp_path: Path) -> None:
    (tmp_path / "dns.db").touch()
    assert migrate.current(f"sqlite:///{tmp_path}/dns.db") == (None, schema.REVISIONS[-1])


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MODELS: DDL is transactional in SQLite when the BEGIN is ours."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for file in ("env.py", "versions/0001_schema.py"):
        (folder / file).write_text((migrate.scripts() / file).read_text())
    broken = folder / "versions" / "0002_broken.py"
    broken.write_text(
        "from alembic import op\n\nrevision = '0002'\ndown_revision = '0001'\n\n\ndef upgrade() -> None:\n"
        "    op.execute('CREATE TABLE half (x INTEGER)')\n    op.execute('nonsense')\n"
    )
    monkeypatch.setattr(migrate, "scripts", lambda: folder)
    monkeypatch.setattr(schema, "REVISIONS", ("0001", "0002"))
    url = f"sqlite:///{tmp_path}/dns.db"
    with pytest.raises(StoreFailed, match="syntax error"):
        migrate.upgrade(url)
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_an_upgrade_keeps_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the release before secondary zones: its zones, and what its settings did not know yet."""
    url = f"sqlite:///{tmp_path}/dns.db"
    upgrade_to = alembic.command.upgrade
    with monkeypatch.context() as older:
        older.setattr(alembic.command, "upgrade", lambda config, _: upgrade_to(config, "0001"))
        older.setattr(schema, "REVISIONS", ("0001",))
        assert migrate.upgrade(url) == (None, "0001")
        with Database.open(url) as db:
            zone = make_zone(db, [a("www")])
            records = all_records(db, zone)
            with db.write() as conn:
                conn.execute(sa.update(schema.zones).values(settings='{"serial_policy": "date", "ixfr": "off"}'))
    with pytest.raises(StoreFailed, match="db upgrade"):
        Database.open(url)
    with Database.open(url, migrate=True) as db:
        assert migrate.current(url) == ("0002", "0002")
        with db.read() as conn:
            after = zones.get(conn, zone.name)
            assert (refresh.load(conn), events.recent(conn, 10)) == ([], [])
        assert all_records(db, after) == records
        assert after.settings == ZoneSettings(serial_policy=SerialPolicy.DATE, ixfr="off", primaries=())


def test_a_new_file_that_another_is_at_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself waits at every statement but the one that turns a new file to its write-ahead log."""
    path = tmp_path / "dns.db"
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked by another process"):
        migrate.upgrade(f"sqlite:///{path}", busy_timeout=0.1)
    with ThreadPoolExecutor() as threads:
        upgrading = threads.submit(migrate.upgrade, f"sqlite:///{path}")
        with pytest.raises(TimeoutError):
            upgrading.result(timeout=0.5)
        other.execute("ROLLBACK")
        assert upgrading.result(timeout=60) == (None, schema.REVISIONS[-1])
    other.close()


def test_several_that_upgrade_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/dns.db"
    script = "import sys; from dnsserver.store.migrate import upgrade; print(upgrade(sys.argv[1])[0])"
    children = [
        subprocess.Popen([sys.executable, "-c", script, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = sorted(child.communicate(timeout=120)[0].strip() for child in children)
    assert told == sorted([schema.REVISIONS[-1], schema.REVISIONS[-1], "None"])


def test_alembic_and_sqlalchemy_are_not_imported_by_others() -> None:
    """MODELS: half a second each; a schema that is current needs no Alembic."""
    script = "import sys, dnsserver.store.database; sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


@pytest.mark.long
def test_an_installed_wheel_brings_its_migrations(tmp_path: Path) -> None:
    """MODELS: Alembic inside a wheel. The wheel is built and unpacked; nothing of the checkout is on its path."""
    source = tmp_path / "source"
    source.mkdir()
    for part in ("dnsserver", "migrations", "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / part), str(source / part)], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    wheels, installed = tmp_path / "wheels", tmp_path / "installed"
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True, timeout=300, env=environment)
    (wheel,) = wheels.glob("dnsserver-*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(installed), str(wheel)]
    subprocess.run(install, check=True, timeout=300, env=environment)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from dnsserver.store import migrate; "
        "print(migrate.scripts(), *migrate.upgrade(sys.argv[2]))"
    )
    told = subprocess.run(
        [sys.executable, "-P", "-c", script, str(installed), f"sqlite:///{tmp_path}/dns.db"],
        cwd=tmp_path, check=True, timeout=120, env=environment, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert told == [str(installed / "dnsserver" / "migrations"), "None", schema.REVISIONS[-1]]
    db = Database.open(f"sqlite:///{tmp_path}/dns.db")
    make_zone(db)
    db.close()
