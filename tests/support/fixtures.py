"""Fixtures that end every server they made, also when a test fails. A conftest imports them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .peers import Peer
from .server import Server

P = TypeVar("P", bound=Peer)
MakeServer = Callable[..., Server]
MakePeer = Callable[..., Any]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """``make_server(name="server", start=True, **arguments of Server)``; its log is shown where a test fails."""
    with ExitStack() as stack:

        def make(name: str = "server", start: bool = True, **arguments: Any) -> Server:
            server = Server(tmp_path / name, **arguments)
            stack.callback(server.close)
            if start:
                server.start()
            return server

        yield make


@pytest.fixture
def make_peer(tmp_path: Path) -> Iterator[MakePeer]:
    """``make_peer(Bind, name)``: not started yet; skips, visibly, where the program is missing."""
    with ExitStack() as stack:

        def make(kind: type[P], name: str | None = None, **arguments: Any) -> P:
            missing = kind.missing()
            if missing:
                pytest.skip(missing)
            peer = kind(tmp_path / (name or kind.program), **arguments)
            stack.callback(peer.kill)
            return peer

        yield make
