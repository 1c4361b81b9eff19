"""Kinds of rdata fields: how each is read from text, where it ends on the wire, and how it is shown.

A ``Field`` reads from the words that are left and gives wire form; ``end`` finds where it ends and raises InvalidData
when it is not well-formed; ``show`` turns its octets into text that ``read`` takes back unchanged.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import dns.dnssectypes
import dns.rdatatype

from dnsserver.errors import InvalidData
from dnsserver.zone import names
from dnsserver.zone.tokens import octets, quoted
from dnsserver.zone.ttl import parse_ttl

Words = Iterator[str]

# Targets repeat: the name servers of a thousand delegations are a few names.
_name_of = lru_cache(maxsize=8192)(names.from_text)
_name_text = lru_cache(maxsize=8192)(names.to_text)


@dataclass(frozen=True, slots=True)
class Field:
    """``what`` names it in messages; ``fold``: a name whose case is no part of the canonical form (RFC 4034, 6.2)."""

    what: str
    read: Callable[[Words, bytes], bytes]
    end: Callable[[bytes, int], int]
    show: Callable[[bytes], str]
    fold: bool = False


def type_from_text(text: str) -> int:
    """The number of a type's mnemonic, of ``TYPE123`` too (RFC 3597, 5). Raises InvalidData."""
    try:
        return _type_from_text(text)
    except (dns.rdatatype.UnknownRdatatype, ValueError, KeyError):
        raise InvalidData(f"{text!r} is no record type") from None


@lru_cache(maxsize=1024)
def _type_from_text(text: str) -> int:
    return int(dns.rdatatype.from_text(text))


@lru_cache(maxsize=1024)
def type_to_text(number: int) -> str:
    """The mnemonic, ``TYPE123`` where there is none."""
    return str(dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number)))


def name_end(rdata: bytes, at: int) -> int:
    """Where the uncompressed name that begins at ``at`` ends. Raises InvalidData."""
    start, size = at, len(rdata)
    while at < size:
        length = rdata[at]
        at += length + 1
        if length == 0:
            if at - start > names.MAX_NAME:
                break
            return at
        if length > names.MAX_LABEL:
            raise InvalidData("a compressed or malformed name in rdata")
    raise InvalidData("a name in rdata is cut off or too long")


def _string_end(rdata: bytes, at: int) -> int:
    if at >= len(rdata) or (end := at + 1 + rdata[at]) > len(rdata):
        raise InvalidData("a string in rdata is cut off")
    return end


def _fixed(size: int) -> Callable[[bytes, int], int]:
    def end(rdata: bytes, at: int) -> int:
        if at + size > len(rdata):
            raise InvalidData("the rdata is too short")
        return at + size

    return end


def _rest(least: int) -> Callable[[bytes, int], int]:
    def end(rdata: bytes, at: int) -> int:
        if len(rdata) - at < least:
            raise InvalidData("the rdata is too short")
        return len(rdata)

    return end


def _decimal(data: bytes) -> str:
    return str(int.from_bytes(data, "big"))


def number(what: str, size: int) -> Field:
    """An unsigned number of ``size`` octets."""
    top = 256**size

    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        if not (text.isascii() and text.isdigit() and len(text) < 20 and (value := int(text)) < top):
            raise InvalidData(f"{what} {text!r} is no number from 0 to {top - 1}")
        return value.to_bytes(size, "big")

    return Field(what, read, _fixed(size), _decimal)


def seconds(what: str) -> Field:
    """A time of 32 bits, units allowed in text (as BIND, for the timers of an SOA)."""

    def read(words: Words, origin: bytes) -> bytes:
        return parse_ttl(next(words), 2**32 - 1).to_bytes(4, "big")

    return Field(what, read, _fixed(4), _decimal)


def name(what: str, *, fold: bool = True) -> Field:
    """A domain name."""

    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        if text[0] == '"':
            raise InvalidData(f"{what}: a name is not quoted")
        return _name_of(text, origin)

    return Field(what, read, name_end, _name_text, fold)


def address4() -> Field:
    """An IPv4 address: four decimal numbers (RFC 1035, 3.4.1)."""
    return _address("IPv4", AF_INET, 4)


def address6() -> Field:
    """An IPv6 address (RFC 3596, 2.4)."""
    return _address("IPv6", AF_INET6, 16)


def _address(what: str, family: int, size: int) -> Field:
    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        try:
            return inet_pton(family, text)
        except (OSError, ValueError):
            raise InvalidData(f"{text!r} is no {what} address") from None

    return Field("address", read, _fixed(size), lambda data: inet_ntop(family, data))


