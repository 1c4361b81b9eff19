"""The fast way's knowledge: what a plain line is, and what its parts mean, each learned once.

A plain line has no escapes, parentheses or comments, an owner of common characters or none, and rdata without quotes,
or all of it strings in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from dnsserver.errors import InvalidData
from dnsserver.zone import names, rdata, rrtypes
from dnsserver.zone.records import Record
from dnsserver.zone.zonefile.entry import body

# Each line, as: first label, rest of the owner, TTL and class and type, rdata; or whole, when it is not plain.
LINES = re.compile(
    rb"(?:([A-Za-z0-9_*-]*+)((?:\.[A-Za-z0-9_*.-]*+)?)[ \t]++"
    rb"((?:[0-9]++[ \t]++)?+(?:IN[ \t]++)?+(?:[0-9]++[ \t]++)?+[A-Z][A-Z0-9-]*+[ \t]++)"
    rb"([!#-'*-:<-\[\]-~ \t]*+|\"[ !#-\[\]-~]*+\"(?:[ \t]++\"[ !#-\[\]-~]*+\")*+[ \t]*+)|([^\n]*+))\n"
)
LENGTHS = {size: bytes((size,)) for size in range(1, names.MAX_LABEL + 1)}

_MAX_CACHED = 1 << 16
Value = TypeVar("Value")


class Head(NamedTuple):
    """``ttl``: None when it is not given; ``rrsets``: the first record of each RRset of the type, by owner's key."""

    ttl: int | None
    type: int
    rrsets: dict[bytes, Record]
    read: Callable[[str, bytes], bytes]


class Heads(dict[bytes, Head]):
    """By TTL, class and type as written. Raises KeyError or InvalidData for what the slow way must see."""

    def __init__(self, rrsets: dict[int, dict[bytes, Record]]) -> None:
        super().__init__()
        self._rrsets = rrsets

    def __missing__(self, text: bytes) -> Head:
        found = body(text.decode("ascii"))
        # The SOA gives its TTL to others.
        if found.text.strip() or found.type not in rdata.FIELDS or found.type == rrtypes.SOA:
            raise KeyError(text)
        head = Head(found.ttl, found.type, self._rrsets[found.type], rdata.from_plain(found.type))
        _keep(self, text, head)
        return head


class Parents(dict[bytes, tuple[bytes, bytes]]):
    """By what follows the first label of an owner as written: its parent and the parent's canonical key.

    Raises KeyError where the parent is not in the zone.
    """

    def __init__(self, origin: bytes, apex: bytes) -> None:
        super().__init__()
        self._origin = origin
        self._apex = apex

    def __missing__(self, text: bytes) -> tuple[bytes, bytes]:
        try:
            parent = names.parent(names.from_text("x" + text.decode("ascii"), self._origin))
        except InvalidData:
            raise KeyError(text) from None
        if not names.is_within(parent.lower(), self._apex):
            raise KeyError(text)
        _keep(self, text, (parent, names.key(parent)))
        return self[text]


def _keep(cache: dict[bytes, Value], key: bytes, value: Value) -> None:
    if len(cache) >= _MAX_CACHED:
        cache.clear()
    cache[key] = value
