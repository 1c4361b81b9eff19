"""What README.md and docs/standards.md say holds: commands, lines to paste, links, names of tests."""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
SECRET = base64.b64encode(bytes(32)).decode()
CHECKS = {
    "BIND": ("named-checkconf", "{file}"),
    "NSD": ("nsd-checkconf", "{file}"),
    "Knot DNS": ("knotc", "-c", "{file}", "conf-check"),
}


def block(after: str) -> str:
    """The first indented block after a line that begins so."""
    found = re.search(
        rf"^{re.escape(after)}[^\n]*(?:\n[^\n ][^\n]*)*\n\n((?:(?: {{4}}[^\n]*)?\n)+)", README, re.MULTILINE
    )
    assert found, f"README.md has no block after {after!r}"
    return "".join(line[4:] + "\n" for line in found[1].splitlines()).strip() + "\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "dnsserver.toml"
    # Bound to loopback, no question to a primary of the text leaves this machine.
    text = '[server]\nlisten = ["127.0.0.1:1"]\noutbound-address = ["127.0.0.1"]\nname = "ns1.example.com"\n'
    config.write_text(text)
    return {**os.environ, "DNSSERVER_CONFIG": str(config), "HOME": str(tmp_path)}


def commands(*headings: str) -> list[str]:
    """The commands of dnsserver in the blocks, what stands in brackets left out."""
    lines = [line for heading in headings for line in block(heading).splitlines()]
    return [re.sub(r" \[.*\]", "", line) for line in lines if line.startswith("dnsserver ")]


def test_the_commands_work_as_they_stand(environment: dict[str, str], tmp_path: Path) -> None:
    def run(words: list[str]) -> int:
        command = [sys.executable, "-m", "dnsserver", *words]
        secret = (SECRET + "\n").encode()
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, input=secret).returncode

    assert run(["db", "upgrade"]) == 0
    todo = commands(
        "With the server running", "Here the primary is", "**With TSIG** make a key", "Then look that it works",
        "Here this server is", "it cannot be reached", "A change on the primary",
    )  # fmt: skip
    assert len(todo) >= 19
    for line in todo:
        # No server runs here: what asks it to act says so (CONTRACT: status 6).
        expected = 6 if line.split()[2] in ("notify", "refresh", "retransfer") else 0
        assert run(shlex.split(line)[1:]) == expected, line


@pytest.mark.parametrize("role", ["", "On "])
@pytest.mark.parametrize("server", CHECKS)
@pytest.mark.interop("named-checkconf", "nsd-checkconf", "knotc")
def test_the_other_server_takes_the_lines(server: str, role: str, tmp_path: Path) -> None:
    """As a secondary, and ("On …") as a primary."""
    text = block(f"{role}{server}, `").replace("SECRET", SECRET)
    assert SECRET in text
    if server == "Knot DNS":
        text = f'server:\n  rundir: "{tmp_path}"\ndatabase:\n  storage: "{tmp_path}"\n' + text
    file = tmp_path / "secondary.conf"
    file.write_text(text)
    program, *words = CHECKS[server]
    where = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    assert where
    command = [where, *(word.format(file=file) for word in words)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (Path(__file__).resolve().parent.parent / link).exists()


STANDARDS = (Path(__file__).resolve().parent.parent / "docs" / "standards.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`([a-z_/]+\.py(?:::\w+)?)`", STANDARDS))))
def test_the_standards_name_tests_that_stand(reference: str) -> None:
    file, _, name = reference.partition("::")
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert not name or f"def {name}(" in text