def _counted(what: str, word: str) -> bytes:
    data = octets(word)
    if len(data) > 255:
        raise InvalidData(f"{what}: a string of {len(data)} octets; 255 is the most (RFC 1035, 3.3)")
    return bytes((len(data),)) + data


def string(what: str) -> Field:
    """A character-string of up to 255 octets (RFC 1035, 3.3)."""
    return Field(what, lambda words, _: _counted(what, next(words)), _string_end, lambda data: quoted(data[1:]))


def strings(what: str) -> Field:
    """One or more character-strings to the end."""

    def read(words: Words, origin: bytes) -> bytes:
        first = _counted(what, next(words))
        return first + b"".join([_counted(what, word) for word in words])

    def end(rdata: bytes, at: int) -> int:
        at = _string_end(rdata, at)
        while at < len(rdata):
            at = _string_end(rdata, at)
        return at

    def show(data: bytes) -> str:
        shown = []
        at = 0
        while at < len(data):
            stop = at + 1 + data[at]
            shown.append(quoted(data[at + 1 : stop]))
            at = stop
        return " ".join(shown)

    return Field(what, read, end, show)


def long_string(what: str, least: int) -> Field:
    """One quoted string without a length octet, to the end (CAA, URI)."""
    return Field(what, lambda words, _: octets(next(words)), _rest(least), quoted)


def tag() -> Field:
    """The property of a CAA record: letters and digits (RFC 8659, 4.1)."""

    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        if not (text.isascii() and text.isalnum() and len(text) < 256):
            raise InvalidData(f"tag {text!r} is not letters and digits")
        return bytes((len(text),)) + text.encode("ascii")

    def end(rdata: bytes, at: int) -> int:
        stop = _string_end(rdata, at)
        text = rdata[at + 1 : stop]
        if not (text.isascii() and text.isalnum()):
            raise InvalidData("the tag is not letters and digits")
        return stop

    return Field("tag", read, end, lambda data: data[1:].decode("ascii"))


def hexadecimal(what: str, least: int = 1) -> Field:
    """Hexadecimal octets to the end, in one word or several."""

    def read(words: Words, origin: bytes) -> bytes:
        text = "".join(words)
        try:
            data = binascii.unhexlify(text)
        except ValueError:
            raise InvalidData(f"{what} is no hexadecimal text of whole octets") from None
        if len(data) < least:
            raise InvalidData(f"{what} is missing")
        return data

    return Field(what, read, _rest(least), bytes.hex)


def base64_rest(what: str) -> Field:
    """Base64 to the end, in one word or several."""

    def read(words: Words, origin: bytes) -> bytes:
        text = "".join(words)
        if not text:
            raise InvalidData(f"{what} is missing")
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except ValueError:
            raise InvalidData(f"{what} is no base64 text") from None

    return Field(what, read, _rest(1), lambda data: binascii.b2a_base64(data, newline=False).decode("ascii"))


def algorithm() -> Field:
    """A DNSSEC algorithm, by number or mnemonic."""

    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        try:
            known = text.isascii() and text.isdigit() and len(text) < 4
            return bytes((int(text) if known else int(dns.dnssectypes.Algorithm.from_text(text)),))
        except (ValueError, KeyError, TypeError):
            raise InvalidData(f"{text!r} is no DNSSEC algorithm") from None

    return Field("algorithm", read, _fixed(1), _decimal)


def covered() -> Field:
    """The type that a signature covers."""
    return Field(
        "type-covered",
        lambda words, _: type_from_text(next(words)).to_bytes(2, "big"),
        _fixed(2),
        lambda data: type_to_text(int.from_bytes(data, "big")),
    )


@lru_cache(maxsize=256)
def _moment(text: str) -> bytes:
    try:
        if len(text) == 14 and text.isascii() and text.isdigit():
            at = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            return int(at.timestamp()).to_bytes(4, "big")
        if len(text) <= 10 and text.isascii() and text.isdigit():
            return int(text).to_bytes(4, "big")
    except (ValueError, OverflowError):
        pass
    raise InvalidData(f"{text!r} is no time: YYYYMMDDHHmmSS, or seconds since 1970 (RFC 4034, 3.2)")


def moment(what: str) -> Field:
    """When a signature begins or ends to be valid (RFC 4034, 3.2)."""
    return Field(
        what,
        lambda words, _: _moment(next(words)),
        _fixed(4),
        lambda data: time.strftime("%Y%m%d%H%M%S", time.gmtime(int.from_bytes(data, "big"))),
    )


