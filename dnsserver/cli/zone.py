"""``dnsserver zone``: making, looking at and changing zones as a whole."""

from __future__ import annotations

from typing import Any

import click

from dnsserver.cli import output, secondary
from dnsserver.cli import status as zone_status
from dnsserver.cli.app import LazyGroup, confirm, json_option, yes_option
from dnsserver.cli.changes import comment_option, make, messages, wait_options
from dnsserver.cli.session import Session
from dnsserver.errors import CheckFailed, InvalidData, Problem, UsageError

COMMANDS = {
    "create": "zone:create",
    "import": "zone_files:import_",
    "export": "zone_files:export",
    "list": "zone:list_",
    "show": "zone:show",
    "status": "zone:status",
    "check": "zone:check",
    "edit": "zone_files:edit",
    "diff": "zone:diff",
    "history": "zone:history",
    "rollback": "zone:rollback",
    "suspend": "zone:suspend",
    "resume": "zone:resume",
    "delete": "zone:delete",
    "restore": "zone:restore",
    "set": "zone:set_",
    "notify": "zone:notify",
    "refresh": "secondary:refresh",
    "retransfer": "secondary:retransfer",
    "convert": "secondary:convert",
}


@click.command("zone", cls=LazyGroup, lazy=COMMANDS)
def group() -> None:
    """Zones. NAME may be a network (192.0.2.0/24: its reverse zone) or a Unicode name."""


