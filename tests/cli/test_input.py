"""What a person gives wrongly, files above all: a clear error with the contract's exit status, never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.files import write
from tests.support.program import Program
from tests.support.server import Server

JUNK = bytes(range(128, 160))


@pytest.fixture
def program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    made = Program(tmp_path, capsys)
    made.good("zone", "create", "example.com", "--ns", "ns1=192.0.2.1", "--init")
    return made


READERS = (
    ("zone", "import", "example.org", "FILE"),
    ("record", "apply", "FILE"),
    ("key", "import", "k", "--file", "FILE"),
    ("access", "explain", "example.com", "--from", "192.0.2.1", "--key", "k", "--key-file", "FILE"),
)


def _absent(path: Path) -> Path:
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _junk(path: Path) -> Path:
    path.write_bytes(JUNK)
    return path


def _too_long(path: Path) -> Path:
    return path.with_name("x" * 5000)


@pytest.mark.parametrize("words", READERS, ids=" ".join)
@pytest.mark.parametrize(("make", "status"), [(_absent, 3), (_folder, 4), (_junk, 4), (_too_long, 1)])
def test_a_file_that_cannot_be_taken(
    program: Program, words: tuple[str, ...], make: Callable[[Path], Path], status: int
) -> None:
    file = make(program.folder / "input")
    done = program(*(file if word == "FILE" else word for word in words))
    assert done.status == status, done
    assert str(file)[:40] in done.err
    assert len(done.err) < 1000
    assert program.serial() == 1


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_file_whose_reading_fails(program: Program, words: tuple[str, ...]) -> None:
    """For root, too: /proc/self/mem is a regular file, and has nothing at its beginning."""
    done = program(*("/proc/self/mem" if word == "FILE" else word for word in words))
    assert done.status in (1, 4)
    assert "Input/output error" in done.err


def test_a_pipe_is_no_zone_file_and_is_not_waited_for(program: Program) -> None:
    os.mkfifo(program.folder / "pipe")
    assert program("zone", "import", "example.org", program.folder / "pipe").status == 4


def test_binary_standard_input_is_no_key(program: Program) -> None:
    done = program.process(
        "key", "import", "k", input="\udcff\udcfe".encode("utf-8", "surrogateescape").decode("latin-1")
    )
    assert done.status == 4
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("2001:db8::1", "2001:db8::/32"),
        ("192.0.2.7/24", "the network is 192.0.2.0/24"),
        ("2001:db8:1::/47", "the network is 2001:db8::/47"),
        ("192.0.2.0/33", "is no network"),
    ],
)
def test_what_is_no_network_is_no_zone_either(program: Program, name: str, said: str) -> None:
    done = program("zone", "create", name)
    assert done.status == 4
    assert said in done.err


def test_a_network_with_its_netmask_is_a_network(program: Program) -> None:
    assert program.good("zone", "create", "192.0.2.0/255.255.255.0", "--json").json["zone"] == "2.0.192.in-addr.arpa."
    assert program.good("zone", "create", "64/26.2.0.192.in-addr.arpa").status == 0


def test_a_prefix_with_host_bits_names_the_one_that_is_meant(program: Program) -> None:
    done = program("access", "allow", "--global", "127.0.0.1/8")
    assert done.status == 4
    assert "127.0.0.0/8" in done.err


def test_what_no_further_line_could_mend_is_told_beside_lines_that_cannot_be_read(program: Program) -> None:
    """CONTRACT: all errors at once. A missing SOA or NS is not told: the line that is not read may be that one."""
    file = write(
        program.folder / "bad", "$TTL 1h", "@ SOA ns h 1 1 1 1 nonsense", "x CNAME y", "x A 192.0.2.1", "y A oops"
    )
    done = program("zone", "import", "example.org", file)
    assert done.status == 4
    places = [line.split(": ")[0] for line in done.err.splitlines() if line.startswith(str(file))]
    assert places == [f"{file}:2", f"{file}:5", f"{file}:3"]
    assert "no SOA" not in done.err


def test_one_problem_is_told_once(program: Program) -> None:
    program.good("record", "add", "example.com", "www", "CNAME", "ns1")
    done = program("record", "add", "example.com", "www", "A", "192.0.2.1")
    assert done.status == 4
    assert done.err.count("CNAME beside other data") == 1


def test_a_batch_tells_the_line_of_its_one_problem(program: Program) -> None:
    file = write(program.folder / "batch", "zone example.com", "", "update add www.example.com. 60 A nonsense", "send")
    done = program("record", "apply", file)
    assert done.status == 4
    assert f"{file}:3: " in done.err


def test_an_output_that_is_full_is_an_error_and_no_traceback(program: Program) -> None:
    for words in (["zone", "list"], ["zone", "export", "example.com"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(program.command(*words), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1
        assert "error: standard output: No space left on device" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_control_socket_that_can_stand_nowhere_is_a_clear_error(program: Program) -> None:
    program.config.write_text('[server]\ncontrol-socket = "/dev/null/x/control.sock"\n')
    done = program.process("serve")
    assert done.status == 1
    assert "[server] control-socket" in done.err
    assert "Traceback" not in done.err


def test_keys_without_their_secret_file_are_told_at_the_start(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    """CONTRACT: where the file is lost, keys are listed as unreadable; the log says so, too."""
    server = make_server()
    server.cli("key", "generate", "k")
    server.stop()
    (server.directory / "secret").unlink()
    server.start()
    assert server.wait_event("keys-unreadable")["names"] == "k."
    (key,) = server.cli("key", "list", "--json").json["keys"]
    assert key["readable"] is False
