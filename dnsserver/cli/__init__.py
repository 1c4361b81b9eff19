"""The command line. Starts fast: what a command needs is imported when it runs."""

from __future__ import annotations


def main() -> None:
    """The console script; ends the process with the exit status of CONTRACT, Program."""
    from dnsserver.cli.app import run

    run()
