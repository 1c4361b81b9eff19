"""The time to take in a master file. What is compared differs: the column "how" says what each command does.

dnsserver and PowerDNS write the records into an SQLite database; named-compilezone writes a file; NSD and Knot only
parse (their running servers do it again), which is a lower bound of theirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from . import zones
from .process import Spent
from .running import Say, rotated
from .servers import Server, Site, configure_knot, configure_ours, configure_powerdns, free_port, imports

_CONFIGURE = {"dnsserver": configure_ours, "Knot": configure_knot, "PowerDNS": configure_powerdns}


def run(servers: Sequence[Server], folder: Path, names: int, rounds: int, say: Say) -> list[dict[str, object]]:
    """A row for each server, ``names`` records; each round begins from nothing."""
    path = folder / "big.zone"
    records = zones.write(path, zones.BIG, names)
    found: dict[str, list[Spent]] = {server.name: [] for server in servers}
    how: dict[str, str] = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for server in rotated(servers, number):
            own = folder / server.name
            own.mkdir()
            site = Site(own, free_port(), {zones.BIG: path})
            if configure := _CONFIGURE.get(server.name):
                configure(site)
            way = imports(site, zones.BIG).get(server.name)
            if way is not None:
                how[server.name], take_in = way
                found[server.name].append(take_in())
            shutil.rmtree(own)
    return [
        {
            "server": name,
            "records": records,
            "how": how[name],
            "seconds": round(median(spent.wall for spent in each), 2),
            "processor_seconds": round(median(spent.processor for spent in each), 2),
        }
        for name, each in found.items()
        if each
    ]
