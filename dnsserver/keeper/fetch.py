"""Transfers in: a zone is asked for, received, and committed (R6, R13, R14).

IXFR where there is something to start from, AXFR where that fails. A short transfer is worked on here, in threads; a
long one, and whatever has to look at a whole large zone, by a helper process (``fetch_child``), while this process
writes its rows. The old zone is served until the commit, which is one transaction.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from dnsserver.editing import receive
from dnsserver.editing.receive import BadDigest
from dnsserver.errors import DnsServerError
from dnsserver.events import Event, Value
from dnsserver.exchange import exchange
from dnsserver.keeper.fetch_jobs import Outcome
from dnsserver.keeper.fetch_work import Parsing, Work
from dnsserver.keeper.inbound import Inbound
from dnsserver.keeper.keyring import key_of
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.verdicts import failure_of
from dnsserver.protocol import refresh_events, xfrin
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.query import Rcode
from dnsserver.protocol.refresh import Fetched, soa_timers
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrin import Asked, BadTransfer, TransferIn, TransferLimits
from dnsserver.store import zones
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA
from dnsserver.zone.settings import Target
from dnsserver.zone.zonemd import Result, Status

# A transfer of more octets goes to a helper process; so does an AXFR of a zone that has more records than
# ``EditLimits.large`` already.
SHORT = 256 << 10
_UDP_SECONDS = 3.0
# Of no use to try again by AXFR. A question for IXFR that is not answered, or not signed well, may be all that is wrong
# with a primary (R14).
_FINAL = frozenset({"unreachable", "no-key", "internal"})


@dataclass(frozen=True, slots=True)
class _Start:
    """What a transfer starts from; ``soa`` None: there are no contents yet."""

    zone: ZoneRow
    soa: Record | None
    key: Key | None


class Fetcher:
    """Carries out what ``protocol.refresh`` calls a Fetch. ``happened``: told of what went on beside the outcome."""

    def __init__(
        self, settings: KeeperSettings, database: Database, offload: Offload, happened: Callable[[Event], None]
    ) -> None:
        self._settings = settings
        self._database = database
        self._offload = offload
        self._happened = happened

    def reconfigure(self, settings: KeeperSettings) -> None:
        """Take what a reload changed; transfers under way go on as they began."""
        self._settings = settings

    async def fetch(self, zone: ZoneRow, primary: Target, full: bool) -> Fetched | Failure:
        """Transfers the zone from this primary. What it returns as fetched is committed.

        ``full``: by AXFR, and taken whatever its serial.
        """
        one = _Fetch(self._settings, self._database, self._offload, self._happened, zone.id, primary, full)
        try:
            return await one.run()
        except TimeoutError:
            return Failure("too-slow", f"not done in {self._settings.transfer_in_time:g} s (transfer-in-time)")
        except DnsServerError as error:
            if isinstance(error, BadDigest):
                one.tell_digest(error.result)
            return failure_of(error)
        except OSError as error:  # no file, no process to be had
            return Failure("internal", error.strerror or str(error))


class _Fetch:
    """One transfer."""

    def __init__(
        self,
        settings: KeeperSettings,
        database: Database,
        offload: Offload,
        happened: Callable[[Event], None],
        zone_id: int,
        primary: Target,
        full: bool,
    ) -> None:
        self._settings = settings
        self._database = database
        self._offload = offload
        self._happened = happened
        self._zone_id = zone_id
        self._primary = primary
        self._full = full
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._start: _Start

    async def run(self) -> Fetched:
        """Raises DnsServerError, TimeoutError, OSError."""
        start = self._start = await self._offload(self._look)
        if start.soa is not None and self._wants_ixfr(start.zone):
            try:
                return await self._ixfr(start.soa)
            except DnsServerError as error:
                failure = failure_of(error)
                if failure.reason in _FINAL:
                    raise
                text = f"IXFR of zone {self._where} failed, trying AXFR ({error.message})"
                self._happened(Event("ixfr-fallback", self._about(failure.reason, text)))
        try:
            return await self._over_tcp(None)
        except BadTransfer as error:
            # RFC 6891, 7: a primary that knows no EDNS.
            if error.failure.rcode not in (Rcode.FORMERR, Rcode.NOTIMP):
                raise
        return await self._over_tcp(None, edns=False)

    def tell_digest(self, found: Result | None) -> None:
        """An event for a digest that is not right."""
        if found is not None and found.status is Status.MISMATCH:
            text = f"The digest (ZONEMD) of zone {self._where} is wrong: {found.detail}"
            self._happened(Event("zonemd-mismatch", self._about("zonemd", text)))
        elif found is not None and found.status is not Status.OK and self._start.zone.settings.zonemd == "require":
            text = f"There is no digest (ZONEMD) to verify zone {self._where} by: {found.detail}"
            self._happened(Event("zonemd-missing", self._about("zonemd", text)))

    def _look(self) -> _Start:
        with self._database.read() as conn:
            zone = receive.secondary(conn, self._zone_id)
            apex = zones.records(conn, zone, zone.name)
            soa = next((record for record in apex if record.type == SOA), None)
            key = key_of(conn, self._primary.key)
        if isinstance(key, Failure):
            raise BadTransfer(key)
        return _Start(zone, soa, key)

    def _wants_ixfr(self, zone: ZoneRow) -> bool:
        return self._settings.ixfr and zone.settings.ixfr != "off" and not self._full

    def _ask(self, soa: Record | None, *, edns: bool = True) -> tuple[bytes, Asked]:
        start = self._start
        return xfrin.build(
            start.zone.name, secrets.randbits(16), soa, start.key, time.time(), full=soa is None, expire=edns
        )

    @property
    def _limits(self) -> TransferLimits:
        return TransferLimits(self._settings.limits.zone, self._settings.tsig_fudge)

    async def _ixfr(self, soa: Record) -> Fetched:
        # R13: over UDP only with a key.
        if self._start.zone.settings.ixfr == "udp" and self._start.key is not None:
            transfer = await self._over_udp(soa)
            if transfer is not None:
                return await self._commit_changes(transfer)
        return await self._over_tcp(soa)

    async def _over_udp(self, soa: Record) -> TransferIn | None:
        """None: it is for TCP."""
        request, asked = self._ask(soa)

        def accept(packet: bytes) -> TransferIn | None:
            if not xfrin.is_answer(packet, asked):
                return None
            transfer = TransferIn(asked, self._limits, tcp=False)
            try:
                transfer.feed(packet, time.time())
            except BadTransfer as error:
                # What the primary has not signed is not from it.
                return None if error.failure.reason == "unauthenticated" else transfer
            return transfer

        primary, sources = self._primary, self._settings.outbound_addresses
        try:
            answer = await exchange(request, primary.address, primary.port, sources, _UDP_SECONDS, accept)
        except OSError:
            return None
        return answer if answer is not None and answer.is_done and answer.kind in ("ixfr", "current") else None

    async def _over_tcp(self, soa: Record | None, *, edns: bool = True) -> Fetched:
        request, asked = self._ask(soa, edns=edns)
        async with asyncio.timeout_at(self._begun + self._settings.transfer_in_time):
            received = await self._receive(request, asked)
        # From here on nothing stops it half-way.
        if isinstance(received, Outcome):
            self.tell_digest(await self._work.commit_long(received))
            return self._fetched(received.soa, received.kind, received, changed=received.how != "unchanged")
        if received.transfer.kind == "axfr":
            done = await self._work.commit_whole(received.gathered)
            self.tell_digest(done.digest)
            return self._fetched(received.transfer.soa.rdata, "axfr", received.transfer, changed=done.changed)
        return await self._commit_changes(received.transfer)

    async def _receive(self, request: bytes, asked: Asked) -> Parsing | Outcome:
        settings = self._settings
        idle, rate = settings.transfer_in_idle, settings.transfer_in_rate
        parsing, early, large = Parsing(asked, self._limits), b"", settings.limits.large
        async with Inbound(self._primary, settings.outbound_addresses, idle, rate) as stream:
            await stream.send(request)
            while not parsing.transfer.is_done:
                octets = await stream.octets()
                early += octets
                if len(early) > SHORT:
                    return await self._work.receive_long(asked, stream, early)
                await self._offload(parsing.feed, octets)
                if parsing.transfer.kind == "axfr" and self._start.zone.record_count > large:
                    return await self._work.receive_long(asked, stream, early)
        return parsing

    async def _commit_changes(self, transfer: TransferIn) -> Fetched:
        if transfer.kind == "ixfr":
            self.tell_digest(await self._work.commit_changes(transfer.changeset()))
        return self._fetched(transfer.soa.rdata, transfer.kind or "", transfer)

    def _fetched(self, soa: bytes, kind: str, counted: TransferIn | Outcome, *, changed: bool = True) -> Fetched:
        # Where nothing was newer than what is here; a retransfer that brings the same is one all the same.
        kind = kind if changed or self._full else "current"
        stored = self._start.soa if kind == "current" else None
        return Fetched(
            soa_timers(soa), kind, counted.expire, counted.messages, counted.octets, counted.records,
            self._loop.time() - self._begun, stored and soa_timers(stored.rdata),
        )  # fmt: skip

    @property
    def _work(self) -> Work:
        settings, where = self._settings, refresh_events.place(self._primary)
        who = Who("transfer", where, time.time())
        return Work(
            self._database, self._offload, settings.limits, self._start.zone, who, f"from {where}", self._full,
            settings.tsig_fudge,
        )  # fmt: skip

    @property
    def _where(self) -> str:
        return f"{names.to_text(self._start.zone.name).removesuffix('.')} from {self._primary.address}"

    def _about(self, reason: str, text: str) -> dict[str, Value]:
        """The fields of an event."""
        return {
            "zone": names.to_text(self._start.zone.name), "primary": refresh_events.place(self._primary),
            "reason": reason, "msg": text,
        }  # fmt: skip
