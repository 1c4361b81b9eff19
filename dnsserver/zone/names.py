"""Domain names: uncompressed wire form (``bytes``), their text, and their canonical key.

A name is ``bytes`` in uncompressed wire form, the root label included: ``b"\\x03www\\x00"`` is ``www.``.
Names compare without regard to case (RFC 4343), so what is looked up by name uses ``lower``.

The canonical key of a name sorts as DNSSEC does (RFC 4034, 6.1): lower-cased labels, root first, each ended by 00;
within a label 00 becomes 01 01 and 01 becomes 01 02, so that 00 sorts before every octet of a label. The key of a
name is a prefix of the key of every name below it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from dnsserver.errors import InvalidData

ROOT = b"\x00"
MAX_NAME = 255
MAX_LABEL = 63

_PLAIN = re.compile(rb"[A-Za-z0-9_*/+-]*+")
_SPECIAL = frozenset(b'."\\();@$')


def lower(name: bytes) -> bytes:
    """The name with A-Z in lower case. Length octets are at most 63, below ``A``, so ``bytes.lower`` is exact."""
    return name.lower()


def labels(name: bytes) -> list[bytes]:
    """The labels, leftmost first, without the root."""
    found = []
    at = 0
    while length := name[at]:
        found.append(name[at + 1 : at + 1 + length])
        at += length + 1
    return found


def from_labels(parts: list[bytes]) -> bytes:
    """The name of these labels, leftmost first. Raises InvalidData when it is too long (RFC 1035, 2.3.4)."""
    for part in parts:
        if not part:
            raise InvalidData("a name has an empty label")
        if len(part) > MAX_LABEL:
            raise InvalidData(f"a label is longer than {MAX_LABEL} octets: {_label_text(part)}")
    name = b"".join(bytes((len(part),)) + part for part in parts) + ROOT
    if len(name) > MAX_NAME:
        raise InvalidData(f"a name is longer than {MAX_NAME} octets: {to_text(name)[:80]}…")
    return name


def parent(name: bytes) -> bytes:
    """The name without its leftmost label; the root has no parent (ValueError)."""
    if name == ROOT:
        raise ValueError("the root has no parent")
    return name[name[0] + 1 :]


def ancestors(name: bytes) -> Iterator[bytes]:
    """The name itself, its parent, and so on to the root."""
    yield name
    while name != ROOT:
        name = name[name[0] + 1 :]
        yield name


def is_within(name: bytes, apex: bytes) -> bool:
    """Whether ``name`` is ``apex`` or below it. Both lower-cased."""
    if not name.endswith(apex):
        return False
    extra = len(name) - len(apex)
    at = 0
    while at < extra:
        at += name[at] + 1
    return at == extra


def key(name: bytes) -> bytes:
    """The canonical key (see the module); the root's is empty."""
    length = name[0]
    if not length:
        return b""
    label = name[1 : length + 1].lower()
    if b"\x00" in label or b"\x01" in label:
        label = label.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")
    return _parent_key(name[length + 1 :]) + label + b"\x00"


# Names come in families: with the parent's key at hand, a name's key takes a third of the time.
_parent_key = lru_cache(maxsize=1 << 14)(key)


def keys(owners: Iterable[bytes]) -> list[bytes]:
    """The canonical key of each of many names, fast where names of one parent follow each other."""
    found: list[bytes] = []
    before = parent_name = ROOT
    parent_key = made = b""
    for owner in owners:
        if owner != before:
            before = owner
            name = owner.lower()
            at = name[0] + 1
            label = name[1:at]
            if 0 in label or 1 in label or at == 1:
                made = key(name)
            else:
                if name[at:] != parent_name:
                    parent_name = name[at:]
                    parent_key = _parent_key(parent_name)
                made = parent_key + label + b"\x00"
        found.append(made)
    return found


