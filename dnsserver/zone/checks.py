"""What a zone may hold: errors, which keep a change out, and warnings, which `zone check` shows (R30).

Edits ask ``check_node`` about the names they touch; an import and ``zone check`` ask ``check_contents`` about the
whole zone.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dnsserver.errors import Problem
from dnsserver.zone import names, rrtypes
from dnsserver.zone.rdata import type_to_text
from dnsserver.zone.records import Record
from dnsserver.zone.whole import Whole, arranged

MIB = 1024 * 1024
ADDRESSES = frozenset({rrtypes.A, rrtypes.AAAA})
SINGLETONS = frozenset({rrtypes.CNAME, rrtypes.DNAME, rrtypes.SOA})
# What a delegation's own name may hold beside NS: the parent's data, and glue (RFC 4034, RFC 4035, 2).
AT_CUT = frozenset({rrtypes.NS, rrtypes.DS, rrtypes.NSEC, rrtypes.RRSIG}) | ADDRESSES
# What a signed zone holds below an apex DNAME all the same: hashed owner names and their signatures (RFC 5155, 1).
BELOW_DNAME = frozenset({rrtypes.NSEC3, rrtypes.RRSIG})

Place = Callable[[Record], str]
Lookup = Callable[[bytes], Sequence[Record]]  # the records of a lower-cased name


@dataclass(frozen=True, slots=True)
class ZoneLimits:
    """LIMITS.md on contents: octets of wire form, records, records of an RRset, types of a name."""

    zone_size: int = 256 * MIB
    zone_records: int = 5_000_000
    rrset_records: int = 1000
    name_types: int = 100


def wire_size(record: Record) -> int:
    """Octets of the record's uncompressed wire form; ``zone-size`` counts these."""
    return len(record.owner) + 10 + len(record.rdata)


def covered_type(record: Record) -> int:
    """The type that an RRSIG covers, else 0: RRSIGs form an RRset per covered type (RFC 4034, 3)."""
    return int.from_bytes(record.rdata[:2], "big") if record.type == rrtypes.RRSIG else 0


def rrset_key(record: Record) -> tuple[int, int]:
    """What tells the RRsets of one name apart."""
    return (record.type, covered_type(record))


def unify_ttls(node: Sequence[Record]) -> list[Record]:
    """The records of one name with one TTL an RRset, the lowest (RFC 2181, 5.2)."""
    lowest: dict[tuple[int, int], int] = {}
    for record in node:
        at = rrset_key(record)
        lowest[at] = min(record.ttl, lowest.get(at, record.ttl))
    return [record._replace(ttl=lowest[rrset_key(record)]) for record in node]


def settled(whole: Whole) -> Whole:
    """Each record once, those of a name by type and rdata, with one TTL an RRset."""
    keys, records = whole.keys, whole.records
    unsettled = []
    for at in whole.crowded():
        _, rtype, ttl, rdata = records[at]
        _, next_type, next_ttl, next_rdata = records[at + 1]
        if rtype > next_type or (rtype == next_type and (rdata >= next_rdata or ttl != next_ttl)):
            unsettled.append(keys[at])
    made_keys: list[bytes] = []
    made: list[Record] = []
    done = 0
    for key in dict.fromkeys(unsettled):
        start = bisect_left(keys, key, done)
        end = bisect_right(keys, key, start)
        node = list({(record.type, record.rdata): record for record in unify_ttls(records[start:end])}.values())
        node.sort(key=lambda record: (record.type, record.rdata))
        made_keys += keys[done:start] + [key] * len(node)
        made += records[done:start] + node
        done = end
    return Whole(made_keys + keys[done:], made + records[done:]) if unsettled else whole


def owner_place(record: Record) -> str:
    """``www.example.com. A``: where a problem is, when no file is at hand."""
    return f"{names.to_text(record.owner)} {type_to_text(record.type)}"


def check_node(
    records: Sequence[Record], *, apex: bytes, limits: ZoneLimits, place: Place = owner_place
) -> list[Problem]:
    """The problems of one name: all its records, at least one. ``apex`` lower-cased."""
    if _is_plain(records, limits) and records[0].owner.lower() != apex:
        return []
    return list(_node_problems(records, apex, limits, place))


def _is_plain(records: Sequence[Record], limits: ZoneLimits) -> bool:
    """Whether nothing can be wrong with a name below the apex by what it holds: seen at once of most names."""
    if len(records) == 1:
        return records[0].type not in _NEEDS_LOOK
    types = {record[1] for record in records}
    return (
        types.isdisjoint(_NEEDS_COMPANY)
        and len(records) <= min(limits.rrset_records, limits.name_types)
        and len({record[1:3] for record in records}) == len(types)  # one TTL a type
    )


