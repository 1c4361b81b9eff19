"""Who is to be told of a zone's change (R8): from the store, and from the resolver for names of others' zones."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from dnsserver.store import access, zones
from dnsserver.store.database import Database
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AAAA, NS, SOA, A

# Seconds that an answer of the system's resolver is used again; it does not tell the TTL.
_KEEP = 300.0
_KEEP_FAILURE = 30.0
_RESOLVE_WITHIN = 10.0
# Names asked for at once, each in a thread: of 100,000 zones made at once, many name the same few servers.
_AT_ONCE = 64

_KNOWN_MOST = 100_000

Addresses = tuple[str, ...]
Ask = Callable[[asyncio.AbstractEventLoop, str], Awaitable[Addresses]]


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What the store knows: the SOA, the apex NS set, and the addresses of those names that are in own zones.

    A name that is not in ``addresses`` is for the resolver.
    """

    zone: ZoneRow
    soa: Record
    name_servers: tuple[bytes, ...]
    addresses: dict[bytes, Addresses]
    entries: tuple[AccessEntry, ...]
    lists: AccessLists
    ports: dict[AccessEntry, int]

    @property
    def primary_name(self) -> bytes:
        """The SOA's MNAME, the first name of its rdata."""
        rdata = self.soa.rdata
        at = 0
        while rdata[at]:
            at += rdata[at] + 1
        return rdata[: at + 1].lower()


def facts_of(database: Database, zone_id: int) -> ZoneFacts | None:
    """None when the zone is not here any more, or has no contents yet."""
    with database.read() as conn:
        zone = zones.by_id(conn, zone_id)
        if zone is None or zone.deleted is not None or not zone.version:
            return None
        apex = list(zones.records(conn, zone, zone.name))
        soa = next(record for record in apex if record.type == SOA)
        servers = tuple(dict.fromkeys(record.rdata.lower() for record in apex if record.type == NS))
        known: dict[bytes, Addresses] = {}
        for server in servers:
            row = next((row for name in names.ancestors(server) if (row := zones.find(conn, name))), None)
            if row is not None:
                found = _addresses(zones.records(conn, row, server))
                # In an own zone, but delegated away and without glue: others know.
                if found or row.name == zone.name:
                    known[server] = found
        entries = access.zone_entries(conn, zone.id)
        return ZoneFacts(zone, soa, servers, known, entries, access.lists(conn), access.notify_ports(conn))


def _addresses(records: Iterable[Record]) -> Addresses:
    found = []
    for record in records:
        rtype, rdata = record.type, record.rdata
        if rtype == A:
            found.append(str(ipaddress.IPv4Address(rdata)))
        elif rtype == AAAA:
            found.append(str(ipaddress.IPv6Address(rdata)))
    return tuple(found)


class Resolver:
    """The system's resolver, off the loop, its answers kept for a while."""

    def __init__(self, ask: Ask | None = None) -> None:
        self._ask = ask or _in_thread
        self._known: dict[bytes, tuple[float, Addresses]] = {}
        self._asked: dict[bytes, asyncio.Task[Addresses]] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def addresses(self, name: bytes) -> Addresses:
        """The addresses of a name; none when it does not resolve. Who asks for the same name meanwhile waits, too."""
        loop = asyncio.get_running_loop()
        known = self._known.get(name)
        if known is not None and loop.time() < known[0]:
            return known[1]
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.create_task(self._resolve(name))
            asked.add_done_callback(lambda _: self._asked.pop(name, None))
        return await asyncio.shield(asked)

    def until(self, name: bytes) -> float:
        """Until when the name's last answer is used again, by the loop's clock."""
        known = self._known.get(name)
        return 0.0 if known is None else known[0]

    def remembered(self, name: bytes) -> Addresses | None:
        """What the name's last answer was, however old; None when there was none yet."""
        known = self._known.get(name)
        return None if known is None else known[1]

    async def _resolve(self, name: bytes) -> Addresses:
        loop = asyncio.get_running_loop()
        found: Addresses = ()
        async with self._free:
            try:
                async with asyncio.timeout(_RESOLVE_WITHIN):
                    # The final dot keeps the search list of resolv.conf out.
                    found = await self._ask(loop, names.to_text(name))
            except (TimeoutError, RuntimeError):  # RuntimeError: no thread is to be had
                found = ()
        if len(self._known) >= _KNOWN_MOST:
            self._known.clear()
        self._known[name] = (loop.time() + (_KEEP if found else _KEEP_FAILURE), found)
        return found


def _in_thread(loop: asyncio.AbstractEventLoop, host: str) -> asyncio.Future[Addresses]:
    """Ask in a thread that may hang without anybody waiting for it, not even the end of the process."""
    future: asyncio.Future[Addresses] = loop.create_future()

    def settle(found: Addresses) -> None:
        if not future.done():
            future.set_result(found)

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            found = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError):
            found = ()
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    return future


def own_addresses(listen: Iterable[str], candidates: Iterable[str]) -> frozenset[str]:
    """Which of the candidates this server answers on; where it listens on all addresses, the kernel knows."""
    listen = tuple(listen)
    return frozenset(
        address for address in candidates
        if address in listen or (("::" if ":" in address else "0.0.0.0") in listen and _is_local(address))
    )  # fmt: skip


def _is_local(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
    return True
