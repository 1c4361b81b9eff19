"""The control socket: requests of the CLI, run one by one for each connection (CONTRACT, Program).

A request is a 4-octet big-endian length, a JSON object ``{"op", "args", "payload": N}``, then N octets; an answer has
the same form: ``{"ok": true, "result", "payload": N}`` or ``{"ok": false, "error": {"code", "message", "problems"}}``.
Who may open the socket (mode 0660) may edit; who it was is asked of the kernel.
"""

from __future__ import annotations

import asyncio
import json
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from dnsserver import log
from dnsserver.errors import DnsServerError, UsageError
from dnsserver.keeper.unix import UnixServer

_LENGTH = struct.Struct(">I")
_MAX_REQUEST = 64 << 20
_MAX_PAYLOAD = 1 << 30
# How long a request that is under way may take when the server ends.
_GRACE = 8.0

Request = Callable[[str, dict[str, Any], bytes, str], Awaitable[tuple[dict[str, Any], bytes]]]


class ControlServer:
    """``request(op, args, payload, user)`` does the work; it raises DnsServerError."""

    def __init__(self, path: str, request: Request) -> None:
        self._request = request
        self._server = UnixServer(path, 0o660, self._serve)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        """Take no more requests; those under way end first."""
        self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE)
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _peer_uid(writer.get_extra_info("socket"))
        while await asyncio.create_task(self._one(reader, writer, uid)):
            pass

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uid: int) -> bool:
        """One request and its answer; False when the connection cannot go on."""
        try:
            op, args, payload, claimed = await _read(reader)
        except UsageError as error:
            _write(writer, {"ok": False, "error": error.to_dict()}, b"")
            await writer.drain()
            return False
        task = asyncio.current_task()
        assert task is not None
        # From here to the answer the request counts as under way: a server that ends waits for it.
        self._tasks.add(task)
        try:
            result, data = await self._request(op, args, payload, _user(uid, claimed))
            _write(writer, {"ok": True, "result": result}, data)
        except DnsServerError as error:
            _write(writer, {"ok": False, "error": error.to_dict()}, b"")
        except Exception as error:
            log.event("request-failed", op=op, msg=f"{type(error).__name__}: {error}")
            failed = DnsServerError(f"the server failed on {op}: {type(error).__name__}: {error}")
            _write(writer, {"ok": False, "error": failed.to_dict()}, b"")
        finally:
            self._tasks.discard(task)
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any], bytes, object]:
    (length,) = _LENGTH.unpack(await reader.readexactly(4))
    if length > _MAX_REQUEST:
        raise UsageError("the request is too long")
    try:
        request = json.loads(await reader.readexactly(length))
        op, args, size = request["op"], request.get("args", {}), int(request.get("payload", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("the request is not understood: is the CLI of this server's version?") from None
    if not isinstance(op, str) or not isinstance(args, dict) or not 0 <= size <= _MAX_PAYLOAD:
        raise UsageError("the request is not understood: is the CLI of this server's version?")
    return op, args, await reader.readexactly(size), request.get("user")


def _write(writer: asyncio.StreamWriter, answer: dict[str, Any], payload: bytes) -> None:
    text = json.dumps(answer | {"payload": len(payload)}).encode()
    writer.write(_LENGTH.pack(len(text)) + text)
    if payload:
        writer.write(payload)


def _peer_uid(sock: socket.socket) -> int:
    """The user at the other end (SO_PEERCRED)."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _user(uid: int, claimed: object) -> str:
    """Who it is, for the history: the kernel says so; root alone may say for whom it works (behind sudo, a person)."""
    if uid == 0 and isinstance(claimed, str) and claimed:
        return claimed
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
