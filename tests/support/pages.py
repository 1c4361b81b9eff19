"""Records as the keeper sends them."""

from __future__ import annotations

from collections.abc import Iterable

from dnsserver import link
from dnsserver.zone.pages import Pager, rows_of
from dnsserver.zone.records import Record


def zone_pages(apex: bytes, records: Iterable[Record]) -> list[link.ZonePage]:
    """The pages of records that come in canonical order."""
    pager = Pager(apex)
    return [link.ZonePage(page.plain) for page in [*pager.add(rows_of(records)), *pager.finish()]]
