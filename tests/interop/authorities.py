"""BIND, NSD and Knot as authorities for the zones of tests/interop/zones, and ourselves in process, asked alike."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest

from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.dispatch import Peer, Reply, handle
from dnsserver.protocol.server import ServerState, ZoneMeta
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record
from tests.support.client import Endpoint, tcp_exchange
from tests.support.procs import LOOPBACK, Daemon, free_port, wait_until

ZONES = Path(__file__).parent / "zones"
APEXES = sorted(path.name.removesuffix(".zone") for path in ZONES.glob("*.zone"))

Rows = frozenset[tuple[str, str, str]]


class Answer(NamedTuple):
    """What is compared. Sections: (owner in lower case, type, rdata in canonical form)."""

    rcode: str
    aa: bool
    tc: bool
    opt: bool
    answer: Rows = frozenset()
    authority: Rows = frozenset()
    additional: Rows = frozenset()

    def differences(self, other: Answer) -> set[str]:
        """The fields that differ. What is left of a truncated answer is each server's own affair (RFC 2181, 9)."""
        fields = ("rcode", "aa", "tc", "opt") if self.tc and other.tc else self._fields
        return {field for field in fields if getattr(self, field) != getattr(other, field)}


SILENCE = Answer("no answer", False, False, False)


class Authority(Protocol):
    """Someone to ask: ``wire`` the request as it is sent."""

    def ask(self, wire: bytes, tcp: bool) -> Answer: ...


def read(wire: bytes) -> Answer:
    """The answer in a message."""
    message = dns.message.from_wire(wire, one_rr_per_rrset=True, keyring=False)
    sections = [
        frozenset(
            (rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype), rdata.to_digestable().hex())
            for rrset in section
            for rdata in rrset
        )
        for section in (message.answer, message.authority, message.additional)
    ]
    aa, tc = bool(message.flags & dns.flags.AA), bool(message.flags & dns.flags.TC)
    return Answer(dns.rcode.to_text(message.rcode()), aa, tc, message.edns >= 0, *sections)


class Foreign:
    """A server on a port of its own."""

    def __init__(self, port: int) -> None:
        self._server = Endpoint(LOOPBACK, port)

    def ask(self, wire: bytes, tcp: bool) -> Answer:
        # A server may close on what it cannot read, or say nothing: that is its answer.
        try:
            return read(tcp_exchange(self._server, wire, 5) if tcp else self._by_udp(wire))
        except (TimeoutError, ConnectionError, EOFError):
            return SILENCE

    def _by_udp(self, wire: bytes) -> bytes:
        """TimeoutError only where it answers what it is asked afterwards: else it may have had no time yet."""
        ident = bytes(octet ^ 0xFF for octet in wire[:2].ljust(2))
        later = ident + dns.message.make_query(APEXES[0], "SOA").to_wire()[2:]
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(self._server)
            sock.send(wire)
            sock.settimeout(1)
            with contextlib.suppress(TimeoutError):
                return sock.recv(65535)
            sock.send(later)
            sock.settimeout(20)
            if (reply := sock.recv(65535))[:2] == ident:
                sock.settimeout(0.2)
                reply = sock.recv(65535)
            return reply


class Ours:
    """``handle`` over images of the same files."""

    def __init__(self) -> None:
        self._state = ServerState(cookies=CookieJar(CookieSecrets(bytes(range(16)))))
        for number, apex in enumerate(APEXES):
            image = load(apex)
            self._state.publish(ZoneMeta(number, image.apex, Role.PRIMARY), image)

    def ask(self, wire: bytes, tcp: bool) -> Answer:
        outcome = handle(self._state, wire, Peer(LOOPBACK, 5353, tcp), time.time())
        return read(outcome.wire) if isinstance(outcome, Reply) else SILENCE


def load(apex: str) -> Image:
    """The image of a zone file, read by dnspython."""
    zone = dns.zone.from_file(str(ZONES / f"{apex}.zone"), origin=apex + ".", relativize=False, check_origin=False)
    return Image.build(names.from_text(apex + "."), 1, in_order(zone))


