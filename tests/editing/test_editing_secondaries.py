"""Secondary zones as operators see them: made, set, refused edits, converted both ways (R2, R9, R23, R25, R28)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dnsserver.errors import Conflict, Denied, InvalidData, NotFound, Unreachable, UsageError
from dnsserver.store import commit, feed, outbox, refresh, schema, zones
from dnsserver.zone import names
from dnsserver.zone.access import Role
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import pack
from dnsserver.zone.rrtypes import SOA as SOA_TYPE
from tests.support.desk import NOW, Desk, Runtime, lines

NET = "example.net"
APEX = names.from_user(NET)
SOA = "@ 3600 SOA ns1.example.org. host.example.org. {serial} 3600 600 86400 300\n"
ZONE = SOA + "@ 3600 NS ns1.example.org.\nwww 300 A 192.0.2.7"
CONTENTS = ZONE.format(serial=7)
STATE: refresh.State = {
    "checked": NOW - 10, "next_check": NOW + 50, "expires": NOW + 86400, "expired": False, "transferred": NOW - 100,
    "kind": "axfr", "primary": "192.0.2.1:53", "primary_serial": 7, "failures": 0, "error": None,
}  # fmt: skip
PRIMARIES = ["192.0.2.1", "[2001:db8::1]:5301,key=K"]


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """example.net, a secondary zone that has never been transferred; and the key that it is asked with."""
    desk("key.generate", name="k")
    desk("zone.create", name=NET, secondary_of=PRIMARIES, settings=["ixfr=udp"])
    return desk


@pytest.fixture
def served(waiting: Desk) -> Desk:
    """example.net at serial 7."""
    waiting.receive(NET, CONTENTS, state=STATE)
    return waiting


def status(desk: Desk) -> dict[str, Any]:
    return desk("zone.status", name=NET)


def since(desk: Desk, mark: feed.FeedMark) -> list[tuple[str, int | None, int | None]]:
    with desk.context.db.read() as conn:
        rows = feed.after(conn, mark)
    assert rows is not None
    return [(row.kind, row.from_version, row.to_version) for row in rows]


def marked(desk: Desk) -> feed.FeedMark:
    with desk.context.db.read() as conn:
        return feed.head(conn)


# zone create --secondary-of


def test_a_secondary_zone_begins_without_contents(desk: Desk) -> None:
    """R28: primaries in their order. Contents come with the first transfer; no server is needed."""
    desk("key.generate", name="k")
    runtime = Runtime()
    desk.change(runtime=runtime)
    mark = marked(desk)
    result = desk("zone.create", name="Example.NET", secondary_of=PRIMARIES, settings=["zonemd=require"])
    assert (result["zone"], result["old_serial"], result["new_serial"]) == ("example.net.", None, None)
    assert (result["changed"], result["added"], result["zone_version"]) == (True, [], 0)
    assert result["settings"]["primaries"] == ["192.0.2.1", "[2001:db8::1]:5301,key=k."]
    assert result["settings"]["zonemd"] == "require"
    assert result["settings"]["default_ttl"] is None
    assert since(desk, mark) == [("zone", 0, 0)]
    with desk.context.db.read() as conn:
        assert outbox.pending(conn) == []
    line = desk("history")["entries"][0]
    assert (line["action"], line["detail"]) == ("zone-create", "secondary of 192.0.2.1 [2001:db8::1]:5301,key=k.")


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ({"secondary_of": ["192.0.2.1"], "ns": ["ns1"]}, UsageError, "name servers are given to a primary zone"),
        ({"secondary_of": ["ns1.example.com"]}, InvalidData, "no IP address"),
        ({"secondary_of": ["0.0.0.0"]}, InvalidData, "not the address of one server"),
        ({"secondary_of": [""]}, InvalidData, "needs at least one"),
        ({"secondary_of": ["192.0.2.1:99999"]}, InvalidData, "is no port"),
        ({"secondary_of": ["192.0.2.1,key=unknown"]}, NotFound, r"no key unknown\."),
        ({"settings": ["primaries=192.0.2.1"]}, InvalidData, "is a primary zone and has none"),
    ],
)
def test_what_no_secondary_zone_is_made_of(desk: Desk, args: dict[str, Any], error: type[Exception], text: str) -> None:
    """R28: addresses are validated when they are entered; nothing is made of a mistake."""
    with pytest.raises(error, match=text):
        desk("zone.create", name=NET, **args)
    assert desk("zone.list")["zones"] == []


def test_a_key_of_a_primary_stays(waiting: Desk) -> None:
    with pytest.raises(Conflict, match=r"settings of zone example\.net"):
        waiting("key.delete", name="k")


# Reports


def test_everything_can_be_asked_of_a_zone_without_contents(waiting: Desk) -> None:
    found = status(waiting)
    assert (found["role"], found["state"], found["zone_version"]) == ("secondary", "waiting", 0)
    assert found["serial"] == {"served": None, "stored": None, "notified": None}
    assert found["since"] == {"served": None, "stored": None, "notified": None}
    assert (found["primaries"], found["stale"]) == (["192.0.2.1", "[2001:db8::1]:5301,key=k."], False)
    assert {found[key] for key in ("next_check", "expires", "last_error", "primary", "transferred", "kind")} == {None}
    (row,) = waiting("zone.list")["zones"]
    assert (row["role"], row["state"], row["serial"], row["records"]) == ("secondary", "waiting", None, 0)
    shown = waiting("zone.show", name=NET)
    assert (shown["soa"], shown["name_servers"], shown["state"]) == (None, [], "waiting")
    assert shown["settings"]["primaries"] == found["primaries"]
    assert [key["name"] for key in shown["keys"]] == ["k."]
    checked = waiting("zone.check", name=NET)
    assert (checked["ok"], checked["errors"], checked["serial"]) == (False, 0, None)
    assert "waits for its first transfer from 192.0.2.1" in checked["problems"][0]["message"]
    listed = waiting("record.list", zone=NET)
    assert (listed["records"], listed["serial"]) == ([], None)
    assert waiting("zone.history", name=NET)["entries"] == []
    for name in ("zone.diff", "zone.export"):
        with pytest.raises((NotFound, Conflict), match=r"example\.net"):
            waiting(name, name=NET)


def test_the_life_of_a_zone_without_contents(waiting: Desk) -> None:
    """Suspended, deleted, restored; and it leaves no serial behind, above which another zone must start."""
    assert waiting("zone.suspend", name=NET)["state"] == "suspended"
    assert waiting("zone.resume", name=NET)["state"] == "waiting"
    assert waiting("zone.delete", name=NET)["serial"] is None
    assert waiting("zone.restore", name=NET)["state"] == "waiting"
    waiting("zone.delete", name=NET)
    high = SOA.format(serial=3_000_000_000) + "@ 3600 NS ns1.example.org."
    assert waiting.load(NET, high)["new_serial"] == 3_000_000_000


def test_status_has_the_times_of_everything(served: Desk) -> None:
    """R11, R26: three serials, each with its time; next check, expiry, the last transfer."""
    with served.context.db.read() as conn:
        zone = zones.get(conn, APEX)
    served.change(runtime=Runtime({zone.id: (1, 7)}, {zone.id: NOW - 90}))
    found = status(served)
    assert (found["state"], found["stale"], found["last_error"]) == ("active", False, None)
    assert found["serial"] == {"served": 7, "stored": 7, "notified": None}
    assert found["since"] == {
        "served": "2023-11-14T22:11:50Z", "stored": "2023-11-14T22:13:20Z", "notified": None,
    }  # fmt: skip
    assert (found["checked"], found["next_check"]) == ("2023-11-14T22:13:10Z", "2023-11-14T22:14:10Z")
    assert (found["expires"], found["transferred"]) == ("2023-11-15T22:13:20Z", "2023-11-14T22:11:40Z")
    assert (found["kind"], found["primary"]) == ("axfr", "192.0.2.1:53")


def test_status_of_a_zone_whose_checks_fail(waiting: Desk) -> None:
    """R22, R27: the last error with its stable name, code and reason."""
    error = {
        "at": NOW - 5, "event": "primary-unreachable", "code": 6523, "reason": "timeout", "primary": "192.0.2.1:53",
        "message": "no answer",
    }  # fmt: skip
    waiting.receive(NET, CONTENTS, state=STATE | {"failures": 3, "error": error})
    found = status(waiting)
    assert (found["state"], found["stale"]) == ("active", True)
    assert found["last_error"] == {
        "time": "2023-11-14T22:13:15Z", "event": "primary-unreachable", "code": 6523, "reason": "timeout",
        "primary": "192.0.2.1:53", "message": "no answer",
    }  # fmt: skip


@pytest.mark.parametrize("known", [{"expired": True}, {"expires": NOW - 1}, {"expires": NOW}])
def test_an_expired_zone_says_so_everywhere(waiting: Desk, known: dict[str, Any]) -> None:
    """R11; also where no server has run since, so that nobody has noted it. Suspended comes before expired."""
    waiting.receive(NET, CONTENTS, state=STATE | known)
    waiting("access.allow", layer="global", prefix="192.0.2.0/24")
    assert status(waiting)["state"] == "expired"
    assert waiting("zone.list")["zones"][0]["state"] == "expired"
    assert waiting("zone.show", name=NET)["state"] == "expired"
    explained = waiting("access.explain", zone=NET, address="192.0.2.1")
    assert (explained["allowed"], explained["reason"]) == (False, "zone-expired")
    assert waiting("zone.suspend", name=NET)["state"] == "suspended"
    assert waiting("zone.resume", name=NET)["state"] == "expired"


def test_who_may_transfer_a_secondary_zone(served: Desk) -> None:
    """R2: super-slaves may not, the global list and the zone's own may; of one without contents, nobody."""
    served("access.allow", layer="super-slave", prefix="198.51.100.0/24")
    served("access.allow", layer="global", prefix="192.0.2.0/24")
    served("access.allow", layer="zone", zone=NET, prefix="203.0.113.0/24")
    answers = [
        served("access.explain", zone=NET, address=address)["allowed"]
        for address in ("198.51.100.1", "192.0.2.1", "203.0.113.1")
    ]
    assert answers == [False, True, True]
    assert {entry["layer"] for entry in served("zone.show", name=NET)["access"]} == {"global", "zone"}
    served("zone.create", name="new.example", secondary_of=["192.0.2.1"])
    assert served("access.explain", zone="new.example", address="192.0.2.1")["reason"] == "no-contents"