# Of a name that holds one record: the types that can be wrong alone, and those that say what lies below or beside.
_NEEDS_LOOK = rrtypes.META | {rrtypes.SOA}
_NEEDS_CONTEXT = _NEEDS_LOOK | {rrtypes.NS, rrtypes.DNAME, rrtypes.DS}
# Of a name that holds several: those that do not go with others, or not twice.
_NEEDS_COMPANY = _NEEDS_LOOK | SINGLETONS


def _node_problems(records: Sequence[Record], apex: bytes, limits: ZoneLimits, place: Place) -> Iterator[Problem]:
    yield from _node_excess(records, apex, limits, place)
    if records[0].owner.lower() != apex:
        return
    types = {record.type for record in records}
    if rrtypes.SOA not in types:
        yield Problem(names.to_text(apex), "the zone has no SOA")
    if rrtypes.NS not in types:
        yield Problem(names.to_text(apex), "the zone has no NS at its own name")


def _node_excess(records: Sequence[Record], apex: bytes, limits: ZoneLimits, place: Place) -> Iterator[Problem]:
    """What is wrong with a name by what it holds, not by what it lacks."""
    at_apex = records[0].owner.lower() == apex
    name = names.to_text(records[0].owner)
    first: dict[tuple[int, int], Record] = {}
    for record in records:
        first.setdefault(rrset_key(record), record)
    sizes = Counter(rrset_key(record) for record in records)
    types = {record.type: record for record in records}
    for key, record in first.items():
        kind = type_to_text(record.type)
        if record.type in rrtypes.META:
            yield Problem(place(record), f"{name} {kind}: a type that no zone holds (RFC 6895, 3.1)")
        if sizes[key] > limits.rrset_records:
            text = f"{name} {kind} has {sizes[key]} records, above the limit rrset-records = {limits.rrset_records}"
            yield Problem(place(record), text)
        if record.type in SINGLETONS and sizes[key] > 1:
            yield Problem(place(types[record.type]), f"{name} has {sizes[key]} {kind} records; one is allowed")
        if any(other.ttl != record.ttl for other in records if rrset_key(other) == key):
            text = f"the records of {name} {kind} have different TTLs; the lowest is taken (RFC 2181, 5.2)"
            yield Problem(place(record), text, "warning")
    if len(first) > limits.name_types:
        text = f"{name} has {len(first)} types, above the limit name-types = {limits.name_types}"
        yield Problem(place(records[0]), text)
    if rrtypes.CNAME in types and (others := types.keys() - rrtypes.BESIDE_CNAME):
        beside = ", ".join(type_to_text(other) for other in sorted(others))
        text = f"{name} has a CNAME beside other data ({beside}); an alias has nothing else (RFC 2181, 10.1)"
        yield Problem(place(types[rrtypes.CNAME]), text)
    if rrtypes.DNAME in types and rrtypes.NS in types and not at_apex:
        text = f"{name} has a DNAME beside NS; below the zone's own name that is not allowed (RFC 6672, 2.3)"
        yield Problem(place(types[rrtypes.DNAME]), text)
    if rrtypes.SOA in types and not at_apex:
        text = f"{name} has an SOA; it belongs to the zone's own name {names.to_text(apex)} alone"
        yield Problem(place(types[rrtypes.SOA]), text)


def check_contents(
    apex: bytes, records: Iterable[Record], limits: ZoneLimits, *, place: Place = owner_place
) -> list[Problem]:
    """All problems of a whole zone, in canonical order of names, those of the zone as a whole last.

    ``apex`` is a wire name, ``records`` come in any order; ``place`` says where a record was written (its
    ``file:line``), else problems are placed by name. Severity "error": nothing that has one may be stored.
    """
    return check_whole(apex.lower(), arranged(list(records)), limits, place=place)


def excess(apex: bytes, records: Iterable[Record], limits: ZoneLimits, *, place: Place = owner_place) -> list[Problem]:
    """The errors of names that no further record could mend: for a zone of which some lines could not be read."""
    whole = arranged(list(records))
    return [
        problem
        for start, end in pairwise(whole.starts())
        for problem in _node_excess(whole.records[start:end], apex.lower(), limits, place)
        if problem.severity == "error"
    ]


