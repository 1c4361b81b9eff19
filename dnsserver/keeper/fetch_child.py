"""The helper process for one long transfer in: it parses, compares and digests, and never writes SQL.

It stands back behind whoever answers (DESIGN, Work off the answerer), and ends with the keeper, or when the
keeper takes no interest in it any more. ``fetch_jobs`` says what is spoken.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import time
from collections.abc import Iterable, Iterator
from typing import Any

from dnsserver.editing import receive
from dnsserver.errors import Conflict, DnsServerError
from dnsserver.keeper.fetch_jobs import LENGTH, Job, Outcome, frame
from dnsserver.keeper.inbound import Framing
from dnsserver.keeper.verdicts import failure_of
from dnsserver.priority import stand_back
from dnsserver.protocol.xfrin import TransferIn, TransferLimits
from dnsserver.store import contents, zones
from dnsserver.store.contents import BATCH
from dnsserver.store.database import Database
from dnsserver.store.writing import Writer
from dnsserver.store.zones import ZoneRow
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.gather import Gather
from dnsserver.zone.records import Record, soa_serial
from dnsserver.zone.zonemd import Result

_READ = 256 << 10
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """What ``python -m dnsserver.keeper.fetch_child`` runs."""
    _stand_back()
    # Millions of tuples that hold no cycle are not worth being looked through.
    gc.disable()
    job = pickle.loads(_exactly(LENGTH.unpack(_exactly(4))[0]))
    try:
        outcome = _work(job)
    except receive.BadDigest as error:
        _say("digest", _plain(error.result))
    except DnsServerError as error:
        _say("failed", *failure_of(error))
    except MemoryError:
        _say("failed", "internal", "there is no memory for this zone", None)
    else:
        _say("done", outcome.plain())
    # Without taking apart a million records one by one.
    os._exit(0)


def _stand_back() -> None:
    """Leave the processor to whoever else wants it; end with the keeper, even where it could say nothing any more."""
    stand_back(19)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import cffi

        ffi = cffi.FFI()
        ffi.cdef("int prctl(int option, unsigned long value, ...);")
        libc: Any = ffi.dlopen(None)
        libc.prctl(_PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL))


def _exactly(count: int) -> bytes:
    parts = []
    while count:
        part = os.read(0, min(count, _READ))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _say(kind: str, *values: Any) -> None:
    """Ends the process when nobody listens."""
    octets = memoryview(frame(kind, *values))
    while octets:
        try:
            octets = octets[os.write(1, octets) :]
        except OSError:
            os._exit(0)


def _work(job: Job) -> Outcome:
    # The digest of a difference alone comes without a stream.
    if job.asked is None:
        with Database.open(job.database_url) as database:
            return _digest(job, database)
    intake = _Intake(job)
    transfer = intake.run()
    _say("ended", transfer.kind)
    if transfer.kind == "current":
        return _outcome("unchanged", transfer)
    with Database.open(job.database_url) as database:
        if transfer.kind == "ixfr":
            return _changes(job, database, transfer)
        return _whole(job, database, transfer, intake)


class _Intake:
    """A stream that is read to its end. Records go on as rows at once, as soon as it is plain that all of them will be
    written: the first contents that a zone gets, and one that has grown by more than a small difference.
    """

    def __init__(self, job: Job) -> None:
        assert job.asked is not None
        self._transfer = TransferIn(job.asked, TransferLimits(job.limits.zone, job.fudge))
        self._contents = job.contents
        self._most = job.stored + job.limits.large if job.version else -1
        self.gathered = Gather(job.asked.apex, job.limits.zone)
        self.rows: Rows | None = None

    def run(self) -> TransferIn:
        """Raises BadTransfer, TooLarge."""
        transfer, framing, total = self._transfer, Framing(), 0
        while not transfer.is_done:
            if not select.select([0], [], [], 0)[0]:
                _say("read", total)
            octets = os.read(0, _READ)
            total += len(octets)
            if not octets:
                transfer.finish()
            for message in framing.messages(octets):
                transfer.feed(message, time.time())
                self._give_on(self.gathered.add(transfer.take()))
        return transfer

    def _give_on(self, new: list[Record]) -> None:
        if self.rows is not None:
            self.rows.add(new)
        elif self.gathered.count > self._most:
            self.rows = Rows(self._contents)
            for page in _pages(self.gathered.records()):
                self.rows.add(page)


class Rows:
    """Records as rows of contents, given on in batches."""

    def __init__(self, contents_id: int) -> None:
        self._writer = Writer(contents_id)
        self._waiting: list[Record] = []

    def add(self, records: Iterable[Record]) -> None:
        self._waiting += records
        while len(self._waiting) >= BATCH:
            _say("rows", self._writer.rows(self._waiting[:BATCH]))
            del self._waiting[:BATCH]

    def finish(self) -> tuple[int, int, int]:
        """Count, wire size and serial of all of them."""
        if self._waiting:
            _say("rows", self._writer.rows(self._waiting))
        self._waiting = []
        return self._writer.count, self._writer.size, self._writer.serial


def _outcome(how: str, transfer: TransferIn, **more: Any) -> Outcome:
    return Outcome(
        how, transfer.kind or "", transfer.soa.rdata, transfer.expire, transfer.messages, transfer.octets,
        transfer.records, **more,
    )  # fmt: skip


def _digest(job: Job, database: Database) -> Outcome:
    assert job.changeset is not None
    plan = receive.Plan(_zone(job, database), Changeset.decode(job.changeset), job.zonemd)
    found = receive.judge(plan.zone, receive.digest_of(database, plan))
    return Outcome("digest", "", b"", None, 0, 0, 0, digest=_plain(found))


def _changes(job: Job, database: Database, transfer: TransferIn) -> Outcome:
    """An IXFR, fitted to what is stored."""
    plan = receive.plan_changes(database, job.limits, job.zone_id, transfer.changeset())
    _check(job, plan.zone)
    found = receive.judge(plan.zone, receive.digest_of(database, plan) if plan.wants_digest else None)
    return _difference(job, database, transfer, plan.zone, plan.changeset, found)


def _whole(job: Job, database: Database, transfer: TransferIn, intake: _Intake) -> Outcome:
    """An AXFR, as first contents or as a difference to what is stored."""
    zone, gathered = _zone(job, database), intake.gathered
    if not receive.follows(zone, soa_serial(transfer.soa.rdata), force=job.force):
        return _outcome("unchanged", transfer)
    found = receive.judge(zone, receive.verify(zone, gathered))
    with database.read() as conn:
        if not job.version or receive.is_replaced(conn, zone, gathered):
            written = _written(job, intake)
            return _outcome("contents", transfer, written=written, digest=_plain(found))
        changeset = gathered.difference(zones.records(conn, zone))
    if intake.rows is not None:
        is_same = changeset.from_serial == changeset.to_serial
        written, kept = intake.rows.finish(), None if is_same else receive.for_journal(changeset)
        return _outcome("contents", transfer, journal=kept, written=written, digest=_plain(found))
    if receive.is_empty(changeset):
        return _outcome("unchanged", transfer, digest=_plain(found))
    return _difference(job, database, transfer, zone, changeset, found)


def _written(job: Job, intake: _Intake) -> tuple[int, int, int]:
    """Count, wire size and serial of the rows of a whole zone, all of them given on by now."""
    rows = intake.rows
    if rows is None:
        rows = Rows(job.contents)
        for page in _pages(intake.gathered.records()):
            rows.add(page)
    return rows.finish()


def _difference(
    job: Job, database: Database, transfer: TransferIn, zone: ZoneRow, changeset: Changeset, found: Result | None
) -> Outcome:
    """A small one as it is; a large one, and one that keeps the serial, as whole contents."""
    is_same = changeset.from_serial == changeset.to_serial
    if not is_same and len(changeset.added) + len(changeset.removed) <= job.limits.large:
        return _outcome("changes", transfer, changeset=changeset.encode(), digest=_plain(found))
    rows = Rows(job.contents)
    with database.read() as conn:
        for page in _pages(contents.merged(conn, zone, changeset)):
            rows.add(page)
    kept = None if is_same else receive.for_journal(changeset)
    return _outcome("contents", transfer, journal=kept, written=rows.finish(), digest=_plain(found))


def _pages(records: Iterable[Record]) -> Iterator[list[Record]]:
    page: list[Record] = []
    for record in records:
        page.append(record)
        if len(page) == BATCH:
            yield page
            page = []
    yield page


def _zone(job: Job, database: Database) -> ZoneRow:
    with database.read() as conn:
        zone = receive.secondary(conn, job.zone_id)
    _check(job, zone)
    return zone


def _check(job: Job, zone: ZoneRow) -> None:
    if zone.version != job.version:
        raise Conflict("the zone was changed meanwhile")


def _plain(found: Result | None) -> tuple[str, str] | None:
    # Enumerations are nothing that a pipe of marshalled values carries.
    return None if found is None else (str(found.status), found.detail)


if __name__ == "__main__":
    main()
