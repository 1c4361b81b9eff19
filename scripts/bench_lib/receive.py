"""A large zone received from NSD: how long from the NOTIFY until it is served, and what other queries feel meanwhile.

A secondary starts with the zone all but empty; then the primary has it as a whole (AXFR), then with some records
changed (IXFR). Each secondary is alone with the primary, on all cores. "Served" is the first answer with the new
serial; dnsserver and PowerDNS have it in SQLite by then, the others write their files before or after.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from . import secondaries, zones
from .load import Query
from .process import Daemon, processor_seconds, spent_seconds
from .running import Say, exchanged, rotated
from .servers import Server, Site, free_port, which

CHANGES = 1_000
IDLE = 3.0  # seconds in which the answers of an idle server are measured
_EVERY = 0.001
_IDLE_SHARE = 0.05  # of a core
_LONGEST = 600.0
_HOT_NAMES = 1_000
SOA, NOTIFY = 6, 0x24


class Round(NamedTuple):
    """Seconds for the whole zone and for its changes, and those of processor time until all is done after each;
    milliseconds of the 99th percentile of other answers."""

    whole: float
    whole_processor: float
    changes: float
    changes_processor: float
    idle: float
    meanwhile: float


class Probe:
    """Asks one question a millisecond for a name of another zone, and now and then for the big one's serial."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(1)
        self._hot = zones.hot(_HOT_NAMES)
        self._soa = zones.query(zones.wire_name(zones.BIG), b"", type_=SOA)
        self._number = 0

    def close(self) -> None:
        self._socket.close()

    def ask(self, query: Query) -> bytes | None:
        """The answer; None after a second without one."""
        self._number = self._number + 1 & 0xFFFF
        id_ = self._number.to_bytes(2, "big")
        try:
            self._socket.send(id_ + query.body)
            while (answer := self._socket.recv(4096))[:2] != id_:
                pass
        except OSError:
            return None
        return answer

    def serial(self) -> int | None:
        """The serial that is served; None while there is none."""
        return serial_in(self.ask(self._soa))

    def during(self, seconds: float, serial: int | None = None) -> tuple[float, float]:
        """Asks until this serial is served, or for so many seconds: the seconds, and the 99th percentile in ms.

        Raises RuntimeError when the serial does not come in that time.
        """
        spans: list[float] = []
        begin = time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            if serial is not None and not len(spans) % 10 and self.serial() == serial:
                return time.perf_counter() - begin, _percentile(spans)
            before = time.perf_counter()
            self.ask(self._hot[len(spans) % _HOT_NAMES])
            spans.append(time.perf_counter() - before)
            time.sleep(max(0.0, _EVERY - spans[-1]))
        if serial is not None:
            raise RuntimeError(f"serial {serial} is not served after {passed:.0f} s")
        return passed, _percentile(spans)

    def notify(self) -> None:
        """A NOTIFY as from the primary (RFC 1996): its address is the same."""
        question = zones.wire_name(zones.BIG) + b"\0\6\0\1"
        header = b"\x4e\x4f" + bytes((NOTIFY, 0)) + b"\0\1\0\0\0\0\0\0"
        answer = exchanged(self._socket.getpeername(), header + question)
        if answer[3] & 0x0F:
            raise RuntimeError(f"the NOTIFY was answered with RCODE {answer[3] & 0x0F}")


def serial_in(answer: bytes | None) -> int | None:
    """The serial of an authoritative answer to a question for the SOA, uncompressed or not: of its last 20 octets."""
    if answer is None or answer[3] & 0x0F or not answer[2] & 0x04 or not int.from_bytes(answer[6:8], "big"):
        return None
    at = answer.index(b"\0", 12) + 5  # the owner is a pointer, or the name once more
    at += 2 if answer[at] >= 0xC0 else answer.index(b"\0", at) - at + 1
    end = at + 10 + int.from_bytes(answer[at + 8 : at + 10], "big")
    return int.from_bytes(answer[end - 20 : end - 16], "big")