def check_whole(apex: bytes, whole: Whole, limits: ZoneLimits, *, place: Place = owner_place) -> list[Problem]:
    """The same of a zone in canonical order; ``apex`` lower-cased."""
    keys, records = whole.keys, whole.records
    apex_key = names.key(apex)
    problems: list[Problem] = []
    if not whole.at(apex):
        problems.append(Problem(names.to_text(apex), "the zone has no SOA and no NS at its own name"))
    # The topmost cut and DNAME that cover the name at hand: in canonical order their subtrees follow at once, and the
    # key of a name is a prefix of theirs.
    cut: bytes | None = None
    dname: bytes | None = None
    for start, end in _to_look_at(whole, apex_key):
        key = keys[start]
        if cut is not None and not key.startswith(cut):
            cut = None
        if dname is not None and not key.startswith(dname):
            dname = None
        node = records[start:end]
        if not key.startswith(apex_key):
            text = f"{names.to_text(names.from_key(key))} is not in the zone {names.to_text(apex)}"
            problems += [Problem(place(record), text) for record in node]
            continue
        problems += check_node(node, apex=apex, limits=limits, place=place)
        types = {record.type for record in node}
        if dname is not None:
            problems += _below_dname(node, names.from_key(dname), place)
        if cut is not None:
            problems += _below_cut(node, names.from_key(cut), place)
            continue
        if rrtypes.DNAME in types and dname is None:
            dname = key
        if rrtypes.NS in types and key != apex_key:
            cut = key
            problems += _at_cut(node, place)
        elif rrtypes.DS in types:
            text = (
                f"{names.to_text(node[0].owner.lower())} has DS without NS: DS belongs to a delegation (RFC 4035, 2.4)"
            )
            problems.append(Problem(place(node[0]), text, "warning"))
    problems += check_targets(apex, records, whole.at, place=place)
    size = sum([len(record[0]) + len(record[3]) for record in records]) + 10 * len(records)
    return [*problems, *check_totals(apex, len(records), size, limits)]


def _to_look_at(whole: Whole, apex_key: bytes) -> list[tuple[int, int]]:
    """Where the names begin and end at which something can be wrong: most of a large zone has one record and no more.

    That is the apex, what holds several records, or a type that needs context, what lies below a delegation or DNAME,
    or outside the zone.
    """
    keys = whole.keys
    suspects = set(whole.crowded())
    suspects.update(range(bisect_left(keys, apex_key) + 1), range(_end(keys, apex_key), len(keys)))
    for at, record in enumerate(whole.records):
        if (rtype := record[1]) in _NEEDS_CONTEXT:
            suspects.add(at)
            if rtype == rrtypes.DNAME or (rtype == rrtypes.NS and keys[at] != apex_key):
                suspects.update(range(at, _end(keys, keys[at])))
    spans: list[tuple[int, int]] = []
    end = 0
    # All records of a name that holds several are suspects but the last, so its first one comes first.
    for start in sorted(suspects):
        if end <= start < len(keys):
            end = start + 1
            while end < len(keys) and keys[end] == keys[start]:
                end += 1
            spans.append((start, end))
    return spans


def _end(keys: list[bytes], key: bytes) -> int:
    """Where the names at and below the one of ``key`` end: a key ends in 00 and is a prefix of those below it."""
    return bisect_left(keys, key[:-1] + b"\x01") if key else len(keys)


def _below_dname(node: Sequence[Record], dname: bytes, place: Place) -> Iterator[Problem]:
    for record in node:
        if record.type not in BELOW_DNAME:
            text = f"{names.to_text(record.owner)} lies below the DNAME of {names.to_text(dname)} (RFC 6672, 2.4)"
            yield Problem(place(record), text)
            return


def _below_cut(node: Sequence[Record], cut: bytes, place: Place) -> Iterator[Problem]:
    for record in node:
        if record.type not in ADDRESSES:
            text = (
                f"{names.to_text(record.owner)} {type_to_text(record.type)} lies below the delegation of "
                f"{names.to_text(cut)} and is no glue; it is never answered"
            )
            yield Problem(place(record), text, "warning")
            return


def _at_cut(node: Sequence[Record], place: Place) -> Iterator[Problem]:
    for record in node:
        if record.type not in AT_CUT and record.type not in SINGLETONS:  # those are errors of the node
            text = (
                f"{names.to_text(record.owner)} is a delegation; its {type_to_text(record.type)} is never answered "
                "(it belongs to the child zone)"
            )
            yield Problem(place(record), text, "warning")


