"""The real root zone, six versions of early 2018, two of them signed (issues 3 and 4, Done when).

The zones name the real root servers: dnsserver's outgoing address is 127.0.0.1, so that no NOTIFY leaves the machine.
"""

from __future__ import annotations

import functools
import gzip
import ipaddress
import os
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dns.flags
import dns.name
import dns.rcode
import dns.rdata
import pytest

from tests.interop.follower import transfers
from tests.support import client
from tests.support.client import Endpoint, Row, difference
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import Bind, Knot, Peer, Primary
from tests.support.server import Server

pytestmark = pytest.mark.interop("named", "knotd")

DATA = Path(os.environ.get("DNSSERVER_ROOT_ZONES", Path(__file__).parents[3] / "shared/data/root-zone"))
SIGNED = (2018012900, 2018012901)
VERSIONS = (*SIGNED, 2018013000, 2018020701, 2018022302, 2018031200)
# The change of 2018012901 renews all signatures and that of 2018013000 drops them: larger than the zone (README there).
LARGER_THAN_THE_ZONE = (2018012901, 2018013000)
FOLLOW_SECONDS = 120


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The versions as plain master files."""
    if not DATA.is_dir():
        pytest.skip(f"no root zones in {DATA}")
    directory = tmp_path_factory.mktemp("root-zone")
    found = {}
    for serial in VERSIONS:
        found[serial] = directory / f"{serial}.zone"
        found[serial].write_bytes(gzip.decompress((DATA / f"{serial}.zone.gz").read_bytes()))
    return found


def rdata_wire(kind: str, text: str) -> bytes:
    """Rdata of the file; dnspython for what is rare, as it takes 0.2 ms."""
    if kind == "NS":
        wire = dns.name.from_text(text).to_wire()
        assert wire is not None
        return wire
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind == "DS":
        tag, algorithm, digest_type, digest = text.split(maxsplit=3)
        return struct.pack("!HBB", int(tag), int(algorithm), int(digest_type)) + bytes.fromhex(digest)
    wire = dns.rdata.from_text("IN", kind, text, dns.name.root, relativize=False).to_wire()
    assert wire is not None
    return wire


@functools.cache
def expected(file: Path) -> list[Row]:
    """What the file says, read line by line; a record given twice is one."""
    found = set()
    for line in file.read_text().splitlines():
        owner, ttl, _, kind, text = line.split(maxsplit=4)
        wire = rdata_wire(kind, text)
        found.add(Row(owner.lower(), int(ttl), kind, client.canonical_rdata(kind, wire, 0, len(wire))))
    return sorted(found)


def import_version(server: Server, file: Path) -> None:
    words = ["--replace"] if server.serial(".") is not None else []
    server.cli("zone", "import", ".", str(file), *words, timeout=120)


def test_every_version_imports_answers_and_exports(
    files: dict[int, Path], make_server: MakeServer, tmp_path: Path
) -> None:
    """Import, transfer, export, and import of the export: the same records each time."""
    server: Server = make_server()
    second: Server = make_server("second")
    server.allow_everywhere("127.0.0.1")
    second.allow_everywhere("127.0.0.1")
    for serial, file in files.items():
        import_version(server, file)
        server.wait_serial(".", serial, 20)
        ours, wanted = server.axfr("."), expected(file)
        assert ours == wanted, difference(wanted, ours)
        exported = tmp_path / f"{serial}.export"
        server.cli("zone", "export", ".", "-o", str(exported))
        import_version(second, exported)
        second.wait_serial(".", serial, 20)
        assert second.axfr(".") == ours
        again = server.cli("zone", "import", ".", str(exported), "--replace", "--json").json
        assert again["old_serial"] == again["new_serial"] == serial
        assert not again["added"]
        assert not again["removed"]


@pytest.mark.parametrize(
    ("ratio", "by_axfr"),
    [pytest.param("off", (), id="ratio-off"), pytest.param(None, LARGER_THAN_THE_ZONE, id="default")],
)
def test_each_next_version_reaches_the_secondaries(
    files: dict[int, Path], make_server: MakeServer, make_peer: MakePeer, ratio: str | None, by_axfr: tuple[int, ...]
) -> None:
    server: Server = make_server(limits={"ixfr-max-ratio": ratio} if ratio else {})
    server.allow_everywhere("127.0.0.1")
    first, *later = VERSIONS
    import_version(server, files[first])
    peers: list[Peer] = [make_peer(Bind), make_peer(Knot)]
    for peer in peers:
        peer.add_secondary_zone(".", server.endpoint)
        peer.start()
        peer.wait_serial(".", first, FOLLOW_SECONDS)
    server.cli("zone", "set", ".", *(f"also-notify={peer.address}:{peer.port}" for peer in peers))
    for serial in later:
        before = [peer.transfer_kinds(".") for peer in peers]
        import_version(server, files[serial])
        wanted = expected(files[serial])
        for peer, old in zip(peers, before, strict=True):
            peer.wait_serial(".", serial, FOLLOW_SECONDS)
            theirs = peer.axfr(".")
            assert theirs == wanted, f"{peer.program} at {serial}:\n{difference(wanted, theirs)}"
            kind = "axfr" if serial in by_axfr else "ixfr"
            peer.wait_kinds(".", **(old + Counter({kind: 1})))


def test_each_next_version_goes_through_as_it_came(
    files: dict[int, Path], make_server: MakeServer, make_peer: MakePeer, tmp_path: Path
) -> None:
    """Issue 4: Knot as the primary, this server, BIND: signed and unsigned, each next version by IXFR on both legs."""
    server: Server = make_server(limits={"ixfr-max-ratio": "off"})
    server.allow_everywhere("127.0.0.1")
    first, *later = VERSIONS
    (tmp_path / "root.zone").write_text(files[first].read_text())
    primary: Peer = make_peer(Knot, "primary")
    primary.add_primary_zone(Primary(".", tmp_path / "root.zone", (server.endpoint,)))
    primary.start()
    primary.wait_serial(".", first, FOLLOW_SECONDS)
    last: Peer = make_peer(Bind, "last")
    last.add_secondary_zone(".", server.endpoint)
    at = primary.endpoint
    server.cli("zone", "create", ".", "--secondary-of", f"{at.address}:{at.port}")
    server.cli("zone", "set", ".", f"also-notify={last.address}:{last.port}", "notify-to-soa=off")
    server.wait_serial(".", first, FOLLOW_SECONDS)
    last.start()
    for serial in VERSIONS:
        if serial in later:
            primary.publish(".", files[serial].read_text())
        last.wait_serial(".", serial, FOLLOW_SECONDS)
        wanted = expected(files[serial])
        for ours in (server.axfr("."), last.axfr(".")):
            assert ours == wanted, f"{serial}:\n{difference(wanted, ours)}"
    last.wait_kinds(".", axfr=1, ixfr=len(later))
    assert [kind for kind, _ in transfers(server, 1 + len(later), ".")] == ["axfr"] + ["ixfr"] * len(later)


class Question(NamedTuple):
    branch: str
    name: str
    type: str


def questions(rows: list[Row]) -> Iterator[Question]:
    """A table for a signed root zone, generated from its records: every branch that a root zone has."""
    types: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        types[row.owner].add(row.type)
    cuts = sorted(owner for owner, there in types.items() if "NS" in there and owner != ".")
    secure = [owner for owner in cuts if "DS" in types[owner]]
    insecure = [owner for owner in cuts if "DS" not in types[owner]]
    for kind in ("SOA", "NS", "DNSKEY", "NSEC"):
        yield Question("positive", ".", kind)
    for kind in ("A", "AAAA", "MX", "TXT", "DS", "CNAME", "TYPE65280"):
        yield Question("no data", ".", kind)
    for owner in secure[:: len(secure) // 12]:
        yield Question("positive", owner, "DS")
        yield Question("delegation with DS", f"www.{owner}", "A")
        yield Question("delegation with DS", owner, "NS")
    for owner in insecure[:: len(insecure) // 12]:
        yield Question("no data", owner, "DS")
        yield Question("delegation without DS", f"www.deep.{owner}", "AAAA")
        yield Question("delegation without DS", owner, "TXT")
    # Before the first name, between names, after the last one, below a name that is not there, other case.
    for name in (
        "0.",
        "-.",
        "aaaa-nothing.",
        "zzzzzzzz.",
        "nothing.here.at-all.",
        "NoSuch.",
        "a.b.c.local.",
        "~.",
        "*.",
    ):
        yield Question("name error", name, "A")
    yield Question("name error", "local.", "DS")
    yield Question("name error", "*.nothing-here.", "TXT")
    # Glue: not authoritative, so the delegation above it.
    glue = next(row.owner for row in rows if row.type == "A" and row.owner.count(".") > 1)
    yield Question("delegation with DS", glue, "A")
    yield Question("delegation with DS", "COM.".swapcase(), "A")


class Said(NamedTuple):
    """What is compared: RCODE, AA, and the two sections as sets of records."""

    rcode: str
    aa: bool
    answer: list[Row]
    authority: list[Row]


def said(server: Endpoint, question: Question) -> Said:
    reply = client.ask(server, question.name, question.type, dnssec=True, tcp=True)
    answer, authority = (sorted(client.rows_of(section)) for section in (reply.answer, reply.authority))
    return Said(dns.rcode.to_text(reply.rcode()), bool(reply.flags & dns.flags.AA), answer, authority)


@pytest.mark.parametrize("serial", SIGNED)
def test_signed_answers_are_those_of_bind_and_knot(
    files: dict[int, Path], make_server: MakeServer, make_peer: MakePeer, serial: int
) -> None:
    """RFC 4035, 3.1: the same RCODE, answer and authority as two others that serve the same file."""
    server: Server = make_server()
    import_version(server, files[serial])
    server.wait_serial(".", serial, 20)
    peers: list[Peer] = [make_peer(Bind), make_peer(Knot)]
    for peer in peers:
        peer.add_primary_zone(Primary(".", files[serial]))
        peer.start()
        peer.wait_serial(".", serial, 30)
    table = list(questions(expected(files[serial])))
    assert len(table) >= 60
    assert len({question.branch for question in table}) == 5
    wrong = []
    for question in table:
        ours, *theirs = (said(endpoint, question) for endpoint in (server.endpoint, *(p.endpoint for p in peers)))
        if theirs != [ours, ours]:
            wrong.append(f"{question}:\n ours {ours}\n bind {theirs[0]}\n knot {theirs[1]}")
    assert not wrong, "\n".join(wrong)
