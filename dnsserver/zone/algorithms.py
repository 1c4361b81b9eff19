"""The algorithms of TSIG keys (RFC 8945, 6). The truncated variants (hmac-sha256-128, ...) are not offered."""

from __future__ import annotations

from typing import NamedTuple

from dnsserver.errors import InvalidData
from dnsserver.zone import names


class Algorithm(NamedTuple):
    """``text``: its name in messages; ``digest``: that of hashlib; ``size``: octets of the MAC and of generated secrets
    (RFC 2104, 3); ``weak``: must not be used any more (RFC 6151), taken only where the key opts in.
    """

    text: str
    digest: str
    size: int
    weak: bool = False

    @property
    def short(self) -> str:
        """As people write it: ``hmac-md5``."""
        return self.text.partition(".")[0]


# By wire name.
ALGORITHMS: dict[bytes, Algorithm] = {
    names.from_text(algorithm.text + "."): algorithm
    for algorithm in (
        Algorithm("hmac-sha224", "sha224", 28),
        Algorithm("hmac-sha256", "sha256", 32),
        Algorithm("hmac-sha384", "sha384", 48),
        Algorithm("hmac-sha512", "sha512", 64),
        Algorithm("hmac-sha1", "sha1", 20, weak=True),
        Algorithm("hmac-md5.sig-alg.reg.int", "md5", 16, weak=True),
    )
}


def algorithm_from_text(text: str) -> bytes:
    """The wire name of an algorithm as people write it (``hmac-md5``); raises InvalidData naming those there are."""
    plain = text.strip().rstrip(".").lower()
    for wire, algorithm in ALGORITHMS.items():
        if plain in (algorithm.text, algorithm.short):
            return wire
    known = ", ".join(algorithm.short for algorithm in ALGORITHMS.values())
    raise InvalidData(f"there is no algorithm {text!r}; there are {known} (the last two with --weak)")
