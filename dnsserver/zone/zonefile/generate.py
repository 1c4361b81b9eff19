"""``$GENERATE start-stop[/step] lhs [ttl] [class] type rhs``: BIND's way to write many similar records.

In both sides ``$`` stands for the value, ``${offset[,width[,base]]}`` for the value plus an offset, padded with zeros
to a width, in base d, o, x, X, or as reversed nibbles n, N; ``\\$`` and ``$$`` are a plain dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dnsserver.errors import InvalidData

# Of all $GENERATE lines of a zone file together.
MAX_GENERATED = 1_000_000

_RANGE = re.compile(r"([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?", re.ASCII)
_MARK = re.compile(r"\\.|\$\$|\$\{([^}]*)\}|\$\{?", re.DOTALL)
_MODIFIER = re.compile(r"([+-]?[0-9]{1,10})(?:,([0-9]{1,3})(?:,([doxXnN]))?)?", re.ASCII)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_MAX_VALUE = 2**31 - 1
_MAX_WIDTH = 255


def parse_range(text: str) -> range:
    """The values, the last included. Raises InvalidData."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InvalidData(f"{text!r} is no range: START-STOP or START-STOP/STEP")
    start, stop, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if start > stop or not step or max(stop, step) > _MAX_VALUE:
        raise InvalidData(f"the range {text} is empty, has a step of 0, or passes {_MAX_VALUE}")
    return range(start, stop + 1, step)


def right_side(text: str) -> str:
    """The rdata's template: as BIND has it, all of it may be in one pair of quotes, which are no part of it."""
    text = text.strip(" \t")
    return text[1:-1].replace('\\"', '"') if _QUOTED.fullmatch(text) is not None else text


def _nibbles(value: int, width: int, digits: str) -> str:
    """Reversed nibbles with dots between; the width counts the dots (as in BIND)."""
    count = max(len(f"{value:x}"), (width + 1) // 2)
    text = ".".join([digits[value >> 4 * place & 15] for place in range(count)])
    # An even width leaves room for the dot alone.
    return text + "." if len(text) < width else text


@dataclass(frozen=True, slots=True)
class _Field:
    offset: int
    width: int
    base: str

    def text(self, value: int) -> str:
        value += self.offset
        if value < 0:
            raise InvalidData(f"a value with its offset is below 0: {value}")
        if self.base in "nN":
            return _nibbles(value, self.width, "0123456789abcdef" if self.base == "n" else "0123456789ABCDEF")
        return f"{value:0{self.width}{self.base}}" if self.width else f"{value:{self.base}}"


def template(text: str) -> Callable[[int], str]:
    """What makes the text of each value. Raises InvalidData, as does what it returns (a value below 0)."""
    parts: list[str | _Field] = []
    at = 0
    for mark in _MARK.finditer(text):
        parts.append(text[at : mark.start()])
        at = mark.end()
        if mark[0][0] == "\\":
            parts.append(mark[0])
        elif mark[0] == "$$":
            parts.append("$")
        elif mark[0] == "$":
            parts.append(_Field(0, 0, "d"))
        else:
            parts.append(_field(mark[1]))
    parts.append(text[at:])
    return lambda value: "".join([part if isinstance(part, str) else part.text(value) for part in parts])


def _field(modifier: str | None) -> _Field:
    match = _MODIFIER.fullmatch(modifier or "")
    if match is None:
        raise InvalidData(f"${{{modifier or ''} is no modifier: ${{OFFSET,WIDTH,BASE}}, BASE one of d o x X n N")
    width = int(match[2] or 0)
    if width > _MAX_WIDTH or abs(int(match[1])) > _MAX_VALUE:
        raise InvalidData(f"${{{modifier}}}: the width is at most {_MAX_WIDTH}, the offset {_MAX_VALUE}")
    return _Field(int(match[1]), width, match[3] or "d")
