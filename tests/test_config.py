"""The configuration (CONTRACT, Configuration; LIMITS)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from dnsserver import config
from dnsserver.config import Address, Config
from dnsserver.errors import InvalidData, NotFound
from dnsserver.zone.serial import SerialPolicy

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "etc" / "dnsserver.toml"

# LIMITS, written out anew.
DEFAULT_LIMITS = {
    "max-transfers-in": 10,
    "max-transfers-in-per-primary": 2,
    "max-transfers-out": 10,
    "max-transfers-waiting": 100,
    "tcp-clients": 256,
    "tcp-clients-per-source": 16,
    "tcp-first-byte": 5,
    "tcp-message": 2,
    "tcp-idle": 10,
    "tcp-write-stall": 5,
    "transfer-in-time": 3600,
    "transfer-in-idle": 60,
    "transfer-in-rate": 10 * 1024,
    "zone-size": 256 * 1024 * 1024,
    "zone-records": 5_000_000,
    "rrset-records": 1000,
    "name-types": 100,
    "ixfr-max-ratio": 1.0,
    "journal-size": None,
    "refresh-min": 300,
    "refresh-max": 28 * 86400,
    "retry-min": 60,
    "retry-max": 14 * 86400,
    "expire-min": None,
    "expire-max": 168 * 86400,
    "jitter": 0.25,
    "soa-checks-per-second": 100,
    "notifies-per-second": 100,
    "notify-interval": 1,
    "udp-payload": 1232,
    "rate-limit": None,
    "rate-limit-slip": 2,
    "rate-limit-prefixes": (24, 56),
    "cookies": True,
    "tsig-fudge": 300,
    "transfer-message": 16 * 1024,
    "refused-log-interval": 30,
    "catalog-quarantine": 0,
    "undelete": 7 * 86400,
}


def parse(text: str, environ: dict[str, str] | None = None) -> Config:
    return config.parse(text, Path("/somewhere/dnsserver.toml"), environ or {})


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidData) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_limits_have_the_names_and_defaults_of_limits_md() -> None:
    limits = parse("").limits
    found = {entry.name.replace("_", "-"): getattr(limits, entry.name) for entry in fields(limits)}
    assert found == DEFAULT_LIMITS


def test_the_shipped_file_parses_to_exactly_the_defaults() -> None:
    assert parse(SAMPLE.read_text()) == parse("")


def test_the_shipped_file_has_every_key() -> None:
    text = SAMPLE.read_text()
    for table, kind in config.TABLES.items():
        part = text.partition(f"\n[{table}]\n")[2].partition("\n[")[0]
        for entry in fields(kind):
            key = entry.name.replace("_", "-")
            assert re.search(rf"^(# )?{key} = ", part, re.MULTILINE), f"[{table}] {key}"


def test_the_shipped_file_with_all_its_keys_switched_on_is_good() -> None:
    text = re.sub(r"^# ([a-z-]+ = )", r"\1", SAMPLE.read_text(), flags=re.MULTILINE)
    found = parse(text)
    assert found.server.outbound_address == ("192.0.2.1", "2001:db8::1")
    assert found.server.own_name() == "ns1.example.net."
    assert found.database.sqlite_path == Path("/somewhere/dnsserver.db")
    assert sum(len(table) for table in tomllib.loads(text).values()) == sum(
        len(fields(kind)) for kind in config.TABLES.values()
    )


def test_values_become_typed() -> None:
    found = parse("""
        [server]
        listen = ["192.0.2.1", "[2001:DB8:0::1]:5301"]
        name = "ns1.example.net"
        workers = 2
        ixfr = "off"
        [defaults]
        ttl = "5m"
        minimum = 60
        serial-policy = "date"
        [log]
        format = "json"
        [limits]
        ixfr-max-ratio = "off"
        tcp-idle = "250ms"
        undelete = "7 d"
        zone-size = "1GiB"
        transfer-message = 1024
        rate-limit = 200
        rate-limit-prefixes = ["/32", "/64"]
        journal-size = "1MiB"
        jitter = "12.5%"
        """)
    assert found.server.listen == (Address("192.0.2.1", 53), Address("2001:db8::1", 5301))
    assert str(found.server.listen[1]) == "[2001:db8::1]:5301"
    assert (found.server.name, found.server.workers, found.server.ixfr) == ("ns1.example.net.", 2, False)
    assert (found.defaults.ttl, found.defaults.minimum) == (300, 60)
    assert found.defaults.serial_policy is SerialPolicy.DATE
    assert found.log.format == "json"
    limits = found.limits
    assert limits.ixfr_max_ratio is None
    assert (limits.tcp_idle, limits.undelete) == (0.25, 604800)
    assert (limits.zone_size, limits.transfer_message, limits.journal_size) == (1 << 30, 1024, 1 << 20)
    assert (limits.rate_limit, limits.rate_limit_prefixes, limits.jitter) == (200, (32, 64), 0.125)


def test_all_errors_at_once_each_with_file_line_table_and_key() -> None:
    found = problems("""[server]
