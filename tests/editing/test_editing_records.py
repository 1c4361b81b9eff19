"""record add, set, delete, list (CONTRACT, Program; R10, R20)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnsserver.editing import EditLimits
from dnsserver.errors import Conflict, Denied, InvalidData, NotFound, UsageError
from dnsserver.zone.checks import ZoneLimits
from tests.support.desk import Desk


def test_add_raises_the_serial_once_and_says_what_changed(zone: Desk) -> None:
    """R10, and the shape of a change."""
    result = zone.add("www", "A", "192.0.2.7", "192.0.2.8")
    assert result["version"] == 1
    assert result["zone"] == "example.com."
    assert (result["old_serial"], result["new_serial"]) == (1, 2)
    assert result["added"] == ["www.example.com. 3600 IN A 192.0.2.7", "www.example.com. 3600 IN A 192.0.2.8"]
    assert result["removed"] == []
    assert result["changed"] is True
    assert result["zone_version"] == 2
    assert zone.serial() == 2


def test_what_is_there_changes_nothing_and_takes_no_serial(zone: Desk) -> None:
    zone.add("www", "A", "192.0.2.7")
    result = zone.add("WWW", "A", "192.0.2.7")
    assert result["changed"] is False
    assert result["old_serial"] == result["new_serial"] == 2
    assert "there already" in result["messages"][0]
    assert zone.serial() == 2


def test_names_in_rdata_compare_without_case(zone: Desk) -> None:
    """RFC 4034, 6.2."""
    zone.add("@", "MX", "10 mail")
    assert zone.add("@", "MX", "10 MAIL")["changed"] is False
    assert zone.delete("@", "MX", "10 mAiL.example.com.")["changed"] is True


def test_deleting_what_is_not_there_says_so(zone: Desk) -> None:
    result = zone.delete("nothing", "A")
    assert result["changed"] is False
    assert "there is no nothing.example.com. A" in result["messages"][0]
    with pytest.raises(NotFound):
        zone("record.delete", zone="example.org", name="www", type="A", rdata=[])


def test_delete_one_record_an_rrset_a_name(zone: Desk) -> None:
    zone.add("www", "A", "192.0.2.7", "192.0.2.8", "192.0.2.9")
    zone.add("www", "TXT", "hello")
    assert zone.delete("www", "A", "192.0.2.8")["removed"] == ["www.example.com. 3600 IN A 192.0.2.8"]
    assert len(zone.delete("www", "A")["removed"]) == 2
    assert zone.delete("www")["removed"] == ['www.example.com. 3600 IN TXT "hello"']
    assert not any("www" in text for text in zone.texts())


def test_set_replaces_the_rrset(zone: Desk) -> None:
    zone.add("www", "A", "192.0.2.7", "192.0.2.8")
    result = zone.set("www", "A", "192.0.2.8", "192.0.2.9")
    assert result["added"] == ["www.example.com. 3600 IN A 192.0.2.9"]
    assert result["removed"] == ["www.example.com. 3600 IN A 192.0.2.7"]
    again = zone.set("www", "A", "192.0.2.9", "192.0.2.8")
    assert again["changed"] is False


def test_ttl_given_else_the_rrsets_else_the_zones(zone: Desk) -> None:
    """CONTRACT, TTL; RFC 2181, 5.2."""
    assert zone.add("a", "A", "192.0.2.1")["added"] == ["a.example.com. 3600 IN A 192.0.2.1"]
    zone.add("b", "A", "192.0.2.1", ttl=60)
    assert zone.add("b", "A", "192.0.2.2")["added"] == ["b.example.com. 60 IN A 192.0.2.2"]
    zone("zone.set", name="example.com", changes=["default-ttl=5m"])
    assert zone.add("c", "A", "192.0.2.1")["added"] == ["c.example.com. 300 IN A 192.0.2.1"]
    result = zone.add("b", "A", "192.0.2.3", ttl="2m")
    assert {text.split()[1] for text in zone.texts() if text.startswith("b.")} == {"120"}
    assert len(result["removed"]) == 2
    assert "TTL" in result["messages"][0]


def test_rrset_shares_one_ttl_when_only_the_ttl_changes(zone: Desk) -> None:
    zone.add("www", "A", "192.0.2.7", "192.0.2.8")
    result = zone.add("www", "A", "192.0.2.7", ttl=60)
    assert result["changed"] is True
    assert {text.split()[1] for text in zone.texts() if text.startswith("www")} == {"60"}


@pytest.mark.parametrize("ttl", [-1, 2**31, "soon", "1x"])
def test_ttl_is_validated(zone: Desk, ttl: object) -> None:
    with pytest.raises(InvalidData, match="TTL"):
        zone.add("www", "A", "192.0.2.1", ttl=ttl)


@pytest.mark.parametrize("name", ["www.example.com", "WWW.Example.COM", "example.com", "a.b.example.com"])
def test_a_relative_name_that_ends_in_the_zones_own_is_refused(zone: Desk, name: str) -> None:
    with pytest.raises(InvalidData) as caught:
        zone.add(name, "A", "192.0.2.1")
    assert f"{name}.'" in caught.value.message
    assert f"{name}.example.com.'" in caught.value.message
    assert caught.value.exit_status == 4
    assert zone.serial() == 1


def test_both_spellings_of_such_a_name_work(zone: Desk) -> None:
    assert zone.add("www.example.com.", "A", "192.0.2.1")["added"][0].startswith("www.example.com. ")
    below = zone.add("www.example.com.example.com.", "A", "192.0.2.1")
    assert below["added"][0].startswith("www.example.com.example.com. ")


@pytest.mark.parametrize(
    ("rtype", "text"), [("MX", "10 mail.example.com"), ("CNAME", "Example.com"), ("SRV", "0 0 53 ns1.example.com")]
)
def test_a_target_that_ends_in_the_zones_own_name_is_refused(zone: Desk, rtype: str, text: str) -> None:
    with pytest.raises(InvalidData) as caught:
        zone.add("x", rtype, text)
    host = text.split()[-1]
    assert f"{host}.'" in caught.value.message
    assert f"{host}.example.com.'" in caught.value.message
    assert zone.add("x", rtype, text + ".")["changed"] is True
    assert zone.set("x", rtype, text + ".example.com.")["changed"] is True


def test_a_relative_target_lies_in_the_zone(zone: Desk) -> None:
    assert zone.add("@", "MX", "10 mail")["added"] == ["example.com. 3600 IN MX 10 mail.example.com."]


def test_out_of_zone_and_bad_names_are_refused(zone: Desk) -> None:
    with pytest.raises(InvalidData, match="not in the zone"):
        zone.add("www.example.org.", "A", "192.0.2.1")
    with pytest.raises(InvalidData, match="empty label"):
        zone.add("a..b", "A", "192.0.2.1")
    with pytest.raises(InvalidData, match="longer than 63"):
        zone.add("a" * 64, "A", "192.0.2.1")


def test_unicode_names(zone: Desk) -> None:
    assert zone.add("bücher", "A", "192.0.2.1")["added"][0].startswith("xn--bcher-kva.example.com. ")


def test_txt_without_quotes_is_one_string(zone: Desk) -> None:
    zone.add("@", "TXT", "v=spf1 mx -all")
    zone.add("two", "TXT", '"a" "b c"')
    zone.add("_dmarc", "TXT", "v=DMARC1; p=none")
    assert 'example.com. 3600 TXT "v=spf1 mx -all"' in zone.texts()
    assert 'two.example.com. 3600 TXT "a" "b c"' in zone.texts()
    assert "DMARC1" in " ".join(zone.texts())
    assert " p=none" in " ".join(zone.texts())


def test_bad_rdata_names_itself(zone: Desk) -> None:
    with pytest.raises(InvalidData, match=r"192\.0\.2\.300"):
        zone.add("www", "A", "192.0.2.300")
    with pytest.raises(InvalidData, match="quote"):
        zone.add("@", "MX", "10", "mail")
    with pytest.raises(InvalidData, match="NOTYPE"):
        zone.add("www", "NOTYPE", "x")
    with pytest.raises(InvalidData, match="no zone holds"):
        zone.add("www", "ANY", "x")
    with pytest.raises(UsageError):
        zone.add("www", "A")


def test_cname_beside_other_data_is_refused(zone: Desk) -> None:
    """RFC 2181, 10.1; R: both ways round, and one CNAME alone."""
    zone.add("www", "A", "192.0.2.1")
    with pytest.raises(InvalidData, match="CNAME beside other data"):
        zone.add("www", "CNAME", "ns1")
    zone.add("alias", "CNAME", "www")
    with pytest.raises(InvalidData, match="CNAME beside other data"):
        zone.add("alias", "TXT", "x")
    with pytest.raises(InvalidData, match="one is allowed"):
        zone.add("alias", "CNAME", "ns1")
    with pytest.raises(InvalidData, match="CNAME beside other data"):
        zone.add("@", "CNAME", "www")
    assert zone.serial() == 3


def test_dname_and_data_below_it(zone: Desk) -> None:
    """RFC 6672, 2.4."""
    zone.add("a.old", "A", "192.0.2.1")
    with pytest.raises(InvalidData, match="names below it"):
        zone.add("old", "DNAME", "new")
    zone.delete("a.old")
    zone.add("old", "DNAME", "new")
    with pytest.raises(InvalidData, match="below the DNAME"):
        zone.add("b.a.old", "A", "192.0.2.1")


def test_soa_and_last_ns_cannot_be_deleted(zone: Desk) -> None:
    with pytest.raises(InvalidData, match="last NS"):
        zone.delete("@", "NS")
    with pytest.raises(InvalidData, match=r"SOA .* cannot be deleted"):
        zone.delete("@", "SOA")
    zone.add("@", "TXT", "x")
    assert zone.delete("@")["removed"] == ['example.com. 3600 IN TXT "x"']
    with pytest.raises(InvalidData, match="SOA"):
        zone.add("www", "SOA", "ns1 hostmaster 1 2 3 4 5")


def test_name_server_without_address_is_warned_of(zone: Desk) -> None:
    """R30."""
    messages = zone.add("@", "NS", "ns2")["messages"]
    assert any("ns2.example.com." in message and "no address" in message for message in messages)
    zone.add("ns2", "A", "192.0.2.2")
    messages = zone.delete("ns2")["messages"]
    assert any("ns2.example.com." in message for message in messages)


def test_data_below_a_delegation_is_warned_of(zone: Desk) -> None:
    zone.add("child", "NS", "ns.example.net.")
    assert zone.add("ns.child", "A", "192.0.2.1")["messages"] == []
    assert "never answered" in zone.add("www.child", "TXT", "x")["messages"][0]


SOA = "ns1 hostmaster {} 3600 600 1209600 300"


def test_serial_set_by_hand_is_kept(zone: Desk) -> None:
    """R10, R20: the same change sets the serial itself."""
    result = zone.set("@", "SOA", SOA.format(2024010100))
    assert (result["old_serial"], result["new_serial"]) == (1, 2024010100)
    assert len(result["added"]) == len(result["removed"]) == 1
    assert zone.add("www", "A", "192.0.2.1")["new_serial"] == 2024010101


def test_serial_left_alone_rises_by_the_policy(zone: Desk) -> None:
    assert zone.set("@", "SOA", SOA.format(1))["new_serial"] == 2
    assert zone.set("@", "SOA", SOA.format(2))["changed"] is False


@pytest.mark.parametrize("serial", [5, 0, (2024010100 + 2**31) % 2**32])
def test_serial_backwards_is_refused_unless_forced(zone: Desk, serial: int) -> None:
    """RFC 1982, 3.2; exactly 2^31 apart compares neither way."""
    zone.set("@", "SOA", SOA.format(2024010100))
    with pytest.raises(InvalidData, match="--force") as caught:
        zone.set("@", "SOA", SOA.format(serial))
    assert "RFC 1982" in caught.value.message
    assert zone.serial() == 2024010100
    result = zone.set("@", "SOA", SOA.format(serial), force=True)
    assert result["new_serial"] == serial
    assert "retransfer" in " ".join(result["messages"])


def limited(desk: Desk, **limits: int) -> None:
    desk.change(limits=EditLimits(zone=ZoneLimits(**limits)))


def test_limits_are_named_and_the_old_data_stay(zone: Desk) -> None:
    """LIMITS: rrset-records, name-types, zone-records, zone-size."""
    zone.add("www", "A", "192.0.2.1", "192.0.2.2")
    before = zone.texts()
    limited(zone, rrset_records=2)
    with pytest.raises(InvalidData, match="rrset-records"):
        zone.add("www", "A", "192.0.2.3")
    limited(zone, name_types=1)
    with pytest.raises(InvalidData, match="name-types"):
        zone.add("www", "TXT", "x")
    limited(zone, zone_records=5)
    with pytest.raises(InvalidData, match="zone-records"):
        zone.add("more", "A", "192.0.2.3")
    limited(zone, zone_size=400)
    with pytest.raises(InvalidData, match="zone-size"):
        zone.add("more", "TXT", "x" * 250)
    assert zone.texts() == before
    assert zone.serial() == 2
    # What makes a zone that is too large smaller is not refused.
    limited(zone, zone_records=1, zone_size=1)
    assert zone.delete("www", "A", "192.0.2.1")["changed"] is True


def test_list_a_zone_a_name_a_type(zone: Desk) -> None:
    zone.add("www", "A", "192.0.2.1")
    zone.add("www", "TXT", "x")
    everything = zone("record.list", zone="example.com")
    assert [r["type"] for r in everything["records"]] == ["NS", "SOA", "A", "A", "TXT"]
    assert everything["serial"] == 3
    only = zone("record.list", zone="example.com", name="www", type="txt")["records"]
    assert only == [{"name": "www.example.com.", "type": "TXT", "ttl": 3600, "rdata": '"x"'}]


def test_unknown_operations_and_arguments(zone: Desk) -> None:
    with pytest.raises(UsageError, match=r"record\.paint"):
        zone("record.paint")
    with pytest.raises(UsageError, match="colour"):
        zone("record.list", zone="example.com", colour="red")
    with pytest.raises(UsageError, match="zone"):
        zone("record.list")


def test_conflicting_writers_are_retried(zone: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit whose zone changed between its reading and its commit is made again on what is there now."""
    from dnsserver.editing import commit

    real = commit.editable
    seen: list[int] = []

    def stale_once(conn: object, name: bytes) -> object:
        row = real(conn, name)  # type: ignore[arg-type]
        seen.append(row.version)
        return replace(row, version=row.version - 1) if len(seen) == 1 else row

    monkeypatch.setattr(commit, "editable", stale_once)
    assert zone.add("www", "A", "192.0.2.1")["new_serial"] == 2
    assert len(seen) == 2


def test_conflicts_that_never_end_are_one(zone: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from dnsserver.editing import commit

    real = commit.editable
    monkeypatch.setattr(commit, "editable", lambda conn, name: replace(real(conn, name), version=99))
    with pytest.raises(Conflict, match="try again"):
        zone.add("www", "A", "192.0.2.1")


def test_a_secondary_zone_is_not_edited_here(desk: Desk) -> None:
    from dnsserver.store import zones
    from dnsserver.zone import names
    from dnsserver.zone.access import Role
    from dnsserver.zone.settings import ZoneSettings

    with desk.context.db.write() as conn:
        zones.create(conn, names.from_user("example.com"), Role.SECONDARY, ZoneSettings(), (), desk.context.who)
    with pytest.raises(Denied, match="secondary"):
        desk.add("www", "A", "192.0.2.1")
