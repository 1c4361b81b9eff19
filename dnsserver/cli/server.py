"""The commands about the server as a whole: serve, reload, config, db, history, completion."""

from __future__ import annotations

import gc

import click

from dnsserver.cli import output
from dnsserver.cli.app import OrderedGroup, cli, json_option
from dnsserver.cli.owner import as_owner
from dnsserver.cli.session import Session


@click.command()
@click.pass_obj
def serve(session: Session) -> None:
    """Run the server in the foreground. SIGTERM ends it cleanly, SIGHUP makes it read its configuration again."""
    config = session.config
    from dnsserver.serve import run

    gc.enable()  # this one is here to stay
    run(config)


@click.command()
@json_option
@click.pass_obj
def reload(session: Session) -> None:
    """Make the running server read its configuration again: all of it, or none."""
    result = session.ask("reload", {})
    if session.json:
        output.as_json(result)
    else:
        output.say("the configuration was read again")


@click.group("config")
def config_group() -> None:
    """The configuration file."""


@config_group.command("check")
@json_option
@click.pass_obj
def config_check(session: Session) -> None:
    """Read the configuration, and report all its errors (status 4)."""
    config = session.config
    if session.json:
        output.as_json({"file": str(config.file) if config.file else None, "ok": True, "problems": []})
    else:
        output.say(f"{config.file}: good" if config.file else "there is no file: the embedded defaults hold")


@click.group("db", cls=OrderedGroup)
def db_group() -> None:
    """The database."""


@db_group.command("upgrade")
@json_option
@click.pass_obj
def db_upgrade(session: Session) -> None:
    """Bring the database's schema up to date; make the database where it is not there."""
    from dnsserver.store import migrate

    database = session.config.database
    with as_owner(database.sqlite_path):
        migrate.upgrade(database.url)
    _show_revision(session)


@db_group.command("current")
@json_option
@click.pass_obj
def db_current(session: Session) -> None:
    """Show the revision of the database's schema, and the one that this program needs."""
    _show_revision(session)


def _show_revision(session: Session) -> None:
    from dnsserver.store import migrate

    database = session.config.database
    with as_owner(database.sqlite_path):
        revision, head = migrate.current(database.url)
    if session.json:
        output.as_json({"revision": revision, "head": head, "current": revision == head})
    elif revision == head:
        output.say(f"revision {revision}: up to date")
    else:
        output.say(f"revision {revision}; this program needs {head}: `dnsserver db upgrade`")


@click.command()
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, newest first.")
@json_option
@click.pass_obj
def history(session: Session, limit: int) -> None:
    """Changes of access, keys and settings: when, by whom, what."""
    result, _ = session.call("history", {"limit": limit})
    if session.json:
        output.as_json(result)
        return
    rows = [(one["time"], one["user"], one["subject"], one["action"], one["detail"]) for one in result["entries"]]
    output.table(("TIME", "USER", "SUBJECT", "ACTION", "DETAIL"), rows)


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(dnsserver completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the choices above are click's own
    click.echo(kind(cli, {}, "dnsserver", "_DNSSERVER_COMPLETE").source())