def in_order(zone: dns.zone.Zone) -> list[Record]:
    """Its records in canonical order of their owners."""
    records = [
        Record(name.to_wire() or b"", int(rdataset.rdtype), rdataset.ttl, rdata.to_wire() or b"")
        for name, rdataset in zone.iterate_rdatasets()
        for rdata in rdataset
    ]
    return sorted(records, key=lambda record: (names.key(record.owner), record.type))


def named_config(directory: Path, port: int, zones: Iterable[str]) -> list[str]:
    served = "".join(f'zone "{z}" {{ type primary; file "{ZONES / z}.zone"; check-names ignore; }};\n' for z in zones)
    (directory / "named.conf").write_text(
        f"""
        options {{
            directory "{directory}"; pid-file none; session-keyfile none; lock-file none;
            listen-on port {port} {{ {LOOPBACK}; }}; listen-on-v6 {{ none; }};
            allow-transfer {{ none; }};
            recursion no; dnssec-validation no; empty-zones-enable no; notify no; trust-anchor-telemetry no;
            minimal-responses yes; max-udp-size 1232; edns-udp-size 1232; check-integrity no; check-sibling no;
        }};
        controls {{ }};
        {served}
        """
    )
    return ["named", "-g", "-c", str(directory / "named.conf")]


def nsd_config(directory: Path, port: int, zones: Iterable[str]) -> list[str]:
    served = "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{ZONES / zone}.zone"\n' for zone in zones)
    (directory / "nsd.conf").write_text(
        f"""
server:
  ip-address: {LOOPBACK}@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{directory}"
  zonelistfile: "{directory}/zone.list"
  database: ""
  pidfile: "{directory}/nsd.pid"
  xfrdfile: "{directory}/xfrd.state"
  xfrdir: "{directory}"
  ipv4-edns-size: 1232
  minimal-responses: yes
  refuse-any: no
remote-control:
  control-enable: no
{served}"""
    )
    return ["nsd", "-d", "-c", str(directory / "nsd.conf")]


def knotd_config(directory: Path, port: int, zones: Iterable[str]) -> list[str]:
    served = "".join(f'  - domain: "{zone}"\n    file: "{ZONES / zone}.zone"\n' for zone in zones)
    (directory / "knot.conf").write_text(
        f"""
server:
  rundir: "{directory}"
  listen: {LOOPBACK}@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  udp-max-payload: 1232
database:
  storage: "{directory}"
  journal-db-max-size: 16M
  timer-db-max-size: 8M
  kasp-db-max-size: 8M
log:
  - target: stdout
    any: info
template:
  - id: default
    storage: "{directory}"
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
{served}"""
    )
    return ["knotd", "-c", str(directory / "knot.conf")]


CONFIGS = {"named": named_config, "nsd": nsd_config, "knotd": knotd_config}


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Authority]]:
    """The three by the names of their programs, all zones loaded."""
    daemons: list[Daemon] = []
    found: dict[str, Authority] = {}
    try:
        for program, config in CONFIGS.items():
            directory = tmp_path_factory.mktemp(program)
            port = free_port()
            daemon = Daemon(config(directory, port, APEXES), directory, directory / "log")
            daemons.append(daemon)
            daemon.start()
            found[program] = Foreign(port)
        for (program, authority), daemon in zip(found.items(), daemons, strict=True):
            for apex in APEXES:
                soa = dns.message.make_query(apex, "SOA").to_wire()
                what = f"{program} answers for {apex}"
                wait_until(
                    lambda a=authority, s=soa: a.ask(s, False).answer,  # type: ignore[misc]
                    30,
                    lambda w=what, d=daemon: f"{w}\n{d.log[-3000:]}",  # type: ignore[misc]
                )
        yield found
    finally:
        for daemon in daemons:
            daemon.kill()
