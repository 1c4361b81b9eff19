"""The words of master-file text: quotes, escapes, parentheses, comments (RFC 1035, 5.1).

A word is kept as written: a quoted one with its quotes, escapes not yet resolved. Bytes that are no UTF-8 travel as
surrogate escapes (PEP 383).
"""

from __future__ import annotations

import re

from dnsserver.errors import InvalidData

# Anything but printable ASCII without quotes, escapes, parentheses and comments: a line without it is just words.
NOT_PLAIN = re.compile(r"[^\t !#-'*-:<-\[\]-~]")

_PIECE = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<comment>;.*)|(?P<paren>[()])|(?:[^\s"();\\]|\\.)+|[ \t]+|(?P<bad>.)""",
    re.DOTALL,
)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|(?:[^ \t"\\]|\\.)+', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DECIMAL = re.compile(r"\\([0-9]{3}|.)", re.DOTALL | re.ASCII)


def clean_line(line: str, depth: int = 0, *, comments: bool = True) -> tuple[str, int]:
    """One physical line without its comment and parentheses, and how many parentheses are open after it.

    ``depth``: how many were open before. Raises InvalidData: an open quote, a control character, characters outside
    ASCII that are not quoted, a closing parenthesis too many, a comment where ``comments`` is not set.
    """
    if (found := _CONTROL.search(line)) is not None:
        raise InvalidData(
            f"the control character {ord(found[0]):#04x} (written \\{ord(found[0]):03d} in a master file)"
        )
    kept: list[str] = []
    for piece in _PIECE.finditer(line):
        text = piece[0]
        match piece.lastgroup:
            case "comment" if comments:
                break
            case "comment":
                raise InvalidData('";" begins a comment in a master file: write it in quotes, or as \\;')
            case "paren":
                depth += 1 if text == "(" else -1
                if depth < 0:
                    raise InvalidData("a closing parenthesis without an opening one")
                text = " "
            case "bad":
                raise InvalidData(
                    "a quoted string is not closed on its line" if text == '"'
                    else "a lone backslash" if text == "\\"
                    else f"the character {text!r} outside a quoted string"
                )  # fmt: skip
            case None if not text.isascii():
                raise InvalidData(
                    f"{text!r} has characters outside ASCII; they may stand in quoted strings only "
                    "(in a name, write its A-label: xn--…)"
                )
        kept.append(text)
    return "".join(kept), depth


def words(text: str) -> list[str]:
    """The words of a cleaned line."""
    return _WORD.findall(text)


def clean(text: str) -> str:
    """Text of one record's data, perhaps over several lines in parentheses, as one line. Raises InvalidData."""
    if NOT_PLAIN.search(text) is None:
        return text
    parts: list[str] = []
    depth = 0
    for line in text.splitlines() if "\n" in text else (text,):
        if parts and not depth:
            raise InvalidData("more than one line without parentheses")
        part, depth = clean_line(line, depth, comments=False)
        parts.append(part)
    if depth:
        raise InvalidData("a parenthesis is not closed")
    return " ".join(parts)


def octets(word: str) -> bytes:
    r"""The octets of a word: without its quotes, ``\DDD`` and ``\X`` resolved. Raises InvalidData."""
    if word[:1] == '"':
        word = word[1:-1]
    if "\\" not in word:
        return word.encode("utf-8", "surrogateescape")
    found = bytearray()
    at = 0
    for escape in _DECIMAL.finditer(word):
        found += word[at : escape.start()].encode("utf-8", "surrogateescape")
        text = escape[1]
        if len(text) == 3:
            if int(text) > 255:
                raise InvalidData(f"an escape above 255: \\{text}")
            found.append(int(text))
        elif text.isdigit():
            raise InvalidData(f"a broken escape: \\{text}, three digits are needed")
        else:
            found += text.encode("utf-8", "surrogateescape")
        at = escape.end()
    return bytes(found + word[at:].encode("utf-8", "surrogateescape"))


_QUOTED = {code: chr(code) if 0x20 <= code < 0x7F else f"\\{code:03d}" for code in range(256)}
_QUOTED |= {ord('"'): '\\"', ord("\\"): "\\\\"}
_AS_IS = re.compile(rb"[ !#-\[\]-~]*")


def quoted(data: bytes) -> str:
    """A quoted string of these octets; all but printable ASCII as escapes."""
    if _AS_IS.fullmatch(data) is not None:
        return f'"{data.decode("ascii")}"'
    return '"' + "".join([_QUOTED[octet] for octet in data]) + '"'
