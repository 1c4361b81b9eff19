"""Who is to be told of a zone's change (R8): from the store, and from the resolver for names of others' zones."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from dnsserver.protocol.notify_targets import targets_of
from dnsserver.store import access, contents, zones
from dnsserver.store.database import Database
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import AAAA, NS, SOA, A
from dnsserver.zone.settings import Target

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
    """What the store knows: the SOA, the apex NS set, and the addresses of those names ``to_be_told`` that are in own
    zones. The others of them are for the resolver.
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

    @property
    def to_be_told(self) -> tuple[bytes, ...]:
        """The name servers whose addresses are asked for: what is read of others, nobody needs."""
        settings = self.zone.settings
        if not settings.notify or settings.notify_to_soa:
            return self.name_servers if settings.notify else ()
        primary = self.primary_name
        return tuple(name for name in self.name_servers if name != primary)

    def targets(self, addresses: Mapping[bytes, Addresses], listen: Iterable[str]) -> tuple[Target, ...]:
        """Whom to tell, by the ``addresses`` of name servers; ``listen``: what this server listens on."""
        return targets_of(
            role=self.zone.role,
            settings=self.zone.settings,
            name_servers=addresses,
            primary_name=self.primary_name,
            zone_entries=self.entries,
            lists=self.lists,
            own=own_addresses(listen, [address for found in addresses.values() for address in found]),
            super_slave_ports=self.ports,
        )


def facts_of(database: Database, ids: Sequence[int]) -> dict[int, ZoneFacts]:
    """Those of some zones, a few hundred, by few queries: by zone id, without zones that are not here any more, or have
    no contents yet.
    """
    with database.read() as conn:
        here = [zone for zone in zones.by_ids(conn, ids) if zone.deleted is None and zone.version]
        apexes = contents.at_names(conn, [(zone.contents, zone.name) for zone in here], (SOA, NS))
        entries = access.all_zone_entries(conn, ids)
        lists, ports = access.lists(conn), access.notify_ports(conn)
        found = {}
        for zone in here:
            apex = apexes[zone.contents, zone.name]
            (soa,) = (record for record in apex if record.type == SOA)
            servers = tuple(dict.fromkeys(record.rdata.lower() for record in apex if record.type == NS))
            found[zone.id] = ZoneFacts(zone, soa, servers, {}, entries.get(zone.id, ()), lists, ports)
        return _with_addresses(conn, found)


def _with_addresses(conn: Connection, found: Mapping[int, ZoneFacts]) -> dict[int, ZoneFacts]:
    """The facts with the addresses of name servers, from the zones that hold them; of those alone that may be told."""
    wanted = {server for facts in found.values() for server in facts.to_be_told}
    parents = zones.live(conn, {name for server in wanted for name in names.ancestors(server)})
    nearest = (
        (server, next((row for name in names.ancestors(server) if (row := parents.get(name))), None))
        for server in wanted
    )
    holding = {server: row for server, row in nearest if row is not None}
    stored = contents.at_names(conn, [(row.contents, server) for server, row in holding.items()], (A, AAAA))
    held = {server: (row.name, _addresses(stored[row.contents, server])) for server, row in holding.items()}

    def known(facts: ZoneFacts) -> dict[bytes, Addresses]:
        pairs = ((server, *held[server]) for server in facts.to_be_told if server in held)
        # In an own zone, but delegated away and without glue: others know.
        return {server: addresses for server, apex, addresses in pairs if addresses or apex == facts.zone.name}

    return {zone_id: replace(facts, addresses=known(facts)) for zone_id, facts in found.items()}


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
        if (known := self.fresh(name)) is not None:
            return known
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.create_task(self._resolve(name))
            asked.add_done_callback(lambda _: self._asked.pop(name, None))
        return await asyncio.shield(asked)

    def fresh(self, name: bytes) -> Addresses | None:
        """What ``addresses`` would return at once; None where it would have to ask."""
        known = self._known.get(name)
        return None if known is None or self.until(name) <= asyncio.get_running_loop().time() else known[1]

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
