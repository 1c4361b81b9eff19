"""Many small zones of ten records each, and how each server is given them all at once."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from dnsserver.store import zones as stored
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.zone.access import Role
from dnsserver.zone.records import Record
from dnsserver.zone.settings import ZoneSettings

from . import zones
from .servers import Site, configure_bind, configure_knot, configure_nsd, configure_ours, configure_powerdns

RECORDS = 10
HOSTS = RECORDS - 3
_TIMES = (1, 3600, 900, 1209600, 300)
# The tables that have rows of a zone, and their numbers that are another for each.
_OURS = {
    "contents": ("id",),
    "zones": ("id", "contents"),
    "records": ("contents",),
    "journal": ("zone",),
    "feed": ("seq", "zone"),
    "history": ("id",),
    "outbox": ("zone",),
}
SOA, NS, A = 6, 2, 1


def names(count: int) -> list[str]:
    return [f"zone-{number:06d}.example." for number in range(count)]


def write(path: Path) -> None:
    """The master file that all of them share: its names are relative."""
    times = " ".join(map(str, _TIMES))
    hosts = "".join(f"host-{i} 3600 IN A 10.0.0.{i}\n" for i in range(HOSTS))
    path.write_text(f"@ 3600 IN SOA ns1 hostmaster {times}\n@ 3600 IN NS ns1\nns1 3600 IN A 192.0.2.1\n{hosts}")


def _wire(apex: bytes) -> Iterator[Record]:
    server = b"\3ns1" + apex
    times = b"".join(number.to_bytes(4, "big") for number in _TIMES)
    yield Record(apex, SOA, 3600, server + b"\x0ahostmaster" + apex + times)
    yield Record(apex, NS, 3600, server)
    yield Record(server, A, 3600, bytes((192, 0, 2, 1)))
    for i in range(HOSTS):
        yield Record(b"\6host-%d" % i + apex, A, 3600, bytes((10, 0, 0, i)))


def _ours(site: Site) -> None:
    """The first by the store, and copies of its rows: as many commands would take hours, the store minutes."""
    configure_ours(site)
    path = site.folder / "dnsserver.db"
    first = next(iter(site.zones))
    apex, who = zones.wire_name(first), Who("bench", "cli", 1_000_000.0)
    with Database.open(f"sqlite:///{path}", create=True) as db, db.write() as conn:
        stored.create(conn, apex, Role.PRIMARY, ZoneSettings(), _wire(apex), who, kind="import")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for table, ids in _OURS.items():
            _copy(database, table, ids, [zone.partition(".")[0] for zone in site.zones])
        database.execute("UPDATE feed_head SET seq = ?", (len(site.zones),))


def _copy(database: sqlite3.Connection, table: str, ids: Collection[str], labels: Sequence[str]) -> None:
    """The rows of the first zone, whose numbers are all 1, for each other one; all labels are of the same length."""
    found = database.execute(f"SELECT * FROM {table} WHERE {next(iter(ids))} = 1")
    numbered = [column[0] in ids for column in found.description]
    rows, first = found.fetchall(), labels[0]
    places = ", ".join("?" * len(numbered))

    def copies() -> Iterator[list[Any]]:
        for number, label in enumerate(labels[1:], 2):
            old, new = first.encode(), label.encode()
            for row in rows:
                yield [
                    number
                    if is_number
                    else value.replace(old, new)
                    if isinstance(value, bytes)
                    else value.replace(first, label)
                    if isinstance(value, str)
                    else value
                    for value, is_number in zip(row, numbered, strict=True)
                ]

    database.executemany(f"INSERT INTO {table} VALUES ({places})", copies())


def _powerdns(site: Site) -> None:
    """By SQL, for the same reason."""
    configure_powerdns(site)
    times = " ".join(map(str, _TIMES))
    with sqlite3.connect(site.folder / "pdns.sqlite") as database:
        for number, zone in enumerate(site.zones, 1):
            apex = zone.rstrip(".")
            rows = [(apex, "SOA", f"ns1.{apex} hostmaster.{apex} {times}"), (apex, "NS", f"ns1.{apex}")]
            rows += [(f"ns1.{apex}", "A", "192.0.2.1"), *((f"host-{i}.{apex}", "A", f"10.0.0.{i}") for i in range(7))]
            database.execute("INSERT INTO domains (id, name, type) VALUES (?, ?, 'NATIVE')", (number, apex))
            database.executemany(
                f"INSERT INTO records (domain_id, name, type, content, ttl, auth) VALUES ({number}, ?, ?, ?, 3600, 1)",
                rows,
            )
    database.close()


PREPARE: dict[str, Callable[[Site], None]] = {
    "dnsserver": _ours,
    "BIND": configure_bind,
    "NSD": configure_nsd,
    "Knot": configure_knot,
    "PowerDNS": _powerdns,
}
