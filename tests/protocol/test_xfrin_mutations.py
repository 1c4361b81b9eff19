"""Transfers in, mutated some 20,000 times: each is refused, or is taken for exactly what its octets say.

What they say is read in another way, record for record. Whatever comes, no other exception than ``BadTransfer`` leaves
the machine, and nothing that is signed is taken for anything but what was sent.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrin import Asked, BadTransfer
from dnsserver.zone import names, rdata
from dnsserver.zone.changeset import Changeset, condense
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA, A

from ..zone.rdata_samples import SAMPLES
from .incoming import (
    APEX,
    ID,
    KEY,
    NEW,
    OLD,
    WHOLE,
    ZONE,
    Outcome,
    address,
    answer,
    ask,
    compressed,
    raw,
    run,
    soa,
)
from .incoming import signed as sign

STEP = [NEW, OLD, *ZONE[3:5], soa(8), address("a", 1), soa(8), *ZONE[1:3], NEW, *ZONE[5:8], NEW]
SHAPES = ("axfr", "axfr-messages", "axfr-plain", "ixfr", "ixfr-plain", "as-axfr")
# How many mutations each case of a test tries at the least: some 27,000 in all.
LEAST = {
    "test_cut_at_every_octet": 600,
    "test_every_bit_flipped": 2000,
    "test_octets_put_in_taken_out_doubled_and_drawn": 600,
    "test_messages_of_nothing_but_noise": 3000,
    "test_every_wrong_rdlength_of_every_type": 20,
    "test_pointers_from_everywhere_to_everywhere": 1500,
    "test_signed_and_mutated": 500,
    "test_records_in_any_order": 400,
}
REASONS = {
    "malformed", "invalid", "closed", "serial", "does-not-apply", "refused", "error", "not-authoritative",
    "unauthenticated",
}  # fmt: skip
tried: list[str | None] = []  # of the test that runs: why each was refused, None where it was taken


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest) -> Iterator[None]:
    tried.clear()
    yield
    assert len(tried) >= LEAST.get(request.node.name.partition("[")[0], 0)
    assert set(tried) <= REASONS | {None}


LOOPS: dict[str, Callable[[int], bytes]] = {
    "to itself": lambda at: struct.pack(">H", 0xC000 | at),
    "to each other": lambda at: struct.pack(">HH", 0xC000 | at + 2, 0xC000 | at),
    "through a label": lambda at: b"\x01a" + struct.pack(">H", 0xC000 | at),
    "through two labels": lambda at: b"\x01a\x01b" + struct.pack(">H", 0xC000 | at + 2),
    "forward": lambda at: struct.pack(">H", 0xC000 | at + 30),
    "into the header": lambda at: b"\xc0\x04",
    "past the end": lambda at: b"\xff\xff",
}


def stream(shape: str, key: Key | None = None) -> tuple[Asked, list[bytes]]:
    """A good transfer: what was asked, and its messages."""
    asked = ask(None if shape.startswith("axfr") else 7, key)
    records = STEP if shape.startswith("ixfr") else WHOLE
    if shape.endswith("plain"):
        return asked, [answer(records).bytes(asked)]
    return asked, compressed(asked, records, 200 if shape == "axfr-messages" else 16384)


def attempt(messages: Sequence[bytes], asked: Asked) -> Outcome | None:
    """What it is taken for, None when it is refused."""
    try:
        found = run(messages, asked)
    except BadTransfer as error:
        tried.append(error.failure.reason)
        return None
    tried.append(None)
    return found


def name_at(message: bytes, at: int) -> tuple[bytes, int]:
    """The name at an offset, and where it ends, as simply as can be; RecursionError for a loop."""
    length = message[at]
    if length >= 0xC0:
        return name_at(message, int.from_bytes(message[at : at + 2], "big") & 0x3FFF)[0], at + 2
    if not length:
        return b"\0", at + 1
    rest, end = name_at(message, at + length + 1)
    return message[at : at + length + 1] + rest, end


# n: a name, s: a counted string, a digit: octets; what is left comes last. Types without names are not here.
FORMS = {**dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12), "n"), **dict.fromkeys((15, 18, 21), "2n"), 6: "nn", 14: "nn",
         17: "nn", 24: "99n", 26: "2nn", 30: "n", 33: "6n", 35: "4sssn"}  # fmt: skip


def read(message: bytes) -> Iterator[Record]:
    """The answer section, read a second time and in another way."""
    at = name_at(message, 12)[1] + 4 if message[5] else 12
    for _ in range(int.from_bytes(message[6:8], "big")):
        owner, at = name_at(message, at)
        rtype, rclass, ttl, size = struct.unpack_from(">HHIH", message, at)
        at, end, data = at + 10, at + 10 + size, b""
        assert rclass == 1
        for part in FORMS.get(rtype, ""):
            if part == "n":
                name, at = name_at(message, at)
                data += name
            else:
                step = message[at] + 1 if part == "s" else int(part)
                data += message[at : at + step]
                at += step
        assert at <= end <= len(message)
        yield Record(owner, rtype, ttl if ttl < 1 << 31 else 0, data + message[at:end])
        at = end


def check(messages: Sequence[bytes], asked: Asked) -> None:
    """Refused, or taken for what is read, of which every record may stand in the zone."""
    found = attempt(messages, asked)
    if found is None:
        return
    wanted = [record for message in messages for record in read(message)]
    for record in wanted:
        assert names.is_within(record.owner.lower(), APEX)
        rdata.validate(record.type, record.rdata)
    if found.kind == "axfr":
        assert found.records == wanted[:-1]
    elif found.kind == "ixfr":
        assert found.changes == replayed(wanted)
    else:
        assert found.kind == "current"
        assert found.machine.soa == wanted[0]


def replayed(records: Sequence[Record]) -> Changeset:
    """The net effect of an IXFR's records, read anew (RFC 1995, 4)."""
    soas = [place for place, record in enumerate(records) if record.type == SOA][1:]
    steps = [
        Changeset(tuple(records[soas[at] : soas[at + 1]]), tuple(records[soas[at + 1] : soas[at + 2]]))
        for at in range(0, len(soas) - 1, 2)
    ]
    return condense(steps)