# Edits


REFUSED: dict[str, Callable[[Desk], object]] = {
    "add": lambda desk: desk("record.add", zone=NET, name="www", type="A", rdata=["192.0.2.8"]),
    "set": lambda desk: desk("record.set", zone=NET, name="www", type="A", rdata=["192.0.2.8"]),
    "delete": lambda desk: desk("record.delete", zone=NET, name="www"),
    "apply": lambda desk: desk.apply(f"zone {NET}\nupdate add www.{NET}. 300 A 192.0.2.8\nsend\n"),
    "import": lambda desk: desk.load(NET, CONTENTS, replace=True),
    "dry import": lambda desk: desk.load(NET, CONTENTS, dry_run=True),
    "edit": lambda desk: desk.full(
        "zone.replace_text", {"name": NET, "base_version": 1}, pack(lines(NET, CONTENTS))
    ),
    "rollback": lambda desk: desk("zone.rollback", name=NET, to=1),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("has_contents", [True, False])
def test_edits_are_refused_with_the_reason(request: pytest.FixtureRequest, what: str, has_contents: bool) -> None:
    """The reason names the primaries, and the way out."""
    desk: Desk = request.getfixturevalue("served" if has_contents else "waiting")
    mark = marked(desk)
    with pytest.raises(
        Denied, match=r"secondary zone.*\(192\.0\.2\.1, 2001:db8::1\).*zone convert example\.net\. --to"
    ):
        REFUSED[what](desk)
    assert since(desk, mark) == []


# zone set


def test_primaries_are_set_on_secondary_zones_alone(served: Desk) -> None:
    served("zone.create", name="example.com")
    result = served("zone.set", name=NET, changes=["primaries=192.0.2.9", "primaries=192.0.2.8:54", "zonemd=off"])
    assert {change["key"]: change["new"] for change in result["changes"]} == {
        "primaries": ["192.0.2.9", "192.0.2.8:54"], "zonemd": "off",
    }  # fmt: skip
    assert status(served)["primaries"] == ["192.0.2.9", "192.0.2.8:54"]
    with pytest.raises(InvalidData, match=r"needs at least one .*--to primary"):
        served("zone.set", name=NET, changes=["primaries="])
    with pytest.raises(InvalidData, match=r"is a primary zone and has none .*--secondary-of"):
        served("zone.set", name="example.com", changes=["primaries=192.0.2.9"])
    with pytest.raises(NotFound, match=r"no key unknown\."):
        served("zone.set", name=NET, changes=["primaries=192.0.2.9,key=unknown"])
    for changes in (["allow-notify=192.0.2.0/24"], ["ixfr=off"], ["primaries="]):
        served("zone.set", name="example.com", changes=changes)
    assert status(served)["primaries"] == ["192.0.2.9", "192.0.2.8:54"]


# zone convert


def test_a_secondary_zone_becomes_a_primary_zone(served: Desk) -> None:
    """It keeps its contents, is edited here from now on, and its secondaries are told."""
    with served.context.db.write() as conn:
        zone = zones.get(conn, APEX)
        outbox.done(conn, [(zone.id, zone.version)])
    runtime, mark = Runtime(), marked(served)
    served.change(runtime=runtime)
    before = served.texts(NET)
    result = served("zone.convert", name=NET, to="primary", comment="the old primary is gone")
    assert (result["role"], result["serial"], result["changed"], result["zone_version"]) == ("primary", 7, True, 1)
    assert result["settings"]["primaries"] == []
    assert result["settings"]["ixfr"] == "udp"
    assert result["messages"] == ["the SOA names ns1.example.org. as the primary (`record set` changes it)"]
    assert served.texts(NET) == before
    assert since(served, mark) == [("zone", 1, 1)]
    with served.context.db.read() as conn:
        assert outbox.pending(conn) == [outbox.Pending(zone.id, 1, 7)]
        assert refresh.load(conn) == []
    found = status(served)
    assert (found["role"], found["state"], found["primaries"], found["expires"]) == ("primary", "active", [], None)
    line = served("history")["entries"][0]
    assert (line["action"], line["detail"]) == ("zone-convert", "secondary->primary (the old primary is gone)")
    added = served("record.add", zone=NET, name="new", type="A", rdata=["192.0.2.8"])
    assert (added["new_serial"], added["added"]) == (8, ["new.example.net. 300 IN A 192.0.2.8"])


def test_an_expired_zone_that_becomes_primary_is_valid_again(waiting: Desk) -> None:
    waiting.receive(NET, CONTENTS, state=STATE | {"expired": True, "expires": NOW - 5})
    waiting("zone.convert", name=NET, to="primary")
    assert status(waiting)["state"] == "active"


def test_a_signed_zone_that_becomes_primary_is_warned_of(waiting: Desk) -> None:
    signature = f"RRSIG NS 13 2 3600 20300101000000 20200101000000 1 {NET}. AAAA"
    waiting.receive(NET, f"{CONTENTS}\n@ 3600 {signature}\n@ 3600 ZONEMD 7 1 1 {'00' * 48}", state=STATE)
    messages = waiting("zone.convert", name=NET, to="primary")["messages"]
    assert [message for message in messages if message.startswith("warning: ")] == messages[1:]
    assert "no signature" in messages[1]
    assert "ZONEMD" in messages[2]


def test_a_zone_that_never_had_contents_stays_secondary(waiting: Desk) -> None:
    with pytest.raises(Conflict, match="never had contents"):
        waiting("zone.convert", name=NET, to="primary")
    assert status(waiting)["role"] == "secondary"
    assert len(status(waiting)["primaries"]) == 2


def test_a_primary_zone_becomes_a_secondary_zone(zone: Desk) -> None:
    """It keeps its contents, settings and journal, until the first transfer."""
    zone("zone.set", name="example.com", changes=["notify=off"])
    before, mark = zone.texts(), marked(zone)
    result = zone("zone.convert", name="example.com", to="secondary", secondary_of=["192.0.2.1", "192.0.2.2"])
    assert (result["role"], result["serial"], result["changed"], result["zone_version"]) == ("secondary", 1, True, 1)
    assert result["settings"]["primaries"] == ["192.0.2.1", "192.0.2.2"]
    assert result["settings"]["notify"] is False
    assert any("zone retransfer example.com." in message for message in result["messages"])
    assert since(zone, mark) == [("zone", 1, 1)]
    assert zone.texts() == before
    found = zone("zone.status", name="example.com")
    assert (found["role"], found["state"], found["serial"]["stored"]) == ("secondary", "active", 1)
    assert zone("history")["entries"][0]["detail"] == "primary->secondary of 192.0.2.1 192.0.2.2"
    with pytest.raises(Denied, match="secondary zone"):
        zone.add("www", "A", "192.0.2.1")


def test_there_and_back(served: Desk) -> None:
    with served.context.db.read() as conn:
        before = zones.get(conn, APEX)
    served("zone.convert", name=NET, to="primary")
    served("zone.convert", name=NET, to="secondary", secondary_of=PRIMARIES)
    with served.context.db.read() as conn:
        assert zones.get(conn, APEX) == before
        # R11: good from the conversion on, for as long as its SOA says.
        assert refresh.get(conn, before.id) == {"expires": served.context.now + 86400}


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ({"to": "master"}, InvalidData, "'master' is none of primary, secondary"),
        ({"to": "secondary"}, UsageError, "secondary_of"),
        ({"to": "primary", "secondary_of": ["192.0.2.1"]}, UsageError, "secondary_of"),
        (
            {"to": "secondary", "secondary_of": ["192.0.2.77"]},
            Conflict,
            r"is a secondary zone of 192\.0\.2\.1, .*zone set",
        ),
        ({}, UsageError, "needs to"),
    ],
)
def test_conversions_that_are_none(served: Desk, args: dict[str, Any], error: type[Exception], text: str) -> None:
    mark = marked(served)
    with pytest.raises(error, match=text):
        served("zone.convert", name=NET, **args)
    assert since(served, mark) == []


