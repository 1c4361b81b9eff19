"""Databases and zones for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from dnsserver.store import journal, zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA, A
from dnsserver.zone.settings import ZoneSettings

APEX = names.from_text("example.com.")
WHO = Who("jane", "test", 1_000_000.0)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without zones, made once, since migrations take a while: tests copy it."""
    file = tmp_path_factory.mktemp("empty") / "dnsserver.db"
    Database.open(f"sqlite:///{file}", create=True).close()
    return file


def soa(serial: int, apex: bytes = APEX) -> Record:
    """An SOA whose names are below the apex."""
    tail = b"".join(number.to_bytes(4, "big") for number in (serial, 3600, 600, 86400, 300))
    return Record(apex, SOA, 3600, b"\x02ns" + apex + b"\x04host" + apex + tail)


def ns(apex: bytes = APEX) -> Record:
    return Record(apex, NS, 3600, b"\x02ns" + apex)


def a(label: str, last: int = 1, ttl: int = 300, apex: bytes = APEX) -> Record:
    """An address record of 192.0.2.``last``."""
    return Record(names.from_text(label, apex), A, ttl, bytes((192, 0, 2, last)))


def make_zone(
    db: Database, records: Iterable[Record] = (), serial: int = 1, apex: bytes = APEX, now: float = WHO.now
) -> ZoneRow:
    """A primary zone with SOA, NS and these records."""
    who = Who(WHO.user, WHO.source, now)
    with db.write() as conn:
        return zones.create(conn, apex, Role.PRIMARY, ZoneSettings(), [soa(serial, apex), ns(apex), *records], who)


def step(
    zone: ZoneRow, removed: Iterable[Record] = (), added: Iterable[Record] = (), serial: int | None = None
) -> Changeset:
    """A changeset that fits the zone, to the next serial."""
    following = serial if serial is not None else zone.serial + 1
    return Changeset((soa(zone.serial, zone.name), *removed), (soa(following, zone.name), *added))


def all_records(db: Database, zone: ZoneRow) -> list[Record]:
    with db.read() as conn:
        return list(zones.records(conn, zone))


def journal_chain(conn: Connection, zone_id: int, serial: int, version: int) -> list[Changeset] | None:
    """What ``journal.chain`` finds, decoded."""
    found = journal.chain(conn, zone_id, serial, version)
    return None if found is None else [Changeset.decode(encoded) for encoded in found]