@lru_cache(maxsize=4096)
def _bitmap(mnemonics: tuple[str, ...]) -> bytes:
    windows: dict[int, bytearray] = {}
    for mnemonic in mnemonics:
        window, low = divmod(type_from_text(mnemonic), 256)
        bits = windows.setdefault(window, bytearray(32))
        bits[low // 8] |= 0x80 >> low % 8
    found = bytearray()
    for window, bits in sorted(windows.items()):
        octet_rows = bytes(bits).rstrip(b"\x00")
        found += bytes((window, len(octet_rows))) + octet_rows
    return bytes(found)


def _bitmap_end(rdata: bytes, at: int) -> int:
    before = -1
    while at < len(rdata):
        if at + 2 > len(rdata):
            raise InvalidData("a type bitmap is cut off")
        window, size = rdata[at], rdata[at + 1]
        at += 2 + size
        # RFC 4034, 4.1.2: blocks in increasing order, 1 to 32 octets, trailing zero octets omitted.
        if window <= before or not 1 <= size <= 32 or at > len(rdata) or not rdata[at - 1]:
            raise InvalidData("a type bitmap is malformed")
        before = window
    return at


@lru_cache(maxsize=4096)
def _bitmap_text(data: bytes) -> str:
    shown = []
    at = 0
    while at < len(data):
        window, size = data[at], data[at + 1]
        for index, octet in enumerate(data[at + 2 : at + 2 + size]):
            shown += [type_to_text(window * 256 + index * 8 + bit) for bit in range(8) if octet & 0x80 >> bit]
        at += 2 + size
    return " ".join(shown)


def types() -> Field:
    """The types at a name (RFC 4034, 4.1.2); none at an empty non-terminal's NSEC3."""
    return Field("types", lambda words, _: _bitmap(tuple(words)), _bitmap_end, _bitmap_text)


def salt() -> Field:
    """A counted salt in hexadecimal, ``-`` for none (RFC 5155, 3.3)."""

    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        try:
            data = b"" if text == "-" else binascii.unhexlify(text)
        except ValueError:
            raise InvalidData(f"salt {text!r} is no hexadecimal text") from None
        if len(data) > 255:
            raise InvalidData("the salt is longer than 255 octets")
        return bytes((len(data),)) + data

    return Field("salt", read, _string_end, lambda data: data[1:].hex() or "-")


def next_hash() -> Field:
    """The counted hash of the next owner in base32hex without padding (RFC 5155, 3.3)."""

    def read(words: Words, origin: bytes) -> bytes:
        text = next(words)
        try:
            data = base64.b32hexdecode(text.upper() + "=" * (-len(text) % 8))
        except ValueError:
            raise InvalidData(f"{text!r} is no base32hex text") from None
        if not 0 < len(data) < 256:
            raise InvalidData("the next hashed owner is 1 to 255 octets")
        return bytes((len(data),)) + data

    def end(rdata: bytes, at: int) -> int:
        stop = _string_end(rdata, at)
        if stop == at + 1:
            raise InvalidData("the next hashed owner is empty")
        return stop

    return Field("next-hash", read, end, lambda data: base64.b32hexencode(data[1:]).decode("ascii").rstrip("="))


def plain_address4(text: str, origin: bytes) -> bytes:
    """An A record's rdata, fast. Raises ValueError or OSError."""
    return inet_pton(AF_INET, text)


def plain_address6(text: str, origin: bytes) -> bytes:
    """An AAAA record's rdata, fast. Raises ValueError or OSError."""
    return inet_pton(AF_INET6, text)


# The rdata of other common types, fast. Whole texts are kept, since those with targets repeat. ValueError, InvalidData:
# what these do not take.


def plain_name(text: str, origin: bytes) -> bytes:
    """One name."""
    (word,) = text.split()
    return _target(word, origin)


@lru_cache(maxsize=8192)
def plain_host(text: str, origin: bytes) -> bytes:
    """A preference and a name, as MX has them."""
    preference, host = text.split()
    return _short(preference) + _target(host, origin)


@lru_cache(maxsize=8192)
def plain_service(text: str, origin: bytes) -> bytes:
    """SRV (RFC 2782)."""
    priority, weight, port, host = text.split()
    return _short(priority) + _short(weight) + _short(port) + _target(host, origin)


def plain_strings(text: str) -> bytes:
    """One or more character-strings: words, or all in quotes."""
    parts = [part.encode("ascii") for part in (text.split('"')[1::2] if '"' in text else text.split())]
    if not parts:
        raise ValueError(text)
    return b"".join([bytes((len(part),)) + part for part in parts])


def _target(word: str, origin: bytes) -> bytes:
    if '"' in word:
        raise ValueError(word)
    return _name_of(word, origin)


def _short(word: str) -> bytes:
    if not word.isdigit() or len(word) > 5 or int(word) > 65535:
        raise ValueError(word)
    return int(word).to_bytes(2, "big")
