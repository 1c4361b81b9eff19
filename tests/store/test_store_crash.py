"""A process that is killed in the midst of its changes: what it was told is done is there, nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dnsserver.store import feed, outbox, zones
from dnsserver.store.database import Database
from dnsserver.zone.changeset import identity
from dnsserver.zone.records import Record
from tests.support.stores import APEX, WHO, journal_chain, make_zone, ns, soa

ROOT = Path(__file__).parents[2]

# Adds a record and takes the one before it away, or writes new contents and flips, and prints each serial once done.
WRITER = """
    import sys
    from dnsserver.store import zones
    from dnsserver.store.commit import commit_change, flip
    from dnsserver.store.database import Database
    from tests.support.stores import APEX, WHO, a, ns, soa, step
    db = Database.open(sys.argv[1])
    with db.read() as conn:
        zone = zones.get(conn, APEX)
    print("ready", flush=True)
    while True:
        last, following = zone.serial, zone.serial + 1
        filler = [a(f"f{number}-{following}") for number in range(20)]
        old = [a(f"f{number}-{last}") for number in range(20)] if last > 1 else []
        if following % 10 == 0:
            written = zones.write_contents(db, [soa(following), ns(), *filler], WHO.now)
            with db.write() as conn:
                zone = flip(conn, zone, written, step(zone, old, filler), WHO)
        else:
            with db.write() as conn:
                zone = commit_change(conn, zone, step(zone, old, filler), WHO)
        print(zone.serial, flush=True)
    """


def check(db: Database, acknowledged: int) -> int:
    """That records, serial, journal, feed and outbox tell the same, and nothing acknowledged is lost; the serial."""
    with db.read() as conn:
        zone = zones.get(conn, APEX)
        # At most the one change that was committed before it was told is ahead.
        assert acknowledged <= zone.serial <= acknowledged + 1
        assert zone.version == zone.serial
        found = list(zones.records(conn, zone))
        assert len(found) == zone.record_count
        assert soa(zone.serial) in found
        assert {
            record.owner.split(b"-")[-1][: -len(APEX)] for record in found if record not in (soa(zone.serial), ns())
        } <= {str(zone.serial).encode()}
        chain = journal_chain(conn, zone.id, 1, zone.version) if zone.version > 1 else []
        assert chain is not None
        contents: dict[object, Record] = {identity(record): record for record in (soa(1), ns())}
        for step in chain:
            for record in step.removed:
                del contents[identity(record)]
            for record in step.added:
                contents[identity(record)] = record
        assert set(contents) == {identity(record) for record in found}
        assert feed.head(conn).seq == zone.version
        assert outbox.pending(conn) == [(zone.id, zone.version, zone.serial)]
    return zone.serial


def run_killed(url: str, moment: float) -> int:
    """Runs the writer, kills it ``moment`` seconds after its first change; the last serial that it told."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), url],
        cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    first = child.stdout.readline()
    try:
        child.wait(moment)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    told = (first + child.stdout.read()).split(b"\n")[:-1]
    child.wait()
    assert child.returncode == -signal.SIGKILL
    return int(told[-1]) if told else 0


@pytest.mark.faults
@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.long)])
def test_killed_in_the_midst_of_commits(sqlite_url: str, rounds: int) -> None:
    """DESIGN, 1: what was acknowledged is never lost; a change is whole or absent; no serial is used twice."""
    db = Database.open(sqlite_url)
    make_zone(db)
    db.close()
    chance = random.Random(1)
    serial = 1
    for _ in range(rounds):
        told = run_killed(sqlite_url, chance.uniform(0.005, 0.15))
        db = Database.open(sqlite_url)
        assert told == 0 or told > serial
        serial = check(db, told or serial)
        zones.prune_contents(db, WHO.now + 1e6)
        db.close()
    assert serial > rounds
