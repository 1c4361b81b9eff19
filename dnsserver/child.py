"""What the supervised processes share: how they get their settings, say that they are ready, and end.

A child reads frames from its standard input: a 4-octet length and a pickled value, the first being its settings, each
later one the settings after a reload. The end of that input means that the supervisor is gone: the child ends, too.
On standard output it writes lines: ``ready``, and what the supervisor understands besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dnsserver import log
from dnsserver.errors import DnsServerError

_LENGTH = struct.Struct(">I")


def frame(value: object) -> bytes:
    """What the supervisor writes to a child's standard input."""
    body = pickle.dumps(value)
    return _LENGTH.pack(len(body)) + body


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """What the keeper gets instead of settings when a reload changed nothing; ``message`` says why."""

    message: str


def read_settings() -> Any:
    """The first frame, before there is a loop. Ends the process when the supervisor is gone already."""
    head = _read_exactly(4)
    return pickle.loads(_read_exactly(_LENGTH.unpack(head)[0]))


def _read_exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


@contextlib.contextmanager
def failing(process: str) -> Iterator[None]:
    """End with a line in the log, not with a traceback, where an error says what is wrong."""
    try:
        yield
    except DnsServerError as error:
        log.event("process-failed", process=process, msg=error.message)
        sys.exit(1)


def tell(line: str) -> None:
    """Say a line to the supervisor; that it is gone shows elsewhere."""
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


class Life:
    """``ending`` is set when the process is to end: SIGTERM, SIGINT, or no supervisor any more."""

    def __init__(self, reloaded: Callable[[Any], None]) -> None:
        self.ending = asyncio.Event()
        self._reloaded = reloaded
        self._task: asyncio.Task[None] | None = None

    def needs(self, task: asyncio.Task[None]) -> None:
        """A fault that ends ``task`` ends the process, which is started again: else it would only seem to run."""
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.event("process-failed", process=task.get_name(), msg=f"{type(error).__name__}: {error}")
            self.ending.set()

    async def begin(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ending.set)
        # A terminal's Ctrl-C reaches all processes; the supervisor is the one that decides.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", closefd=False))
        self._task = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(4))
                self._reloaded(pickle.loads(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            self.ending.set()
