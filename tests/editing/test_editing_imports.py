"""zone import, export, replace_text (issue, 3; CONTRACT, Program)."""

from __future__ import annotations

import pytest

from dnsserver.editing import EditLimits
from dnsserver.errors import Conflict, InvalidData, NotFound
from dnsserver.store import journal, zones
from dnsserver.zone import names
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import pack, unpack
from tests.support.desk import Desk, lines

HEAD = """
@ 3600 SOA ns1 hostmaster {} 3600 600 1209600 300
@ 3600 NS ns1
ns1 3600 A 192.0.2.1
"""


def text(serial: int, *more: str) -> str:
    return HEAD.format(serial) + "\n".join(more)


def test_first_import_takes_the_files_serial_and_minimum(desk: Desk) -> None:
    result = desk.load("example.com", text(2024010100, "www 60 A 192.0.2.7"))
    assert (result["old_serial"], result["new_serial"], result["changed"]) == (None, 2024010100, True)
    assert result["added_count"] == 4
    assert "www.example.com. 60 A 192.0.2.7" in desk.texts()
    assert desk("zone.show", name="example.com")["settings"]["default_ttl"] == 300


def test_a_serial_of_zero_is_one(desk: Desk) -> None:
    assert desk.load("example.com", text(0))["new_serial"] == 0
    assert desk.add("www", "A", "192.0.2.1")["new_serial"] == 1


def test_a_zone_that_is_there_needs_replace(desk: Desk) -> None:
    desk.load("example.com", text(5, "www 60 A 192.0.2.7"))
    with pytest.raises(Conflict, match="add 1 and remove 1 records and make the serial 6") as caught:
        desk.load("example.com", text(6, "www 60 A 192.0.2.8"))
    shown = [problem.message for problem in caught.value.problems]
    assert shown == ["- www.example.com. 60 IN A 192.0.2.7", "+ www.example.com. 60 IN A 192.0.2.8"]
    assert desk.serial() == 5


def test_replace_is_one_change_by_difference(desk: Desk) -> None:
    desk.load("example.com", text(5, "a 60 A 192.0.2.7", "b 60 A 192.0.2.7"))
    result = desk.load("example.com", text(9, "b 60 A 192.0.2.7", "c 60 A 192.0.2.7"), replace=True)
    assert (result["old_serial"], result["new_serial"]) == (5, 9)
    assert result["added"] == ["c.example.com. 60 IN A 192.0.2.7"]
    assert result["removed"] == ["a.example.com. 60 IN A 192.0.2.7"]
    assert len(desk("zone.history", name="example.com")["entries"]) == 2


@pytest.mark.parametrize("serial", [5, 4, 0])
def test_a_serial_that_is_not_ahead_gives_way_to_the_policy(desk: Desk, serial: int) -> None:
    desk.load("example.com", text(5))
    result = desk.load("example.com", text(serial, "www 60 A 192.0.2.7"), replace=True)
    assert result["new_serial"] == 6
    assert "policy (increment) makes it 6" in result["messages"][0]


@pytest.mark.parametrize("serial", [5, 4])
def test_nothing_but_an_equal_or_lower_serial_changes_nothing(desk: Desk, serial: int) -> None:
    desk.load("example.com", text(5))
    result = desk.load("example.com", text(serial), replace=True)
    assert (result["changed"], result["new_serial"]) == (False, 5)
    assert len(desk("zone.history", name="example.com")["entries"]) == 1


def test_a_higher_serial_alone_is_a_change(desk: Desk) -> None:
    desk.load("example.com", text(5))
    assert desk.load("example.com", text(7), replace=True)["new_serial"] == 7


def test_dry_run_reports_only(desk: Desk) -> None:
    result = desk.load("example.com", text(5), dry_run=True)
    assert (result["dry_run"], result["new_serial"]) == (True, 5)
    with pytest.raises(NotFound):
        desk("zone.show", name="example.com")
    desk.load("example.com", text(5))
    result = desk.load("example.com", text(6, "www 60 A 192.0.2.7"), dry_run=True, replace=True)
    assert result["added"] == ["www.example.com. 60 IN A 192.0.2.7"]
    assert (result["old_serial"], result["new_serial"], desk.serial()) == (5, 6, 5)


def test_all_errors_at_once_and_nothing_is_changed(desk: Desk) -> None:
    bad = text(5, "www 60 A 192.0.2.7", "www 60 CNAME ns1", "www.example.org. 60 A 192.0.2.1", "x 60 CNAME a",
               "x 60 CNAME b")  # fmt: skip
    with pytest.raises(InvalidData) as caught:
        desk.load("example.com", bad)
    messages = [problem.message for problem in caught.value.problems]
    assert any("CNAME beside other data" in message for message in messages)
    assert any("not in the zone" in message for message in messages)
    assert any("one is allowed" in message for message in messages)
    with pytest.raises(NotFound):
        desk("zone.show", name="example.com")


