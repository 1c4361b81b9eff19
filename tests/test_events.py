"""docs/events.md says of each event what it means, how to resolve it, how to verify: no more and no fewer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsserver.protocol.tsig import Status
from dnsserver.zone import access

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
SECTIONS = {
    section.partition("\n")[0]: section.partition("\n")[2].partition("\n## ")[0]
    for section in CATALOGUE.split("\n### ")[1:]
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def called(call: ast.Call) -> str:
    """The last word of what is called: ``event`` of ``log.event``."""
    return ast.unparse(call.func).rpartition(".")[2]


def events(source: str) -> Iterator[str]:
    """The names that a module logs.

    A name is a literal, or the parameter of a function that is called in the same module with a literal there;
    AssertionError for any other, since nobody could look it up.
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
    for call in calls:
        if ast.unparse(call.func) != "log.event":
            continue
        name = call.args[0]
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
    assert re.search(rf"^`{name}[ `]", text, re.MULTILINE), "no example line"
    for part in ("Means", "Resolve", "Verify"):
        assert f"- **{part}**: " in text, f"no {part}"


REFUSALS = re.findall(r'desk\.refuse\([^,]+, "([a-z-]+)"', (ROOT / "dnsserver/protocol/xfrout.py").read_text())


@pytest.mark.parametrize("reason", sorted({*access.REASONS, *REFUSALS, *Status} - {Status.VALID}))
def test_a_reason_of_a_refusal_is_explained(reason: str) -> None:
    assert f"`{reason}`" in SECTIONS["transfer-refused"]


# The scan itself.


def test_a_name_given_on_is_followed() -> None:
    source = (
        'def _log(self, zone, name):\n    log.event(name, zone=zone)\ndef f(self):\n    self._log(1, "zone-made")\n'
    )
    assert list(events(source)) == ["zone-made"]


def test_a_name_made_up_at_run_time_is_an_error() -> None:
    with pytest.raises(AssertionError, match="plain text"):
        list(events('log.event(f"zone-{what}")'))
