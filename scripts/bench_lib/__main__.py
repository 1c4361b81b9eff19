"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import axfr, document, editing, growth, ixfr, latency, loading, plot, query, receive, sizes, starting, table
from .process import Cores, end_all
from .servers import SERVERS, Server
from .sizes import Size

Rows = list[dict[str, Any]]
Facts = dict[str, Any]
Say = Callable[[str], None]
_BEGIN = time.monotonic()
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Part(NamedTuple):
    """What measures it, and what shows its rows; ``wide``: it may use every core, by itself or where it says so."""

    run: Callable[[Sequence[Server], Path, Cores, Size, Say], Rows]
    show: Callable[[Rows], str]
    wide: bool = False


def _loading(servers: Sequence[Server], folder: Path, _: Cores, size: Size, say: Say) -> Rows:
    return loading.run(servers, folder, size, say)


def _receive(servers: Sequence[Server], folder: Path, _: Cores, size: Size, say: Say) -> Rows:
    return receive.run(servers, folder, size.names, size.few, say)


PARTS = {
    "query": Part(query.run, table.query),
    "axfr": Part(axfr.run, table.axfr),
    "import": Part(_loading, table.loading, wide=True),
    "ixfr": Part(ixfr.run, table.ixfr),
    "start": Part(starting.run, table.start),
    "latency": Part(latency.run, table.latency),
    "edit": Part(editing.run, table.edit),
    "growth": Part(growth.run, table.growth),
    "receive": Part(_receive, table.receive, wide=True),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures this server beside whichever of BIND, NSD, Knot and PowerDNS are installed, in rounds "
        "that take turns, so that what drifts in the machine meets all of them alike; prints medians.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="only enough to see that each part works")
    size.add_argument(
        "--full", action="store_true",
        help="a million records instead of 100,000: on two cores 45 minutes, with --rounds 1 some 35",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help=f"rounds of each part (else {sizes.USUAL.rounds})")
    parser.add_argument("--queries", type=int, help=f"queries a round (else {sizes.USUAL.queries:,})")
    parser.add_argument("--names", type=int, help=f"names of the large zone (else {sizes.USUAL.names:,})")
    parser.add_argument("--kinds", metavar="KIND,...", help=f"of queries, of {', '.join(query.KINDS)} (else all)")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="write growth there, too, as SVG")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the JSON there, too, after each part")
    parser.add_argument(
        *("--from", "-f"), metavar="FILE", type=Path, action="append", default=[], dest="saved",
        help="measure nothing, show what was saved there; of several each part's last",
    )  # fmt: skip
    parser.add_argument("--into", metavar="FILE", type=Path, help="put the tables into this document, at its marks")
    parser.add_argument("--only", metavar="NAME,...", help="these servers alone")
    found = parser.parse_args()
    if unknown := set(found.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    found.kinds = tuple(found.kinds.split(",")) if found.kinds else ()
    if unknown := set(found.kinds) - set(query.KINDS):
        parser.error(f"no such kind of query: {', '.join(sorted(unknown))}")
    return found


def _size(arguments: argparse.Namespace) -> Size:
    size = sizes.QUICK if arguments.quick else sizes.FULL if arguments.full else sizes.USUAL
    given = {name: getattr(arguments, name) for name in ("rounds", "queries", "names", "kinds")}
    if given["rounds"]:
        given |= {name: min(given["rounds"], getattr(size, name)) for name in ("some", "few")}
    return size._replace(**{name: number for name, number in given.items() if number})


def _chosen(only: str | None) -> list[Server]:
    names = {name.lower() for name in only.split(",")} if only else None
    return [server for server in SERVERS if server.installed and (names is None or server.name.lower() in names)]


def _say(words: str) -> None:
    minutes, seconds = divmod(round(time.monotonic() - _BEGIN), 60)
    print(f"  {minutes:2}:{seconds:02} {words}", file=sys.stderr, flush=True)


def _run(part: Part, servers: Sequence[Server], cores: Cores, size: Size) -> Rows:
    if not part.wide:
        # The load, and this program, keep off the server's core.
        os.sched_setaffinity(0, {cores.load})
    try:
        with tempfile.TemporaryDirectory(prefix="dnsserver-bench-", ignore_cleanup_errors=True) as folder:
            try:
                return part.run(servers, Path(folder), cores, size, _say)
            finally:
                end_all()
    finally:
        os.sched_setaffinity(0, {cores.load, cores.server})


def _facts(servers: Sequence[Server], size: Size) -> Facts:
    """``seconds`` are those that each part took, ``failed`` says why one has no rows."""
    return {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "size": size._asdict(),
        "servers": {server.name: server.version_text() for server in servers},
        "seconds": {},
        "failed": {},
    }


def _measure(arguments: argparse.Namespace, servers: Sequence[Server], cores: Cores) -> tuple[Facts, dict[str, Rows]]:
    """All parts in turn; one that fails is told of, and left out."""
    if cores.server == cores.load:
        print("one core only: server and load take turns on it", file=sys.stderr)
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"the machine is busy (load {load:.1f}): figures come out too high, ratios less so", file=sys.stderr)
    size = _size(arguments)
    facts, found = _facts(servers, size), dict[str, Rows]()
    names = arguments.parts or list(PARTS)
    for number, name in enumerate(names, 1):
        begin = time.monotonic()
        print(f"{name} (part {number} of {len(names)}):", file=sys.stderr, flush=True)
        try:
            rows = _run(PARTS[name], servers, cores, size)
            shown = PARTS[name].show(rows)
            found[name] = rows
        except Exception as why:  # whatever it is, the other parts need not suffer
            traceback.print_exc()
            facts["failed"][name] = f"{type(why).__name__}: {why}"
            shown = f"{name} failed: {facts['failed'][name]}"
        facts["seconds"][name] = round(time.monotonic() - begin, 1)
        _say(f"{name} {'failed after' if name in facts['failed'] else 'took'} {facts['seconds'][name]:.0f} s")
        if not arguments.json:
            print(f"\n{shown}\n", flush=True)
        if arguments.save:
            arguments.save.write_text(document.as_json(facts, found))
    return facts, found


def _ended(number: int, _: object) -> None:
    """As an exception, so that every server is ended on the way out; which no second signal stops."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    arguments = _arguments()
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ended)
    servers = _chosen(arguments.only)
    if arguments.saved:
        facts, found = document.read(arguments.saved)
    elif servers:
        facts, found = _measure(arguments, servers, Cores.choose())
    else:
        print("none of these servers is installed", file=sys.stderr)
        return 2
    texts = document.sections(facts, found, {name: part.show for name, part in PARTS.items()})
    if arguments.plot and "growth" in found:
        plot.write(arguments.plot, found["growth"])
    if arguments.into:
        document.put(arguments.into, texts)
    if arguments.json:
        print(document.as_json(facts, found))
    else:
        shown = texts if arguments.saved else [name for name in ("aims", "run") if name in texts]
        print("\n\n".join(texts[name] for name in shown))
    for name, why in facts.get("failed", {}).items():
        print(f"{name} failed: {why}", file=sys.stderr)
    return 1 if facts.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
