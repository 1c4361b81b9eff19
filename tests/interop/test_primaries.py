"""Issue 4, Done when: zones of each foreign primary, fetched, and followed change by change.

R9, R12 to R14, R23 and R28 from the outside; RFC 1995, 1996, 5936, 8945, 8976.
"""

from __future__ import annotations

from pathlib import Path

import dns.zone
import dns.zonetypes
import pytest
from dns.rdtypes.ANY.ZONEMD import ZONEMD

from tests.interop.follower import (
    SECONDS,
    Followed,
    assert_equal,
    followed,
    kept,
    make_secondary,
    place,
    primary_of,
    status,
    transfers,
)
from tests.interop.versions import LAST, ZONE, version
from tests.support.client import TsigKey
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import PEERS, Bind, Knot, Nsd, Peer, PowerDns, Primary
from tests.support.procs import wait_until
from tests.support.server import Server

pytestmark = pytest.mark.interop

KEY = TsigKey("transfer.key.")
KEYS = [pytest.param(None, id="unsigned"), pytest.param(KEY, id="tsig")]
WITH_IXFR = [kind for kind in PEERS if kind.serves_ixfr]


def follow(pair: Followed, *serials: int) -> None:
    """One change after the other; after each, both have the same zone."""
    for serial in serials:
        pair.publish(serial)
        pair.server.wait_serial(ZONE, serial, SECONDS)
        pair.assert_equal()


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("key", KEYS)
def test_twenty_changes_are_each_followed_at_once(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None
) -> None:
    """Refresh is an hour: what comes within seconds came by NOTIFY. By IXFR, but from PowerDNS, which has none."""
    pair = followed(make_server, make_peer, tmp_path, kind, key)
    pair.assert_equal()
    follow(pair, *range(2, LAST + 1))
    assert LAST - 1 == 20
    way = "ixfr" if kind.serves_ixfr else "axfr"
    assert transfers(pair.server, LAST) == [("axfr", "->1"), *((way, f"{old}->{old + 1}") for old in range(1, LAST))]
    assert {event["primary"] for event in pair.server.events("zone-transferred")} == {pair.place}
    heard = pair.server.events("notify-received", zone=ZONE.rstrip("."))
    assert {event["key"].rstrip(".") for event in heard} == {KEY.name.rstrip(".") if key else "-"}
    found = status(pair.server)
    assert (found["state"], found["stale"], found["last_error"]) == ("active", False, None)
    assert found["serial"]["served"] == found["serial"]["stored"] == LAST


@pytest.mark.parametrize("kind", WITH_IXFR)
def test_many_changes_missed_are_one_ixfr(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]
) -> None:
    """RFC 1995, 4: several difference sequences in one answer, among them records that come and go."""
    pair = followed(make_server, make_peer, tmp_path, kind)
    pair.server.cli("zone", "suspend", ZONE)
    # NSD keeps five changes.
    for serial in range(7, 12):
        pair.publish(serial)
        pair.primary.wait_serial(ZONE, serial, SECONDS)
    pair.server.cli("zone", "resume", ZONE)
    pair.server.wait_serial(ZONE, 11, SECONDS)
    pair.assert_equal()
    assert transfers(pair.server, 2) == [("axfr", "->1"), ("ixfr", "1->11")]


@pytest.mark.parametrize("kind", WITH_IXFR)
def test_ixfr_over_udp(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]) -> None:
    """R13: with a key; where the primary answers with its SOA alone (RFC 1995, 2), TCP follows."""
    pair = followed(make_server, make_peer, tmp_path, kind, KEY)
    pair.server.cli("zone", "set", ZONE, "ixfr=udp")
    follow(pair, 2, 3, 4)
    assert transfers(pair.server, 4)[1:] == [("ixfr", "1->2"), ("ixfr", "2->3"), ("ixfr", "3->4")]


def test_ixfr_off_is_axfr(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """R14: per zone, back on, and for the whole server."""
    pair = followed(make_server, make_peer, tmp_path, Bind)
    pair.server.cli("zone", "set", ZONE, "ixfr=off")
    follow(pair, 2, 3)
    pair.server.cli("zone", "set", ZONE, "ixfr=on")
    follow(pair, 4)
    pair.server.settings["ixfr"] = False
    pair.server.write_config()
    pair.server.stop()
    pair.server.start()
    follow(pair, 5)
    assert [kind for kind, _ in transfers(pair.server, 5)] == ["axfr", "axfr", "axfr", "ixfr", "axfr"]


def test_a_notify_counts_only_from_who_may_send_it(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path
) -> None:
    """R9: a stranger's is refused and logged; one allowed by ``allow-notify`` starts a check, of the primaries."""
    server: Server = make_server()
    primary = primary_of(make_peer, tmp_path, Nsd, server, notifies=False)
    make_secondary(server, ZONE, primary.endpoint)
    server.wait_serial(ZONE, 1, SECONDS)
    stranger = primary_of(make_peer, tmp_path, Knot, server, name="stranger", address="127.0.0.2", text=version(5))
    denied = server.wait_event("notify-denied", zone=ZONE.rstrip("."), reason="not-a-primary")
    assert denied["peer"].startswith("127.0.0.2#")
    assert kept(server, "notify-denied", reason="not-a-primary")["peer"].startswith("127.0.0.2")
    server.cli("zone", "set", ZONE, "allow-notify=127.0.0.2")
    primary.publish(ZONE, version(2))
    primary.wait_serial(ZONE, 2, SECONDS)
    stranger.publish(ZONE, version(6))
    server.wait_serial(ZONE, 2, SECONDS)
    assert_equal(server, primary)
    assert server.events("notify-received", zone=ZONE.rstrip("."))[0]["peer"].startswith("127.0.0.2#")
    assert {event["primary"] for event in server.events("zone-transferred")} == {place(primary)}


@pytest.mark.parametrize("kind", [Knot, PowerDns])
def test_a_zone_is_made_before_its_primary_has_it(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]
) -> None:
    """R28: whoever is not authoritative, or cannot be reached, is warned of; the zone is made, and comes later."""
    server: Server = make_server(limits={"retry-min": "1s", "retry-max": "1s"})
    peer: Peer = make_peer(kind, "primary")
    (tmp_path / "other.zone").write_text(version(1).replace(ZONE, "other.test."))
    (tmp_path / "primary.zone").write_text(version(1))
    peer.add_primary_zone(Primary("other.test.", tmp_path / "other.zone"))
    created = make_secondary(server, ZONE, peer.endpoint)
    assert len(created["warnings"]) == 1, created
    assert peer.address in created["warnings"][0]
    assert status(server)["state"] == "waiting"
    peer.start()
    wait_until(lambda: peer.serial("other.test."), SECONDS, "the primary has its zone")
    lame = make_secondary(server, "another.test", peer.endpoint)
    assert len(lame["warnings"]) == 1, lame
    good = make_secondary(server, "other.test", peer.endpoint)
    assert not good["warnings"], good
    server.wait_serial("other.test.", 1, SECONDS)
    peer.restart_with(Primary(ZONE, tmp_path / "primary.zone"))
    server.wait_serial(ZONE, 1, SECONDS)
    assert_equal(server, peer)


