"""The CLI's end of the control socket: the keeper's Unix stream socket (DESIGN, Three walks).

A request is a 4-octet big-endian length, that much JSON ``{"op", "args", "user", "payload": N}``, and N octets of
payload. The answer has the same form: ``{"ok": true, "result", "payload": N}``, or ``{"ok": false, "error"}``.
Several requests may follow each other on one connection; they are answered in order.
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

from dnsserver.errors import Denied, Unreachable, from_dict

Answer = tuple[dict[str, Any], bytes]

CONNECT_TIMEOUT = 10.0
_LENGTH = struct.Struct(">I")
_MAX_JSON = 1 << 30


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket, user: str) -> None:
        self._socket = connection
        self._stream = connection.makefile("rb")
        self._user = user

    @classmethod
    def connect(cls, path: Path, user: str) -> Client | None:
        """A connection to the server at ``path``; None when none runs there.

        ``user`` is who asks, for the history. Raises Denied when the socket is not ours to use.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_TIMEOUT)
        try:
            connection.connect(str(path))
        except PermissionError:
            connection.close()
            raise Denied(f"{path} may not be used by this user; members of its group may") from None
        except TimeoutError:
            connection.close()
            raise Unreachable(f"the server at {path} takes no connection") from None
        except OSError as error:
            connection.close()
            # Nothing there, or what a server left behind that was killed.
            if isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)):
                return None
            raise Unreachable(f"the server at {path} is not reached: {error}") from None
        connection.settimeout(None)
        return cls(connection, user)

    def call(self, op: str, args: dict[str, Any], payload: bytes = b"") -> Answer:
        """The result of one operation, and its payload. Raises what the operation raised, or Unreachable."""
        request = {"op": op, "args": args, "user": self._user, "payload": len(payload)}
        try:
            self._socket.sendall(_frame(request) + payload)
            (length,) = _LENGTH.unpack(self._read(4))
            if length > _MAX_JSON:
                raise Unreachable("what answers at the control socket is no dnsserver")
            answer = json.loads(self._read(length))
            body = self._read(answer.get("payload", 0))
        except (OSError, EOFError):
            raise Unreachable(
                f"the server went away before it answered {op}: look whether it was done, and do it again if not"
            ) from None
        if not answer["ok"]:
            raise from_dict(answer["error"])
        return answer["result"], body

    def _read(self, length: int) -> bytes:
        data = self._stream.read(length)
        if len(data) < length:
            raise EOFError
        return data

    def close(self) -> None:
        """End the connection."""
        self._stream.close()
        self._socket.close()


def _frame(message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body
