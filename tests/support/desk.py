"""Operations on a real SQLite database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dnsserver import editing
from dnsserver.editing import Context, EditLimits, ZoneDefaults
from dnsserver.store import refresh, zones
from dnsserver.store.commit import Who, flip
from dnsserver.store.database import Database
from dnsserver.zone import names, rdata
from dnsserver.zone.records import Record, pack

NOW = 1_700_000_000.0


@dataclass
class Runtime:
    """A running server, as far as operations see it."""

    versions: dict[int, tuple[int, int]] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def served(self, zone_id: int) -> tuple[int, int] | None:
        return self.versions.get(zone_id)

    def notified(self, zone_id: int) -> int | None:
        return None

    def served_since(self, zone_id: int) -> float | None:
        return self.since.get(zone_id)

    def notified_since(self, zone_id: int) -> float | None:
        return None

    def notify_now(self, zone_id: int) -> None:
        self.asked.append(zone_id)


class Desk:
    """Runs operations as the keeper does."""

    def __init__(self, db: Database) -> None:
        self.context = Context(db, Who("alice", "cli", NOW), EditLimits(), ZoneDefaults(), "ns1.example.net", None, NOW)

    def change(self, **values: Any) -> None:
        """Another context: limits, defaults, runtime."""
        self.context = replace(self.context, **values)

    def __call__(self, name: str, /, **args: Any) -> dict[str, Any]:
        return self.full(name, args)[0]

    def full(self, name: str, args: Mapping[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        return editing.run(self.context, name, args, payload)

    def add(self, name: str, rtype: str, *rdatas: str, **more: Any) -> dict[str, Any]:
        return self("record.add", zone="example.com", name=name, type=rtype, rdata=list(rdatas), **more)

    def set(self, name: str, rtype: str, *rdatas: str, **more: Any) -> dict[str, Any]:
        return self("record.set", zone="example.com", name=name, type=rtype, rdata=list(rdatas), **more)

    def delete(self, name: str, rtype: str = "", *rdatas: str) -> dict[str, Any]:
        return self("record.delete", zone="example.com", name=name, type=rtype, rdata=list(rdatas))

    def apply(self, text: str) -> dict[str, Any]:
        return self("record.apply", text=text, source="batch")

    def load(self, zone: str, text: str, **more: Any) -> dict[str, Any]:
        """zone.import of lines ``OWNER TTL TYPE RDATA``."""
        return self.full("zone.import", {"name": zone, "source": "file", **more}, pack(lines(zone, text)))[0]

    def receive(self, zone: str, text: str, *, state: dict[str, Any] | None = None) -> None:
        """A secondary zone's whole contents, as a transfer brings them; and what is known of its refreshes since."""
        db, apex = self.context.db, names.from_user(zone)
        written = zones.write_contents(db, lines(zone, text), NOW)
        with db.write() as conn:
            after = flip(conn, zones.get(conn, apex), written, None, Who("192.0.2.1", "transfer", NOW), kind="axfr")
            refresh.save(conn, [(after.id, state)] if state is not None else [])

    def serial(self, zone: str = "example.com") -> int:
        serial = self("zone.status", name=zone)["serial"]["stored"]
        assert isinstance(serial, int)
        return serial

    def texts(self, zone: str = "example.com") -> list[str]:
        """The zone's records as ``OWNER TTL TYPE RDATA``, the SOA left out."""
        return [
            f"{r['name']} {r['ttl']} {r['type']} {r['rdata']}"
            for r in self("record.list", zone=zone)["records"]
            if r["type"] != "SOA"
        ]


def lines(zone: str, text: str) -> list[Record]:
    apex = names.from_user(zone)
    found = []
    for line in text.strip().splitlines():
        owner, ttl, rtype, data = line.split(None, 3)
        number = rdata.type_from_text(rtype)
        found.append(Record(names.from_text(owner, apex), number, int(ttl), rdata.from_text(number, data, apex)))
    return found
