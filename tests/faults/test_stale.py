"""No answer is older than the last change that was acknowledged before it was asked for (DESIGN, first level).

Two answerers, whose first level is hot: clients repeat a few packets as fast as they can, while others change what is
asked for over the control socket, which answers when all answerers serve the change. Each thing that changes has
numbered states; an answer must be that of a state between the last one acknowledged before the query was sent, and the
last one begun before the answer came.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dns.message
import pytest

from tests.support import client
from tests.support.fixtures import MakeServer
from tests.support.server import Server
from tests.support.zones import import_zone

pytestmark = pytest.mark.faults

ZONE, OTHER, CHILD, GUEST = "example.test.", "other.test.", "child.example.test.", "guest.example.test."
EDITS = 2000
CLIENTS = 3
BURST = 24
# The keeper answers after this time even when an answerer is not that far: such an answer acknowledges nothing.
SLOW = 1.9

Fits = Callable[[int], bool]


@dataclass
class Subject:
    """What changes: ``change(n)`` brings state n about, ``questions`` ask for it; it begins in state 0."""

    name: str
    change: Callable[[int], None]
    questions: tuple[tuple[str, str], ...]
    fits: Callable[[bytes], Fits]
    begun: int = 0
    acknowledged: int = 0
    slow: int = 0

    def step(self) -> None:
        self.begun += 1
        at = time.monotonic()
        self.change(self.begun)
        if time.monotonic() - at < SLOW:
            self.acknowledged = self.begun
        else:
            self.slow += 1


def numbered(wire: bytes) -> Fits:
    """The answer's last record says the number of the state; in odd ones there may be none."""
    rows = client.answers_in(wire)
    if not rows:
        return lambda state: bool(state % 2)
    rdata = rows[-1].rdata
    number = int(rdata[1:]) if rows[-1].type == "TXT" else int.from_bytes(rdata[1:], "big")
    return lambda state: state == number


def always_numbered(wire: bytes) -> Fits:
    return numbered(wire) if client.answers_in(wire) else lambda _: False


def away_when_odd(wire: bytes) -> Fits:
    is_there = any(row.type != "CNAME" for row in client.answers_in(wire))
    return lambda state: bool(state % 2) is not is_there


def address(number: int) -> str:
    return ".".join(map(str, (10 << 24 | number).to_bytes(4, "big")))


def subjects(server: Server) -> list[Subject]:
    """Data that change and that come and go; what others point at; zones that are suspended, and that are gone."""

    host, wild, blinking = f"host.{ZONE}", f"*.wild.{ZONE}", f"blink.{ZONE}"

    def move(name: str) -> Callable[[int], None]:
        def change(number: int) -> None:
            server.control("record.set", zone=ZONE, name=name, type="A", rdata=[address(number)])

        return change

    def blink(number: int) -> None:
        if number % 2:
            server.control("record.delete", zone=ZONE, name=blinking, type="TXT")
        else:
            server.control("record.set", zone=ZONE, name=blinking, type="TXT", rdata=[str(number)])

    def suspend(number: int) -> None:
        server.control("zone.suspend" if number % 2 else "zone.resume", name=CHILD)

    def leave(number: int) -> None:
        server.control("zone.delete" if number % 2 else "zone.restore", name=GUEST)

    return [
        Subject("host", move(host), ((host, "A"), (f"alias.{ZONE}", "A"), (f"alias.{OTHER}", "A")), always_numbered),
        Subject("wildcard", move(wild), ((f"x.wild.{ZONE}", "A"), (f"y.Wild.{ZONE}", "A")), always_numbered),
        Subject("blink", blink, ((blinking, "TXT"), (blinking, "ANY")), numbered),
        Subject("suspended", suspend, ((f"www.{CHILD}", "A"), (f"to-child.{OTHER}", "A")), away_when_odd),
        Subject("gone", leave, ((f"www.{GUEST}", "A"), (f"www.{GUEST}", "AAAA")), away_when_odd),
    ]


class Client(threading.Thread):
    """Asks about all subjects, in bursts, from several ports: the kernel spreads those over the answerers."""

    def __init__(self, server: Server, asked: list[Subject], ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self.answers: Counter[str] = Counter()
        self.stale: list[str] = []
        self.lost = 0
        self._ending = ending
        self._sockets = [_connected(server) for _ in range(6)]
        self._packets = [
            (subject, dns.message.make_query(name, kind, flags=0, id=0, want_dnssec=dnssec).to_wire()[2:])
            for subject in asked for name, kind in subject.questions for dnssec in (False, True)
        ]  # fmt: skip

    def run(self) -> None:
        turns = 0
        while not self._ending.is_set():
            turns += 1
            self._burst(self._sockets[turns % len(self._sockets)])
        for sock in self._sockets:
            sock.close()

    def _burst(self, sock: socket.socket) -> None:
        sent: dict[bytes, tuple[Subject, int]] = {}
        for _ in range(BURST):
            subject, packet = random.choice(self._packets)
            ident = random.randbytes(2)
            if ident not in sent:
                sent[ident] = (subject, subject.acknowledged)
                sock.send(ident + packet)
        while sent:
            try:
                wire = sock.recv(4096)
            except TimeoutError:
                self.lost += len(sent)
                return
            if (known := sent.pop(wire[:2], None)) is None:
                continue  # an answer that came too late for its burst
            subject, since = known
            self.answers[subject.name] += 1
            fits = subject.fits(wire)
            if not any(fits(state) for state in range(since, subject.begun + 1)):
                self.stale.append(
                    f"{subject.name}: state {since} was acknowledged, {subject.begun} begun: {wire.hex()}"
                )


def _connected(server: Server) -> socket.socket:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.connect(server.endpoint)
    return sock


def edit(asked: list[Subject], edits: int) -> None:
    """So many changes of these subjects, by chance."""
    for _ in range(edits):
        random.choice(asked).step()


@pytest.fixture
def server(make_server: MakeServer, tmp_path: Path) -> Server:
    made: Server = make_server(server={"workers": 2})
    import_zone(made, tmp_path, [
        f"host A {address(0)}", f"*.wild A {address(0)}", "blink TXT 0", "alias CNAME host",
    ])  # fmt: skip
    import_zone(made, tmp_path, [f"alias CNAME host.{ZONE}", f"to-child CNAME www.{CHILD}"], OTHER)
    for zone in (CHILD, GUEST):
        import_zone(made, tmp_path, ["www A 192.0.2.1", "www AAAA 2001:db8::1"], zone)
    for zone in (ZONE, OTHER, CHILD, GUEST):
        made.cli("zone", "set", zone, "notify=off")
    return made


def test_no_answer_is_older_than_what_was_acknowledged(server: Server) -> None:
    asked = subjects(server)
    ending = threading.Event()
    clients = [Client(server, asked, ending) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    # Two people at once, each with their own things.
    other = threading.Thread(target=edit, args=(asked[1::2], EDITS // 2))
    other.start()
    try:
        edit(asked[::2], EDITS // 2)
        other.join()
    finally:
        ending.set()
        for one in clients:
            one.join(20)
    stale = [line for one in clients for line in one.stale]
    assert not stale, "\n".join([f"{len(stale)} stale answers", *stale[:20]])
    assert sum(subject.begun for subject in asked) == EDITS
    assert sum(subject.slow for subject in asked) < EDITS // 100
    answers = sum((one.answers for one in clients), Counter())
    # Each state of each question is asked for again and again: most answers are kept ones.
    assert min(answers[subject.name] for subject in asked) > 5 * EDITS, answers
    assert sum(one.lost for one in clients) < 100
