"""What becomes of one transfer in: received in threads here, or by the helper process; then committed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import Any

from dnsserver.editing import receive
from dnsserver.editing.context import EditLimits
from dnsserver.editing.receive import BadDigest, Plan, Received
from dnsserver.errors import DnsServerError
from dnsserver.keeper.fetch_helper import Helper, read
from dnsserver.keeper.fetch_jobs import Job, Outcome
from dnsserver.keeper.inbound import Framing, Inbound
from dnsserver.keeper.offload import Offload
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.xfrin import Asked, BadTransfer, TransferIn, TransferLimits
from dnsserver.store import contents
from dnsserver.store.database import Database
from dnsserver.store.history import Who
from dnsserver.store.journal import Encoded
from dnsserver.store.writing import insert_rows
from dnsserver.store.zones import ZoneRow
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.gather import Gather
from dnsserver.zone.zonemd import Result, Status


class Parsing:
    """A transfer that is worked on in this process."""

    def __init__(self, asked: Asked, limits: TransferLimits) -> None:
        self.transfer = TransferIn(asked, limits)
        self.gathered = Gather(asked.apex, limits.zone)
        self._framing = Framing()

    def feed(self, octets: bytes) -> None:
        """The next octets of the stream, ``b""`` its end. Raises BadTransfer, TooLarge."""
        if not octets:
            self.transfer.finish()
        for message in self._framing.messages(octets):
            self.transfer.feed(message, time.time())
            self.gathered.add(self.transfer.take())


@dataclass(frozen=True, slots=True)
class Work:
    """What one transfer is received for: ``zone`` as it was when it began; ``force``: taken whatever its serial."""

    database: Database
    offload: Offload
    limits: EditLimits
    zone: ZoneRow
    who: Who
    comment: str
    force: bool
    fudge: int

    # In this process

    async def commit_changes(self, changeset: Changeset) -> Result | None:
        """Commits an IXFR; returns what its digest is worth. Raises what ``receive.receive_changes`` does."""
        if self.zone.record_count <= self.limits.large:
            return (await self.offload(self._receive_changes, changeset)).digest
        plan = await self.offload(receive.plan_changes, self.database, self.limits, self.zone.id, changeset)
        found = await self._digest(plan) if plan.wants_digest else None
        await self.offload(receive.commit_plan, self.database, self.limits, plan, self.who, "ixfr", self.comment)
        return found

    def _receive_changes(self, changeset: Changeset) -> Received:
        return receive.receive_changes(
            self.database, self.limits, self.zone.id, changeset, self.who, comment=self.comment
        )

    async def commit_whole(self, gathered: Gather) -> Received:
        """Commits an AXFR. Raises what ``receive.receive_whole`` does."""
        return await self.offload(self._receive_whole, gathered)

    def _receive_whole(self, gathered: Gather) -> Received:
        return receive.receive_whole(
            self.database, self.limits, self.zone.id, gathered, self.who, force=self.force, comment=self.comment
        )

    async def _digest(self, plan: Plan) -> Result | None:
        """By the helper: the whole zone is to be looked at."""
        job = replace(self._job(), version=plan.zone.version, changeset=plan.changeset.encode(), zonemd=plan.zonemd)
        async with Helper(job) as helper:
            return _result_of(await self._listen(helper))

    # By the helper process

    async def receive_long(self, asked: Asked, stream: Inbound, early: bytes) -> Outcome:
        """Has the helper take a stream that began with ``early``; rows that it makes are written aside.

        Raises BadTransfer, BadDigest.
        """
        written = await self.offload(self._new_contents)
        job = replace(self._job(), asked=asked, contents=written)
        try:
            async with Helper(job) as helper:
                pump = _Pump(helper, stream, early)
                try:
                    outcome = await self._listen(helper, pump)
                finally:
                    await pump.stop()
        except BaseException:
            await self._drop(written)
            raise
        return outcome._replace(contents=written)

    async def commit_long(self, outcome: Outcome) -> Result | None:
        """Commits what the helper made; returns what its digest is worth. Raises Conflict."""
        if outcome.how == "contents":
            await self.offload(self._flip, outcome)
            return _result_of(outcome)
        try:
            if outcome.changeset is not None:
                plan = Plan(self.zone, Changeset.decode(outcome.changeset), ())
                await self.offload(
                    receive.commit_plan, self.database, self.limits, plan, self.who, outcome.kind, self.comment
                )
        finally:
            await self._drop(outcome.contents)
        return _result_of(outcome)

    def _job(self) -> Job:
        url = self.database.url.render_as_string(hide_password=False)
        zone = self.zone
        return Job(url, zone.id, zone.version, zone.record_count, self.limits, force=self.force, fudge=self.fudge)

    async def _listen(self, helper: Helper, pump: _Pump | None = None) -> Outcome:
        """Until the helper has done: its rows are written as they come. Raises BadTransfer, BadDigest."""
        while (message := await helper.message()) is not None:
            # Taken apart in the thread that writes it: it may be megabytes.
            kind, values = await self.offload(self._take, message)
            if kind == "read" and pump is not None:
                pump.read = values[0]
            elif kind == "ended" and pump is not None:
                await pump.stop()
            elif kind == "done":
                return Outcome(*values[0])
            elif kind == "failed":
                raise BadTransfer(Failure(*values))
            elif kind == "digest":
                raise BadDigest(_result(*values[0]))
        if pump is not None and pump.error is not None:
            raise pump.error
        detail = f"the process that worked on the transfer has ended ({await helper.status()})"
        raise BadTransfer(Failure("internal", detail))

    def _take(self, message: bytes) -> tuple[str, list[Any]]:
        kind, values = read(message)
        if kind == "rows":
            with self.database.write(aside=True) as conn:
                insert_rows(conn, values[0])
            values = []
        return kind, values

    def _new_contents(self) -> int:
        with self.database.write() as conn:
            return contents.new_contents(conn, self.who.now)

    async def _drop(self, written: int) -> None:
        """Whoever prunes contents takes them."""
        with contextlib.suppress(DnsServerError):
            await self.offload(self._retire, written)

    def _retire(self, written: int) -> None:
        with self.database.write() as conn:
            contents.retire(conn, written)

    def _flip(self, outcome: Outcome) -> None:
        kept = None if outcome.journal is None else Encoded(*outcome.journal)
        with self.database.write() as conn:
            contents.finish_contents(conn, outcome.contents, *outcome.written)
        receive.flip(
            self.database, self.limits, self.zone, outcome.contents, kept, self.who, outcome.kind, self.comment
        )


class _Pump:
    """From the primary to the helper, no faster than it works. A stream that breaks (``error``) ends the helper.

    ``read``: octets that the helper had read when it last was out of work.
    """

    def __init__(self, helper: Helper, stream: Inbound, early: bytes) -> None:
        self.read = 0
        self.error: BadTransfer | None = None
        self._sent = 0
        self._task = asyncio.create_task(self._run(helper, stream, early))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, helper: Helper, stream: Inbound, octets: bytes) -> None:
        try:
            while octets:
                await helper.write(octets)
                self._sent += len(octets)
                octets = await stream.octets(lambda: self.read < self._sent)
        except BadTransfer as error:
            self.error = error
            helper.kill()
        else:
            helper.end()


def _result(status: str, detail: str) -> Result:
    return Result(Status(status), detail)


def _result_of(outcome: Outcome) -> Result | None:
    return None if outcome.digest is None else _result(*outcome.digest)
