"""Keys, access lists, and why a transfer is allowed or not (R1 to R5, R15, R16, R18, R19, R25)."""

from __future__ import annotations

import base64
import json

import pytest

from dnsserver.errors import Conflict, InvalidData, NotFound, UsageError
from tests.support.desk import Desk

SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def explain(desk: Desk, address: str = "192.0.2.7", **more: object) -> dict[str, object]:
    return desk("access.explain", zone="example.com", address=address, **more)


def test_generate_list_show_delete(desk: Desk) -> None:
    assert desk("key.generate", name="Transfer", algorithm="hmac-sha512")["changed"] is True
    with pytest.raises(Conflict):
        desk("key.generate", name="transfer.")
    listed = desk("key.list")
    assert [(key["name"], key["algorithm"], key["readable"]) for key in listed["keys"]] == [
        ("transfer.", "hmac-sha512", True)
    ]
    assert "secret" not in json.dumps(listed)
    assert "secret" not in desk("key.show", name="transfer")
    secret = desk("key.show", name="transfer", secret=True)["secret"]
    assert len(base64.b64decode(secret)) == 64
    desk("key.delete", name="transfer")
    with pytest.raises(NotFound):
        desk("key.show", name="transfer")
    with pytest.raises(NotFound):
        desk("key.delete", name="transfer")


def test_import_and_import_again(desk: Desk) -> None:
    assert desk("key.import", name="k", algorithm="HMAC-SHA256.", secret=SECRET)["changed"] is True
    assert desk("key.import", name="k", algorithm="hmac-sha256", secret=SECRET)["changed"] is False
    assert desk("key.import", name="k", algorithm="hmac-sha384", secret=SECRET)["changed"] is True
    assert desk("key.show", name="k")["algorithm"] == "hmac-sha384"
    assert [line["action"] for line in desk("history")["entries"]] == ["key-replace", "key-add"]


def test_weak_keys_by_opt_in(desk: Desk) -> None:
    for name in ("hmac-md5", "hmac-md5.sig-alg.reg.int", "hmac-sha1"):
        with pytest.raises(InvalidData, match="--weak"):
            desk("key.import", name="k", algorithm=name, secret=SECRET)
        assert "weak" in desk("key.import", name=name, algorithm=name, secret=SECRET, weak=True)["messages"][0]
    with pytest.raises(InvalidData):
        desk("key.generate", name="k", algorithm="hmac-sha1")


@pytest.mark.parametrize("secret", ["not base64!", "====", "c2VjcmV"])
def test_a_bad_secret_is_not_repeated(desk: Desk, secret: str) -> None:
    with pytest.raises(InvalidData) as caught:
        desk("key.import", name="k", algorithm="hmac-sha256", secret=secret)
    assert secret not in str(caught.value)
    with pytest.raises(InvalidData, match="there are hmac-sha224"):
        desk("key.import", name="k", algorithm="rot13", secret=SECRET)


def test_a_key_in_use_is_not_deleted(zone: Desk) -> None:
    """CONTRACT: status 7 and where it is used."""
    zone("key.generate", name="k")
    zone("access.allow", layer="zone", zone="example.com", key="k")
    zone("zone.set", name="example.com", changes=["also-notify=192.0.2.1,key=k"])
    with pytest.raises(Conflict) as caught:
        zone("key.delete", name="k")
    assert "example.com." in caught.value.message
    zone("access.revoke", layer="zone", zone="example.com", key="k")
    with pytest.raises(Conflict, match=r"settings of zone example\.com\."):
        zone("key.delete", name="k")
    zone("zone.set", name="example.com", changes=["also-notify="])
    zone("key.delete", name="k")


