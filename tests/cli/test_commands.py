"""The commands on a real SQLite database, no server running (CONTRACT, Program)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.files import GOOD, write
from tests.support.program import Program

NOTE = "note: no server answers at"

# The database that is not there


@pytest.mark.parametrize(
    "words", [["zone", "list"], ["zone", "create", "example.org"], ["key", "list"], ["db", "current"]]
)
def test_a_database_that_is_not_there_is_looked_for_and_never_made(empty: Program, words: list[str]) -> None:
    done = empty(*words)
    assert done.status == 1
    assert str(empty.database) in done.err
    assert os.listdir(empty.folder) == ["dnsserver.toml"]


def test_init_and_db_upgrade_make_it(empty: Program) -> None:
    empty.good("db", "upgrade")
    assert empty.good("db", "current", "--json").json["current"] is True
    file = write(empty.folder / "zone", *GOOD)
    empty.database.unlink()
    assert empty.good("zone", "import", "example.com", file, "--init", "--json").json["new_serial"] == 10


def test_a_note_says_that_nothing_is_served_and_json_stays_clean(program: Program) -> None:
    done = program.good("zone", "list", "--json")
    assert NOTE in done.err
    assert "nothing is served yet" in done.err
    assert done.json["version"] == 1
    assert [zone["zone"] for zone in done.json["zones"]] == ["example.com."]


# Exit statuses


def test_every_exit_status(program: Program) -> None:
    write(program.folder / "bad", "@ SOA broken")
    expected = {
        ("record", "add", "example.com", "www", "A", "192.0.2.5"): 0,
        ("record", "add", "example.com"): 2,
        ("no-such-command",): 2,
        ("zone", "status", "example.org"): 3,
        ("record", "add", "example.com", "www", "A", "192.0.2.555"): 4,
        ("zone", "import", "example.org", str(program.folder / "bad")): 4,
        ("access", "explain", "example.com", "--from", "192.0.2.9"): 5,
        ("zone", "notify", "example.com"): 6,
        ("reload",): 6,
        ("zone", "create", "example.com"): 7,
        ("zone", "check", "example.com"): 8,
        ("zone", "import", "example.com", str(program.folder / "none")): 3,
    }
    assert {words: program(*words).status for words in expected} == expected


def test_the_status_is_that_of_the_process_and_errors_go_to_standard_error(program: Program) -> None:
    done = program.process("zone", "show", "example.org")
    assert (done.status, done.out) == (3, "")
    assert "error: " in done.err
    assert "example.org" in done.err


def test_an_error_is_json_too_where_json_is_asked_for(program: Program) -> None:
    done = program("zone", "show", "example.org", "--json")
    assert (done.json["version"], done.json["error"]["code"]) == (1, "not-found")


def test_what_needs_the_server_does_nothing_without_it(program: Program) -> None:
    done = program("record", "add", "example.com", "www", "A", "192.0.2.5", "--wait")
    assert done.status == 6
    assert "nothing was done" in done.err
    assert program.serial() == 1


# Records


def test_a_change_prints_zone_serials_and_what_changed(program: Program) -> None:
    done = program.good("record", "add", "example.com", "www", "A", "192.0.2.5", "192.0.2.6", "--ttl", "5m", "--json")
    added = ["www.example.com. 300 IN A 192.0.2.5", "www.example.com. 300 IN A 192.0.2.6"]
    assert (done.json["zone"], done.json["old_serial"], done.json["new_serial"]) == ("example.com.", 1, 2)
    assert (done.json["added"], done.json["removed"]) == (added, [])
    done = program.good("record", "set", "example.com", "www", "A", "192.0.2.6")
    assert "- www.example.com. 300 IN A 192.0.2.5\n" in done.out
    assert "example.com.: serial 2 -> 3\n" in done.out
    done = program.good("record", "delete", "example.com", "www.example.com.", "A", "192.0.2.6", "--json")
    assert done.json["removed"] == ["www.example.com. 300 IN A 192.0.2.6"]


def test_adding_what_is_there_changes_nothing(program: Program) -> None:
    words = ("record", "add", "example.com", "www", "TXT", "two words")
    program.good(*words)
    done = program.good(*words, "--json")
    assert (done.json["changed"], done.json["new_serial"], program.serial()) == (False, 2, 2)
    rows = program.good("record", "list", "example.com", "www", "TXT", "--json").json["records"]
    assert [row["rdata"] for row in rows] == ['"two words"']


def test_the_doubled_name_is_refused_with_both_spellings(program: Program) -> None:
    done = program("record", "add", "example.com", "www.example.com", "A", "192.0.2.5")
    assert done.status == 4
    assert "'www.example.com.'" in done.err
    assert "'www.example.com.example.com.'" in done.err


def test_a_batch_is_one_transaction_a_send_from_standard_input_or_a_file(program: Program) -> None:
    add, delete = "update add a.example.com. 60 A 192.0.2.1", "update delete a.example.com. A"
    batch = f"zone example.com\nttl 60\n{add}\nsend\n{delete}\nsend\n"
    done = program.process("record", "apply", "-", "--json", input=batch)
    assert done.status == 0, done
    assert [change["new_serial"] for change in done.json["changes"]] == [2, 3]
    wrong = write(program.folder / "batch", "zone example.com", "update add a.example.com. 60 A 192.0.2.999", "send")
    done = program("record", "apply", wrong)
    assert done.status == 4
    assert f"{wrong}:2" in done.err


def test_of_a_large_change_the_first_records_are_shown_and_how_many_more(program: Program) -> None:
    lines = [f"n{number} A 192.0.2.{number % 250}" for number in range(1500)]
    program.good("zone", "import", "example.com", write(program.folder / "one", *GOOD), "--replace")
    done = program.good("zone", "import", "example.com", write(program.folder / "two", *GOOD, *lines), "--replace")
    assert done.out.count("+ n") == 40
    assert "\n+ … and 1460 more\n" in done.out


def test_records_are_listed_as_a_table(program: Program) -> None:
    lines = program.good("record", "list", "example.com", "ns1").out.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "TTL", "TYPE", "RDATA"],
        ["ns1.example.com.", "3600", "A", "192.0.2.1"],
    ]


# What destroys asks


@pytest.mark.parametrize(
    "words", [("zone", "delete", "example.com"), ("key", "delete", "k"), ("zone", "edit", "example.com")]
)
def test_without_a_terminal_it_needs_yes(program: Program, words: tuple[str, ...]) -> None:
    program.good("key", "generate", "k")
    done = program.process(*words, VISUAL="false")
    assert done.status == 2
    assert "--yes" in done.err
    program.good("zone", "show", "example.com")
    program.good("key", "show", "k")


def test_on_a_terminal_it_asks(program: Program) -> None:
    status, shown = program.on_terminal("n", "zone", "delete", "example.com")
    assert status == 1
    assert "Delete the zone example.com?" in shown
    assert program.serial() == 1
    status, _ = program.on_terminal("y", "zone", "delete", "example.com")
    assert status == 0
    assert program("zone", "show", "example.com").status == 3
    program.good("zone", "restore", "example.com")
    assert program.serial() >= 1


# Keys


def test_a_key_is_imported_from_standard_input_in_every_form_and_shown_only_when_asked(program: Program) -> None:
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
    forms = {
        "bare": secret,
        "bind": f'key "bind" {{ algorithm hmac-sha256; secret "{secret}"; }};',
        "nsupdate": f"hmac-sha256:nsupdate:{secret}",
    }
    for name, text in forms.items():
        done = program.process("key", "import", name, "hmac-sha256", input=text)
        assert done.status == 0, done
        assert secret not in program.good("key", "show", name, "--json").out
        assert program.good("key", "show", name, "--secret", "--json").json["secret"] == secret
    assert secret not in program.good("key", "list", "--json").out
    shown = program.good("key", "show", "bind", "--secret").out
    for words in (f'secret "{secret}";', f'secret: "{secret}"', f"secret: {secret}\n", "pdnsutil import-tsig-key"):
        assert words in shown


def test_a_key_file_must_hold_the_key_that_is_named(program: Program) -> None:
    file = write(program.folder / "k", 'key "other" { algorithm hmac-sha256; secret "c2VjcmV0LXNlY3JldC1zZWNyZXQ="; };')
    assert program("key", "import", "k", "--file", file).status == 4
    assert program("key", "import", "other", "hmac-sha512", "--file", file).status == 4
    program.good("key", "import", "other.", "--file", file)


def test_no_option_takes_a_secret_from_the_command_line(program: Program) -> None:
    assert program("key", "import", "k", "hmac-sha256", "c2VjcmV0").status == 2
    assert program("key", "import", "k", "hmac-sha256", "--secret", "c2VjcmV0").status == 2


def test_a_key_in_use_is_not_deleted(program: Program) -> None:
    program.good("key", "generate", "k")
    program.good("access", "allow", "--zone", "example.com", "--key", "k")
    done = program("key", "delete", "k", "--yes")
    assert done.status == 7
    assert "example.com." in done.err


# Access (R1 to R3, R18, R19)


def test_explain_names_layer_and_entry_or_why_not(program: Program) -> None:
    program.good("access", "allow", "--global", "192.0.2.0/25")
    program.good("access", "allow", "--super-slave", "198.51.100.1")
    program.good("access", "allow", "--zone", "example.com", "203.0.113.1")
    for address, layer in (("192.0.2.1", "global"), ("198.51.100.1", "super-slave"), ("203.0.113.1", "zone")):
        found = program.good("access", "explain", "example.com", "--from", address, "--json").json
        assert (found["allowed"], found["layer"]) == (True, layer)
    done = program("access", "explain", "example.com", "--from", "192.0.2.200", "--json")
    assert (done.status, done.json["allowed"], done.json["layer"], done.json["entry"]) == (5, False, None, None)
    assert done.json["reason"]


def test_explain_with_a_key_file_says_what_does_not_match(program: Program) -> None:
    program.good("key", "generate", "k")
    program.good("access", "allow", "--zone", "example.com", "--key", "k")
    text = program.good("key", "show", "k", "--secret").out.partition("\n\n")[0]
    same = write(program.folder / "same", text)
    explain = ("access", "explain", "example.com", "--from", "192.0.2.1", "--json", "--key-file")
    assert program.good(*explain, same).json["key"]["secret_matches"] is True
    other = write(program.folder / "other", re.sub('secret "..', 'secret "AA', text))
    done = program(*explain, other)
    assert (done.status, done.json["key"]["secret_matches"], done.json["key"]["algorithm_matches"]) == (5, False, True)


@pytest.mark.parametrize(
    "words", [["192.0.2.1"], ["--global"], ["--global", "--super-slave", "192.0.2.1"], ["--zone", "example.com"]]
)
def test_an_entry_needs_one_list_and_whom(program: Program, words: list[str]) -> None:
    assert program("access", "allow", *words).status == 2


def test_changes_of_access_and_keys_are_in_the_history(program: Program) -> None:
    program.good("key", "generate", "k")
    program.good("access", "allow", "--global", "--key", "k")
    program.good("access", "revoke", "--global", "--key", "k")
    actions = [entry["action"] for entry in program.good("history", "--json").json["entries"]]
    assert actions[:3] == ["access-revoke", "access-allow", "key-add"]


# Versions


def test_history_diff_and_rollback(program: Program) -> None:
    program.good("record", "add", "example.com", "www", "A", "192.0.2.5")
    program.good("record", "add", "example.com", "ftp", "A", "192.0.2.6")
    entries = program.good("zone", "history", "example.com", "--json").json["entries"]
    assert [entry["new_serial"] for entry in entries] == [3, 2, 1]
    assert "+ ftp.example.com. 3600 IN A 192.0.2.6" in program.good("zone", "diff", "example.com").out
    done = program.good("zone", "rollback", "example.com", "--to", "2", "--json")
    assert (done.json["new_serial"], done.json["removed"]) == (4, ["ftp.example.com. 3600 IN A 192.0.2.6"])


def test_a_comment_says_why_in_the_zones_history(program: Program) -> None:
    file = write(program.folder / "zone", *GOOD)
    batch = write(program.folder / "batch", "update add a.example.com. 60 A 192.0.2.1", "send")
    changes: list[tuple[str | Path, ...]] = [
        ("record", "add", "example.com", "www", "A", "192.0.2.5"),
        ("record", "set", "example.com", "www", "A", "192.0.2.6"),
        ("record", "delete", "example.com", "www", "A"),
        ("record", "apply", batch),
        ("zone", "rollback", "example.com", "--to", "2"),
        ("zone", "import", "example.com", file, "--replace"),
        ("zone", "create", "example.org"),
    ]
    for number, words in enumerate(changes):
        program.good(*words, "--comment", f"why {number}")
    told = program.good("zone", "history", "example.com", "--json").json["entries"]
    assert [entry["comment"] for entry in told][:6] == [f"why {number}" for number in (5, 4, 3, 2, 1, 0)]
    (made,) = program.good("zone", "history", "example.org", "--json").json["entries"]
    assert made["comment"] == "why 6"


def test_settings(program: Program) -> None:
    program.good(
        "zone", "set", "example.com", "serial-policy=date", "also-notify=192.0.2.1:5301", "also-notify=192.0.2.2"
    )
    settings = program.good("zone", "show", "example.com", "--json").json["settings"]
    assert settings["serial_policy"] == "date"
    assert settings["also_notify"] == ["192.0.2.1:5301", "192.0.2.2"]
    assert program("zone", "set", "example.com", "colour=red").status == 4
    assert program("zone", "set", "example.com", "colour").status == 4


# Around the commands


def test_config_check_prints_all_errors(empty: Program) -> None:
    empty.good("config", "check")
    write(empty.config, "[server]", "worker = 1", "[limits]", 'tcp-idle = "x"')
    done = empty("config", "check")
    assert done.status == 4
    assert f"{empty.config}:2: [server] worker" in done.err
    assert f"{empty.config}:4: [limits] tcp-idle" in done.err


def test_a_configuration_that_is_named_and_missing(empty: Program) -> None:
    empty.config.unlink()
    done = empty("zone", "list")
    assert done.status == 3
    assert str(empty.config) in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(empty: Program, shell: str) -> None:
    assert "_DNSSERVER_COMPLETE" in empty.good("completion", shell).out


def test_completion_completes(empty: Program) -> None:
    done = empty.process(_DNSSERVER_COMPLETE="bash_complete", COMP_WORDS="dnsserver zone re", COMP_CWORD="2")
    assert {"plain,restore", "plain,resume"} <= set(done.out.split())


def test_colours_only_on_a_terminal_and_not_with_no_color(program: Program) -> None:
    assert "\x1b[" not in program.good("zone", "list").out
    assert "\x1b[" in program.on_terminal("", "zone", "list", TERM="xterm")[1]
    assert "\x1b[" not in program.on_terminal("", "zone", "list", TERM="xterm", NO_COLOR="1")[1]


def test_a_reader_that_goes_away_is_no_traceback(program: Program) -> None:
    command = subprocess.list2cmdline(program.command("zone", "export", "example.com"))
    done = subprocess.run(["bash", "-c", f"{command} | true"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("later", [["status"], ["catalog"], ["secondaries"], ["doctor"]])
def test_commands_of_later_issues_are_not_there_at_all(empty: Program, later: list[str]) -> None:
    assert empty(*later).status == 2


def _loaded(program: Program, *words: str) -> set[str]:
    code = "import sys; sys.argv[0] = 'dnsserver'\nfrom dnsserver.cli import main\n"
    code += "try: main()\nfinally: print(*sys.modules, file=open(sys.argv[2] + '.modules', 'w'))"
    subprocess.run(
        [sys.executable, "-c", code, "--config", str(program.config), *words], capture_output=True, check=False
    )
    return set(Path(f"{program.config}.modules").read_text().split())


HEAVY = {"sqlalchemy", "alembic", "dns", "cryptography", "asyncio", "idna", "logging"}


def test_what_a_command_does_not_need_is_not_imported(program: Program) -> None:
    """The start of a command that the running server answers imports no more than this (DESIGN: SQLAlchemy 0.3 s)."""
    for words in (["zone", "notify", "example.com"], ["record", "add", "example.com", "a", "A", "192.0.2.1", "--wait"]):
        loaded = _loaded(program, *words)
        assert "dnsserver.cli.client" in loaded
        assert not loaded & HEAVY


def test_an_edit_without_a_server_imports_of_the_heavy_ones_sqlalchemy_alone(empty: Program) -> None:
    empty.good("zone", "create", "example.com", "--init")
    loaded = _loaded(empty, "record", "add", "example.com", "a", "A", "192.0.2.1")
    assert {"sqlalchemy", "dnsserver.editing"} <= loaded
    assert "192.0.2.1" in empty.good("record", "list", "example.com").out
    assert not loaded & {"alembic", "cryptography", "idna", "dns.rdata", "sqlalchemy.dialects.mysql", "sqlalchemy.orm"}


# As root on somebody else's database


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_works_as_the_owner_of_the_database(empty: Program) -> None:
    folder = empty.folder
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    os.chown(folder, 65534, 65534)
    empty.good("zone", "create", "example.com", "--init")
    empty.good("key", "generate", "k")
    # A type that the program imports its code for: its owner cannot read the program, we can.
    empty.good("record", "add", "example.com", "a", "LOC", "52 22 23.000 N 4 53 32.000 E 0m")
    made = {path.name: path.stat().st_uid for path in folder.iterdir()}
    assert made.pop("dnsserver.toml") == 0
    assert {"dnsserver.db", "secret"} <= made.keys()
    assert set(made.values()) == {65534}
    assert os.geteuid() == 0
    own = folder / "ours"
    empty.good("zone", "export", "example.com", "-o", own)
    assert own.stat().st_uid == 0  # what a person names is written as that person
