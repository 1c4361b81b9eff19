"""The same servers as secondaries of one zone, beside the zones of their own; and NSD as the primary of that zone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .process import run_timed
from .servers import (
    Site,
    configure_bind,
    configure_knot,
    configure_nsd,
    configure_ours,
    configure_powerdns,
    load_powerdns,
    ours,
    replace,
)


def primary(folder: Path, port: int, zone: str, file: Path) -> Path:
    """The configuration of an NSD that serves ``zone`` from ``file``; it reads the file anew at SIGHUP."""
    site = Site(folder, port, {zone: file})
    configure_nsd(site)
    # A small change is kept as a difference; one above ixfr-size (1 MiB) is not, so the first transfer is an AXFR.
    _add(folder / "nsd.conf", "    create-ixfr: yes\n    store-ixfr: yes\n")
    return folder / "nsd.conf"


def _add(path: Path, text: str) -> None:
    with path.open("a") as out:
        out.write(text)


def _ours(site: Site, zone: str, port: int) -> None:
    configure_ours(site)
    for own, path in site.zones.items():
        run_timed(ours(site, "zone", "import", own, str(path), "--init"), site.folder)
    run_timed(ours(site, "zone", "create", zone, "--secondary-of", f"127.0.0.1:{port}"), site.folder)


def _bind(site: Site, zone: str, port: int) -> None:
    configure_bind(site)
    _add(
        site.folder / "named.conf",
        f'zone "{zone}" {{ type secondary; file "secondary"; primaries {{ 127.0.0.1 port {port}; }}; }};\n',
    )


def _nsd(site: Site, zone: str, port: int) -> None:
    configure_nsd(site)
    _add(
        site.folder / "nsd.conf",
        f'zone:\n    name: "{zone}"\n    zonefile: "secondary"\n    request-xfr: 127.0.0.1@{port} NOKEY\n'
        "    allow-notify: 127.0.0.1 NOKEY\n",
    )


def _knot(site: Site, zone: str, port: int) -> None:
    configure_knot(site)
    path = site.folder / "knot.conf"
    remote = (
        f"remote:\n  - id: primary\n    address: 127.0.0.1@{port}\n"
        "acl:\n  - id: notify\n    address: 127.0.0.1\n    action: notify\ntemplate:\n"
    )
    # It would ask a primary that is silent for five seconds again in a quarter of an hour.
    replace(path, "    tcp-io-timeout", "    tcp-remote-io-timeout: 60000\n    tcp-io-timeout")
    # Its defaults again for this zone, which those of the others are not.
    path.write_text(
        path.read_text().replace("template:\n", remote)
        + f'  - domain: "{zone}"\n    file: "secondary"\n    master: primary\n    acl: notify\n'
        "    zonefile-sync: 0\n    journal-content: changes\n"
    )


def _powerdns(site: Site, zone: str, port: int) -> None:
    configure_powerdns(site)
    _add(site.folder / "pdns.conf", "secondary=yes\nallow-notify-from=127.0.0.0/8\n")
    for own in site.zones:
        run_timed(load_powerdns(site, own), site.folder)
    util = ["pdnsutil", f"--config-dir={site.folder}"]
    name = zone.rstrip(".")
    run_timed([*util, "create-slave-zone", name, f"127.0.0.1:{port}"], site.folder)
    run_timed([*util, "set-meta", name, "IXFR", "1"], site.folder)


# How each is made a secondary of a zone, whose primary answers on a port of 127.0.0.1.
PREPARE: dict[str, Callable[[Site, str, int], None]] = {
    "dnsserver": _ours,
    "BIND": _bind,
    "NSD": _nsd,
    "Knot": _knot,
    "PowerDNS": _powerdns,
}
