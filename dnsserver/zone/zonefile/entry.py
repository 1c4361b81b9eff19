"""One entry of a zone file after its owner: ``[ttl] [class] type rdata``, TTL and class in either order."""

from __future__ import annotations

import re
from typing import NamedTuple

from dnsserver.errors import InvalidData
from dnsserver.zone import rdata
from dnsserver.zone.ttl import parse_ttl

_WORD = re.compile(r'[ \t]*("(?:[^"\\]|\\.)*"|(?:[^ \t"\\]|\\.)+)?', re.DOTALL)
_CLASS = re.compile(r"(?:IN|CH|CS|HS|ANY|NONE|CLASS[0-9]{1,5})", re.ASCII | re.IGNORECASE)


class Body(NamedTuple):
    """``ttl``: seconds, None when it is not given; ``text``: the rdata's."""

    ttl: int | None
    type: int
    text: str


def take(text: str) -> tuple[str, str]:
    """The first word of cleaned text (empty when there is none), and what follows it."""
    match = _WORD.match(text)
    assert match is not None  # the pattern takes the empty string too
    return match[1] or "", text[match.end() :]


def body(text: str) -> Body:
    """Raises InvalidData: no type, an unknown one, a bad TTL, another class than IN."""
    ttl: int | None = None
    has_class = False
    while True:
        word, text = take(text)
        if not word:
            raise InvalidData("the type is missing")
        if word[0].isdigit():
            if ttl is not None:
                raise InvalidData(f"a second TTL, {word}, where the type is expected")
            ttl = parse_ttl(word)
        elif _CLASS.fullmatch(word) is not None:
            if has_class or word.upper() not in ("IN", "CLASS1"):
                raise InvalidData(f"class {word}: zones here are of class IN, which is written once")
            has_class = True
        else:
            return Body(ttl, rdata.type_from_text(word), text)
