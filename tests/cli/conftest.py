from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures import make_server
from tests.support.program import Program

__all__ = ["empty", "make_server", "program"]


@pytest.fixture
def empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """No database yet."""
    return Program(tmp_path, capsys)


@pytest.fixture
def program(empty: Program) -> Program:
    """With the zone example.com."""
    empty.good("zone", "create", "example.com", "--ns", "ns1=192.0.2.1", "--init")
    return empty
