"""The refresh states of secondary zones as they are stored."""

from __future__ import annotations

from sqlalchemy import event

from dnsserver.store import refresh, zones
from dnsserver.store.database import Database
from dnsserver.store.zones import ZoneRow
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.settings import ZoneSettings
from tests.support.stores import WHO, make_zone

PRIMARIES = ZoneSettings().with_change(["primaries=192.0.2.1"])


def secondary(db: Database, name: str = "example.net") -> ZoneRow:
    with db.write() as conn:
        return zones.create(conn, names.from_user(name), Role.SECONDARY, PRIMARIES, (), WHO)


def test_a_state_is_replaced_and_forgotten(db: Database) -> None:
    one, two = secondary(db, "one.example"), secondary(db, "two.example")
    with db.write() as conn:
        refresh.save(conn, [(one.id, {"expires": 1.5, "error": None}), (two.id, {"expires": 2.5})])
        refresh.save(conn, [(two.id, {"expires": 3.5, "error": {"reason": "timeout", "message": "žádná odpověď"}})])
    with db.read() as conn:
        assert refresh.load(conn) == [
            (one.id, {"expires": 1.5, "error": None}),
            (two.id, {"expires": 3.5, "error": {"reason": "timeout", "message": "žádná odpověď"}}),
        ]
    with db.write() as conn:
        refresh.forget(conn, one.id)
        refresh.save(conn, [])
        assert refresh.get(conn, one.id) is None
        assert refresh.get(conn, two.id) == refresh.load(conn)[0][1]


def test_states_of_zones_that_are_gone_or_primary_are_left_out(db: Database) -> None:
    """The keeper saves once a second: a zone may have been purged or converted since."""
    there, primary = secondary(db), make_zone(db)
    with db.write() as conn:
        refresh.save(conn, [(9999, {"failures": 1}), (primary.id, {"failures": 2}), (there.id, {"failures": 3})])
        assert refresh.load(conn) == [(there.id, {"failures": 3})]


def test_a_state_outlives_deletion_but_not_the_purge(db: Database) -> None:
    zone = secondary(db)
    with db.write() as conn:
        refresh.save(conn, [(zone.id, {"expires": 1.0})])
        zones.delete(conn, zone, WHO)
        assert refresh.get(conn, zone.id) == {"expires": 1.0}
        zones.purge_deleted(conn, WHO.now + 1)
        assert refresh.load(conn) == []


def test_ten_thousand_states_at_once(db: Database) -> None:
    """All timers are saved together, once a second: by one DELETE and one INSERT, however many they are."""
    found = [secondary(db, f"z{number}.example") for number in range(200)]
    state = {"checked": 1.0, "next_check": 2.0, "expires": 3.0, "primary": "192.0.2.1:53", "error": None}
    rows = [(zone.id, state) for zone in found] + [(100_000 + number, state) for number in range(9_800)]
    with db.write() as conn:
        statements: list[str] = []
        event.listen(conn, "before_execute", lambda _conn, what, *_: statements.append(type(what).__name__))
        refresh.save(conn, rows)
        assert statements == ["Delete", "Insert"]
        assert len(refresh.load(conn)) == 200
