"""TSIG keys as other programs write them: bare base64, tsig-keygen's and BIND's key statement, nsupdate's ``-y``."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import NoReturn

from dnsserver.errors import InvalidData, Problem

_STATEMENT = re.compile(r'\bkey\s+("[^"]*"|[^\s{";]+)\s*\{([^{}]*)\}\s*;?', re.IGNORECASE)
_OPTION = re.compile(r'\b(algorithm|secret)\s+("[^"]*"|[^\s;"]+)\s*;', re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/|(?:(?<=\s)|^)(?://|#)[^\n]*", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as text; ``name`` and ``algorithm`` are None where the form does not tell them."""

    name: str | None
    algorithm: str | None
    secret: str = field(repr=False)


def parse(text: str, place: str, wanted: str | None = None) -> KeyText:
    """The key in ``text``, which stands in ``place``; of several statements the one named ``wanted``.

    Raises InvalidData; the error never repeats what may be a secret.
    """
    plain = _COMMENT.sub(" ", text).strip()
    if "{" in plain:
        return _chosen(_statements(plain, place), place, wanted)
    parts = plain.split(":")
    if len(parts) == 3:
        return KeyText(parts[1], parts[0], _base64(parts[2], place))
    if len(parts) == 2:
        return KeyText(parts[0], None, _base64(parts[1], place))
    return KeyText(None, None, _base64(plain, place))


def _statements(text: str, place: str) -> list[KeyText]:
    found = []
    for name, body in _STATEMENT.findall(text):
        options = {option.lower(): value.strip('"') for option, value in _OPTION.findall(body)}
        if "secret" not in options:
            _wrong(place, f"the key {name} has no secret")
        found.append(KeyText(name.strip('"'), options.get("algorithm"), _base64(options["secret"], place)))
    return found


def _chosen(keys: list[KeyText], place: str, wanted: str | None) -> KeyText:
    if not keys:
        _wrong(place, 'no key statement: key "NAME" { algorithm hmac-sha256; secret "…"; };')
    if len(keys) == 1:
        return keys[0]
    for key in keys:
        if wanted is not None and key.name is not None and same_name(key.name, wanted):
            return key
    _wrong(place, f"holds the keys {', '.join(str(key.name) for key in keys)}, and none of them is {wanted}")


def same_name(one: str, other: str) -> bool:
    """Whether two names of keys are the same (names compare without regard to case, RFC 4343)."""
    return one.rstrip(".").lower() == other.rstrip(".").lower()


def _base64(text: str, place: str) -> str:
    secret = "".join(text.split())
    try:
        if not base64.b64decode(secret, validate=True):
            _wrong(place, "the secret is empty")
    except (binascii.Error, ValueError):
        _wrong(place, "the secret is no base64; a key is bare base64, a key statement, or algorithm:name:secret")
    return secret


def _wrong(place: str, message: str) -> NoReturn:
    raise InvalidData("the key cannot be read", [Problem(place, message)])