def test_allow_and_revoke(zone: Desk) -> None:
    result = zone("access.allow", layer="zone", zone="example.com", prefix="192.0.2.0/24")
    assert (result["changed"], result["zone"], result["entry"]) == (True, "example.com.", "192.0.2.0/24")
    again = zone("access.allow", layer="zone", zone="example.com", prefix="192.0.2.0/24")
    assert again["changed"] is False
    assert zone("access.list")["entries"][0]["user"] == "alice"
    assert zone("access.revoke", layer="zone", zone="example.com", prefix="192.0.2.0/24")["changed"] is True
    assert zone("access.revoke", layer="zone", zone="example.com", prefix="192.0.2.0/24")["changed"] is False
    assert [line["action"] for line in zone("history")["entries"][:2]] == ["access-revoke", "access-allow"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"layer": "everyone", "prefix": "192.0.2.1"}, InvalidData),
        ({"layer": "global"}, UsageError),
        ({"layer": "global", "zone": "example.com", "prefix": "192.0.2.1"}, UsageError),
        ({"layer": "zone", "prefix": "192.0.2.1"}, UsageError),
        ({"layer": "zone", "zone": "example.org", "prefix": "192.0.2.1"}, NotFound),
        ({"layer": "global", "prefix": "192.0.2.1/24"}, InvalidData),
        ({"layer": "global", "key": "unknown"}, NotFound),
    ],
)
def test_what_is_wrong_is_refused(zone: Desk, args: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        zone("access.allow", **args)
    assert zone("access.list")["entries"] == []


def test_lists_of_one_zone(zone: Desk) -> None:
    zone("zone.create", name="example.org")
    zone("access.allow", layer="zone", zone="example.org", prefix="192.0.2.1")
    zone("access.allow", layer="super-slave", prefix="192.0.2.2")
    assert [e["entry"] for e in zone("access.list", zone="example.com")["entries"]] == ["192.0.2.2/32"]
    assert len(zone("access.list")["entries"]) == 2


def test_with_no_list_everything_is_denied(zone: Desk) -> None:
    """R15, R18."""
    result = explain(zone)
    assert (result["allowed"], result["layer"], result["entry"]) == (False, None, None)
    assert result["reason"] == "no-entries"
    assert result["key_required"] is False


def test_explain_names_layer_and_entry(zone: Desk) -> None:
    """R18."""
    zone("access.allow", layer="super-slave", prefix="192.0.2.0/24")
    result = explain(zone, "::ffff:192.0.2.7")
    assert (result["allowed"], result["layer"], result["entry"]) == (True, "super-slave", "192.0.2.0/24")
    zone("zone.suspend", name="example.com")
    result = explain(zone)
    assert (result["allowed"], result["reason"]) == (False, "zone-suspended")
    with pytest.raises(InvalidData):
        explain(zone, "here")
    with pytest.raises(NotFound):
        zone("access.explain", zone="example.org", address="192.0.2.1")


def test_explain_whether_a_key_is_required(zone: Desk) -> None:
    """R19."""
    zone("key.import", name="k", algorithm="hmac-sha256", secret=SECRET)
    zone("access.allow", layer="zone", zone="example.com", prefix="192.0.2.0/24", key="k")
    result = explain(zone)
    assert (result["allowed"], result["reason"], result["key_required"]) == (False, "key-required", True)
    assert result["keys"] == ["k."]
    assert explain(zone, key="k")["allowed"] is True
    unknown = explain(zone, key="other")
    assert (unknown["allowed"], unknown["reason"]) == (False, "bad-signature")
    assert unknown["key"] == {"name": "other.", "known": False, "algorithm_matches": None, "secret_matches": None}


@pytest.mark.parametrize(
    ("name", "algorithm", "secret", "matches"),
    [
        ("k", "hmac-sha256", SECRET, (True, True, True)),
        ("k", "hmac-sha512", SECRET, (True, False, True)),
        ("k", "hmac-sha256", base64.b64encode(b"x" * 32).decode(), (True, True, False)),
        ("other", "hmac-sha256", SECRET, (False, None, None)),
    ],
)
def test_explain_whether_name_algorithm_and_secret_match(
    zone: Desk, name: str, algorithm: str, secret: str, matches: tuple[bool, bool | None, bool | None]
) -> None:
    """R19."""
    zone("key.import", name="k", algorithm="hmac-sha256", secret=SECRET)
    zone("access.allow", layer="zone", zone="example.com", key="k")
    result = explain(zone, key_file={"name": name, "algorithm": algorithm, "secret": secret})
    shown = result["key"]
    assert isinstance(shown, dict)
    assert (shown["known"], shown["algorithm_matches"], shown["secret_matches"]) == matches
    assert result["allowed"] is (matches == (True, True, True))
    assert secret not in json.dumps(result)


def test_a_super_slave_of_one_address_may_take_notify_on_a_port_of_its_own(desk: Desk) -> None:
    """R8, --notify-port: part of the entry, changed by allowing it again."""

    def port() -> object:
        return [entry["notify_port"] for entry in desk("access.list")["entries"]]

    assert desk("access.allow", layer="super-slave", prefix="192.0.2.1")["changed"] is True
    assert port() == [53]
    assert desk("access.allow", layer="super-slave", prefix="192.0.2.1", notify_port=5301)["changed"] is True
    assert desk("access.allow", layer="super-slave", prefix="192.0.2.1", notify_port=5301)["changed"] is False
    assert desk("access.allow", layer="super-slave", prefix="192.0.2.1")["changed"] is False
    assert port() == [5301]
    with pytest.raises(InvalidData, match="single address"):
        desk("access.allow", layer="super-slave", prefix="192.0.2.0/24", notify_port=5301)
    with pytest.raises(InvalidData, match="super-slave"):
        desk("access.allow", layer="global", prefix="192.0.2.1", notify_port=5301)