@pytest.mark.parametrize(
    ("zone", "why"),
    [("www 60 A 192.0.2.1", "no SOA"), ("@ 60 SOA a b 1 2 3 4 5", "no NS"), (text(1, "@ 60 SOA a b 9 2 3 4 5"), "SOA")],
)
def test_soa_and_ns_there_must_be(desk: Desk, zone: str, why: str) -> None:
    with pytest.raises(InvalidData) as caught:
        desk.load("example.com", zone)
    assert why in str(caught.value.problems[0])


def test_ttls_of_an_rrset_become_the_lowest(desk: Desk) -> None:
    """RFC 2181, 5.2."""
    result = desk.load("example.com", text(5, "www 60 A 192.0.2.7", "www 30 A 192.0.2.8", "www 90 A 192.0.2.7"))
    assert [line for line in desk.texts() if line.startswith("www")] == [
        "www.example.com. 30 A 192.0.2.7",
        "www.example.com. 30 A 192.0.2.8",
    ]
    assert any("different TTLs" in message for message in result["messages"])


@pytest.mark.parametrize("limit", ["zone_size", "zone_records", "rrset_records", "name_types"])
def test_limits_keep_an_import_out(desk: Desk, limit: str) -> None:
    desk.load("example.com", text(5))
    desk.change(limits=EditLimits(zone=ZoneLimits(**{limit: 1})))
    with pytest.raises(InvalidData, match=f"{limit.replace('_', '-')} = 1|errors") as caught:
        desk.load("example.com", text(6, "www 60 A 192.0.2.7", "www 60 A 192.0.2.8", "www 60 TXT x"), replace=True)
    assert limit.replace("_", "-") in " ".join(problem.message for problem in caught.value.problems)
    assert desk.serial() == 5


def test_import_over_a_deleted_zones_name_starts_above_it(desk: Desk) -> None:
    desk.load("example.com", text(7))
    desk("zone.delete", name="example.com")
    result = desk.load("example.com", text(7))
    assert result["new_serial"] == 8
    assert "not ahead of 7" in result["messages"][0]


def test_a_large_import_and_replacement_go_by_new_contents(desk: Desk) -> None:
    desk.change(limits=EditLimits(large=10))
    desk.load("example.com", text(5, *(f"a{n} 60 A 192.0.2.{n}" for n in range(50))))
    with desk.context.db.read() as conn:
        before = zones.get(conn, names.from_user("example.com"))
    result = desk.load("example.com", text(6, *(f"b{n} 60 A 192.0.2.{n}" for n in range(50))), replace=True)
    assert (result["added_count"], result["removed_count"], result["new_serial"]) == (50, 50, 6)
    with desk.context.db.read() as conn:
        after = zones.get(conn, names.from_user("example.com"))
        changeset = journal.changeset(conn, after.id, after.version)
    assert after.contents != before.contents
    assert changeset is not None
    assert len(changeset.added) == 51
    assert (after.record_count, len(desk.texts())) == (53, 52)
    # Past the journal's size it is a reset: there is no way back.
    desk.change(limits=EditLimits(large=10, journal_size=100))
    desk.load("example.com", text(7, *(f"c{n} 60 A 192.0.2.{n}" for n in range(50))), replace=True)
    with pytest.raises(NotFound, match="too large for the journal"):
        desk("zone.rollback", name="example.com", to=6)


def test_export_gives_what_imports_to_the_same_zone(desk: Desk) -> None:
    desk.load("example.com", text(5, "www 60 A 192.0.2.7", "a.b 60 TXT x", "WWW2 60 A 192.0.2.7"))
    result, payload = desk.full("zone.export", {"name": "example.com"})
    assert result["serial"] == 5
    owners = [record.owner for record in unpack(payload)]
    assert owners == sorted(owners, key=names.key)
    assert names.from_text("WWW2.example.com.") in owners
    again, _ = desk.full("zone.import", {"name": "example.com", "replace": True}, payload)
    assert again["changed"] is False


def edited(desk: Desk, base: int, zone: str, **more: object) -> dict[str, object]:
    payload = pack(lines("example.com", zone))
    return desk.full("zone.replace_text", {"name": "example.com", "base_version": base, **more}, payload)[0]


def test_edit_of_the_whole_text(desk: Desk) -> None:
    desk.load("example.com", text(5))
    result = edited(desk, 1, text(5, "www 60 A 192.0.2.7"))
    assert (result["new_serial"], result["messages"]) == (6, [])
    assert edited(desk, 2, text(9, "www 60 A 192.0.2.7"))["new_serial"] == 9
    with pytest.raises(InvalidData, match="--force"):
        edited(desk, 3, text(4))
    assert edited(desk, 3, text(4), force=True)["new_serial"] == 4


def test_edit_of_a_text_that_is_no_longer_current(desk: Desk) -> None:
    desk.load("example.com", text(5))
    desk.add("www", "A", "192.0.2.1")
    with pytest.raises(Conflict, match="changed meanwhile"):
        edited(desk, 1, text(5, "www 60 A 192.0.2.7"))
