"""The changes that an answerer keeps for IXFR: those of the journal, where they are here; and bounded."""

from __future__ import annotations

from dnsserver.protocol.recent import LONG, RecentChanges

STEP = b"x" * 700
COST = 1000  # of such a step


def put(recent: RecentChanges, zone: int, *serials: int, version: int = 1, octets: bytes = STEP) -> None:
    """A change from each serial to the next one."""
    for at in range(len(serials) - 1):
        recent.put(
            zone, (version + at, version + at + 1), (serials[at], serials[at + 1]), octets + bytes((serials[at],))
        )


def found(recent: RecentChanges, zone: int, serial: int, version: int) -> list[int] | None:
    """The serials that the steps of a chain begin with."""
    chain = recent.chain(zone, serial, version)
    return None if chain is None else [step[-1] for step in chain]


def test_a_chain_leads_from_a_serial_to_the_newest_version() -> None:
    recent = RecentChanges()
    put(recent, 1, 10, 11, 15, 16)
    assert found(recent, 1, 10, 4) == [10, 11, 15]
    assert found(recent, 1, 15, 4) == [15]
    assert found(recent, 1, 16, 4) is None
    assert found(recent, 1, 12, 4) is None
    assert found(recent, 2, 10, 4) is None


def test_no_chain_ends_at_another_version_than_that_which_is_served() -> None:
    recent = RecentChanges()
    put(recent, 1, 10, 11, 12)
    assert found(recent, 1, 10, 2) is None
    assert found(recent, 1, 10, 4) is None


def test_a_gap_between_versions_begins_anew() -> None:
    recent = RecentChanges()
    put(recent, 1, 10, 11, 12)
    put(recent, 1, 12, 13, version=7)
    assert found(recent, 1, 11, 8) is None
    assert found(recent, 1, 12, 8) == [12]


def test_what_is_forgotten_is_not_found() -> None:
    recent = RecentChanges()
    put(recent, 1, 10, 11)
    put(recent, 2, 10, 11)
    recent.forget(1)
    recent.forget(3)
    assert found(recent, 1, 10, 2) is None
    assert found(recent, 2, 10, 2) == [10]


def test_a_long_chain_is_the_keepers() -> None:
    recent = RecentChanges()
    put(recent, 1, 10, 11, 12, octets=b"x" * (LONG // 2))
    assert found(recent, 1, 10, 3) is None
    assert found(recent, 1, 11, 3) == [11]
    put(recent, 1, 12, 13, version=3, octets=b"x" * LONG)
    put(recent, 1, 13, 14, version=4)
    assert found(recent, 1, 12, 5) is None
    assert found(recent, 1, 11, 5) is None
    assert found(recent, 1, 13, 5) == [13]


def test_of_many_zones_the_one_silent_longest_makes_room_and_of_one_the_oldest_change() -> None:
    recent = RecentChanges(5 * (COST + 1))
    put(recent, 1, 10, 11, 12)
    put(recent, 2, 10, 11)
    put(recent, 1, 12, 13, version=3)
    put(recent, 3, 10, 11, 12)
    assert found(recent, 1, 10, 4) == [10, 11, 12]
    assert found(recent, 2, 10, 2) is None
    assert found(recent, 3, 10, 3) == [10, 11]
    put(recent, 3, *range(12, 20), version=3)
    assert found(recent, 1, 10, 4) is None
    assert found(recent, 3, 13, 10) is None
    assert found(recent, 3, 14, 10) == [14, 15, 16, 17, 18]
