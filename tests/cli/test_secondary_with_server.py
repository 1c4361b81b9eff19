"""The commands for secondary zones while the server runs: R9, R11, R22, R23, R26 to R28."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.procs import free_port, wait_until
from tests.support.server import Server

MakeServer = Callable[..., Server]


@pytest.fixture
def primary(make_server: MakeServer) -> Server:
    """With the zone example.com, which anybody here may transfer, and the secondary told of nothing."""
    server = make_server("primary")
    server.cli("zone", "create", "example.com")
    server.cli("access", "allow", "--global", "127.0.0.1")
    return server


@pytest.fixture
def secondary(make_server: MakeServer, primary: Server) -> Server:
    """With example.com, transferred."""
    server = make_server("secondary")
    done = server.cli("zone", "create", "example.com", "--secondary-of", at(primary), "--wait", "--json")
    assert done.json["warnings"] == []
    # Which of the two: whether the first transfer was waited for, or had been quicker.
    assert done.json["fetched"]["outcome"] in ("transferred", "current")
    wait_until(lambda: status(server)["transferred"], 10, "what is known is stored")
    return server


def status(server: Server) -> Any:
    return server.cli("zone", "status", "example.com", "--json").json


def at(server: Server) -> str:
    return f"{server.host}:{server.port}"


def edit(primary: Server, name: str) -> int:
    return int(primary.cli("record", "add", "example.com", name, "A", "192.0.2.7", "--json").json["new_serial"])


def test_wait_returns_when_the_zone_is_served(secondary: Server, primary: Server) -> None:
    assert secondary.serial("example.com") == 1
    known = status(secondary)
    assert known["serial"] == {"served": 1, "stored": 1, "notified": known["serial"]["notified"]}
    assert (known["state"], known["stale"], known["last_error"]) == ("active", False, None)
    assert (known["kind"], known["primaries"]) == ("axfr", [at(primary)])
    assert known["since"]["served"] >= known["since"]["stored"] > "2020"
    assert known["next_check"] < known["expires"]


def test_status_for_people(secondary: Server, primary: Server) -> None:
    shown = secondary.cli("zone", "status", "example.com").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["primaries", at(primary)] in lines
    assert any(line[:3] == ["serial", "served", "1"] and line[3] == "since" for line in lines)
    assert any(line[0] == "transferred" and line[2:] == ["by", "AXFR"] for line in lines)
    assert any(line[:3] == ["last", "good", "check"] and line[4:] == ["at", at(primary)] for line in lines)
    assert ["last", "error", "-"] in lines


def test_refresh_says_current_then_what_it_brought(secondary: Server, primary: Server) -> None:
    assert secondary.cli("zone", "refresh", "example.com").stdout == "example.com.: serial 1 is current\n"
    serial = edit(primary, "www")
    assert secondary.cli("zone", "refresh", "example.com").stdout == f"example.com.: serial 1 -> {serial}, by IXFR\n"
    secondary.wait_serial("example.com", serial)
    done = secondary.cli("zone", "refresh", "example.com", "--json").json
    assert (done["outcome"], done["new_serial"]) == ("current", serial)


def test_retransfer_takes_the_whole_zone(secondary: Server) -> None:
    done = secondary.cli("zone", "retransfer", "example.com", "--json").json
    assert (done["outcome"], done["kind"], done["new_serial"]) == ("transferred", "axfr", 1)


def test_a_refresh_that_fails_says_why_and_so_do_status_and_events(secondary: Server, primary: Server) -> None:
    """R22, R27: code 6523 names the zone and the primary's address."""
    primary.stop()
    done = secondary.cli("zone", "refresh", "example.com", "--timeout", "40s", check=False)
    assert done.status == 1
    assert "error: example.com.: Cannot reach the primary 127.0.0.1" in done.stderr
    wait_until(lambda: status(secondary)["stale"], 10, "what is known is stored")
    error = status(secondary)["last_error"]
    assert (error["event"], error["code"]) == ("primary-unreachable", 6523)
    shown = secondary.cli("zone", "status", "example.com").stdout
    assert "primary-unreachable (6523)" in shown
    assert secondary.serial("example.com") == 1  # R26

    def kept() -> list[str]:
        found = secondary.cli("events", "--zone", "example.com", "--json").json["events"]
        return [f"{one['name']} {one['code']} {one['zone']} {one['peer']}" for one in found]

    expected = f"primary-unreachable 6523 example.com. {primary.host}#{primary.port}"
    wait_until(lambda: expected in kept(), 10, lambda: f"it is kept: {kept()}")
    assert "primary-unreachable (6523)" in secondary.cli("events").stdout
    assert secondary.cli("events", "--zone", "example.org", "--json").json["events"] == []
    primary.start()
    assert secondary.cli("zone", "refresh", "example.com").stdout == "example.com.: serial 1 is current\n"


