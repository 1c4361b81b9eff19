"""Readers of single configuration values: what TOML gives in, a typed value out, or ``Wrong`` with what is meant."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Reader = Callable[[object], Any]

_TIME_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LONGEST = float((1 << 31) - 1)
_NAME = re.compile(r"(?=.{1,254}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}\.?")


class Wrong(ValueError):
    """A value that cannot be taken; its text ends the sentence "[table] key: …"."""


class Address(NamedTuple):
    """Where to listen: an IP address (normalised text) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def boolean(value: object) -> bool:
    """``true``, ``false``, ``"on"``, ``"off"``."""
    if isinstance(value, bool):
        return value
    if value in ("on", "off"):
        return value == "on"
    raise Wrong("is true or false")


def string(value: object) -> str:
    """A string that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise Wrong('is a string: write "…"')


def count(low: int = 0, high: int = (1 << 31) - 1) -> Reader:
    """A whole number from ``low`` to ``high``."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong("is a whole number, without quotes")
        return int(_within(value, low, high, str))

    return read


rate = count(1, 1_000_000)


def duration(low: float, high: float = _LONGEST) -> Reader:
    """Seconds: ``"10s"``, ``"5m"``, ``"4w"``, ``"250ms"``; a bare number is seconds."""

    def read(value: object) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found = float(value)
        else:
            parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|[smhdw])", value) if isinstance(value, str) else None
            if parts is None:
                raise Wrong('is a time: write "10s", "5m", "12h", "7d" or "4w"')
            found = float(parts[1]) * _TIME_UNITS[parts[2]]
        return _within(found, low, high, lambda number: f"{number:g}s")

    return read


def seconds(low: int) -> Reader:
    """A duration in whole seconds, as in a TTL or an SOA."""
    read_duration = duration(low)

    def read(value: object) -> int:
        found = float(read_duration(value))
        if not found.is_integer():
            raise Wrong("is a whole number of seconds")
        return int(found)

    return read


def size(low: int, high: int = 1 << 50) -> Reader:
    """Octets: ``"256MiB"``, ``"16KiB"``; a bare whole number is octets."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            found = value
        else:
            parts = re.fullmatch(r"(\d+) ?([KMGT]iB|B|)", value) if isinstance(value, str) else None
            if parts is None:
                raise Wrong('is a size: write "16KiB", "256MiB" or "1GiB"')
            found = int(parts[1]) * _SIZE_UNITS[parts[2]]
        return int(_within(found, low, high, str))

    return read


def percent(low: float, high: float = 1e6) -> Reader:
    """A share: ``"25%"`` is 0.25."""

    def read(value: object) -> float:
        parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
        if parts is None:
            raise Wrong('is a share: write "25%"')
        return _within(float(parts[1]) / 100, low, high, lambda number: f"{number * 100:g}%")

    return read


def optional(word: str, read_value: Reader) -> Reader:
    """None for ``word``, else as ``read_value``."""

    def read(value: object) -> Any:
        if value == word or (word == "off" and value is False):
            return None
        try:
            return read_value(value)
        except Wrong as error:
            raise Wrong(f'{error}, or "{word}"') from None

    return read


def choice(words: Iterable[str]) -> Reader:
    """One of some words; the value is the given one (a member, where they are an enumeration)."""
    known = {str(word): word for word in words}

    def read(value: object) -> str:
        if isinstance(value, str) and value in known:
            return known[value]
        raise Wrong(f"is one of {', '.join(known)}")

    return read


def list_of(read_one: Reader, *, empty: bool = False) -> Reader:
    """A tuple of values."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Wrong('is a list: write ["…", "…"]')
        if not value and not empty:
            raise Wrong("is empty")
        return tuple(read_one(one) for one in value)

    return read


def address(value: object) -> str:
    """An IP address, normalised."""
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else _no_address(value)
    except ValueError:
        return _no_address(value)


def _no_address(value: object) -> str:
    raise Wrong(f"{value!r} is no IP address")


def listen_address(value: object) -> Address:
    """``"127.0.0.1:5300"``, ``"[::1]:5300"``; port 53 where none is given."""
    if not isinstance(value, str):
        raise Wrong(f'{value!r} is no address: write "127.0.0.1:53" or "[::1]:53"')
    parts = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", value)
    if parts is None:
        raise Wrong(f'{value!r} is no address with a port: write "127.0.0.1:53" or "[::1]:53"')
    port = int(parts[3] or 53)
    if not 1 <= port <= 65535:
        raise Wrong(f"{value!r}: a port is 1 to 65535")
    return Address(address(parts[1] or parts[2]), port)


def hostname(value: object) -> str:
    """A host's name, made absolute."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Wrong(f'{value!r} is no name of a host: write "ns1.example.net"')
    return value.rstrip(".") + "."


def prefixes(value: object) -> tuple[int, int]:
    """``["/24", "/56"]``: the IPv4 and the IPv6 prefix length."""
    if isinstance(value, list) and len(value) == 2:
        parts = [re.fullmatch(r"/(\d{1,3})", one) if isinstance(one, str) else None for one in value]
        if parts[0] and parts[1] and int(parts[0][1]) <= 32 and int(parts[1][1]) <= 128:
            return int(parts[0][1]), int(parts[1][1])
    raise Wrong('is the IPv4 and the IPv6 prefix that count as one client: write ["/24", "/56"]')


def _within(value: float, low: float, high: float, text: Callable[[float], str]) -> float:
    if not low <= value <= high:
        raise Wrong(f"is {text(value)}, allowed is {text(low)} to {text(high)}")
    return value
