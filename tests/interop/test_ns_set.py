"""R8: secondaries found by the NS set alone, on port 53, each on a host (network namespace) of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import client
from tests.support.client import Endpoint, difference
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.netns import Namespace, NotPossible, star
from tests.support.peers import Bind, Knot, Nsd, Peer
from tests.support.procs import wait_until

pytestmark = pytest.mark.interop

ZONE = "example.test."
# ns1 is the MNAME, which gets no NOTIFY. No secondary's address stands anywhere but here. Refresh of an hour.
TEXT = """$ORIGIN example.test.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
@ NS ns2
@ NS ns3
ns1 A 10.53.1.1
ns2 A 10.53.1.2
ns3 A 10.53.2.2
www A 192.0.2.1
"""


@pytest.fixture
def network() -> Iterator[tuple[Namespace, list[Namespace]]]:
    """A hub for dnsserver, and three hosts."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(star(3))
        except NotPossible as error:
            pytest.skip(f"network namespaces: {error}")
        yield made


def test_secondaries_are_found_by_the_ns_set(
    network: tuple[Namespace, list[Namespace]], make_server: MakeServer, make_peer: MakePeer, tmp_path: Path
) -> None:
    hub, hosts = network
    addresses = ("10.53.1.1", "10.53.2.1", "10.53.3.1")
    (tmp_path / "zone").write_text(TEXT)
    with hub:
        server = make_server(addresses=addresses, port=53, server={"outbound-address": []})
        server.cli("zone", "import", ZONE, str(tmp_path / "zone"))
        server.cli("access", "allow", "--zone", ZONE, "10.53.0.0/16")
    peers: list[Peer] = []
    for number, kind in enumerate((Bind, Knot, Nsd), 1):
        with hosts[number - 1]:
            peer: Peer = make_peer(kind, address=f"10.53.{number}.2", port=53)
            peer.add_secondary_zone(ZONE, Endpoint(f"10.53.{number}.1", 53))
            peer.start()
            peer.wait_serial(ZONE, 1, 20)
            peers.append(peer)
    # The third is not in the NS set yet: it becomes a name server of the zone by the second edit alone.
    edits = [
        (("add", "new", "A", "192.0.2.9"), (0, 1)),
        (("add", "ns4", "A", "10.53.3.2"), (0, 1)),
        (("add", "@", "NS", "ns4"), (0, 1, 2)),
        (("delete", "www", "A", "192.0.2.1"), (0, 1, 2)),
    ]
    for words, told in edits:
        with hub:
            action, *rest = words
            serial = server.cli("record", action, ZONE, *rest, "--json").json["new_serial"]
            wait_until(lambda: client.serial(server.endpoint, ZONE) == serial, 10, "served")  # noqa: B023
            ours = server.axfr(ZONE)
        for number in told:
            with hosts[number]:
                peers[number].wait_serial(ZONE, serial, 20)
                theirs = peers[number].axfr(ZONE)
                assert ours == theirs, difference(ours, theirs)
    # ns4 was told of nothing before it was a name server: its first change came as one IXFR of three edits.
    wait_until(lambda: peers[2].transfer_kinds(ZONE).total() == 3, 20, "the first contents, and two changes")
