"""The servers that are compared: each as a plain authoritative one with one working thread, no logging of queries.

All run as the user who started the benchmark, in a temporary folder, on a port of 127.0.0.1. Settings that are not
written here are the server's own defaults; minimal responses make all answers alike (BIND and NSD would add the name
servers and their addresses, which costs them time). Knot would cut off a transfer whose reader is held up for half a
second, as ours may be on a busy machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .process import run_timed

COOKIE_SECRET = "00112233445566778899aabbccddeeff"
_LOWEST_PORT, _HIGHEST_PORT = 10_000, 19_999  # the tests have those above
_given: list[socket.socket] = []  # kept open as long as this process lives
_SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """Where a server runs, and the zones it serves: their names (absolute) and master files; which are signed."""

    folder: Path
    port: int
    zones: Mapping[str, Path]
    signed: frozenset[str] = frozenset((".",))


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """How to prepare and start one.

    ``prepare`` writes its configuration and loads its zones; ``command`` then runs it in the foreground. ``load``
    is the way a master file gets into it (None: it has no other way than its start).
    """

    name: str
    program: str
    prepare: Callable[[Site], None]
    command: Callable[[Site], Sequence[str]]
    version: Sequence[str]

    @property
    def installed(self) -> bool:
        return shutil.which(self.program, path=_SBIN) is not None

    def version_text(self) -> str:
        done = subprocess.run([which(self.version[0]), *self.version[1:]], capture_output=True, text=True, check=False)
        words = (done.stdout + done.stderr).split()
        return next((word.strip(",") for word in words if word[0].isdigit() and "." in word and ":" not in word), "?")


def which(program: str) -> str:
    return shutil.which(program, path=_SBIN) or program


def free_port() -> int:
    """One that is free for UDP and TCP, and stays so until a server has it: below those that the kernel gives to
    sockets that do not care (ip(7), ip_local_port_range), and given to no other benchmark, by an abstract Unix socket
    of its name (unix(7))."""
    while True:
        address = "127.0.0.1", random.SystemRandom().randint(_LOWEST_PORT, _HIGHEST_PORT)
        given = socket.socket(socket.AF_UNIX)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            # A connection that was closed a moment ago does not matter to a server.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                given.bind(f"\0dnsserver-bench-port-{address[1]}")
                tcp.bind(address)
                udp.bind(address)
            except OSError:
                given.close()
                continue
        _given.append(given)
        return address[1]


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path, old: str, new: str) -> None:
    """In a configuration that was written here; raises ValueError where it has no such words."""
    text = path.read_text()
    if old not in text:
        raise ValueError(f"{path} has no {old!r}")
    path.write_text(text.replace(old, new))


def ours(site: Site, *words: str) -> list[str]:
    """A command of this project's program on the site's configuration."""
    return [str(Path(sys.executable).with_name("dnsserver")), "--config", str(site.folder / "dnsserver.toml"), *words]


def configure_ours(site: Site) -> None:
    _write(
        site.folder / "dnsserver.toml",
        f"""
[server]
listen = ["127.0.0.1:{site.port}"]
name = "ns1.hot.example"
notify = false
control-socket = "control.sock"
secret-file = "secret"
[database]
url = "sqlite:///dnsserver.db"
""",
    )


def prepare_ours(site: Site) -> None:
    configure_ours(site)
    for zone, path in site.zones.items():
        run_timed(ours(site, "zone", "import", zone, str(path), "--init"), site.folder)
    run_timed(ours(site, "access", "allow", "--global", "127.0.0.0/8"), site.folder)


def configure_bind(site: Site) -> None:
    zones = "".join(
        f"zone {json.dumps(zone)} {{ type primary; file {json.dumps(str(path))}; }};\n"
        for zone, path in site.zones.items()
    )
    _write(
        site.folder / "named.conf",
        f"""
