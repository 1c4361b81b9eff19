"""Who may transfer a zone (R1 to R5, R15, R16, R18, R19): one pure decision, which names the entry that decided.

The server, its log, ``access explain`` and the doctor all ask ``decide``. Reasons are stable codes:

    entry-matches               allowed, by ``layer`` and ``entry``
    bad-signature               the request's TSIG did not verify; never permitted, whatever its address (R16)
    no-entries                  no list says anything about this zone: everything is denied (R15)
    key-required                unsigned, and an entry for this address, or for any, wants a key (R19)
    wrong-key                   the signature is right, but the entries that speak of this address want another key
    wrong-address               the key is listed, but not together with this address
    address-entry-is-unsigned   address-only entries permit unsigned requests; this one is signed (R16)
    super-slave-not-primary     only the super-slave list matches, and the zone is not primary here (R2)
    no-entry-matches            there are entries, none of which speaks of this address or key
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from dnsserver.errors import InvalidData
from dnsserver.zone import names

Address = IPv4Address | IPv6Address


class Role(StrEnum):
    """What this server is for a zone."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Layer(StrEnum):
    """The three lists, one of which is enough (R4)."""

    GLOBAL = "global"
    SUPER_SLAVE = "super-slave"
    ZONE = "zone"


class Signature(StrEnum):
    """What a request's TSIG is worth (RFC 8945, 5.2)."""

    UNSIGNED = "unsigned"
    VALID = "valid"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """Permits by ``prefix``, by ``key`` (lower-cased wire name), or by both together (R16); at least one is given."""

    prefix: IPv4Network | IPv6Network | None
    key: bytes | None = None

    def __post_init__(self) -> None:
        if self.prefix is None and self.key is None:
            raise InvalidData("an entry needs an address prefix, a key, or both")

    @classmethod
    def parse(cls, prefix: str | None, key: str | None = None) -> AccessEntry:
        """``192.0.2.0/24``, ``2001:db8::1`` and a key's name; a v4-mapped prefix becomes IPv4. Raises InvalidData."""
        name = names.lower(names.from_user(key)) if key else None
        return cls(_parse_prefix(prefix) if prefix else None, name)

    @property
    def address(self) -> Address | None:
        """The address of a single-address entry, else None."""
        if self.prefix is None or self.prefix.prefixlen != self.prefix.max_prefixlen:
            return None
        return self.prefix.network_address

    def covers(self, address: Address) -> bool:
        """Whether the entry speaks of this address (one without prefix speaks of all)."""
        return self.prefix is None or (address.version == self.prefix.version and address in self.prefix)

    def text(self) -> str:
        """``192.0.2.0/24 key=name.``"""
        parts = [str(self.prefix)] if self.prefix is not None else []
        if self.key is not None:
            parts.append(f"key={names.to_text(self.key)}")
        return " ".join(parts)


def _parse_prefix(text: str) -> IPv4Network | IPv6Network:
    try:
        prefix = ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise InvalidData(f"{text!r} is no address prefix: {names.network_hint(text) or error}") from None
    if isinstance(prefix, IPv6Network) and prefix.prefixlen >= 96 and prefix.network_address.ipv4_mapped:
        return IPv4Network((int(prefix.network_address.ipv4_mapped), prefix.prefixlen - 96))
    return prefix


@dataclass(frozen=True, slots=True)
class AccessLists:
    """The lists that hold for the whole server; empty lists deny (R15)."""

    global_: tuple[AccessEntry, ...] = ()
    super_slaves: tuple[AccessEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a transfer is ``allowed``, by which ``layer`` and ``entry``, or the ``reason`` why not.

    It has no truth value, so that nobody mistakes a denial for one.
    """

    allowed: bool
    layer: Layer | None
    entry: AccessEntry | None
    reason: str

    def __bool__(self) -> bool:
        raise TypeError("a Decision has no truth value: ask .allowed")


def plain_address(address: Address) -> Address:
    """The address with v4-mapped ones (``::ffff:192.0.2.1``) as IPv4."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def decide(
    *,
    role: Role,
    lists: AccessLists,
    zone_entries: tuple[AccessEntry, ...],
    address: Address,
    signature: Signature,
    key: bytes | None,
) -> Decision:
    """Judge one transfer request for one zone. ``key``: the name that signed it (lower-cased), when it is signed."""
    if signature is Signature.BAD:
        return Decision(False, None, None, "bad-signature")
    if signature is Signature.VALID and key is None:
        raise ValueError("a valid signature has a key")
    address = plain_address(address)
    signer = key if signature is Signature.VALID else None
    for layer, entry in _applicable(role, lists, zone_entries):
        if _matches(entry, address, signer):
            return Decision(True, layer, entry, "entry-matches")
    return Decision(False, None, None, _why_not(role, lists, zone_entries, address, signer))


