"""The settings of a zone, as ``zone set`` takes them (CONTRACT, Program), and the targets of its NOTIFYs (R8)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from dnsserver.errors import InvalidData
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry
from dnsserver.zone.serial import SerialPolicy
from dnsserver.zone.ttl import parse_ttl

IXFR_MODES = ("on", "udp", "off")
ZONEMD_MODES = ("off", "warn", "require")


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is sent something: ``address`` (normalised text), UDP/TCP ``port``, name of its TSIG key (R8)."""

    address: str
    port: int = 53
    key: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> Target:
        """``192.0.2.1``, ``192.0.2.1:5301,key=NAME``, ``2001:db8::1``, ``[2001:db8::1]:5301``; raises InvalidData."""
        where, key = _split_key(text)
        host, port = _split_port(where, text)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise InvalidData(f"{text!r}: {host!r} is no IP address (ADDR[:PORT][,key=KEY])") from None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_unspecified or address.is_multicast:
            raise InvalidData(f"{text!r}: {address} is not the address of one server")
        return cls(str(address), port, key)

    def text(self) -> str:
        """What ``parse`` reads back; port 53 is left out."""
        host = f"[{self.address}]" if ":" in self.address and self.port != 53 else self.address
        port = f":{self.port}" if self.port != 53 else ""
        return host + port + (f",key={names.to_text(self.key)}" if self.key is not None else "")


def _split_key(text: str) -> tuple[str, bytes | None]:
    where, comma, option = text.partition(",")
    if not comma:
        return where.strip(), None
    name, equals, value = option.partition("=")
    if name.strip() != "key" or not equals or not value.strip():
        raise InvalidData(f"{text!r}: after the comma stands key=NAME, not {option!r}")
    return where.strip(), names.lower(names.from_user(value.strip()))