options {{
    directory {json.dumps(str(site.folder))};
    pid-file "named.pid";
    session-keyfile "session.key";
    listen-on port {site.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    notify no;
    querylog no;
    minimal-responses yes;
    allow-transfer {{ 127.0.0.0/8; }};
    cookie-secret "{COOKIE_SECRET}";
}};
controls {{ }};
{zones}""",
    )


def configure_nsd(site: Site) -> None:
    zones = "".join(
        f'zone:\n    name: "{zone}"\n    zonefile: "{path}"\n    provide-xfr: 127.0.0.0/8 NOKEY\n'
        for zone, path in site.zones.items()
    )
    _write(
        site.folder / "nsd.conf",
        f"""
server:
    ip-address: 127.0.0.1@{site.port}
    server-count: 1
    username: ""
    zonesdir: "{site.folder}"
    pidfile: "{site.folder}/nsd.pid"
    xfrdfile: "{site.folder}/xfrd.state"
    zonelistfile: "{site.folder}/zone.list"
    xfrdir: "{site.folder}"
    database: ""
    rrl-ratelimit: 0
    minimal-responses: yes
    answer-cookie: yes
    cookie-secret: "{COOKIE_SECRET}"
remote-control:
    control-enable: no
{zones}""",
    )


def configure_knot(site: Site) -> None:
    zones = "".join(f'  - domain: "{zone}"\n    file: "{path}"\n    acl: local\n' for zone, path in site.zones.items())
    _write(
        site.folder / "knot.conf",
        f"""
server:
    listen: 127.0.0.1@{site.port}
    rundir: "{site.folder}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    tcp-io-timeout: 60000
    tcp-idle-timeout: 600
database:
    storage: "{site.folder}"
log:
  - target: stderr
    any: warning
acl:
  - id: local
    address: 127.0.0.0/8
    action: transfer
mod-cookies:
  - id: default
    secret: 0x{COOKIE_SECRET}
template:
  - id: default
    storage: "{site.folder}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    global-module: mod-cookies/default
zone:
{zones}""",
    )


def configure_powerdns(site: Site) -> None:
    dnssec = "yes" if site.signed & set(site.zones) else "no"
    _write(
        site.folder / "pdns.conf",
        f"""
launch=gsqlite3
gsqlite3-database={site.folder}/pdns.sqlite
gsqlite3-dnssec={dnssec}
local-address=127.0.0.1
local-port={site.port}
socket-dir={site.folder}
receiver-threads=1
distributor-threads=1
allow-axfr-ips=127.0.0.0/8
edns-cookie-secret={COOKIE_SECRET}
guardian=no
daemon=no
""",
    )
    schema = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
    database = sqlite3.connect(site.folder / "pdns.sqlite")
    database.executescript("PRAGMA journal_mode=WAL;" + schema.read_text())
    database.close()


def load_powerdns(site: Site, zone: str, path: Path | None = None) -> list[str]:
    """The command that loads a zone, or loads it again, from the site's file or another."""
    util = ["pdnsutil", f"--config-dir={site.folder}"]
    return [*util, "load-zone", zone.rstrip(".") or ".", str(path or site.zones[zone])]


def _prepare_powerdns(site: Site) -> None:
    configure_powerdns(site)
    for zone in site.zones:
        run_timed(load_powerdns(site, zone), site.folder)
        if zone in site.signed:
            for step in ("rectify-zone", "set-presigned"):
                run_timed(["pdnsutil", f"--config-dir={site.folder}", step, zone.rstrip(".") or "."], site.folder)


SERVERS = (
    Server(
        "dnsserver",
        sys.executable,
        prepare_ours,
        lambda site: ours(site, "serve"),
        (str(Path(sys.executable).with_name("dnsserver")), "--version"),
    ),
    Server(
        "BIND",
        "named",
        configure_bind,
        lambda site: [which("named"), "-f", "-n", "1", "-c", str(site.folder / "named.conf")],
        ("named", "-v"),
    ),
    Server(
        "NSD",
        "nsd",
        configure_nsd,
        lambda site: [which("nsd"), "-d", "-c", str(site.folder / "nsd.conf")],
        ("nsd", "-v"),
    ),
    Server(
        "Knot",
        "knotd",
        configure_knot,
        lambda site: [which("knotd"), "-c", str(site.folder / "knot.conf")],
        ("knotd", "--version"),
    ),
    Server(
        "PowerDNS",
        "pdns_server",
        _prepare_powerdns,
        lambda site: [which("pdns_server"), f"--config-dir={site.folder}"],
        ("pdns_server", "--version"),
    ),
)