def test_an_operator_refreshes_and_retransfers(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """R23: what the outcome was; a retransfer is an AXFR, whatever the serial."""
    server: Server = make_server()
    primary = primary_of(make_peer, tmp_path, Bind, server, notifies=False)
    make_secondary(server, ZONE, primary.endpoint)
    server.wait_serial(ZONE, 1, SECONDS)
    assert server.cli("zone", "refresh", ZONE, "--json").json["outcome"] == "current"
    primary.publish(ZONE, version(2))
    primary.wait_serial(ZONE, 2, SECONDS)
    found = server.cli("zone", "refresh", ZONE, "--json").json
    assert (found["outcome"], found["kind"], found["old_serial"], found["new_serial"]) == ("transferred", "ixfr", 1, 2)
    found = server.cli("zone", "retransfer", ZONE, "--json").json
    assert (found["outcome"], found["kind"], found["new_serial"]) == ("transferred", "axfr", 2)
    assert_equal(server, primary)
    primary.stop()
    failed = server.cli("zone", "refresh", ZONE, "--json", check=False)
    assert failed.status == 1
    assert failed.json["outcome"] == "failed"
    assert failed.json["error"] == "unreachable", failed


def test_a_secondary_becomes_primary_and_back(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """The primary is lost: what is here is edited on; it comes back ahead of us, and is followed again."""
    pair = followed(make_server, make_peer, tmp_path, Knot)
    server = pair.server
    refused = server.cli("record", "add", ZONE, "here", "A", "192.0.2.5", check=False)
    assert refused.status == 5
    assert pair.primary.address in refused.stderr
    pair.primary.stop()
    server.cli("zone", "convert", ZONE, "--to", "primary")
    server.cli("record", "add", ZONE, "here", "A", "192.0.2.5")
    server.wait_serial(ZONE, 2)
    pair.publish(4)
    pair.primary.start()
    pair.primary.wait_serial(ZONE, 4, SECONDS)
    at = pair.primary.endpoint
    words = ("--to", "secondary", "--secondary-of", f"{at.address}:{at.port}")
    converted = server.cli("zone", "convert", ZONE, *words, "--json").json
    assert not converted["warnings"], converted
    server.wait_serial(ZONE, 4, SECONDS)
    pair.assert_equal()
    follow(pair, 5)


def with_digest(text: str, *, right: bool = True) -> str:
    """The zone with its ZONEMD (RFC 8976), or one of another zone, as dnspython makes it."""
    zone = dns.zone.from_text(text, ZONE, relativize=False)
    found = zone.compute_digest(dns.zonetypes.DigestHashAlgorithm.SHA384)
    assert isinstance(found, ZONEMD)
    digest = found.digest if right else bytes(reversed(found.digest))
    return f"{text}@ ZONEMD {found.serial} 1 1 {digest.hex()}\n"


def test_a_digest_is_verified_before_the_zone_is_taken(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path
) -> None:
    """RFC 8976, 4: of an AXFR and of what an IXFR makes; a wrong one leaves the old zone, and the next one is taken."""
    server: Server = make_server(limits={"retry-min": "1s", "retry-max": "1s"})
    primary = primary_of(make_peer, tmp_path, Knot, server, text=with_digest(version(1)))
    make_secondary(server, ZONE, primary.endpoint)
    server.cli("zone", "set", ZONE, "zonemd=require")
    server.wait_serial(ZONE, 1, SECONDS)
    for serial in (2, 3):
        primary.publish(ZONE, with_digest(version(serial)))
        server.wait_serial(ZONE, serial, SECONDS)
    before = assert_equal(server, primary)
    assert transfers(server, 3) == [("axfr", "->1"), ("ixfr", "1->2"), ("ixfr", "2->3")]
    primary.publish(ZONE, with_digest(version(4), right=False))
    failed = server.wait_event("transfer-failed", SECONDS, zone=ZONE.rstrip("."), reason="zonemd")
    assert failed["primary"] == place(primary)
    assert server.events("zonemd-mismatch", zone=ZONE.rstrip("."))
    assert server.axfr(ZONE) == before
    primary.publish(ZONE, with_digest(version(5)))
    server.wait_serial(ZONE, 5, SECONDS)
    assert_equal(server, primary)
