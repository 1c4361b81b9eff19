"""Migrations of the schema. Importing this takes half a second (Alembic): only who migrates does."""

from __future__ import annotations

from pathlib import Path

import alembic.command
from alembic.config import Config

import dnsserver
from dnsserver.errors import StoreFailed
from dnsserver.store import dialects, schema
from dnsserver.store.connections import BUSY_TIMEOUT, Connections, revision


def scripts() -> Path:
    """The folder of the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(dnsserver.__file__).parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreFailed(f"the migrations are not there: neither in {package} nor beside it")


def upgrade(url: str, *, create: bool = True, busy_timeout: float = BUSY_TIMEOUT) -> tuple[str | None, str]:
    """Brings the schema to what this program works with; returns the revisions before and after.

    ``create``: an SQLite file that is not there is made. One transaction where the database can (MariaDB cannot), so
    a migration that fails leaves the schema as it was. Raises StoreFailed, also for a schema newer than the program.
    """
    parsed = dialects.parse_url(url)
    file = dialects.sqlite_path(parsed)
    if file is not None:
        if create:
            dialects.create_sqlite(file)
        dialects.look_for_sqlite(file)
    with Connections(parsed, busy_timeout=busy_timeout) as db, db.write() as conn:
        before = revision(conn)
        if before is not None and before not in schema.REVISIONS:
            raise StoreFailed(f"{db.where}: the schema is newer ({before}) than this program")
        if before != schema.REVISIONS[-1]:
            config = Config()
            config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
            config.attributes["connection"] = conn
            alembic.command.upgrade(config, "head")
    return before, schema.REVISIONS[-1]


def current(url: str) -> tuple[str | None, str]:
    """The database's revision (None: no tables yet), and the one that this program works with."""
    parsed = dialects.parse_url(url)
    file = dialects.sqlite_path(parsed)
    if file is not None:
        dialects.look_for_sqlite(file)
    with Connections(parsed) as db, db.read() as conn:
        return revision(conn), schema.REVISIONS[-1]
