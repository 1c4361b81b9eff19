"""The command line. Starts fast: what a command needs is imported when it runs."""

from __future__ import annotations

import gc


def main() -> None:
    """The console script; ends the process with the exit status of CONTRACT, Program."""
    # What is imported stays to the end: to look for cycles in it again and again takes a fifth of a command.
    gc.disable()
    from dnsserver.cli.app import run

    try:
        run()
    finally:
        gc.freeze()
