"""Who is told of a change, and when (R8): the state of every zone's NOTIFYs, without I/O and without a clock.

For each zone and target: the first NOTIFY of a change goes at once; changes that follow within ``interval`` are
coalesced to one at its end. What is not answered NOERROR is sent again after 1 s, doubling to 30 s, for the first
hour, then every 15 min, and at once when the peer is heard (LIMITS, notify-interval), until it is answered,
superseded by a newer version, or the target or zone is removed. First sendings go before repeated ones, so that many
dead peers never delay the news for the living (LIMITS, notifies-per-second).

Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from dnsserver.zone.settings import Target

FIRST_RETRY = 1.0
SLOWEST_RETRY = 30.0
HOPEFUL = 3600.0
PATIENT_RETRY = 900.0

NOERROR = 0


class Send(NamedTuple):
    """One NOTIFY to be sent now: ``version`` and ``serial`` of the zone that it tells of."""

    zone: int
    target: Target
    version: int
    serial: int


class Answer(Enum):
    """What an answer means. ``ERROR``: an error RCODE that is news, and to be logged; ``REPEATED``: the same again;
    ``STALE``: of a version that was superseded, or of a target that is gone."""

    DONE = "done"
    ERROR = "error"
    REPEATED = "repeated"
    STALE = "stale"


class TargetStatus(NamedTuple):
    """``acknowledged``: the version that it has answered NOERROR for, 0: none; ``rcode``: its last answer to this
    version; ``attempts``: how often this version was sent."""

    target: Target
    version: int
    acknowledged: int
    acknowledged_serial: int
    rcode: int | None
    attempts: int

    @property
    def is_done(self) -> bool:
        return self.acknowledged >= self.version


@dataclass(slots=True)
class _Peer:
    """One target of one zone. ``due`` None: nothing to send; ``since``: when this version was first sent."""

    version: int = 0
    serial: int = 0
    acknowledged: int = 0
    acknowledged_serial: int = 0
    rcode: int | None = None
    attempts: int = 0
    since: float = 0.0
    sent: float | None = None
    due: float | None = None


# When, a number that keeps the order of equal times, zone and target.
_Entry = tuple[float, int, int, Target]


class NotifyMachine:
    """All NOTIFYs of one server. ``interval`` in seconds, ``per_second`` at most so many sent, retries included."""

    def __init__(self, interval: float = 1.0, per_second: int = 100) -> None:
        self.interval = interval
        self.per_second = per_second
        self._zones: dict[int, dict[Target, _Peer]] = {}
        self._at: dict[str, dict[tuple[int, Target], None]] = {}
        # Due times, the first sendings apart; an entry counts while its peer is due at that time.
        self._fresh: list[_Entry] = []
        self._again: list[_Entry] = []
        # When the last ones were sent, as many as may go in a second.
        self._recent: deque[float] = deque()
        self._count = 0

    # What happens

    def changed(self, zone: int, version: int, serial: int, targets: Iterable[Target], now: float) -> None:
        """The zone is served at ``version``, and these are its targets: others are forgotten.

        A target that has acknowledged this version, or is being told of it, is left as it is.
        """
        known = self._zones.get(zone, {})
        self.removed(zone)
        for target in targets:
            self._add(zone, target, known.get(target, _Peer()))
        for target, peer in self._zones.get(zone, {}).items():
            if peer.version == version:
                continue
            peer.version, peer.serial = version, serial
            if peer.acknowledged < version:
                self._start(zone, target, peer, now)
            else:
                peer.due = None

    def advanced(self, zone: int, version: int, serial: int, now: float) -> None:
        """The zone is served at ``version``; its targets are those that it had."""
        self.changed(zone, version, serial, tuple(self._zones.get(zone, ())), now)

    def again(self, zone: int, now: float) -> None:
        """An operator wants every target told now, also those that have acknowledged."""
        for target, peer in self._zones.get(zone, {}).items():
            peer.acknowledged = min(peer.acknowledged, peer.version - 1)
            self._start(zone, target, peer, now)

    def answered(self, zone: int, target: Target, version: int, rcode: int) -> Answer:
        """The target answered the NOTIFY of ``version``."""
        peer = self._zones.get(zone, {}).get(target)
        if peer is None or version != peer.version:
            return Answer.STALE
        if rcode == NOERROR:
            peer.acknowledged, peer.acknowledged_serial = version, peer.serial
            peer.rcode, peer.due = rcode, None
            return Answer.DONE
        news = Answer.REPEATED if peer.rcode == rcode else Answer.ERROR
        peer.rcode = rcode
        return news

    def heard(self, address: str, now: float) -> None:
        """A peer asked something: it is alive, so what it was not told it is told now, in all zones."""
        for zone, target in self._at.get(address, ()):
            peer = self._zones[zone][target]
            if peer.due is not None:
                peer.attempts = 0
                self._schedule(zone, target, peer, self._soonest(peer, now))

    def removed(self, zone: int) -> None:
        """The zone is gone, or is not to be told of any more."""
        for target in self._zones.pop(zone, ()):
            places = self._at[target.address]
            places.pop((zone, target), None)
            if not places:
                del self._at[target.address]

    # What is to be done

    def due(self, now: float) -> list[Send]:
        """What is to be sent now; each counts as sent."""
        sends = []
        for queue in (self._fresh, self._again):
            while self._free_at() <= now and (entry := self._head(queue)) is not None and entry[0] <= now:
                heapq.heappop(queue)
                _, _, zone, target = entry
                peer = self._zones[zone][target]
                self._recent.append(now)
                while len(self._recent) > self.per_second:
                    self._recent.popleft()
                self._sent(zone, target, peer, now)
                sends.append(Send(zone, target, peer.version, peer.serial))
        return sends

    def next_timer(self) -> float | None:
        """When ``due`` has something next; None: never, unless something happens."""
        heads = [entry[0] for queue in (self._fresh, self._again) if (entry := self._head(queue)) is not None]
        return max(min(heads), self._free_at()) if heads else None

    # How it stands

    def status(self, zone: int) -> list[TargetStatus]:
        return [
            TargetStatus(target, p.version, p.acknowledged, p.acknowledged_serial, p.rcode, p.attempts)
            for target, p in self._zones.get(zone, {}).items()
        ]

    def is_done(self, zone: int) -> bool:
        """Whether every target knows the version of the last change; also where there is none."""
        return all(peer.acknowledged >= peer.version for peer in self._zones.get(zone, {}).values())

    def export(self, zone: int) -> Iterator[tuple[Target, dict[str, Any]]]:
        """What of each target must outlive this process, as JSON can hold it."""
        for target, peer in self._zones.get(zone, {}).items():
            yield (
                target,
                {"version": peer.acknowledged, "serial": peer.acknowledged_serial, "rcode": peer.rcode},
            )

    def restore(self, zone: int, target: Target, state: dict[str, Any]) -> None:
        """What ``export`` gave, before the first ``changed``: a target that knows the version is not told again."""
        peer = _Peer(acknowledged=state["version"], acknowledged_serial=state["serial"])
        self._add(zone, target, peer)

    # Inside

    def _add(self, zone: int, target: Target, peer: _Peer) -> None:
        self._zones.setdefault(zone, {})[target] = peer
        self._at.setdefault(target.address, {})[zone, target] = None

    def _soonest(self, peer: _Peer, now: float) -> float:
        return now if peer.sent is None else max(now, peer.sent + self.interval)

    def _start(self, zone: int, target: Target, peer: _Peer, now: float) -> None:
        peer.attempts, peer.rcode = 0, None
        self._schedule(zone, target, peer, self._soonest(peer, now))

    def _schedule(self, zone: int, target: Target, peer: _Peer, when: float) -> None:
        peer.due = when
        self._count += 1
        heapq.heappush(self._again if peer.attempts else self._fresh, (when, self._count, zone, target))

    def _sent(self, zone: int, target: Target, peer: _Peer, now: float) -> None:
        if not peer.attempts:
            peer.since = now
        peer.attempts += 1
        peer.sent = now
        delay = PATIENT_RETRY
        if now - peer.since < HOPEFUL:
            delay = min(FIRST_RETRY * 2.0 ** min(peer.attempts - 1, 10), SLOWEST_RETRY)
        self._schedule(zone, target, peer, now + max(delay, self.interval))

    def _head(self, queue: list[_Entry]) -> _Entry | None:
        """The first entry that still counts."""
        while queue:
            when, _, zone, target = queue[0]
            peer = self._zones.get(zone, {}).get(target)
            if peer is not None and peer.due == when and bool(peer.attempts) == (queue is self._again):
                return queue[0]
            heapq.heappop(queue)
        return None

    def _free_at(self) -> float:
        """From when on one more may be sent."""
        recent = self._recent
        return recent[-int(self.per_second)] + 1.0 if len(recent) >= self.per_second else -math.inf
