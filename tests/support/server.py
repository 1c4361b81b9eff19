"""dnsserver itself as a black box: a subprocess, its configuration file, its CLI, its control socket, its log."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import client
from .client import Endpoint, Row, TsigKey
from .procs import LOOPBACK, Daemon, descendants, free_port, process_name, wait_until

START_SECONDS = 30
# What would change a server's behaviour if it were inherited.
SERVICE_MANAGER = ("NOTIFY_SOCKET", "JOURNAL_STREAM")
Role = Literal["supervisor", "keeper", "answerer"]
Value = str | int | bool


@dataclass(frozen=True)
class Result:
    """What a CLI command did: its exit status and what it wrote."""

    command: str
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class ControlError(Exception):
    """The control socket answered with an error; ``code`` as in errors.py."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]


class Server:
    """One dnsserver in ``directory``; ``server`` and ``limits`` go to those tables of its configuration."""

    def __init__(
        self,
        directory: Path,
        config_extra: str = "",
        *,
        server: Mapping[str, Value | list[str]] | None = None,
        limits: Mapping[str, Value] | None = None,
        env: Mapping[str, str] | None = None,
        addresses: tuple[str, ...] = (LOOPBACK,),
        port: int | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = addresses[0]
        self.port = port or free_port(self.host)
        # A Unix socket's path has at most 107 octets, and pytest's directories are long.
        self._short = Path(tempfile.mkdtemp(prefix="dns-"))
        self.control_socket = self._short / "c"
        self.config_path = directory / "dnsserver.toml"
        self.database = directory / "dnsserver.db"
        self.log_path = directory / "log"
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")
        }
        self.env = {**inherited, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **(env or {})}
        self.settings: dict[str, Value | list[str]] = {
            "listen": [f"{address}:{self.port}" for address in addresses],
            "control-socket": str(self.control_socket),
            "name": "ns1.server.test",
            # Bound to loopback, nothing that a test sends can leave the machine, whatever its zones name.
            "outbound-address": ["127.0.0.1"],
            "secret-file": "secret",
            **(server or {}),
        }
        self.limits = dict(limits or {})
        self.extra = config_extra
        self.write_config()
        self._daemon = Daemon(self.command("serve"), directory, self.log_path, self.env)

    def write_config(self) -> None:
        """The configuration file, from ``settings``, ``limits`` and ``extra``; a running server needs SIGHUP then."""
        lines = ["[server]", *_table(self.settings), "[database]", 'url = "sqlite:///dnsserver.db"', "[limits]"]
        text = "\n".join([*lines, *_table(self.limits), self.extra, ""])
        tomllib.loads(text)
        self.config_path.write_text(text)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.host, self.port)

    @property
    def log(self) -> str:
        return self._daemon.log

    @property
    def running(self) -> bool:
        return self._daemon.running

    @property
    def pid(self) -> int:
        return self._daemon.pid

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "dnsserver", "--config", str(self.config_path), *words]

    def launch(self) -> None:
        """Starts it and does not wait for anything."""
        self._daemon.start()

    def start(self) -> None:
        """Returns when it answers by UDP and TCP and its control socket is there."""
        self.launch()
        wait_until(self.answers, START_SECONDS, lambda: f"dnsserver answers\n{self.log[-4000:]}")
        wait_until(self._controls, START_SECONDS, lambda: f"the keeper listens\n{self.log[-4000:]}")

    def answers(self) -> bool:
        assert self.running, f"dnsserver ended:\n{self.log[-4000:]}"
        client.ask(self.endpoint, "server.invalid", "SOA", timeout=0.3, tries=1)
        client.ask(self.endpoint, "server.invalid", "SOA", tcp=True, timeout=0.3)
        return True

    def _controls(self) -> bool:
        return self.control("ping", within=1) is not None

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Until all three kinds of processes are there and do their work (after one was killed)."""

        def ready() -> bool:
            kinds = self.processes()
            return bool(kinds["keeper"] and kinds["answerer"]) and self.answers() and self._controls()

        wait_until(ready, seconds, lambda: f"all processes are back\n{self.log[-4000:]}")

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self._daemon.stop()

    def close(self) -> None:
        """Ends everything, whatever state it is in: all of them are in one session."""
        self._daemon.signal_all(signal.SIGCONT)
        self._daemon.stop(5)
        shutil.rmtree(self._short, ignore_errors=True)

    def processes(self) -> dict[Role, list[int]]:
        """The processes of each kind, told by their names."""
        found: dict[Role, list[int]] = {"supervisor": [self.pid], "keeper": [], "answerer": []}
        for pid in descendants(self.pid):
            match process_name(pid):
                case "dns-keeper":
                    found["keeper"].append(pid)
                case "dns-answerer":
                    found["answerer"].append(pid)
        return found

    def kill(self, what: Role | Literal["all"], number: int = signal.SIGKILL) -> None:
        """A signal to one kind of process; "all": to the supervisor and everything below it."""
        kinds = self.processes()
        pids = [pid for pids in kinds.values() for pid in pids] if what == "all" else kinds[what]
        assert pids, f"no process of kind {what}"
        for pid in pids:
            _kill_quietly(pid, number)
        if what in ("supervisor", "all") and number == signal.SIGKILL:
            assert self._daemon.process is not None
            self._daemon.process.wait(10)

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def cli(self, *words: str, input: str | None = None, check: bool = True, timeout: float = 60) -> Result:
        """Runs a command; AssertionError with all it said when ``check`` and its status is not 0."""
        command = self.command(*words)
        # Without input there is no terminal either: what destroys needs --yes.
        done = subprocess.run(command, input=input or "", capture_output=True, text=True, env=self.env, timeout=timeout)
        result = Result(shlex.join(words), done.returncode, done.stdout, done.stderr)
        assert not check or not done.returncode, f"{result}\nserver's log:\n{self.log[-3000:]}"
        return result

    def cli_start(self, *words: str, input: Path | None = None) -> subprocess.Popen[str]:
        """The same without waiting for its end, in a session of its own."""
        with (input or Path(os.devnull)).open() as source:
            return subprocess.Popen(
                self.command(*words), stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=self.env, start_new_session=True,
            )  # fmt: skip

    def control(self, op: str, payload: bytes = b"", *, within: float = 60, **args: Any) -> dict[str, Any]:
        """One request over the control socket, without the CLI; ControlError when it is answered with an error."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(within)
            _connect_unix(sock, str(self.control_socket), within)
            body = json.dumps({"op": op, "args": args, "user": "tests", "payload": len(payload)}).encode()
            sock.sendall(struct.pack("!I", len(body)) + body + payload)
            (length,) = struct.unpack("!I", client.exactly(sock, 4))
            answer = json.loads(client.exactly(sock, length))
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return dict(answer["result"])

    def counters(self) -> dict[str, int]:
        """Everything counted so far, of all processes."""
        result = self.control("counters")
        counted: dict[str, int] = result.get("counters", result)
        return counted

    def counter(self, name: str) -> int:
        return self.counters().get(name, 0)

    def events(self, name: str, **fields: str) -> list[dict[str, str]]:
        """Lines of the log with this event's name and these fields."""
        found = []
        for line in self.log.splitlines():
            if line.startswith(f"{name} "):
                event = dict(word.partition("=")[::2] for word in shlex.split(line)[1:])
                if fields.items() <= event.items():
                    found.append(event)
        return found

    def wait_event(self, name: str, seconds: float = 10, **fields: str) -> dict[str, str]:
        what = f"an event {name} {fields}"
        return wait_until(lambda: self.events(name, **fields), seconds, lambda: f"{what}\n{self.log[-3000:]}")[0]

    def axfr(self, zone: str, key: TsigKey | None = None) -> list[Row]:
        return client.axfr(self.endpoint, zone, key)

    def serial(self, zone: str) -> int | None:
        return client.serial(self.endpoint, zone)

    def wait_serial(self, zone: str, serial: int, seconds: float = 10) -> None:
        what = f"serial {serial} of {zone} is served"
        wait_until(lambda: self.serial(zone) == serial, seconds, lambda: f"{what}\n{self.log[-3000:]}")

    def import_key(self, key: TsigKey) -> None:
        self.cli("key", "import", key.name, key.algorithm, input=key.secret)

    def allow(self, zone: str, prefix: str | None = None, key: TsigKey | None = None) -> None:
        words = [prefix] if prefix else []
        self.cli("access", "allow", "--zone", zone, *words, *(["--key", key.name] if key else []))

    def allow_everywhere(self, prefix: str) -> None:
        """An entry of the global allow list (R1)."""
        self.cli("access", "allow", "--global", prefix)


def _connect_unix(sock: socket.socket, path: str, seconds: float) -> None:
    """As ``connect``, also while so many others connect that the queue is full."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            sock.connect(path)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _table(values: Mapping[str, Value | list[str]]) -> list[str]:
    # JSON's booleans, numbers, strings and lists of strings are TOML's too.
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


def _kill_quietly(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
