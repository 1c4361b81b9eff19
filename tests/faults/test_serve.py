"""The server's life: starts that fail, processes that die, signals, the service manager (issue 3, item 8)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import client
from tests.support.client import serial_of
from tests.support.fixtures import MakeServer
from tests.support.procs import free_port, wait_until
from tests.support.server import Role, Server

pytestmark = pytest.mark.faults

ZONE = "example.test."
TEXT = """$ORIGIN example.test.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.71
www A 192.0.2.1
"""


@pytest.fixture
def server(make_server: MakeServer, tmp_path: Path) -> Server:
    made: Server = make_server()
    (tmp_path / "zone").write_text(TEXT)
    # In this order: when the zone is served, the list is in force.
    made.allow_everywhere("127.0.0.1")
    made.cli("zone", "import", ZONE, str(tmp_path / "zone"))
    made.wait_serial(ZONE, 1)
    return made


def fails_to_serve(server: Server) -> tuple[int, str]:
    """The status and the words of a ``serve`` that cannot begin."""
    done = subprocess.run(server.command("serve"), capture_output=True, text=True, env=server.env, timeout=30)
    return done.returncode, done.stderr


def add(server: Server, name: str) -> int:
    return int(server.cli("record", "add", ZONE, name, "A", "192.0.2.9", "--json").json["new_serial"])


# Starts that fail


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use_is_named(make_server: MakeServer, kind: socket.SocketKind) -> None:
    server: Server = make_server(start=False)
    with socket.socket(type=kind) as taken:
        taken.bind(server.endpoint)
        if kind == socket.SOCK_STREAM:
            taken.listen()
        status, words = fails_to_serve(server)
    assert status == 1
    assert f"127.0.0.1:{server.port}" in words
    assert "Traceback" not in words


def test_it_serves_without_standard_files(make_server: MakeServer) -> None:
    """As under a service manager that gives none: their numbers are then the next ones that a file gets."""
    server: Server = make_server(start=False)
    words = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *server.command("serve")]
    with subprocess.Popen(words, env=server.env, start_new_session=True) as process:
        try:
            wait_until(lambda: server.control("ping", within=1) is not None, 30, lambda: "the keeper answers")
            wait_until(lambda: client.ask(server.endpoint, ZONE, "SOA", timeout=1) is not None, 30, lambda: "an answer")
        finally:
            process.terminate()
    assert process.returncode == 0


def test_a_missing_database_is_made_by_serve_only(make_server: MakeServer) -> None:
    server: Server = make_server(start=False)
    result = server.cli("zone", "list", check=False)
    assert result.status != 0
    assert str(server.database) in result.stderr
    assert not server.database.exists()
    server.start()
    assert server.database.exists()
    assert server.cli("zone", "list", "--json").json["version"] == 1


@pytest.mark.parametrize("damage", [b"this is no database", b"SQLite format 3\0" + bytes(5000)])
def test_a_corrupt_database_is_a_clear_error(make_server: MakeServer, damage: bytes) -> None:
    server: Server = make_server(start=False)
    server.database.write_bytes(damage)
    status, words = fails_to_serve(server)
    assert status == 1
    assert server.database.name in words
    assert "Traceback" not in words
    assert server.database.read_bytes() == damage


def test_an_error_in_the_configuration_is_named(make_server: MakeServer) -> None:
    server: Server = make_server(start=False)
    server.settings["listen"] = "x"
    server.limits["tcp-idle"] = "soon"
    server.write_config()
    status, words = fails_to_serve(server)
    assert status == 4
    assert "listen" in words
    assert "tcp-idle" in words


def test_a_second_server_on_the_same_database_is_refused(server: Server, make_server: MakeServer) -> None:
    second: Server = make_server("second", start=False)
    second.config_path.write_text(second.config_path.read_text().replace("///dnsserver.db", f"///{server.database}"))
    status, words = fails_to_serve(second)
    assert status == 7
    assert str(server.database) in words
    assert server.serial(ZONE) == 1
    assert add(server, "still") == 2


def test_a_second_server_behind_the_same_control_socket_is_refused(server: Server, make_server: MakeServer) -> None:
    second: Server = make_server("second", start=False)
    second.settings["control-socket"] = str(server.control_socket)
    second.write_config()
    status, words = fails_to_serve(second)
    assert status == 7
    assert str(server.control_socket) in words
    assert add(server, "still") == 2


# Processes that die


@pytest.mark.parametrize("role", ["keeper", "answerer"])
def test_a_killed_process_is_started_again(server: Server, role: Role) -> None:
    before = server.processes()
    server.kill(role)
    wait_until(lambda: server.processes()[role] not in ([], before[role]), 20, f"a new {role}")
    server.wait_ready()
    server.wait_event(
        "process-ended", process=f"{role}" if server.events("process-ended", process=role) else "dnsserver"
    )
    serial = add(server, "after")
    server.wait_serial(ZONE, serial)
    assert server.processes()["supervisor"] == before["supervisor"]


def test_several_answerers_serve_what_was_acknowledged(make_server: MakeServer, tmp_path: Path) -> None:
    """Whichever the kernel hands a packet to (SO_REUSEPORT), it serves the change; also after one of them died."""
    server: Server = make_server(server={"workers": 3})
    (tmp_path / "zone").write_text(TEXT)
    server.cli("zone", "import", ZONE, str(tmp_path / "zone"))
    killed = server.processes()["answerer"]
    assert len(killed) == 3
    for name in ("one", "two", "three"):
        words = ("record", "add", ZONE, name, "A", "192.0.2.9", "--wait", "--json")
        serial = server.cli(*words).json["new_serial"]
        # Each question comes from a port of its own, so that all three are asked.
        assert {server.serial(ZONE) for _ in range(40)} == {serial}
    os.kill(killed[0], signal.SIGKILL)
    wait_until(lambda: len(set(server.processes()["answerer"]) - {killed[0]}) == 3, 20, "a third answerer")
    serial = add(server, "four")
    wait_until(lambda: {server.serial(ZONE) for _ in range(40)} == {serial}, 20, "all serve it")
    server.stop()
    assert sum(int(event["status"]) != 0 for event in server.events("process-ended")) == 1


def test_answers_go_on_without_the_keeper(server: Server) -> None:
    """All queries while it is away, and an IXFR along what the answerer has seen."""
    assert add(server, "first") == 2
    server.wait_serial(ZONE, 2)
    (keeper,) = server.processes()["keeper"]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for _ in range(50):
            assert server.serial(ZONE) == 2
        assert client.ask(server.endpoint, f"www.{ZONE}", "A", tcp=True).answer
        rows = client.transfer(server.endpoint, ZONE, serial=1, timeout=30).rows
        assert [row.type for row in rows].count("SOA") == 4
    finally:
        os.kill(keeper, signal.SIGCONT)
    server.kill("keeper")
    for _ in range(50):
        assert server.serial(ZONE) == 2
    server.wait_ready()
    server.wait_serial(ZONE, add(server, "second"))
    assert [row.type for row in client.transfer(server.endpoint, ZONE, serial=2).rows].count("SOA") == 4


def test_no_query_is_lost_for_long_when_the_answerer_dies(server: Server) -> None:
    server.kill("answerer")
    wait_until(lambda: server.serial(ZONE) == 1, 20, "answers again")


def test_children_end_with_a_killed_supervisor(server: Server) -> None:
    pids = [pid for role, found in server.processes().items() if role != "supervisor" for pid in found]
    server.kill("supervisor")
    wait_until(lambda: not any(_alive(pid) for pid in pids), 10, "the children end by themselves")
    server.start()
    assert server.serial(ZONE) == 1


def test_a_fault_of_the_supervisor_ends_the_server(server: Server) -> None:
    """One that watches no more would seem to run on: whoever started the server is to see that it does not."""
    pids = [pid for role, found in server.processes().items() if role != "supervisor" for pid in found]
    (keeper,) = server.processes()["keeper"]
    # A line of its that nobody can read: all that a child writes is to be understood.
    Path(f"/proc/{keeper}/fd/1").write_bytes(b"\xff\n")
    wait_until(lambda: not server.running, 30, "it ends")
    assert server.stop() == 1
    assert "UnicodeDecodeError" in server.log
    assert not server.events("process-killed")
    wait_until(lambda: not any(_alive(pid) for pid in pids), 10, "and so do its children")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Edits beside the server


def test_an_edit_made_directly_in_the_database_is_served_and_notified(server: Server) -> None:
    """The feed, not the control socket: a CLI that finds no socket edits the database itself (DESIGN, 2)."""
    with socket.socket(type=socket.SOCK_DGRAM) as secondary:
        port = free_port()
        secondary.bind(("127.0.0.1", port))
        secondary.settimeout(15)
        server.cli("zone", "set", ZONE, f"also-notify=127.0.0.1:{port}")
        beside = Server(server.directory / "beside", server={"secret-file": str(server.directory / "secret")})
        try:
            text = beside.config_path.read_text()
            beside.config_path.write_text(text.replace("///dnsserver.db", f"///{server.database}"))
            result = beside.cli("record", "add", ZONE, "direct", "A", "192.0.2.9", "--json")
            assert "served" in result.stderr or "server" in result.stderr, "a note that no server was asked"
            serial = result.json["new_serial"]
            server.wait_serial(ZONE, serial)
            assert client.ask(server.endpoint, f"direct.{ZONE}", "A").answer
            told = 0
            while told != serial:
                packet, peer = secondary.recvfrom(4096)
                assert packet[2] >> 3 & 0xF == 4, "NOTIFY"
                told = serial_of(client.answers_in(packet))
                secondary.sendto(packet[:2] + bytes([packet[2] | 0x80]) + packet[3:], peer)
        finally:
            beside.close()


def test_notify_leaves_from_the_address_that_is_configured(make_server: MakeServer, tmp_path: Path) -> None:
    """R6."""
    server: Server = make_server(server={"outbound-address": ["127.0.0.93", "::1"]})
    (tmp_path / "zone").write_text(TEXT)
    server.cli("zone", "import", ZONE, str(tmp_path / "zone"))
    for family, host, source in (
        (socket.AF_INET, "127.0.0.1", "127.0.0.93"),
        (socket.AF_INET6, "::1", "::1"),
    ):
        with socket.socket(family, socket.SOCK_DGRAM) as secondary:
            secondary.bind((host, 0))
            secondary.settimeout(15)
            server.cli("zone", "set", ZONE, f"also-notify=[{host}]:{secondary.getsockname()[1]}")
            add(server, f"from-{family}")
            packet, peer = secondary.recvfrom(4096)
            assert packet[2] >> 3 & 0xF == 4, "NOTIFY"
            assert peer[0] == source
            secondary.sendto(packet[:2] + bytes([packet[2] | 0x80]) + packet[3:], peer)


# Signals


def test_sighup_takes_all_or_nothing(server: Server) -> None:
    server.limits["udp-payload"] = 1400
    server.write_config()
    server.reload()
    server.wait_event("reloaded")
    wait_until(lambda: client.ask(server.endpoint, ZONE, "SOA").payload == 1400, 10, "the new limit holds")

    server.limits["udp-payload"] = 900
    server.settings["lisen"] = "127.0.0.1:1"
    server.write_config()
    server.reload()
    wait_until(lambda: len(server.events("reload-failed")) == 1, 10, "an error")
    assert "lisen" in server.events("reload-failed")[0]["msg"]
    assert client.ask(server.endpoint, ZONE, "SOA").payload == 1400

    del server.settings["lisen"]
    server.settings["listen"] = [f"127.0.0.1:{free_port()}"]
    server.write_config()
    server.reload()
    wait_until(lambda: len(server.events("reload-failed")) == 2, 10, "listen needs a restart")
    assert "restart" in server.events("reload-failed")[1]["msg"]
    assert client.ask(server.endpoint, ZONE, "SOA").payload == 1400
    assert server.cli("reload", check=False).status != 0


def test_sighup_takes_the_limits_of_tcp_and_forgets_answers_of_other_limits(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server: Server = make_server(limits={"tcp-first-byte": "10m"})
    (tmp_path / "zone").write_text(TEXT)
    server.cli("zone", "import", ZONE, str(tmp_path / "zone"))
    server.wait_serial(ZONE, 1)
    www = f"www.{ZONE}"
    assert {client.ask(server.endpoint, www, "A").payload for _ in range(3)} == {1232}
    server.limits.update({"tcp-first-byte": "200ms", "udp-payload": 1000})
    server.write_config()
    server.reload()
    server.wait_event("reloaded")
    wait_until(lambda: client.ask(server.endpoint, www, "A").payload == 1000, 10, "no answer of the old limit")
    with socket.create_connection((server.host, server.port), timeout=60) as silent:
        assert silent.recv(1) == b""


def test_sigterm_answers_what_is_in_flight_and_ends(make_server: MakeServer, tmp_path: Path) -> None:
    """A transfer under way is whole, though the client reads only after the signal."""
    server: Server = make_server()
    (tmp_path / "large").write_text(TEXT + "".join(f"h{n} TXT {'x' * 200}\n" for n in range(40000)))
    server.allow_everywhere("127.0.0.1")
    server.cli("zone", "import", ZONE, str(tmp_path / "large"), timeout=120)
    server.wait_serial(ZONE, 1, 20)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.settimeout(20)
        slow.connect(server.endpoint)
        client.send_tcp(slow, client.transfer_query(ZONE).to_wire())
        slow.recv(1, socket.MSG_PEEK)
        status: list[int] = []
        ending = threading.Thread(target=lambda: status.append(server.stop()))
        ending.start()
        server.wait_event("server-stopping")
        # Read alone: to take it apart may last longer than the server waits for its clients.
        parts = []
        while chunk := slow.recv(1 << 20):
            parts.append(chunk)
        ending.join(20)
    messages = client.messages_in(b"".join(parts))
    assert sum(len(client.answers_in(message)) for message in messages) == 40000 + 5
    assert status == [0]
    with pytest.raises(OSError):  # noqa: PT011 - refused or silence: that it is gone
        client.ask(server.endpoint, ZONE, "SOA", timeout=0.3, tries=1)


def test_an_edit_in_flight_at_sigterm_is_whole(server: Server) -> None:
    """What the CLI was told is there after the next start; what it was not told is there wholly or not at all."""
    edits = [server.cli_start("record", "add", ZONE, f"n{n}", "A", "192.0.2.9", "--json") for n in range(4)]
    wait_until(lambda: any(edit.poll() is not None for edit in edits), 20, "the first edit is done")
    assert server.stop() == 0
    done = [edit.wait(20) == 0 for edit in edits]
    server.start()
    there = {row.owner for row in server.axfr(ZONE)}
    for number, acknowledged in enumerate(done):
        if acknowledged:
            assert f"n{number}.{ZONE}" in there
    for edit in edits:
        edit.communicate()


# The service manager


def test_the_service_manager_is_told(make_server: MakeServer, tmp_path: Path) -> None:
    """sd_notify(3): READY=1 when it answers, RELOADING=1 and READY=1 around a reload, STOPPING=1."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"\0dnsserver-test-{os.getpid()}-{free_port()}"
        manager.bind(name)
        manager.settimeout(20)
        server: Server = make_server(start=False, env={"NOTIFY_SOCKET": "@" + name[1:]})
        server.start()
        assert "READY=1" in manager.recv(4096).decode().splitlines()
        assert client.ask(server.endpoint, ZONE, "SOA")
        server.reload()
        assert "RELOADING=1" in manager.recv(4096).decode().splitlines()
        assert "READY=1" in manager.recv(4096).decode().splitlines()
        assert server.stop() == 0
        assert "STOPPING=1" in manager.recv(4096).decode().splitlines()


