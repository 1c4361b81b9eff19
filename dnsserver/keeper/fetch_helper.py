"""The keeper's end of the helper process: started for one job, fed, listened to, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import pickle
import sys
from types import TracebackType
from typing import Any, Self

from dnsserver.keeper.fetch_jobs import LENGTH, Job

_MODULE = "dnsserver.keeper.fetch_child"
# What may lie here ready while SQL is busy with what came before: twice this, some batches of rows.
_AHEAD = 1 << 20


class Helper:
    """``async with Helper(job) as helper``; at the end of the block there is no process any more."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        """Raises OSError: no process is to be had."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, stdin=pipe, stdout=pipe, limit=_AHEAD
        )
        job = pickle.dumps(self._job)
        assert self._process.stdin is not None
        self._process.stdin.write(LENGTH.pack(len(job)) + job)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        await asyncio.shield(self._gone())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def write(self, octets: bytes) -> None:
        """Waits while the helper has enough to do. That it is gone shows in ``message``."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(octets)
            await self._process.stdin.drain()

    def end(self) -> None:
        """The primary's stream has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def message(self) -> bytes | None:
        """The next message, for ``read``; None: the process is gone."""
        assert self._process.stdout is not None
        try:
            (length,) = LENGTH.unpack(await self._process.stdout.readexactly(4))
            return await self._process.stdout.readexactly(length)
        except asyncio.IncompleteReadError:
            return None

    async def status(self) -> int:
        """Its exit status, once it is gone; negative: the signal that ended it."""
        return await self._process.wait()

    async def _gone(self) -> None:
        # A pipe that is not read to its end would keep the process from being waited for.
        assert self._process.stdout is not None
        while await self._process.stdout.read(_AHEAD):
            pass
        await self._process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def read(message: bytes) -> tuple[str, Any]:
    """Kind and values of a message."""
    kind, *values = marshal.loads(message)
    return kind, values
