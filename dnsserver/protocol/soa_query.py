"""The SOA question to a primary (RFC 1034, 4.3.5) and its answer, signed where the primary has a key (RFC 8945).

The question asks for the time until the zone expires at the primary, too (RFC 7314).
"""

from __future__ import annotations

from typing import NamedTuple


class SoaAnswer(NamedTuple):
    """``expire``: seconds until the zone expires at the primary, where it says so (RFC 7314)."""

    serial: int
    expire: int | None = None
