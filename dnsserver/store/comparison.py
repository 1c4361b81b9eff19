"""What a whole zone differs in from the records that are stored: page by page, most of them looked at as a whole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter

from sqlalchemy.engine import Connection

from dnsserver.store.contents import BATCH, Row, all_records, row_pages
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.changeset import Changeset, ordered
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import SOA
from dnsserver.zone.whole import Whole


def difference(conn: Connection, zone: ZoneRow, new: Whole, page: int = BATCH) -> Changeset:
    """As ``changeset.difference``, from what is stored to ``new``; both hold exactly one SOA. ``page``: rows a page."""
    removed: list[Record] = []
    added: list[Record] = []
    at = 0
    for before, end in _pages(conn, zone, new.keys, page):
        after: list[Row] = [
            (key, rtype, None if owner == owner.lower() else owner, ttl, rdata)
            for key, (owner, rtype, ttl, rdata) in zip(new.keys[at:end], new.records[at:end], strict=True)
        ]
        if before != after:
            gone, come = {_identity(row): row for row in before}, {_identity(row): row for row in after}
            removed += [_record(row) for which, row in gone.items() if which not in come]
            added += [_record(row) for which, row in come.items() if which not in gone]
        at = end
    old_soa, new_soa = (
        next(record for record in apex if record.type == SOA)
        for apex in (all_records(conn, zone, zone.name), new.at(zone.name))
    )
    return ordered(
        old_soa, [record for record in removed if record.type != SOA],
        new_soa, [record for record in added if record.type != SOA],
    )  # fmt: skip


def _pages(conn: Connection, zone: ZoneRow, keys: list[bytes], size: int) -> Iterator[tuple[list[Row], int]]:
    """What is stored, in order, each name whole in one page; and where in ``keys`` the names of the page end."""
    kept: list[Row] = []
    for rows in row_pages(conn, zone.contents, size):
        page = [*kept, *rows]
        # The last name may go on in the next page.
        last = page[-1][0]
        start = bisect_left(page, last, key=itemgetter(0))
        kept = page[start:]
        if start:
            yield page[:start], bisect_left(keys, last)
    yield kept, len(keys)


def _identity(row: Row) -> tuple[bytes, int, int, bytes]:
    key, rtype, _, ttl, rdata = row
    return (key, rtype, ttl, rdata)


def _record(row: Row) -> Record:
    key, rtype, owner, ttl, rdata = row
    return Record(owner or names.from_key(key), rtype, ttl, rdata)
