"""``dnsserver access``: who may transfer which zones (R1 to R5, R16), and why or why not (R18, R19)."""

from __future__ import annotations

from typing import Any

import click

from dnsserver.cli import files, output
from dnsserver.cli.app import OrderedGroup, json_option
from dnsserver.cli.changes import messages
from dnsserver.cli.session import Session
from dnsserver.errors import Denied, InvalidData, UsageError


@click.group("access", cls=OrderedGroup)
def group() -> None:
    """Who may transfer zones.

    One matching entry of the global list (every zone), the super-slave list (every primary zone) or the zone's own
    list is enough. An entry permits by address PREFIX, by --key, or by both together. With no entry, nobody may.
    """


def _entry_options(command: Any) -> Any:
    for option in (
        click.option("--global", "global_", is_flag=True, help="The list for every zone of this server."),
        click.option("--super-slave", is_flag=True, help="The list for every primary zone; they are also notified."),
        click.option("--zone", metavar="ZONE", help="The list of this zone."),
        click.option("--key", metavar="KEY", help="The TSIG key that requests must be signed with."),
        click.argument("prefix", required=False),
    ):
        command = option(command)
    return command


def _entry(global_: bool, super_slave: bool, zone: str | None, prefix: str | None, key: str | None) -> dict[str, str]:
    if (global_, super_slave, zone is not None).count(True) != 1:
        raise UsageError("say which list: one of --global, --super-slave, --zone ZONE")
    if prefix is None and key is None:
        raise UsageError("say whom: an address or PREFIX, --key KEY, or both")
    layer = "global" if global_ else "super-slave" if super_slave else "zone"
    given = {"layer": layer, "zone": zone, "prefix": prefix, "key": key}
    return {name: value for name, value in given.items() if value is not None}


@group.command("list")
@click.option("--zone", metavar="ZONE", help="Only what decides for this zone.")
@json_option
@click.pass_obj
def list_(session: Session, zone: str | None) -> None:
    """List the entries of the three lists."""
    result, _ = session.call("access.list", {"zone": zone} if zone else {})
    if session.json:
        output.as_json(result)
        return
    rows = [(one["layer"], one["zone"], one["prefix"], one["key"]) for one in result["entries"]]
    output.table(("LIST", "ZONE", "PREFIX", "KEY"), rows)


@group.command()
@_entry_options
@click.option(
    "--notify-port", type=click.IntRange(1, 65535), metavar="PORT", help="Where a super-slave takes NOTIFY; 53."
)
@json_option
@click.pass_obj
def allow(
    session: Session,
    global_: bool,
    super_slave: bool,
    zone: str | None,
    prefix: str | None,
    key: str | None,
    notify_port: int | None,
) -> None:
    """Add an entry to a list."""
    args: dict[str, Any] = dict(_entry(global_, super_slave, zone, prefix, key))
    if notify_port is not None:
        args["notify_port"] = notify_port
    result, _ = session.call("access.allow", args)
    _done(session, result, "allowed", "was allowed already")


@group.command()
@_entry_options
@click.option("--yes", "-y", is_flag=True, hidden=True, help="Taken for symmetry; `access allow` undoes it.")
@json_option
@click.pass_obj
def revoke(
    session: Session, global_: bool, super_slave: bool, zone: str | None, prefix: str | None, key: str | None, yes: bool
) -> None:
    """Take an entry off a list."""
    result, _ = session.call("access.revoke", _entry(global_, super_slave, zone, prefix, key))
    _done(session, result, "revoked", "was not there")


def _done(session: Session, result: dict[str, Any], changed: str, unchanged: str) -> None:
    if session.json:
        output.as_json(result)
    else:
        output.say(f"{result['entry']}: {changed if result['changed'] else unchanged}")
        messages(result)


@group.command()
@click.argument("zone")
@click.option("--from", "address", required=True, metavar="ADDRESS", help="The address the request comes from.")
@click.option("--key", metavar="KEY", help="The key it is signed with.")
@click.option(
    "--key-file", type=click.Path(allow_dash=True), help="Whether name, algorithm and secret of this key match ours."
)
@json_option
@click.pass_obj
def explain(session: Session, zone: str, address: str, key: str | None, key_file: str | None) -> int:
    """Whether ADDRESS may transfer ZONE: the entry that decides, or why not (status 5)."""
    args: dict[str, Any] = {"zone": zone, "address": address}
    if key:
        args["key"] = key
    if key_file:
        args["key_file"] = _key_file(key_file, key)
    result, _ = session.call("access.explain", args)
    if session.json:
        output.as_json(result)
    else:
        _show(result, address)
    return 0 if result["allowed"] else Denied.exit_status


def _key_file(file: str, wanted: str | None) -> dict[str, str | None]:
    from dnsserver.cli import keyfile
    from dnsserver.cli.key import DEFAULT_ALGORITHM

    text, place = files.read_text(file)
    found = keyfile.parse(text, place, wanted)
    if found.name is None and wanted is None:
        raise InvalidData(f"{place} does not name its key: say --key KEY")
    if wanted and found.name and not keyfile.same_name(found.name, wanted):
        raise InvalidData(f"{place} holds the key {found.name}, not {wanted}")
    return {"name": found.name or wanted, "algorithm": found.algorithm or DEFAULT_ALGORITHM, "secret": found.secret}


def _show(result: dict[str, Any], address: str) -> None:
    output.say(f"{address} {'may' if result['allowed'] else 'may not'} transfer {result['zone']}")
    shown = ("layer", "entry", "reason", "message", "key_required", "keys")
    output.pairs((name.replace("_", " "), result[name]) for name in shown)
    if key := result["key"]:
        output.pairs((f"key {name.replace('_', ' ')}", value) for name, value in key.items() if value is not None)
    messages(result)
