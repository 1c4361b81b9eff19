"""Events as they are stored: repeats counted, bounded, found again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dnsserver.store import events, zones
from dnsserver.store.database import Database
from dnsserver.store.events import StoredEvent
from dnsserver.zone import names
from tests.support.stores import WHO, make_zone

ZONE = names.from_text("example.com.")
HOUR = events.APART


def failed(at: float, **more: Any) -> StoredEvent:
    event = StoredEvent(0, at, at, 1, "transfer-failed", 6524, ZONE, "192.0.2.1:53", "refused", f"at {at}")
    return replace(event, **more)


def told(db: Database, **how: Any) -> list[tuple[float, float, int]]:
    with db.read() as conn:
        return [(event.first, event.last, event.count) for event in events.recent(conn, 100, **how)]


def test_what_was_stored_is_found_again(db: Database) -> None:
    with db.write() as conn:
        events.record(conn, [failed(1.0), failed(2.0, zone=None, name="transfers-refused", code=7021)])
    with db.read() as conn:
        found = events.recent(conn, 10)
    assert [replace(event, id=0) for event in found] == [
        failed(1.0), failed(2.0, zone=None, name="transfers-refused", code=7021),
    ]  # fmt: skip
    assert found[0].id < found[1].id


@pytest.mark.parametrize("together", [True, False])
def test_a_repeat_within_an_hour_is_counted(db: Database, together: bool) -> None:
    """Whether the events come in one batch or in several; an hour without it makes a new row."""
    happened = [failed(0.0), failed(10.0), failed(9.0), failed(10.0 + HOUR - 1), failed(10.0 + 2 * HOUR)]
    for batch in [happened] if together else [[event] for event in happened]:
        with db.write() as conn:
            events.record(conn, batch)
    assert told(db) == [(0.0, 10.0 + HOUR - 1, 4), (10.0 + 2 * HOUR, 10.0 + 2 * HOUR, 1)]
    with db.read() as conn:
        assert [event.message for event in events.recent(conn, 10)] == [f"at {9.0 + HOUR}", f"at {10.0 + 2 * HOUR}"]


@pytest.mark.parametrize(
    "other",
    [
        {"name": "refresh-failed"},
        {"zone": b"\x03net\x00"},
        {"zone": None},
        {"peer": "192.0.2.2:53"},
        {"reason": "error"},
    ],
)
def test_what_differs_is_another_event(db: Database, other: dict[str, Any]) -> None:
    with db.write() as conn:
        events.record(conn, [failed(1.0), failed(2.0, **other)])
        events.record(conn, [failed(3.0), failed(4.0, **other)])
    assert told(db) == [(1.0, 3.0, 2), (2.0, 4.0, 2)]


def test_the_events_of_a_zone_and_what_is_new_to_a_follower(db: Database) -> None:
    with db.write() as conn:
        events.record(conn, [failed(float(at), reason=str(at)) for at in range(5)])
        events.record(conn, [failed(9.0, zone=b"\x03net\x00"), failed(10.0, reason="0")])
    assert told(db, zone=ZONE.upper()) == [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 1), (0, 10, 2)]
    with db.read() as conn:
        assert [event.last for event in events.recent(conn, 2)] == [9.0, 10.0]
        third = events.recent(conn, 100)[1].id
        assert [event.last for event in events.recent(conn, 2, after=third)] == [3.0, 4.0]
        assert [event.last for event in events.recent(conn, 9, after=third, zone=ZONE)] == [3.0, 4.0]


def test_rows_are_bounded_and_the_oldest_go(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 10)
    with db.write() as conn:
        events.record(conn, [failed(float(at), peer=str(at)) for at in range(10)])
        events.record(conn, [failed(20.0, peer="0")])
        events.record(conn, [failed(21.0, peer=str(at)) for at in range(100, 103)])
    assert [first for first, _, _ in told(db)] == [4, 5, 6, 7, 8, 9, 0, 21, 21, 21]
    with db.write() as conn:
        events.record(conn, [failed(22.0, peer=str(at)) for at in range(200, 230)])
    assert len(told(db)) == 10


def test_an_event_outlives_its_zone_and_odd_texts_are_stored(db: Database) -> None:
    zone = make_zone(db)
    with db.write() as conn:
        events.record(conn, [failed(1.0, peer="x" * 500, message="nul \0, lone \udcff")])
        events.record(conn, [failed(2.0, peer="x" * 500)])
        zones.delete(conn, zone, WHO)
        zones.purge_deleted(conn, WHO.now + 1)
    assert told(db) == [(1.0, 2.0, 2)]


def test_transfers_that_went_well_do_not_push_failures_out(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """R22: 10,000 zones that are transferred each hour, and the one that fails is still there to be found."""
    monkeypatch.setattr(events, "KEPT", 20)
    monkeypatch.setattr(events, "KEPT_ROUTINE", 5)
    went_well = [
        failed(float(at), name="zone-transferred", code=6002, reason="", zone=names.from_text(f"zone-{at}."))
        for at in range(2, 60)
    ]
    with db.write() as conn:
        events.record(conn, [failed(1.0)])
        events.record(conn, went_well)
    with db.read() as conn:
        found = events.recent(conn, 100)
    assert [(event.name, event.last) for event in found] == [
        ("transfer-failed", 1.0), *(("zone-transferred", float(at)) for at in range(55, 60)),
    ]  # fmt: skip


def test_a_flood_from_forged_addresses_does_not_push_failures_out(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R22: each address is an event of its own."""
    monkeypatch.setattr(events, "KEPT", 20)
    monkeypatch.setattr(events, "KEPT_OF_CLIENTS", 6)
    with db.write() as conn:
        events.record(conn, [failed(1.0)])
        for name in ("notify-denied", "notifies-denied", "transfer-refused", "transfers-refused"):
            events.record(conn, [failed(2.0, name=name, peer=f"192.0.2.{host}") for host in range(50)])
    with db.read() as conn:
        found = [event.name for event in events.recent(conn, 100)]
    assert found == ["transfer-failed", *["transfers-refused"] * 6]
