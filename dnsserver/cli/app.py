"""The root command, lazy groups, and the way from an error to an exit status."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dnsserver import __version__
from dnsserver.cli import output
from dnsserver.cli.session import Session
from dnsserver.errors import DnsServerError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


class OrderedGroup(click.Group):
    """A group that lists its commands in the order of the source, which is the contract's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of definition."""
        return list(self.commands)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called for: ``commands`` maps a name to "module:attribute"."""

    def __init__(self, *args: Any, lazy: dict[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the contract."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if (target := self._lazy.get(cmd_name)) is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(f"dnsserver.cli.{module}"), attribute)
        return command


COMMANDS = {
    "serve": "server:serve",
    "reload": "server:reload",
    "zone": "zone:group",
    "record": "record:group",
    "key": "key:group",
    "access": "access:group",
    "events": "events:events",
    "config": "server:config_group",
    "db": "server:db_group",
    "history": "server:history",
    "completion": "server:completion",
}


@click.command(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dnsserver", message="%(prog)s %(version)s")
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; else $DNSSERVER_CONFIG, else /etc/dnsserver/dnsserver.toml, else the defaults.",
)
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None) -> None:
    """An authoritative DNS server: its zones, records, keys and access lists, and the server itself.

    Commands work whether the server runs or not. Exit status: 0 done (also when there was nothing to do), 1 failed,
    2 usage, 3 not found, 4 invalid data, 5 denied, 6 server not reachable, 7 conflict, 8 a check found a problem.
    """
    ctx.obj.config_file = config_file


def run(arguments: list[str] | None = None) -> None:
    """Run the program and end the process with its status."""
    session = Session()
    try:
        status = _run(session, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read our output has gone (`| head`): nothing is left to say, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        # Where the output goes is full, or its reading end failed: a message, not a trace.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        output.note(f"error: {error.filename or 'standard output'}: {error.strerror or error}")
        status = 1
    sys.exit(status)


def _run(session: Session, arguments: list[str] | None) -> int:
    try:
        status = cli.main(arguments, "dnsserver", "_DNSSERVER_COMPLETE", standalone_mode=False, obj=session)
        return status if isinstance(status, int) else 0
    except DnsServerError as failure:
        if session.json:
            output.as_json({"error": failure.to_dict()})
        output.error(failure)
        return failure.exit_status
    except click.ClickException as failure:
        failure.show(sys.stderr)
        return failure.exit_code
    except click.Abort:
        output.note("aborted: nothing was done")
        return 1
    except KeyboardInterrupt:
        output.note("interrupted")
        return 1
    finally:
        session.close()


def _take_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.obj.json = value


def json_option(command: F) -> F:
    """``--json``, kept in the session."""
    return click.option("--json", is_flag=True, expose_value=False, callback=_take_json, help="Print JSON.")(command)


def yes_option(command: F) -> F:
    """``--yes``."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask; needed where there is no terminal.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed. Raises UsageError without a terminal and ``--yes``, Abort on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on: --yes says so. Nothing was done")
    click.confirm(question, abort=True, err=True)
