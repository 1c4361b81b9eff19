"""Thousands of random lives of a secondary zone: what must hold at every step of all of them."""

from __future__ import annotations

import json
import random

import pytest

from dnsserver.events import Event
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Action, AskSoa, Fetch, Fetched, RefreshLimits, SoaTimers, ZoneRefresh
from dnsserver.protocol.soa_query import SoaAnswer
from dnsserver.zone.serial import is_ahead
from dnsserver.zone.settings import Target
from tests.protocol.refreshing import PRIMARIES, WALL, ZONE

LIMITS = RefreshLimits(refresh_min=10.0, retry_min=5.0)
REASONS = ("timeout", "refused", "invalid", "closed")


class Life:
    """A zone, a world around it, and a second, simple account of when it has to expire."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now, self.wall = 100.0, WALL
        self.primaries: tuple[Target, ...] = tuple(PRIMARIES.values())
        self.soa: SoaTimers | None = None
        self.asked: AskSoa | Fetch | None = None
        # The serials that each primary has; they move mostly up.
        self.serials = dict.fromkeys(self.primaries, 2**32 - 20)
        self.deadline: float | None = None
        self.is_expired = False
        self.is_stale = False
        self.retransfers = False
        self.transfers = self.expiries = self.restarts = 0
        self.zone = self._new_zone()
        self.take(self.zone.start(self.now, self.wall, None, None))

    def _new_zone(self) -> ZoneRefresh:
        return ZoneRefresh(ZONE, self.primaries, LIMITS, self.chance.random)

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Event):
                self._event(action)
                continue
            assert self.asked is None, "a second question while one is under way"
            self.asked = action
            if isinstance(action, Fetch) and action.full:
                assert self.retransfers
        assert self.zone.is_busy == (self.asked is not None)
        assert self.zone.deadline == (None if self.deadline is None else pytest.approx(self.deadline))

    def _event(self, event: Event) -> None:
        match event.name:
            case "zone-stale":
                assert not self.is_stale, "zone-stale once an outage"
                self.is_stale = True
            case "zone-recovered":
                assert self.is_stale or self.is_expired
            case "zone-expired":
                assert self.deadline is not None
                assert not self.is_expired
                assert self.now >= self.deadline
                self.is_expired = True
                self.expiries += 1

    def good(self, soa: SoaTimers) -> None:
        """To be called before the machine is told."""
        self.soa, self.deadline = soa, self.now + LIMITS.expire(soa)

    def well(self) -> None:
        """And this after it."""
        self.is_expired = self.is_stale = False

    def step(self) -> None:
        if self.asked is not None and self.chance.random() < 0.7:
            self._answer()
        else:
            self.chance.choice((self._pass, self._pass, self._pass, self._notify, self._operate, self._change))()
        if self.chance.random() < 0.01:
            self._restart()
        assert self.zone.expired == self.is_expired

    def _pass(self) -> None:
        """To the next timer, or somewhere before it; the wall clock does what it likes."""
        at = self.zone.next_at
        until = self.now + 50.0 if at is None else at
        assert until >= self.now
        self.now = until if self.chance.random() < 0.8 else self.chance.uniform(self.now, until)
        self.take(self.zone.due(self.now))
        assert self.zone.next_at is None or self.zone.next_at > self.now
        assert self.deadline is None or (self.now >= self.deadline) == self.is_expired

    def _answer(self) -> None:
        asked, self.asked = self.asked, None
        assert asked is not None
        primary = asked.primary
        serial = self.serials[primary]
        failure = Failure(self.chance.choice(REASONS))
        ours = self.soa
        is_news = ours is None or is_ahead(serial, ours.serial)
        if self.chance.random() < 0.4:
            say = self.zone.soa_failed if isinstance(asked, AskSoa) else self.zone.fetch_failed
            self.take(say(self.now, primary, failure))
        elif isinstance(asked, AskSoa):
            is_good = ours is not None and serial == ours.serial and primary in self.primaries
            if is_good and ours is not None:
                self.good(ours)
            actions = self.zone.soa_answered(self.now, primary, SoaAnswer(serial))
            for action in actions:
                if isinstance(action, Fetch) and not action.full:
                    assert is_news, "R12: a fetch for a serial that is not ahead"
            self.take(actions)
            if is_good:
                self.well()
        elif is_news or asked.full:
            soa = SoaTimers(serial, self.chance.randrange(60), self.chance.randrange(30), self.chance.randrange(300))
            self.good(soa)
            self.take(self.zone.fetched(self.now, primary, Fetched(soa, "ixfr")))
            self.well()
            self.transfers += 1
        else:
            self.take(self.zone.fetch_failed(self.now, primary, Failure("serial")))

    def _notify(self) -> None:
        serial = self.chance.choice((None, *self.serials.values()))
        self.take(self.zone.notified(self.now, serial, self.chance.choice(self.primaries).address))

    def _operate(self) -> None:
        if self.chance.random() < 0.2:
            self.retransfers = True
            self.take(self.zone.retransfer(self.now))
        else:
            self.take(self.zone.refresh(self.now))

    def _change(self) -> None:
        """The world: serials rise (now and then they fall, or leap by 2^31), primaries come and go."""
        primary = self.chance.choice(tuple(PRIMARIES.values()))
        leap = self.chance.choice((1, 1, 1, 3, 2**31 - 1, 2**31, 2**32 - 1))
        self.serials[primary] = (self.serials[primary] + leap) % 2**32
        if self.chance.random() < 0.2:
            self.primaries = tuple(self.chance.sample(list(PRIMARIES.values()), self.chance.randint(1, 3)))
            self.take(self.zone.reconfigure(self.now, self.primaries, LIMITS))

    def _restart(self) -> None:
        """kill -9, a reboot: the monotonic clock begins anew, the wall clock has jumped before it was written."""
        self.restarts += 1
        wall = self.wall + self.chance.choice((-86400.0, 0.0, 86400.0))
        state = json.loads(json.dumps(self.zone.export(self.now, wall)))
        away, was_at = self.chance.uniform(0.0, 20.0), self.now
        self.now = self.chance.uniform(0.0, 1000.0)
        if self.deadline is not None:
            self.deadline += self.now - was_at - away
        self.asked = None
        self.zone = self._new_zone()
        actions = self.zone.start(self.now, wall + away, self.soa, state)
        # Stored times are whole milliseconds.
        if self.deadline is not None:
            assert self.zone.deadline == pytest.approx(self.deadline, abs=0.01)
            self.deadline = self.zone.deadline
        self.take(actions)


@pytest.mark.parametrize("block", range(20))
def test_every_life(block: int) -> None:
    transfers = expiries = restarts = 0
    for seed in range(block * 10, block * 10 + 10):
        life = Life(seed)
        for _ in range(300):
            life.step()
        transfers, expiries, restarts = (
            transfers + life.transfers, expiries + life.expiries, restarts + life.restarts
        )  # fmt: skip
    # Enough of everything happened for the test to mean something.
    assert transfers > 50
    assert expiries > 5
    assert restarts > 10
