"""The times of zones: each zone has one, and what was put off leaves nothing behind."""

from __future__ import annotations

import random

from dnsserver.keeper.timers import Timers


def test_zones_are_due_in_the_order_of_their_times_and_once() -> None:
    timers = Timers()
    for zone, at in ((1, 30.0), (2, 10.0), (3, 20.0)):
        timers.set(zone, at)
    assert timers.next_at() == 10.0
    assert timers.due(9.9) == []
    assert timers.due(20.0) == [2, 3]
    assert timers.due(20.0) == []
    assert timers.due(30.0) == [1]
    assert timers.next_at() is None


def test_a_time_is_put_off_brought_forward_and_taken_away() -> None:
    timers = Timers()
    timers.set(1, 10.0)
    timers.set(1, 20.0)
    assert timers.due(10.0) == []
    timers.set(1, 15.0)
    assert timers.due(15.0) == [1]
    assert timers.due(20.0) == []
    timers.set(1, 30.0)
    timers.set(1, None)
    assert timers.due(99.0) == []


def test_the_same_time_twice_is_one() -> None:
    timers = Timers()
    for at in (10.0, 20.0, 10.0):
        timers.set(1, at)
    assert timers.due(99.0) == [1]


def test_what_is_put_off_by_weeks_a_thousand_times_is_not_kept() -> None:
    """A zone's expiry is put off with each good check."""
    timers, chance = Timers(), random.Random(4)
    at = dict.fromkeys(range(100), 0.0)
    for now in range(1000):
        for zone in at:
            timers.set(zone, now + 604800.0)
            at[zone] = now + 300.0 + chance.random()
            timers.set(zone, at[zone])
    assert len(timers) < 300
    assert timers.due(1e9) == sorted(at, key=lambda zone: at[zone])
