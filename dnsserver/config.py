"""The configuration file (CONTRACT, Configuration; LIMITS): TOML in, frozen typed values out.

Looked for in ``--config``, ``$DNSSERVER_CONFIG``, ``/etc/dnsserver/dnsserver.toml``; one that is named and missing
is an error; with none there are the embedded defaults. Unknown keys are errors, and all errors are reported at once,
each with its place. A key of the file is its field's name with ``-`` for ``_``; what a field's value may be stands
beside its default.

Only ``serve`` and the CLI read this module; everybody else is given values.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from dnsserver.config_values import (
    Address,
    Reader,
    Wrong,
    address,
    boolean,
    choice,
    count,
    duration,
    hostname,
    list_of,
    listen_address,
    optional,
    percent,
    prefixes,
    rate,
    seconds,
    size,
    string,
)
from dnsserver.errors import InvalidData, NotFound, Problem
from dnsserver.zone.serial import SerialPolicy

__all__ = ["Address", "Config", "Database", "Defaults", "Limits", "Log", "ServerConfig", "load"]

VARIABLE = "DNSSERVER_CONFIG"
SYSTEM_FILE = Path("/etc/dnsserver/dnsserver.toml")
# What the shipped systemd unit makes; the CLI, which has no $STATE_DIRECTORY, looks there too.
SYSTEM_STATE = Path("/var/lib/dnsserver")
SYSTEM_RUNTIME = Path("/run/dnsserver")
KIB, MIB = 1 << 10, 1 << 20
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 604800
_FOLLOWS = Path()

T = TypeVar("T")


def _key(default: T, read: Reader) -> T:
    """A field that is a key of the file; ``read`` checks and converts what TOML gives, or raises Wrong."""
    value: T = field(default=default, metadata={"read": read})
    return value


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """``[server]``. Paths are absolute; ``control_socket`` and ``secret_file`` have defaults by the place."""

    listen: tuple[Address, ...] = _key((Address("127.0.0.1", 5300),), list_of(listen_address))
    outbound_address: tuple[str, ...] = _key((), list_of(address, empty=True))
    notify: bool = _key(True, boolean)
    ixfr: bool = _key(True, boolean)
    workers: int = _key(1, count(1, 256))
    control_socket: Path = _key(_FOLLOWS, string)  # noqa: RUF009
    name: str | None = _key(None, hostname)
    secret_file: Path = _key(_FOLLOWS, string)  # noqa: RUF009

    def own_name(self) -> str:
        """The absolute name for SOA MNAME and NS of new zones: ``name``, else the host's own (may ask the resolver)."""
        if self.name is not None:
            return self.name
        import socket

        host = socket.gethostname()
        if "." not in host:
            host = socket.getfqdn(host)
        return host.rstrip(".") + "."


@dataclass(frozen=True, slots=True)
class Defaults:
    """``[defaults]`` of new zones; times in seconds. ``ttl`` None ("minimum"): the SOA's minimum.

    ``hostmaster``: a mailbox (``admin@example.net``), an absolute name, or a label within each zone.
    """

    ttl: int | None = _key(None, optional("minimum", seconds(0)))
    hostmaster: str = _key("hostmaster", string)
    refresh: int = _key(HOUR, seconds(1))
    retry: int = _key(10 * MINUTE, seconds(1))
    expire: int = _key(2 * WEEK, seconds(1))
    minimum: int = _key(HOUR, seconds(0))
    serial_policy: SerialPolicy = _key(SerialPolicy.INCREMENT, choice(SerialPolicy))  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class Database:
    """``[database]``. A SQLite ``url`` holds an absolute path. ``migrate``: bring the schema up to date at start."""

    url: str = _key("", string)
    migrate: bool = _key(True, boolean)

    @property
    def sqlite_path(self) -> Path | None:
        """The database file; None where it is no SQLite."""
        scheme, _, rest = self.url.partition(":///")
        return Path(rest.partition("?")[0]) if scheme.partition("+")[0] == "sqlite" else None

    def __repr__(self) -> str:
        return f"Database(url={_without_password(self.url)!r}, migrate={self.migrate})"


@dataclass(frozen=True, slots=True)
class Log:
    """``[log]``: ``format`` is "text" (key=value) or "json"."""

    format: str = _key("text", choice(("text", "json")))


