"""The same servers as primaries of one zone that can be edited: how each is prepared, and how each takes an edit.

BIND, Knot and PowerDNS take dynamic updates (RFC 2136); NSD takes no edit but a new file, and is left out.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from dnsserver.cli.client import Client

from . import zones
from .process import run_timed
from .running import exchanged
from .servers import (
    Site,
    configure_bind,
    configure_knot,
    configure_powerdns,
    load_powerdns,
    ours,
    prepare_ours,
    replace,
    which,
)

_UPDATE = 0x28  # opcode 5 in its place
_PATIENCE, _AGAIN = 60, 0.1  # seconds until a server has opened its control socket
_DNSUPDATE = "dnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n"

Edit = Callable[[str, bytes], None]


def _own_copies(site: Site) -> Site:
    """The server may write to its zones' files, or beside them."""
    copies = {zone: site.folder / f"zone-{number}" for number, zone in enumerate(site.zones)}
    for zone, path in copies.items():
        shutil.copy(site.zones[zone], path)
    return Site(site.folder, site.port, copies)


def _ours(site: Site, notified: Sequence[int]) -> None:
    prepare_ours(site)
    replace(site.folder / "dnsserver.toml", "notify = false", "notify = true")
    if notified:
        targets = [f"also-notify=127.0.0.1:{port}" for port in notified]
        for zone in site.zones:
            run_timed(ours(site, "zone", "set", zone, *targets), site.folder)


def _bind(site: Site, notified: Sequence[int]) -> None:
    configure_bind(_own_copies(site))
    # With the default of 20 a second, all but the first of several wait for half a second.
    replace(site.folder / "named.conf", "notify no;", "notify no; notify-rate 1000;")
    targets = "".join(f"127.0.0.1 port {port}; " for port in notified)
    more = "allow-update { 127.0.0.0/8; }; "
    if notified:
        more += f"notify explicit; notify-delay 0; also-notify {{ {targets}}}; "
    replace(site.folder / "named.conf", "type primary; ", f"type primary; {more}")


def _knot(site: Site, notified: Sequence[int]) -> None:
    configure_knot(_own_copies(site))
    path = site.folder / "knot.conf"
    replace(path, "action: transfer\n", "action: [transfer, update]\n")
    replace(path, "journal-content: none\n", "journal-content: changes\n")
    if notified:
        names = ", ".join(f"to-{port}" for port in notified)
        remotes = "".join(f"  - id: to-{port}\n    address: 127.0.0.1@{port}\n" for port in notified)
        replace(path, "template:\n", f"remote:\n{remotes}template:\n")
        replace(path, "    acl: local\n", f"    acl: local\n    notify: [{names}]\n")


def _powerdns(site: Site, notified: Sequence[int]) -> None:
    configure_powerdns(site)
    with (site.folder / "pdns.conf").open("a") as out:
        out.write(f"primary=yes\nonly-notify=\n{_DNSUPDATE}")
    util = ["pdnsutil", f"--config-dir={site.folder}"]
    for zone in site.zones:
        name = zone.rstrip(".")
        run_timed(load_powerdns(site, zone), site.folder)
        run_timed([*util, "set-kind", name, "primary"], site.folder)
        if notified:
            run_timed(
                [*util, "set-meta", name, "ALSO-NOTIFY", *(f"127.0.0.1:{port}" for port in notified)], site.folder
            )
            run_timed([*util, "set-meta", name, "NOTIFY-DNSUPDATE", "1"], site.folder)


# How each is made a primary that can be edited, and that notifies ports of 127.0.0.1.
PREPARE: dict[str, Callable[[Site, Sequence[int]], None]] = {
    "dnsserver": _ours,
    "BIND": _bind,
    "Knot": _knot,
    "PowerDNS": _powerdns,
}


def allow_updates(site: Site, name: str, zone: str) -> bool:
    """Change what ``Server.prepare`` wrote so that this zone takes edits; whether the server takes any."""
    if name == "BIND":
        # This zone alone: one that takes updates is not read again when its file is another.
        start = f'zone "{zone}" {{ type primary; '
        replace(site.folder / "named.conf", start, f"{start}allow-update {{ 127.0.0.0/8; }}; ")
    elif name == "Knot":
        replace(site.folder / "knot.conf", "action: transfer\n", "action: [transfer, update]\n")
    elif name == "PowerDNS":
        with (site.folder / "pdns.conf").open("a") as out:
            out.write(_DNSUPDATE)
    return name in PREPARE


