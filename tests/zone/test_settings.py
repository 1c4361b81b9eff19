"""Settings of zones and NOTIFY targets (CONTRACT, zone set)."""

from __future__ import annotations

import pytest

from dnsserver.errors import InvalidData
from dnsserver.zone import names
from dnsserver.zone.serial import SerialPolicy
from dnsserver.zone.settings import Target, ZoneSettings

KEY = names.from_text("k.")


@pytest.mark.parametrize(
    ("text", "target", "back"),
    [
        ("192.0.2.1", Target("192.0.2.1"), "192.0.2.1"),
        ("192.0.2.1:53", Target("192.0.2.1"), "192.0.2.1"),
        ("192.0.2.1:5301,key=K", Target("192.0.2.1", 5301, KEY), "192.0.2.1:5301,key=k."),
        ("2001:DB8::1", Target("2001:db8::1"), "2001:db8::1"),
        ("[2001:db8::1]", Target("2001:db8::1"), "2001:db8::1"),
        ("[2001:db8:0::1]:5301", Target("2001:db8::1", 5301), "[2001:db8::1]:5301"),
        ("::ffff:192.0.2.1, key=k.", Target("192.0.2.1", 53, KEY), "192.0.2.1,key=k."),
    ],
)
def test_targets(text: str, target: Target, back: str) -> None:
    assert Target.parse(text) == target
    assert target.text() == back
    assert Target.parse(back) == target


@pytest.mark.parametrize(
    "text",
    ["", "here", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:x", "[2001:db8::1", "[2001:db8::1]53", "192.0.2.1,k",
     "192.0.2.1,key=", "192.0.2.0/24", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "192.0.2.1:53:53"],
)  # fmt: skip
def test_bad_targets(text: str) -> None:
    with pytest.raises(InvalidData):
        Target.parse(text)


def test_changes_and_back_from_json() -> None:
    changes = ["serial-policy=DATE", "notify=off", "ixfr=udp", "also-notify=192.0.2.1,key=k", "also-notify=2001:db8::1",
               "allow-notify=192.0.2.0/24", "allow-notify=key=k", "allow-notify=192.0.2.9,key=k", "notify_to_soa=on",
               "default-ttl=1h30m"]  # fmt: skip
    settings = ZoneSettings().with_change(changes)
    assert settings.serial_policy is SerialPolicy.DATE
    assert (settings.notify, settings.ixfr, settings.notify_to_soa, settings.default_ttl) == (False, "udp", True, 5400)
    assert [target.text() for target in settings.also_notify] == ["192.0.2.1,key=k.", "2001:db8::1"]
    assert [entry.text() for entry in settings.allow_notify] == ["192.0.2.0/24", "key=k.", "192.0.2.9/32 key=k."]
    assert settings.keys() == {KEY}
    assert ZoneSettings.from_json(settings.to_json()) == settings
    assert ZoneSettings.from_json("{}") == ZoneSettings()


def test_a_list_is_replaced_or_emptied() -> None:
    settings = ZoneSettings().with_change(["also-notify=192.0.2.1"])
    assert settings.with_change(["also-notify=192.0.2.2"]).also_notify == (Target("192.0.2.2"),)
    assert settings.with_change(["also-notify="]).also_notify == ()
    assert settings.with_change(["notify=off"]).also_notify == settings.also_notify


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("colour=red", "there is no setting 'colour'; there are serial-policy, notify, ixfr"),
        ("notify", "KEY=VALUE"),
        ("notify=maybe", "notify: 'maybe' is neither on nor off"),
        ("ixfr=tcp", "ixfr: 'tcp' is none of on, udp, off"),
        ("serial-policy=x", "serial-policy: 'x' is none of increment, unixtime, date"),
        ("default-ttl=-1", "default-ttl: "),
        ("default-ttl=2147483648", "default-ttl: "),
        ("also-notify=x", "also-notify: "),
        ("allow-notify=192.0.2.1/24", "allow-notify: "),
    ],
)
def test_errors_name_the_key_and_the_values(change: str, words: str) -> None:
    with pytest.raises(InvalidData) as caught:
        ZoneSettings().with_change([change])
    assert words in caught.value.message


def test_one_value_of_what_has_one() -> None:
    with pytest.raises(InvalidData, match="2 times"):
        ZoneSettings().with_change(["notify=on", "notify=off"])
