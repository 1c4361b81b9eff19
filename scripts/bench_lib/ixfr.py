"""A difference of a large zone sent by IXFR (RFC 1995), once and again and again.

Each server loads the first version, and then takes in the second as it takes in a file. PowerDNS keeps no differences:
it answers with the whole zone, and is left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from . import zones
from .axfr import read_transfer
from .process import Cores, Daemon, pin, run_timed
from .receive import serial_in
from .running import Running, Say, rotated, wait_for
from .servers import Server, Site, configure_bind, configure_knot, configure_nsd, free_port, ours, prepare_ours
from .sizes import Size

_IXFR = 251
_LONGEST = 600
_SOA = zones.query(zones.wire_name(zones.BIG), b"", type_=6)


def request(zone: str, serial: int) -> bytes:
    """A request after its ID: the SOA that the client has is in the authority section (RFC 1995, 3)."""
    name = zones.wire_name(zone)
    rdata = b"\0\0" + serial.to_bytes(4, "big") + bytes(16)
    soa = name + b"\0\6\0\1\0\0\0\0" + len(rdata).to_bytes(2, "big") + rdata
    return b"\0\0\0\1\0\0\0\1\0\0" + name + _IXFR.to_bytes(2, "big") + b"\0\1" + soa


def _ours(site: Site) -> None:
    prepare_ours(site)


def _bind(site: Site) -> None:
    configure_bind(site)
    _add_to_zones(site.folder / "named.conf", "type primary; ", "type primary; ixfr-from-differences yes; ")


def _nsd(site: Site) -> None:
    configure_nsd(site)
    path = site.folder / "nsd.conf"
    path.write_text(path.read_text() + "    create-ixfr: yes\n    store-ixfr: yes\n")


def _knot(site: Site) -> None:
    configure_knot(site)
    path = site.folder / "knot.conf"
    _add_to_zones(path, "zonefile-load: whole", "zonefile-load: difference")
    _add_to_zones(path, "journal-content: none", "journal-content: changes")


def _add_to_zones(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


_PREPARE: dict[str, Callable[[Site], None]] = {"dnsserver": _ours, "BIND": _bind, "NSD": _nsd, "Knot": _knot}


class _Lane:
    """A server that serves the second version, and can send the difference to it."""

    def __init__(self, server: Server, versions: Sequence[Path], folder: Path, cores: Cores) -> None:
        self.name = server.name
        own = folder / server.name
        own.mkdir()
        self._file, self._next = own / "zone", versions[1]
        shutil.copy(versions[0], self._file)
        self._site = Site(own, free_port(), {zones.BIG: self._file})
        _PREPARE[server.name](self._site)
        self.daemon = Daemon(server.command(self._site), own, cores.server)
        self.running = Running(server.name, ("127.0.0.1", self._site.port), self.daemon)
        self._core = cores.server

    def update(self) -> None:
        """Returns when it serves the second version."""
        wait_for(self.running, [_SOA])
        shutil.copy(self._next, self._file)
        later = time.time() + 2  # a file is read again when its time is another
        os.utime(self._file, (later, later))
        if self.name == "dnsserver":
            run_timed(ours(self._site, "zone", "import", zones.BIG, str(self._file), "--replace"), self._site.folder)
        else:
            os.kill(self.daemon.pid, signal.SIGHUP)
        deadline = time.monotonic() + _LONGEST
        while self._serial() != 2:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not serve the second version:\n{self.daemon.tail()}")
            time.sleep(0.05)
        pin(self.daemon.pid, self._core)

    def _serial(self) -> int | None:
        with contextlib.suppress(OSError):
            return serial_in(self.running.ask(_SOA))
        return None

    def transfers(self, count: int, records: int) -> tuple[float, float, int]:
        """Wall and processor seconds of so many, and the octets of one. Raises RuntimeError when it is another."""
        before, begin = self.running.processor_seconds(), time.perf_counter()
        for _ in range(count):
            octets, _messages = read_transfer(self.running.address, records, request(zones.BIG, 1))
        wall = time.perf_counter() - begin
        return wall, self.running.processor_seconds() - before, octets


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server: its first answer, the median of a few, and many requests in a row."""
    versions = [folder / "big.1", folder / "big.2"]
    zones.write(versions[0], zones.BIG, size.names)
    records = zones.write(versions[1], zones.BIG, size.names, serial=2, changed=size.changes)
    # Each change is a record removed and one added; of four SOAs (RFC 1995, 4) the last is not counted.
    expected = 2 * (size.names // (size.names // size.changes)) + 3
    found: dict[str, list[tuple[float, float, int]]] = {}
    many: dict[str, tuple[float, float, int]] = {}
    with contextlib.ExitStack() as stack:
        lanes = []
        for server in servers:
            if server.name not in _PREPARE:
                say(f"{server.name} keeps no differences")
                continue
            say(f"{server.name}: loads, starts and takes in the second version")
            lane = _Lane(server, versions, folder, cores)
            stack.enter_context(lane.daemon)
            lane.update()
            lanes.append(lane)
        for number in range(size.rounds + 1):
            for lane in rotated(lanes, number):
                found.setdefault(lane.name, []).append(lane.transfers(1, expected))
        for lane in lanes:
            say(f"{lane.name}: {size.requests} requests")
            many[lane.name] = lane.transfers(size.requests, expected)
    return [
        {
            "server": name,
            "records": records,
            "changes": (expected - 3) // 2,
            "first": round(rounds[0][0], 5),
            "seconds": round(median(each[0] for each in rounds[1:]), 5),
            "processor_seconds": round(median(each[1] for each in rounds[1:]), 5),
            "octets": rounds[0][2],
            "requests": size.requests,
            "requests_seconds": round(many[name][0], 3),
            "requests_processor_seconds": round(many[name][1], 3),
        }
        for name, rounds in found.items()
    ]
