"""What a primary sent becomes a secondary zone's contents: differences (IXFR) and whole zones (AXFR).

What comes here has been validated as a stream. Here it is fitted to what is stored, held to the limits on contents,
its digest is verified (ZONEMD, RFC 8976), and it is committed like any change, with journal, outbox and feed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from dnsserver.editing.context import EditLimits
from dnsserver.errors import Conflict, DnsServerError
from dnsserver.store import commit, contents, zones
from dnsserver.store.commit import Who
from dnsserver.store.database import Database
from dnsserver.store.journal import Encoded
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names, rdata, zonemd
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset, Identity, identity
from dnsserver.zone.checks import ZoneLimits, rrset_key, wire_size
from dnsserver.zone.gather import Gather, TooLarge
from dnsserver.zone.records import Record, soa_serial
from dnsserver.zone.rrtypes import SOA, ZONEMD
from dnsserver.zone.serial import is_ahead
from dnsserver.zone.zonemd import Result, Status

# A difference of more octets is not kept: nobody would be sent it as an IXFR, and SQL is given it as a whole.
JOURNALLED = 32 << 20
# A difference as large as the zone is not sent either (LIMITS, ixfr-max-ratio), but where all of it is so small.
ALWAYS_JOURNALLED = 1 << 20
# Records of a zone that are looked at, to see whether it was replaced.
SAMPLE = 50_000


class DoesNotApply(DnsServerError):
    """A difference that is not for the zone that is stored: a transfer of the whole zone mends it (RFC 1995, 4)."""

    code = "does-not-apply"


class BadSerial(DnsServerError):
    """A zone whose serial is not ahead of the one that is stored (R12)."""

    code = "serial"


class BadDigest(DnsServerError):
    """A zone that may not be taken for its ZONEMD; ``result`` says why."""

    code = "zonemd"

    def __init__(self, result: Result) -> None:
        super().__init__(result.detail)
        self.result = result


@dataclass(frozen=True, slots=True)
class Received:
    """``zone`` as it is now; ``changed``: False where nothing was different; ``digest``: None: none was verified."""

    zone: ZoneRow
    changed: bool
    digest: Result | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A difference that fits ``zone`` as it was read; ``zonemd``: rdatas that the zone's name will then have."""

    zone: ZoneRow
    changeset: Changeset
    zonemd: tuple[bytes, ...]

    @property
    def wants_digest(self) -> bool:
        return wants_digest(self.zone, self.zonemd)


def receive_changes(
    db: Database, limits: EditLimits, zone_id: int, changeset: Changeset, who: Who, comment: str = ""
) -> Received:
    """Commits a difference as a primary sent it. Raises what ``plan_changes``, ``judge`` and ``commit_plan`` do."""
    plan = plan_changes(db, limits, zone_id, changeset)
    digest = judge(plan.zone, digest_of(db, plan) if plan.wants_digest else None)
    return Received(commit_plan(db, limits, plan, who, "ixfr", comment), True, digest)


def plan_changes(db: Database, limits: EditLimits, zone_id: int, changeset: Changeset) -> Plan:
    """Fits a difference to what is stored. Raises DoesNotApply, BadSerial, TooLarge, Conflict."""
    with db.read() as conn:
        zone = secondary(conn, zone_id)
        if not zone.version or changeset.from_serial != zone.serial:
            raise DoesNotApply(f"it begins at serial {changeset.from_serial}, here is {zone.serial or 'none'}")
        if not is_ahead(changeset.to_serial, zone.serial):
            raise BadSerial(f"it ends at serial {changeset.to_serial}, which is not ahead of {zone.serial}")
        owners = {record.owner for side in (changeset.removed, changeset.added) for record in side}
        nodes = {
            name: _Node(node)
            for name, node in contents.nodes(conn, zone.contents, owners | {zone.name}).items()
        }  # fmt: skip
    return _fit(zone, changeset, nodes, limits.zone)


def digest_of(db: Database, plan: Plan) -> Result:
    """Verifies the zone as the plan will leave it."""
    with db.read() as conn:
        return zonemd.verify(plan.zone.name, contents.merged(conn, plan.zone, plan.changeset), plan.zonemd)


def commit_plan(db: Database, limits: EditLimits, plan: Plan, who: Who, kind: str, comment: str = "") -> ZoneRow:
    """Commits a difference that fits: in place, or a large one by contents that are written aside.

    Raises Conflict when the zone was changed meanwhile, or is no live secondary any more.
    """
    zone, changeset = plan.zone, plan.changeset
    if len(changeset.added) + len(changeset.removed) > limits.large:
        with db.read() as conn:
            written = contents.write_contents(db, contents.merged(conn, zone, changeset), who.now)
        return flip(db, limits, zone, written, for_journal(changeset), who, kind, comment)
    with db.write() as conn:
        _hold(conn, zone)
        return commit.commit_change(conn, zone, changeset, who, comment, kind, limits.journal_size)


