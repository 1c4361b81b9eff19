"""The log: one line an event, ``name key=value …`` or JSON, on standard error (CONTRACT, Log).

Event names are stable; docs/events.md says of each what it means, how to resolve it and how to verify. Values are
text, numbers or None (``-``); names and addresses are given as text. Zones and keys are written without the final dot
(CONTRACT: ``zone=example.com``), whatever they are given with. Secrets never come here.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = re.compile(r"[^\s\"=\\]+")

Value = str | int | float | None

_NAMES = ("zone", "key")


class _Sink:
    """Where lines go. The one piece of process-wide state: a log is an edge, as standard error itself is."""

    stream: TextIO | None = None
    json = False
    # The journal has the time of each line already.
    stamped = "JOURNAL_STREAM" not in os.environ


def configure(*, json_lines: bool, stream: TextIO | None = None) -> None:
    """Choose the form of the lines; ``stream`` is standard error when None."""
    _Sink.json = json_lines
    _Sink.stream = stream


def event(name: str, **fields: Value) -> None:
    """Write one event. A log that cannot be written never stops the server."""
    for key in _NAMES:
        if isinstance(named := fields.get(key), str) and len(named) > 1:
            fields[key] = named.removesuffix(".")
    line = _as_json(name, fields) if _Sink.json else _as_text(name, fields)
    try:
        # One write a line, so that the lines of several processes do not mix.
        (_Sink.stream or sys.stderr).write(line + "\n")
    except (OSError, ValueError):
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(name: str, fields: dict[str, Value]) -> str:
    return json.dumps({"event": name, "at": _now(), **fields}, ensure_ascii=False)


def _as_text(name: str, fields: dict[str, Value]) -> str:
    parts = [name, *(f"{key.rstrip('_').replace('_', '-')}={_text(value)}" for key, value in fields.items())]
    if _Sink.stamped:
        parts.append(f"at={_now()}")
    return " ".join(parts)


def _text(value: Value) -> str:
    if value is None or value == "":
        return "-"
    text = str(value)
    # What a terminal would take for a command (ESC, DEL, C1) is never printed as it is.
    is_printable = text.isprintable()
    if is_printable and _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=not is_printable)
