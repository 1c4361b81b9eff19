"""Records a second of full transfers, read by a client that does nothing but count: alone, signed, many at once."""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import signing, zones
from .process import Cores
from .running import Running, Say, rotated, running
from .servers import Server, Site
from .sizes import Size
from .starting import memory, settle
from .tcp import connected

AXFR = 252
_READ = 1 << 18
_ID = b"\x12\x34"
_LOOK = 0.25  # seconds between looks at memory
_MANY_FOR = 60.0  # seconds, about, that transfers at once may take where all of them would take more than twice that
_SILENT = 300.0  # seconds in which none of them gets an octet, after which they are broken


class Round(NamedTuple):
    wall: float
    processor: float
    octets: int
    messages: int


class Many(NamedTuple):
    """Transfers at once: seconds for all, and megabytes of the server before, at most meanwhile, and after."""

    wall: float
    processor: float
    before: float
    during: float
    after: float


def request(zone: str) -> bytes:
    """For a full transfer, after its ID."""
    return zones.query(zones.wire_name(zone), b"", type_=AXFR).body


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def read_transfer(
    address: tuple[str, int], records: int, body: bytes, keep: list[bytes] | None = None
) -> tuple[int, int]:
    """Octets and messages of a transfer (RFC 5936, 2.2), read until ``records`` and the final SOA were counted.

    ``keep`` takes what came. Raises RuntimeError when it ends before, or is refused.
    """
    left, octets, messages = records + 1, 0, 0
    buffer = bytearray()
    with connected(address) as sock:
        sock.sendall(framed(_ID + body))
        while left > 0:
            chunk = sock.recv(_READ)
            if not chunk:
                raise RuntimeError(f"the transfer ended {left} records early")
            octets += len(chunk)
            buffer += chunk
            if keep is not None:
                keep.append(chunk)
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


class _Reader:
    """One of many transfers; its connection is not waited for, as a server may be busy with the others first."""

    def __init__(self, address: tuple[str, int], records: int) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(address)
        self._left, self._asked = records + 1, False
        self._buffer = bytearray()

    def step(self) -> bool:
        """What can be done now; whether there is more. Raises RuntimeError when it ends early, and OSError."""
        if not self._asked:
            self.socket.sendall(framed(_ID + request(zones.BIG)))
            self._asked = True
            return True
        chunk = self.socket.recv(_READ)
        if not chunk:
            raise RuntimeError(f"a transfer among others ended {self._left} records early")
        self._buffer += chunk
        self._left -= count_records(self._buffer)[0]
        return self._left > 0


def read_many(address: tuple[str, int], records: int, count: int, look: Callable[[], None]) -> None:
    """So many transfers at once; ``look`` is done again and again meanwhile. Raises RuntimeError as one alone does."""
    with contextlib.ExitStack() as stack:
        waiting = stack.enter_context(selectors.DefaultSelector())
        for _ in range(count):
            reader = _Reader(address, records)
            stack.enter_context(reader.socket)
            waiting.register(reader.socket, selectors.EVENT_WRITE, reader)
        heard = time.monotonic()
        while waiting.get_map():
            look()
            if ready := waiting.select(_LOOK):
                heard = time.monotonic()
            elif time.monotonic() > heard + _SILENT:
                raise RuntimeError(f"{len(waiting.get_map())} of {count} transfers at once do not go on")
            for key, _ in ready:
                if not key.data.step():
                    waiting.unregister(key.fileobj)
                elif key.events == selectors.EVENT_WRITE:
                    waiting.modify(key.fileobj, selectors.EVENT_READ, key.data)


def at_once(transfers: int, seconds: float) -> int:
    """How many, of a server that takes so many seconds for one: fewer where all would take minutes."""
    return transfers if transfers * seconds <= 2 * _MANY_FOR else max(2, int(_MANY_FOR / seconds))


def _round(server: Running, records: int) -> Round:
    before, begin = server.processor_seconds(), time.perf_counter()
    octets, messages = read_transfer(server.address, records, request(zones.BIG))
    wall = time.perf_counter() - begin
    return Round(wall, server.processor_seconds() - before, octets, messages)


def _signed(server: Running, records: int, *, verified: bool) -> Round:
    """One with TSIG; it is verified when the clock has stopped."""
    message, mac = signing.signed(_ID + request(zones.BIG))
    came: list[bytes] | None = [] if verified else None
    before, begin = server.processor_seconds(), time.perf_counter()
    octets, messages = read_transfer(server.address, records, message[2:], came)
    wall, spent = time.perf_counter() - begin, server.processor_seconds() - before
    if came is not None:
        signing.verify(b"".join(came), mac)
    return Round(wall, spent, octets, messages)


def _many(server: Running, records: int, count: int) -> Many:
    pid = server.daemon.pid
    settle(pid)
    held, looked = [sum(memory(pid))], 0.0

    def look() -> None:
        nonlocal looked
        if time.monotonic() > looked + _LOOK:
            held.append(sum(memory(pid)))
            looked = time.monotonic()

    before, begin = server.processor_seconds(), time.perf_counter()
    read_many(server.address, records, count, look)
    wall, spent = time.perf_counter() - begin, server.processor_seconds() - before
    settle(pid)
    return Many(wall, spent, held[0], max(held), sum(memory(pid)))


def _permitting(server: Server) -> Server:
    def prepare(site: Site) -> None:
        server.prepare(site)
        signing.permit(site, server.name)

    return dataclasses.replace(server, prepare=prepare)


def run(servers: Sequence[Server], folder: Path, cores: Cores, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server: its first transfer after the start, the medians of those that follow, plain and signed,
    and many at once."""
    path = folder / "big.zone"
    records = zones.write(path, zones.BIG, size.names)
    probe = zones.query(zones.wire_name(zones.BIG), b"", type_=6)
    plain: dict[str, list[Round]] = {server.name: [] for server in servers}
    signed: dict[str, list[Round]] = {server.name: [] for server in servers}
    many: dict[str, tuple[int, Many]] = {}
    with running([_permitting(server) for server in servers], {zones.BIG: path}, [probe], folder, cores, say) as up:
        for number in range(size.rounds + 1):
            say(f"round {number} of {size.rounds}" if number else "the first of each")
            for server in rotated(up, number):
                plain[server.name].append(_round(server, records))
            for server in rotated(up, number):
                signed[server.name].append(_signed(server, records, verified=not number))
        for server in up:
            count = at_once(size.transfers, median(each.wall for each in plain[server.name][1:]))
            say(f"{server.name}: {count} at once")
            many[server.name] = count, _many(server, records, count)
    return [_row(name, records, plain[name], signed[name], *many[name]) for name in plain]


def _row(
    name: str, records: int, plain: list[Round], signed: list[Round], transfers: int, many: Many
) -> dict[str, object]:
    row: dict[str, object] = {"server": name, "records": records, "first_rate": round(records / plain[0].wall)}
    for prefix, rounds in (("", plain[1:]), ("signed_", signed[1:])):
        row[f"{prefix}rate"] = round(records / median(each.wall for each in rounds))
        row[f"{prefix}processor_microseconds"] = round(median(each.processor for each in rounds) / records * 1e6, 3)
        row[f"{prefix}octets"], row[f"{prefix}messages"] = rounds[0].octets, rounds[0].messages
    return row | {
        "transfers": transfers,
        "many_rate": round(transfers * records / many.wall),
        "many_processor_microseconds": round(many.processor / records / transfers * 1e6, 3),
        "memory": {field: round(getattr(many, field), 1) for field in ("before", "during", "after")},
    }
