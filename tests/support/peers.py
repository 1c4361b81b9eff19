"""Real foreign servers behind one interface: BIND, NSD, Knot and PowerDNS, as secondaries and as primaries.

Each runs in the foreground on a loopback address and a free port, in a directory of its own, and sends from that
address. It takes NOTIFY from its primaries, and lets ``trusted`` transfer its zones. Zones and keys are added before
``start``; a primary zone is changed by ``publish``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from . import client
from .client import Endpoint, Row, TsigKey
from .procs import LOOPBACK, Daemon, free_port, wait_until

START_SECONDS = 30
TransferKind = Literal["axfr", "ixfr"]
NOBODY = "192.0.2.1"  # where an empty list would mean a default


@dataclass(frozen=True)
class Secondary:
    """A zone that a peer fetches: from where, and with which key (for the transfer and for the NOTIFY)."""

    zone: str
    primary: Endpoint
    key: TsigKey | None


@dataclass(frozen=True)
class Primary:
    """A zone that a peer serves from a file; ``targets`` get NOTIFY; who is ``trusted`` may transfer it, with ``key``.

    Only where it is ``updatable`` may they update it: BIND signs anew what is. ``refuses``: nobody may transfer it.
    """

    zone: str
    file: Path
    targets: tuple[Endpoint, ...] = ()
    key: TsigKey | None = None
    updatable: bool = False
    refuses: bool = False


class Peer(ABC):
    """One foreign server.

    ``serves_ixfr``: as a primary; else it answers with the whole zone. ``refusal``: the RCODE of a transfer that it
    does not grant.
    """

    program: ClassVar[str]
    takes_ixfr: ClassVar[bool] = True
    serves_ixfr: ClassVar[bool] = True
    refusal: ClassVar[str] = "REFUSED"
    # A second loopback address that it can serve on.
    elsewhere: ClassVar[str] = "127.0.0.2"

    def __init__(self, directory: Path, address: str = LOOPBACK, port: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.address = address
        self.port = port or free_port(address)
        self.secondaries: list[Secondary] = []
        self.primaries: list[Primary] = []
        self.log_path = directory / "log"
        self._daemon: Daemon | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Why this peer cannot run here; None when it can."""
        return None if shutil.which(cls.program) else f"{cls.program} is not installed"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.address, self.port)

    @property
    def trusted(self) -> tuple[str, ...]:
        """The addresses whose transfer requests are granted: those that the tests ask from."""
        return tuple({self.address: None, LOOPBACK: None})

    @property
    def keys(self) -> dict[str, TsigKey]:
        zones: list[Secondary | Primary] = [*self.secondaries, *self.primaries]
        return {zone.key.name: zone.key for zone in zones if zone.key}

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def add_secondary_zone(self, zone: str, primary: Endpoint, key: TsigKey | None = None) -> None:
        assert self._daemon is None, "zones are added before the start"
        self.secondaries.append(Secondary(zone, primary, key))

    def add_primary_zone(self, zone: Primary) -> None:
        assert self._daemon is None, "zones are added before the start"
        self.primaries.append(zone)

    @abstractmethod
    def configure(self) -> list[str]:
        """Writes the configuration; returns the command."""

    @abstractmethod
    def transfer_kinds(self, zone: str) -> Counter[TransferKind]:
        """How many transfers of each kind it has taken, by its log."""

    def start(self) -> None:
        """Returns when it answers; it may still be without the zones of its primary."""
        if self._daemon is None:
            self._daemon = Daemon(self.configure(), self.directory, self.log_path)
        self._daemon.start()
        wait_until(self._answers, START_SECONDS, lambda: f"{self.program} answers\n{self.log[-2000:]}")

    def _answers(self) -> bool:
        assert self._daemon is not None
        assert self._daemon.running, f"{self.program} ended:\n{self.log[-2000:]}"
        client.ask(self.endpoint, "server.invalid", "SOA", timeout=0.3, tries=1)
        return True

    def publish(self, zone: str, text: str) -> None:
        """A primary zone's new contents, as one change; where the peer is down, it has them when it is back."""
        file = next(primary.file for primary in self.primaries if primary.zone == zone)
        new = file.with_suffix(".new")
        new.write_text(text)
        new.replace(file)
        self.store(zone, file)
        if self._daemon is not None and self._daemon.running:
            self.tell(zone)

    def store(self, zone: str, file: Path) -> None:  # noqa: B027 - most programs have it from the file itself
        """Puts what is in the zone's new file where the program has it from."""

    def tell(self, zone: str) -> None:
        """Tells the program, which runs, that there is something new of the zone."""
        assert self._daemon is not None
        os.kill(self._daemon.pid, signal.SIGHUP)

    def restart_with(self, zone: Primary) -> None:
        """A new zone, or the same one with another key or other permissions, after a restart."""
        self.stop()
        self.primaries = [*(old for old in self.primaries if old.zone != zone.zone), zone]
        self.configure()
        self.start()

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.signal_all(signal.SIGCONT)
            self._daemon.stop()

    def kill(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()

    def pause(self) -> None:
        assert self._daemon is not None
        self._daemon.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._daemon is not None
        self._daemon.signal_all(signal.SIGCONT)

    def axfr(self, zone: str, key: TsigKey | None = None) -> list[Row]:
        """Sorted records; OSError (also ``client.Refused``) when it has no such zone, or not yet."""
        try:
            return client.axfr(self.endpoint, zone, key)
        except (ConnectionResetError, EOFError):
            # NSD puts a new process in place of the old one at each update, connections of the old one included.
            return client.axfr(self.endpoint, zone, key)

    def wait_kinds(self, zone: str, **expected: int) -> None:
        """Until its log tells of these transfers: what it serves may be there a moment before."""
        what = f"{self.program} has taken {zone} by {expected}"
        wait_until(lambda: self.transfer_kinds(zone) == expected, 0, lambda: f"{what}, not {self.transfer_kinds(zone)}")

    def serial(self, zone: str) -> int | None:
        return client.serial(self.endpoint, zone)

    def wait_serial(self, zone: str, serial: int, seconds: float) -> None:
        """Until it answers with exactly this serial."""
        what = f"{self.program} has serial {serial} of {zone}"
        wait_until(lambda: self.serial(zone) == serial, seconds, lambda: f"{what}\n{self.log[-3000:]}")


class Bind(Peer):
    program = "named"
    elsewhere = LOOPBACK  # it listens on addresses that stand on an interface

    def configure(self) -> list[str]:
        keys = "".join(
            f'key "{k.name}" {{ algorithm {k.algorithm}; secret "{k.secret}"; }};\n' for k in self.keys.values()
        )
        (self.directory / "named.conf").write_text(
            f"""
            {keys}
            logging {{
                channel plain {{ stderr; severity info; print-time yes; print-category yes; }};
                channel transfers {{ file "{self.directory}/transfers.log"; severity debug 3; print-time yes; }};
                category default {{ plain; }};
                category xfer-in {{ transfers; plain; }};
            }};
            controls {{ }};
            options {{
                directory "{self.directory}"; pid-file none; session-keyfile none; lock-file none;
                listen-on port {self.port} {{ {self.address}; }}; listen-on-v6 {{ none; }};
                recursion no; dnssec-validation no; empty-zones-enable no; minimal-responses yes;
                notify explicit; notify-delay 0; ixfr-from-differences no; startup-notify-rate 1000;
                allow-transfer {{ {_acl(self.trusted)} }};
                transfer-source {self.address}; notify-source {self.address};
                max-journal-size unlimited; serial-query-rate 1000; notify-rate 1000;
                trust-anchor-telemetry no; max-records 0;
            }};
            {"".join(map(self._secondary, self.secondaries))}
            {"".join(map(self._primary, self.primaries))}
            """
        )
        # Not -g, which turns every channel to stderr; debug level 1, without which no channel hears of the kind.
        return ["named", "-f", "-d", "1", "-c", str(self.directory / "named.conf")]

    def _secondary(self, zone: Secondary) -> str:
        key = f' key "{zone.key.name}"' if zone.key else ""
        file = zone.zone.strip(".") or "root"
        return f"""zone "{zone.zone}" {{
            type secondary; file "{file}.secondary"; masterfile-format text; request-ixfr yes;
            primaries {{ {zone.primary.address} port {zone.primary.port}{key}; }};
            allow-notify {{ {zone.primary.address}; }};
        }};
        """

    def _primary(self, zone: Primary) -> str:
        key = f' key "{zone.key.name}"' if zone.key else ""
        targets = "".join(f"{target.address} port {target.port}{key}; " for target in zone.targets)
        allowed = f'key "{zone.key.name}";' if zone.key else _acl(self.trusted)
        return f"""zone "{zone.zone}" {{
            type primary; file "{zone.file}"; also-notify {{ {targets} }}; max-ixfr-ratio unlimited;
            ixfr-from-differences {"no" if zone.updatable else "yes"};
            allow-update {{ {_acl(self.trusted) if zone.updatable else "none;"} }};
            allow-transfer {{ {"none;" if zone.refuses else allowed} }};
        }};
        """

    def transfer_kinds(self, zone: str) -> Counter[TransferKind]:
        path = self.directory / "transfers.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        name = re.escape(zone.strip(".") or ".")
        found = re.findall(rf"transfer of '{name}/IN'.*: got (incremental|nonincremental) response", text)
        return Counter("ixfr" if word == "incremental" else "axfr" for word in found)


class Nsd(Peer):
    program = "nsd"

    def configure(self) -> list[str]:
        keys = "".join(
            f'key:\n  name: "{k.name}"\n  algorithm: {k.algorithm}\n  secret: "{k.secret}"\n'
            for k in self.keys.values()
        )
        (self.directory / "nsd.conf").write_text(
            f"""
server:
  ip-address: {self.address}@{self.port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{self.directory}"
  zonelistfile: "{self.directory}/zone.list"
  database: ""
  pidfile: "{self.directory}/nsd.pid"
  xfrdfile: "{self.directory}/xfrd.state"
  xfrdir: "{self.directory}"
  xfrd-reload-timeout: 0
  zonefiles-write: 1
  verbosity: 5
  log-only-syslog: no
  minimal-responses: yes
remote-control:
  control-enable: no
{keys}{"".join(map(self._secondary, self.secondaries))}{"".join(map(self._primary, self.primaries))}"""
        )
        return ["nsd", "-d", "-c", str(self.directory / "nsd.conf")]

    def _secondary(self, zone: Secondary) -> str:
        key = zone.key.name if zone.key else "NOKEY"
        return f"""zone:
  name: "{zone.zone}"
  zonefile: "{zone.zone.strip(".") or "root"}.secondary"
  allow-notify: {zone.primary.address} {key}
  request-xfr: {zone.primary.address}@{zone.primary.port} {key}
  outgoing-interface: {self.address}
{self._provided("NOKEY")}"""

    def _primary(self, zone: Primary) -> str:
        key = zone.key.name if zone.key else "NOKEY"
        targets = "".join(f"  notify: {target.address}@{target.port} {key}\n" for target in zone.targets)
        return f"""zone:
  name: "{zone.zone}"
  zonefile: "{zone.file}"
  create-ixfr: yes
  store-ixfr: yes
  outgoing-interface: {self.address}
{"" if zone.refuses else self._provided(key)}{targets}"""

    def _provided(self, key: str) -> str:
        return "".join(f"  provide-xfr: {address} {key}\n" for address in self.trusted)

    def transfer_kinds(self, zone: str) -> Counter[TransferKind]:
        """NSD does not log the kind, but the size: an update of less than half the whole zone's is taken as IXFR."""
        found = re.findall(rf"zone {_dotted(zone)} received update to serial .* of (\d+) bytes", self.log)
        sizes = [int(size) for size in found]
        return Counter("ixfr" if size * 2 < sizes[0] else "axfr" for size in sizes)


class Knot(Peer):
    program = "knotd"
    refusal = "NOTAUTH"

    def configure(self) -> list[str]:
        keys = "".join(
            f'  - id: "{k.name}"\n    algorithm: {k.algorithm}\n    secret: "{k.secret}"\n' for k in self.keys.values()
        )
        parts = [
            f"""
server:
  rundir: "{self.directory}"
  listen: {self.address}@{self.port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 2
database:
  storage: "{self.directory}"
  journal-db-max-size: 256M
  timer-db-max-size: 8M
  kasp-db-max-size: 8M
log:
  - target: stdout
    any: debug
""",
            f"key:\n{keys}" if keys else "",
            f"acl:\n  - id: tests\n    address: [{', '.join(self.trusted)}]\n    action: transfer\n",
        ]
        remotes, acls, zones = [], [], []
        for number, secondary in enumerate(self.secondaries):
            key = f'    key: "{secondary.key.name}"\n' if secondary.key else ""
            at = f"{secondary.primary.address}@{secondary.primary.port}"
            remotes.append(f"  - id: from{number}\n    address: {at}\n    via: {self.address}\n{key}")
            acls.append(f"  - id: notify{number}\n    address: {secondary.primary.address}\n    action: notify\n{key}")
            zones.append(
                f'  - domain: "{secondary.zone}"\n    storage: "{self.directory}"\n    master: from{number}\n'
                f"    acl: [notify{number}, tests]\n"
            )
        for number, primary in enumerate(self.primaries):
            key = f'    key: "{primary.key.name}"\n' if primary.key else ""
            for index, target in enumerate(primary.targets):
                at = f"{target.address}@{target.port}"
                remotes.append(f"  - id: to{number}-{index}\n    address: {at}\n    via: {self.address}\n{key}")
            names = ", ".join(f"to{number}-{index}" for index in range(len(primary.targets)))
            notify = f"    notify: [{names}]\n" if names else ""
            if key:
                acls.append(f"  - id: keyed{number}\n{key}    action: transfer\n")
            allowed = f"keyed{number}" if key else "tests"
            acl = "" if primary.refuses else f"    acl: {allowed}\n"
            zones.append(
                f'  - domain: "{primary.zone}"\n    storage: "{self.directory}"\n    file: "{primary.file}"\n'
                f"    zonefile-load: difference\n    zonefile-sync: -1\n{notify}{acl}"
            )
        parts += [*acls, "remote:\n" if remotes else "", *remotes, "zone:\n", *zones]
        (self.directory / "knot.conf").write_text("".join(parts))
        return ["knotd", "-c", str(self.directory / "knot.conf")]

    def transfer_kinds(self, zone: str) -> Counter[TransferKind]:
        name = re.escape(_dotted(zone))
        found = re.findall(rf"\[{name}\] (AXFR|AXFR-style IXFR|IXFR), incoming, .* finished", self.log)
        return Counter("ixfr" if word == "IXFR" else "axfr" for word in found)


class PowerDns(Peer):
    program = "pdns_server"
    serves_ixfr = False
    refusal = "NOTAUTH"
    SCHEMA: ClassVar[tuple[Path, ...]] = (
        Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"),
        Path("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql"),
    )

    @classmethod
    def missing(cls) -> str | None:
        if not shutil.which("pdnsutil"):
            return "pdns_server is not installed"
        return None if any(path.exists() for path in cls.SCHEMA) else "PowerDNS's SQLite backend is not installed"

    def configure(self) -> list[str]:
        database = self.directory / "pdns.sqlite"
        (self.directory / "pdns.conf").write_text(
            f"""
launch=gsqlite3
gsqlite3-database={database}
gsqlite3-pragma-synchronous=0
local-address={self.address}
local-port={self.port}
query-local-address={self.address}
socket-dir={self.directory}
primary=yes
secondary=yes
xfr-cycle-interval=1
allow-notify-from={self.address},{",".join({zone.primary.address for zone in self.secondaries})}
allow-axfr-ips={NOBODY}
only-notify=
zone-cache-refresh-interval=0
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
loglevel=6
guardian=no
security-poll-suffix=
"""
        )
        schema = next(path for path in self.SCHEMA if path.exists())
        database.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.executescript(schema.read_text())
        for key in self.keys.values():
            self._util("import-tsig-key", key.name, key.algorithm, key.secret)
        for zone in self.secondaries:
            self._util("create-slave-zone", zone.zone, f"{zone.primary.address}:{zone.primary.port}")
            self._util("set-meta", zone.zone, "IXFR", "1")
            self._util("set-meta", zone.zone, "ALLOW-AXFR-FROM", *self.trusted)
            if zone.key:
                self._util("activate-tsig-key", zone.zone, zone.key.name, "secondary")
        for primary in self.primaries:
            self._add(primary)
        return ["pdns_server", "--daemon=no", "--write-pid=no", f"--config-dir={self.directory}"]

    def _add(self, zone: Primary) -> None:
        self.store(zone.zone, zone.file)
        self._util("set-kind", zone.zone, "master")
        if zone.targets:
            self._util("set-meta", zone.zone, "ALSO-NOTIFY", *(f"{to.address}:{to.port}" for to in zone.targets))
        if zone.key:
            # That of a secondary, but it also is what signs a primary's NOTIFY.
            self._util("set-meta", zone.zone, "AXFR-MASTER-TSIG", zone.key.name.rstrip("."))
        if zone.key and not zone.refuses:
            self._util("activate-tsig-key", zone.zone, zone.key.name, "primary")
        elif not zone.refuses:
            self._util("set-meta", zone.zone, "ALLOW-AXFR-FROM", *self.trusted)

    def store(self, zone: str, file: Path) -> None:
        self._util("load-zone", zone, str(file))

    def tell(self, zone: str) -> None:
        """It would find the new serial itself within its cycle."""
        self._run("pdns_control", "notify", zone)

    def _util(self, *words: str) -> None:
        self._run("pdnsutil", *words)

    def _run(self, program: str, *words: str) -> None:
        command = [program, f"--config-dir={self.directory}", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"

    def transfer_kinds(self, zone: str) -> Counter[TransferKind]:
        name = re.escape(zone.strip(".") or ".")
        found = re.findall(rf"(AXFR|IXFR)-in zone: '{name}', .*zone committed", self.log)
        return Counter("ixfr" if word == "IXFR" else "axfr" for word in found)


def _acl(addresses: tuple[str, ...]) -> str:
    return "".join(f"{address}; " for address in addresses)


def _dotted(zone: str) -> str:
    return zone.rstrip(".") + "."


PEERS: tuple[type[Peer], ...] = (Bind, Nsd, Knot, PowerDns)