def each(messages: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    yield from enumerate(messages)


def replace(messages: Sequence[bytes], number: int, by: bytes) -> list[bytes]:
    return [*messages[:number], by, *messages[number + 1 :]]


@pytest.mark.parametrize("shape", SHAPES)
def test_good_ones_are_taken(shape: str) -> None:
    asked, messages = stream(shape)
    assert attempt(messages, asked) is not None
    check(messages, asked)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "signed"])
def test_cut_at_every_octet(shape: str, key: Key | None) -> None:
    asked, messages = stream(shape, key)
    if key is not None:
        messages = sign(messages, asked)
    for number, message in each(messages):
        for size in range(len(message)):
            cut = message[:size]
            assert attempt([*messages[:number], cut], asked) is None
            assert attempt(replace(messages, number, cut), asked) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_every_bit_flipped(shape: str) -> None:
    asked, messages = stream(shape)
    for number, message in each(messages):
        for at in range(len(message)):
            for bit in range(8):
                octets = bytearray(message)
                octets[at] ^= 1 << bit
                check(replace(messages, number, bytes(octets)), asked)


@pytest.mark.parametrize("shape", SHAPES)
def test_octets_put_in_taken_out_doubled_and_drawn(shape: str) -> None:
    asked, messages = stream(shape)
    rng = random.Random(shape)
    for _ in range(600):
        number = rng.randrange(len(messages))
        octets = bytearray(messages[number])
        at, size = rng.randrange(len(octets)), rng.randrange(1, 30)
        match rng.randrange(5):
            case 0:
                octets[at:at] = rng.randbytes(size)
            case 1:
                del octets[at : at + size]
            case 2:
                octets[at:at] = octets[at : at + size]
            case 3:
                octets[at : at + 2] = struct.pack(">H", 0xC000 | rng.randrange(len(octets)))
            case 4:
                octets[at : at + size] = rng.randbytes(size)
        check(replace(messages, number, bytes(octets)), asked)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "signed"])
def test_messages_of_nothing_but_noise(key: Key | None) -> None:
    asked = ask(key=key)
    rng = random.Random(1)
    head = struct.pack(">HH", ID, 0x8400)
    for _ in range(1000):
        noise = rng.randbytes(rng.randrange(100))
        for message in (noise, head + noise, head + struct.pack(">HHHH", 1, 9, 0, 1) + asked.question + noise):
            assert attempt([message], asked) is None


@pytest.mark.parametrize(("rtype", "octets"), SAMPLES, ids=[rdata.type_to_text(rtype) for rtype, _ in SAMPLES])
def test_every_wrong_rdlength_of_every_type(rtype: int, octets: bytes) -> None:
    """RDLENGTH that lies, and rdata that is really shorter or longer; types with names compressed too."""
    asked = ask()
    for data in (octets, octets.replace(APEX, b"\xc0\x0c")):
        for size in (*range(len(data) + 12), 65535):
            lying = raw(APEX, rtype, data, size=size)
            honest = raw(APEX, rtype, (data + bytes(12))[:size])
            for record in (lying, honest):
                check([answer([NEW, record, ZONE[0], NEW]).bytes(asked)], asked)