@click.command()
@click.argument("name")
@click.option("--ns", multiple=True, metavar="HOST[=ADDRESS]", help="A name server; else the server's own name.")
@click.option(
    "--secondary-of",
    multiple=True,
    metavar=secondary.PRIMARY,
    help="A primary of the zone, which is a secondary one then; several are tried in order. [V6]:PORT for IPv6.",
)
@click.option("--init", is_flag=True, help="Make the database where it is not there.")
@comment_option
@wait_options
@json_option
@click.pass_obj
def create(
    session: Session,
    name: str,
    ns: tuple[str, ...],
    secondary_of: tuple[str, ...],
    init: bool,
    comment: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """Make a primary zone, with SOA and NS; it is served at once. Or a secondary zone, with --secondary-of.

    Each primary of a secondary zone is asked for the SOA now, with a warning where that fails. The contents come with
    the first transfer; --wait returns after it.
    """
    args: dict[str, Any] = {"name": name, "settings": {}, "comment": comment}
    if not secondary_of:
        return make(session, "zone.create", {**args, "ns": list(ns)}, wait=wait, timeout=timeout, create=init)
    if ns:
        raise UsageError("--ns makes a primary zone: the name servers of a secondary zone come from its primary")
    args["secondary_of"] = list(secondary_of)
    return secondary.make(session, args, timeout if wait else None, create=init)


@click.command("list")
@json_option
@click.pass_obj
def list_(session: Session) -> None:
    """List the zones."""
    result, _ = session.call("zone.list", {})
    if session.json:
        output.as_json(result)
        return
    rows = [
        (zone["zone"], zone["role"], zone["state"], zone["serial"], zone["records"], zone["changed"])
        for zone in result["zones"]
    ]
    output.table(("ZONE", "ROLE", "STATE", "SERIAL", "RECORDS", "CHANGED"), rows)


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Show a zone: its settings, who may transfer it, the keys they use, and how much it holds."""
    result, _ = session.call("zone.show", {"name": name})
    if session.json:
        output.as_json(result)
        return
    output.pairs(_flat({key: value for key, value in result.items() if key not in ("access", "keys")}))
    output.say("")
    output.table(("MAY TRANSFER", "LIST"), [(entry["entry"], entry["layer"]) for entry in result["access"]])
    if result["keys"]:
        output.say("")
        output.table(
            ("KEY", "ALGORITHM", "SINCE"), [(key["name"], key["algorithm"], key["created"]) for key in result["keys"]]
        )


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def status(session: Session, name: str) -> None:
    """Show how a zone does: the serials that are served, stored and notified, each with its time.

    Of a secondary zone also its primaries, its last transfer, when it is checked next, when it expires, and what
    failed last.
    """
    result, _ = session.call("zone.status", {"name": name})
    if session.json:
        output.as_json(result)
    else:
        zone_status.show(result)


def _flat(result: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """The properties of a nested result, one a line."""
    found: list[tuple[str, object]] = []
    for name, value in result.items():
        shown = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            found += _flat(value, f"{shown} ")
        elif name not in ("version", "messages"):
            found.append((shown, value))
    return found


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def check(session: Session, name: str) -> int:
    """Look for what is wrong in a zone, and for name servers that will not work (status 8)."""
    result, _ = session.call("zone.check", {"name": name})
    found = [Problem(one["place"], one["message"], one["severity"]) for one in result["problems"]]
    if session.json:
        output.as_json(result)
    else:
        for problem in found:
            output.say(f"{problem.severity}: {problem}")
        output.say(f"{result['zone']}: {_count(len(found), 'problem')}" if found else f"{result['zone']}: good")
    return CheckFailed.exit_status if found else 0


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


@click.command()
@click.argument("name")
@click.argument("from_", metavar="[FROM]", required=False)
@click.argument("to", metavar="[TO]", required=False)
@json_option
@click.pass_obj
def diff(session: Session, name: str, from_: str | None, to: str | None) -> None:
    """Show what changed between two versions of a zone: serials, or vN for version N; without FROM, the last change."""
    given = {"name": name, "from": from_, "to": to}
    result, _ = session.call("zone.diff", {key: value for key, value in given.items() if value is not None})
    if session.json:
        output.as_json(result)
        return
    output.difference(result)
    messages(result)


@click.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, newest first.")
@json_option
@click.pass_obj
def history(session: Session, name: str, limit: int) -> None:
    """Show the changes of a zone, newest first; `zone rollback` and `zone diff` take their versions."""
    result, _ = session.call("zone.history", {"name": name, "limit": limit})
    if session.json:
        output.as_json(result)
        return
    rows = [
        (one["zone_version"], one["new_serial"], one["time"], one["user"], one["kind"], _size(one), one["comment"])
        for one in result["entries"]
    ]
    output.table(("VERSION", "SERIAL", "TIME", "USER", "KIND", "RECORDS", "COMMENT"), rows)


def _size(entry: dict[str, Any]) -> str:
    """How much a change holds; what is not in the journal cannot be undone."""
    return "whole zone" if entry["reset"] else f"+{entry['added']} -{entry['removed']}"


@click.command()
@click.argument("name")
@click.option("--to", required=True, metavar="VERSION", help="A serial of `zone history`, or vN for version N.")
@click.option("--yes", "-y", is_flag=True, hidden=True, help="Taken for symmetry; a rollback can be rolled back.")
@comment_option
@wait_options
@json_option
@click.pass_obj
def rollback(session: Session, name: str, to: str, yes: bool, comment: str | None, wait: bool, timeout: float) -> int:
    """Bring the contents of a zone back to an earlier version, under a new serial."""
    return make(session, "zone.rollback", {"name": name, "to": to, "comment": comment}, wait=wait, timeout=timeout)


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def suspend(session: Session, name: str) -> None:
    """Keep a zone, but neither answer nor transfer it."""
    _simple(session, "zone.suspend", name, "suspended")


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def resume(session: Session, name: str) -> None:
    """Serve a suspended zone again."""
    _simple(session, "zone.resume", name, "serving again")


@click.command()
@click.argument("name")
@yes_option
@json_option
@click.pass_obj
def delete(session: Session, name: str, yes: bool) -> None:
    """Delete a zone; `zone restore` brings it back within 7 days."""
    confirm(f"Delete the zone {name}? It is not answered any more.", yes=yes)
    _simple(session, "zone.delete", name, "deleted; `dnsserver zone restore` brings it back")


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def restore(session: Session, name: str) -> None:
    """Bring a deleted zone back."""
    _simple(session, "zone.restore", name, "restored")


def _simple(session: Session, op: str, name: str, done: str) -> None:
    result, _ = session.call(op, {"name": name})
    _done(session, result, done)


def _done(session: Session, result: dict[str, Any], done: str) -> None:
    if session.json:
        output.as_json(result)
    else:
        output.say(f"{result['zone']}: {done if result.get('changed', True) else 'nothing to do'}")
        messages(result)


@click.command("set")
@click.argument("name")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@json_option
@click.pass_obj
def set_(session: Session, name: str, changes: tuple[str, ...]) -> None:
    """Change settings of a zone.

    serial-policy=increment|unixtime|date, notify=on|off, ixfr=on|udp|off, also-notify=ADDR[:PORT][,key=KEY] and
    allow-notify=PREFIX[,key=KEY] (both repeatable, an empty value empties them), notify-to-soa=on|off,
    default-ttl=TTL. Of a secondary zone primaries=ADDR[:PORT][,key=KEY] (repeatable, in the order in which they are
    tried) and zonemd=off|warn|require, whether the digest of what is transferred in is verified (RFC 8976).
    """
    if wrong := [change for change in changes if "=" not in change]:
        raise InvalidData(f"{wrong[0]!r} is no setting: write KEY=VALUE")
    result, _ = session.call("zone.set", {"name": name, "changes": list(changes)})
    is_asked = any(change["key"] == "primaries" for change in result["changes"])
    result["warnings"] = secondary.warnings(session, name) if is_asked else []
    _done(session, result, "set")
    output.warnings(result["warnings"])


@click.command()
@click.argument("name")
@json_option
@click.pass_obj
def notify(session: Session, name: str) -> None:
    """Send NOTIFY for a zone to all its targets now."""
    result, _ = session.server("zone notify").call("zone.notify", {"name": name})
    _done(session, result, "NOTIFY is sent")
