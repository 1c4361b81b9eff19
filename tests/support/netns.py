"""Network namespaces: hosts of their own, joined by veth pairs, in which a server may have port 53."""

from __future__ import annotations

import ctypes
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class NotPossible(Exception):
    """This machine or user cannot make namespaces."""


def _ip(*words: str) -> None:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
    except FileNotFoundError:
        raise NotPossible("iproute2 (ip) is not installed") from None
    if done.returncode:
        raise NotPossible(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Namespace:
    """One namespace; ``with namespace:`` this thread, and the processes it starts, are in it."""

    def __init__(self) -> None:
        self.name = f"dns-{uuid.uuid4().hex[:8]}"
        self._outside: int | None = None
        _ip("netns", "add", self.name)

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)

    def __enter__(self) -> Namespace:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inside = os.open(Path("/run/netns") / self.name, os.O_RDONLY)
        try:
            _enter(inside)
        finally:
            os.close(inside)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._outside is not None
        _enter(self._outside)
        os.close(self._outside)
        self._outside = None


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _link(first: Namespace, address: str, second: Namespace, other: str) -> None:
    """A veth pair between two namespaces, with an IPv4 address (/24) at each end."""
    one, two = f"v{uuid.uuid4().hex[:8]}", f"v{uuid.uuid4().hex[:8]}"
    _ip("link", "add", one, "netns", first.name, "type", "veth", "peer", "name", two, "netns", second.name)
    for namespace, device, local in ((first, one, address), (second, two, other)):
        _ip("-n", namespace.name, "addr", "add", f"{local}/24", "dev", device)
        _ip("-n", namespace.name, "link", "set", device, "up")


@contextmanager
def star(count: int) -> Iterator[tuple[Namespace, list[Namespace]]]:
    """A hub and ``count`` hosts: host n (from 1) has 10.53.n.2, and reaches the hub as 10.53.n.1. NotPossible."""
    with ExitStack() as stack:
        made = []
        for _ in range(count + 1):
            namespace = Namespace()
            stack.callback(namespace.delete)
            _ip("-n", namespace.name, "link", "set", "lo", "up")
            made.append(namespace)
        hub, *hosts = made
        for number, host in enumerate(hosts, 1):
            _link(hub, f"10.53.{number}.1", host, f"10.53.{number}.2")
        yield hub, hosts
