"""A secondary zone, its primary that does as its script says, and the fetcher between them."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dnsserver.events import Event
from dnsserver.keeper.fetch import Fetcher
from dnsserver.keeper.offload import Offload
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Fetched
from dnsserver.store import journal, keys, zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.secretbox import SecretBox
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names, zonemd
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA, ZONEMD
from dnsserver.zone.settings import Target, ZoneSettings
from tests.support import hostile
from tests.support.client import TsigKey
from tests.support.hostile import RR, Ask, Hosted, HostilePrimary, Step
from tests.support.keeping import keeper_settings

WHO = Who("jane", "test", 1_000_000.0)
APEX = names.from_text("example.com.")
KEY = TsigKey("xfr.example.")
KEY_NAME = names.from_text(KEY.name)
BOX = SecretBox(bytes(32))


@dataclass
class Place:
    """A secondary zone, its primary, and the fetcher between them."""

    db: Database
    primary: HostilePrimary
    settings: Any
    events: list[Event] = field(default_factory=list)

    def zone(self, **settings: Any) -> ZoneRow:
        with self.db.write() as conn:
            return zones.create(conn, APEX, Role.SECONDARY, ZoneSettings(**settings), (), WHO)

    def has_key(self) -> None:
        algorithm = names.from_text(KEY.algorithm + ".")
        with self.db.write() as conn:
            keys.put(conn, KEY_NAME, algorithm, base64.b64decode(KEY.secret), WHO)

    def answers(self, script: Callable[[Ask], Iterable[Step]], key: TsigKey | None = None) -> None:
        self.primary.zones["example.com."] = Hosted(script, key)

    def fetch(self, *, full: bool = False, key: bytes | None = None) -> Fetched | Failure:
        return asyncio.run(self.fetching(full=full, key=key))

    async def fetching(self, *, full: bool = False, key: bytes | None = None) -> Fetched | Failure:
        offload = Offload()
        endpoint = self.primary.endpoint
        try:
            fetcher = Fetcher(self.settings, self.db, offload, self.events.append)
            return await fetcher.fetch(self.row, Target(endpoint[0], endpoint[1], key), full)
        finally:
            offload.close()

    def serves(self, serial: int) -> None:
        self.answers(lambda ask: hostile.good(ask, serial))

    @property
    def row(self) -> ZoneRow:
        with self.db.read() as conn:
            return zones.get(conn, APEX)

    @property
    def records(self) -> list[Record]:
        with self.db.read() as conn:
            return sorted(record for record in zones.records(conn, self.row) if record.type != SOA)

    def expected(self, serial: int) -> list[Record]:
        return sorted(Record(rr.owner, rr.type, rr.ttl, rr.rdata) for rr in _ask().body(serial))

    def kinds(self) -> list[str]:
        """Of the journal's entries, the oldest first."""
        with self.db.read() as conn:
            return [entry.kind for entry in reversed(journal.entries(conn, self.row.id))]

    def leftovers(self) -> int:
        """Contents that are neither a zone's nor marked for pruning."""
        with self.db.read() as conn:
            return int(conn.exec_driver_sql("SELECT count(*) FROM contents WHERE state = 'writing'").scalar_one())


def _ask() -> Ask:
    return Ask(0, hostile.name("example.com."), hostile.AXFR, True, None, b"", None)


def _digest_record(ask: Ask, serial: int, *, wrong: bool = False) -> RR:
    """SIMPLE, SHA-384."""
    found = [Record(rr.owner, rr.type, rr.ttl, rr.rdata) for rr in (ask.soa(serial), *ask.body(serial))]
    found.sort(key=lambda record: names.key(record.owner.lower()))
    _, digests = zonemd.digests(APEX, found, [1])
    return RR(ask.apex, ZONEMD, serial.to_bytes(4, "big") + b"\x01\x01" + (bytes(48) if wrong else digests[1]))


def digested(ask: Ask, serial: int, *, wrong: bool = False) -> list[bytes]:
    """The zone with its digest, and the difference to the one before."""
    new = [*ask.body(serial), _digest_record(ask, serial, wrong=wrong)]
    if ask.serial is None:
        return [ask.reply([ask.soa(serial), *new, ask.soa(serial)])]
    old = [*ask.body(ask.serial), _digest_record(ask, ask.serial)]
    removed, added = [rr for rr in old if rr not in new], [rr for rr in new if rr not in old]
    soa = ask.soa(serial)
    return [ask.reply([soa, ask.soa(ask.serial), *removed, soa, *added, soa])]


@pytest.fixture
def place(tmp_path: Path, empty_file: Path) -> Iterator[Place]:
    file = tmp_path / "dnsserver.db"
    shutil.copy(empty_file, file)
    with Database.open(f"sqlite:///{file}", secret=BOX) as db, HostilePrimary() as primary:
        yield Place(db, primary, keeper_settings(transfer_in_idle=15.0, transfer_in_time=600.0))
        assert primary.errors == []
