"""TTLs as people write them: seconds, or numbers with units as in ``1h30m`` (BIND's form)."""

from __future__ import annotations

import re

from dnsserver.errors import InvalidData

MAX_TTL = 2**31 - 1

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_WITH_UNITS = re.compile(r"(?:[0-9]+[wdhms])+", re.ASCII | re.IGNORECASE)
_PART = re.compile(r"([0-9]+)([wdhms])", re.ASCII | re.IGNORECASE)


def parse_ttl(text: str, maximum: int = MAX_TTL) -> int:
    """Seconds. Raises InvalidData: not a TTL, or above ``maximum`` (RFC 2181, 8: below 2^31)."""
    if len(text) > 40:
        raise InvalidData(f"{text[:40]!r}… is no TTL")
    if text.isascii() and text.isdigit():
        seconds = int(text)
    elif _WITH_UNITS.fullmatch(text):
        seconds = sum(int(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
    else:
        raise InvalidData(f"{text!r} is no TTL: seconds, or numbers with w, d, h, m, s")
    if seconds > maximum:
        raise InvalidData(f"the TTL {text} is above {maximum}")
    return seconds
