"""The keeper's tests: a database of their own, or a zone with its primary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsserver.store.database import Database
from tests.keeper.fetching import place

__all__ = ["database", "place"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True) as opened:
        yield opened
