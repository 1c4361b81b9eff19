"""The program in a folder of its own, with its configuration and database; no server need run."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dnsserver.cli.app import run


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Program:
    """dnsserver on a database of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.config = folder / "dnsserver.toml"
        self.config.write_text('[server]\nname = "ns1.example.net"\n')

    @property
    def database(self) -> Path:
        return self.folder / "dnsserver.db"

    def __call__(self, *words: str | Path) -> Done:
        """In this process: the same code, without the time to start."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(["--config", str(self.config), *map(str, words)])
        out, err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out, err)

    def good(self, *words: str | Path) -> Done:
        done = self(*words)
        assert done.status == 0, done
        return done

    def process(self, *words: str | Path, input: str = "", **environment: str) -> Done:
        """As a process of its own, without a terminal."""
        done = subprocess.run(self.command(*words), input=input, capture_output=True, text=True, check=False,
                              env=os.environ | {"TMPDIR": str(self.folder)} | environment)  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "dnsserver", "--config", str(self.config), *map(str, words)]

    def on_terminal(self, answer: str, *words: str | Path, **environment: str) -> tuple[int, str]:
        """On a terminal, where ``answer`` is typed when a question ends in ``: ``."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(sys.executable, self.command(*words), os.environ | {"TMPDIR": str(self.folder)} | environment)
        shown = b""
        asked = False
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if not asked and shown.rstrip(b" ").endswith(b"]:"):
                asked = True
                os.write(terminal, answer.encode() + b"\n")
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), shown.decode()

    def serial(self, zone: str = "example.com") -> int:
        return int(self.good("zone", "status", zone, "--json").json["serial"]["stored"])
