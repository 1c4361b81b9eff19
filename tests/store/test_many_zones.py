"""What is read of many zones together, by one query for hundreds of them."""

from __future__ import annotations

import pytest

from dnsserver.store import contents, zones
from dnsserver.store.database import Database
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.rrtypes import NS, SOA, A
from tests.support.stores import WHO, a, make_zone, ns, soa


def some_zones(db: Database, count: int) -> list[ZoneRow]:
    """Each with a host whose address tells it from the others."""
    apexes = [names.from_text(f"z{number}.example.") for number in range(count)]
    return [
        make_zone(db, [a("Host", number % 256, apex=apex)], serial=number + 1, apex=apex)
        for number, apex in enumerate(apexes)
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 130])
def test_the_records_at_names_of_many_zones(db: Database, count: int) -> None:
    made = some_zones(db, count)
    places = [(zone.contents, name) for zone in made for name in (zone.name, b"\x04host" + zone.name, b"\x00")]
    with db.read() as conn:
        found = contents.at_names(conn, places, (SOA, A))
        apexes = contents.at_names(conn, [(zone.contents, zone.name) for zone in made], (SOA, NS))
        none = contents.at_names(conn, [], (SOA,))
    assert found.keys() == set(places)
    assert none == {}
    for number, zone in enumerate(made):
        assert found[zone.contents, zone.name] == [soa(number + 1, zone.name)]
        assert found[zone.contents, b"\x04host" + zone.name] == [a("Host", number % 256, apex=zone.name)]
        assert found[zone.contents, b"\x00"] == []
        assert sorted(apexes[zone.contents, zone.name]) == sorted([soa(number + 1, zone.name), ns(zone.name)])


def test_zones_by_ids_and_by_names(db: Database) -> None:
    made = some_zones(db, 5)
    with db.write() as conn:
        zones.delete(conn, made[1], WHO)
    ids = [zone.id for zone in made]
    with db.read() as conn:
        assert [row.id for row in sorted(zones.by_ids(conn, [*ids, 10_000]), key=lambda row: row.id)] == sorted(ids)
        wanted = [zone.name.upper() for zone in made] + [names.from_text("absent.")]
        found = zones.live(conn, wanted)
        assert found.keys() == {zone.name for zone in made if zone is not made[1]}
        assert zones.all_zones(conn, Role.SECONDARY) == []
        assert len(zones.all_zones(conn, Role.PRIMARY)) == len(zones.all_zones(conn)) == 4
