"""Thousands of secondary zones of one NSD, all changed at once, and a dead primary beside (Scale).

DNSSERVER_SCALE_ZONES=10000 makes it the whole ten thousand; with DNSSERVER_SCALE_DEFAULTS=1 the limits are those of
LIMITS.md, so that it waits for its own SOA checks. The figures of both stand in docs/performance.md.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dnsserver.store.database import Database
from tests.support.client import Endpoint, read_name
from tests.support.desk import Desk
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.hostile import name
from tests.support.peers import Nsd, Primary
from tests.support.procs import free_port, wait_until
from tests.support.server import Server

pytestmark = [pytest.mark.long, pytest.mark.interop("nsd"), pytest.mark.xdist_group("timing")]

DEFAULTS = os.environ.get("DNSSERVER_SCALE_DEFAULTS") == "1"
ZONES = int(os.environ.get("DNSSERVER_SCALE_ZONES", "2000"))
DEAD = ZONES // 50
WITHIN = 300.0
LIMITS: dict[str, str | int] = {"soa-checks-per-second": 1000, "max-transfers-in-per-primary": 10}
FILE = """$TTL 300
@ SOA ns1 hostmaster {serial} 3600 600 604800 60
@ NS ns1
ns1 A 127.0.0.71
www A 192.0.2.{serial}
mail A 192.0.2.25
@ MX 10 mail
"""
SOA, A = 6, 1


def zone(number: int) -> str:
    return f"zone-{number:05d}.scale.test."


class OneFile(Nsd):
    """An NSD whose zones have one file, and therefore no stored differences."""

    def _primary(self, zone: Primary) -> str:
        (target,) = zone.targets
        return f"""zone:
  name: "{zone.zone}"
  zonefile: "{zone.file}"
  provide-xfr: 127.0.0.0/8 NOKEY
  notify: {target.address}@{target.port} NOKEY
"""


class Questions:
    """Many questions over one socket: as many under way as a socket's buffer holds."""

    WINDOW = 200

    def __init__(self, server: Endpoint) -> None:
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.connect(server)
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def ask(self, names: Sequence[str], kind: int, seconds: float = 1.0) -> dict[str, bytes]:
        """The answers that come; each is waited for so long."""
        found: dict[str, bytes] = {}
        for at in range(0, len(names), self.WINDOW):
            part = names[at : at + self.WINDOW]
            for number, asked in enumerate(part):
                header = struct.pack("!6H", at + number & 0xFFFF, 0, 1, 0, 0, 0)
                self._socket.send(header + name(asked) + struct.pack("!HH", kind, 1))
            wanted = len(found) + len(part)
            while len(found) < wanted and select.select([self._socket], [], [], seconds)[0]:
                answer = self._socket.recv(4096)
                number = (int.from_bytes(answer[:2], "big") - at) & 0xFFFF
                if number < len(part):
                    found[part[number]] = answer
        return found

    def serials(self, zones: Sequence[str]) -> dict[str, int]:
        """Of those that are served."""
        answers = self.ask(zones, SOA)
        return {each: serial for each, answer in answers.items() if (serial := _serial(answer)) is not None}


def _serial(answer: bytes) -> int | None:
    if answer[3] & 0xF or not int.from_bytes(answer[6:8], "big"):
        return None
    at = read_name(answer, read_name(answer, 12)[1] + 4)[1] + 10
    at = read_name(answer, read_name(answer, at)[1])[1]
    return int.from_bytes(answer[at : at + 4], "big")


class Asking:
    """Somebody who asks on and on, as long as it is entered: a question each ten milliseconds."""

    def __init__(self, server: Endpoint) -> None:
        self.spans: list[float] = []
        self.unanswered = 0
        self._questions = Questions(server)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._questions.close()

    def _ask(self) -> None:
        number = 0
        while not self._ended.wait(0.01):
            number = (number + 7919) % ZONES
            begin = time.perf_counter()
            (answer,) = self._questions.ask([f"www.{zone(number)}"], A, 20.0).values() or (b"\0\0\0\2",)
            self.spans.append(time.perf_counter() - begin)
            self.unanswered += bool(answer[3] & 0xF)

    def percentile(self, part: float) -> float:
        return sorted(self.spans)[int(len(self.spans) * part)]


@pytest.fixture
def silent() -> Iterator[Endpoint]:
    """A primary that takes everything and says nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        endpoint = Endpoint("127.0.0.99", free_port("127.0.0.99"))
        udp.bind(endpoint)
        tcp.bind(endpoint)
        tcp.listen()
        yield endpoint


def publish(directory: Path, serial: int) -> Path:
    """One file is that of all zones: its names are relative."""
    path = directory / "shared"
    path.write_text(FILE.format(serial=serial))
    later = time.time() + serial
    os.utime(path, (later, later))
    return path


def create(server: Server, primary: Endpoint, silent: Endpoint) -> None:
    """All zones, and among them some whose primary is dead."""
    Database.open(f"sqlite:///{server.database}", create=True).close()
    database = Database.open(f"sqlite:///{server.database}")
    try:
        desk = Desk(database)
        for number in range(ZONES):
            desk("zone.create", name=zone(number), secondary_of=[f"{primary.address}:{primary.port}"])
            if number % (ZONES // DEAD) == 0:
                desk("zone.create", name=f"dead-{number}.test.", secondary_of=[f"{silent.address}:{silent.port}"])
    finally:
        database.close()


def converge(questions: Questions, serial: int, what: str) -> float:
    """Seconds until every zone is served with this serial."""
    begin = time.monotonic()
    left = [zone(number) for number in range(ZONES)]

    def is_done() -> bool:
        # The first few that are left, until they are done: to ask for all again and again is work for both.
        while part := left[-Questions.WINDOW :]:
            found = questions.serials(part)
            left[-Questions.WINDOW :] = [each for each in part if found.get(each) != serial]
            if len(found) < len(part) or any(value != serial for value in found.values()):
                return False
        return True

    wait_until(is_done, WITHIN, lambda: f"{what}: {len(left)} zones are left, such as {left[:3]}", every=1)
    return time.monotonic() - begin


def test_thousands_of_zones_converge_while_queries_are_answered(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, silent: Endpoint
) -> None:
    server: Server = make_server(start=False, limits={} if DEFAULTS else LIMITS)
    primary: OneFile = make_peer(OneFile)
    file = publish(tmp_path, 1)
    for number in range(ZONES):
        primary.add_primary_zone(Primary(zone(number), file, targets=(server.endpoint,)))
    primary.start()
    create(server, primary.endpoint, silent)
    server.start()
    questions = Questions(server.endpoint)
    first = converge(questions, 1, "the first transfer")

    with Asking(server.endpoint) as asking:
        publish(tmp_path, 2)
        primary.tell(zone(0))
        changed = converge(questions, 2, "a change of all zones")
    questions.close()
    print(
        f"{ZONES} zones: first transfer {first:.0f} s, all changed {changed:.0f} s, "
        f"{len(asking.spans)} other queries, p99 {asking.percentile(0.99) * 1000:.1f} ms"
    )
    assert asking.unanswered == 0
    assert asking.percentile(0.99) < 0.25
    server.wait_event("primary-unreachable", primary=f"{silent.address}#{silent.port}")
    assert "Traceback" not in server.log
