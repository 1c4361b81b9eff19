"""Writes a zone file: canonical order, absolute names, the SOA first; reading it gives the same records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from dnsserver.zone import names, rdata
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA
from dnsserver.zone.whole import arranged


def write(apex: bytes, records: Iterable[Record], default_ttl: int | None = None) -> Iterator[str]:
    """Lines with their newlines. ``default_ttl`` becomes ``$TTL``; each record has its own TTL all the same."""
    yield f"; {names.to_text(apex)}\n"
    if default_ttl is not None:
        yield f"$TTL {default_ttl}\n"
    whole = arranged(list(records))
    for start, end in pairwise(whole.starts()):
        node = whole.records[start:end]
        if len(node) > 1:
            node.sort(key=_order)
        text, owner = "", b""
        for record in node:
            if record.owner != owner:
                owner = record.owner
                text = names.to_text(owner)
            kind = rdata.type_to_text(record.type)
            yield f"{text}\t{record.ttl}\tIN\t{kind}\t{rdata.to_text(record.type, record.rdata)}\n"


def _order(record: Record) -> tuple[bool, int, bytes]:
    return (record.type != SOA, record.type, record.rdata)