def test_who_knows_an_outcome_finds_its_event(secondary: Server) -> None:
    """Events are stored once a second; a question for them does not come before those of the second."""

    def transferred() -> int:
        found = secondary.control("events", zone="example.com")["events"]
        return sum(one["count"] for one in found if one["name"] == "zone-transferred")

    counts = [transferred()]
    for _ in range(5):
        secondary.control("zone.retransfer", name="example.com")
        counts.append(transferred())
    assert counts == [1, 2, 3, 4, 5, 6]


def test_what_does_not_end_in_time_is_pending(secondary: Server, primary: Server) -> None:
    primary.kill("answerer", signal.SIGSTOP)
    try:
        done = secondary.cli("zone", "refresh", "example.com", "--timeout", "250ms", "--json", check=False)
    finally:
        primary.kill("answerer", signal.SIGCONT)
    assert (done.status, done.json["outcome"]) == (1, "pending")
    assert "zone status" in done.stderr


def test_primaries_that_are_none_are_warned_of(make_server: MakeServer, primary: Server) -> None:
    """R28, by the keeper."""
    server = make_server("secondary")
    gone = f"127.0.0.1:{free_port()}"
    done = server.cli("zone", "create", "example.org", "--secondary-of", gone, "--secondary-of", at(primary))
    assert f"warning: {gone} " in done.stderr
    assert f"warning: {at(primary)} refuses to answer (REFUSED)" in done.stderr


def test_refresh_is_for_secondary_zones(secondary: Server) -> None:
    secondary.cli("zone", "create", "example.net")
    assert secondary.cli("zone", "refresh", "example.net", check=False).status == 7
    assert secondary.cli("zone", "refresh", "example.org", check=False).status == 3


def test_a_converted_zone_is_edited_here_and_followed_again(secondary: Server, primary: Server) -> None:
    """The primary is gone for good: what was transferred becomes primary; later it is secondary again."""
    secondary.cli("zone", "convert", "example.com", "--to", "primary")
    assert edit(secondary, "here") == 2
    secondary.wait_serial("example.com", 2)
    assert secondary.cli("zone", "refresh", "example.com", check=False).status == 7
    for name in ("a", "b"):
        serial = edit(primary, name)
    secondary.cli("zone", "convert", "example.com", "--to", "secondary", "--secondary-of", at(primary))
    secondary.wait_serial("example.com", serial)


def test_events_are_followed_until_interrupted(secondary: Server, primary: Server) -> None:
    # A shell that runs tests in the background has them ignore it, and what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    following = secondary.cli_start("events", "--follow", "--json")
    signal.signal(signal.SIGINT, before)
    assert following.stdout is not None
    first = json.loads(following.stdout.readline())
    assert (first["name"], first["zone"]) == ("zone-transferred", "example.com.")
    edit(primary, "www")
    secondary.cli("zone", "refresh", "example.com")
    again = json.loads(following.stdout.readline())
    assert (again["name"], again["count"]) == ("zone-transferred", 2)
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=20)
    assert (following.returncode, out, err) == (0, "", "")
