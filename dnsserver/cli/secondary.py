"""``dnsserver zone``, of secondary zones: refresh, retransfer, convert, and whether their primaries are any."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from dnsserver.cli import output
from dnsserver.cli.app import json_option
from dnsserver.cli.changes import comment_option, messages, timeout_option
from dnsserver.cli.owner import as_owner
from dnsserver.cli.session import Session
from dnsserver.errors import DnsServerError, UsageError

if TYPE_CHECKING:
    from dnsserver.config import Config
    from dnsserver.store.secretbox import SecretBox

PRIMARY = "ADDR[:PORT][,key=KEY]"


def make(session: Session, args: dict[str, Any], timeout: float | None, *, create: bool) -> int:
    """``zone.create`` of a secondary zone; with ``timeout`` the first transfer is waited for. The exit status."""
    if timeout is not None:
        session.server("--wait")
    given = {name: value for name, value in args.items() if value is not None}
    result, _ = session.call("zone.create", given, create=create)
    result["warnings"] = warnings(session, args["name"])
    fetched = _fetch(session, "zone.refresh", args["name"], timeout) if timeout is not None else None
    if session.json:
        output.as_json(result if fetched is None else {**result, "fetched": fetched})
    else:
        output.say(f"{result['zone']}: made; its contents come with the first transfer")
        messages(result)
    output.warnings(result["warnings"])
    return 0 if fetched is None or timeout is None else _show(session, fetched, timeout)


@click.command()
@click.argument("name")
@timeout_option
@json_option
@click.pass_obj
def refresh(session: Session, name: str, timeout: float) -> int:
    """Ask the primaries of a secondary zone now, transfer what is new, and say how it went (status 1: it failed)."""
    return _fetched(session, "zone.refresh", name, timeout)


@click.command()
@click.argument("name")
@timeout_option
@json_option
@click.pass_obj
def retransfer(session: Session, name: str, timeout: float) -> int:
    """Transfer a secondary zone as a whole (AXFR), whatever its serial; the old contents are served until then."""
    return _fetched(session, "zone.retransfer", name, timeout)


def _fetched(session: Session, op: str, name: str, timeout: float) -> int:
    result = _fetch(session, op, name, timeout)
    if session.json:
        output.as_json(result)
    return _show(session, result, timeout)


def _fetch(session: Session, op: str, name: str, timeout: float) -> dict[str, Any]:
    """Have the server fetch a zone. Raises Unreachable where none runs."""
    return session.server(op.replace(".", " ")).call(op, {"name": name, "timeout": timeout})[0]


def _show(session: Session, result: dict[str, Any], timeout: float) -> int:
    """How a refresh went (the JSON of it stands already); the exit status."""
    zone, outcome = result["zone"], result["outcome"]
    if outcome == "failed":
        output.note(f"error: {zone}: {result['message']}")
    elif outcome == "pending":
        output.note(f"error: {zone}: not done after {timeout:g} s; it goes on, `dnsserver zone status` says how")
    elif session.json:
        pass
    elif outcome == "current":
        output.say(f"{zone}: serial {result['new_serial']} is current")
    else:
        old = "-" if result["old_serial"] is None else result["old_serial"]
        output.say(f"{zone}: serial {old} -> {result['new_serial']}, by {str(result['kind']).upper()}")
    return int(outcome in ("failed", "pending"))


@click.command()
@click.argument("name")
@click.option("--to", required=True, type=click.Choice(("primary", "secondary")), help="What it is to be.")
@click.option("--secondary-of", multiple=True, metavar=PRIMARY, help="With --to secondary: a primary; repeatable.")
@comment_option
@json_option
@click.pass_obj
def convert(session: Session, name: str, to: str, secondary_of: tuple[str, ...], comment: str | None) -> None:
    """Make a secondary zone a primary one, with the contents it has, or a primary zone a secondary one.

    A zone that becomes secondary serves what it has until its first transfer, which replaces all of it.
    """
    if (to == "secondary") != bool(secondary_of):
        raise UsageError(f"--secondary-of {PRIMARY} goes with --to secondary, and only with it")
    args: dict[str, Any] = {"name": name, "to": to}
    if secondary_of:
        args["secondary_of"] = list(secondary_of)
    if comment is not None:
        args["comment"] = comment
    result, _ = session.call("zone.convert", args)
    result["warnings"] = warnings(session, name) if secondary_of and result["changed"] else []
    if session.json:
        output.as_json(result)
    else:
        output.say(f"{result['zone']}: " + (f"a {to} zone now" if result["changed"] else "nothing to do"))
        messages(result)
    output.warnings(result["warnings"])


def warnings(session: Session, name: str) -> list[str]:
    """What speaks against the primaries of a zone, each of them asked now (R28). The zone is made: nothing raises."""
    try:
        client = session.connected()
        asked = _probed(session.config, name) if client is None else client.call("probe", {"name": name})[0]
    except DnsServerError as error:
        return [f"the primaries could not be asked: {error.message}"]
    return [one["message"] for one in asked["primaries"] if not one["ok"]]


def _probed(config: Config, name: str) -> dict[str, Any]:
    """Without a server this process asks, with the keys of the database."""
    import asyncio

    from dnsserver.editing.inputs import zone_name
    from dnsserver.probing import probe
    from dnsserver.protocol.tsig import Key
    from dnsserver.store import keys, zones
    from dnsserver.store.database import Database

    apex = zone_name(name)
    with as_owner(config.database.sqlite_path):
        db = Database.open(config.database.url, create=False, secret=_secret(config))
        try:
            with db.read() as conn:
                primaries = zones.get(conn, apex).settings.primaries
                stored = keys.all_keys(conn)
        finally:
            db.close()
    known = {k.name: Key(k.name, k.algorithm, k.secret, k.weak_allowed) for k in stored if k.secret is not None}
    return {"primaries": asyncio.run(probe(apex, primaries, known, config.server.outbound_address, time.time))}


def _secret(config: Config) -> SecretBox | None:
    """None where there is no secret file: then no key can be opened, which the probe tells of those it needs."""
    from dnsserver.errors import StoreFailed
    from dnsserver.store.secretbox import SecretBox

    try:
        return SecretBox.load(config.server.secret_file)
    except StoreFailed:
        return None
