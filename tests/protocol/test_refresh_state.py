"""A secondary zone's timers, what of them is stored, and what a restart makes of it (R11, LIMITS)."""

from __future__ import annotations

import pytest

from dnsserver.events import Event
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import AskSoa, Fetched, RefreshLimits, SoaTimers, ZoneRefresh, soa_timers
from dnsserver.protocol.soa_query import SoaAnswer
from tests.protocol.refreshing import CHECK_WORDS, PRIMARIES, SOA, WALL, ZONE, Player, machine


@pytest.mark.parametrize(
    ("soa", "refresh", "retry", "expire"),
    [
        (SoaTimers(1, 3600, 600, 86400), 3600, 600, 86400),
        (SoaTimers(1, 0, 0, 0), 300, 60, 360),
        (SoaTimers(1, 1, 1, 500), 300, 60, 500),
        (SoaTimers(1, 86400, 7200, 3600), 86400, 7200, 93600),
        (SoaTimers(1, 2**32 - 1, 2**32 - 1, 2**32 - 1), 2419200, 1209600, 14515200),
    ],
)
def test_the_soas_timers_are_held_to_the_limits(soa: SoaTimers, refresh: int, retry: int, expire: int) -> None:
    """LIMITS: refresh-min to expire-max."""
    limits = RefreshLimits()
    assert (limits.refresh(soa), limits.retry(soa), limits.expire(soa)) == (refresh, retry, expire)


def test_the_shortest_expiry_can_be_set() -> None:
    limits = RefreshLimits(refresh_min=1.0, retry_min=1.0, expire_min=2.5)
    assert limits.expire(SoaTimers(1, 5, 5, 1)) == 2.5


def test_the_timers_of_an_soa() -> None:
    rdata = b"\x02ns\x00\x00" + b"".join(n.to_bytes(4, "big") for n in (1, 2, 3, 4, 5))
    assert soa_timers(rdata) == SoaTimers(1, 2, 3, 4)


@pytest.mark.parametrize(("chance", "refresh", "retry"), [(0.0, 3600, 600), (0.5, 3150, 525), (1.0, 2700, 450)])
def test_chance_takes_a_share_of_refresh_and_retry_but_not_of_the_expiry(
    chance: float, refresh: float, retry: float
) -> None:
    zone = ZoneRefresh(ZONE, (PRIMARIES["A"],), RefreshLimits(), lambda: chance)
    zone.start(0.0, WALL, SOA, None)
    zone.due(0.0)
    zone.soa_answered(0.0, PRIMARIES["A"], SoaAnswer(7))
    assert (zone.next_at, zone.deadline) == (refresh, 86400)
    zone.refresh(0.0)
    zone.soa_failed(0.0, PRIMARIES["A"], Failure("timeout"))
    assert zone.next_at == retry


def test_a_commit_that_the_machine_did_not_hear_of_is_no_primary_that_is_behind() -> None:
    """What is stored counts, else no check of the zone were ever good again."""
    zone = machine("A")
    zone.start(100.0, WALL, SOA, None)
    zone.due(100.0)
    zone.soa_answered(100.0, PRIMARIES["A"], SoaAnswer(8))
    newer = SOA._replace(serial=8)
    assert zone.fetched(110.0, PRIMARIES["A"], Fetched(newer, "current", stored=newer)) == []
    assert (zone.failures, zone.deadline) == (0, 110.0 + SOA.expire)
    assert zone.outcome is not None
    assert (zone.outcome.result, zone.outcome.new_serial) == ("current", 8)


def checked_zone() -> ZoneRefresh:
    zone = machine("AB")
    zone.start(100.0, WALL, SOA, None)
    zone.due(100.0)
    zone.soa_failed(100.0, PRIMARIES["A"], Failure("refused", rcode=5))
    zone.soa_answered(100.0, PRIMARIES["B"], SoaAnswer(8))
    zone.fetched(110.0, PRIMARIES["B"], Fetched(SOA._replace(serial=8), "ixfr"))
    return zone


def test_what_is_stored() -> None:
    assert checked_zone().export(120.0, WALL + 20) == {
        "checked": WALL + 10,
        "next_check": WALL + 3610,
        "expires": WALL + 86410,
        "expired": False,
        "transferred": WALL + 10,
        "kind": "ixfr",
        "primary": "192.0.2.2:5301",
        "primary_serial": 8,
        "failures": 0,
        "error": {
            "at": WALL,
            "event": "refresh-failed",
            "code": 7001,
            "reason": "refused",
            "primary": "192.0.2.1",
            "message": CHECK_WORDS + "(RCODE 5, REFUSED)",
        },
    }


