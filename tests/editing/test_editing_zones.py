"""zone create, set, suspend, resume, delete, restore, show, status, check, list, notify (CONTRACT; R25, R30)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dnsserver.editing import ZoneDefaults
from dnsserver.errors import Conflict, InvalidData, NotFound, Unreachable, UsageError
from dnsserver.zone.serial import SerialPolicy
from tests.support.desk import NOW, Desk, Runtime


def soa(desk: Desk, name: str = "example.com") -> dict[str, object]:
    found = desk("zone.show", name=name)["soa"]
    assert isinstance(found, dict)
    return found


def test_create_without_ns_takes_the_servers_name(desk: Desk) -> None:
    result = desk("zone.create", name="Example.COM")
    assert result["zone"] == "example.com."
    assert result["old_serial"] is None
    assert result["new_serial"] == 1
    assert result["changed"] is True
    assert desk.texts() == ["example.com. 3600 NS ns1.example.net."]
    assert soa(desk) == {
        "mname": "ns1.example.net.", "rname": "hostmaster.example.com.", "serial": 1, "refresh": 3600, "retry": 600,
        "expire": 1209600, "minimum": 3600, "ttl": 3600,
    }  # fmt: skip


def test_create_with_name_servers_and_glue(desk: Desk) -> None:
    hosts = ["ns1.example.com=192.0.2.1", "ns1=2001:db8::1", "ns2.example.org=192.0.2.9", "ns3.example.com."]
    result = desk("zone.create", name="example.com", ns=hosts)
    assert desk.texts() == [
        "example.com. 3600 NS ns1.example.com.",
        "example.com. 3600 NS ns2.example.org.",
        "example.com. 3600 NS ns3.example.com.",
        "ns1.example.com. 3600 A 192.0.2.1",
        "ns1.example.com. 3600 AAAA 2001:db8::1",
    ]
    assert any("192.0.2.9 is left out" in message for message in result["messages"])
    assert any("ns3.example.com." in message and "no address" in message for message in result["messages"])


def test_create_takes_defaults_and_settings(desk: Desk) -> None:
    defaults = ZoneDefaults(ttl=300, hostmaster="a.b@example.net", refresh=7200, minimum=60)
    desk.change(defaults=replace(defaults, serial_policy=SerialPolicy.DATE))
    desk("zone.create", name="example.com", settings={"notify": "off", "also-notify": ["192.0.2.1", "192.0.2.2:54"]})
    found = soa(desk)
    assert (found["rname"], found["serial"]) == ("a\\.b.example.net.", 2023111400)
    assert (found["refresh"], found["minimum"], found["ttl"]) == (7200, 60, 300)
    settings = desk("zone.show", name="example.com")["settings"]
    assert settings["notify"] is False
    assert settings["also_notify"] == ["192.0.2.1", "192.0.2.2:54"]
    assert settings["default_ttl"] == 300


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("192.0.2.0/24", "2.0.192.in-addr.arpa."),
        ("192.0.2.64/26", "64/26.2.0.192.in-addr.arpa."),
        ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa."),
        ("bücher.example", "xn--bcher-kva.example."),
    ],
)
def test_names_of_zones(desk: Desk, name: str, zone: str) -> None:
    """RFC 2317, IDNA 2008; the same spelling finds the zone afterwards."""
    assert desk("zone.create", name=name)["zone"] == zone
    assert desk("zone.show", name=name)["zone"] == zone


@pytest.mark.parametrize("name", ["192.0.2.1/24", "a..b", "x" * 64, "2001:db8::/33"])
def test_bad_names_of_zones(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidData):
        desk("zone.create", name=name)


def test_create_twice_is_a_conflict(zone: Desk) -> None:
    with pytest.raises(Conflict, match="there already"):
        zone("zone.create", name="example.com")


def test_bad_settings_name_the_key(desk: Desk) -> None:
    with pytest.raises(InvalidData, match="serial-policy"):
        desk("zone.create", name="example.com", settings=["serial-policy=never"])
    with pytest.raises(InvalidData, match="there is no setting 'colour'; there are serial-policy, notify"):
        desk("zone.create", name="example.com", settings=["colour=red"])
    with pytest.raises(NotFound, match="no key k"):
        desk("zone.create", name="example.com", settings=["also-notify=192.0.2.1,key=k"])
    with pytest.raises(InvalidData, match="no IP address"):
        desk("zone.create", name="example.com", ns=["ns1=here"])
    with pytest.raises(NotFound):
        desk("zone.show", name="example.com")


def test_set_shows_old_and_new(zone: Desk) -> None:
    result = zone("zone.set", name="example.com", changes=["serial-policy=unixtime", "notify=off"])
    assert result["changes"] == [
        {"key": "serial-policy", "old": "increment", "new": "unixtime"},
        {"key": "notify", "old": "on", "new": "off"},
    ]
    assert result["changed"] is True
    again = zone("zone.set", name="example.com", changes=["notify=off"])
    assert (again["changed"], again["changes"]) == (False, [])
    assert zone.serial() == 1
    assert zone.add("www", "A", "192.0.2.1")["new_serial"] == int(NOW)
    with pytest.raises(UsageError):
        zone("zone.set", name="example.com", changes=[])


def test_set_feeds_the_keeper_and_the_history(zone: Desk) -> None:
    """R25; DESIGN: settings reach the keeper by the feed."""
    from dnsserver.store import feed

    with zone.context.db.read() as conn:
        mark = feed.head(conn)
    zone("zone.set", name="example.com", changes=["ixfr=udp"])
    with zone.context.db.read() as conn:
        rows = feed.after(conn, mark)
    assert rows is not None
    assert [row.kind for row in rows] == ["zone"]
    line = zone("history")["entries"][0]
    assert (line["user"], line["subject"], line["action"]) == ("alice", "example.com.", "zone-set")
    assert "udp" in line["detail"]
    assert line["time"] == "2023-11-14T22:13:20Z"


def test_suspend_and_resume(zone: Desk) -> None:
    assert zone("zone.suspend", name="example.com")["state"] == "suspended"
    assert zone("zone.suspend", name="example.com")["changed"] is False
    assert zone("zone.status", name="example.com")["state"] == "suspended"
    assert zone("zone.resume", name="example.com")["state"] == "active"


def test_delete_and_restore(zone: Desk) -> None:
    zone.add("www", "A", "192.0.2.1")
    result = zone("zone.delete", name="example.com")
    assert "2023-11-21T22:13:20Z" in result["messages"][0]
    with pytest.raises(NotFound):
        zone("zone.show", name="example.com")
    zone("zone.restore", name="example.com")
    assert "www.example.com. 3600 A 192.0.2.1" in zone.texts()
    with pytest.raises(Conflict):
        zone("zone.restore", name="example.com")


def test_restore_ends_after_the_undelete_time(zone: Desk) -> None:
    zone("zone.delete", name="example.com")
    zone.change(now=NOW + 8 * 86400)
    with pytest.raises(NotFound, match="restored"):
        zone("zone.restore", name="example.com")


def test_a_zone_made_anew_starts_above_the_old_serial(zone: Desk) -> None:
    for number in range(4):
        zone.add("www", "A", f"192.0.2.{number}")
    assert zone.serial() == 5
    zone("zone.delete", name="example.com")
    assert zone("zone.create", name="example.com")["new_serial"] == 6
    with pytest.raises(Conflict):
        zone("zone.restore", name="example.com")


def test_status_and_notify_need_a_runtime_for_what_is_served(zone: Desk) -> None:
    status = zone("zone.status", name="example.com")
    assert status["serial"] == {"served": None, "stored": 1, "notified": None}
    with pytest.raises(Unreachable):
        zone("zone.notify", name="example.com")
    runtime = Runtime({1: (1, 1)})
    zone.change(runtime=runtime)
    assert zone("zone.status", name="example.com")["serial"]["served"] == 1
    zone("zone.notify", name="example.com")
    assert runtime.asked == [1]


def test_show_reports_permissions_keys_and_policy_together(zone: Desk) -> None:
    """R25."""
    zone("key.generate", name="k")
    zone("access.allow", layer="global", prefix="192.0.2.0/24")
    zone("access.allow", layer="super-slave", prefix="192.0.2.9", key="k")
    zone("access.allow", layer="zone", zone="example.com", prefix="2001:db8::/32")
    report = zone("zone.show", name="example.com")
    assert [(e["layer"], e["entry"]) for e in report["access"]] == [
        ("global", "192.0.2.0/24"),
        ("super-slave", "192.0.2.9/32 key=k."),
        ("zone", "2001:db8::/32"),
    ]
    assert report["keys"][0]["name"] == "k."
    assert report["keys"][0]["created"] == "2023-11-14T22:13:20Z"
    assert "secret" not in report["keys"][0]
    assert report["serial_policy"] == "increment"
    json.dumps(report)


def problems(desk: Desk) -> list[str]:
    return [p["message"] for p in desk("zone.check", name="example.com")["problems"]]


def test_check_of_a_good_zone(desk: Desk) -> None:
    desk("zone.create", name="example.com", ns=["ns1.example.net."])
    result = desk("zone.check", name="example.com")
    assert (result["ok"], result["problems"]) == (True, [])


def test_check_warns_of_name_servers(desk: Desk) -> None:
    """R30: no NS record, no address, an alias, out of NOTIFY's reach."""
    desk("zone.create", name="example.com", ns=["ns1.example.net.", "ns2", "ns3", "ns4=0.0.0.0"])
    desk.add("ns3", "CNAME", "www")
    found = problems(desk)
    assert any("ns2.example.com." in text and "NOTIFY cannot reach it" in text for text in found)
    assert any("ns3.example.com." in text and "alias" in text for text in found)
    assert any("cannot reach the name server ns4.example.com. at 0.0.0.0" in text for text in found)
    desk.delete("@", "NS", "ns1.example.net.")
    assert any("ns1.example.net." in text and "no NS record" in text for text in problems(desk))
    desk("zone.set", name="example.com", changes=["notify=off"])
    assert any("switched off" in text for text in problems(desk))
    assert desk("zone.check", name="example.com")["ok"] is False


def test_list(zone: Desk) -> None:
    zone("zone.create", name="a.example")
    found = zone("zone.list")["zones"]
    assert [(row["zone"], row["role"], row["serial"], row["records"]) for row in found] == [
        ("example.com.", "primary", 1, 3),
        ("a.example.", "primary", 1, 2),
    ]
