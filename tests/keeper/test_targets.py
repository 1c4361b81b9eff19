"""Who is to be told of a change, as far as the store knows."""

from __future__ import annotations

from pathlib import Path

from dnsserver.keeper.targets import facts_of
from dnsserver.store import zones
from dnsserver.store.database import Database
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.settings import ZoneSettings
from tests.support.stores import WHO, a, make_zone


def test_a_secondary_zone_without_contents_has_nobody_to_be_told(tmp_path: Path) -> None:
    """Nor has it addresses of another zone's name servers: the resolver knows those."""
    db = Database.open(f"sqlite:///{tmp_path}/dns.db", create=True)
    with db.write() as conn:
        settings = ZoneSettings().with_change(["primaries=192.0.2.1"])
        waiting = zones.create(conn, names.from_text("ns.example.com."), Role.SECONDARY, settings, (), WHO)
    parent = make_zone(db, [a("ns.example.com.")])
    assert facts_of(db, waiting.id) is None
    facts = facts_of(db, parent.id)
    assert facts is not None
    assert (facts.name_servers, facts.addresses) == ((waiting.name,), {})
    db.close()