def test_a_zone_without_anything_is_stored_too() -> None:
    zone = machine()
    zone.start(5.0, WALL, None, None)
    state = zone.export(5.0, WALL)
    assert state["next_check"] == WALL
    assert {state[key] for key in ("checked", "expires", "transferred", "kind", "primary", "error")} == {None}


def test_a_restart_changes_nothing() -> None:
    state = checked_zone().export(120.0, WALL + 20)
    again = machine("AB")
    assert again.start(7.0, WALL + 1020, SOA._replace(serial=8), state) == []
    assert again.deadline == pytest.approx(7.0 + 86410 - 1020)
    assert again.next_at == pytest.approx(7.0 + 3610 - 1020)
    assert again.export(7.0, WALL + 1020) == state
    assert again.due(5000.0) == [AskSoa(PRIMARIES["B"])]


def test_a_check_that_is_overdue_is_due_now() -> None:
    again = machine("AB")
    again.start(7.0, WALL + 50_000, SOA._replace(serial=8), checked_zone().export(120.0, WALL + 20))
    assert again.next_at == 7.0


def test_a_zone_that_expired_while_the_server_was_down() -> None:
    """R11: across restarts the wall clock counts."""
    again = machine("AB")
    (event,) = again.start(7.0, WALL + 86411, SOA._replace(serial=8), checked_zone().export(120.0, WALL + 20))
    assert isinstance(event, Event)
    assert event.name == "zone-expired"
    assert again.expired
    assert again.due(7.0) == [AskSoa(PRIMARIES["B"])]


def test_a_zone_that_had_expired_before_is_no_news_and_stays_so_when_the_clock_is_set_back() -> None:
    zone = checked_zone()
    zone.due(100_000.0)
    state = zone.export(100_000.0, WALL + 99_900)
    for wall in (WALL + 99_900, WALL - 1e6):
        again = machine("AB")
        assert again.start(7.0, wall, SOA._replace(serial=8), state) == []
        assert again.expired
        assert again.deadline is not None
        assert again.deadline <= 7.0


def test_a_clock_that_was_set_back_gives_no_zone_a_longer_life() -> None:
    again = machine("AB")
    again.start(7.0, WALL - 1e9, SOA, checked_zone().export(120.0, WALL + 20))
    assert again.deadline == 7.0 + 86400
    assert again.next_at == 7.0 + 3600


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_jumps_while_the_server_runs_does_not_matter(jump: float) -> None:
    """R11: what is stored is right by the clock as it then is."""
    zone = checked_zone()
    state = zone.export(120.0, WALL + 20 + jump)
    assert zone.deadline == 110.0 + 86400
    again = machine("AB")
    again.start(500.0, WALL + 30 + jump, SOA, state)
    assert again.deadline == pytest.approx(500.0 + 86400 - 20)


def test_an_outage_goes_on_across_a_restart() -> None:
    zone = machine("A")
    player = Player(zone)
    zone.start(player.now, WALL, SOA, None)
    player.play("due -> ask A\nA fails timeout -> primary-unreachable, zone-stale")
    again = Player(machine("A"))
    assert again.zone.start(again.now, WALL + 1, SOA, zone.export(player.now, WALL)) == []
    again.play("""
        +599 -> ask A
        A fails timeout -> primary-unreachable
        = failures 2
        refresh -> ask A
        A says 7 -> zone-recovered
        """)


def test_the_primary_that_worked_is_forgotten_when_it_is_none_any_more() -> None:
    again = machine("AC")
    again.start(7.0, WALL + 50_000, SOA._replace(serial=8), checked_zone().export(120.0, WALL + 20))
    assert again.due(7.0) == [AskSoa(PRIMARIES["A"])]


def test_a_zone_whose_contents_are_gone_waits_for_new_ones() -> None:
    again = machine("AB")
    again.start(7.0, WALL + 30, None, checked_zone().export(120.0, WALL + 20))
    assert (again.next_at, again.deadline, again.expired) == (7.0, None, False)


def test_the_outcome_names_the_serials_and_the_last_failure() -> None:
    outcome = checked_zone().outcome
    assert outcome is not None
    assert outcome[:5] == ("transferred", 7, 8, "ixfr", PRIMARIES["B"])
    assert outcome.event is not None
    assert outcome.event.name == "refresh-failed"
