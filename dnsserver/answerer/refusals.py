"""Refused transfers and NOTIFYs: the first at once, then one summary in an interval (LIMITS, refused-log-interval).

One flood of requests is one line in half a minute, not a full disk; the counters count all of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from dnsserver.events import Event

_MOST = 1000
_ADDRESSES = 8


def source_prefix(address: str) -> str:
    """The /24 or /56 that an address stands for in tables that a flood must not fill."""
    ip = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 56), strict=False))


class _Where(NamedTuple):
    """What one line of a summary is for; ``ticket``: of a transfer, None for a NOTIFY."""

    prefix: str
    zone: str
    reason: str
    ticket: str | None


# Where the table is full: one line for all that has no place in it. Zone names in requests are the clients' choice.
_OTHER_TRANSFERS = _Where("-", "-", "others", "-")
_OTHER_NOTIFIES = _Where("-", "-", "others", None)


@dataclass(slots=True)
class _Seen:
    since: float
    count: int = 0
    addresses: set[str] = field(default_factory=set)


class RefusalLog:
    """The bounded table of (source prefix, zone, reason); ``interval`` in seconds. ``happened`` writes the lines."""

    def __init__(self, interval: float, happened: Callable[[Event], None]) -> None:
        self.interval = interval
        self._happened = happened
        self._seen: dict[_Where, _Seen] = {}

    def refused(self, zone: str, peer: str, key: str | None, reason: str, ticket: str, now: float) -> None:
        """One transfer is refused: a line, or one more for the next summary; ``peer`` is ``address#port``."""
        if self._is_first(zone, peer, reason, ticket, now):
            known = {"zone": zone, "peer": peer, "key": key, "reason": reason, "ticket": ticket}
            self._happened(Event("transfer-refused", {**known}))

    def denied(self, zone: str, peer: str, key: str | None, reason: str, now: float) -> None:
        """The same for a NOTIFY (R9)."""
        if self._is_first(zone, peer, reason, None, now):
            self._happened(Event("notify-denied", {"zone": zone, "peer": peer, "key": key, "reason": reason}))

    def _is_first(self, zone: str, peer: str, reason: str, ticket: str | None, now: float) -> bool:
        """Whether it is to be told now; else it is counted."""
        address = peer.rpartition("#")[0]
        where = _Where(source_prefix(address), zone, reason, ticket)
        seen = self._seen.get(where)
        if seen is None and len(self._seen) >= _MOST:
            seen = self._seen.setdefault(_OTHER_NOTIFIES if ticket is None else _OTHER_TRANSFERS, _Seen(now))
        if seen is None:
            self._seen[where] = _Seen(now)
            return True
        seen.count += 1
        if len(seen.addresses) < _ADDRESSES:
            seen.addresses.add(address)
        return False

    def summarise(self, now: float) -> None:
        """Write the summaries that are due; forget what came no more."""
        for where, seen in list(self._seen.items()):
            if now - seen.since < self.interval:
                continue
            if not seen.count:
                del self._seen[where]
                continue
            prefix, zone, reason, ticket = where
            known = {"zone": zone, "prefix": prefix, "peers": ",".join(sorted(seen.addresses)), "reason": reason}
            if ticket is None:
                self._happened(Event("notifies-denied", {**known, "count": seen.count}))
            else:
                self._happened(Event("transfers-refused", {**known, "ticket": ticket, "count": seen.count}))
            self._seen[where] = _Seen(now)
