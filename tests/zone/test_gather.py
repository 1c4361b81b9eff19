"""A zone as it comes in: each record once, within limits, and what leads to it from the zone that was there."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterable

import pytest

from dnsserver.zone import names
from dnsserver.zone.changeset import difference
from dnsserver.zone.checks import ZoneLimits, wire_size
from dnsserver.zone.gather import Gather, TooLarge
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, RRSIG, SOA, TXT, A

APEX = names.from_text("example.com.")
LIMITS = ZoneLimits()


def name(text: str) -> bytes:
    return names.from_text(text, APEX)


def soa(serial: int) -> Record:
    return Record(APEX, SOA, 60, name("ns") + name("admin") + struct.pack(">IIIII", serial, 1, 2, 3, 4))


def address(owner: str, number: int, ttl: int = 60) -> Record:
    return Record(name(owner), A, ttl, struct.pack(">I", number))


def gathered(records: Iterable[Record], limits: ZoneLimits = LIMITS) -> Gather:
    gather = Gather(APEX, limits)
    gather.add(records)
    return gather


def order(record: Record) -> tuple[bytes, int, bytes]:
    return (names.key(record.owner), record.type, record.rdata)


def random_zone(seed: int, size: int) -> list[Record]:
    """Few names with many records, and many with few; each record once."""
    rng = random.Random(seed)
    found = {(soa(seed).owner, SOA, soa(seed).rdata): soa(seed)}
    for _ in range(size):
        owner = name(rng.choice(["@", "crowd", f"n{rng.randrange(size)}", "\\000", "a.\\001b"]))
        rtype = rng.choice([A, TXT, NS, 65280])
        rdata = rng.randbytes(rng.randrange(0, 5))
        # Rdata that holds what looks like another record of the same name.
        if found and rng.random() < 0.2:
            other = rng.choice(list(found.values()))
            rdata = struct.pack(">IHH", other.ttl, other.type, len(other.rdata)) + other.rdata + rdata
        found[owner, rtype, rdata] = Record(owner, rtype, rng.choice([60, 300]), rdata)
    return list(found.values())


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("size", [0, 3, 60, 2000])
def test_what_goes_in_comes_out_once(seed: int, size: int) -> None:
    zone = random_zone(seed, size)
    gather = Gather(APEX, LIMITS)
    rng = random.Random(seed)
    rng.shuffle(zone)
    fresh = []
    for at in range(0, len(zone), 50):
        fresh += gather.add(zone[at : at + 50])
        assert gather.add(zone[max(0, at - 20) : at + 50]) == []
    assert fresh == zone
    assert list(gather.records()) == sorted(zone, key=order)
    assert gather.count == len(zone)
    assert gather.size == sum(map(wire_size, zone))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("size", [0, 3, 60, 2000])
def test_the_difference_is_that_of_the_changesets(seed: int, size: int) -> None:
    old, new = random_zone(seed, size), random_zone(seed + 1, size)
    rng = random.Random(seed)
    new += [record for record in old if record.type != SOA and rng.random() < 0.8]
    new = list({(r.owner, r.type, r.rdata): r for r in reversed(new)}.values())
    assert gathered(new).difference(iter(old)) == difference(old, new)


def test_a_zone_differs_from_itself_in_nothing() -> None:
    zone = random_zone(1, 300)
    change = gathered(zone).difference(zone)
    assert (change.removed, change.added) == ((zone[0],), (zone[0],))


def test_another_ttl_is_a_duplicate_to_add_and_a_change_to_the_difference() -> None:
    gather = gathered([soa(2), address("a", 1, 60), address("b", 1, 60)])
    assert gather.add([address("a", 1, 300)]) == []
    change = gather.difference([soa(1), address("a", 1, 300), address("b", 1, 60)])
    assert change.removed[1:] == (address("a", 1, 300),)
    assert change.added[1:] == (address("a", 1, 60),)


def test_case_of_owners() -> None:
    """RFC 4343: names are equal without it; the first spelling stays."""
    gather = gathered([soa(1), address("WWW", 1)])
    assert gather.add([address("www", 1), address("www", 2)]) == [address("www", 2)]
    assert [r.owner for r in gather.records() if r.type == A] == [name("WWW")] * 2
    assert len(gather.difference([soa(1), address("wWw", 1), address("www", 2)]).added) == 1


def texts(owner: str, count: int) -> list[Record]:
    return [Record(name(owner), TXT, 60, b"\x04%04d" % number) for number in range(count)]


def types(owner: str, count: int) -> list[Record]:
    return [Record(name(owner), 60000 + number, 60, b"x") for number in range(count)]


def signatures(owner: str, count: int) -> list[Record]:
    """Of different types: RRsets of their own (RFC 4034, 3)."""
    return [Record(name(owner), RRSIG, 60, struct.pack(">H", number) + bytes(20)) for number in range(count)]


@pytest.mark.parametrize(
    ("records", "limits", "what"),
    [
        (texts("a", 1000), LIMITS, None),
        (texts("a", 1001), LIMITS, "rrset-records = 1000"),
        (texts("a", 3), ZoneLimits(rrset_records=3), None),
        (texts("a", 4), ZoneLimits(rrset_records=3), "rrset-records = 3"),
        (texts("a", 2), ZoneLimits(rrset_records=1), "rrset-records = 1"),
        (texts("a", 3) + texts("b", 3), ZoneLimits(rrset_records=3), None),
        (texts("a", 3) + texts("A", 3), ZoneLimits(rrset_records=3), None),
        (types("a", 100), LIMITS, None),
        (types("a", 101), LIMITS, "name-types = 100"),
        (types("a", 3), ZoneLimits(name_types=2), "name-types = 2"),
        (signatures("a", 100), LIMITS, None),
        (signatures("a", 101), LIMITS, "name-types = 100"),
        (signatures("a", 3), ZoneLimits(rrset_records=1), None),
        (texts("a", 10), ZoneLimits(zone_records=10), None),
        (texts("a", 11), ZoneLimits(zone_records=10), "zone-records = 10"),
        (texts("a", 10) * 2, ZoneLimits(zone_records=10), None),
        (texts("a", 10), ZoneLimits(zone_size=sum(map(wire_size, texts("a", 10)))), None),
        (texts("a", 10), ZoneLimits(zone_size=sum(map(wire_size, texts("a", 10))) - 1), "zone-size"),
    ],
)
def test_limits(records: list[Record], limits: ZoneLimits, what: str | None) -> None:
    """R22; LIMITS: of a zone received."""
    for batch in (len(records), 1):
        parts = [records[at : at + batch] for at in range(0, len(records), batch)]
        if what is None:
            assert added(parts, limits) == len({(r.owner.lower(), r.type, r.rdata) for r in records})
            continue
        with pytest.raises(TooLarge, match=what):
            added(parts, limits)


def added(parts: list[list[Record]], limits: ZoneLimits) -> int:
    gather = Gather(APEX, limits)
    return sum(len(gather.add(part)) for part in parts)


def test_many_records_of_a_name_are_no_quadratic_work() -> None:
    """100 RRsets of 1,000 records at one name: each is found at once."""
    gather = Gather(APEX, LIMITS)
    total = 0
    for rtype in range(60000, 60100):
        total += len(gather.add([Record(APEX, rtype, 60, struct.pack(">I", number)) for number in range(1000)]))
    assert total == gather.count == 100_000


def test_it_takes_less_memory_than_the_records() -> None:
    """Of 1 million hosts: below 350 MB; here of 50,000."""
    tracemalloc.start()
    try:
        gather = Gather(APEX, LIMITS)
        for number in range(0, 50_000, 500):
            gather.add([address(f"host-{host}", host) for host in range(number, number + 500)])
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert gather.count == 50_000
    assert used / gather.count < 250
