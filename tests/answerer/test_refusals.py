"""Refused transfers and NOTIFYs: a flood of requests is no flood of lines (LIMITS, refused-log-interval)."""

from __future__ import annotations

from dnsserver.answerer.refusals import RefusalLog
from dnsserver.events import CODES, Event


class Told:
    """A log of refusals, and what it tells."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refusals = RefusalLog(30.0, self.events.append)

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


def test_a_flood_of_invented_zones_is_a_bounded_number_of_lines() -> None:
    """The zone of a request is the client's choice, and over UDP its source, too."""
    told = Told()
    for number in range(5000):
        peer = f"192.0.{number % 256}.9#53"
        told.refusals.refused(f"z{number}.test.", peer, None, "zone-not-here", "t", now=1.0)
    told.refusals.summarise(32.0)
    told.refusals.summarise(63.0)
    assert len(told.named("transfer-refused")) == 1000
    (summary,) = told.named("transfers-refused")
    assert (summary.fields["reason"], summary.fields["count"]) == ("others", 4000)
    assert not told.refusals._seen, "what came no more is forgotten"


def test_the_first_is_told_and_the_rest_are_summed_up() -> None:
    told = Told()
    for last in (1, 2, 3):
        told.refusals.refused("example.com.", f"192.0.2.{last}#53", None, "no-entries", "t", now=1.0)
    told.refusals.summarise(30.9)
    assert len(told.events) == 1
    told.refusals.summarise(31.0)
    first, rest = told.events
    assert first == Event(
        "transfer-refused",
        {"zone": "example.com.", "peer": "192.0.2.1#53", "key": None, "reason": "no-entries", "ticket": "t"},
    )
    assert rest == Event(
        "transfers-refused",
        {
            "zone": "example.com.", "prefix": "192.0.2.0/24", "peers": "192.0.2.2,192.0.2.3", "reason": "no-entries",
            "ticket": "t", "count": 2,
        },
    )  # fmt: skip


def test_denied_notifies_are_told_the_same_way() -> None:
    """R9."""
    told = Told()
    for last in (1, 2, 3):
        told.refusals.denied("example.com.", f"192.0.2.{last}#53", "k.", "wrong-key", now=1.0)
    told.refusals.denied("example.com.", "192.0.2.1#53", None, "not-a-primary", now=1.0)
    told.refusals.summarise(31.0)
    known = {"zone": "example.com.", "peer": "192.0.2.1#53"}
    assert told.events == [
        Event("notify-denied", {**known, "key": "k.", "reason": "wrong-key"}),
        Event("notify-denied", {**known, "key": None, "reason": "not-a-primary"}),
        Event(
            "notifies-denied",
            {
                "zone": "example.com.", "prefix": "192.0.2.0/24", "peers": "192.0.2.2,192.0.2.3",
                "reason": "wrong-key", "count": 2,
            },
        ),
    ]  # fmt: skip


def test_a_notify_does_not_hide_a_transfer() -> None:
    """The same zone, source and reason, both told."""
    told = Told()
    told.refusals.denied("example.com.", "192.0.2.1#53", None, "zone-not-here", now=1.0)
    told.refusals.refused("example.com.", "192.0.2.1#53", None, "zone-not-here", "t", now=1.0)
    assert [event.name for event in told.events] == ["notify-denied", "transfer-refused"]


def test_a_full_table_tells_floods_of_both_kinds_apart() -> None:
    told = Told()
    for number in range(1500):
        told.refusals.denied(f"z{number}.test.", "192.0.2.1#53", None, "zone-not-here", now=1.0)
        told.refusals.refused(f"z{number}.test.", "192.0.2.1#53", None, "zone-not-here", "t", now=1.0)
    told.refusals.summarise(32.0)
    assert [event.fields["count"] for event in told.named("notifies-denied")] == [1000]
    assert [event.fields["count"] for event in told.named("transfers-refused")] == [1000]


def test_every_line_is_kept_in_the_database() -> None:
    """They have codes; that is how the keeper tells."""
    told = Told()
    for _ in range(2):
        told.refusals.denied("example.com.", "192.0.2.1#53", None, "wrong-key", now=1.0)
        told.refusals.refused("example.com.", "192.0.2.1#53", None, "no-entries", "t", now=1.0)
    told.refusals.summarise(31.0)
    assert len({event.name for event in told.events}) == 4
    assert {event.name for event in told.events} <= CODES.keys()
