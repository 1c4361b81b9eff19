"""What people and scripts read: JSON, tables, messages. Results go to standard output, all else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import click

from dnsserver.errors import DnsServerError, Problem

_SHOWN_RECORDS = 40


def coloured(stream: TextIO) -> bool:
    """Colours only on a terminal, and not against the user's will (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, stream: TextIO, **style: Any) -> str:
    """The text in a style, where ``stream`` takes it."""
    return click.style(text, **style) if coloured(stream) else text


def say(text: str) -> None:
    """A line of the result."""
    click.echo(text)


def note(text: str) -> None:
    """A message beside the result."""
    click.echo(text, err=True)


def as_json(result: dict[str, Any]) -> None:
    """The result for a script, with the version of its schema first."""
    click.echo(json.dumps({"version": 1, **result}, indent=2, ensure_ascii=False))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Plain columns under a header, as wide as they need; the last one is not padded."""
    shown = [cells(row) for row in rows]
    widths = [max(len(row[column]) for row in [list(header), *shown]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    say(styled(line(header), sys.stdout, bold=True))
    for row in shown:
        say(line(row))


def cells(row: Sequence[object]) -> list[str]:
    """Values as text: ``-`` for none, ``yes`` and ``no``, lists with commas."""
    return [_cell(value) for value in row]


def pairs(values: Iterable[tuple[str, object]]) -> None:
    """A thing's properties, one a line."""
    shown = [(name, _cell(value)) for name, value in values]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name.ljust(width)}  {value}")


def _cell(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(str(one) for one in value)
        case _:
            return str(value)


def difference(change: dict[str, Any]) -> None:
    """A change's records as a difference; of very many, the first ones and how many more."""
    for sign, colour, kind in (("-", "red", "removed"), ("+", "green", "added")):
        records = change[kind]
        count = change.get(f"{kind}_count", len(records))
        for record in records[:_SHOWN_RECORDS]:
            say(styled(f"{sign} {record}", sys.stdout, fg=colour))
        if count > _SHOWN_RECORDS:
            say(f"{sign} … and {count - _SHOWN_RECORDS} more")


def problems(found: Iterable[Problem]) -> None:
    """Each on a line of its own: ``file:line: message``."""
    for problem in found:
        if problem.severity == "warning" and problem.place:
            note(styled(f"warning: {problem}", sys.stderr, fg="yellow"))
        else:
            note(str(problem))


def warnings(found: Iterable[str]) -> None:
    """What is done, but will not work as it is."""
    for message in found:
        note(styled(f"warning: {message}", sys.stderr, fg="yellow"))


def error(failure: DnsServerError) -> None:
    """What is wrong, and each place of it."""
    note(f"{styled('error:', sys.stderr, fg='red', bold=True)} {failure.message}")
    # One problem is often the whole message; only a line of a file says more then.
    problems(one for one in failure.problems if one.message != failure.message or _is_line(one.place))


def _is_line(place: str) -> bool:
    return place.rpartition(":")[2].isdigit()
