"""The commands while the server runs: through its control socket, served at once, and quickly."""

from __future__ import annotations

import json
import os
import pwd
import socket
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.procs import free_port, wait_until
from tests.support.server import Server

MakeServer = Callable[..., Server]


def make_zone(server: Server) -> None:
    """Its one name server is its SOA MNAME: nobody is notified by the NS set (R8)."""
    server.cli("zone", "create", "example.com")


def test_an_edit_goes_through_the_server_and_is_served_when_wait_returns(make_server: MakeServer) -> None:
    server = make_server()
    make_zone(server)
    done = server.cli("record", "add", "example.com", "www", "A", "192.0.2.7", "--wait", "--json")
    assert "no server" not in done.stderr
    assert server.serial("example.com") == done.json["new_serial"] == 2
    assert [one["served"] for one in done.json["wait"]] == [True]
    state = server.cli("zone", "status", "example.com", "--json").json
    assert state["serial"]["served"] == 2


def test_wait_names_the_secondary_that_does_not_answer(make_server: MakeServer) -> None:
    server = make_server()
    make_zone(server)
    port = free_port()
    server.cli("zone", "set", "example.com", f"also-notify=127.0.0.1:{port}")
    done = server.cli("record", "add", "example.com", "www", "A", "192.0.2.7", "--wait", "--timeout", "2s", check=False)
    assert done.status == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert server.serial("example.com") == 2


def test_wait_returns_when_the_secondary_has_answered(make_server: MakeServer) -> None:
    """A secondary of one socket: it answers the NOTIFY (RFC 1996, 3.7: same ID and question, QR set)."""
    server = make_server()
    make_zone(server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as secondary:
        secondary.bind(("127.0.0.1", 0))
        secondary.settimeout(0.1)
        server.cli("zone", "set", "example.com", f"also-notify=127.0.0.1:{secondary.getsockname()[1]}")
        waiting = server.cli_start("record", "add", "example.com", "www", "A", "192.0.2.7", "--wait", "--json")
        while waiting.poll() is None:
            try:
                packet, peer = secondary.recvfrom(4096)
            except TimeoutError:
                continue  # NOTIFYs of a zone are a second apart (LIMITS), and the first may be that of `zone set`
            secondary.sendto(packet[:2] + bytes((packet[2] | 0x80,)) + packet[3:], peer)
        out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, err
    (answer,) = json.loads(out)["wait"]
    assert [target["ok"] for target in answer["targets"]] == [True]


def test_reload_and_notify_ask_the_server(make_server: MakeServer) -> None:
    server = make_server()
    make_zone(server)
    server.cli("reload")
    server.cli("zone", "notify", "example.com")
    server.settings["workers"] = "many"
    server.write_config()
    assert server.cli("reload", check=False).status == 4


@pytest.mark.xdist_group("timing")
def test_an_edit_takes_a_fifth_of_a_second_of_processor_time_at_most(make_server: MakeServer) -> None:
    """The whole process of a command, while the server does the work; wall time says little on a busy machine."""
    server = make_server()
    make_zone(server)
    taken = []
    for number in range(5):
        before = os.times()
        command = server.command("record", "add", "example.com", f"n{number}", "A", "192.0.2.7")
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert statistics.median(taken) <= 0.2, taken


def test_what_the_server_refuses_arrives_with_its_status(make_server: MakeServer) -> None:
    server = make_server()
    make_zone(server)
    for status, words in {
        3: ("zone", "show", "example.org"),
        4: ("record", "add", "example.com", "www", "A", "x"),
        7: ("zone", "create", "example.com"),
    }.items():
        assert server.cli(*words, check=False).status == status


def test_after_the_server_has_ended_the_database_is_edited_itself(make_server: MakeServer) -> None:
    server = make_server()
    make_zone(server)
    server.stop()
    done = server.cli("record", "add", "example.com", "www", "A", "192.0.2.7")
    assert "nothing is served yet" in done.stderr
    server.start()
    server.wait_serial("example.com", 2)


def test_the_history_names_whoever_the_kernel_says_and_behind_root_the_person(make_server: MakeServer) -> None:
    """CONTRACT: with time and user. Only root may say for whom it works: ``sudo dnsserver …`` is a person's doing."""
    server = make_server(env={"SUDO_USER": "alice"})
    make_zone(server)
    own = pwd.getpwuid(os.geteuid()).pw_name
    (newest,) = server.cli("history", "--limit", "1", "--json").json["entries"]
    assert newest["user"] == ("alice" if own == "root" else own)


def test_wait_names_the_name_server_that_has_no_address(make_server: MakeServer) -> None:
    """CONTRACT, ``--wait``: it says which secondaries have not answered; one without an address cannot."""
    server = make_server()
    server.cli("zone", "create", "example.com", "--ns", "ns1.nowhere.invalid")
    done = server.cli(
        "record", "add", "example.com", "www", "A", "192.0.2.7", "--wait", "--timeout", "20s", check=False
    )
    assert done.status == 1
    assert "ns1.nowhere.invalid. has not answered the NOTIFY: the name has no address" in done.stderr


@pytest.mark.parametrize("ns", ["ns1.example.net", "ns1.nowhere.invalid"])
def test_who_is_taken_off_the_list_is_notified_no_more(make_server: MakeServer, ns: str) -> None:
    """LIMITS, notify-interval: until answered NOERROR, superseded, or removed."""
    server = make_server()
    server.cli("zone", "create", "example.com", "--ns", ns)
    port = free_port()
    slave = ("--super-slave", "127.0.0.1")
    server.cli("access", "allow", *slave, "--notify-port", str(port))
    server.cli("record", "add", "example.com", "www", "A", "192.0.2.7")
    server.wait_event("notify-sent", target=f"127.0.0.1:{port}", serial="2")
    server.cli("access", "revoke", *slave)
    done = server.cli(
        "record", "add", "example.com", "www", "A", "192.0.2.8", "--wait", "--timeout", "20s", check=False
    )
    assert str(port) not in done.stderr
    assert not server.events("notify-sent", target=f"127.0.0.1:{port}", serial="3")


def test_a_target_that_is_taken_away_is_not_asked_again(make_server: MakeServer) -> None:
    server = make_server()
    make_zone(server)
    gone, stays = free_port(), free_port()
    server.cli("zone", "set", "example.com", f"also-notify=127.0.0.1:{gone}", f"also-notify=127.0.0.1:{stays}")
    server.cli("record", "add", "example.com", "www", "A", "192.0.2.7")
    server.wait_event("notify-sent", target=f"127.0.0.1:{gone}", serial="2")
    server.cli("zone", "set", "example.com", f"also-notify=127.0.0.1:{stays}")

    def asked(port: int) -> int:
        return len(server.events("notify-sent", target=f"127.0.0.1:{port}"))

    # One may have been under way. The one that was taken away would be asked again as often as the other.
    before, enough = asked(gone), asked(stays) + 3
    wait_until(lambda: asked(stays) >= enough, 60, "it is asked again")
    assert asked(gone) <= before + 1


def test_a_long_import_stands_back(make_server: MakeServer, tmp_path: Path) -> None:
    """Where it shares a processor with the answerer, answers come first."""
    server = make_server()
    head = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 900 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
    path = tmp_path / "large.zone"
    path.write_text(head + "".join(f"a-name-of-some-length-{n:06} A 192.0.2.{n % 256}\n" for n in range(110_000)))
    command = server.command("zone", "import", "large.test", str(path))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as importing:
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, importing.pid) >= 10, 30, "it is nice")
        assert importing.wait(120) == 0
    server.wait_serial("large.test", 1)
