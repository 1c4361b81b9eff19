"""NSEC3 hashes (RFC 5155) and the ordered owners of an image's NSEC3 chain."""

from __future__ import annotations

import hashlib
from base64 import b32hexencode
from bisect import bisect_left, insort
from typing import NamedTuple

SHA1 = 1
# RFC 9276 (3.1) wants 0. Beyond this, hashing costs more than an answer may: such a zone is served without proofs.
MAX_ITERATIONS = 150
OPT_OUT = 1


class Param(NamedTuple):
    """What a chain is hashed with (RFC 5155, 4.2)."""

    iterations: int
    salt: bytes

    @classmethod
    def of(cls, rdata: bytes) -> Param | None:
        """Of the rdata of an NSEC3PARAM or an NSEC3; None where the algorithm is not SHA-1 or the rdata is short."""
        if len(rdata) < 5 or rdata[0] != SHA1 or len(rdata) < 5 + rdata[4]:
            return None
        return cls(int.from_bytes(rdata[2:4], "big"), rdata[5 : 5 + rdata[4]])

    @classmethod
    def usable(cls, rdata: bytes) -> Param | None:
        """Of an NSEC3PARAM that a server may answer from: flags 0 (RFC 5155, 4.1.2), iterations within the cap."""
        param = cls.of(rdata)
        return param if param and rdata[1] == 0 and param.iterations <= MAX_ITERATIONS else None

    def label(self, name: bytes) -> bytes:
        """The hash of a lower-cased name as the 32 octets of an owner's first label, in lower case (RFC 5155, 5)."""
        salt = self.salt
        sha1 = hashlib.sha1
        digest = sha1(name + salt, usedforsecurity=False).digest()
        for _ in range(self.iterations):
            digest = sha1(digest + salt, usedforsecurity=False).digest()
        return b32hexencode(digest).lower()


class Chain:
    """The first labels of the owners of one chain, in hash order (base32hex keeps the order of what it encodes)."""

    __slots__ = ("_labels", "param")

    def __init__(self, param: Param, labels: list[bytes]) -> None:
        self.param = param
        self._labels = sorted(labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and (self.param, self._labels) == (other.param, other._labels)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, label: bytes) -> None:
        if not self.has(label):
            insort(self._labels, label)

    def discard(self, label: bytes) -> None:
        if self.has(label):
            del self._labels[bisect_left(self._labels, label)]

    def has(self, label: bytes) -> bool:
        at = bisect_left(self._labels, label)
        return at < len(self._labels) and self._labels[at] == label

    def covering(self, label: bytes) -> bytes | None:
        """The owner whose interval holds ``label``: the one before it, or the last, since the chain is a ring."""
        return self._labels[bisect_left(self._labels, label) - 1] if self._labels else None
