"""The man pages are those of the commands as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dnsserver.cli.manual import main, pages

ZONE = """create import export list show status check edit diff history rollback suspend resume delete restore set
notify refresh retransfer convert"""
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "man"


def test_the_committed_pages_are_what_scripts_man_makes() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.1")} == pages()
    assert main([str(FOLDER), "--check"]) == 0


def test_check_names_the_pages_that_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "man")]) == 0
    (tmp_path / "man" / "dnsserver-zone.1").write_text("old")
    assert main([str(tmp_path / "man"), "--check"]) == 1
    assert "dnsserver-zone.1" in capsys.readouterr().err


def test_every_command_of_the_contract_has_its_section() -> None:
    words = {
        "dnsserver.1": ["serve", "reload", "events", "history", "completion"],
        "dnsserver-zone.1": ZONE.split(),
        "dnsserver-record.1": ["list", "add", "set", "delete", "apply"],
        "dnsserver-key.1": ["generate", "import", "list", "show", "delete"],
        "dnsserver-access.1": ["list", "allow", "revoke", "explain"],
        "dnsserver-config.1": ["check"],
        "dnsserver-db.1": ["upgrade", "current"],
    }
    found = pages()
    assert found.keys() == words.keys()
    for page, commands in words.items():
        prefix = page.removesuffix(".1").replace("-", " ")
        headings = [
            line.split()[len(prefix.split()) + 1] for line in found[page].splitlines() if line.startswith(".SS")
        ]
        assert headings == commands


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_say_against_them() -> None:
    for text in pages().values():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-wmac", "-K", "utf8"], input=text, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
