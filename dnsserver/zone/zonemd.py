"""The digest of a whole zone (RFC 8976): scheme SIMPLE with SHA-384 and SHA-512."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from dnsserver.zone import names
from dnsserver.zone.rdata import FIELDS, canonical
from dnsserver.zone.records import IN, Record, soa_serial
from dnsserver.zone.rrtypes import RRSIG, SOA, ZONEMD

SIMPLE = 1
# By number (RFC 8976, 5.3); another is unsupported.
HASHES = {1: "sha384", 2: "sha512"}

_HEAD = struct.Struct(">HHIH")
_FIXED = struct.Struct(">IBB")  # serial, scheme, hash algorithm; the digest follows
_FOLDED = frozenset(rtype for rtype, layout in FIELDS.items() if any(field.fold for field in layout))
_FLUSH = 64 * 1024


class Status(StrEnum):
    """``UNSUPPORTED``: there are digests, none of a scheme and hash that is known here, so that nothing was checked."""

    OK = "ok"
    MISMATCH = "mismatch"
    MISSING = "missing"
    UNSUPPORTED = "unsupported"


class Result(NamedTuple):
    """``detail`` says more, for people."""

    status: Status
    detail: str = ""


def verify(apex: bytes, records: Iterable[Record], zonemds: Iterable[bytes]) -> Result:
    """Whether the zone is the one that its publisher digested (RFC 8976, 4).

    ``apex``: lower-cased; ``records``: all of the zone, in canonical order of names, those of a name in any order;
    they are read once, and not at all where nothing can be checked; ``zonemds``: the rdata of the ZONEMD RRset at the
    apex. One digest that is right is enough. That the ZONEMD RRset is authentic is not looked at: that takes DNSSEC.
    """
    found = [(*_FIXED.unpack_from(rdata), rdata[_FIXED.size :]) for rdata in zonemds]
    if not found:
        return Result(Status.MISSING, "the zone has no ZONEMD")
    known = [entry for entry in found if entry[1] == SIMPLE and entry[2] in HASHES]
    if not known:
        kinds = ", ".join(sorted({f"scheme {scheme} with hash {number}" for _, scheme, number, _ in found}))
        return Result(Status.UNSUPPORTED, f"only {kinds}")
    # RFC 8976, 2: one digest for each scheme and hash; where there are more, none of them counts.
    times = Counter(number for _, _, number, _ in known)
    usable = [(serial, number, wanted) for serial, _, number, wanted in known if times[number] == 1]
    if not usable:
        return Result(Status.MISMATCH, "several digests of one scheme and hash")
    serial, computed = digests(apex, records, [number for _, number, _ in usable])
    if any(at == serial and wanted == computed[number] for at, number, wanted in usable):
        return Result(Status.OK)
    if all(at != serial for at, _, _ in usable):
        return Result(Status.MISMATCH, f"the digest is of serial {usable[0][0]}, the zone has {serial}")
    return Result(Status.MISMATCH, "the digest is another one")


def digests(apex: bytes, records: Iterable[Record], numbers: Iterable[int]) -> tuple[int | None, dict[int, bytes]]:
    """(the SOA's serial, the digests by the number of their hash) of a zone; arguments as for ``verify``."""
    hashes = {number: hashlib.new(HASHES[number]) for number in numbers}
    serial: int | None = None
    pending: list[bytes] = []
    size = 0

    def flush() -> None:
        octets = b"".join(pending)
        pending.clear()
        for state in hashes.values():
            state.update(octets)

    for name, group in groupby(records, lambda record: record.owner.lower()):
        if not names.is_within(name, apex):
            continue
        node = list(group)
        if name == apex:
            serial = next((soa_serial(record.rdata) for record in node if record.type == SOA), None)
            node = [record for record in node if not _is_own(record)]
        for octets in _canonical(name, node):
            pending.append(octets)
            size += len(octets)
        if size > _FLUSH:
            flush()
            size = 0
    flush()
    return serial, {number: state.digest() for number, state in hashes.items()}


def _is_own(record: Record) -> bool:
    """RFC 8976, 3.3.1: the apex's ZONEMD and its signatures are not digested."""
    return record.type == ZONEMD or (record.type == RRSIG and record.rdata.startswith(ZONEMD.to_bytes(2, "big")))


def _canonical(name: bytes, node: Sequence[Record]) -> Iterator[bytes]:
    """The records of a name in canonical form and order (RFC 4034, 6.2 and 6.3), duplicates once."""
    if len(node) == 1 and node[0].type not in _FOLDED:
        _, rtype, ttl, rdata = node[0]
        yield name + _HEAD.pack(rtype, IN, ttl, len(rdata)) + rdata
        return
    found: dict[tuple[int, bytes], int] = {}
    for _, rtype, ttl, rdata in node:
        if rtype in _FOLDED and rdata != rdata.lower():
            rdata = canonical(rtype, rdata)
        found.setdefault((rtype, rdata), ttl)
    for rtype, rdata in sorted(found) if len(found) > 1 else found:
        yield name + _HEAD.pack(rtype, IN, found[rtype, rdata], len(rdata)) + rdata
