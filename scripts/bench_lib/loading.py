"""The time to take in a master file, to take it in again with some records changed, and to write one.

What is compared differs: the column "how" says what each command does. dnsserver and PowerDNS write the records into
an SQLite database; named-compilezone writes a file, and text from that; NSD and Knot only parse (their running servers
do it again), which is a lower bound of theirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import zones
from .process import Spent, run_timed
from .running import Say, rotated
from .servers import (
    Server,
    Site,
    configure_knot,
    configure_ours,
    configure_powerdns,
    free_port,
    load_powerdns,
    ours,
    which,
)
from .sizes import Size

_CONFIGURE = {"dnsserver": configure_ours, "Knot": configure_knot, "PowerDNS": configure_powerdns}
_OUT = "exported"
KINDS = ("first", "again", "export")


class Ways(NamedTuple):
    """What it does, and the commands; an empty one where there is none that would do something else."""

    how: str
    first: Sequence[str]
    again: Sequence[str] = ()
    export: Sequence[str] = ()


def ways(site: Site, zone: str, changed: Path) -> dict[str, Ways]:
    """For each server. The export comes to standard output, or into the file ``exported``."""
    path = str(site.zones[zone])
    compile_ = ("named-compilezone", "-q", "-i", "none")
    return {
        "dnsserver": Ways(
            "zone import, into SQLite; zone import --replace; zone export",
            ours(site, "zone", "import", zone, path, "--init"),
            ours(site, "zone", "import", zone, str(changed), "--replace"),
            ours(site, "zone", "export", zone),
        ),
        "PowerDNS": Ways(
            "pdnsutil load-zone, into SQLite; the same; list-zone",
            load_powerdns(site, zone),
            load_powerdns(site, zone, changed),
            ["pdnsutil", f"--config-dir={site.folder}", "list-zone", zone.rstrip(".")],
        ),
        "BIND": Ways(
            "named-compilezone, into a raw file; -; back into text",
            [*compile_, "-F", "raw", "-o", "big.raw", zone, path],
            export=[*compile_, "-f", "raw", "-F", "text", "-s", "full", "-o", _OUT, zone, "big.raw"],
        ),
        "NSD": Ways("nsd-checkzone, parsed only", ["nsd-checkzone", zone, path]),
        "Knot": Ways("knotc zone-check, parsed only", ["knotc", "-c", str(site.folder / "knot.conf"), "zone-check"]),
    }


def _timed(way: Ways, folder: Path) -> dict[str, Spent]:
    found = {}
    for kind in KINDS:
        if command := getattr(way, kind):
            output = folder / _OUT if kind == "export" and _OUT not in command else None
            found[kind] = run_timed([which(command[0]), *command[1:]], folder, output)
    return found


def _check(path: Path, records: int) -> None:
    """Raises RuntimeError when a file that was written has fewer lines than the zone has records."""
    with path.open("rb") as lines:
        if (count := sum(1 for _ in lines)) < records:
            raise RuntimeError(f"{path} has {count} lines for {records} records")


def run(servers: Sequence[Server], folder: Path, size: Size, say: Say) -> list[dict[str, object]]:
    """A row for each server; each round begins from nothing."""
    path, changed = folder / "big.zone", folder / "big.changed"
    records = zones.write(path, zones.BIG, size.names)
    zones.write(changed, zones.BIG, size.names, serial=2, changed=size.changes)
    found: dict[str, list[dict[str, Spent]]] = {server.name: [] for server in servers}
    how: dict[str, str] = {}
    for number in range(size.some):
        for server in rotated(servers, number):
            own = folder / server.name
            own.mkdir()
            site = Site(own, free_port(), {zones.BIG: path})
            if configure := _CONFIGURE.get(server.name):
                configure(site)
            way = ways(site, zones.BIG, changed)[server.name]
            if shutil.which(which(way.first[0])):
                how[server.name] = way.how
                found[server.name].append(_timed(way, own))
                if way.export:
                    _check(own / _OUT, records)
                say(f"round {number + 1} of {size.some}: {server.name} {found[server.name][-1]}")
            shutil.rmtree(own)
    return [
        {"server": name, "records": records, "changes": size.changes, "how": how[name], **_medians(rounds)}
        for name, rounds in found.items()
        if rounds
    ]


def _medians(rounds: Sequence[dict[str, Spent]]) -> dict[str, object]:
    return {
        kind: {
            "seconds": round(median(each[kind].wall for each in rounds), 2),
            "processor": round(median(each[kind].processor for each in rounds), 2),
        }
        if kind in rounds[0]
        else None
        for kind in KINDS
    }
