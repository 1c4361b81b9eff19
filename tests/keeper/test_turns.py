"""Turns: how many at once, of one primary, and a second (LIMITS: max-transfers-in, soa-checks-per-second)."""

from __future__ import annotations

import pytest

from dnsserver.keeper.turns import Turns


def test_no_more_at_once_than_allowed() -> None:
    turns: Turns[int] = Turns(3, 3)
    for number in range(5):
        turns.put("a", number)
    assert turns.take(0.0) == [0, 1, 2]
    assert turns.take(0.0) == []
    turns.done("a")
    assert turns.take(0.0) == [3]
    assert len(turns) == 1


def test_no_more_of_one_primary_and_the_others_go_on() -> None:
    turns: Turns[str] = Turns(10, 2)
    for number in range(4):
        turns.put("dead", f"dead-{number}")
    turns.put("alive", "alive-0")
    assert turns.take(0.0) == ["dead-0", "alive-0", "dead-1"]
    turns.done("alive")
    turns.put("alive", "alive-1")
    assert turns.take(0.0) == ["alive-1"]
    assert turns.next_at() is None


def test_the_rate_holds_from_turn_to_turn() -> None:
    turns: Turns[int] = Turns(1000, 1000, per_second=100)
    for number in range(1000):
        turns.put("a", number)
    begun = 0
    now = 50.0
    while now < 55.0:
        begun += len(turns.take(now))
        at = turns.next_at()
        assert at is not None
        assert at > now
        now = at
    # 100 a second, and a tenth of a second's worth at once at the beginning.
    assert begun == pytest.approx(510, abs=2)


def test_a_quiet_time_does_not_save_up_turns() -> None:
    turns: Turns[int] = Turns(1000, 1000, per_second=10)
    turns.put("a", 0)
    assert turns.take(0.0) == [0]
    for number in range(1, 100):
        turns.put("a", number)
    assert len(turns.take(1000.0)) <= 3


def test_primaries_take_turns() -> None:
    turns: Turns[str] = Turns(4, 4)
    for key in "abc":
        for number in range(3):
            turns.put(key, f"{key}{number}")
    assert turns.take(0.0) == ["a0", "b0", "c0", "a1"]
    turns.done("c")
    assert turns.take(0.0) == ["b1"]


def test_who_asks_for_it_by_hand_is_first() -> None:
    """An operator's refresh does not wait behind 10,000 zones (R23)."""
    turns: Turns[str] = Turns(2, 2)
    for key in "ab":
        for number in range(3):
            turns.put(key, f"{key}{number}")
    turns.put("b", "now", first=True)
    assert turns.take(0.0) == ["now", "a0"]
