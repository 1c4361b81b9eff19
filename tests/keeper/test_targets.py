"""Who is to be told of a change, as far as the store knows."""

from __future__ import annotations

from pathlib import Path

from dnsserver.keeper.targets import facts_of
from dnsserver.store import zones
from dnsserver.store.database import Database
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.settings import ZoneSettings
from tests.support.desk import Desk
from tests.support.stores import WHO, a, make_zone

SOA = "@ 300 SOA ns1 hostmaster 1 3600 600 86400 300\n"


def test_a_secondary_zone_without_contents_has_nobody_to_be_told(tmp_path: Path) -> None:
    """Nor has it addresses of another zone's name servers: the resolver knows those."""
    db = Database.open(f"sqlite:///{tmp_path}/dns.db", create=True)
    with db.write() as conn:
        settings = ZoneSettings().with_change(["primaries=192.0.2.1"])
        waiting = zones.create(conn, names.from_text("ns.example.com."), Role.SECONDARY, settings, (), WHO)
    parent = make_zone(db, [a("ns.example.com.")])
    assert facts_of(db, [waiting.id]).get(waiting.id) is None
    facts = facts_of(db, [parent.id]).get(parent.id)
    assert facts is not None
    assert (facts.name_servers, facts.addresses) == ((waiting.name,), {})
    db.close()


def test_many_zones_are_read_together_each_with_what_is_its_own(tmp_path: Path) -> None:
    """More than one query has room for; what is deleted is left out, and whoever is not told has no address."""
    with Database.open(f"sqlite:///{tmp_path}/dns.db", create=True) as db:
        desk = Desk(db)
        desk.load(
            "example.net", f"{SOA}@ 300 NS ns1\nns1 300 A 192.0.2.1\nns2 300 A 192.0.2.2\nns2 300 AAAA 2001:db8::2\n"
        )
        for number in range(60):
            own = f"ns 300 A 198.51.100.{number}\n"
            servers = "@ 300 NS ns1\n@ 300 NS ns\n@ 300 NS ns2.example.net.\n@ 300 NS ns.example.org.\n"
            desk.load(f"z{number}.example.com", f"{SOA}{servers}{own}")
        desk("access.allow", layer="zone", zone="z7.example.com", prefix="192.0.2.7")
        desk("zone.delete", name="z9.example.com")
        with db.read() as conn:
            ids = {zone.name: zone.id for zone in zones.all_zones(conn)}
            gone = zones.deleted(conn, names.from_text("z9.example.com."))
        assert gone is not None
        found = facts_of(db, [*ids.values(), gone.id, 10_000])
        assert set(found) == set(ids.values())
        for number in {*range(60)} - {9}:
            zone_id = ids[names.from_text(f"z{number}.example.com.")]
            facts = found[zone_id]
            assert facts == facts_of(db, [zone_id])[zone_id]
            told = {names.to_text(name): facts.addresses.get(name) for name in facts.to_be_told}
            assert told == {
                f"ns.z{number}.example.com.": (f"198.51.100.{number}",),
                "ns2.example.net.": ("192.0.2.2", "2001:db8::2"),
                "ns.example.org.": None,
            }
            assert [entry.text() for entry in facts.entries] == (["192.0.2.7/32"] if number == 7 else [])


def test_a_zone_that_is_not_to_be_told_of_needs_no_address(tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path}/dns.db", create=True) as db:
        desk = Desk(db)
        desk.load("example.net", f"{SOA}@ 300 NS ns1\n@ 300 NS ns2\nns1 300 A 192.0.2.1\nns2 300 A 192.0.2.2\n")
        told = {}
        for change in ("notify=on", "notify-to-soa=on", "notify=off"):
            desk("zone.set", name="example.net", changes=[change])
            facts = facts_of(db, [1])[1]
            told[change] = [names.to_text(name) for name in facts.to_be_told]
            assert list(facts.addresses) == list(facts.to_be_told)
        assert told == {
            "notify=on": ["ns2.example.net."],
            "notify-to-soa=on": ["ns1.example.net.", "ns2.example.net."],
            "notify=off": [],
        }
