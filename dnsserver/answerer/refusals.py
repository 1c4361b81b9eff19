"""Refused transfers in the log: the first at once, then one summary in an interval (LIMITS, refused-log-interval).

One flood of requests is one line in half a minute, not a full disk; the counters count all of them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from dnsserver import log

_MOST = 1000
_ADDRESSES = 8
# Where the table is full: one line for all that has no place in it. Zone names in requests are the clients' choice.
_OTHERS = ("-", "-", "others", "-")


def source_prefix(address: str) -> str:
    """The /24 or /56 that an address stands for in tables that a flood must not fill."""
    ip = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 56), strict=False))


@dataclass(slots=True)
class _Seen:
    since: float
    count: int = 0
    addresses: set[str] = field(default_factory=set)


class RefusalLog:
    """The bounded table of (source prefix, zone, reason); ``interval`` in seconds."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._seen: dict[tuple[str, str, str, str], _Seen] = {}

    def refused(self, zone: str, peer: str, key: str | None, reason: str, ticket: str, now: float) -> None:
        """Log one refusal, or count it for the next summary; ``peer`` is ``address#port``."""
        address = peer.rpartition("#")[0]
        where = (source_prefix(address), zone, reason, ticket)
        seen = self._seen.get(where)
        if seen is None and len(self._seen) >= _MOST:
            seen = self._seen.setdefault(_OTHERS, _Seen(now))
        if seen is not None:
            seen.count += 1
            if len(seen.addresses) < _ADDRESSES:
                seen.addresses.add(address)
            return
        log.event("transfer-refused", zone=zone, peer=peer, key=key, reason=reason, ticket=ticket)
        self._seen[where] = _Seen(now)

    def summarise(self, now: float) -> None:
        """Write the summaries that are due; forget what came no more."""
        for where, seen in list(self._seen.items()):
            if now - seen.since < self.interval:
                continue
            if not seen.count:
                del self._seen[where]
                continue
            prefix, zone, reason, ticket = where
            peers = ",".join(sorted(seen.addresses))
            known = {"zone": zone, "prefix": prefix, "peers": peers, "reason": reason, "ticket": ticket}
            log.event("transfers-refused", **known, count=seen.count)
            self._seen[where] = _Seen(now)