# The database in trouble: a change fails with a clear error, nothing half done; answers go on (CONTRACT, Program)


def assert_answers_go_on(server: Server) -> None:
    for _ in range(50):
        assert server.serial(ZONE) == 1


def test_an_edit_waits_for_another_writer(server: Server) -> None:
    with contextlib.closing(sqlite3.connect(server.database, timeout=5, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        edit = server.cli_start("record", "add", ZONE, "blocked", "A", "192.0.2.9")
        assert_answers_go_on(server)
        blocker.execute("ROLLBACK")
    out, err = edit.communicate(timeout=60)
    assert edit.returncode == 0, out + err
    server.wait_serial(ZONE, 2)


def test_a_lost_database_acknowledges_nothing(server: Server) -> None:
    """A file that was taken away still has its open descriptors: what is written there would be lost."""
    away = server.directory / "away"
    away.mkdir()
    for path in server.directory.glob(f"{server.database.name}*"):
        path.rename(away / path.name)
    result = server.cli("record", "add", ZONE, "lost", "A", "192.0.2.9", check=False)
    assert result.status == 1, result
    assert server.database.name in result.stderr
    assert_answers_go_on(server)
    for path in away.iterdir():
        path.rename(server.directory / path.name)
    wait_until(
        lambda: server.cli("record", "add", ZONE, "found", "A", "192.0.2.9", check=False).status == 0, 30, "back"
    )
    server.wait_serial(ZONE, 2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; mounting one needs root."""
    where = tmp_path / "disk"
    where.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(where)]).returncode:
        pytest.skip("a file system of its own can be mounted by root only")
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)


def test_a_full_disk_refuses_changes_and_answers_go_on(
    small_disk: Path, make_server: MakeServer, tmp_path: Path
) -> None:
    server: Server = make_server(start=False)
    server.config_path.write_text(server.config_path.read_text().replace("///dnsserver.db", f"///{small_disk}/db"))
    server.start()
    (tmp_path / "zone").write_text(TEXT)
    server.cli("zone", "import", ZONE, str(tmp_path / "zone"))
    server.wait_serial(ZONE, 1)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    lines = [f"zone {ZONE}", *(f"update add n{n}.{ZONE} 60 TXT {'x' * 200}" for n in range(2000)), "send", ""]
    result = server.cli("record", "apply", "-", input="\n".join(lines), check=False)
    assert result.status == 1, result
    assert "full" in result.stderr
    assert "Traceback" not in result.stderr
    assert_answers_go_on(server)
    filler.unlink()
    wait_until(lambda: server.cli("record", "add", ZONE, "room", "A", "192.0.2.9", check=False).status == 0, 30, "room")
    server.wait_serial(ZONE, 2)
    names = [record["name"] for record in server.cli("record", "list", ZONE, "--json").json["records"]]
    assert sorted(set(names)) == sorted([ZONE, f"ns1.{ZONE}", f"www.{ZONE}", f"room.{ZONE}"])


def test_answers_come_before_edits_where_they_share_a_processor(server: Server) -> None:
    """The answerer has the priority that the server was started with; the keeper a quarter of its share."""
    niceness = {
        role: {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} for role, pids in server.processes().items()
    }
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert niceness["answerer"] == {own}
    assert niceness["keeper"] == {min(own + 5, 19)}
