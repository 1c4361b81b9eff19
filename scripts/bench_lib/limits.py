"""Response rate limiting, on in each server that has it, with a rate so high that nothing is limited."""

from __future__ import annotations

import dataclasses

from .servers import Server, Site, replace

_RATE = 1_000_000
_MOST_OF_BIND = 1_000  # for each name and prefix, of which there are thousands
ABLE = ("dnsserver", "BIND", "NSD", "Knot")


def _limit(site: Site, name: str) -> None:
    """Change what ``Server.prepare`` wrote."""
    if name == "dnsserver":
        with (site.folder / "dnsserver.toml").open("a") as out:
            out.write(f"[limits]\nrate-limit = {_RATE}\n")
    elif name == "BIND":
        words = f"responses-per-second {_MOST_OF_BIND}; nxdomains-per-second {_MOST_OF_BIND}; max-table-size 100000;"
        replace(site.folder / "named.conf", "options {", f"options {{ rate-limit {{ {words} }};")
    elif name == "NSD":
        rate = f"rrl-ratelimit: {_RATE}\n    rrl-whitelist-ratelimit: {_RATE}"
        replace(site.folder / "nsd.conf", "rrl-ratelimit: 0", rate)
    else:
        path = site.folder / "knot.conf"
        replace(path, "mod-cookies:\n", f"mod-rrl:\n  - id: default\n    rate-limit: {_RATE}\nmod-cookies:\n")
        replace(path, "global-module: mod-cookies/default", "global-module: [mod-cookies/default, mod-rrl/default]")


def limited(server: Server) -> Server:
    def prepare(site: Site) -> None:
        server.prepare(site)
        _limit(site, server.name)

    return dataclasses.replace(server, prepare=prepare)
