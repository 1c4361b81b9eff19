"""Generated zones and requests for the differential test: many and cheap, so in wire form and without dnspython.

A zone is drawn as (relative name, what stands there) entries, which a failing example shows. Its signatures only look
like some: their octets are a hash of what they cover, for nothing in a server looks into them. Requests come from a
seed: drawn one by one, they would cost more than answering them.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import struct
import zlib
from dataclasses import dataclass
from functools import cache

import dns.message
import dns.name
import dns.rrset
import dns.tsig
from hypothesis import strategies as st

from dnsserver.protocol.cookies import CookieJar
from dnsserver.zone import names, rdata
from dnsserver.zone.nsec3 import Param
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import (
    AAAA,
    CNAME,
    DNAME,
    DNSKEY,
    DS,
    MX,
    NS,
    NSEC,
    NSEC3,
    NSEC3PARAM,
    OPT,
    PTR,
    RRSIG,
    SOA,
    SRV,
    TXT,
    A,
)

APEXES = tuple(names.from_text(text) for text in (".", "test.", "zone.test.", "sub.zone.test.", "other.test."))
MODES = ("unsigned", "nsec", "nsec3", "opt-out")
CAA = 257
ALGORITHM = "hmac-sha256"
KEY_NAME, SECRET = "Key.test.", b"a secret of the differential test"

LABELS = ("a", "b", "*", "sub", "zone")
RELATIVE = ("@", "\\000x", "ns.a", *(".".join(parts) for n in (1, 2) for parts in itertools.product(LABELS, repeat=n)),
            "b.*.a", "a.b.sub", "*.a.b", "a.a.a", "ns.b.a", "x." + "y" * 63 + "." + "z" * 63)  # fmt: skip


def _at(rtype: int, *texts: str) -> tuple[int, tuple[bytes, ...]]:
    return rtype, tuple(sorted(rdata.from_text(rtype, text, names.ROOT) for text in texts))


# What may stand at a name: "NS in" names a server below itself, "NS glue" one that has its addresses there, too.
RRSETS: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "A": _at(A, "192.0.2.1"),
    "A 3": _at(A, "192.0.2.1", "192.0.2.2", "192.0.2.3"),
    "A 30": _at(A, *(f"192.0.2.{number}" for number in range(30))),
    "A 90": _at(A, *(f"192.0.2.{number}" for number in range(90))),
    "AAAA": _at(AAAA, "2001:db8::1", "2001:db8::2"),
    "MX": _at(MX, "10 a.zone.test.", "20 B.Sub.Zone.test."),
    "SRV": _at(SRV, "1 2 53 ns.Zone.TEST."),
    "CAA": _at(CAA, '0 issue "Ca.Test"'),
    "PTR": _at(PTR, "Www.a.other.test."),
    "TXT": _at(TXT, '"Mixed Case"'),
    "TXT 500": _at(TXT, " ".join(['"' + "y" * 240 + '"'] * 2)),
    "TXT 1200": _at(TXT, " ".join(['"' + "z" * 240 + '"'] * 5)),
    "TYPE65280": _at(65280, "\\# 3 c00c00"),
    "DS": _at(DS, "1 8 2 " + "00" * 32),
    "NS out": _at(NS, "ns.nowhere.example.", "Ns.a.other.test."),
    "NS here": _at(NS, "ns.a.zone.test.", "a.sub.zone.test."),
    "CNAME a": _at(CNAME, "a.zone.test."),
    "CNAME sub": _at(CNAME, "B.Sub.zone.test."),
    "CNAME wild": _at(CNAME, "no.such.a.zone.test."),
    "CNAME other": _at(CNAME, "A.b.Other.Test."),
    "CNAME out": _at(CNAME, "www.nowhere.example."),
    "DNAME sub": _at(DNAME, "sub.zone.test."),
    "DNAME other": _at(DNAME, "A.other.test."),
    "DNAME long": _at(DNAME, ".".join(["l" * 60] * 3) + ".test."),
}
STANDS = (*RRSETS, "NS in", "NS glue", "NS glue")
_GLUE = (RRSETS["A 3"], RRSETS["AAAA"])
_TTL = {NS: 86400, SOA: 60, TXT: 0, DS: 2**31 - 1}


@dataclass(frozen=True, slots=True)
class Contents:
    """One state of a zone's contents; the SOA is added."""

    entries: frozenset[tuple[str, str]]
    mode: str

    def records(self, apex: bytes, serial: int) -> list[Record]:
        """In canonical order; an owner is always spelled the same, so that it does not matter what was there before."""
        return _records(apex, self, serial)


