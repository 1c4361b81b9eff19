"""Records a second of a full transfer, read by a client that does nothing but count them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import zones
from .process import Cores
from .running import Running, Say, rotated, running
from .servers import Server
from .tcp import connected

AXFR = 252
_READ = 1 << 18


class Round(NamedTuple):
    wall: float
    processor: float
    octets: int
    messages: int


def request(zone: str) -> bytes:
    """For a full transfer, after its ID."""
    return zones.query(zones.wire_name(zone), b"", type_=AXFR).body


def read_transfer(address: tuple[str, int], records: int, body: bytes) -> tuple[int, int]:
    """Octets and messages of a transfer (RFC 5936, 2.2), read until ``records`` and the final SOA were counted.

    Raises RuntimeError when it ends before, or is refused.
    """
    query = b"\x12\x34" + body
    left, octets, messages = records + 1, 0, 0
    buffer = bytearray()
    with connected(address) as sock:
        sock.sendall(len(query).to_bytes(2, "big") + query)
        while left > 0:
            chunk = sock.recv(_READ)
            if not chunk:
                raise RuntimeError(f"the transfer ended {left} records early")
            octets += len(chunk)
            buffer += chunk
            records_in, messages_in = count_records(buffer)
            left -= records_in
            messages += messages_in
    if left:
        raise RuntimeError(f"{-left} records too many")
    return octets, messages


def count_records(buffer: bytearray) -> tuple[int, int]:
    """Records and messages of all whole messages, which are taken out of it. Raises RuntimeError at an RCODE."""
    records = messages = at = 0
    end = len(buffer)
    while end - at >= 14 and end - at >= (size := int.from_bytes(buffer[at : at + 2], "big") + 2):
        if buffer[at + 5] & 0x0F:
            raise RuntimeError(f"RCODE {buffer[at + 5] & 0x0F}")
        records += int.from_bytes(buffer[at + 8 : at + 10], "big")
        messages += 1
        at += size
    del buffer[:at]
    return records, messages


def _round(server: Running, records: int) -> Round:
    before, begin = server.processor_seconds(), time.perf_counter()
    octets, messages = read_transfer(server.address, records, request(zones.BIG))
    wall = time.perf_counter() - begin
    return Round(wall, server.processor_seconds() - before, octets, messages)


def run(
    servers: Sequence[Server], folder: Path, cores: Cores, names: int, rounds: int, say: Say
) -> list[dict[str, object]]:
    """A row for each server, of a zone with ``names`` records: its first transfer after the start, and the median of
    those that follow."""
    path = folder / "big.zone"
    records = zones.write(path, zones.BIG, names)
    probe = zones.query(zones.wire_name(zones.BIG), b"", type_=6)
    found: dict[str, list[Round]] = {server.name: [] for server in servers}
    with running(servers, {zones.BIG: path}, [probe], folder, cores, say) as up:
        for number in range(rounds + 1):
            for server in rotated(up, number):
                found[server.name].append(_round(server, records))
    return [_row(name, records, each) for name, each in found.items()]


def _row(name: str, records: int, rounds: list[Round]) -> dict[str, object]:
    first, later = rounds[0], rounds[1:] or rounds
    return {
        "server": name,
        "records": records,
        "first_rate": round(records / first.wall),
        "rate": round(records / median(each.wall for each in later)),
        "processor_microseconds": round(median(each.processor for each in later) / records * 1e6, 3),
        "octets": first.octets,
        "messages": first.messages,
    }
