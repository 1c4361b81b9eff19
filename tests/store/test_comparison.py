"""What a whole zone differs in from the stored one: as ``changeset.difference`` says, which looks at each record."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsserver.store.comparison import difference
from dnsserver.store.database import Database
from dnsserver.zone import changeset, checks
from dnsserver.zone.records import Record
from dnsserver.zone.whole import Whole, arranged
from tests.support.stores import APEX, a, all_records, make_zone, ns, soa, step


def whole(records: list[Record]) -> Whole:
    return checks.settled(arranged(records))


@pytest.mark.parametrize("page", [1, 2, 3, 7, 5000])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_difference_of_all_records(db: Database, page: int, seed: int) -> None:
    chance = random.Random(seed)
    labels = ["a", "A", "b", "b.b", "*", "www", "WWW.b", "m", "z"]
    every = [a(label, last, ttl) for label in labels for last in range(3) for ttl in (60, 300)]
    stored = list(whole([soa(1), ns(), *chance.sample(every, 20)]).records)
    zone = make_zone(db, stored[2:] if stored[0].owner == APEX else stored)
    kept = [record for record in all_records(db, zone) if chance.random() < 0.8 or record.owner == APEX]
    new = whole([soa(2) if record == soa(1) else record for record in kept] + chance.sample(every, 6))
    with db.read() as conn:
        found = difference(conn, zone, new, page)
    expected = changeset.difference(all_records(db, zone), new.records)
    assert [set(map(changeset.identity, side)) for side in (found.removed, found.added)] == [
        set(map(changeset.identity, side)) for side in (expected.removed, expected.added)
    ]
    assert (found.removed[0], found.added[0]) == (soa(1), soa(2))


def test_the_case_of_an_owner_and_the_order_within_an_rrset_are_no_difference(db: Database) -> None:
    zone = make_zone(db, [a("www", 9), a("www", 1), a("x", 1)])
    same = whole([soa(1), ns(), a("WWW", 1), a("WWW", 9), a("x", 1)])
    with db.read() as conn:
        assert difference(conn, zone, same) == step(zone, serial=1)


_RECORDS = st.lists(
    st.builds(a, st.sampled_from(["a", "A", "b", "x.b", "B"]), st.integers(1, 3), st.sampled_from([60, 300])),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(_RECORDS)
def test_a_settled_zone_has_each_record_once_in_order_with_one_ttl_an_rrset(records: list[Record]) -> None:
    found = whole(records)
    assert found.keys == sorted(found.keys)
    identities = {(record.owner.lower(), record.type, record.rdata) for record in records}
    order = [(key, record.type, record.rdata) for key, record in zip(found.keys, found.records, strict=True)]
    assert order == sorted(set(order))
    assert {(record.owner.lower(), record.type, record.rdata) for record in found.records} == identities
    for record in found.records:
        assert record.ttl == min(other.ttl for other in records if other.owner.lower() == record.owner.lower())