@dataclass(frozen=True, slots=True)
class Limits:
    """``[limits]`` (LIMITS). Durations in seconds, sizes in octets, shares as 1.0 for 100 %; None: off or automatic."""

    max_transfers_in: int = _key(10, count(1))
    max_transfers_in_per_primary: int = _key(2, count(1))
    max_transfers_out: int = _key(10, count(1))
    max_transfers_waiting: int = _key(100, count(0))
    tcp_clients: int = _key(256, count(1))
    tcp_clients_per_source: int = _key(16, count(1))
    tcp_first_byte: float = _key(5.0, duration(0.01))
    tcp_message: float = _key(2.0, duration(0.01))
    tcp_idle: float = _key(10.0, duration(0.01))
    tcp_write_stall: float = _key(5.0, duration(0.01))
    transfer_in_time: float = _key(60.0 * MINUTE, duration(0.01))
    transfer_in_idle: float = _key(60.0, duration(0.01))
    transfer_in_rate: int = _key(10 * KIB, size(0))
    """Octets a minute: a slower transfer is given up."""
    zone_size: int = _key(256 * MIB, size(1))
    zone_records: int = _key(5_000_000, count(1))
    rrset_records: int = _key(1000, count(1))
    name_types: int = _key(100, count(1))
    ixfr_max_ratio: float | None = _key(1.0, optional("off", percent(0.0)))
    journal_size: int | None = _key(None, optional("auto", size(0)))
    """None ("auto"): twice the zone, at least 16 MiB."""
    refresh_min: float = _key(300.0, duration(0.01))
    refresh_max: float = _key(4.0 * WEEK, duration(0.01))
    retry_min: float = _key(60.0, duration(0.01))
    retry_max: float = _key(2.0 * WEEK, duration(0.01))
    expire_min: float | None = _key(None, optional("auto", duration(0.01)))
    """None ("auto"): refresh + retry."""
    expire_max: float = _key(24.0 * WEEK, duration(0.01))
    jitter: float = _key(0.25, percent(0.0, 1.0))
    soa_checks_per_second: int = _key(100, rate)
    notifies_per_second: int = _key(100, rate)
    notify_interval: float = _key(1.0, duration(0.0))
    udp_payload: int = _key(1232, count(512, 4096))
    rate_limit: int | None = _key(None, optional("off", count(1)))
    """Responses a second to one prefix."""
    rate_limit_slip: int = _key(2, count(0))
    rate_limit_prefixes: tuple[int, int] = _key((24, 56), prefixes)
    """Lengths of the IPv4 and the IPv6 prefix that count as one client."""
    cookies: bool = _key(True, boolean)
    tsig_fudge: float = _key(300.0, duration(1.0, 65535.0))
    transfer_message: int = _key(16 * KIB, size(512, 65535))
    refused_log_interval: float = _key(30.0, duration(0.0))
    catalog_quarantine: float = _key(0.0, duration(0.0))
    undelete: float = _key(7.0 * DAY, duration(0.0))


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. ``file`` is where it came from; None: the embedded defaults."""

    file: Path | None = None
    server: ServerConfig = ServerConfig()
    defaults: Defaults = Defaults()
    database: Database = Database()
    limits: Limits = Limits()
    log: Log = Log()


TABLES: dict[str, Any] = {
    "server": ServerConfig,
    "defaults": Defaults,
    "database": Database,
    "limits": Limits,
    "log": Log,
}


def load(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration of ``path``, else of where it is looked for (see the module).

    Raises NotFound: a named file is missing. Raises InvalidData: all that is wrong in it, each with its place.
    """
    named = path or environ.get(VARIABLE)
    file = Path(named).absolute() if named else SYSTEM_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            source = "" if path else f", which ${VARIABLE} names,"
            raise NotFound(f"the configuration file {file}{source} is not there") from None
        return _placed(Config(), environ)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidData(f"the configuration file {file} cannot be read: {error}") from None
    return parse(text, file, environ)


