"""Accepted NOTIFYs on their way to the keeper: a flood of them is a few messages, and none is lost (R9)."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from dnsserver import link, log
from dnsserver.answerer.notifies import INTERVAL, KEPT, Notifies
from dnsserver.protocol.outcome import NotifyTaken, Peer
from dnsserver.zone import names

APEX = names.from_text("example.com.")
PEER = Peer("192.0.2.1", 53, False)


class Keeper:
    """The loop, the clock and the keeper's end; ``is_there`` false: nothing can be sent."""

    def __init__(self) -> None:
        self.now = 100.0
        self.is_there = True
        self.sent: list[tuple[float, link.Message]] = []
        self.counters: Counter[str] = Counter()
        self._timer: tuple[float, Callable[[], None]] | None = None
        self.notifies = Notifies(self._send, self.counters, lambda: self.now, self._later)

    def _send(self, message: link.Message) -> bool:
        if self.is_there:
            self.sent.append((round(self.now - 100.0, 3), message))
        return self.is_there

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert self._timer is None, "one timer is enough"
        self._timer = (self.now + seconds, call)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timer is not None and self._timer[0] <= end:
            self.now, call = self._timer
            self._timer = None
            call()
        self.now = end

    @property
    def is_idle(self) -> bool:
        return self._timer is None and not self.notifies._zones

    def notify(self, serial: int | None = 7, zone_id: int = 1, peer: Peer = PEER) -> None:
        self.notifies.heard(NotifyTaken(zone_id, APEX, None, serial), peer)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    log.configure(json_lines=False, stream=stream)
    yield stream
    log.configure(json_lines=False)


@pytest.mark.usefixtures("lines")
class TestCoalescing:
    def test_the_first_goes_at_once(self) -> None:
        keeper = Keeper()
        keeper.notify()
        assert keeper.sent == [(0.0, link.NotifyHeard(1, "192.0.2.1", 7))]

    @pytest.mark.parametrize("begin", [0.1, 1000.3, 1234.57, 98765.4321, 1e6 / 3])
    def test_the_first_goes_at_once_whatever_the_clock_says(self, begin: float) -> None:
        """Differences of seconds are rounded: 98765.4321 - (98765.4321 - 0.2) is less than 0.2."""
        keeper = Keeper()
        keeper.now = begin
        for zone_id in range(20):
            keeper.now += 0.001
            keeper.notify(zone_id=zone_id)
        assert len(keeper.sent) == 20

    def test_what_comes_soon_after_is_one_trailing_message(self) -> None:
        keeper = Keeper()
        for _ in range(5):
            keeper.notify()
        assert len(keeper.sent) == 1
        keeper.wait(5.0)
        assert [at for at, _ in keeper.sent] == [0.0, INTERVAL]

    def test_a_flood_is_five_messages_a_second(self) -> None:
        """10,000 a second for two seconds."""
        keeper = Keeper()
        for _ in range(20_000):
            keeper.notify()
            keeper.wait(0.0001)
        keeper.wait(5.0)
        assert 10 <= len(keeper.sent) <= 12
        gaps = [later - sooner for (sooner, _), (later, _) in zip(keeper.sent, keeper.sent[1:], strict=False)]
        assert min(gaps) >= INTERVAL - 0.001
        assert keeper.counters["notifies-received"] == 20_000

    def test_one_that_comes_later_goes_at_once(self) -> None:
        keeper = Keeper()
        keeper.notify()
        keeper.wait(0.35)
        keeper.notify(8)
        assert [at for at, _ in keeper.sent] == [0.0, 0.35]

    def test_zones_do_not_wait_for_each_other(self) -> None:
        keeper = Keeper()
        for zone_id in range(1000):
            keeper.notify(zone_id=zone_id)
        assert len(keeper.sent) == 1000

    def test_hints_that_differ_are_none(self) -> None:
        """Else a forged old one could hide the true one (RFC 1996, 3.11: it is UDP)."""
        keeper = Keeper()
        for serial in (7, 8, 7, 7):
            keeper.notify(serial)
        keeper.wait(1.0)
        assert [message for _, message in keeper.sent] == [
            link.NotifyHeard(1, "192.0.2.1", 7),
            link.NotifyHeard(1, "192.0.2.1", None),
        ]

    def test_the_sender_is_the_last_one(self) -> None:
        keeper = Keeper()
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            keeper.notify(peer=Peer(address, 53, False))
        keeper.wait(1.0)
        assert keeper.sent[-1][1] == link.NotifyHeard(1, "192.0.2.3", 7)

    def test_without_a_keeper_nothing_is_lost(self) -> None:
        """It was answered NOERROR: the sender will not come again."""
        keeper = Keeper()
        keeper.is_there = False
        for zone_id in (1, 2):
            for _ in range(100):
                keeper.notify(zone_id=zone_id)
        keeper.wait(60.0)
        assert keeper.sent == []
        keeper.is_there = True
        keeper.wait(1.0)
        assert [message for _, message in keeper.sent] == [
            link.NotifyHeard(1, "192.0.2.1", 7),
            link.NotifyHeard(2, "192.0.2.1", 7),
        ]

    def test_what_is_over_is_forgotten(self) -> None:
        keeper = Keeper()
        for zone_id in range(100):
            keeper.notify(zone_id=zone_id)
        assert not keeper.is_idle
        keeper.wait(KEPT + 1.0)
        assert keeper.is_idle

    def test_a_keeper_that_comes_anew_is_told_again(self) -> None:
        """The one before may have died before it stored what it was told (R9)."""
        keeper = Keeper()
        keeper.notify(zone_id=1)
        keeper.wait(KEPT / 2)
        keeper.notify(zone_id=2)
        keeper.wait(KEPT * 0.75)
        keeper.sent.clear()
        keeper.notifies.connected()
        assert [message for _, message in keeper.sent] == [link.NotifyHeard(2, "192.0.2.1", 7)]


def test_the_log_has_a_line_a_second_for_each_zone(lines: io.StringIO) -> None:
    keeper = Keeper()
    for _ in range(30):
        keeper.notify()
        keeper.wait(0.1)
    written = lines.getvalue().splitlines()
    assert 3 <= len(written) <= 4
    assert written[0].startswith("notify-received zone=example.com peer=192.0.2.1#53 key=- serial=7")
