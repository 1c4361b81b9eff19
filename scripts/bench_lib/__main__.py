"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import axfr, loading, query, receive, table
from .process import Cores
from .servers import SERVERS, Server

PARTS = ("query", "axfr", "import", "receive")
# What these measure may use every core.
_WIDE = ("import", "receive")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures this server beside whichever of BIND, NSD, Knot and PowerDNS are installed, in rounds "
        "that take turns, so that what drifts in the machine meets all of them alike; prints medians.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each part (default %(default)s)")
    parser.add_argument("--queries", type=int, default=100_000, help="queries a round (default %(default)s)")
    parser.add_argument("--full", action="store_true", help="import and receive a million records instead of 100,000")
    parser.add_argument("--only", metavar="NAME,...", help="these servers alone")
    found = parser.parse_args()
    if unknown := set(found.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return found


def _chosen(only: str | None) -> list[Server]:
    names = {name.lower() for name in only.split(",")} if only else None
    return [server for server in SERVERS if server.installed and (names is None or server.name.lower() in names)]


def _say(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


def _run(part: str, servers: Sequence[Server], cores: Cores, arguments: argparse.Namespace) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="dnsserver-bench-") as name:
        folder = Path(name)
        if part == "query":
            return query.run(servers, folder, cores, arguments.rounds, arguments.queries, _say)
        if part == "axfr":
            return axfr.run(servers, folder, cores, arguments.rounds, _say)
        measure = receive.run if part == "receive" else loading.run
        return measure(servers, folder, 1_000_000 if arguments.full else 100_000, min(3, arguments.rounds), _say)


def main() -> int:
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As an exception, so that every server is ended on the way out.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    servers, cores = _chosen(arguments.only), Cores.choose()
    if not servers:
        print("none of these servers is installed", file=sys.stderr)
        return 2
    if cores.server == cores.load:
        print("one core only: server and load take turns on it", file=sys.stderr)
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"the machine is busy (load {load:.1f}): figures come out too high, ratios less so", file=sys.stderr)
    versions = {server.name: server.version_text() for server in servers}
    found: dict[str, Any] = {}
    render = {"query": table.query, "axfr": table.axfr, "import": table.loading, "receive": table.receive}
    for part in arguments.parts or PARTS:
        print(f"{part}:", file=sys.stderr)
        if part not in _WIDE:
            # The load, and this program, keep off the server's core.
            os.sched_setaffinity(0, {cores.load})
        found[part] = _run(part, servers, cores, arguments)
        os.sched_setaffinity(0, {cores.load, cores.server})
        if not arguments.json:
            print(f"\n{render[part](found[part])}\n", flush=True)
    if arguments.json:
        machine = {"machine": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
        print(json.dumps({"version": 1, **machine, "servers": versions, "parts": found}, indent=2))
    else:
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
