"""kill -9 at 200 random moments: what was acknowledged is there, nothing is there by half, no serial twice (issue 3).

A BIND secondary follows all the time. An observer transfers both zones from both servers, again and again: every
snapshot must be whole, and a serial must always mean the same contents. DNSSERVER_SEED makes other moments.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from tests.support import client
from tests.support.client import Endpoint, Row, difference
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import Bind
from tests.support.server import ControlError, Role, Server
from tests.support.zones import HEAD, import_zone

pytestmark = [pytest.mark.faults, pytest.mark.interop("named")]

SEED = int(os.environ.get("DNSSERVER_SEED", "3"))
EDITED, IMPORTED = "edited.test.", "imported.test."
IMPORT_SIZE = 400
BATCH = 5
Kind = Literal["edit", "batch", "import"]
K = TypeVar("K")

# 200 moments: of the CLI with a server, of the CLI alone on the database, of the server's processes (in two halves,
# which may run side by side).
WITH_SERVER: dict[Kind, int] = {"edit": 30, "batch": 20, "import": 20}
ALONE: dict[Kind, int] = {"edit": 20, "batch": 15, "import": 15}
HALF: dict[Role | Literal["all"], int] = {"supervisor": 10, "keeper": 15, "answerer": 10, "all": 5}


class Observer(threading.Thread):
    """Transfers the zones from our server and from BIND; ``faults``: what must never be seen."""

    def __init__(self, servers: dict[str, Endpoint]) -> None:
        super().__init__(daemon=True)
        self._servers = servers
        self._contents: dict[tuple[str, int], tuple[str, str]] = {}
        self._ending = threading.Event()
        self.faults: list[str] = []
        self.snapshots: Counter[str] = Counter()

    def run(self) -> None:
        while not self._ending.wait(0.05):
            for who, endpoint in self._servers.items():
                for zone in (EDITED, IMPORTED):
                    with contextlib.suppress(OSError, EOFError):
                        self.see(who, zone, client.axfr(endpoint, zone, timeout=2))

    def see(self, who: str, zone: str, rows: list[Row]) -> None:
        self.snapshots[who] += 1
        serial, digest = client.serial_of(rows), client.digest(rows)
        first_seen_at, first = self._contents.setdefault((zone, serial), (who, digest))
        if digest != first:
            self.faults.append(f"{zone} serial {serial}: {who} has other contents than {first_seen_at} had")
        for fault in halves(zone, rows):
            self.faults.append(f"{zone} serial {serial} at {who}: {fault}")

    def end(self) -> None:
        self._ending.set()
        self.join(20)


def halves(zone: str, rows: list[Row]) -> Iterator[str]:
    """What is there by half: a batch without all its records; an import mixed with another, or not whole."""
    if zone == IMPORTED:
        generations = Counter(generation(row) for row in rows if row.owner.startswith("h"))
        if list(generations.values()) != [IMPORT_SIZE]:
            yield f"not one whole import: {dict(generations)}"
        return
    batches = Counter(row.owner.partition("-")[0] for row in rows if row.owner.startswith("b"))
    yield from (f"{count} records of batch {batch}" for batch, count in batches.items() if count != BATCH)


def generation(row: Row) -> int:
    """The number in the TXT of an imported record: which import it came with."""
    return int(row.rdata[1:])


class World:
    """A server with its BIND, what was tried, and what was acknowledged."""

    def __init__(self, server: Server, bind: Bind, directory: Path, name: str) -> None:
        self.server, self.bind, self.directory = server, bind, directory
        self.random = random.Random(f"{SEED} {name}")
        self.number = 0
        self.acknowledged: set[str] = set()  # owners that must be there
        self.imported = 0  # the newest acknowledged import
        self.usual: dict[Kind, float] = {}  # seconds that a command takes when nobody disturbs it
        self.observer = Observer({"dnsserver": server.endpoint, "BIND": bind.endpoint})

    def command(self, kind: Kind) -> tuple[list[str], Callable[[], None]]:
        """The next change of this kind: the CLI's words, and what to note when it was acknowledged."""
        self.number += 1
        number = self.number
        file = self.directory / f"{kind}{number}"
        if kind == "edit":
            words = ["record", "add", EDITED, f"e{number}", "TXT", str(number)]
            return words, lambda: self.acknowledged.add(f"e{number}.{EDITED}")
        if kind == "batch":
            owners = [f"b{number}-{part}.{EDITED}" for part in range(BATCH)]
            lines = [f"zone {EDITED}", "ttl 60", *(f"update add {owner} TXT {number}" for owner in owners), "send"]
            file.write_text("\n".join([*lines, ""]))
            return ["record", "apply", str(file)], lambda: self.acknowledged.update(owners)
        file.write_text(imported(number))
        words = ["zone", "import", IMPORTED, str(file), "--replace"]
        return words, lambda: setattr(self, "imported", max(self.imported, number))

    def run(self, kind: Kind, moment: Callable[[subprocess.Popen[str]], None]) -> None:
        """Starts a command, lets ``moment`` happen, and notes whether it was acknowledged."""
        words, acknowledge = self.command(kind)
        process = self.server.cli_start(*words)
        moment(process)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 1, 6, 7, -signal.SIGKILL), f"{words}: {process.returncode} {out}{err}"
        assert "Traceback" not in err, err
        if process.returncode == 0:
            acknowledge()

    def measure(self) -> None:
        for kind in WITH_SERVER:
            begun = time.monotonic()
            self.run(kind, lambda process: None)
            self.usual[kind] = time.monotonic() - begun

    def kill_cli(self, kind: Kind) -> None:
        # The first part of a command's life is the interpreter's start: most kills fall into the rest.
        pause = self.random.uniform(0.25, 1.15) * self.usual[kind]

        def moment(process: subprocess.Popen[str]) -> None:
            time.sleep(pause)  # the random moment itself
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

        self.run(kind, moment)

    def settle(self) -> None:
        """Everything acknowledged is served, nothing by half, and BIND comes to equal us."""
        for zone in (EDITED, IMPORTED):
            serial = self.server.cli("record", "add", zone, f"settled{self.number}", "TXT", "x", "--json").json
            self.server.wait_serial(zone, serial["new_serial"], 20)
            self.number += 1
        ours = {zone: self.server.axfr(zone) for zone in (EDITED, IMPORTED)}
        for zone, rows in ours.items():
            assert not list(halves(zone, rows)), zone
            self.bind.wait_serial(zone, client.serial_of(rows), 60)
            theirs = self.bind.axfr(zone)
            assert rows == theirs, difference(rows, theirs)
        missing = self.acknowledged - {row.owner for row in ours[EDITED]}
        assert not missing, f"acknowledged, but not there: {sorted(missing)}"
        (found,) = {generation(row) for row in ours[IMPORTED] if row.owner.startswith("h")}
        assert self.imported <= found <= self.number
        assert not self.observer.faults, "\n".join(self.observer.faults[:20])

    def end(self) -> None:
        self.settle()
        self.observer.end()
        assert not self.observer.faults, "\n".join(self.observer.faults[:20])
        assert min(self.observer.snapshots[who] for who in ("dnsserver", "BIND")) > 20, "the observer saw nothing"
        for zone in (EDITED, IMPORTED):
            entries = self.server.cli("zone", "history", zone, "--limit", "100000", "--json").json["entries"]
            serials = Counter(entry["new_serial"] for entry in entries)
            assert not [serial for serial, count in serials.items() if count > 1], "a serial was used twice"
        assert self.server.stop() == 0
        with contextlib.closing(sqlite3.connect(self.server.database)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert not database.execute("PRAGMA foreign_key_check").fetchall()


def imported(number: int) -> str:
    return HEAD + "".join(f"h{line} TXT {number}\n" for line in range(IMPORT_SIZE))


@pytest.fixture
def world(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[World]:
    bind: Bind = make_peer(Bind)
    server: Server = make_server()
    server.allow_everywhere("127.0.0.1")
    for zone, lines in ((EDITED, []), (IMPORTED, [f"h{line} TXT 0" for line in range(IMPORT_SIZE)])):
        import_zone(server, tmp_path, lines, zone)
        server.cli("zone", "set", zone, f"also-notify={bind.address}:{bind.port}")
        bind.add_secondary_zone(zone, server.endpoint)
    bind.start()
    for zone in (EDITED, IMPORTED):
        bind.wait_serial(zone, 1, 20)
    made = World(server, bind, tmp_path, request.node.name)
    made.observer.start()
    yield made
    made.observer.end()


def shuffled(world: World, counts: dict[K, int]) -> list[K]:
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    world.random.shuffle(kinds)
    return kinds


def test_the_cli_is_killed_while_the_server_runs(world: World) -> None:
    world.measure()
    for number, kind in enumerate(shuffled(world, WITH_SERVER), 1):
        world.kill_cli(kind)
        if number % 20 == 0:
            world.settle()
    world.end()


def test_the_cli_is_killed_alone_on_the_database(world: World) -> None:
    """No server runs: it is the CLI's own process that writes SQL."""
    world.server.stop()
    world.measure()
    for number, kind in enumerate(shuffled(world, ALONE), 1):
        world.kill_cli(kind)
        if number % 15 == 0:
            world.server.start()
            world.settle()
            world.server.stop()
    world.server.start()
    world.end()


class Editor(threading.Thread):
    """Adds records over the control socket, one after the other without a pause, so that a kill meets a commit."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(daemon=True)
        self._world, self._prefix = world, name
        self._ending = threading.Event()
        self.acknowledged: set[str] = set()
        self.errors: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._ending.is_set():
            number += 1
            name = f"s{self._prefix}x{number}"
            try:
                self._world.server.control("record.add", zone=EDITED, name=name, type="TXT", rdata=["x"], ttl=None)
                self.acknowledged.add(f"{name}.{EDITED}")
            except ControlError as error:
                # Two at once: the later one is told so, and nothing is done.
                if error.code not in ("conflict", "store-failed"):
                    self.errors.append(str(error))
            except (OSError, EOFError):
                self._ending.wait(0.02)

    def end(self) -> None:
        self._ending.set()
        self.join(40)
        assert not self.errors, self.errors[:5]


@pytest.mark.parametrize("half", [1, 2])
def test_the_servers_processes_are_killed(world: World, half: int) -> None:
    world.measure()
    for number, role in enumerate(shuffled(world, HALF), 1):
        editor = Editor(world, str(number))
        editor.start()

        def moment(process: subprocess.Popen[str], role: Role | Literal["all"] = role) -> None:
            time.sleep(world.random.uniform(0, world.usual["import"]))  # the random moment itself
            world.server.kill(role)
            if role in ("supervisor", "all"):
                world.server.start()
            else:
                world.server.wait_ready()

        world.run("import" if number % 2 else "batch", moment)
        editor.end()
        world.acknowledged |= editor.acknowledged
        if number % 20 == 0:
            world.settle()
    world.end()
    assert len(world.acknowledged) > sum(HALF.values()), "the kills met no edits"


def test_there_are_two_hundred_moments() -> None:
    assert sum(WITH_SERVER.values()) + sum(ALONE.values()) + 2 * sum(HALF.values()) == 200
