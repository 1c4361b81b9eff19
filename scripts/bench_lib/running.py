"""All servers of a run, up at the same time on one core; those that are not asked are idle."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .load import Query
from .process import Cores, Daemon, pin, processor_seconds
from .servers import Server, Site, free_port
from .zones import COOKIE

Say = Callable[[str], None]
T = TypeVar("T")
_LOST, _TRIES = 5, 6
_READY = 300  # seconds to load its zones and answer


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    name: str
    address: tuple[str, int]
    daemon: Daemon

    def processor_seconds(self) -> float:
        return processor_seconds(self.daemon.pid)

    def ask(self, query: Query, timeout: float = 1) -> bytes:
        """One answer over UDP; raises OSError when there is none."""
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(self.address)
            sock.send(b"\x12\x34" + query.body)
            return sock.recv(65535)


def exchanged(address: tuple[str, int], message: bytes) -> bytes:
    """The answer to a message that does no harm when it comes twice, sent again when it seems lost; raises OSError."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(_LOST)
        sock.connect(address)
        for left in reversed(range(_TRIES)):
            try:
                sock.send(message)
                while (answer := sock.recv(65535))[:2] != message[:2]:
                    pass
                return answer
            except OSError:
                if not left:
                    raise
    raise AssertionError


@contextlib.contextmanager
def running(
    servers: Sequence[Server], zones: Mapping[str, Path], probes: Sequence[Query], folder: Path, cores: Cores, say: Say
) -> Iterator[list[Running]]:
    """Every server with the zones loaded, ready when it answers each of ``probes`` with authority."""
    with contextlib.ExitStack() as stack:
        found = []
        for server in servers:
            own = folder / server.name
            own.mkdir()
            site = Site(own, free_port(), zones)
            say(f"{server.name}: loads and starts")
            server.prepare(site)
            daemon = stack.enter_context(Daemon(server.command(site), own, cores.server))
            found.append(Running(server.name, ("127.0.0.1", site.port), daemon))
        for each in found:
            wait_for(each, probes)
            pin(each.daemon.pid, cores.server)
        yield found


def wait_for(server: Running, probes: Sequence[Query]) -> None:
    """Until it answers each of ``probes`` with authority; raises RuntimeError when it does not."""
    deadline = time.monotonic() + _READY
    while not all(answers(server, probe) for probe in probes):
        if not server.daemon.running or time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} does not answer:\n{server.daemon.tail()}")
        time.sleep(0.1)


def answers(server: Running, probe: Query, timeout: float = 1) -> bool:
    """Whether it answers with authority, and no error."""
    try:
        answer = server.ask(probe, timeout)
    except OSError:
        return False
    return bool(answer[2] & 0x04) and not answer[3] & 0x0F


def cookie_of(server: Running, query: Query) -> bytes | None:
    """The server's cookie in an answer to ``query``, which has its OPT record last; None when it gives none."""
    answer = server.ask(query)
    at = answer.rfind(query.body[-8:])  # the client's cookie comes back before the server's (RFC 7873, 5.2.3)
    if at < 4 or answer[at - 4 : at - 2] != COOKIE.to_bytes(2, "big"):
        return None
    size = int.from_bytes(answer[at - 2 : at], "big")
    return answer[at : at + size] if size >= 16 else None


@contextlib.contextmanager
def spared(name: str, what: str, say: Say) -> Iterator[None]:
    """What another server fails at is told of, and costs no one else his figures; our own failures are raised."""
    try:
        yield
    except (RuntimeError, OSError) as why:
        if name == "dnsserver":
            raise
        say(f"{name}: {what} failed, and is left out: {why}")


def rotated(items: Sequence[T], by: int) -> list[T]:
    """Each round begins with another server, so that none is always first."""
    by %= len(items)
    return [*items[by:], *items[:by]]