@dataclass(frozen=True, slots=True)
class World:
    """For each apex what its zone holds, one after the other; what happens; and what the requests come from."""

    zones: tuple[tuple[Contents, ...], ...]
    history: tuple[tuple[int, int], ...]
    seed: int


_entries = st.tuples(st.sampled_from(RELATIVE), st.sampled_from(STANDS))
_modes = st.sampled_from(MODES)


@st.composite
def worlds(draw: st.DrawFn, events: int) -> World:
    zones = []
    for _ in APEXES:
        entries = draw(st.frozensets(_entries, min_size=8, max_size=20))
        mode = draw(_modes)
        versions = [Contents(entries, mode)]
        for change in draw(st.lists(st.frozensets(_entries, min_size=1, max_size=4), min_size=1, max_size=2)):
            gone = draw(st.integers(0, 3))
            entries = frozenset(entry for at, entry in enumerate(sorted(entries)) if at % 4 != gone) ^ change
            mode = draw(st.one_of(st.just(mode), _modes))
            versions.append(Contents(entries, mode))
        zones.append(tuple(versions))
    event = st.tuples(st.integers(0, len(APEXES) - 1), st.integers(0, 59))
    history = draw(st.lists(event, min_size=events, max_size=events))
    return World(tuple(zones), tuple(history), draw(st.integers(0, 2**32)))


def spelled(name: bytes) -> bytes:
    """A lower-cased name as its owner wrote it. Length octets are below the letters, so this leaves them alone."""
    way = zlib.crc32(name) % 4
    if way == 1:
        return name.upper()
    return name.title() if way == 2 else name


@cache
def _absolute(relative: str, apex: bytes) -> bytes:
    return apex if relative == "@" else names.from_text(relative, apex).lower()


def _records(apex: bytes, contents: Contents, serial: int) -> list[Record]:
    found: dict[bytes, dict[int, tuple[bytes, ...]]] = {}
    for relative, stands in sorted(contents.entries):
        name = _absolute(relative, apex)
        at = found.setdefault(name, {})
        if stands in RRSETS:
            rtype, wires = RRSETS[stands]
            if rtype == CNAME and name == apex:
                continue
            at[rtype] = wires
            continue
        at[NS] = (b"\x02Ns" + name,)
        if stands == "NS glue":
            found.setdefault(b"\x02ns" + name, {}).update(_GLUE)
    for at in found.values():
        if CNAME in at:  # which stands alone
            at.pop(NS, None)
            for rtype in [rtype for rtype in at if rtype != CNAME]:
                del at[rtype]
    top = found.setdefault(apex, {})
    top.setdefault(NS, RRSETS["NS here"][1])
    top[SOA] = (rdata.from_text(SOA, f"ns.test. Host.Test. {serial} 60 60 6000 30", names.ROOT),)
    if contents.mode != "unsigned":
        _sign(apex, {name: at for name, at in found.items() if at}, found, contents.mode)
    return [
        Record(spelled(name), rtype, _TTL.get(rtype, 300), wire)
        for name in sorted(found, key=names.key)
        for rtype in sorted(found[name])
        for wire in found[name][rtype]
    ]


_Zone = dict[bytes, dict[int, tuple[bytes, ...]]]


def _sign(apex: bytes, there: _Zone, zone: _Zone, mode: str) -> None:
    """Adds the chain and the signatures of a signed zone (RFC 4035, 2; RFC 5155, 7.1) to ``zone``."""
    zone[apex][DNSKEY] = (b"\x01\x01\x03\x0f" + bytes(32),)
    cuts = {name for name, at in there.items() if NS in at and name != apex}
    seen = {
        name: at for name, at in there.items() if not any(above in cuts for above in list(names.ancestors(name))[1:])
    }
    if mode == "nsec":
        order = sorted(seen, key=names.key)
        for name, after in zip(order, order[1:] + order[:1], strict=True):
            types = [*_signed_types(seen[name], name in cuts, NSEC), NSEC]
            zone[name][NSEC] = (after + _bitmap([*types, RRSIG]),)
    else:
        _add_nsec3(apex, seen, zone, cuts, opt_out=mode == "opt-out")
    for name in [*seen, *(name for name, at in zone.items() if NSEC3 in at)]:
        at = zone[name]
        signed = [t for t in at if t in (DS, NSEC, NSEC3)] if name in cuts else list(at)
        if signed:
            at[RRSIG] = tuple(sorted(_signature(name, rtype, at[rtype], apex) for rtype in signed))