def receive_whole(
    db: Database, limits: EditLimits, zone_id: int, received: Gather, who: Who, *, force: bool, comment: str = ""
) -> Received:
    """Commits a whole zone that was received; what it had is replaced by difference. ``received`` is used up.

    ``force``: whatever its serial; else one that is not ahead is not taken, and the stored one means that nothing
    changed. Raises BadSerial, BadDigest, Conflict.
    """
    with db.read() as conn:
        zone = secondary(conn, zone_id)
    serial = soa_serial(_at_apex(received, zone.name, SOA)[0])
    if not follows(zone, serial, force=force):
        return Received(zone, False)
    rdatas = _at_apex(received, zone.name, ZONEMD)
    digest = judge(zone, verify(zone, received))
    if not zone.version:
        return Received(_first(db, limits, zone, received.records(), who, comment), True, digest)
    with db.read() as conn:
        changeset = received.difference(zones.records(conn, zone))
    if serial != zone.serial:
        plan = Plan(zone, changeset, rdatas)
        return Received(commit_plan(db, limits, plan, who, "axfr", comment), True, digest)
    if is_empty(changeset):
        return Received(zone, False, digest)
    with db.read() as conn:
        written = contents.write_contents(db, contents.merged(conn, zone, changeset), who.now)
    return Received(flip(db, limits, zone, written, None, who, "axfr", comment), True, digest)


def _first(
    db: Database, limits: EditLimits, zone: ZoneRow, received: Iterable[Record], who: Who, comment: str
) -> ZoneRow:
    """The first contents of a zone that had none: nothing to compare, and no IXFR to what was before."""
    with db.write() as conn:
        _hold(conn, zone)
        written = contents.new_contents(conn, who.now)
        contents.insert_all(conn, written, received)
        return commit.flip(conn, zone, written, None, who, comment, "axfr", limits.journal_size)


def flip(
    db: Database,
    limits: EditLimits,
    zone: ZoneRow,
    written: int,
    changeset: Changeset | Encoded | None,
    who: Who,
    kind: str,
    comment: str = "",
) -> ZoneRow:
    """Points the zone at contents that were written aside; on an error they are taken away. Raises Conflict."""
    try:
        with db.write() as conn:
            _hold(conn, zone)
            return commit.flip(
                conn, zone, written, changeset, who, comment, kind, limits.journal_size, same_serial=True
            )
    except DnsServerError:
        contents.discard_contents(db, written)
        raise


def secondary(conn: Connection, zone_id: int) -> ZoneRow:
    """The zone, when transfers into it are taken. Raises Conflict."""
    return _taking(zones.by_id(conn, zone_id))


def _hold(conn: Connection, before: ZoneRow) -> None:
    """Locks the zone's row, in a transaction that writes. Raises Conflict when it is not what was read."""
    zone = _taking(zones.find(conn, before.name))
    if (zone.id, zone.version) != (before.id, before.version):
        raise Conflict(f"zone {names.to_text(before.name)} was changed meanwhile")


def _taking(zone: ZoneRow | None) -> ZoneRow:
    if zone is None or zone.deleted is not None:
        raise Conflict("the zone was deleted meanwhile")
    name = names.to_text(zone.name)
    if zone.role != Role.SECONDARY:
        raise Conflict(f"zone {name} is no secondary zone any more")
    if zone.suspended:
        raise Conflict(f"zone {name} is suspended")
    return zone


def follows(zone: ZoneRow, serial: int, *, force: bool) -> bool:
    """Whether a whole zone of this serial is to be taken; False: it is the one that is here. Raises BadSerial."""
    if force or not zone.version or is_ahead(serial, zone.serial):
        return True
    if serial == zone.serial:
        return False
    raise BadSerial(f"the serial {serial} is not ahead of {zone.serial}")


def is_empty(changeset: Changeset) -> bool:
    """Whether a difference has nothing but an SOA that stays as it is."""
    return (
        len(changeset.removed) == len(changeset.added) == 1
        and identity(changeset.removed[0]) == identity(changeset.added[0])
    )  # fmt: skip


def for_journal(changeset: Changeset) -> Encoded | None:
    """The changeset as the journal takes it, unless it is too large to be kept."""
    size = sum(wire_size(record) for side in (changeset.removed, changeset.added) for record in side)
    if size > JOURNALLED:
        return None
    return Encoded(changeset.encode(), len(changeset.added), len(changeset.removed))