def _split_port(where: str, text: str) -> tuple[str, int]:
    if where.startswith("["):
        host, bracket, rest = where[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InvalidData(f"{text!r}: an IPv6 address with a port is written [ADDR]:PORT")
        port = rest[1:] if rest else None
    elif where.count(":") == 1:
        host, _, port = where.partition(":")
    else:
        host, port = where, None
    if port is None:
        return host, 53
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise InvalidData(f"{text!r}: {port!r} is no port (1 to 65535)")
    return host, int(port)


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """What an operator chose for one zone.

    ``notify``: whether NOTIFY is sent at all; ``ixfr``: ``on``, ``udp`` (unsigned IXFR over UDP too, R13) or ``off``;
    ``also_notify``: explicit targets beside the NS set (R8); ``notify_to_soa``: notify the SOA's MNAME too (R8);
    ``allow_notify``: who may send NOTIFY beside the primaries (R9); ``default_ttl``: seconds, of new RRsets;
    ``primaries``: of a secondary zone, in the order in which they are tried (R28); ``zonemd``: whether a received
    zone's digest is verified (RFC 8976): ``off``, ``warn`` (a wrong one raises an event), ``require`` (a zone without
    one, or with a wrong one, is not taken).
    """

    serial_policy: SerialPolicy = SerialPolicy.INCREMENT
    notify: bool = True
    ixfr: str = "on"
    also_notify: tuple[Target, ...] = ()
    allow_notify: tuple[AccessEntry, ...] = ()
    notify_to_soa: bool = False
    default_ttl: int | None = None
    primaries: tuple[Target, ...] = ()
    zonemd: str = "warn"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, snake_case; addresses and keys as text."""
        return {
            "serial_policy": str(self.serial_policy),
            "notify": self.notify,
            "ixfr": self.ixfr,
            "also_notify": [target.text() for target in self.also_notify],
            "allow_notify": [_entry_option(entry) for entry in self.allow_notify],
            "notify_to_soa": self.notify_to_soa,
            "default_ttl": self.default_ttl,
            "primaries": [target.text() for target in self.primaries],
            "zonemd": self.zonemd,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ZoneSettings:
        """What ``to_json`` wrote; what an older version left out has its default."""
        stored = json.loads(text)
        values: dict[str, Any] = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        if "serial_policy" in values:
            values["serial_policy"] = SerialPolicy(values["serial_policy"])
        for name, parse in (("also_notify", Target.parse), ("primaries", Target.parse), ("allow_notify", _parse_entry)):
            if name in values:
                values[name] = tuple(parse(item) for item in values[name])
        return cls(**values)

    def with_change(self, changes: Sequence[str]) -> ZoneSettings:
        """These settings with ``KEY=VALUE``s applied; all of a repeatable key's values together replace its list.

        An empty value empties a list, or takes ``default-ttl`` away. Raises InvalidData that names the key and the
        values it may have.
        """
        given: dict[str, list[str]] = {}
        for change in changes:
            key, equals, value = change.partition("=")
            key = key.strip().lower().replace("_", "-")
            if not equals:
                raise InvalidData(f"{change!r}: a setting is written KEY=VALUE; {_known()}")
            if key not in _PARSERS:
                raise InvalidData(f"there is no setting {key!r}; {_known()}")
            given.setdefault(key, []).append(value.strip())
        values: dict[str, Any] = {}
        for key, texts in given.items():
            if key not in _REPEATABLE and len(texts) > 1:
                raise InvalidData(f"{key} is given {len(texts)} times; it has one value")
            values[key.replace("-", "_")] = _parse(key, texts)
        return replace(self, **values)

    def keys(self) -> frozenset[bytes]:
        """The names of the TSIG keys that these settings mention."""
        found = [target.key for target in (*self.also_notify, *self.primaries)]
        found += [entry.key for entry in self.allow_notify]
        return frozenset(key for key in found if key is not None)


def _parse(key: str, texts: list[str]) -> Any:
    parse = _PARSERS[key]
    try:
        if key in _REPEATABLE:
            return tuple(dict.fromkeys(parse(text) for text in texts if text))
        return parse(texts[0])
    except InvalidData as error:
        raise InvalidData(f"{key}: {error.message}") from None


def _parse_policy(text: str) -> SerialPolicy:
    try:
        return SerialPolicy(text.lower())
    except ValueError:
        raise InvalidData(f"{text!r} is none of {', '.join(SerialPolicy)}") from None


def _parse_switch(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise InvalidData(f"{text!r} is neither on nor off")
    return text.lower() == "on"


def _parse_ixfr(text: str) -> str:
    if text.lower() not in IXFR_MODES:
        raise InvalidData(f"{text!r} is none of {', '.join(IXFR_MODES)}")
    return text.lower()


def _parse_zonemd(text: str) -> str:
    if text.lower() not in ZONEMD_MODES:
        raise InvalidData(f"{text!r} is none of {', '.join(ZONEMD_MODES)}")
    return text.lower()


def _parse_default_ttl(text: str) -> int | None:
    return parse_ttl(text) if text else None


def _parse_entry(text: str) -> AccessEntry:
    """``PREFIX[,key=KEY]``, or ``key=KEY`` alone."""
    if text.startswith("key="):
        return AccessEntry.parse(None, text[4:])
    prefix, comma, option = text.partition(",")
    if not comma:
        return AccessEntry.parse(prefix, None)
    if not option.startswith("key="):
        raise InvalidData(f"{text!r}: after the comma stands key=NAME, not {option!r}")
    return AccessEntry.parse(prefix, option[4:])


def _entry_option(entry: AccessEntry) -> str:
    parts = [str(entry.prefix)] if entry.prefix is not None else []
    if entry.key is not None:
        parts.append(f"key={names.to_text(entry.key)}")
    return ",".join(parts)


_REPEATABLE = frozenset({"also-notify", "allow-notify", "primaries"})
_PARSERS: dict[str, Callable[[str], Any]] = {
    "serial-policy": _parse_policy,
    "notify": _parse_switch,
    "ixfr": _parse_ixfr,
    "also-notify": Target.parse,
    "allow-notify": _parse_entry,
    "notify-to-soa": _parse_switch,
    "default-ttl": _parse_default_ttl,
    "primaries": Target.parse,
    "zonemd": _parse_zonemd,
}


def _known() -> str:
    return "there are " + ", ".join(_PARSERS)
