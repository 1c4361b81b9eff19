"""The zones and queries that are measured; made from numbers, so that each run has the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from .load import Query

HOT = "hot.example."
COLD = "cold.example."
BIG = "big.example."
_APEX = "@ {ttl} IN SOA ns1 hostmaster {serial} 3600 900 1209600 300\n@ {ttl} IN NS ns1\n@ {ttl} IN NS ns2\n"
_SOA_TIMES = b"".join(number.to_bytes(4, "big") for number in (1, 3600, 900, 1209600, 300))
_GLUE = "ns1 {ttl} IN A 192.0.2.1\nns2 {ttl} IN A 192.0.2.2\n"
APEX_RECORDS = 5
_WORDS = ("mail", "shop", "portal", "static", "customer", "gateway", "backup", "archive")

COOKIE = 10  # RFC 7873


def label(number: int) -> str:
    """A name of ordinary length, with letters enough for 0x20."""
    return f"{_WORDS[number & 7]}-{number:06d}.{_WORDS[(number >> 3) & 7]}"


def address(number: int) -> bytes:
    return bytes((10, number >> 16 & 255, number >> 8 & 255, number & 255))


def write(path: Path, zone: str, names: int, *, serial: int = 1, changed: int = 0, alone: bool = False) -> int:
    """A master file of ``names`` A records besides the apex; how many records it has.

    So many of them, evenly spread, have another address where ``changed`` is given. ``alone``: without the second name
    server, so that there is none whom NOTIFY goes to (RFC 1996, 3.3).
    """
    step = names // changed if changed else names + 1
    with path.open("w") as out:
        head = (_APEX + _GLUE).format(ttl=3600, serial=serial)
        if alone:
            head = "".join(line for line in head.splitlines(keepends=True) if "ns2" not in line)
        out.write(f"$ORIGIN {zone}\n$TTL 3600\n{head}")
        for i in range(names):
            target = i + names if i % step == step - 1 else i
            out.write(f"{label(i)} 3600 IN A {'.'.join(map(str, address(target)))}\n")
    return names + APEX_RECORDS - 2 * alone


def wire_name(text: str) -> bytes:
    return b"".join(bytes((len(part),)) + part.encode() for part in text.split(".") if part) + b"\0"


def query(name: bytes, rdata: bytes, *, type_: int = 1, option: bytes | None = None) -> Query:
    """A query without RD; with ``option`` (a whole EDNS option) also an OPT record."""
    opt = b"" if option is None else b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if opt else b"\0\0")
    return Query(b"\0\0" + counts + name + type_.to_bytes(2, "big") + b"\0\1" + opt, rdata)


def hot(names: int, options: list[bytes] | None = None) -> list[Query]:
    """One query for each name, in random order; ``options`` are given out in turn."""
    order = list(range(names))
    random.Random(1).shuffle(order)
    return [
        query(wire_name(f"{label(i)}.{HOT}"), address(i), option=options[at % len(options)] if options else None)
        for at, i in enumerate(order)
    ]


def cold(names: int, count: int, seed: int, zone: str = COLD) -> list[Query]:
    """``count`` queries, no two alike, for the names of a zone in random order; a fifth are for names not there.

    At most 1.25 times as many as there are names.
    """
    head, tail, apex = b"\0\0\0\1\0\0\0\0\0\0", b"\0\1\0\1", wire_name(zone)
    return [
        Query(head + wire_name(label(i))[:-1] + apex + tail, address(i) if i < names else _SOA_TIMES, 3 * (i >= names))
        for i in random.Random(seed).sample(range(names * 5 // 4), count)
    ]


def mixed_case(names: int, count: int, seed: int) -> Iterator[Query]:
    """``count`` queries for the same names, the case of each at random (draft-vixie-dnsext-dns0x20), no two alike."""
    rng = random.Random(seed)
    forms: list[tuple[int, int, int, bytes]] = []
    for i in range(names):
        name = wire_name(f"{label(i)}.{HOT}")
        case_bits = bytes(0x20 if chr(octet).isalpha() else 0 for octet in name)
        forms.append((int.from_bytes(name, "big"), int.from_bytes(case_bits, "big"), len(name), address(i)))
    seen: set[bytes] = set()
    head, tail = b"\0\0\0\1\0\0\0\0\0\0", b"\0\1\0\1"
    while len(seen) < count:
        name_bits, letters, size, rdata = forms[len(seen) % names]
        name = (name_bits ^ (rng.getrandbits(8 * size) & letters)).to_bytes(size, "big")
        if name not in seen:
            seen.add(name)
            yield Query(head + name + tail, rdata)