def test_pointers_from_everywhere_to_everywhere() -> None:
    asked, (message,) = stream("axfr")
    for target in range(len(message) + 30):
        pointer = struct.pack(">H", 0xC000 | target)
        for record in (
            raw(pointer, A, bytes(4)), raw(b"\x01x" + pointer, A, bytes(4)), raw(APEX, NS, pointer),
            raw(APEX, NS, b"\x01x" + pointer), raw(b"\xc0\x0c", 15, b"\0\1" + pointer),
            raw(APEX, 33, bytes(6) + pointer), raw(APEX, SOA, pointer * 2 + bytes(20)),
        ):  # fmt: skip
            # Before the SOA at the end, which is compressed: everything before it keeps its place.
            octets = _before_last(message, record)
            check([octets], asked)


def _before_last(message: bytes, record: bytes) -> bytes:
    count = int.from_bytes(message[6:8], "big")
    last = NEW.wire
    at = message.rindex(b"\x00\x06\x00\x01")
    at -= 2
    assert message[at] >= 0xC0
    return message[:6] + (count + 1).to_bytes(2, "big") + message[8:at] + record + last


@pytest.mark.parametrize("loop", LOOPS)
def test_compression_loops(loop: str) -> None:
    asked = ask()
    start = 12 + len(asked.question) + len(NEW.wire)
    as_owner = LOOPS[loop](start)
    in_rdata = LOOPS[loop](start + len(APEX) + 10)
    for record in (raw(as_owner, A, bytes(4)), raw(APEX, NS, in_rdata), raw(APEX, SOA, in_rdata + bytes(21))):
        assert attempt([answer([NEW, record, NEW]).bytes(asked)], asked) is None


def test_chains_of_pointers_take_no_time() -> None:
    """A message of 64 KiB that is all pointers, each to the one before: the work stays in proportion to its size."""
    asked = ask()
    head = 12 + len(asked.question) + len(NEW.wire) + len(APEX) + 10
    chain = b"\xc0\x0c" + b"".join([struct.pack(">H", 0xC000 | head + 2 * at) for at in range(7000)])
    deep = struct.pack(">H", 0xC000 | head + 2 * 125)
    records = [raw(APEX, 65280, chain)] + [raw(b"\x01a" + deep, NS, b"\x01b" + deep)] * 2500
    begun = time.process_time()
    taken = attempt([answer([NEW, *records, NEW]).bytes(asked)], asked)
    assert time.process_time() - begun < 1
    assert taken is not None
    assert taken.records[-1].owner == b"\x01a" + APEX
    too_deep = struct.pack(">H", 0xC000 | head + 2 * 200)
    assert attempt([answer([NEW, records[0], raw(too_deep, A, bytes(4)), NEW]).bytes(asked)], asked) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_signed_and_mutated(shape: str) -> None:
    """Whatever is done to a signed stream, it is refused, or is what was sent."""
    asked, messages = stream(shape, KEY)
    good = run(messages := sign(messages, asked), asked)
    rng = random.Random(shape)
    for _ in range(500):
        number = rng.randrange(len(messages))
        octets = bytearray(messages[number])
        at = rng.randrange(len(octets))
        if rng.random() < 0.7:
            octets[at] ^= 1 << rng.randrange(8)
        else:
            octets[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        found = attempt(replace(messages, number, bytes(octets)), asked)
        assert found is None or found[:3] == good[:3]


@pytest.mark.parametrize("shape", SHAPES)
def test_records_in_any_order(shape: str) -> None:
    """Left out, doubled, moved: an SOA in the middle, none at the end, sequences that do not chain."""
    asked, _ = stream(shape)
    records = STEP if shape.startswith("ixfr") else WHOLE
    rng = random.Random(shape)
    for _ in range(400):
        made = list(records)
        for _ in range(rng.randrange(1, 4)):
            at, to = rng.randrange(len(made)), rng.randrange(len(made))
            match rng.randrange(4):
                case 0:
                    del made[at]
                case 1:
                    made.insert(to, made[at])
                case 2:
                    made[at], made[to] = made[to], made[at]
                case 3:
                    made.insert(to, soa(rng.choice([6, 7, 8, 9, 10, 2**31 + 9])))
        parts = rng.randrange(1, 4)
        size = max(1, -(-len(made) // parts))
        messages = [answer(made[at : at + size]).bytes(asked) for at in range(0, len(made), size)]
        check(messages, asked)
