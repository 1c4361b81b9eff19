"""Whose turn it is to be told of: what changed just now, then what waits in the outbox."""

from __future__ import annotations

from dnsserver.keeper.line import Line


def test_what_changed_just_now_has_its_turn_before_what_waits() -> None:
    line = Line()
    for zone_id in (1, 2, 3, 2):
        line.put(zone_id)
    line.put(3, first=True)
    line.put(9, first=True)
    line.put(9)
    assert 9 in line
    assert 4 not in line
    assert line.take(3, ()) == [3, 9, 1]
    assert line.take(3, ()) == [2]
    assert not line


def test_those_that_are_busy_leave_it() -> None:
    """They are looked for again when they are done."""
    line = Line()
    for zone_id in range(6):
        line.put(zone_id)
    assert line.take(2, {0, 2}) == [1, 3]
    assert line.take(0, ()) == []
    assert line.take(-1, ()) == []
    assert line.take(9, {4}) == [5]
    assert not line
