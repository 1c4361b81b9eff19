"""A run as a whole: its values as JSON, what was printed of it, and the same in a document between its marks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import aims, table

Rows = list[dict[str, Any]]
Show = Callable[[Rows], str]


def _with_missed(aim: aims.Aim) -> dict[str, Any]:
    return aim._asdict() | {"missed": round(aim.missed, 3)}


def as_json(facts: Mapping[str, Any], parts: Mapping[str, Rows]) -> str:
    found = [_with_missed(aim) for aim in aims.aims(parts)]
    return json.dumps({"version": 1, **facts, "parts": parts, "aims": found}, indent=2)


def read(paths: Sequence[Path]) -> tuple[dict[str, Any], dict[str, Rows]]:
    """The facts of the last of some runs that were kept as JSON, and each part's rows and seconds from the last that
    has it."""
    facts: dict[str, Any] = {}
    parts: dict[str, Rows] = {}
    seconds: dict[str, float] = {}
    for path in paths:
        facts = json.loads(path.read_text())
        found = facts.pop("parts")
        parts |= found
        seconds |= {name: spent for name, spent in facts.pop("seconds", {}).items() if name in found}
        for name in ("aims", "version", "failed"):
            facts.pop(name, None)
    return facts | {"seconds": seconds}, parts


def sections(facts: Mapping[str, Any], parts: Mapping[str, Rows], shows: Mapping[str, Show]) -> dict[str, str]:
    """The text of each part, of the aims where there are any, and of the run."""
    found = {name: shows[name](rows) for name, rows in parts.items()}
    if reached := aims.aims(parts):
        found["aims"] = table.aims(reached)
    versions = ", ".join(f"{name} {version}" for name, version in facts["servers"].items())
    found["run"] = f"{versions}; Python {facts['python']}, {facts['cores']} cores, {facts['machine']}"
    if seconds := {name: spent for name, spent in facts.get("seconds", {}).items() if name in parts}:
        each = ", ".join(f"{name} {spent / 60:.1f}" for name, spent in seconds.items())
        found["run"] += f". It took {sum(seconds.values()) / 60:.0f} minutes: {each}"
    return found


def put(path: Path, texts: Mapping[str, str]) -> None:
    """Each text in place of what stands between ``<!-- bench NAME -->`` and ``<!-- end -->``; the rest stays."""

    def fresh(mark: re.Match[str]) -> str:
        return f"{mark[1]}\n\n{texts[mark[2]]}\n\n{mark[4]}" if mark[2] in texts else mark[0]

    path.write_text(re.sub(r"(<!-- bench (\w+) -->)(.*?)(<!-- end -->)", fresh, path.read_text(), flags=re.DOTALL))
