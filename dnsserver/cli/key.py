"""``dnsserver key``: TSIG keys. A secret is never taken from the command line, and shown only when it is asked for."""

from __future__ import annotations

import sys
from typing import Any

import click

from dnsserver.cli import files, output
from dnsserver.cli.app import OrderedGroup, confirm, json_option, yes_option
from dnsserver.cli.changes import messages
from dnsserver.cli.session import Session
from dnsserver.errors import InvalidData

ALGORITHMS = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha1", "hmac-md5")
DEFAULT_ALGORITHM = "hmac-sha256"


@click.group("key", cls=OrderedGroup)
def group() -> None:
    """TSIG keys."""


@group.command()
@click.argument("name")
@click.argument("algorithm", default=DEFAULT_ALGORITHM)
@json_option
@click.pass_obj
def generate(session: Session, name: str, algorithm: str) -> None:
    """Make a key NAME of ALGORITHM (hmac-sha256) with a random secret; `key show --secret` shows it."""
    result, _ = session.call("key.generate", {"name": name, "algorithm": algorithm})
    _done(session, result, "generated; `dnsserver key show --secret` shows it")


@group.command("import")
@click.argument("name")
@click.argument("algorithm", required=False)
@click.option("--file", type=click.Path(allow_dash=True), help="The file with the secret; else standard input.")
@click.option("--weak", is_flag=True, help="Allow hmac-md5 or hmac-sha1 for this key.")
@json_option
@click.pass_obj
def import_(session: Session, name: str, algorithm: str | None, file: str | None, weak: bool) -> None:
    """Import a key NAME of ALGORITHM, the secret from standard input or --file.

    Taken are bare base64, a key statement (tsig-keygen, BIND; the algorithm may then be left out), and nsupdate's
    algorithm:name:secret.
    """
    from dnsserver.cli import keyfile

    text, place = _secret_text(file)
    key = keyfile.parse(text, place, name)
    if key.name is not None and not keyfile.same_name(key.name, name):
        raise InvalidData(f"{place} holds the key {key.name}, not {name}")
    if algorithm and key.algorithm and _algorithm(algorithm) != _algorithm(key.algorithm):
        raise InvalidData(f"{place} holds a key of {key.algorithm}, not {algorithm}")
    chosen = _algorithm(algorithm or key.algorithm or DEFAULT_ALGORITHM)
    args = {"name": name, "algorithm": chosen, "secret": key.secret, "weak": weak}
    result, _ = session.call("key.import", args)
    _done(session, result, "imported")


def _secret_text(file: str | None) -> tuple[str, str]:
    if file is None and sys.stdin.isatty():
        return click.prompt("secret (base64)", hide_input=True, err=True), "<terminal>"
    return files.read_text(file or "-")


def _algorithm(text: str) -> str:
    """One spelling: lower case, no final dot, no ``.sig-alg.reg.int`` (the name of HMAC-MD5, RFC 8945, 6)."""
    return text.lower().rstrip(".").removesuffix(".sig-alg.reg.int")


def _done(session: Session, result: dict[str, Any], what: str) -> None:
    if session.json:
        output.as_json(result)
    else:
        output.say(f"{result['name']}: {what if result['changed'] else 'nothing to do'}")
        messages(result)


@group.command("list")
@json_option
@click.pass_obj
def list_(session: Session) -> None:
    """List the keys, without their secrets."""
    result, _ = session.call("key.list", {})
    if session.json:
        output.as_json(result)
        return
    rows = [(key["name"], key["algorithm"], _state(key), key["created"]) for key in result["keys"]]
    output.table(("NAME", "ALGORITHM", "STATE", "CREATED"), rows)


def _state(key: dict[str, Any]) -> str:
    if not key["readable"]:
        return "unreadable: import it again"
    return "weak" if key["weak"] else "good"


@group.command()
@click.argument("name")
@click.option("--secret", is_flag=True, help="Show the secret, as BIND, NSD, Knot and PowerDNS take it.")
@json_option
@click.pass_obj
def show(session: Session, name: str, secret: bool) -> None:
    """Show a key, and where it is used."""
    key, _ = session.call("key.show", {"name": name, "secret": secret})
    if session.json:
        output.as_json(key)
    elif secret:
        output.say(_for_others(key["name"].rstrip("."), key["algorithm"], key["secret"]))
    else:
        output.pairs(
            (("name", key["name"]), ("algorithm", key["algorithm"]), ("state", _state(key)),
             ("created", key["created"]), ("used by", key["used"]))
        )  # fmt: skip


def _for_others(name: str, algorithm: str, secret: str) -> str:
    return f"""# BIND (named.conf), dig -k, nsupdate -k
key "{name}" {{
\talgorithm {algorithm};
\tsecret "{secret}";
}};

# NSD (nsd.conf)
key:
    name: "{name}"
    algorithm: {algorithm}
    secret: "{secret}"

# Knot (knot.conf)
key:
  - id: {name}
    algorithm: {algorithm}
    secret: {secret}

# PowerDNS
pdnsutil import-tsig-key {name} {algorithm} {secret}"""


@group.command()
@click.argument("name")
@yes_option
@json_option
@click.pass_obj
def delete(session: Session, name: str, yes: bool) -> None:
    """Delete a key. One that is in use is kept (status 7)."""
    confirm(f"Delete the key {name}? Its secret is lost.", yes=yes)
    result, _ = session.call("key.delete", {"name": name})
    _done(session, result, "deleted")
