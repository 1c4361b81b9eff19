"""Man pages from the help of the commands: one for the program and one for each group. ``scripts/man`` runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dnsserver import __version__
from dnsserver.cli.app import cli

_FILES = """.SH FILES
.TP
.I /etc/dnsserver/dnsserver.toml
The configuration, where neither
.B \\-\\-config
nor
.B $DNSSERVER_CONFIG
names another. The commented one that is shipped has every key with its default.
"""


def pages() -> dict[str, str]:
    """File name -> roff."""
    # The settings a command runs with, too: without them its help option would have another name.
    root = click.Context(cli, info_name="dnsserver", **cli.context_settings)
    commands = {name: cli.get_command(root, name) for name in cli.list_commands(root)}
    groups = {name: command for name, command in commands.items() if isinstance(command, click.Group)}
    others = [f"dnsserver-{name}" for name in groups]
    single = [(name, command) for name, command in commands.items() if command is not None and name not in groups]
    found = {"dnsserver.1": _page("dnsserver", cli, root, single, others)}
    for name, group in groups.items():
        ctx = click.Context(group, info_name=name, parent=root)
        inside = [(one, group.get_command(ctx, one)) for one in group.list_commands(ctx)]
        known = [(one, command) for one, command in inside if command is not None]
        found[f"dnsserver-{name}.1"] = _page(f"dnsserver-{name}", group, ctx, known, ["dnsserver"])
    return found


def _page(
    title: str, group: click.Command, ctx: click.Context, commands: list[tuple[str, click.Command]], others: list[str]
) -> str:
    text = group.help or ""
    summary = text.split("\n")[0].split(". ")[0].rstrip(".")
    parts = [
        f'.TH "{title.upper()}" 1 "" "dnsserver {__version__}" "User Commands"\n',
        f".SH NAME\n{title} \\- {_roff(summary)}\n",
        f".SH SYNOPSIS\n.B {_roff(ctx.command_path)}\n[OPTIONS] COMMAND [ARGS]...\n",
        f".SH DESCRIPTION\n{_paragraphs(text)}",
    ]
    if options := "".join(_options(group, ctx)):
        parts.append(f".SH OPTIONS\n{options}")
    parts.append(".SH COMMANDS\n")
    for name, command in commands:
        parts.append(_command(name, command, ctx))
    if title == "dnsserver":
        parts.append(_FILES)
    parts.append(".SH SEE ALSO\n" + ",\n".join(f".BR {_roff(other)} (1)" for other in others) + "\n")
    return "".join(parts)


def _command(name: str, command: click.Command, parent: click.Context) -> str:
    ctx = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(ctx))
    body = _paragraphs(command.help or "")
    return f".SS {_roff(ctx.command_path)} {_roff(usage)}\n{body}" + "".join(_options(command, ctx))


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    for parameter in command.get_params(ctx):
        if not isinstance(parameter, click.Option) or parameter.name == "help":
            continue
        if record := parameter.get_help_record(ctx):
            yield f".TP\n.B {_roff(record[0])}\n{_roff(record[1])}\n"


def _paragraphs(text: str) -> str:
    return "".join(f"{_roff(' '.join(part.split()))}\n.PP\n" for part in text.split("\n\n")).removesuffix(".PP\n")


def _roff(text: str) -> str:
    """Escaped: backslashes, hyphens that are to stay hyphens, and a line's first dot or quote."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def main(arguments: list[str]) -> int:
    """Write the pages to a folder; with ``--check`` only say (status 1) which are not as they should be."""
    folder = Path(arguments[0])
    stale = [name for name, text in pages().items() if _read(folder / name) != text]
    if "--check" in arguments:
        for name in stale:
            print(f"{folder / name} is not what scripts/man makes", file=sys.stderr)
        return int(bool(stale))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
