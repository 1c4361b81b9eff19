"""``dnsserver record``: the records of a zone."""

from __future__ import annotations

import click

from dnsserver.cli import files, output
from dnsserver.cli.app import OrderedGroup, json_option
from dnsserver.cli.changes import comment_option, make, wait_options
from dnsserver.cli.session import Session

_ttl_option = click.option(
    "--ttl", metavar="TTL", help="Seconds, or like 1h; else the RRset's, else the zone's default."
)


@click.group("record", cls=OrderedGroup)
def group() -> None:
    """The records of a zone.

    NAME is relative to ZONE, '@' is the zone itself, a final dot makes it absolute. Each RDATA is one record: quote
    one of several words ('10 mail').
    """


@group.command("list")
@click.argument("zone")
@click.argument("name", required=False)
@click.argument("rtype", metavar="[TYPE]", required=False)
@json_option
@click.pass_obj
def list_(session: Session, zone: str, name: str | None, rtype: str | None) -> None:
    """List the records of ZONE, of NAME in it, of TYPE there."""
    result, _ = session.call("record.list", {"zone": zone, "name": name, "type": rtype})
    if session.json:
        output.as_json(result)
        return
    rows = [(one["name"], one["ttl"], one["type"], one["rdata"]) for one in result["records"]]
    output.table(("NAME", "TTL", "TYPE", "RDATA"), rows)


@group.command()
@click.argument("zone")
@click.argument("name")
@click.argument("rtype", metavar="TYPE")
@click.argument("rdata", nargs=-1, required=True)
@_ttl_option
@comment_option
@wait_options
@json_option
@click.pass_obj
def add(
    session: Session,
    zone: str,
    name: str,
    rtype: str,
    rdata: tuple[str, ...],
    ttl: str | None,
    comment: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """Add records. What is there already changes nothing."""
    args = {"zone": zone, "name": name, "type": rtype, "rdata": list(rdata), "ttl": ttl, "comment": comment}
    return make(session, "record.add", args, wait=wait, timeout=timeout)


@group.command("set")
@click.argument("zone")
@click.argument("name")
@click.argument("rtype", metavar="TYPE")
@click.argument("rdata", nargs=-1, required=True)
@_ttl_option
@click.option("--force", is_flag=True, help="Let the serial of an SOA go backwards.")
@comment_option
@wait_options
@json_option
@click.pass_obj
def set_(
    session: Session,
    zone: str,
    name: str,
    rtype: str,
    rdata: tuple[str, ...],
    ttl: str | None,
    force: bool,
    comment: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """Replace the RRset of NAME and TYPE by these records."""
    args = {"zone": zone, "name": name, "type": rtype, "rdata": list(rdata), "ttl": ttl, "comment": comment}
    return make(session, "record.set", args | ({"force": True} if force else {}), wait=wait, timeout=timeout)


@group.command()
@click.argument("zone")
@click.argument("name")
@click.argument("rtype", metavar="TYPE")
@click.argument("rdata", nargs=-1)
@click.option("--yes", "-y", is_flag=True, hidden=True, help="Taken for symmetry; `zone rollback` undoes it.")
@comment_option
@wait_options
@json_option
@click.pass_obj
def delete(
    session: Session,
    zone: str,
    name: str,
    rtype: str,
    rdata: tuple[str, ...],
    yes: bool,
    comment: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """Delete these records; without RDATA the whole RRset. What is not there changes nothing."""
    args = {"zone": zone, "name": name, "type": rtype, "rdata": list(rdata), "comment": comment}
    return make(session, "record.delete", args, wait=wait, timeout=timeout)


@group.command()
@click.argument("file", type=click.Path(allow_dash=True))
@comment_option
@wait_options
@json_option
@click.pass_obj
def apply(session: Session, file: str, comment: str | None, wait: bool, timeout: float) -> int:
    """Apply a batch in nsupdate's language from FILE ('-': standard input), one transaction a `send`.

    Lines: zone NAME, ttl N, prereq …, update add …, update delete …, send.
    """
    text, source = files.read_text(file)
    args = {"text": text, "source": source, "comment": comment}
    return make(session, "record.apply", args, wait=wait, timeout=timeout)