def _percentile(spans: Sequence[float]) -> float:
    return quantiles(spans, n=100)[98] * 1000 if len(spans) > 1 else 0.0


def _wait(what: str, probe: Probe, serial: int, daemon: Daemon, seconds: float = _LONGEST) -> None:
    deadline = time.monotonic() + seconds
    while probe.serial() != serial:
        if not daemon.running or time.monotonic() > deadline:
            raise RuntimeError(f"{what} does not serve serial {serial}:\n{daemon.tail()}")
        time.sleep(0.05)


class Primary:
    """NSD with the big zone, in versions 1 (all but empty), 2 (whole) and 3 (some records changed)."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self.port = free_port()
        self._file, self._files = folder / "zone", files
        shutil.copy(files[0], self._file)
        config = secondaries.primary(folder, self.port, zones.BIG, self._file)
        self.daemon = Daemon([which("nsd"), "-d", "-c", str(config)], folder)
        self._probe = Probe(self.port)

    def __enter__(self) -> Primary:
        self.daemon.__enter__()
        _wait("the primary", self._probe, 1, self.daemon)
        return self

    def __exit__(self, *_: object) -> None:
        self._probe.close()
        self.daemon.__exit__()

    def publish(self, version: int) -> None:
        """Returns when it serves that version."""
        shutil.copy(self._files[version - 1], self._file)
        later = time.time() + version  # NSD reads a file again whose time is another
        os.utime(self._file, (later, later))
        os.kill(self.daemon.pid, signal.SIGHUP)
        _wait("the primary", self._probe, version, self.daemon)


def _settle(pid: int) -> None:
    """Until a server has done all that it does after a transfer: files that it writes, memory that it gives back."""
    deadline = time.monotonic() + 60
    before = processor_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(1)
        spent, before = processor_seconds(pid) - before, processor_seconds(pid)
        if spent < _IDLE_SHARE:
            return


def _round(server: Server, folder: Path, files: Sequence[Path], hot: Path) -> Round:
    primary_folder, own = folder / "primary", folder / server.name
    for each in (primary_folder, own):
        each.mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, own)
        stack.callback(shutil.rmtree, primary_folder)
        primary = stack.enter_context(Primary(primary_folder, files))
        site = Site(own, free_port(), {zones.HOT: hot})
        secondaries.PREPARE[server.name](site, zones.BIG, primary.port)
        daemon = stack.enter_context(Daemon(server.command(site), own))
        probe = Probe(site.port)
        stack.callback(probe.close)
        _wait(server.name, probe, 1, daemon)
        _, idle = probe.during(IDLE)
        spent = [spent_seconds(daemon.pid)]
        spans = []
        for version in (2, 3):
            primary.publish(version)
            probe.notify()
            spans.append(probe.during(_LONGEST, serial=version))
            _settle(daemon.pid)
            spent.append(spent_seconds(daemon.pid))
        (whole, meanwhile), (changes, _) = spans
        return Round(whole, spent[1] - spent[0], changes, spent[2] - spent[1], idle, meanwhile)


def run(servers: Sequence[Server], folder: Path, names: int, rounds: int, say: Say) -> list[dict[str, object]]:
    """A row for each server, of a zone with ``names`` records; each round begins from nothing."""
    hot, files = folder / "hot.zone", [folder / f"big.{version}" for version in (1, 2, 3)]
    zones.write(hot, zones.HOT, _HOT_NAMES)
    zones.write(files[0], zones.BIG, 0)
    records = zones.write(files[1], zones.BIG, names, serial=2)
    zones.write(files[2], zones.BIG, names, serial=3, changed=CHANGES)
    found: dict[str, list[Round]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in rotated(servers, number):
            found[server.name].append(_round(server, folder, files, hot))
            say(f"round {number + 1} of {rounds}: {server.name} {found[server.name][-1]}")
    return [{"server": name, "records": records, **_medians(each)} for name, each in found.items()]


def _medians(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: round(median(getattr(each, name) for each in rounds), 3) for name in Round._fields}
