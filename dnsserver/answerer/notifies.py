"""NOTIFYs that were accepted, on their way to the keeper: the first at once, then at most one in a while for each zone.

10,000 a second are five messages a second. There is at most one entry for each secondary zone that is here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dnsserver import link, log
from dnsserver.protocol.outcome import NotifyTaken, Peer
from dnsserver.zone import names

# Seconds between two messages, and between two lines of the log, of one zone.
INTERVAL = 0.2
LOG_INTERVAL = 1.0
# So long a NOTIFY that the keeper was told of is remembered: one that dies may not have stored yet what it was told.
KEPT = 10.0


@dataclass(slots=True)
class _Zone:
    sent: float
    logged: float
    pending: link.NotifyHeard | None = None
    told: link.NotifyHeard | None = None


class Notifies:
    """``send`` is false while there is no keeper: what waits is sent when it is back. ``later`` is the loop's."""

    def __init__(
        self,
        send: Callable[[link.Message], bool],
        counters: Counter[str],
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._send = send
        self._counters = counters
        self._clock = clock
        self._later = later
        self._zones: dict[int, _Zone] = {}

    def heard(self, taken: NotifyTaken, peer: Peer) -> None:
        """One NOTIFY: the keeper is told now, or soon."""
        self._counters["notifies-received"] += 1
        now = self._clock()
        message = link.NotifyHeard(taken.zone_id, peer.address, taken.serial)
        zone = self._zones.get(taken.zone_id)
        if zone is None:
            if not self._zones:
                self._later(INTERVAL, self._turn)
            zone = self._zones[taken.zone_id] = _Zone(-math.inf, -math.inf)
        if now - zone.logged >= LOG_INTERVAL:
            zone.logged = now
            _log(taken, peer)
        if zone.pending is not None and zone.pending.serial != taken.serial:
            # A hint that may hide a newer one is none.
            message = message._replace(serial=None)
        zone.pending = message
        if now - zone.sent >= INTERVAL:
            self._forward(zone, now)

    def connected(self) -> None:
        """There is another keeper: it is told again what the one before may have taken with it."""
        now = self._clock()
        for zone in self._zones.values():
            if zone.pending is None and zone.told is not None and now - zone.sent < KEPT:
                zone.pending = zone.told
                self._forward(zone, now)

    def _forward(self, zone: _Zone, now: float) -> None:
        if zone.pending is not None and self._send(zone.pending):
            zone.told, zone.pending, zone.sent = zone.pending, None, now

    def _turn(self) -> None:
        """Send what waited long enough; forget zones that nobody speaks of any more."""
        now = self._clock()
        for zone_id, zone in list(self._zones.items()):
            if zone.pending is not None:
                if now - zone.sent >= INTERVAL:
                    self._forward(zone, now)
            elif now - zone.logged >= KEPT and now - zone.sent >= KEPT:
                del self._zones[zone_id]
        if self._zones:
            self._later(INTERVAL, self._turn)


def _log(taken: NotifyTaken, peer: Peer) -> None:
    key = None if taken.key is None else names.to_text(taken.key)
    zone = names.to_text(taken.zone)
    log.event("notify-received", zone=zone, peer=f"{peer.address}#{peer.port}", key=key, serial=taken.serial)
