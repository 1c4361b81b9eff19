"""The operation ``events`` (R22, R27)."""

from __future__ import annotations

import pytest

from dnsserver.errors import InvalidData
from dnsserver.store import events
from dnsserver.store.events import StoredEvent
from dnsserver.zone import names
from tests.support.desk import NOW, Desk


@pytest.fixture
def busy(desk: Desk) -> Desk:
    zone = names.from_user("example.com")
    happened = [
        StoredEvent(0, NOW, NOW, 1, "transfer-failed", 6525, zone, "192.0.2.1:53", "refused", "REFUSED"),
        StoredEvent(0, NOW + 1, NOW + 1, 3, "transfers-refused", 7021, None, "", "", "3 of 192.0.2.0/24"),
        StoredEvent(0, NOW + 2, NOW + 2, 1, "transfer-failed", 6525, zone, "192.0.2.1:53", "refused", "REFUSED again"),
    ]
    with desk.context.db.write() as conn:
        events.record(conn, happened)
    return desk


def test_events_are_listed_newest_last(busy: Desk) -> None:
    found = busy("events")
    assert found["version"] == 1
    refused, failed = found["events"]
    assert {key: value for key, value in refused.items() if key != "id"} == {
        "first": "2023-11-14T22:13:21Z", "last": "2023-11-14T22:13:21Z", "count": 3, "name": "transfers-refused",
        "code": 7021, "zone": None, "peer": None, "reason": None, "message": "3 of 192.0.2.0/24",
    }  # fmt: skip
    assert {key: value for key, value in failed.items() if key != "id"} == {
        "first": "2023-11-14T22:13:20Z", "last": "2023-11-14T22:13:22Z", "count": 2, "name": "transfer-failed",
        "code": 6525, "zone": "example.com.", "peer": "192.0.2.1:53", "reason": "refused", "message": "REFUSED again",
    }  # fmt: skip


def test_events_of_one_zone_of_the_newest_and_of_what_is_new(busy: Desk) -> None:
    assert [event["zone"] for event in busy("events", zone="EXAMPLE.com")["events"]] == ["example.com."]
    assert busy("events", zone="example.net")["events"] == []
    (newest,) = busy("events", limit=1)["events"]
    assert newest["count"] == 2
    assert [event["name"] for event in busy("events", after=newest["id"])["events"]] == ["transfers-refused"]
    assert len(busy("events", after=0)["events"]) == 2
    with pytest.raises(InvalidData, match="limit"):
        busy("events", limit=0)
