"""``dnsserver events``: what the database keeps of what happened; docs/events.md explains each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import click

from dnsserver.cli import output
from dnsserver.cli.app import json_option
from dnsserver.cli.session import Session

_EVERY = 1.0
# How many of the newest are looked at each time: more than happen in that time.
_WINDOW = 1000

Row = dict[str, Any]


@click.command()
@click.option("--zone", metavar="ZONE", help="Only what happened to this zone.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, newest last.")
@click.option("--follow", "-f", is_flag=True, help="Then show what happens; with --json a line each. Ctrl-C ends it.")
@json_option
@click.pass_obj
def events(session: Session, zone: str | None, limit: int, follow: bool) -> None:
    """Show what happened to zones and transfers: when last and how often, the event's name and code, and with whom.

    An event that happens again within an hour, in the same way, raises the count of the first one.
    """
    if follow:
        _follow(session, zone, limit)
        return
    result = _recent(session, zone, limit)
    if session.json:
        output.as_json(result)
    else:
        output.table(("TIME", "COUNT", "EVENT", "ZONE", "PEER", "MESSAGE"), map(_cells, result["events"]))


def _recent(session: Session, zone: str | None, limit: int) -> dict[str, Any]:
    args: dict[str, Any] = {"limit": limit}
    if zone is not None:
        args["zone"] = zone
    return session.call("events", args)[0]


def _follow(session: Session, zone: str | None, limit: int) -> None:
    """Ends when it is interrupted, which is no failure; raises Unreachable when the server goes away."""
    try:
        newest = _recent(session, zone, max(limit, _WINDOW))["events"]
        _show(session, newest[-limit:])
        while True:
            time.sleep(_EVERY)
            # New, or once more.
            seen = {row["id"]: row["count"] for row in newest}
            newest = _recent(session, zone, _WINDOW)["events"]
            _show(session, [row for row in newest if seen.get(row["id"]) != row["count"]])
    except KeyboardInterrupt:
        return


def _show(session: Session, rows: Iterable[Row]) -> None:
    for row in rows:
        output.say(json.dumps(row, ensure_ascii=False) if session.json else "  ".join(output.cells(_cells(row))))


def _cells(row: Row) -> tuple[object, ...]:
    return row["last"], row["count"], f"{row['name']} ({row['code']})", row["zone"], row["peer"], row["message"]