def parse(text: str, file: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``text``, which stands in ``file`` (absolute). Raises InvalidData with all problems."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(file, [_syntax_problem(file, str(error))]) from None
    reading = _Reading(file, _lines(text))
    found = {}
    for table, value in document.items():
        if table not in TABLES:
            reading.wrong(table, "", f"unknown; there are {', '.join(f'[{name}]' for name in TABLES)}")
        elif not isinstance(value, dict):
            reading.wrong(table, "", f"is a table: write [{table}] on a line of its own")
        else:
            found[table] = reading.table(table, TABLES[table], value)
    config = Config(file=file, **found)
    reading.consistency(config)
    if reading.problems:
        raise _invalid(file, reading.problems)
    return _placed(config, environ)


class _Reading:
    """Gathers what is wrong, while tables become dataclasses."""

    def __init__(self, file: Path, lines: dict[tuple[str, str], int]) -> None:
        self.file = file
        self.lines = lines
        self.problems: list[Problem] = []

    def wrong(self, table: str, key: str, message: str) -> None:
        line = self.lines.get((table, key)) or self.lines.get((table, ""))
        place = f"{self.file}:{line}" if line else str(self.file)
        self.problems.append(Problem(place, f"[{table}] {key}: {message}" if key else f"[{table}]: {message}"))

    def table(self, table: str, kind: Callable[..., T], values: dict[str, object]) -> T:
        readers = {entry.name.replace("_", "-"): entry for entry in fields(TABLES[table])}
        found: dict[str, object] = {}
        for key, value in values.items():
            entry = readers.get(key)
            if entry is None:
                self.wrong(table, key, f"unknown{_meant(key, readers)}")
                continue
            try:
                found[entry.name] = entry.metadata["read"](value)
            except Wrong as error:
                self.wrong(table, key, str(error))
        return kind(**found)

    def consistency(self, config: Config) -> None:
        limits = config.limits
        for low, high in (("refresh_min", "refresh_max"), ("retry_min", "retry_max"), ("expire_min", "expire_max")):
            smallest, largest = getattr(limits, low), getattr(limits, high)
            if smallest is not None and smallest > largest:
                self.wrong("limits", low.replace("_", "-"), f"is more than {high.replace('_', '-')}")
        for version in (False, True):
            if sum((":" in one) is version for one in config.server.outbound_address) > 1:
                family = "IPv6" if version else "IPv4"
                self.wrong("server", "outbound-address", f"has several {family} addresses; one of each family is used")
        if len(set(config.server.listen)) < len(config.server.listen):
            self.wrong("server", "listen", "names an address twice")
        url = config.database.url
        if url.partition(":")[0].partition("+")[0] not in ("", "sqlite", "postgresql", "mysql", "mariadb"):
            self.wrong("database", "url", "starts with sqlite:///, postgresql+psycopg:// or mysql+pymysql://")
        elif url.startswith("sqlite") and not url.partition(":///")[2].partition("?")[0]:
            self.wrong("database", "url", "names no file: write sqlite:///dnsserver.db")


def _placed(config: Config, environ: Mapping[str, str]) -> Config:
    """With the defaults that depend on the place, and relative paths made absolute from the file's folder."""
    folder = config.file.parent if config.file else None
    system = config.file == SYSTEM_FILE
    state = _first(environ.get("STATE_DIRECTORY"), SYSTEM_STATE if system else None, folder) or _user_state(environ)
    runtime = _first(environ.get("RUNTIME_DIRECTORY"), SYSTEM_RUNTIME if system else None, folder) or state
    base = folder or state
    server = config.server
    socket = runtime / "control.sock" if server.control_socket == _FOLLOWS else base / server.control_socket
    secret = state / "secret" if server.secret_file == _FOLLOWS else base / server.secret_file
    url = config.database.url or f"sqlite:///{state / 'dnsserver.db'}"
    scheme, _, path = url.partition(":///")
    if scheme.startswith("sqlite"):
        url = f"{scheme}:///{base / path}"
    return replace(
        config,
        server=replace(server, control_socket=socket, secret_file=secret),
        database=replace(config.database, url=url),
    )


def _first(named: str | None, system: Path | None, folder: Path | None) -> Path | None:
    """systemd's variable (the first of a list), else what the unit made, else the file's folder."""
    if named:
        return Path(named.split(":")[0])
    return system if system and system.is_dir() else folder


def _user_state(environ: Mapping[str, str]) -> Path:
    """The user's state directory (XDG base directories)."""
    home = environ.get("XDG_STATE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path("~/.local/state").expanduser()) / "dnsserver"


_HEADER = re.compile(r"^\s*\[\s*([A-Za-z0-9_-]+)\s*\]")
_ENTRY = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


def _lines(text: str) -> dict[tuple[str, str], int]:
    """(table, key) -> line, the table's own under key ``""``; tomllib keeps no lines. Plainly laid out files only."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[1]
            found.setdefault((table, ""), number)
        elif entry := _ENTRY.match(line):
            found.setdefault((table, entry[1]) if table else (entry[1], ""), number)
    return found


def _syntax_problem(file: Path, message: str) -> Problem:
    at = re.search(r" \(at line (\d+), column \d+\)$", message)
    return Problem(f"{file}:{at[1]}", message[: at.start()]) if at else Problem(str(file), message)


def _meant(key: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, 1) or get_close_matches(key.replace("_", "-"), known, 1)
    return f"; is {near[0]} meant?" if near else f"; there are {', '.join(known)}"


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", url)


def _invalid(file: Path, problems: list[Problem]) -> InvalidData:
    return InvalidData(f"the configuration file {file} cannot be used", problems)
