"""``dnsserver zone status`` for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dnsserver.cli import output


def show(result: dict[str, Any]) -> None:
    """The serials, each with its time; of a secondary zone also its primaries, its timers and what failed last."""
    output.pairs(_lines(result))


def _lines(result: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "zone", result["zone"]
    yield "role", result["role"]
    yield "state", f"{result['state']}, the last check failed" if result.get("stale") else result["state"]
    since = result.get("since") or {}
    for name, serial in result["serial"].items():
        yield f"serial {name}", _joined(serial, _since(since.get(name)))
    if result["role"] != "secondary":
        return
    yield "primaries", result["primaries"]
    yield "transferred", _joined(result["transferred"], f"by {result['kind'].upper()}" if result["kind"] else None)
    yield "last good check", _joined(result["checked"], f"at {result['primary']}" if result["primary"] else None)
    yield "next check", result["next_check"]
    yield "expires", result["expires"]
    if (error := result["last_error"]) is None:
        yield "last error", None
        return
    yield "last error", _joined(error["time"], f"{error['event']} ({error['code']})")
    yield "", error["message"]


def _since(time: str | None) -> str | None:
    return f"since {time}" if time is not None else None


def _joined(*parts: object) -> str | None:
    """What is known of it, in one cell."""
    return "  ".join(str(part) for part in parts if part is not None) or None
