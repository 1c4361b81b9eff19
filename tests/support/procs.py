"""Processes, ports and waiting for the black-box tests: nothing here knows DNS."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
# Seconds that everything is waited for at least: machines that run tests do other things besides.
PATIENCE = 60.0
_RESERVED: list[socket.socket] = []  # kept open as long as this test process lives


def free_port(address: str = LOOPBACK) -> int:
    """A port that is free for UDP and TCP on ``address``, and that no other test process is given.

    Below the ephemeral range, so that no outgoing connection takes it meanwhile; the reservation
    is an abstract Unix socket, which ends with this process (pytest-xdist runs several).
    """
    for port in random.SystemRandom().sample(range(20000, 32000), 400):
        reservation = socket.socket(socket.AF_UNIX)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                reservation.bind(f"\0dnsserver-tests-port-{port}")
                tcp.bind((address, port))
                udp.bind((address, port))
            except OSError:
                reservation.close()
                continue
        _RESERVED.append(reservation)
        return port
    raise AssertionError("no free port between 20000 and 32000")


def wait_until(check: Callable[[], T], seconds: float, what: Callable[[], str] | str, every: float = 0.05) -> T:
    """The first true value of ``check``; AssertionError with ``what`` when there is none.

    ``seconds``: what it takes on a slow day; it is waited for PATIENCE at least. Network errors of ``check`` count as
    "not yet": the server asked may not be up.
    """
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while True:
        last: object = None
        try:
            value = check()
            if value:
                return value
        except (OSError, EOFError) as error:
            last = error
        if time.monotonic() >= deadline:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds:g} s: {text}" + (f" (last: {last!r})" if last else ""))
        time.sleep(every)


class Daemon:
    """A foreground program in a session of its own, its output in a file, all its processes ended by ``kill``."""

    def __init__(self, command: Sequence[str], directory: Path, log: Path, env: dict[str, str] | None = None) -> None:
        self.command, self.directory, self.log_path, self.env = list(command), directory, log, env
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        assert not self.running, f"{self.command[0]} runs already"
        with self.log_path.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal_all(self, number: int) -> None:
        """To every process of the session: the daemon and its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
                if number == signal.SIGSTOP:
                    # Each thread stops when it next runs: until then one of them may still answer.
                    pids = (self.process.pid, *descendants(self.process.pid))
                    wait_until(lambda: all(map(_is_stopped, pids)), 10, "every thread stops", every=0.01)

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM, and the exit status; SIGKILL when it does not end in time."""
        if self.process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        status = self.process.poll()
        self.kill()
        return -signal.SIGKILL if status is None else status

    def kill(self) -> None:
        """SIGKILL to the whole session; returns when its leader is gone."""
        if self.process is not None:
            self.signal_all(signal.SIGKILL)
            self.process.wait(10)


def children(pid: int) -> list[int]:
    """Direct children of a process, from /proc."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(word) for word in task.read_text().split()]
    return sorted(found)


def descendants(pid: int) -> list[int]:
    return [below for child in children(pid) for below in (child, *descendants(child))]


def _is_stopped(pid: int) -> bool:
    """Whether every thread of a process is stopped, or the process is gone."""
    try:
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False
    return all(state in "TtZX" for state in states)


def process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
