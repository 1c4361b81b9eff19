"""The OPT record of an answer (RFC 6891) and extended errors (RFC 8914)."""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache

from dnsserver.protocol.query import DO, Edns
from dnsserver.zone.rrtypes import OPT

EXPIRE = 9
COOKIE = 10
_EDE = 15
_FIXED = struct.Struct(">BHHBBHH")  # root, type, UDP payload, extended RCODE, version, flags, RDLENGTH
OPT_SIZE = _FIXED.size
# Without EDNS a UDP message holds 512 octets (RFC 1035, 4.2.1); an offer below that counts as 512 (RFC 6891, 6.2.3).
SMALLEST_PAYLOAD = 512
TCP_LIMIT = 65535


class Ede(IntEnum):
    """INFO-CODEs (IANA, Extended DNS Error Codes)."""

    NOT_READY = 14
    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20
    INVALID_DATA = 24


@lru_cache(maxsize=256)
def plain_opt(payload: int, do: bool) -> bytes:
    """An OPT record without options; DO is copied (RFC 3225, 3)."""
    return _FIXED.pack(0, OPT, payload, 0, 0, DO if do else 0, 0)


def cookie_opt(payload: int, do: bool, cookie: bytes) -> bytes:
    """The OPT record with a cookie alone."""
    return opt(payload, 0, do, option(COOKIE, cookie))


def opt(payload: int, rcode: int, do: bool, options: bytes) -> bytes:
    """The OPT record with the upper bits of ``rcode`` and options in wire form; the version is always 0."""
    return _FIXED.pack(0, OPT, payload, rcode >> 4, 0, DO if do else 0, len(options)) + options


def option(code: int, octets: bytes) -> bytes:
    """One option in wire form."""
    return code.to_bytes(2, "big") + len(octets).to_bytes(2, "big") + octets


def expire(asked: Edns | None, seconds: int | None) -> bytes:
    """The EXPIRE option of an answer, where it was asked for (RFC 7314, 3) and ``seconds`` are known; else nothing."""
    if seconds is None or asked is None or not any(code == EXPIRE for code, _ in asked.options):
        return b""
    return option(EXPIRE, seconds.to_bytes(4, "big"))


def extended_error(code: int, text: str = "") -> bytes:
    """The EDE option (RFC 8914, 2)."""
    return option(_EDE, code.to_bytes(2, "big") + text.encode())


def size_limit(offered: int | None, payload: int, tcp: bool) -> int:
    """How long an answer may be. ``offered``: the requestor's payload size, None without EDNS; ``payload``: ours."""
    if tcp:
        return TCP_LIMIT
    return SMALLEST_PAYLOAD if offered is None else max(SMALLEST_PAYLOAD, min(offered, payload))