def script(site: Site, name: str, zone: str, transactions: Sequence[Sequence[str]]) -> list[str]:
    """The command that makes these changes, in nsupdate's language, each with a ``send``."""
    path = site.folder / "changes"
    lines = [f"{line}\n" for one in transactions for line in (*one, "send")]
    head = f"zone {zone}\n" if name == "dnsserver" else f"server 127.0.0.1 {site.port}\nzone {zone}\n"
    path.write_text(head + "".join(lines))
    if name == "dnsserver":
        return ours(site, "record", "apply", str(path))
    return ["nsupdate", "-t", "300", str(path)]


def update_message(zone: str, owner: str, address: bytes) -> bytes:
    """An update after its ID that replaces the A records of a name by one (RFC 2136, 2)."""
    name = zones.wire_name(owner)
    delete = name + b"\0\1\0\xff\0\0\0\0\0\0"
    add = name + b"\0\1\0\1" + (300).to_bytes(4, "big") + b"\0\4" + address
    return bytes((_UPDATE, 0)) + b"\0\1\0\0\0\2\0\0" + zones.wire_name(zone) + b"\0\6\0\1" + delete + add


@contextlib.contextmanager
def editor(site: Site, name: str, zone: str) -> Iterator[Edit]:
    """What replaces the address of a name over a connection that stays, and returns when that is committed.

    Knot's is its own tool: after a dynamic update it waits a second before it notifies.
    """
    ways = {"dnsserver": _control, "Knot": _knotc}
    with ways.get(name, _update)(site, zone) as edit:
        yield edit


@contextlib.contextmanager
def _control(site: Site, zone: str) -> Iterator[Edit]:
    # It answers queries before it takes commands.
    deadline = time.monotonic() + _PATIENCE
    while (client := Client.connect(site.folder / "control.sock", "bench")) is None:
        if time.monotonic() > deadline:
            raise RuntimeError("the server's control socket does not answer")
        time.sleep(_AGAIN)

    def change(owner: str, address: bytes) -> None:
        rdata = [".".join(map(str, address))]
        client.call("record.set", {"zone": zone, "name": owner, "type": "A", "rdata": rdata, "ttl": "300"})

    with contextlib.closing(client):
        yield change


@contextlib.contextmanager
def _knotc(site: Site, zone: str) -> Iterator[Edit]:
    tool_of = [which("knotc"), "-s", str(site.folder / "knot.sock"), "-t", str(_PATIENCE)]
    deadline = time.monotonic() + _PATIENCE
    while (done := subprocess.run([*tool_of, "status"], capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"knotc status: {done.stdout}{done.stderr}")
        time.sleep(_AGAIN)
    command = ["stdbuf", "-oL", *tool_of]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as tool:
        to, back = tool.stdin, tool.stdout
        assert to is not None
        assert back is not None

        def change(owner: str, address: bytes) -> None:
            name, rdata = owner.rstrip("."), ".".join(map(str, address))
            steps = "begin {0}", "unset {0} {1}. A", "set {0} {1}. 300 A {2}", "commit {0}"
            to.write("".join(f"zone-{step}\n".format(zone, name, rdata) for step in steps))
            to.flush()
            for step in steps:
                # The name may not be there yet.
                if (line := back.readline().strip()) != "OK" and not step.startswith("unset"):
                    raise RuntimeError(f"knotc zone-{step}: {line}")

        yield change
        to.close()


@contextlib.contextmanager
def _update(site: Site, zone: str) -> Iterator[Edit]:
    ids = itertools.count(1)

    def update(owner: str, address: bytes) -> None:
        message = (next(ids) & 0xFFFF).to_bytes(2, "big") + update_message(zone, owner, address)
        if rcode := exchanged(("127.0.0.1", site.port), message)[3] & 0x0F:
            raise RuntimeError(f"the update was answered with RCODE {rcode}")

    yield update
