"""The harness against foreign primaries alone: where these pass and others fail, the fault is dnsserver's."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.versions import version
from tests.support import client
from tests.support.client import Refused, TsigKey, axfr, difference, transfer
from tests.support.fixtures import MakePeer
from tests.support.peers import PEERS, Bind, Knot, Peer, Primary
from tests.support.procs import wait_until

pytestmark = pytest.mark.interop

ZONE = "example.test."
TEXT = """$ORIGIN example.test.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
@ NS ns2
ns1 A 192.0.2.1
ns2 A 192.0.2.2
Mixed.Case MX 10 Mail
mail AAAA 2001:db8::1
*.wild TXT "star"
child NS ns.child
ns.child A 192.0.2.3
""" + "".join(f"host{number} A 192.0.2.{number}\n" for number in range(60))
KEYS = [pytest.param(None, id="unsigned"), pytest.param(TsigKey("transfer.key."), id="tsig")]


def nsupdate(primary: Peer, *lines: str) -> None:
    words = [f"server {primary.address} {primary.port}", f"zone {ZONE}", *lines, "send", ""]
    done = subprocess.run(["nsupdate"], input="\n".join(words), text=True, capture_output=True)
    assert not done.returncode, done.stderr


def primary_and_secondary(
    make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None
) -> tuple[Peer, Peer]:
    (tmp_path / "example.zone").write_text(TEXT)
    primary: Peer = make_peer(Bind, "primary")
    secondary: Peer = make_peer(kind, "secondary")
    primary.add_primary_zone(Primary(ZONE, tmp_path / "example.zone", (secondary.endpoint,), key, updatable=True))
    secondary.add_secondary_zone(ZONE, primary.endpoint, key)
    primary.start()
    secondary.start()
    secondary.wait_serial(ZONE, 1, 20)
    return primary, secondary


def assert_equal(primary: Peer, secondary: Peer, key: TsigKey | None) -> None:
    ours, theirs = primary.axfr(ZONE, key), secondary.axfr(ZONE)
    assert ours == theirs, difference(ours, theirs)


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_peer_follows_a_bind_primary(
    make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None
) -> None:
    primary, secondary = primary_and_secondary(make_peer, tmp_path, kind, key)
    assert_equal(primary, secondary, key)
    for number in range(3):
        new = f"update add new{number}.{ZONE} 300 A 192.0.2.9"
        nsupdate(primary, new, f"update delete host{number}.{ZONE}")
        secondary.wait_serial(ZONE, number + 2, 20)
        assert_equal(primary, secondary, key)
    secondary.wait_kinds(ZONE, axfr=1, ixfr=3)


@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_that_was_killed_or_paused_comes_back(make_peer: MakePeer, tmp_path: Path, kind: type[Peer]) -> None:
    primary, secondary = primary_and_secondary(make_peer, tmp_path, kind, None)
    secondary.kill()
    with pytest.raises(OSError):  # noqa: PT011 - refused or timed out: that it does not answer
        secondary.axfr(ZONE)
    secondary.start()
    wait_until(lambda: secondary.serial(ZONE) == 1, 20, f"{kind.program} has its zone after a kill")
    secondary.pause()
    with pytest.raises(TimeoutError):
        client.serial(secondary.endpoint, ZONE, timeout=1, tries=1)
    secondary.resume()
    wait_until(lambda: secondary.serial(ZONE) == 1, 20, f"{kind.program} answers after SIGCONT")
    assert_equal(primary, secondary, None)


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_peer_publishes_changes(make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None) -> None:
    """Its NOTIFY comes from its own address, signed; a change is an IXFR; refusing, it gives nothing."""
    file = tmp_path / "example.zone"
    file.write_text(version(1))
    primary: Peer = make_peer(kind, "primary", address=kind.elsewhere)
    secondary: Peer = make_peer(Bind, "secondary")
    zone = Primary(ZONE, file, (secondary.endpoint,), key)
    primary.add_primary_zone(zone)
    secondary.add_secondary_zone(ZONE, primary.endpoint, key)
    primary.start()
    secondary.start()
    secondary.wait_serial(ZONE, 1, 20)
    for serial in (2, 3):
        primary.publish(ZONE, version(serial))
        secondary.wait_serial(ZONE, serial, 20)
        assert_equal(primary, secondary, key)
    secondary.wait_kinds(ZONE, **({"axfr": 1, "ixfr": 2} if primary.serves_ixfr else {"axfr": 3}))
    assert f"received notify for zone '{ZONE[:-1]}'" + (f": TSIG '{key.name[:-1]}'" if key else "") in secondary.log
    primary.restart_with(replace(zone, refuses=True))
    primary.wait_serial(ZONE, 3, 20)
    with pytest.raises(Refused, match=primary.refusal):
        axfr(primary.endpoint, ZONE, key)


def test_a_knot_primary_refuses_strangers_and_the_client_says_so(make_peer: MakePeer, tmp_path: Path) -> None:
    (tmp_path / "example.zone").write_text(TEXT)
    primary: Peer = make_peer(Knot, "primary")
    primary.add_primary_zone(Primary(ZONE, tmp_path / "example.zone"))
    primary.start()
    assert len(axfr(primary.endpoint, ZONE)) == TEXT.count("\n") - 2
    with pytest.raises(Refused, match="NOTAUTH"):
        axfr(primary.endpoint, ZONE, TsigKey("unknown.key."))


def test_the_client_reads_an_ixfr(make_peer: MakePeer, tmp_path: Path) -> None:
    primary, _ = primary_and_secondary(make_peer, tmp_path, Bind, None)
    nsupdate(primary, f"update add new.{ZONE} 300 A 192.0.2.9")
    found = transfer(primary.endpoint, ZONE, serial=1)
    assert [row.type for row in found.rows] == ["SOA", "SOA", "SOA", "A", "SOA"]
    assert [row.type for row in transfer(primary.endpoint, ZONE, serial=2).rows] == ["SOA"]
