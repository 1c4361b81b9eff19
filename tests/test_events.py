"""docs/events.md says of each event what it means, how to resolve it, how to verify: no more, no fewer (R22, R27)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsserver.events import CODES, REFUSED, Event
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.tsig import Status
from dnsserver.zone import access

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
SECTIONS = {
    section.partition("\n")[0]: section.partition("\n")[2].partition("\n## ")[0]
    for section in CATALOGUE.split("\n### ")[1:]
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
# What takes the name of an event as its first argument.
MAKERS = {"log.event", "Event", "link.Happened"}


def called(call: ast.Call) -> str:
    """The last word of what is called: ``event`` of ``log.event``."""
    return ast.unparse(call.func).rpartition(".")[2]


def events(source: str) -> Iterator[str]:
    """The names of the events that a module logs or makes.

    A name is a literal, or the parameter of a function that is called in the same module with a literal there;
    AssertionError for any other, since nobody could look it up. An event that is handed on has its name already.
    """
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    inside = {
        call: function
        for function in ast.walk(tree)
        if isinstance(function, Function)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
    }
    received = {
        capture.name
        for pattern in ast.walk(tree)
        if isinstance(pattern, ast.MatchClass) and ast.unparse(pattern.cls) == "link.Happened"
        for capture in pattern.patterns
        if isinstance(capture, ast.MatchAs)
    }
    for call in calls:
        if ast.unparse(call.func) not in MAKERS:
            continue
        name = call.args[0]
        if ast.unparse(name) == "event.name" or (isinstance(name, ast.Name) and name.id in received):
            continue
        if not isinstance(name, ast.Name):
            yield literal(name)
            continue
        function = inside[call]
        parameters = [argument.arg for argument in function.args.args if argument.arg != "self"]
        at = parameters.index(name.id)
        found = [literal(other.args[at]) for other in calls if called(other) == function.name]
        assert found, f"line {call.lineno}: nobody calls {function.name}"
        yield from found


def literal(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else None
    assert isinstance(value, str), f"line {node.lineno}: the name of an event must be plain text"
    return value


LOGGED = {name for path in (ROOT / "dnsserver").rglob("*.py") for name in events(path.read_text(encoding="utf-8"))}


def test_the_catalogue_has_the_events_of_the_code() -> None:
    assert sorted(SECTIONS) == sorted(LOGGED)


@pytest.mark.parametrize("name", sorted(LOGGED))
def test_an_event_has_a_well_formed_name(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_an_event_is_shown_and_explained(name: str) -> None:
    text = SECTIONS[name]
    line = re.search(rf"^`({name}[ `].*)`$|^`{name}`$", text, re.MULTILINE)
    assert line, "no example line"
    assert all(re.fullmatch(r"[a-z][a-z-]*", key) for key in re.findall(r"(\S+?)=", line[1] or "")), "no key of the log"
    for part in ("Means", "Resolve", "Verify"):
        assert f"- **{part}**: " in text, f"no {part}"


# Codes


@pytest.mark.parametrize("name", sorted(CODES))
def test_an_event_with_a_code_is_one_of_the_code(name: str) -> None:
    assert name in LOGGED


def test_the_catalogue_has_the_codes() -> None:
    """6525 is the one that depends on the reason."""
    said = {name: [int(code) for code in re.findall(r"\d{4}", coded(text))] for name, text in SECTIONS.items()}
    expected = {name: [CODES[name]] if name in CODES else [] for name in SECTIONS}
    expected["transfer-failed"].append(REFUSED)
    assert said == expected
    assert Event("transfer-failed", {"reason": "refused"}).code == REFUSED


def test_no_code_means_two_things() -> None:
    assert len({*CODES.values(), REFUSED}) == len(CODES) + 1


def coded(text: str) -> str:
    found = re.search(r"^- \*\*Code\*\*: (.*)$", text, re.MULTILINE)
    return found[1] if found else ""


# Reasons


def reasons(docstring: str) -> list[str]:
    """The first column of the table in a docstring."""
    return re.findall(r"^    ([a-z-]+) {2,}\S", docstring.partition("===")[2], re.MULTILINE)


@pytest.mark.parametrize("reason", reasons(Failure.__doc__ or ""))
def test_a_reason_of_a_failure_is_explained(reason: str) -> None:
    assert re.search(rf"^  \| [^|]*`{reason}`", SECTIONS["transfer-failed"], re.MULTILINE)


def test_the_reasons_of_failures_are_found() -> None:
    assert {"timeout", "unreachable", "refused", "unauthenticated", "internal"} <= set(reasons(Failure.__doc__ or ""))


REFUSALS = re.findall(r'desk\.refuse\([^,]+, "([a-z-]+)"', (ROOT / "dnsserver/protocol/xfrout.py").read_text())


@pytest.mark.parametrize("reason", sorted({*access.REASONS, *REFUSALS, *Status} - {Status.VALID}))
def test_a_reason_of_a_refusal_is_explained(reason: str) -> None:
    assert f"`{reason}`" in SECTIONS["transfer-refused"]


def denials(source: str) -> set[str]:
    """What is returned as a reason, or given as that of a ``NotifyDenied``."""
    tree = ast.parse(source)
    judges = [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and ast.unparse(n.returns or n) == "str | None"
    ]
    found = [node for judge in judges for returned in ast.walk(judge) if isinstance(returned, ast.Return)
             for node in ast.walk(returned)]  # fmt: skip
    found += [n.args[2] for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == "NotifyDenied"]
    return {node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)}


DENIALS = denials((ROOT / "dnsserver/protocol/notify_in.py").read_text())


@pytest.mark.parametrize("reason", sorted({*DENIALS, *Status} - {Status.VALID}))
def test_a_reason_of_a_denied_notify_is_explained(reason: str) -> None:
    assert f"`{reason}`" in SECTIONS["notify-denied"]


def test_the_reasons_of_denied_notifies_are_found() -> None:
    assert {"not-a-primary", "key-required", "wrong-key", "primary-zone", "suspended", "zone-not-here"} <= DENIALS


# The scan itself.


def test_a_name_given_on_is_followed() -> None:
    source = (
        'def _log(self, zone, name):\n    log.event(name, zone=zone)\ndef f(self):\n    self._log(1, "zone-made")\n'
    )
    assert list(events(source)) == ["zone-made"]


def test_a_name_made_up_at_run_time_is_an_error() -> None:
    with pytest.raises(AssertionError, match="plain text"):
        list(events('log.event(f"zone-{what}")'))


def test_an_event_that_is_made_counts_and_one_that_is_handed_on_does_not() -> None:
    source = (
        'def f(event):\n    g(Event("zone-made", {}))\n    log.event(event.name, **event.fields)\n'
        "match f:\n    case link.Happened(name, fields):\n        h(Event(name, fields))\n"
    )
    assert list(events(source)) == ["zone-made"]
