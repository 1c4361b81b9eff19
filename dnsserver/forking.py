"""Processes that go on with what this one has imported already: importing is most of what a start would take.

A forked process never comes back to where it was forked: it does its work and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Above all descriptors; what is not open there costs nothing (close_range(2)).
_HIGHEST = 1 << 30


def ends(work: Callable[[], None]) -> NoReturn:
    """Do the work and end this process: with status 0, with that of a SystemExit, or with 1 and a traceback.

    What the process it comes from would do at its own end is not done here, too.
    """
    status: object = 1
    try:
        work()
        status = 0
    except SystemExit as end:
        status = 0 if end.code is None else end.code
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


class Forked:
    """A process below this one. ``stdin`` writes to its standard input; ``stdout`` is what it says.

    To be forked by a process that has one thread; its loop may be running.
    """

    def __init__(self, pid: int, stdin: asyncio.WriteTransport, stdout: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.status: int | None = None

    @classmethod
    async def start(cls, name: str, work: Callable[[], None], descriptors: Iterable[int] = ()) -> Forked:
        """Raises OSError: no process is to be had.

        ``name``: what ps and top show as its command, at most 15 octets; ``descriptors``: those that stay open there.
        """
        loop = asyncio.get_running_loop()
        its_stdin, stdin = os.pipe()
        stdout, its_stdout = os.pipe()
        try:
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            await loop.connect_read_pipe(lambda: protocol, os.fdopen(stdout, "rb", 0))
            transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(stdin, "wb", 0))
            pid = _fork(lambda: _become(name, (its_stdin, its_stdout), descriptors, work))
        finally:
            # Where nothing was forked, the loop finds both pipes at their end, and closes this side.
            os.close(its_stdin)
            os.close(its_stdout)
        return cls(pid, transport, reader)

    def send(self, number: signal.Signals) -> None:
        """A signal; nothing where it has been waited for."""
        if self.status is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit status once it has ended, negative where a signal ended it; what it says until then is dropped."""
        while await self.stdout.read(1 << 16):
            pass
        return self._reap()

    def _reap(self) -> int:
        """Its descriptors are closed: what is left of its end takes no time."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


def _fork(child: Callable[[], None]) -> int:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # A signal before the child has its own handlers would be taken for one to this process: they share its pipe.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        if not (pid := os.fork()):
            ends(child)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return pid


def _become(name: str, pipes: tuple[int, int], descriptors: Iterable[int], work: Callable[[], None]) -> None:
    """In the child. The loop of the process it comes from stays where it is, on the stack below, without its files."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for descriptor, pipe in enumerate(pipes):
        os.dup2(pipe, descriptor)
    for low, high in pairwise(sorted({2, *descriptors, _HIGHEST})):
        os.closerange(low + 1, high)
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)
    work()
