"""What a name meets in a zone: RFC 1034, 4.3.2, step 3, with the wildcards of RFC 4592."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from dnsserver.zone import blob
from dnsserver.zone.image import Image, Node
from dnsserver.zone.rrtypes import DNAME, DS

WILDCARD = b"\x01*"


class Kind(Enum):
    """HIT: the name exists. WILDCARD: it does not, ``*.encloser`` does. MISS: neither. Else: a cut at or above."""

    HIT = auto()
    WILDCARD = auto()
    MISS = auto()
    DELEGATION = auto()
    REDIRECTION = auto()


class Found(NamedTuple):
    """``name``: where ``node`` stands; of a MISS and a WILDCARD the closest encloser (RFC 4592, 3.3.1)."""

    kind: Kind
    name: bytes
    node: Node


def lookup(image: Image, name: bytes, qtype: int) -> Found:
    """``name`` is lower-cased and in the zone. A DS stands on the parent's side of a cut (RFC 4035, 3.1.4.1)."""
    cut = image.cut(name)
    if cut is not None:
        at, rtype = cut
        node = image.node(at) or ()
        if rtype == DNAME:
            return Found(Kind.REDIRECTION, at, node)
        if not (qtype == DS and at == name):
            return Found(Kind.DELEGATION, at, node)
    found = image.node(name)
    if found is not None:
        return Found(Kind.HIT, name, found)
    encloser = name
    while found is None:
        encloser = encloser[encloser[0] + 1 :]
        found = image.node(encloser)
    wildcard = image.node(WILDCARD + encloser)
    if wildcard is None:
        return Found(Kind.MISS, encloser, ())
    return Found(Kind.WILDCARD, encloser, wildcard)


def has(node: Node, rtype: int) -> bool:
    """Whether an RRset of this type stands there."""
    return blob.find(node, rtype) is not None