def _signed_types(at: dict[int, tuple[bytes, ...]], is_cut: bool, extra: int) -> list[int]:
    return [rtype for rtype in at if not is_cut or rtype in (NS, DS, extra)]


def _add_nsec3(apex: bytes, seen: _Zone, zone: _Zone, cuts: set[bytes], *, opt_out: bool) -> None:
    param = Param(1, b"\xaa\xbb")
    fields = b"\x01%c\x00\x01\x02\xaa\xbb"
    zone[apex][NSEC3PARAM] = (fields % 0,)
    hashed: dict[bytes, bytes] = {}
    for name in seen:
        if opt_out and name in cuts and DS not in zone[name]:
            continue
        for above in names.ancestors(name):  # empty non-terminals have one too
            if not names.is_within(above, apex):
                break
            at = zone.get(above, {})
            types = _signed_types(at, above in cuts, DS)
            signed = [RRSIG] if any(t != NS or above not in cuts for t in types) else []
            hashed.setdefault(param.label(above), _bitmap([*types, *signed]))
    order = sorted(hashed)
    for label, after in zip(order, order[1:] + order[:1], strict=True):
        # 20 octets of the next hash, which a test may just as well take from its label.
        zone[b"\x20" + label + apex] = {NSEC3: (fields % opt_out + b"\x14" + after[:20] + hashed[label],)}


def _bitmap(types: list[int]) -> bytes:
    """RFC 4034, 4.1.2."""
    windows: dict[int, int] = {}
    for rtype in types:
        windows[rtype >> 8] = windows.get(rtype >> 8, 0) | 1 << (255 - (rtype & 0xFF))
    parts = []
    for window, bits in sorted(windows.items()):
        octets = bits.to_bytes(32, "big").rstrip(b"\0")
        parts.append(bytes((window, len(octets))) + octets)
    return b"".join(parts)


def _signature(name: bytes, rtype: int, wires: tuple[bytes, ...], apex: bytes) -> bytes:
    count = len(names.labels(name)) - name.startswith(b"\x01*")
    head = struct.pack(">HBBIIIH", rtype, 15, count, _TTL.get(rtype, 300), 1 << 31, 1 << 30, 4711)
    return head + apex + hashlib.sha512(name + b"".join(wires)).digest()


# Requests

_COMMON = (A, A, AAAA, MX, TXT, NS, CNAME, DS, SOA, RRSIG, 255)
_RARE = (
    DNAME,
    NSEC,
    NSEC3,
    NSEC3PARAM,
    DNSKEY,
    SRV,
    CAA,
    PTR,
    65280,
    99,
    0,
    OPT,
    128,
    200,
    249,
    250,
    251,
    252,
    253,
    254,
)
_FLAGS = (0, 0, 0x100, 0x100, 0x10, 0x120, 0x200, 0x400, 0x40, 0x8F, 0x7F0)
_OPCODES = (0, 1, 2, 3, 4, 5, 6, 15)
_SIZES = (0, 300, 512, 600, 1231, 1232, 1400, 4096, 65535)


