"""What all changes of a zone share: showing what was changed, and ``--wait``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dnsserver.cli import output
from dnsserver.cli.session import Session

if TYPE_CHECKING:
    from dnsserver.zone.whole import Whole

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_WAIT = 30.0
# A zone that is new with more records than these is told by their number.
_NEW_RECORDS = 20


def _timeout(_: click.Context, __: click.Parameter, value: str) -> float:
    """Seconds from ``30``, ``30s``, ``2m``."""
    from dnsserver.config_values import Wrong, duration

    try:
        return float(duration(0)(float(value) if value.replace(".", "", 1).isdigit() else value))
    except Wrong as error:
        raise click.BadParameter(str(error)) from None


def timeout_option(command: F) -> F:
    """``--timeout``."""
    return click.option(
        "--timeout", callback=_timeout, default="30s", show_default=True, metavar="TIME", help="How long to wait."
    )(command)


def wait_options(command: F) -> F:
    """``--wait`` and ``--timeout``."""
    command = timeout_option(command)
    return click.option(
        "--wait", is_flag=True, help="Return when it is served and the secondaries have answered the NOTIFY."
    )(command)


def comment_option(command: F) -> F:
    """``--comment``."""
    return click.option("--comment", metavar="TEXT", help="Why, for the zone's history.")(command)


def make(
    session: Session,
    op: str,
    args: dict[str, Any],
    payload: bytes | Whole = b"",
    *,
    wait: bool = False,
    timeout: float = DEFAULT_WAIT,
    create: bool = False,
    brief: bool = False,
) -> int:
    """Make a change, show it (``brief``: without the records), and wait where that is asked for; the exit status.

    Raises what the operation raises, and Unreachable, before anything is done, when ``wait`` finds no server.
    """
    if wait:
        session.server("--wait")
    result, _ = session.call(op, {name: value for name, value in args.items() if value is not None}, payload,
                             create=create)  # fmt: skip
    changes = result.get("changes", [result])
    waits = [_wait(session, change, timeout) for change in changes] if wait else []
    if session.json:
        output.as_json({**result, "wait": waits} if wait else result)
    else:
        for change in changes:
            show(change, brief=brief)
    late = False
    for answer in waits:
        late |= _report(answer, timeout)
    return int(late)


def show(change: dict[str, Any], *, brief: bool = False) -> None:
    """A change for a person: the records, then the serials; what the operation has to say goes to standard error."""
    zone, old, new = change["zone"], change["old_serial"], change["new_serial"]
    is_new = old is None
    if not brief and not (is_new and change["added_count"] > _NEW_RECORDS):
        output.difference(change)
    records = f", {change['added_count']} records" if is_new else ""
    if not change["changed"]:
        output.say(f"{zone}: nothing to do")
    elif change.get("dry_run"):
        output.say(f"{zone}: serial {'-' if is_new else old} -> {new}{records}; a dry run, nothing was done")
    elif is_new:
        output.say(f"{zone}: made, serial {new}{records}")
    else:
        output.say(f"{zone}: serial {old} -> {new}")
    messages(change)


def messages(result: dict[str, Any]) -> None:
    """What an operation has to say beside its result."""
    for message in result.get("messages", []):
        output.note(message if message.startswith("warning:") else f"note: {message}")


def _wait(session: Session, change: dict[str, Any], timeout: float) -> dict[str, Any]:
    args = {"zone": change["zone"], "zone_version": change["zone_version"], "timeout": timeout}
    return {"zone": change["zone"], **session.ask("wait", args)}


def _report(answer: dict[str, Any], timeout: float) -> bool:
    """Say which have not followed; whether there are such."""
    zone = answer["zone"]
    if not answer["served"]:
        output.note(f"error: {zone} is stored, but not served after {timeout:g} s")
        return True
    silent = [target for target in answer["targets"] if not target["ok"]]
    for target in silent:
        output.note(
            f"error: {zone}: {target['target']} has not answered the NOTIFY: {target.get('answer') or 'silent'}"
        )
    return bool(silent)
