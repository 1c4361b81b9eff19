"""Who may transfer what, as the requirements say it (R1 to R5, R13, R15, R16): a second opinion.

It imports nothing of dnsserver and shares no code with it; the matrix of ``cells`` is put to both.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from typing import NamedTuple

GLOBAL, SUPER_SLAVE, ZONE, OTHER_ZONE = "global", "super-slave", "zone", "other-zone"
LAYERS = (GLOBAL, SUPER_SLAVE, ZONE, OTHER_ZONE)
PRIMARY, SECONDARY = "primary", "secondary"
# What there is of a secondary zone: its contents, contents whose time is over (R11), none yet.
SERVED, EXPIRED, EMPTY = "served", "expired", "empty"
# How a request is signed; k1 and k2 are known to the server, k9 is not.
UNSIGNED, BY_K1, BY_K2, FORGED_K1, BY_K9 = "unsigned", "k1", "k2", "k1 with a wrong secret", "k9"
SIGNATURES = (UNSIGNED, BY_K1, BY_K2, FORGED_K1, BY_K9)
REQUESTS = (("AXFR", "TCP"), ("AXFR", "UDP"), ("IXFR", "TCP"), ("IXFR", "UDP"))


class Entry(NamedTuple):
    """One entry of one list; ``prefix`` and ``key`` as an operator types them."""

    layer: str
    prefix: str | None
    key: str | None


class Cell(NamedTuple):
    """One request, and what the server is set up with.

    ``is_here``: the zone is on this server; ``contents``: what there is of it.
    """

    entries: tuple[Entry, ...]
    address: str
    signature: str
    qtype: str
    transport: str
    role: str
    is_here: bool
    contents: str = SERVED


class Verdict(NamedTuple):
    """``layers``: each list that permits it; ``gets``: "zone", "changes", "soa", or nothing with an error RCODE."""

    rcode: str
    tsig_error: str | None
    layers: frozenset[str]
    gets: str | None


def judge(cell: Cell) -> Verdict:
    """What the requirements say of a request."""
    nobody: frozenset[str] = frozenset()
    # R5: a failed TSIG is NOTAUTH with the TSIG error.
    if cell.signature == FORGED_K1:
        return Verdict("NOTAUTH", "BADSIG", nobody, None)
    if cell.signature == BY_K9:
        return Verdict("NOTAUTH", "BADKEY", nobody, None)
    # R5: AXFR over UDP is FORMERR, before access is judged.
    if (cell.qtype, cell.transport) == ("AXFR", "UDP"):
        return Verdict("FORMERR", None, nobody, None)
    # R5: a zone that is not here is NOTAUTH.
    if not cell.is_here:
        return Verdict("NOTAUTH", None, nobody, None)
    layers = permitting(cell)
    # R4: one is enough; R15: none is a denial; R5: REFUSED.
    if not layers:
        return Verdict("REFUSED", None, nobody, None)
    # R11: at expire the zone is no longer answered, transfers out included; strangers are not told so.
    if cell.contents != SERVED:
        return Verdict("SERVFAIL", None, nobody, None)
    if cell.transport == "TCP":
        return Verdict("NOERROR", None, layers, "zone")
    # R13: over UDP an unsigned request gets the current SOA alone.
    return Verdict("NOERROR", None, layers, "soa" if cell.signature == UNSIGNED else "changes")


def permitting(cell: Cell) -> frozenset[str]:
    """The lists of which at least one entry permits the request."""
    return frozenset(entry.layer for entry in cell.entries if _counts(entry, cell) and _fits(entry, cell))


def _counts(entry: Entry, cell: Cell) -> bool:
    if entry.layer == GLOBAL:
        return True  # R1: every zone
    if entry.layer == SUPER_SLAVE:
        return cell.role == PRIMARY  # R2: not the secondary zones
    return entry.layer == ZONE  # R3: that zone only


def _fits(entry: Entry, cell: Cell) -> bool:
    """R16."""
    if cell.signature in (FORGED_K1, BY_K9):
        return False  # never, whatever its address
    if entry.key is None:
        # Address-only entries match unsigned requests only.
        return cell.signature == UNSIGNED and _within(cell.address, entry.prefix or "")
    if cell.signature != entry.key:
        return False  # a signed request is judged by its key
    return entry.prefix is None or _within(cell.address, entry.prefix)


def _within(address: str, prefix: str) -> bool:
    """By bits; a v4-mapped address or prefix is the IPv4 one."""
    network, _, length = prefix.partition("/")
    bits, wanted = _bits(address), _bits(network)
    count = int(length) if length else (32 if "." in network and ":" not in network else 128)
    if ":" in network and len(wanted) == 32:
        count = max(count - 96, 0)
    return len(bits) == len(wanted) and bits[:count] == wanted[:count]


def _bits(address: str) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    if len(packed) == 16 and packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    return "".join(f"{octet:08b}" for octet in packed)


class Places(NamedTuple):
    """Addresses that requests come from, and prefixes that speak of the first of them, or of others."""

    addresses: tuple[str, ...]
    prefixes: tuple[str, ...]


DOCUMENTATION = Places(
    ("192.0.2.7", "::ffff:192.0.2.7", "198.51.100.9", "2001:db8::7", "2001:db8:9::7"),
    ("192.0.2.7/32", "192.0.2.0/24", "::ffff:192.0.2.0/120", "198.51.100.0/25", "2001:db8::7", "2001:db8::/64", "::/0"),
)
# What a test can bind to on one machine.
LOOPBACK = Places(
    ("127.0.2.7", "127.0.2.200", "127.100.0.9", "::1"),
    ("127.0.2.7/32", "127.0.2.0/24", "127.100.0.0/25", "::1/128", "::/0"),
)


def setups(places: Places) -> Iterator[tuple[Entry, ...]]:
    """Lists to be set up: none, every entry in every list alone, and some in two lists at once (R4)."""
    yield ()
    first, net = places.prefixes[:2]
    shapes: list[tuple[str | None, str | None]] = [(prefix, None) for prefix in places.prefixes]
    shapes += [(None, "k1"), (first, "k1"), (net, "k2"), (places.prefixes[-1], "k1")]
    for layer in LAYERS:
        for prefix, key in shapes:
            yield (Entry(layer, prefix, key),)
    for one, other in itertools.permutations(LAYERS[:3], 2):
        yield Entry(one, places.prefixes[3], None), Entry(other, net, None)
        yield Entry(one, None, "k2"), Entry(other, first, "k1")
        yield Entry(one, net, None), Entry(other, None, "k1")


def unserved_cells(places: Places) -> Iterator[Cell]:
    """Every setup again, for a secondary zone that is not served; from fewer addresses."""
    for entries in setups(places):
        for address, signature, contents in itertools.product(places.addresses[::2], SIGNATURES, (EXPIRED, EMPTY)):
            for qtype, transport in REQUESTS:
                yield Cell(entries, address, signature, qtype, transport, SECONDARY, True, contents)


def cells(places: Places) -> Iterator[Cell]:
    """The matrix of zones that are served, and of one that is not here."""
    for entries in setups(places):
        for address, signature, role in itertools.product(places.addresses, SIGNATURES, (PRIMARY, SECONDARY)):
            for qtype, transport in REQUESTS:
                yield Cell(entries, address, signature, qtype, transport, role, True)
    for entries in ((), (Entry(GLOBAL, places.prefixes[1], None), Entry(GLOBAL, None, "k1"))):
        for address, signature in itertools.product(places.addresses, SIGNATURES):
            for qtype, transport in REQUESTS:
                yield Cell(entries, address, signature, qtype, transport, PRIMARY, False)