def is_replaced(conn: Connection, zone: ZoneRow, received: Gather, kept: int = JOURNALLED) -> bool:
    """Whether so much of a zone is different that its difference is, about, above ``kept`` octets or the whole zone's.

    What it has grown by tells, else the first records: so that of a zone that is another one altogether nobody makes
    the difference, or holds it, too.
    """
    kept = min(kept, max(received.size, ALWAYS_JOURNALLED))
    if received.size - zone.wire_size > kept * 3 // 4:
        return True
    first = next(zones.record_pages(conn, zone, SAMPLE), [])
    gone = sum(1 for record in first if not received.has(record))
    return gone * (zone.wire_size + received.size) > len(first) * kept * 3 // 2


# ZONEMD


def wants_digest(zone: ZoneRow, rdatas: Iterable[bytes]) -> bool:
    """Whether the zone is to be digested: where it says what is to come out, or has to say so."""
    mode = zone.settings.zonemd
    return mode != "off" and (mode == "require" or bool(tuple(rdatas)))


def verify(zone: ZoneRow, received: Gather) -> Result | None:
    """What a whole zone's digest is worth; None where nobody asks for it."""
    rdatas = _at_apex(received, zone.name, ZONEMD)
    return zonemd.verify(zone.name, received.records(), rdatas) if wants_digest(zone, rdatas) else None


def _at_apex(received: Gather, apex: bytes, rtype: int) -> tuple[bytes, ...]:
    return tuple(record.rdata for record in received.at(apex) if record.type == rtype)


def judge(zone: ZoneRow, found: Result | None) -> Result | None:
    """``found`` again. Raises BadDigest when the zone may not be taken."""
    if found is not None and found.status is not Status.OK and zone.settings.zonemd == "require":
        raise BadDigest(found)
    return found


# Fitting


class _Node:
    """The records of one name, found by what makes them equal but for case and TTL."""

    __slots__ = ("grown", "records")

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = {_key(record): record for record in records}
        self.grown = False


def _key(record: Record) -> tuple[int, bytes]:
    return (record.type, rdata.canonical(record.type, record.rdata))


def _fit(zone: ZoneRow, changeset: Changeset, nodes: dict[bytes, _Node], limits: ZoneLimits) -> Plan:
    """The same change in terms of what is stored.

    A record to remove is the one that is stored, whatever its TTL and case; a record to add that is stored already is
    left out, or replaced where its TTL or spelling differs. What goes and comes back as it was stays.
    """
    removed: dict[Identity, Record] = {}
    added: dict[Identity, Record] = {}
    for record in changeset.removed:
        found = nodes[record.owner.lower()].records.pop(_key(record), None)
        if found is None:
            raise DoesNotApply(f"it removes {names.to_text(record.owner)} {rdata.type_to_text(record.type)}, not here")
        removed[identity(found)] = found
    for record in changeset.added:
        node, key, this = nodes[record.owner.lower()], _key(record), identity(record)
        there = node.records.get(key)
        if there is not None:
            if (that := identity(there)) == this:
                continue
            if added.pop(that, None) is None:
                removed[that] = there
        node.records[key] = record
        node.grown = True
        if removed.pop(this, None) is None:
            added[this] = record
    fitted = _soa_first(removed.values(), added.values())
    _check_limits(zone, fitted, nodes, limits)
    rdatas = tuple(record.rdata for record in nodes[zone.name].records.values() if record.type == ZONEMD)
    return Plan(zone, fitted, rdatas)


def _soa_first(removed: Iterable[Record], added: Iterable[Record]) -> Changeset:
    """The serial differs, so both sides have an SOA."""
    return Changeset(
        tuple(sorted(removed, key=lambda record: record.type != SOA)),
        tuple(sorted(added, key=lambda record: record.type != SOA)),
    )


def _check_limits(zone: ZoneRow, fitted: Changeset, nodes: dict[bytes, _Node], limits: ZoneLimits) -> None:
    """Raises TooLarge."""
    if (count := zone.record_count + len(fitted.added) - len(fitted.removed)) > limits.zone_records:
        raise TooLarge(f"{count} records, above the limit zone-records = {limits.zone_records}")
    grown = sum(map(wire_size, fitted.added)) - sum(map(wire_size, fitted.removed))
    if (size := zone.wire_size + grown) > limits.zone_size:
        raise TooLarge(f"{size} octets, above the limit zone-size = {limits.zone_size}")
    # A name with so few records passes neither limit.
    few = min(limits.rrset_records, limits.name_types)
    for name, node in nodes.items():
        if not node.grown or len(node.records) <= few:
            continue
        sizes = Counter(map(rrset_key, node.records.values()))
        if (most := max(sizes.values())) > limits.rrset_records:
            raise TooLarge(f"{most} records in an RRset of {names.to_text(name)}, above the limit rrset-records = "
                           f"{limits.rrset_records}")  # fmt: skip
        if len(sizes) > limits.name_types:
            raise TooLarge(f"{len(sizes)} types at {names.to_text(name)}, above the limit name-types = "
                           f"{limits.name_types}")  # fmt: skip
