"""Zones for the black-box tests. Their name servers have loopback addresses: no NOTIFY leaves the machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .server import Server

ZONE = "example.test."
HEAD = """$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.71
"""
HEAD_RECORDS = 3


def import_zone(server: Server, directory: Path, lines: Iterable[str] = (), zone: str = ZONE) -> None:
    """ZONE with these lines beside SOA, NS and an address; served when this returns."""
    path = directory / f"{zone}import"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    server.cli("zone", "import", zone, str(path), timeout=120)
    server.wait_serial(zone, 1, 30)


def large(count: int) -> Iterable[str]:
    """Lines of some 220 octets in wire form each."""
    return (f"h{number} TXT {'x' * 200}" for number in range(count))
