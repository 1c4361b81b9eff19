"""One change of one zone in the making. It reads the names that it touches, their ancestors, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from dnsserver.editing import serials
from dnsserver.errors import InvalidData, Problem
from dnsserver.store import contents, zones
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import checks, names, rdata, rrtypes
from dnsserver.zone.changeset import Changeset, identity
from dnsserver.zone.checks import ZoneLimits, rrset_key
from dnsserver.zone.rdata import type_to_text
from dnsserver.zone.records import Record, soa_serial, with_serial
from dnsserver.zone.serial import is_ahead

_GLUE = checks.ADDRESSES | {rrtypes.RRSIG, rrtypes.NSEC, rrtypes.NSEC3}
# What says something of the names below it.
_HIDING = frozenset({rrtypes.DNAME, rrtypes.NS})
_HOST = checks.ADDRESSES | {rrtypes.CNAME}


class ZoneEdit:
    """Edits are applied in order; ``finish`` checks the names they touched and makes the changeset.

    ``messages``: what the person should know, of what was done and of what was not needed.
    """

    def __init__(self, conn: Connection, zone: ZoneRow, limits: ZoneLimits, now: float) -> None:
        self._conn = conn
        self._zone = zone
        self._limits = limits
        self._now = now
        self._old: dict[bytes, tuple[Record, ...]] = {}
        self._new: dict[bytes, list[Record]] = {}
        self._force = False
        self.apex = zone.name
        self.messages: list[str] = []

    def expect(self, owners: Iterable[bytes]) -> None:
        """Reads these names and their ancestors at once: one look for each takes longer than all else."""
        wanted = {self.apex}
        for name in {owner.lower() for owner in owners}:
            if names.is_within(name, self.apex):
                wanted.update([name, *self._ancestors(name)])
        found = contents.nodes(self._conn, self._zone.contents, wanted - self._old.keys())
        self._old.update((name, tuple(node)) for name, node in found.items())

    def node(self, name: bytes) -> Sequence[Record]:
        """The records of a lower-cased name, as they stand after the edits so far."""
        found = self._new.get(name)
        return self._read(name) if found is None else found

    def rrset(self, name: bytes, rtype: int) -> list[Record]:
        return [record for record in self.node(name) if record.type == rtype]

    @property
    def soa(self) -> Record:
        return self.rrset(self.apex, rrtypes.SOA)[0]

    def default_ttl(self) -> int:
        """What a new RRset gets: the zone's default, else the SOA's minimum (CONTRACT, TTL)."""
        if self._zone.settings.default_ttl is not None:
            return self._zone.settings.default_ttl
        return int.from_bytes(self.soa.rdata[-4:], "big")

    def add(self, owner: bytes, rtype: int, ttl: int | None, wire: bytes) -> bool:
        """Add one record; False when it is there. A ``ttl`` holds for its whole RRset (RFC 2181, 5.2)."""
        if rtype == rrtypes.SOA:
            return self.set_soa(owner, ttl, wire, force=False)
        name = owner.lower()
        record = Record(owner, rtype, self.default_ttl() if ttl is None else ttl, wire)
        node = list(self.node(name))
        peers = [other for other in node if rrset_key(other) == rrset_key(record)]
        there = any(_same(other, record) for other in peers)
        if peers and ttl is None:
            record = record._replace(ttl=peers[0].ttl)
        retimed = any(other.ttl != record.ttl for other in peers)
        if there and not retimed:
            self.messages.append(f"{text(record)} is there already")
            return False
        if retimed:
            node = [other._replace(ttl=record.ttl) if other in peers else other for other in node]
            kind = type_to_text(rtype)
            self.messages.append(f"the TTL of {names.to_text(name)} {kind} is now {record.ttl}, it was {peers[0].ttl}")
        if not there:
            node.append(record)
        self._put(name, node)
        return True

    def set_rrset(self, owner: bytes, rtype: int, ttl: int | None, wires: Sequence[bytes], *, force: bool) -> bool:
        """Make the RRset consist of exactly these records; False when it does."""
        if rtype == rrtypes.SOA:
            if len(wires) > 1:
                raise InvalidData("a zone has one SOA")
            return self.set_soa(owner, ttl, wires[0], force=force)
        name = owner.lower()
        node = self.node(name)
        before = [record for record in node if record.type == rtype]
        if ttl is None:
            ttl = before[0].ttl if before else self.default_ttl()
        wanted = [Record(owner, rtype, ttl, wire) for wire in wires]
        kept = [next((old for old in before if old.ttl == ttl and _same(old, new)), new) for new in wanted]
        if {identity(record) for record in kept} == {identity(record) for record in before}:
            self.messages.append(f"{names.to_text(owner)} {type_to_text(rtype)} is so already")
            return False
        self._put(name, [record for record in node if record.type != rtype] + kept)
        return True

    def set_soa(self, owner: bytes, ttl: int | None, wire: bytes, *, force: bool) -> bool:
        """Replace the SOA; its serial is kept when ahead, the policy's when it was left alone."""
        if owner.lower() != self.apex:
            raise InvalidData(f"an SOA belongs to the zone's own name {names.to_text(self.apex)} alone")
        old = self.soa
        record = Record(old.owner, rrtypes.SOA, old.ttl if ttl is None else ttl, wire)
        if record.ttl == old.ttl and _same(record, old):
            self.messages.append("the SOA is so already")
            return False
        self._force = self._force or force
        self._put(self.apex, [other for other in self.node(self.apex) if other.type != rrtypes.SOA] + [record])
        return True

    def delete(self, owner: bytes, rtype: int | None = None, wire: bytes | None = None) -> bool:
        """Delete a name's records, one RRset, or one record; False when nothing of it is there.

        Of the apex, a deletion of the whole name keeps SOA and NS (RFC 2136, 3.4.2.3). Raises InvalidData for the SOA.
        """
        name = owner.lower()
        if rtype == rrtypes.SOA and name == self.apex:
            raise InvalidData(f"the SOA of {names.to_text(owner)} cannot be deleted; set it anew (record set @ SOA)")
        node = self.node(name)
        keep: list[Record] = []
        for record in node:
            whole_apex = rtype is None and name == self.apex and record.type in (rrtypes.SOA, rrtypes.NS)
            other = rtype is not None and record.type != rtype
            if whole_apex or other or (wire is not None and not _same(record, record._replace(rdata=wire))):
                keep.append(record)
        if len(keep) == len(node):
            what = names.to_text(owner) + (f" {type_to_text(rtype)}" if rtype is not None else "")
            shown = f" {rdata.to_text(rtype, wire)}" if rtype is not None and wire is not None else ""
            self.messages.append(f"nothing to delete: there is no {what}{shown}")
            return False
        self._put(name, keep)
        return True

    def finish(self) -> Changeset | None:
        """The changeset with its SOAs, None when the edits come to nothing. Raises InvalidData with all problems."""
        removed: list[Record] = []
        added: list[Record] = []
        changed: list[bytes] = []
        for name, new in self._new.items():
            before = {identity(record): record for record in self._read(name)}
            after = {identity(record): record for record in new}
            gone = [record for key, record in before.items() if key not in after]
            come = [record for key, record in after.items() if key not in before]
            if gone or come:
                changed.append(name)
                removed += gone
                added += come
        if not changed:
            return None
        self._check(changed, removed, added)
        old_soa = next(record for record in self._read(self.apex) if record.type == rrtypes.SOA)
        new_soa = self._with_chosen_serial(old_soa)
        return Changeset(
            (old_soa, *sorted((r for r in removed if r.type != rrtypes.SOA), key=_order)),
            (new_soa, *sorted((r for r in added if r.type != rrtypes.SOA), key=_order)),
        )

    def _with_chosen_serial(self, old: Record) -> Record:
        new = self.soa
        stored = soa_serial(old.rdata)
        policy = self._zone.settings.serial_policy
        serial = serials.chosen(policy, stored, soa_serial(new.rdata), self._now, force=self._force)
        if not is_ahead(serial, stored):
            self.messages.append(serials.BACKWARDS.format(new=serial, old=stored))
        return new._replace(rdata=with_serial(new.rdata, serial))

    def _read(self, name: bytes) -> tuple[Record, ...]:
        found = self._old.get(name)
        if found is None:
            found = self._old[name] = tuple(zones.records(self._conn, self._zone, name))
        return found

    def _put(self, name: bytes, node: list[Record]) -> None:
        self._read(name)
        self._new[name] = node

    def _check(self, changed: list[bytes], removed: list[Record], added: list[Record]) -> None:
        problems: list[Problem] = []
        if self.apex in changed and not self.rrset(self.apex, rrtypes.NS):
            raise InvalidData(f"the last NS of {names.to_text(self.apex)} cannot be deleted; add another first")
        for name in changed:
            if node := self.node(name):
                problems += checks.check_node(node, apex=self.apex, limits=self._limits)
        for name in {record.owner.lower() for record in added}:
            problems += self._check_above(name)
        for name in {record.owner.lower() for record in added if record.type in _HIDING}:
            problems += self._check_below(name)
        if len(added) > len(removed) or sum(map(checks.wire_size, added)) > sum(map(checks.wire_size, removed)):
            count = self._zone.record_count + len(added) - len(removed)
            size = self._zone.wire_size + sum(map(checks.wire_size, added)) - sum(map(checks.wire_size, removed))
            problems += checks.check_totals(self.apex, count, size, self._limits)
        problems += self._check_servers(changed)
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise refused(errors)
        self.messages += dict.fromkeys(f"warning: {problem.message}" for problem in problems)

    def _check_above(self, name: bytes) -> list[Problem]:
        """Data below a DNAME is refused (RFC 6672, 2.4), data below a delegation that is no glue is warned of."""
        problems = []
        for above in self._ancestors(name):
            types = {record.type for record in self.node(above)} & _HIDING
            if rrtypes.DNAME in types:
                here = names.to_text(name)
                problems.append(Problem(here, f"{here} lies below the DNAME of {names.to_text(above)} (RFC 6672, 2.4)"))
            is_cut = above != self.apex and rrtypes.NS in types
            if is_cut and any(record.type not in _GLUE for record in self.node(name)):
                here = names.to_text(name)
                message = f"{here} lies below the delegation of {names.to_text(above)}, and is never answered"
                problems.append(Problem(here, message, "warning"))
        return problems

    def _ancestors(self, name: bytes) -> list[bytes]:
        if name == self.apex:
            return []
        between = []
        for above in names.ancestors(names.parent(name)):
            between.append(above)
            if above == self.apex:
                break
        return between

    def _check_below(self, name: bytes) -> list[Problem]:
        """What a DNAME or a delegation that is new would hide."""
        new = {record.type for record in self.node(name)} - {record.type for record in self._read(name)}
        here = names.to_text(name)
        if rrtypes.DNAME in new and self._anything_below(name):
            return [Problem(here, f"{here} has names below it, which a DNAME does not allow (RFC 6672, 2.4)")]
        if rrtypes.NS in new and name != self.apex and self._anything_below(name):
            return [Problem(here, f"of the names below {here} only glue is answered from now on", "warning")]
        return []

    def _anything_below(self, name: bytes) -> bool:
        if any(other != name and names.is_within(other, name) and node for other, node in self._new.items()):
            return True
        if not zones.exists_below(self._conn, self._zone, name):
            return False
        emptied = {other for other, node in self._new.items() if not node and other != name}
        if not any(names.is_within(other, name) for other in emptied):
            return True
        # The rare case that one change empties what is below and puts a DNAME above: look at them all.
        owners = {record.owner.lower() for record in zones.records(self._conn, self._zone)}
        return any(owner != name and owner not in emptied and names.is_within(owner, name) for owner in owners)

    def _check_servers(self, changed: list[bytes]) -> list[Problem]:
        """R30, as far as this change concerns it: in-zone name servers without address, or that are aliases."""
        nodes: dict[bytes, Sequence[Record]] = {}
        for name in dict.fromkeys([*changed, self.apex]):
            servers = self.rrset(name, rrtypes.NS)
            hosts = {record.rdata.lower() for record in servers}
            if servers and (name in changed or hosts.intersection(changed)):
                nodes[name] = servers
        for host in {record.rdata.lower() for servers in nodes.values() for record in servers}:
            if names.is_within(host, self.apex):
                found = [record for record in self.node(host) if record.type in _HOST]
                nodes[host] = [*nodes.get(host, ()), *found]
        records = [record for node in nodes.values() for record in node]
        return list(checks.check_targets(self.apex, records, lambda name: nodes.get(name, ())))


def refused(errors: Sequence[Problem]) -> InvalidData:
    """The error of data that the checks keep out: in one line when it is one problem."""
    if len(errors) == 1:
        return InvalidData(errors[0].message, errors)
    return InvalidData(f"{len(errors)} errors; nothing is changed", errors)


def text(record: Record) -> str:
    """``www.example.com. 3600 IN A 192.0.2.1``"""
    shown = rdata.to_text(record.type, record.rdata)
    return f"{names.to_text(record.owner)} {record.ttl} IN {type_to_text(record.type)} {shown}"


def _same(one: Record, other: Record) -> bool:
    """Whether the rdata are equal in canonical form (RFC 4034, 6.2; RFC 2136, 1.1.2 leaves the TTL out)."""
    return one.type == other.type and rdata.canonical(one.type, one.rdata) == rdata.canonical(other.type, other.rdata)


def _order(record: Record) -> tuple[bytes, int, bytes]:
    return (names.key(record.owner), record.type, record.rdata)
