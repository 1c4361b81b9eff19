"""DNS cookies: RFC 7873, with the interoperable server cookies of RFC 9018 (SipHash-2-4, version 1).

A cookie option of 24 octets: the client's 8, then version 1, three reserved octets, a timestamp (32 bits, seconds since
the epoch), and the hash of all of it and the client's address. SipHash in Python takes some 24 us, so what was made or
verified is kept in a bounded table; clients repeat their cookie.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

CLIENT_SIZE = 8
FULL_SIZE = 24
# RFC 9018, 4.3: valid for an hour, five minutes of clocks that differ, a new one when older than half an hour.
LIFETIME = 3600
AHEAD = 300
RENEW_AFTER = 1800
JAR_ENTRIES = 16384

_HALVES = struct.Struct("<QQ")
_MASK = 0xFFFFFFFFFFFFFFFF
_VERSION_1 = b"\x01\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class CookieSecrets:
    """16 octets each; the previous one still verifies (RFC 9018, 5)."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)


class Judged(NamedTuple):
    """``reply``: the option's octets to answer with, empty for none; ``is_valid``: the request held a good server
    cookie; ``is_first``: it held a client's alone; ``until``: how long all of this holds, seconds since the epoch.
    """

    reply: bytes
    is_valid: bool
    is_first: bool
    until: int = 0


NO_COOKIE = Judged(b"", False, False)


def is_malformed(option: bytes) -> bool:
    """RFC 7873, 5.2.2: 8 octets, or 16 to 40; anything else is FORMERR."""
    size = len(option)
    return size != CLIENT_SIZE and not 16 <= size <= 40


class CookieJar:
    """The secrets, and what was made and verified with them: (address, option) -> how it was judged."""

    __slots__ = ("_known", "_secrets")

    def __init__(self, secrets: CookieSecrets) -> None:
        self._secrets = secrets
        self._known: dict[tuple[str, bytes], Judged] = {}

    def judge(self, option: bytes, address: str, now: float) -> Judged:
        """The answer to a well-formed cookie option. A bad server cookie is no error: the client gets a good one."""
        known = self._known.get((address, option))
        if known is not None and now <= known.until:
            return known
        made = self._verify(option, address, now)
        if made is not None and made.is_current and now - made.at <= RENEW_AFTER:
            judged = Judged(option, True, False, made.at + RENEW_AFTER)
        elif made is not None:
            # Old, or of the previous secret: valid, and replaced (RFC 9018, appendix A.2 and A.4).
            renewed = self._make(option[:CLIENT_SIZE], address, int(now))
            judged = Judged(renewed, True, False, made.at + LIFETIME)
        else:
            is_first = len(option) == CLIENT_SIZE
            fresh = self._make(option[:CLIENT_SIZE], address, int(now))
            judged = Judged(fresh, False, is_first, int(now) + RENEW_AFTER)
        if len(self._known) >= JAR_ENTRIES:
            self._known.clear()
        # Forged server cookies are not worth a place; a client's bare cookie is.
        if judged.is_valid or judged.is_first:
            self._known[address, option] = judged
        return judged

    def _make(self, client: bytes, address: str, now: int) -> bytes:
        head = client + _VERSION_1 + (now & 0xFFFFFFFF).to_bytes(4, "big")
        return head + _hash(self._secrets.current, head, address)

    def _verify(self, option: bytes, address: str, now: float) -> _Made | None:
        """When a valid cookie was made, and whether with the current secret; None where it is not valid."""
        if len(option) != FULL_SIZE or option[8] != 1:
            return None
        age = (int(now) - int.from_bytes(option[12:16], "big") + 0x80000000) % 0x100000000 - 0x80000000
        if not -AHEAD <= age <= LIFETIME:
            return None
        for secret in (self._secrets.current, self._secrets.previous):
            if secret is not None and _hash(secret, option[:16], address) == option[16:]:
                return _Made(int(now) - age, secret is self._secrets.current)
        return None


class _Made(NamedTuple):
    at: int
    is_current: bool


def _hash(secret: bytes, head: bytes, address: str) -> bytes:
    return siphash(secret, head + _packed(address))


def _packed(address: str) -> bytes:
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return address.encode()


def siphash(key: bytes, message: bytes) -> bytes:
    """SipHash-2-4 with a 16-octet key, its 8 octets in little-endian order (Aumasson and Bernstein, 2012)."""
    k0, k1 = _HALVES.unpack(key)
    state = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    padded = message + b"\x00" * (7 - len(message) % 8) + bytes((len(message) & 0xFF,))
    for (word,) in struct.iter_unpack("<Q", padded):
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _rounds(2, v0, v1, v2, v3 ^ word)
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _rounds(4, v0, v1, v2 ^ 0xFF, v3)
    return (v0 ^ v1 ^ v2 ^ v3).to_bytes(8, "little")


def _rounds(count: int, v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    for _ in range(count):
        v0 = (v0 + v1) & _MASK
        v1 = ((v1 << 13) & _MASK | v1 >> 51) ^ v0
        v0 = (v0 << 32) & _MASK | v0 >> 32
        v2 = (v2 + v3) & _MASK
        v3 = ((v3 << 16) & _MASK | v3 >> 48) ^ v2
        v0 = (v0 + v3) & _MASK
        v3 = ((v3 << 21) & _MASK | v3 >> 43) ^ v0
        v2 = (v2 + v1) & _MASK
        v1 = ((v1 << 17) & _MASK | v1 >> 47) ^ v2
        v2 = (v2 << 32) & _MASK | v2 >> 32
    return v0, v1, v2, v3