def check_totals(apex: bytes, count: int, size: int, limits: ZoneLimits) -> Iterator[Problem]:
    """What ``count`` records of ``size`` octets together pass of the limits."""
    if count > limits.zone_records:
        text = f"the zone has {count} records, above the limit zone-records = {limits.zone_records}"
        yield Problem(names.to_text(apex), text)
    if size > limits.zone_size:
        text = f"the zone has {size} octets, above the limit zone-size = {limits.zone_size}"
        yield Problem(names.to_text(apex), text)


# R30: names that others are sent to.


_TARGET_AT = {rrtypes.NS: 0, rrtypes.MX: 2, rrtypes.SRV: 6}


def target(record: Record) -> bytes | None:
    """The lower-cased host that an NS, MX or SRV names; None for other types, and for 'none' (the root)."""
    skip = _TARGET_AT.get(record.type)
    if skip is None or record.rdata[skip:] == names.ROOT:
        return None
    return record.rdata[skip:].lower()


def check_targets(
    apex: bytes, records: Iterable[Record], lookup: Lookup, *, place: Place = owner_place
) -> Iterator[Problem]:
    """Warnings about hosts in the zone that its NS, MX and SRV name (R30; RFC 2181, 10.3; RFC 1912, 2.4)."""
    for record in records:
        if record[1] not in _TARGET_AT:
            continue
        host = target(record)
        if host is None or not names.is_within(host, apex):
            continue
        at_apex = record.type == rrtypes.NS and record.owner.lower() == apex
        yield from _check_host(record, host, at_apex, lookup, apex, place)


def _check_host(
    record: Record, host: bytes, at_apex: bool, lookup: Lookup, apex: bytes, place: Place
) -> Iterator[Problem]:
    found = lookup(host)
    text = names.to_text(host)
    kind = type_to_text(record.type)
    if any(other.type == rrtypes.CNAME for other in found):
        yield Problem(place(record), f"the {kind} target {text} is an alias (CNAME); {kind} names a host itself "
                      "(RFC 2181, 10.3)", "warning")  # fmt: skip
        return
    addresses = [other for other in found if other.type in ADDRESSES]
    if not addresses:
        if record.type != rrtypes.NS and _elsewhere(host, lookup, apex):
            return
        unreached = "; NOTIFY cannot reach it" if at_apex else ""
        what = f"the name server {text}" if record.type == rrtypes.NS else f"the {kind} target {text}"
        yield Problem(place(record), f"{what} lies in this zone and has no address there{unreached}", "warning")
    elif at_apex and not any(_reachable(other) for other in addresses):
        shown = ", ".join(str(ipaddress.ip_address(other.rdata)) for other in addresses)
        yield Problem(place(record), f"NOTIFY cannot reach the name server {text} at {shown}", "warning")


def _elsewhere(host: bytes, lookup: Lookup, apex: bytes) -> bool:
    """Whether the host is answered by a wildcard, a DNAME or a delegated zone."""
    for name in names.ancestors(host):
        if name == apex:
            break
        node = lookup(name)
        if any(record.type in (rrtypes.NS, rrtypes.DNAME) for record in node):
            return True
        if name != host and node:
            return False
        if lookup(names.from_labels([b"*", *names.labels(names.parent(name))])):
            return True
    return False


def _reachable(address: Record) -> bool:
    ip = ipaddress.ip_address(address.rdata)
    return not (ip.is_unspecified or ip.is_multicast)


def check_servers(apex: bytes, node: Sequence[Record], lookup: Lookup) -> list[Problem]:
    """Warnings about the zone's own name servers (R30): ``node`` is the apex's records, ``lookup`` any name's."""
    soa = next((record for record in node if record.type == rrtypes.SOA), None)
    servers = {record.rdata.lower() for record in node if record.type == rrtypes.NS}
    if soa is None:
        return []
    mname = first_name(soa.rdata.lower())
    if mname == names.ROOT or mname in servers:
        return []
    text = f"the SOA names {names.to_text(mname)} as the primary, and the zone has no NS record for it"
    problems = [Problem(names.to_text(apex), text + " (right only where the primary is hidden)", "warning")]
    if names.is_within(mname, apex) and not any(record.type in ADDRESSES for record in lookup(mname)):
        text = f"the primary {names.to_text(mname)} (SOA) lies in this zone and has no address there"
        problems.append(Problem(names.to_text(apex), text, "warning"))
    return problems


def first_name(rdata: bytes) -> bytes:
    """The name that rdata begins with: the MNAME of an SOA, the target of an alias."""
    at = 0
    while length := rdata[at]:
        at += length + 1
    return rdata[: at + 1]