class Requests:
    """Requests about what is ``known``, or nearly that; ``jar`` makes cookies that are valid for ``address``."""

    def __init__(self, seed: int, known: list[tuple[bytes, int]], jar: CookieJar, address: str, now: float) -> None:
        self._random = random.Random(seed)
        self._known = known
        self._plain = [item for item in known if item[1] not in (NS, SOA, RRSIG, NSEC, NSEC3)] or known
        server = jar.judge(b"\x01" * 8, address, now).reply
        self._cookies = (b"\x01" * 8, b"\x02" * 8, server, server[:-1] + b"\0", b"\x03" * 24, b"\x04" * 7, b"\x05" * 12)

    def pool(self, count: int) -> list[bytes]:
        """So many different ones, each with its place as its ID (those that are long enough to have one)."""
        found: dict[bytes, None] = {}
        while len(found) < count:
            found.setdefault(self._one()[2:])
        return [number.to_bytes(2, "big") + rest for number, rest in enumerate(found)]

    def _one(self) -> bytes:
        choose = self._random
        way = choose.random()
        if way < 0.03:
            return self._keyed()
        packet = self._request(is_plain=way < 0.55)
        return self._damaged(packet) if way > 0.94 else packet

    def _asked(self) -> tuple[bytes, int]:
        """A name and a type; in half of all cases just what stands somewhere at some time."""
        choose = self._random
        if choose.random() < 0.4:
            return choose.choice(self._plain)
        name, rtype = choose.choice(self._known)
        if choose.random() < 0.2:
            return name, rtype
        rtype = choose.choice(_COMMON if choose.random() < 0.85 else _RARE)
        way = choose.random()
        if way < 0.2:
            label = choose.choice((b"a", b"*", b"no", b"ns", b"www", b"\0x", b"q" * 63))
            name = bytes((len(label),)) + label + name
        elif way < 0.3 and len(name) > 1:
            name = names.parent(name)
        elif way < 0.33:
            name = (b"\x0fxxxxxxxxxxxxxxx" * 16)[: (254 - len(name)) // 16 * 16] + name
        return (name, rtype) if len(name) <= 255 else (names.ROOT, rtype)

    def _request(self, *, is_plain: bool) -> bytes:
        choose = self._random
        name, rtype = self._asked()
        if is_plain:
            size = choose.choice((0, 512, 1232, 4096))
            opt = _opt(size, choose.choice((0, 0x8000)), b"") if size else b""
            flags = choose.choice((0, 0x100))
            return struct.pack(">HHHHHH", 0, flags, 1, 0, 0, bool(opt)) + name + struct.pack(">HH", rtype, 1) + opt
        if choose.random() < 0.3:
            name = bytes(octet ^ 0x20 if 97 <= octet <= 122 and choose.random() < 0.5 else octet for octet in name)
        flags = choose.choice(_FLAGS)
        if choose.random() < 0.06:
            flags |= choose.choice(_OPCODES) << 11
        if choose.random() < 0.01:
            flags |= 0x8000
        rclass = 1 if choose.random() < 0.95 else choose.choice((0, 3, 254, 255))
        opt = self._edns() if choose.random() < 0.8 else b""
        return struct.pack(">HHHHHH", 0, flags, 1, 0, 0, bool(opt)) + name + struct.pack(">HH", rtype, rclass) + opt

    def _edns(self) -> bytes:
        choose = self._random
        ttl = (
            choose.choice((0, 0x8000, 0x8000, 0x8000, 0x4000, 0x10000, 0x1000000)) if choose.random() < 0.9 else 0xFFFF
        )
        options = b""
        for _ in range(choose.choice((0, 0, 1, 1, 2))):
            code = choose.choice((10, 10, 10, 3, 9, 65001, 8))
            octets = choose.choice(self._cookies) if code == 10 else choose.randbytes(choose.choice((0, 0, 4)))
            options += struct.pack(">HH", code, len(octets)) + octets
        return _opt(choose.choice(_SIZES), ttl, options)

    def _keyed(self) -> bytes:
        """With a TSIG record: good, of an unknown key, or of another secret; transfers, too."""
        choose = self._random
        asked = dns.name.from_wire(choose.choice((*APEXES, self._asked()[0])), 0)[0]
        message = dns.message.make_query(asked, choose.choice(("A", "SOA", "DS", "IXFR", "AXFR")), id=0)
        secret = choose.choice((SECRET, SECRET, SECRET, b"another"))
        name = choose.choice((KEY_NAME, KEY_NAME, KEY_NAME, "unknown.test."))
        if choose.random() < 0.5:
            message.authority.append(dns.rrset.from_text(asked, 0, "IN", "SOA", ". . 1 0 0 0 0"))
        message.use_tsig(dns.tsig.Key(name, secret, ALGORITHM), original_id=0)
        return message.to_wire()

    def _damaged(self, packet: bytes) -> bytes:
        choose = self._random
        match choose.randrange(5):
            case 0:
                return packet[: choose.randrange(len(packet))]
            case 1:
                return packet + choose.randbytes(choose.choice((1, 4, 11)))
            case 2:
                at = choose.randrange(4, len(packet))
                return packet[:at] + choose.randbytes(1) + packet[at + 1 :]
            case 3:
                at = choose.choice((5, 7, 9, 11))
                return packet[:at] + bytes((choose.randrange(4),)) + packet[at + 1 :]
            case _:
                return b"\0\0" + choose.randbytes(choose.randrange(60))


def _opt(size: int, ttl: int, options: bytes) -> bytes:
    return struct.pack(">BHHIH", 0, OPT, size, ttl, len(options)) + options
