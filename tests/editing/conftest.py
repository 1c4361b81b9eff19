"""A desk on a real SQLite database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsserver.store.database import Database
from dnsserver.store.secretbox import SecretBox
from tests.support.desk import Desk


@pytest.fixture
def db(tmp_path: Path, empty_file: Path) -> Iterator[Database]:
    file = tmp_path / "dnsserver.db"
    shutil.copy(empty_file, file)
    secret = SecretBox.load(tmp_path / "secret", create=True)
    database = Database.open(f"sqlite:///{file}", secret=secret)
    yield database
    database.close()


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db)


@pytest.fixture
def zone(desk: Desk) -> Desk:
    """A desk with example.com: ns1 in the zone, serial 1."""
    desk("zone.create", name="example.com", ns=["ns1=192.0.2.1"])
    return desk
