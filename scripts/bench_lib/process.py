"""Processes: pinned to a core, their processor time, ended always."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_POLICIES = {os.SCHED_OTHER: "", os.SCHED_BATCH: ", batch", os.SCHED_IDLE: ", idle"}


class Cores(NamedTuple):
    """One for the server, one for the load; the same one where there is no second."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> Cores:
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[-1], allowed[-2] if len(allowed) > 1 else allowed[-1])


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """What is started inside inherits the core; with None, all that this process has."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tasks(pid: int) -> list[str]:
    """The threads of a process; none when it has just ended."""
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            found += [below for child in children for below in descendants(int(child))]
    return found


def end_all() -> None:
    """End what this process has started, at any depth, and is still there: nothing, but after an interruption that
    came between the start of a program and the care for its end."""
    for each in descendants(os.getpid())[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(each, 0)


def processor_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, all threads, in seconds.

    The same clock as utime + stime of /proc/PID/stat, but in nanoseconds instead of hundredths of a second
    (clock_getcpuclockid(3): the clock's number is made from the process's).
    """
    total = 0.0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime(~each << 3 | 2)
    return total


def spent_seconds(pid: int) -> float:
    """As ``processor_seconds``, but with all those that have ended below them; in hundredths of a second."""
    total = 0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            # After the name in parentheses: utime, stime, cutime, cstime are the fields 14 to 17 (proc(5)).
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def pin(pid: int, core: int) -> None:
    """Put all threads of a process and its descendants on a core: Knot chooses cores for its workers by itself."""
    for each in descendants(pid):
        for task in _tasks(each):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(task), {core})


def priorities(pid: int) -> list[str]:
    """What runs below and with a process, and the priority that each gives itself."""
    found = []
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            program = Path(f"/proc/{each}/comm").read_text().strip()
            policy = _POLICIES.get(os.sched_getscheduler(each), "real time")
            found.append(f"{program}: nice {os.getpriority(os.PRIO_PROCESS, each)}{policy}")
    return found


class Daemon:
    """A program in the foreground, in a session of its own, its output in a file; a context manager that ends it."""

    def __init__(self, command: Sequence[str], folder: Path, core: int | None = None) -> None:
        self.log = folder / "output.log"
        with self.log.open("ab") as out, on_core(core):
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.pid = self._process.pid

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Spent(NamedTuple):
    """What a finished command took: wall and processor seconds, its children's too."""

    wall: float
    processor: float


def run_timed(command: Sequence[str], folder: Path, output: Path | None = None) -> Spent:
    """Run a command to its end, its output into a file where one is given.

    Raises RuntimeError with its words when it fails.
    """
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output.open("w")) if output else subprocess.PIPE
        before, begin = os.times(), time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, check=False
        )
    wall, after = time.perf_counter() - begin, os.times()
    if done.returncode:
        said = (done.stdout or "")[-2000:] + done.stderr[-2000:]
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{said}")
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return Spent(wall, processor)