def _applicable(
    role: Role, lists: AccessLists, zone_entries: tuple[AccessEntry, ...]
) -> Iterator[tuple[Layer, AccessEntry]]:
    for entry in lists.global_:
        yield Layer.GLOBAL, entry
    if role is Role.PRIMARY:  # R2
        for entry in lists.super_slaves:
            yield Layer.SUPER_SLAVE, entry
    for entry in zone_entries:
        yield Layer.ZONE, entry


def _matches(entry: AccessEntry, address: Address, signer: bytes | None) -> bool:
    """R16: an entry without key matches unsigned requests only; one with a key, those that it signed."""
    return entry.key == signer and entry.covers(address)


def _why_not(
    role: Role, lists: AccessLists, zone_entries: tuple[AccessEntry, ...], address: Address, signer: bytes | None
) -> str:
    """The reason that helps most, when nothing matched."""
    if role is not Role.PRIMARY and any(_matches(entry, address, signer) for entry in lists.super_slaves):
        return "super-slave-not-primary"
    entries = [entry for _, entry in _applicable(role, lists, zone_entries)]
    if not entries:
        return "no-entries"
    covering = [entry for entry in entries if entry.covers(address)]
    if signer is None:
        return "key-required" if covering else "no-entry-matches"
    if any(entry.key == signer for entry in entries):
        return "wrong-address"
    if any(entry.key is None for entry in covering):
        return "address-entry-is-unsigned"
    return "wrong-key" if covering else "no-entry-matches"


REASONS = {
    "bad-signature": "the request's TSIG signature is not valid; such a request is never permitted",
    "no-entries": "no access list has an entry for this zone, so every transfer is denied",
    "key-required": "an unsigned request is not permitted here: a TSIG key is required",
    "wrong-key": "the signature is right, but the lists want another key from this address",
    "wrong-address": "the key is listed, but not for this address",
    "address-entry-is-unsigned": "the address is for unsigned requests only, and this one is signed",
    "super-slave-not-primary": "super-slaves may transfer primary zones only, and this one is not primary",
    "no-entry-matches": "no entry of any list matches this address and key",
}


def explain(decision: Decision) -> str:
    """The decision in words (R18)."""
    if decision.entry is None:
        return REASONS[decision.reason]
    return f"allowed by the {decision.layer} list's entry {decision.entry.text()}"


def opening_keys(
    *, role: Role, lists: AccessLists, zone_entries: tuple[AccessEntry, ...], address: Address
) -> tuple[bytes, ...]:
    """The keys with which this address may transfer, in the order of the lists (R19: whether one is required)."""
    address = plain_address(address)
    applicable = (entry for _, entry in _applicable(role, lists, zone_entries))
    return tuple(dict.fromkeys(entry.key for entry in applicable if entry.key is not None and entry.covers(address)))


def single_addresses(entries: Iterable[AccessEntry]) -> tuple[tuple[Address, bytes | None], ...]:
    """(address, key) of the entries that name one address: the super-slaves that NOTIFY can reach (R8)."""
    return tuple((entry.address, entry.key) for entry in entries if entry.address is not None)


def match_key_for(address: Address, *layers: Iterable[AccessEntry]) -> bytes | None:
    """The key of the most specific single-address entry that matches (R8), else None.

    ``layers``: lists, the most specific (the zone's own) first; the first that names the address decides, and within
    it an entry with a key comes before one without.
    """
    address = plain_address(address)
    for entries in layers:
        keys = [key for single, key in single_addresses(entries) if single == address]
        if keys:
            return next((key for key in keys if key is not None), None)
    return None