def from_key(canonical: bytes) -> bytes:
    """The lower-cased name of a canonical key."""
    if not canonical:
        return ROOT
    parts = canonical[:-1].split(b"\x00")
    parts.reverse()
    if b"\x01" in canonical:
        parts = [part.replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01") for part in parts]
    return b"".join([bytes((len(part),)) + part for part in parts]) + ROOT


def _label_text(label: bytes) -> str:
    if _PLAIN.fullmatch(label) is not None:
        return label.decode("ascii")
    text = []
    for octet in label:
        if octet in _SPECIAL:
            text.append("\\" + chr(octet))
        elif 0x21 <= octet <= 0x7E:
            text.append(chr(octet))
        else:
            text.append(f"\\{octet:03d}")
    return "".join(text)


def to_text(name: bytes) -> str:
    """Absolute master-file text with a final dot (RFC 1035, 5.1; RFC 4343, 2.1)."""
    length = name[0]
    if not length:
        return "."
    above = name[length + 1 :]
    return f"{_label_text(name[1 : length + 1])}.{_parent_text(above) if above != ROOT else ''}"


# As with keys: a name's text takes a third of the time where its parent's is at hand.
_parent_text = lru_cache(maxsize=1 << 14)(to_text)


def relative_text(name: bytes, apex: bytes) -> str:
    """``@`` for the apex, the leading labels for a name below it, else absolute text."""
    if name.lower() == apex.lower():
        return "@"
    if is_within(name.lower(), apex.lower()):
        return to_text(name[: len(name) - len(apex)] + ROOT)[:-1]
    return to_text(name)


def from_text(text: str, origin: bytes | None = None) -> bytes:
    """The name of master-file text; ``@`` and a name without a final dot are relative to ``origin``.

    Raises InvalidData: empty or too long a label, too long a name, a bad escape, relative without an origin,
    characters outside ASCII (a user's Unicode name goes through ``from_user``).
    """
    if text == "@" and origin is not None:
        return origin
    if text == ".":
        return ROOT
    if not text:
        raise InvalidData("an empty name")
    if not text.isascii():
        raise InvalidData(f"{text!r} has characters outside ASCII")
    if "\\" not in text:
        absolute = text.endswith(".")
        parts = (text[:-1] if absolute else text).encode("ascii").split(b".")
    else:
        parts, absolute = _split_escaped(text)
    if not all(parts):
        raise InvalidData(f"{text!r} has an empty label")
    name = from_labels(parts)
    if absolute:
        return name
    if origin is None:
        raise InvalidData(f"{text!r} is relative, and there is no origin")
    name = name[:-1] + origin
    if len(name) > MAX_NAME:
        raise InvalidData(f"{text!r} with its origin is longer than {MAX_NAME} octets")
    return name


def _split_escaped(text: str) -> tuple[list[bytes], bool]:
    parts: list[bytes] = []
    label = bytearray()
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == ".":
            parts.append(bytes(label))
            label.clear()
            continue
        if char != "\\":
            label.append(ord(char))
            continue
        digits = text[at : at + 3]
        if len(digits) == 3 and digits.isdigit():
            if int(digits) > 255:
                raise InvalidData(f"{text!r} has an escape above 255: \\{digits}")
            label.append(int(digits))
            at += 3
        elif digits and not digits[0].isdigit():
            label.append(ord(digits[0]))
            at += 1
        else:
            raise InvalidData(f"{text!r} has a broken escape")
    if label:
        parts.append(bytes(label))
        return parts, False
    return parts, True


def from_user(text: str) -> bytes:
    """A name as a person types it: absolute with or without the final dot, Unicode by IDNA 2008 (RFC 5891).

    Raises InvalidData.
    """
    if text.isascii():
        return from_text(text if text.endswith(".") and not text.endswith("\\.") else text + ".")
    import idna  # seldom needed

    parts = []
    for label in text.rstrip(".").split("."):
        try:
            # Underscore labels and wildcards are no hostnames; only labels with Unicode go through IDNA.
            parts.append(label.encode("ascii") if label.isascii() else idna.encode(label, uts46=True))
        except idna.IDNAError as error:
            raise InvalidData(f"{label!r} is no valid IDNA 2008 label: {error}") from None
    return from_labels(parts)


# `64/26.2.0.192.in-addr.arpa` is a name (RFC 2317), `192.0.2.0/255.255.255.0` a network.
_NETWORK = re.compile(r"[0-9A-Fa-f.:]+/[0-9.]+")


def zone_from_user(text: str) -> bytes:
    """The lower-cased name of the zone that a person names: as ``from_user``, or a network (its reverse zone).

    Raises InvalidData, for an address too: nobody means a zone called 192.0.2.1.
    """
    text = text.strip()
    if _NETWORK.fullmatch(text):
        return lower(reverse_zone(text))
    try:
        example = "192.0.2.0/24" if ipaddress.ip_address(text).version == 4 else "2001:db8::/32"
    except ValueError:
        pass
    else:
        raise InvalidData(f"{text!r} is an address, no zone; a network names its reverse zone: {example} for instance")
    try:
        return lower(from_user(text))
    except InvalidData as error:
        raise InvalidData(f"{text!r} is no name of a zone: {error.message}") from None


def network_hint(text: str) -> str:
    """For a network whose address is one of its hosts, what was meant; else empty."""
    try:
        net = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return ""
    return f"an address within it; the network is {net}"


def reverse_zone(network: str) -> bytes:
    """The reverse zone of a network: ``192.0.2.0/24``, ``2001:db8::/32``; longer than /24: RFC 2317, ``0/25.2.0.192…``.

    Raises InvalidData: not a network, host bits set, or an IPv6 prefix not on a nibble.
    """
    try:
        net = ipaddress.ip_network(network)
    except ValueError as error:
        raise InvalidData(f"{network!r} is no network: {network_hint(network) or error}") from None
    if isinstance(net, ipaddress.IPv6Network):
        if net.prefixlen % 4:
            raise InvalidData(f"{network}: the prefix of an IPv6 reverse zone is a multiple of 4")
        nibbles = net.network_address.exploded.replace(":", "")[: net.prefixlen // 4]
        return from_labels([nibble.encode() for nibble in reversed(nibbles)] + [b"ip6", b"arpa"])
    octets = str(net.network_address).split(".")
    whole, part = divmod(net.prefixlen, 8)
    parts = [octet.encode() for octet in reversed(octets[:whole])] + [b"in-addr", b"arpa"]
    if net.prefixlen > 24 and part:
        parts.insert(0, f"{octets[3]}/{net.prefixlen}".encode())
    elif part:
        raise InvalidData(f"{network}: an IPv4 reverse zone is a /8, /16 or /24, or longer than /24 (RFC 2317)")
    return from_labels(parts)
