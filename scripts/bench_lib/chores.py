"""Other work of a server while its answers are timed: an import, transfers, edits.

All but the import is done by the generator itself, a little at a time, so that it needs no third core.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from . import axfr, primaries, zones
from .process import on_core
from .receive import serial_in
from .running import Running
from .servers import Site, load_powerdns, ours
from .tcp import connected

_LOOK = 0.05  # seconds between looks whether it is done
_AFTER = 1.0  # what a server does when all is served belongs to it, too
_LONGEST = 900.0
_WAITING = 50  # edits without an answer
_LOST = 2.0  # seconds of silence, after which they are lost
_READ = 1 << 16


class Idle:
    """Nothing."""

    done = pid = 0

    def step(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Import:
    """A large zone by the server's own command, on the server's core; or, where it reads files, its new version.

    Done when it is served.
    """

    def __init__(self, site: Site, server: Running, names: int, number: int, core: int) -> None:
        self.done = self.pid = 0
        self._zone = f"import-{number}.example." if server.name == "dnsserver" else zones.BIG
        self._serial = number + 1
        path = site.folder / "import.zone" if server.name == "dnsserver" else site.zones[zones.BIG]
        zones.write(path, self._zone, names, serial=self._serial, changed=names, alone=True)
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.connect(server.address)
        self._socket.setblocking(False)
        self._look = self._end = 0.0
        self._begin = time.monotonic()
        self._process = self._start(site, server, path, core)
        self.pid = self._process.pid if self._process else 0

    def _start(self, site: Site, server: Running, path: Path, core: int) -> subprocess.Popen[bytes] | None:
        command: Sequence[str]
        if server.name == "dnsserver":
            command = ours(site, "zone", "import", self._zone, str(path))
        elif server.name == "PowerDNS":
            command = load_powerdns(site, self._zone)
        else:
            later = time.time() + self._serial  # a file is read again when its time is another
            os.utime(path, (later, later))
            os.kill(server.daemon.pid, signal.SIGHUP)
            return None
        with on_core(core):
            return subprocess.Popen(command, cwd=site.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def step(self) -> bool:
        """Whether it goes on. Raises RuntimeError when it failed."""
        now = time.monotonic()
        if self._end:
            return now < self._end
        if now < self._look:
            return True
        self._look = now + _LOOK
        if now > self._begin + _LONGEST or (self._process and self._process.poll()):
            raise RuntimeError(f"the import of {self._zone} failed or takes too long")
        with contextlib.suppress(OSError):
            if serial_in(self._socket.recv(4096)) == self._serial and not (
                self._process and self._process.poll() is None
            ):
                self._end, self.done = now + _AFTER, 1
        with contextlib.suppress(OSError):
            self._socket.send(b"\0\1" + zones.query(zones.wire_name(self._zone), b"", type_=6).body)
        return True

    def close(self) -> None:
        self._socket.close()
        if self._process:
            self._process.kill()
            self._process.wait()


class Transfers:
    """One full transfer after the other; the last one may be cut off."""

    def __init__(self, server: Running, records: int) -> None:
        self.done = self.pid = 0
        self._address, self._records = server.address, records
        self._buffer = bytearray()
        self._socket = self._open()

    def _open(self) -> socket.socket:
        sock = connected(self._address)
        query = b"\x12\x34" + axfr.request(zones.BIG)
        sock.sendall(len(query).to_bytes(2, "big") + query)
        sock.setblocking(False)
        self._left = self._records + 1
        self._buffer.clear()
        return sock

    def step(self) -> bool:
        """Reads what is there. Raises RuntimeError when a transfer ends early."""
        try:
            chunk = self._socket.recv(_READ)
        except BlockingIOError:
            return False
        if not chunk:
            raise RuntimeError(f"the transfer ended {self._left} records early")
        self._buffer += chunk
        self._left -= axfr.count_records(self._buffer)[0]
        if self._left <= 0:
            self._socket.close()
            self.done += 1
            self._socket = self._open()
        return False

    def close(self) -> None:
        self._socket.close()


class Edits:
    """So many changes a second, each a transaction, of the zone that is asked for."""

    def __init__(self, site: Site, server: Running, rate: float) -> None:
        self.done = self.pid = 0
        self._own = server.name == "dnsserver"
        self._sent, self._lost, self._rate, self._begin = 0, 0, rate, time.perf_counter()
        self._heard = self._begin
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX) if self._own else socket.socket(type=socket.SOCK_DGRAM)
        self._socket.connect(str(site.folder / "control.sock") if self._own else server.address)
        self._socket.setblocking(False)

    def step(self) -> bool:
        """Raises RuntimeError when one is refused."""
        self._read()
        now = time.perf_counter()
        out = self._sent - self.done - self._lost
        if out >= _WAITING and not self._own and now > self._heard + _LOST:
            self._lost, out = self._sent - self.done, 0
        if self._sent < int((now - self._begin) * self._rate) and out < _WAITING:
            self._sent += 1
            address = zones.address(self._sent)
            owner = f"edit.{zones.HOT}"
            if self._own:
                args = {"zone": zones.HOT, "name": owner, "type": "A", "rdata": [".".join(map(str, address))]}
                body = json.dumps({"op": "record.set", "args": args, "user": "bench", "payload": 0}).encode()
                self._socket.send(len(body).to_bytes(4, "big") + body)
            else:
                id_ = (self._sent & 0xFFFF).to_bytes(2, "big")
                self._socket.send(id_ + primaries.update_message(zones.HOT, owner, address))
        return False

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        self._heard = time.perf_counter()
        if not self._own:
            if data[3] & 0x0F:
                raise RuntimeError(f"the update was answered with RCODE {data[3] & 0x0F}")
            self.done += 1
            return
        self._buffer += data
        while len(self._buffer) >= 4 and len(self._buffer) >= (end := 4 + int.from_bytes(self._buffer[:4], "big")):
            if not json.loads(self._buffer[4:end])["ok"]:
                raise RuntimeError(f"the edit was answered with {bytes(self._buffer[4:end])!r}")
            del self._buffer[:end]
            self.done += 1

    def close(self) -> None:
        self._socket.close()
