"""``db``: an empty database with its tables; SQLite, and what DNSSERVER_TEST_URLS names (separated by blanks).

The databases named there are emptied.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dnsserver.store import schema
from dnsserver.store.database import Database
from dnsserver.store.migrate import upgrade
from dnsserver.store.secretbox import SecretBox

URLS = ["sqlite", *os.environ.get("DNSSERVER_TEST_URLS", "").split()]
BOX = SecretBox(bytes(32))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database to be copied: a copy takes a fiftieth of a migration."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    upgrade(f"sqlite:///{path}")
    assert not path.with_name("template.db-wal").exists()
    return path


@pytest.fixture
def sqlite_url(template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database."""
    return f"sqlite:///{shutil.copy(template, tmp_path / 'dns.db')}"


@pytest.fixture(params=URLS, ids=lambda url: str(url).partition(":")[0])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    engine = sa.create_engine(request.param)
    with engine.begin() as conn:
        schema.metadata.drop_all(conn)
        conn.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    upgrade(request.param)
    return str(request.param)


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    database = Database.open(url, secret=BOX)
    yield database
    database.close()
