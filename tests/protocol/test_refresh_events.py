"""The words, codes and counts of what goes wrong with a secondary zone (R5, R22, R27)."""

from __future__ import annotations

import pytest

from dnsserver.events import Event
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Fetched
from dnsserver.protocol.soa_query import SoaAnswer
from tests.protocol.refreshing import CHECK_WORDS, PRIMARIES, SOA, WALL, Player, machine


def events_of(script: str, primaries: str = "A") -> list[Event]:
    zone = machine(primaries)
    player = Player(zone)
    zone.start(player.now, WALL, SOA, None)
    player.play(script)
    return player.events


def fail(*failures: Failure, fetch: bool) -> list[Event]:
    """The events of these failures of the same primary, one a round."""
    zone = machine("A")
    zone.start(0.0, WALL, SOA, None)
    events: list[Event] = []
    for failure in failures:
        zone.refresh(0.0)
        primary = PRIMARIES["A"]
        if fetch:
            zone.soa_answered(0.0, primary, SoaAnswer(8))
            actions = zone.fetch_failed(0.0, primary, failure)
        else:
            actions = zone.soa_failed(0.0, primary, failure)
        events += [a for a in actions if isinstance(a, Event) and a.name != "zone-stale"]
    return events


TRANSFER_WORDS = "Failed to transfer zone example.com from 192.0.2.1 "
REACH_WORDS = "Cannot reach the primary 192.0.2.1 of zone example.com "


@pytest.mark.parametrize(
    ("failure", "fetch", "name", "code", "msg"),
    [
        (Failure("refused", rcode=5), True, "transfer-failed", 6525, TRANSFER_WORDS + "(RCODE 5, REFUSED)"),
        (Failure("error", "", 2), True, "transfer-failed", 6524, TRANSFER_WORDS + "(RCODE 2, SERVFAIL)"),
        (Failure("error", "", 13), True, "transfer-failed", 6524, TRANSFER_WORDS + "(RCODE 13, unknown)"),
        (Failure("closed", "after 3 messages"), True, "transfer-failed", 6524,
         TRANSFER_WORDS + "(closed: after 3 messages)"),
        (Failure("unauthenticated", "peer-badkey", 9), True, "transfer-failed", 6524,
         TRANSFER_WORDS + "(RCODE 9, NOTAUTH, unauthenticated: peer-badkey)"),
        (Failure("timeout"), True, "primary-unreachable", 6523, REACH_WORDS + "(timeout)"),
        (Failure("unreachable", "No route to host"), True, "primary-unreachable", 6523,
         REACH_WORDS + "(unreachable: No route to host)"),
        (Failure("timeout"), False, "primary-unreachable", 6523, REACH_WORDS + "(timeout)"),
        (Failure("refused", rcode=5), False, "refresh-failed", 7001, CHECK_WORDS + "(RCODE 5, REFUSED)"),
        (Failure("not-authoritative"), False, "refresh-failed", 7001, CHECK_WORDS + "(not-authoritative)"),
    ],
)  # fmt: skip
def test_the_words_and_codes_of_failures(failure: Failure, fetch: bool, name: str, code: int, msg: str) -> None:
    """R5, R22, R27: a stable name and code, the zone, the primary's address, the reason."""
    (event,) = fail(failure, fetch=fetch)
    assert (event.name, event.code) == (name, code)
    assert event.fields["msg"] == msg
    assert event.fields["zone"] == "example.com"
    assert event.fields["primary"] == "192.0.2.1#53"
    assert event.fields["reason"] == failure.reason
    assert event.fields["count"] == 1
    assert event.fields.get("code") == (6523 if name == "primary-unreachable" else None)


def test_the_same_failure_again_is_counted_until_another_or_success() -> None:
    refused, timeout = Failure("refused", rcode=5), Failure("timeout")
    events = fail(refused, refused, refused, timeout, refused, fetch=False)
    assert [event.fields["count"] for event in events] == [1, 2, 3, 1, 1]
    events = events_of(
        "refresh -> ask A\nA fails timeout -> primary-unreachable, zone-stale\n"
        "refresh -> ask A\nA says 7 -> zone-recovered\nrefresh -> ask A\n"
        "A fails timeout -> primary-unreachable, zone-stale"
    )
    assert [event.fields["count"] for event in events if "count" in event.fields] == [1, 1]


def test_the_events_of_a_zone_say_its_serial() -> None:
    events = events_of("""
        due -> ask A
        A fails timeout -> primary-unreachable, zone-stale
        +86400 -> zone-expired, ask A
        A says 6 -> primary-behind
        refresh -> ask A
        A says 9 -> fetch A
        A gives ixfr 9 -> zone-transferred, zone-recovered
        refresh -> ask A
        A says 2147483657 -> serial-incomparable, zone-stale
        """)
    fields = {event.name: event.fields for event in events}
    assert {name: fields[name]["serial"] for name in fields if "serial" in fields[name]} == {
        "zone-stale": 9,
        "zone-expired": 7,
        "primary-behind": 7,
        "zone-transferred": "7->9",
        "zone-recovered": 9,
        "serial-incomparable": 9,
    }
    assert events[1].fields["expires_in"] == 86400
    assert fields["primary-behind"]["primary_serial"] == 6
    assert all(event.code is not None for event in events)
    assert all("example.com" in str(event.fields["msg"]) for event in events)


def test_the_log_of_a_transfer_says_what_it_cost() -> None:
    zone = machine("B")
    zone.start(0.0, WALL, None, None)
    zone.due(0.0)
    zone.soa_answered(0.0, PRIMARIES["B"], SoaAnswer(3))
    fetched = Fetched(SOA, "axfr", messages=4, octets=60000, records=1000, seconds=0.25)
    (event,) = zone.fetched(0.0, PRIMARIES["B"], fetched)
    assert isinstance(event, Event)
    assert event.fields == {
        "zone": "example.com", "primary": "192.0.2.2#5301", "kind": "axfr", "serial": "->7", "messages": 4,
        "records": 1000, "bytes": 60000, "ms": 250, "msg": "Zone example.com was transferred from 192.0.2.2, serial 7",
    }  # fmt: skip
