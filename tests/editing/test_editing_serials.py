"""Serial policies, always forward in RFC 1982 arithmetic (R10, R20)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.editing.serials import chosen
from dnsserver.errors import InvalidData
from dnsserver.zone.serial import SerialPolicy, first_serial, is_ahead, next_serial
from tests.support.desk import Desk

SERIALS = st.integers(0, 2**32 - 1)
TIMES = st.floats(0, 2.0**33)
POLICIES = st.sampled_from(SerialPolicy)


def ahead(serial: int, of: int) -> bool:
    """RFC 1982, 3.2, written as the RFC writes it: i1 > i2."""
    i1, i2 = serial, of
    return i1 != i2 and ((i1 < i2 and i2 - i1 > 2**31) or (i1 > i2 and i1 - i2 < 2**31))


@given(POLICIES, SERIALS, TIMES)
def test_every_policy_goes_forward_from_every_serial(policy: SerialPolicy, current: int, now: float) -> None:
    serial = next_serial(policy, current, now)
    assert ahead(serial, current)
    assert 0 < serial < 2**32


@given(SERIALS, SERIALS)
def test_ahead_is_the_rfcs(one: int, other: int) -> None:
    assert is_ahead(one, other) == ahead(one, other)


@given(POLICIES, SERIALS, TIMES, st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_a_clock_that_jumps_never_makes_serials_repeat(
    policy: SerialPolicy, current: int, now: float, jumps: list[float]
) -> None:
    seen = [current]
    for jump in jumps:
        now = max(0.0, now + jump)
        seen.append(next_serial(policy, seen[-1], now))
    assert all(ahead(after, before) for before, after in pairwise(seen))


@given(POLICIES, SERIALS, SERIALS, TIMES)
def test_by_hand(policy: SerialPolicy, stored: int, asked: int, now: float) -> None:
    if asked == stored:
        assert chosen(policy, stored, asked, now) == next_serial(policy, stored, now)
    elif ahead(asked, stored):
        assert chosen(policy, stored, asked, now) == asked
    else:
        with pytest.raises(InvalidData):
            chosen(policy, stored, asked, now)
        assert chosen(policy, stored, asked, now, force=True) == asked


def test_values_of_the_policies() -> None:
    now = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
    assert [first_serial(policy, now) for policy in SerialPolicy] == [1, 1_700_000_000, 2023111400]
    assert next_serial(SerialPolicy.DATE, 2023111400, now) == 2023111401
    assert next_serial(SerialPolicy.DATE, 2023111399, now) == 2023111400
    assert next_serial(SerialPolicy.DATE, 2023111499, now) == 2023111500
    assert next_serial(SerialPolicy.UNIXTIME, 1_700_000_000, now) == 1_700_000_001
    assert next_serial(SerialPolicy.INCREMENT, 2**32 - 1, now) == 1


def test_a_zone_of_each_policy_rises_with_each_change(desk: Desk) -> None:
    for policy in SerialPolicy:
        name = f"{policy}.example"
        desk("zone.create", name=name, settings=[f"serial-policy={policy}"])
        serials = [desk.serial(name)]
        for number in range(3):
            result = desk("record.add", zone=name, name="www", type="A", rdata=[f"192.0.2.{number}"])
            assert result["old_serial"] == serials[-1]
            serials.append(result["new_serial"])
        assert serials == list(range(serials[0], serials[0] + 4))


@pytest.mark.parametrize("now", [0.0, 2.0**32])
def test_the_time_is_never_the_serial_nought(now: float) -> None:
    """Some servers take 0 to mean that there is none."""
    assert next_serial(SerialPolicy.UNIXTIME, 2**31 + 2, now) == 1
    assert next_serial(SerialPolicy.UNIXTIME, 1, now) == 2
