"""The commands for secondary zones on a database, no server running on it: CONTRACT, Program; R9, R23, R28."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.procs import free_port
from tests.support.program import Program
from tests.support.server import Server

MakeServer = Callable[..., Server]
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="


@pytest.fixture
def database(empty: Program) -> Program:
    """Without a zone."""
    empty.good("db", "upgrade")
    return empty


def dead() -> str:
    """Where nobody answers."""
    return f"127.0.0.1:{free_port()}"


def test_a_secondary_zone_is_made_without_contents(database: Program) -> None:
    first, second = dead(), dead()
    words = ("zone", "create", "example.com", "--secondary-of", first, "--secondary-of", second)
    done = database.good(*words, "--json")
    assert (done.json["old_serial"], done.json["new_serial"]) == (None, None)
    assert done.json["settings"]["primaries"] == [first, second]
    shown = database.good("zone", "status", "example.com", "--json").json
    assert (shown["role"], shown["state"], shown["primaries"]) == ("secondary", "waiting", [first, second])
    assert (shown["next_check"], shown["expires"], shown["last_error"]) == (None, None, None)
    (row,) = database.good("zone", "list", "--json").json["zones"]
    assert (row["role"], row["state"], row["serial"]) == ("secondary", "waiting", None)


def test_for_people_it_says_where_the_contents_come_from(database: Program) -> None:
    primary = dead()
    done = database.good("zone", "create", "example.com", "--secondary-of", primary)
    assert done.out == "example.com.: made; its contents come with the first transfer\n"
    lines = dict(
        line.split("  ", 1) for line in database.good("zone", "status", "example.com").out.splitlines() if "  " in line
    )
    assert lines["primaries"].strip() == primary
    assert "waiting" in database.good("zone", "list").out


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (2, ("--secondary-of", "192.0.2.1", "--ns", "ns1")),
        (4, ("--secondary-of", "primary.example.net")),
        (4, ("--secondary-of", "0.0.0.0")),
        (4, ("--secondary-of", "192.0.2.1:70000")),
        (4, ("--secondary-of", "192.0.2.1,tsig=k")),
        (3, ("--secondary-of", "192.0.2.1,key=unknown.example")),
        (6, ("--secondary-of", "192.0.2.1", "--wait")),
    ],
)
def test_what_is_no_primary_is_refused_and_nothing_is_made(
    database: Program, status: int, words: tuple[str, ...]
) -> None:
    """R28: addresses are validated when they are entered."""
    assert database("zone", "create", "example.com", *words).status == status
    assert database.good("zone", "list", "--json").json["zones"] == []


def test_each_primary_is_asked_and_a_warning_says_what_is_wrong_with_it(
    database: Program, make_server: MakeServer
) -> None:
    """R28: unreachable, refusing, not accepting the key; a good one is not spoken of."""
    primary = make_server()
    primary.cli("zone", "create", "example.com")
    good, gone = f"127.0.0.1:{primary.port}", dead()
    database.good("key", "generate", "k")
    words = [word for target in (good, gone, f"{good},key=k.") for word in ("--secondary-of", target)]
    done = database.good("zone", "create", "example.com", *words, "--json")
    unreachable, unknown_key = done.json["warnings"]
    assert unreachable.startswith(f"{gone} ")
    assert unknown_key.startswith(f"{good},key=k. ")
    assert "badkey" in unknown_key.lower()
    assert done.err.count("warning: ") == 2
    (refusing,) = database.good("zone", "create", "example.org", "--secondary-of", good, "--json").json["warnings"]
    assert "REFUSED" in refusing


def test_with_the_same_key_on_both_sides_there_is_nothing_to_warn_of(
    database: Program, make_server: MakeServer
) -> None:
    primary = make_server()
    primary.cli("zone", "create", "example.com")
    primary.cli("key", "import", "k", "hmac-sha256", input=SECRET)
    database.process("key", "import", "k", "hmac-sha256", input=SECRET)
    target = f"127.0.0.1:{primary.port},key=k"
    assert database.good("zone", "create", "example.com", "--secondary-of", target, "--json").json["warnings"] == []


def test_new_primaries_are_asked_too(database: Program) -> None:
    database.good("zone", "create", "example.com", "--secondary-of", dead())
    primary = dead()
    done = database.good("zone", "set", "example.com", f"primaries={primary}", "--json")
    (warning,) = done.json["warnings"]
    assert warning.startswith(f"{primary} ")
    assert database.good("zone", "set", "example.com", "notify=off", "--json").json["warnings"] == []
    assert database("zone", "set", "example.com", "primaries=").status == 4


@pytest.mark.parametrize(
    "words",
    [
        ("record", "add", "example.com", "www", "A", "192.0.2.7"),
        ("record", "set", "example.com", "www", "A", "192.0.2.7"),
        ("record", "delete", "example.com", "www", "A"),
        ("zone", "rollback", "example.com", "--to", "1"),
    ],
)
def test_its_records_are_not_edited_here_and_the_reason_names_the_primary(
    database: Program, words: tuple[str, ...]
) -> None:
    database.good("zone", "create", "example.com", "--secondary-of", dead())
    done = database(*words)
    assert done.status == 5
    assert "at its primary (127.0.0.1)" in done.err
    assert "zone convert" in done.err


@pytest.mark.parametrize("op", ["refresh", "retransfer"])
def test_asking_the_primaries_needs_the_server(database: Program, op: str) -> None:
    database.good("zone", "create", "example.com", "--secondary-of", dead())
    done = database("zone", op, "example.com")
    assert done.status == 6
    assert "nothing was done" in done.err


# Convert


def test_a_primary_zone_becomes_secondary_and_primary_again(program: Program) -> None:
    primary = dead()
    done = program.good("zone", "convert", "example.com", "--to", "secondary", "--secondary-of", primary, "--json")
    assert (done.json["changed"], len(done.json["warnings"])) == (True, 1)
    shown = program.good("zone", "show", "example.com", "--json").json
    assert (shown["role"], shown["settings"]["primaries"]) == ("secondary", [primary])
    assert program("record", "add", "example.com", "www", "A", "192.0.2.7").status == 5
    assert program.good("zone", "convert", "example.com", "--to", "primary").out == "example.com.: a primary zone now\n"
    assert program.good("zone", "show", "example.com", "--json").json["settings"]["primaries"] == []
    program.good("record", "add", "example.com", "www", "A", "192.0.2.7")
    assert program.good("zone", "convert", "example.com", "--to", "primary").out == "example.com.: nothing to do\n"


@pytest.mark.parametrize(
    ("status", "words"),
    [(2, ()), (2, ("--to", "secondary")), (2, ("--to", "primary", "--secondary-of", "192.0.2.1")), (2, ("--to", "x"))],
)
def test_a_conversion_says_what_it_lacks(program: Program, status: int, words: tuple[str, ...]) -> None:
    assert program("zone", "convert", "example.com", *words).status == status
    assert program.good("zone", "show", "example.com", "--json").json["role"] == "primary"


def test_a_secondary_zone_that_never_had_contents_cannot_become_primary(database: Program) -> None:
    database.good("zone", "create", "example.com", "--secondary-of", dead())
    assert database("zone", "convert", "example.com", "--to", "primary").status == 7


# Events


def test_where_nothing_happened_there_are_no_events(database: Program) -> None:
    assert database.good("events", "--json").json["events"] == []
    assert database.good("events").out.split() == ["TIME", "COUNT", "EVENT", "ZONE", "PEER", "MESSAGE"]
