"""The keeper's book of events: logged, counted, kept, repeats as one (R22, R27)."""

from __future__ import annotations

import asyncio

import pytest

from dnsserver.events import Event
from dnsserver.keeper.events import EventBook
from dnsserver.keeper.offload import Offload
from dnsserver.store import events
from dnsserver.store.database import Database
from dnsserver.store.events import StoredEvent
from dnsserver.zone import names

PRIMARY = "192.0.2.1#53"


def kept(database: Database, happened: list[Event]) -> tuple[list[StoredEvent], EventBook]:
    """What is in the database after the book was closed, and the book."""

    async def run() -> EventBook:
        offload = Offload(1)
        book = EventBook(database, offload)
        for event in happened:
            book.happened(event)
        await book.write()
        offload.close()
        return book

    book = asyncio.run(run())
    with database.read() as conn:
        return events.recent(conn, 100), book


def failure(count: int, msg: str = "no answer") -> Event:
    return Event(
        "primary-unreachable",
        {"zone": "example.com", "primary": PRIMARY, "code": 6523, "reason": "timeout", "count": count, "msg": msg},
    )


def test_what_happened_is_logged_counted_and_kept(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    (row,), book = kept(database, [failure(1)])
    assert (row.name, row.code, row.zone) == ("primary-unreachable", 6523, names.from_text("example.com."))
    assert (row.peer, row.reason, row.message, row.count) == (PRIMARY, "timeout", "no answer", 1)
    assert book.counters == {"event-primary-unreachable": 1}
    assert capsys.readouterr().err.startswith("primary-unreachable zone=example.com primary=192.0.2.1#53 code=6523 ")


def test_failures_in_a_row_are_as_many_as_there_were(database: Database) -> None:
    """Their own count says how many came before; it is not added up."""
    (row,), _ = kept(database, [failure(1), failure(2), failure(3, "still none")])
    assert row.count == 3
    (row,), _ = kept(database, [failure(4)])
    assert row.count == 4


def test_a_summary_counts_for_all_that_it_stands_for(database: Database) -> None:
    known = {"zone": "example.com", "prefix": "192.0.2.0/24", "peers": "192.0.2.9", "reason": "no-entry-matches"}
    (row,), _ = kept(database, [Event("transfers-refused", {**known, "ticket": "5f3a", "count": 17})] * 2)
    assert (row.count, row.peer) == (34, "192.0.2.0/24")


def test_a_client_is_the_same_from_every_port(database: Database) -> None:
    """An IPv6 client, too."""
    denied = [
        Event("notify-denied", {"zone": "example.com", "peer": f"{address}#{port}", "key": None, "reason": "wrong-key"})
        for address in ("192.0.2.9", "2001:db8::9")
        for port in (40000, 40001)
    ]
    rows, _ = kept(database, denied)
    assert sorted((row.peer, row.count) for row in rows) == [("192.0.2.9", 2), ("2001:db8::9", 2)]


def test_an_event_without_a_code_stands_in_the_log_alone(database: Database) -> None:
    rows, book = kept(database, [Event("listening", {"address": "192.0.2.1:53"})])
    assert rows == []
    assert book.counters == {"event-listening": 1}


def test_a_name_that_is_none_is_kept_without_it(database: Database) -> None:
    """Whoever asks chooses the zone's name in a request."""
    (row,), _ = kept(database, [Event("transfer-refused", {"zone": "a" * 80, "peer": "192.0.2.9#1", "reason": "x"})])
    assert row.zone is None
