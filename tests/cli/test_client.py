"""The control socket's framing, against a small server that knows the bytes alone (INTERFACES of link and keeper)."""

from __future__ import annotations

import json
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dnsserver.cli.client import Client
from dnsserver.cli.owner import as_owner
from dnsserver.errors import Conflict, Denied, Problem, Unreachable

Handler = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes] | bytes]


def exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def frame(message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


@contextmanager
def serving(handler: Handler) -> Iterator[Path]:
    """A server for one connection; bytes as an answer are sent as they are, and end it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "control.sock"
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    while True:
                        (length,) = struct.unpack(">I", exactly(connection, 4))
                        request = json.loads(exactly(connection, length))
                        answer = handler(request, exactly(connection, request["payload"]))
                        if isinstance(answer, bytes):
                            connection.sendall(answer)
                            return
                        connection.sendall(frame({**answer[0], "payload": len(answer[1])}) + answer[1])
                except EOFError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def connected(path: Path) -> Iterator[Client]:
    client = Client.connect(path, "somebody")
    assert client is not None
    yield client
    client.close()


def test_several_requests_on_one_connection_with_payloads_both_ways() -> None:
    seen = []

    def handler(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        seen.append(request)
        return {"ok": True, "result": {"version": 1, "n": len(seen)}}, payload[::-1]

    big = bytes(range(256)) * 20_000
    with serving(handler) as path, connected(path) as client:
        assert client.call("zone.import", {"name": "example"}, big) == ({"version": 1, "n": 1}, big[::-1])
        assert client.call("zone.list", {}) == ({"version": 1, "n": 2}, b"")
    assert seen[0] == {"op": "zone.import", "args": {"name": "example"}, "user": "somebody", "payload": len(big)}
    assert seen[1]["payload"] == 0


def test_an_error_arrives_as_what_it_was() -> None:
    failure = Conflict("it is there", [Problem("file:3", "look", "warning")])

    def handler(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        return {"ok": False, "error": failure.to_dict()}, b""

    with serving(handler) as path, connected(path) as client, pytest.raises(Conflict, match="it is there") as caught:
        client.call("zone.create", {})
    assert caught.value.problems == failure.problems


@pytest.mark.parametrize("answer", [b"", b"\0\0", struct.pack(">I", 50) + b'{"ok": true'])
def test_a_server_that_goes_away_leaves_the_outcome_open_and_says_so(answer: bytes) -> None:
    with (
        serving(lambda *_: answer) as path,
        connected(path) as client,
        pytest.raises(Unreachable, match=r"record\.add: look whether it was done"),
    ):
        client.call("record.add", {})


def test_no_server_is_no_error(tmp_path: Path) -> None:
    assert Client.connect(tmp_path / "none.sock", "x") is None
    with tempfile.TemporaryDirectory() as folder:
        left = Path(folder) / "left.sock"
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(left))
        assert Client.connect(left, "x") is None  # what a killed server leaves behind


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_a_socket_that_is_not_ours_is_a_denial(tmp_path: Path) -> None:
    somebodys = tmp_path / "file"
    somebodys.touch()
    os.chown(somebodys, 65534, 65534)
    with serving(lambda *_: b"") as path:
        path.parent.chmod(0o755)
        path.chmod(0o660)
        with as_owner(somebodys), pytest.raises(Denied):
            Client.connect(path, "x")
        with socket.socket(socket.AF_UNIX) as ending:
            ending.connect(str(path))