def test_converting_to_what_it_is_does_nothing(served: Desk) -> None:
    served("zone.create", name="example.com")
    mark = marked(served)
    same = served("zone.convert", name=NET, to="secondary", secondary_of=PRIMARIES)
    assert (same["changed"], same["messages"][0][:14]) == (False, "nothing to do:")
    assert served("zone.convert", name="example.com", to="primary")["changed"] is False
    assert since(served, mark) == []
    with pytest.raises(NotFound, match=r"no key unknown\."):
        served("zone.convert", name="example.com", to="secondary", secondary_of=["192.0.2.1,key=unknown"])


def test_a_change_of_a_zone_that_was_converted_meanwhile_is_refused(served: Desk) -> None:
    """A transfer that began before the conversion, or an import, must not be committed after it."""
    with served.context.db.read() as conn:
        secondary = zones.get(conn, APEX)
        soa = next(record for record in zones.records(conn, secondary) if record.type == SOA_TYPE)
    new = lines(NET, SOA.format(serial=8))[0]
    change = Changeset((soa,), (new,))
    served("zone.convert", name=NET, to="primary")
    with pytest.raises(Conflict, match="meanwhile"), served.context.db.write() as conn:
        commit.commit_change(conn, secondary, change, served.context.who, kind="ixfr")
    with served.context.db.write() as conn:
        primary = zones.get(conn, APEX)
        assert primary.role is Role.PRIMARY
        assert commit.commit_change(conn, primary, change, served.context.who).serial == 8


# What only a server can do


def test_refresh_and_retransfer_need_a_server(served: Desk) -> None:
    """R23, CONTRACT: with status 6. A server does them itself, so that they never come here."""
    served("zone.create", name="example.com")
    for name in ("zone.refresh", "zone.retransfer"):
        with pytest.raises(Unreachable, match="no server runs"):
            served(name, name=NET, timeout=5)
        with pytest.raises(Conflict, match="no primary to ask"):
            served(name, name="example.com")
        with pytest.raises(NotFound):
            served(name, name="elsewhere.example")


def test_there_is_nothing_to_notify_of_before_the_first_transfer(waiting: Desk) -> None:
    runtime = Runtime()
    waiting.change(runtime=runtime)
    with pytest.raises(Conflict, match="no contents yet"):
        waiting("zone.notify", name=NET)
    assert runtime.asked == []


def test_states_go_with_their_zone(served: Desk) -> None:
    served("zone.delete", name=NET)
    with served.context.db.write() as conn:
        assert len(refresh.load(conn)) == 1
        assert zones.purge_deleted(conn, NOW + 1) == [APEX]
        assert conn.execute(schema.refresh.select()).all() == []
