"""Events as they happen: to the log, into the counters, and, gathered for a second, into the database (R22, R27)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace

from dnsserver import log
from dnsserver.errors import DnsServerError, InvalidData
from dnsserver.events import CODES, Event
from dnsserver.keeper.offload import Offload
from dnsserver.store import events as stored_events
from dnsserver.store.database import Database
from dnsserver.store.events import StoredEvent
from dnsserver.zone import names

_WRITE_EVERY = 1.0
# Different events kept of one second; what is beyond is in the log and the counters alone.
_MOST = 1000
# Where an event's peer stands, by kind: who was asked, who asked, who was told.
_PEERS = ("primary", "peer", "target", "prefix")


class EventBook:
    """``happened`` for what the keeper sees, ``told`` for what an answerer has logged already."""

    def __init__(self, database: Database, offload: Offload) -> None:
        self.counters: Counter[str] = Counter()
        self._database = database
        self._offload = offload
        self._gathered: dict[tuple[str, str, str, str], StoredEvent] = {}
        self._writing = asyncio.Lock()

    def happened(self, event: Event) -> None:
        """Log it, count it, keep it."""
        log.event(event.name, **event.fields)
        self.told(event)

    def told(self, event: Event) -> None:
        """Count it, and keep it."""
        self.counters[f"event-{event.name}"] += 1
        if event.name not in CODES:
            return
        one = _stored(event, time.time())
        key = (one.name, names.to_text(one.zone) if one.zone is not None else "", one.peer, one.reason)
        before = self._gathered.get(key)
        if before is not None:
            self._gathered[key] = replace(one, first=before.first, count=before.count + one.count)
        elif len(self._gathered) < _MOST:
            self._gathered[key] = one
        else:
            self.counters["events-not-kept"] += 1

    async def run(self) -> None:
        """Write what was gathered, once a second."""
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            await self.write()

    async def write(self) -> None:
        """Return when all that happened until now is in the database, or could not be written."""
        async with self._writing:
            if not self._gathered:
                return
            gathered, self._gathered = self._gathered, {}
            try:
                await self._offload(self._write, list(gathered.values()))
            except DnsServerError as error:
                # They stand in the log, and the database has other worries.
                log.event("events-failed", msg=error.message)

    def _write(self, rows: list[StoredEvent]) -> None:
        with self._database.write() as conn:
            stored_events.record(conn, rows)


def _stored(event: Event, now: float) -> StoredEvent:
    fields = event.fields
    peer = next((str(fields[key]) for key in _PEERS if fields.get(key) is not None), "")
    if "peer" in fields:
        # Who asks comes from another port each time, and is the same all the same.
        peer = peer.partition("#")[0]
    message = fields.get("msg")
    if message is None:
        rest = {key: value for key, value in fields.items() if key not in ("zone", "reason", "code", *_PEERS)}
        message = " ".join(f"{key}={value}" for key, value in rest.items() if value is not None)
    # A summary's: how many it stands for. That of a primary's failures, in a row, counts by itself.
    count = fields.get("count") if "prefix" in fields else 1
    return StoredEvent(
        id=0, first=now, last=now, count=count if isinstance(count, int) else 1, name=event.name, code=event.code or 0,
        zone=_zone(fields.get("zone")), peer=peer, reason=str(fields.get("reason") or ""), message=str(message),
    )  # fmt: skip


def _zone(text: object) -> bytes | None:
    """The name as octets; None where a request was for no name that could be one of ours."""
    try:
        return names.lower(names.from_user(str(text))) if text else None
    except InvalidData:
        return None