listen = ["127.0.0.1:99999", "nowhere:53"]
worker = 3
workers = true
[limits]
tcp-idle = "3x"
tcp_message = "3s"
zone-size = "1MB"
udp-payload = 100
[unheard]
a = 1
""")
    places = [one.split(": ")[0] for one in found]
    file = "/somewhere/dnsserver.toml"
    assert sorted(places) == sorted(f"{file}:{line}" for line in (2, 3, 4, 6, 7, 8, 9, 10))
    text = "\n".join(found)
    for words in (
        "[server] listen: '127.0.0.1:99999'",
        "[server] worker: unknown; is workers meant?",
        "[server] workers: is a whole number",
        '[limits] tcp-idle: is a time: write "10s"',
        "[limits] tcp_message: unknown; is tcp-message meant?",
        "[limits] zone-size: is a size",
        "[limits] udp-payload: is 100, allowed is 512 to 4096",
        "[unheard]: unknown",
    ):
        assert words in text


def test_a_syntax_error_has_its_line() -> None:
    (found,) = problems("[server]\nlisten = [\n\nname = x\n")
    assert found.startswith("/somewhere/dnsserver.toml:4: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[limits]\nrefresh-min = "5w"', "refresh-min: is more than refresh-max"),
        ('[limits]\nexpire-min = "25w"', "expire-min: is more than expire-max"),
        ('[limits]\nixfr-max-ratio = 1', 'write "25%", or "off"'),
        ('[limits]\nrate-limit-prefixes = ["/24"]', "write"),
        ('[limits]\nrate-limit-prefixes = ["/33", "/56"]', "write"),
        ("[limits]\nmax-transfers-out = 0", "allowed is 1 to"),
        ('[limits]\ncookies = "yes"', "is true or false"),
        ('[server]\nlisten = []', "is empty"),
        ('[server]\nlisten = "127.0.0.1:53"', "is a list"),
        ('[server]\nlisten = ["127.0.0.1:53", "127.0.0.1:53"]', "names an address twice"),
        ('[server]\nlisten = ["::1:53:x"]', "no address"),
        ('[server]\noutbound-address = ["192.0.2.1", "192.0.2.2"]', "several IPv4 addresses"),
        ('[server]\nname = "not a name"', "no name of a host"),
        ('[server]\nsecret-file = ""', "is a string"),
        ('[database]\nurl = "oracle://x"', "starts with sqlite"),
        ('[database]\nurl = "sqlite://"', "names no file"),
        ('[defaults]\nserial-policy = "random"', "is one of increment, unixtime, date"),
        ('[defaults]\nrefresh = "1500ms"', "whole number of seconds"),
        ('[log]\nformat = "xml"', "is one of text, json"),
        ('server = 1', "is a table"),
    ],
)  # fmt: skip
def test_wrong_values_say_what_is_meant(text: str, words: str) -> None:
    (found,) = problems(text)
    assert words in found


def test_relative_paths_start_at_the_files_folder() -> None:
    found = parse('[server]\ncontrol-socket = "run/c.sock"\nsecret-file = "/s"\n[database]\nurl = "sqlite:///a.db?x=1"')
    assert found.server.control_socket == Path("/somewhere/run/c.sock")
    assert found.server.secret_file == Path("/s")
    assert found.database.url == "sqlite:////somewhere/a.db?x=1"
    assert found.database.sqlite_path == Path("/somewhere/a.db")


def test_defaults_of_paths_are_beside_the_file_or_where_systemd_says() -> None:
    beside = parse("")
    assert beside.server.control_socket == Path("/somewhere/control.sock")
    assert beside.server.secret_file == Path("/somewhere/secret")
    assert beside.database.sqlite_path == Path("/somewhere/dnsserver.db")
    unit = parse("", {"RUNTIME_DIRECTORY": "/run/d", "STATE_DIRECTORY": "/var/lib/d:/other"})
    assert unit.server.control_socket == Path("/run/d/control.sock")
    assert unit.server.secret_file == Path("/var/lib/d/secret")
    assert unit.database.sqlite_path == Path("/var/lib/d/dnsserver.db")


def test_another_database_keeps_its_url_and_hides_its_password() -> None:
    database = parse('[database]\nurl = "postgresql+psycopg://u:hidden@h/d"\nmigrate = false').database
    assert database.url == "postgresql+psycopg://u:hidden@h/d"
    assert database.sqlite_path is None
    assert not database.migrate
    assert "hidden" not in repr(database)


def test_without_a_file_the_embedded_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "none.toml")
    found = config.load(None, {"XDG_STATE_HOME": str(tmp_path)})
    assert found.file is None
    assert found.server.listen == (Address("127.0.0.1", 5300),)
    assert found.database.sqlite_path == tmp_path / "dnsserver" / "dnsserver.db"
    assert found.server.control_socket == tmp_path / "dnsserver" / "control.sock"


def test_the_order_in_which_a_file_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, workers in (("option", 2), ("variable", 3), ("system", 4)):
        (tmp_path / name).write_text(f"[server]\nworkers = {workers}\n")
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "system")
    environ = {"DNSSERVER_CONFIG": str(tmp_path / "variable")}
    assert config.load(tmp_path / "option", environ).server.workers == 2
    assert config.load(None, environ).server.workers == 3
    assert config.load(None, {}).server.workers == 4


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"missing\.toml is not there"):
        config.load(tmp_path / "missing.toml", {})
    with pytest.raises(NotFound, match=r"\$DNSSERVER_CONFIG"):
        config.load(None, {"DNSSERVER_CONFIG": str(tmp_path / "missing.toml")})


def test_the_system_file_finds_what_the_unit_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The CLI has neither $RUNTIME_DIRECTORY nor $STATE_DIRECTORY, and must still find the unit's server."""
    for name in ("etc", "lib", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "dnsserver.toml").write_text("")
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "etc" / "dnsserver.toml")
    monkeypatch.setattr(config, "SYSTEM_STATE", tmp_path / "lib")
    monkeypatch.setattr(config, "SYSTEM_RUNTIME", tmp_path / "run")
    found = config.load(None, {})
    assert found.server.control_socket == tmp_path / "run" / "control.sock"
    assert found.database.sqlite_path == tmp_path / "lib" / "dnsserver.db"
