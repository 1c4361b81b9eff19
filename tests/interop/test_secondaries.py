"""Issue 3, Done when: each foreign secondary follows 20 edits by IXFR, and comes back after a kill and a stop.

R1 to R5, R8, R10, R14 from the outside; RFC 1995, 1996, 5936, 8945. Every name server in these zones has a
loopback address: a NOTIFY to the NS set must not leave the machine.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.interop.versions import FIRST
from tests.support.client import Refused, TsigKey, difference
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import PEERS, Bind, Peer, PowerDns
from tests.support.procs import wait_until
from tests.support.server import Server

pytestmark = pytest.mark.interop

ZONE = "example.test."
KEY = TsigKey("transfer.key.")
KEYS = [pytest.param(None, id="unsigned"), pytest.param(KEY, id="tsig")]
EDIT_SECONDS = 20
BACK_SECONDS = 60

# Refresh of an hour: what is current within seconds was told by NOTIFY.
TEXT = "\n".join(["$ORIGIN example.test.", "$TTL 300", "@ SOA ns1 hostmaster 1 3600 600 86400 60", *FIRST, ""])

# What is done to the zone, one edit a line; each takes one serial (R10) unless it sets the serial itself.
EDITS: list[tuple[str, ...]] = [
    ("add", "new", "A", "192.0.2.101"),
    ("add", "new", "AAAA", "2001:db8::101"),
    ("add", "new", "MX", "10 mail", "20 backup.example.test."),
    ("add", "www", "A", "192.0.2.82", "192.0.2.83"),
    ("delete", "www", "A", "192.0.2.80"),
    ("set", "www", "A", "192.0.2.90", "192.0.2.91"),
    ("set", "www", "AAAA", "2001:db8::90", "--ttl", "120"),
    ("delete", "host1", "A"),
    ("add", "host1", "CNAME", "www.example.test."),
    ("add", "deep.empty.nonterminals", "TXT", '"a b"', "c"),
    ("add", "_sip._tcp", "SRV", "0 5 5060 sip.example.test."),
    ("set", "alias", "CNAME", "new"),
    ("add", "*.other", "A", "192.0.2.200"),
    ("add", "child", "DS", "12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"),
    ("add", "child", "NS", "ns1"),
    ("add", "@", "NS", "ns3.example.test."),
    ("add", "@", "TXT", '"v=spf1 -all"'),
    ("set", "@", "MX", "5 mail", "50 new"),
    ("delete", "@", "NS", "ns3.example.test."),
    ("set", "@", "SOA", "ns2.example.test. admin.example.test. 100 3600 600 86400 120"),
]


def primary(make_server: MakeServer, directory: Path, key: TsigKey | None, *peers: Peer) -> Server:
    """A server with ZONE, which these peers may transfer, and which tells them of changes."""
    server: Server = make_server()
    (directory / "zone").write_text(TEXT)
    server.cli("zone", "import", ZONE, str(directory / "zone"))
    if key:
        server.import_key(key)
    server.allow(ZONE, None if key else "127.0.0.1", key)
    suffix = f",key={key.name}" if key else ""
    targets = [f"also-notify={peer.address}:{peer.port}{suffix}" for peer in peers]
    if targets:
        server.cli("zone", "set", ZONE, *targets)
    return server


def followed(
    make_server: MakeServer, make_peer: MakePeer, directory: Path, kind: type[Peer], key: TsigKey | None
) -> tuple[Server, Peer]:
    peer: Peer = make_peer(kind)
    server = primary(make_server, directory, key, peer)
    peer.add_secondary_zone(ZONE, server.endpoint, key)
    peer.start()
    peer.wait_serial(ZONE, 1, EDIT_SECONDS)
    return server, peer


def edit(server: Server, *words: str) -> int:
    """Runs one ``record`` command; the new serial."""
    action, *rest = words
    result = server.cli("record", action, ZONE, *rest, "--json").json
    assert result["new_serial"] != result["old_serial"], result
    return int(result["new_serial"])


def assert_equal(server: Server, peer: Peer, key: TsigKey | None) -> None:
    ours, theirs = server.axfr(ZONE, key), peer.axfr(ZONE)
    assert ours == theirs, f"{peer.program}:\n{difference(ours, theirs)}"


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_secondary_follows_twenty_edits_by_ixfr(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None
) -> None:
    server, peer = followed(make_server, make_peer, tmp_path, kind, key)
    assert_equal(server, peer, key)
    expected = 1
    for words in EDITS:
        serial = edit(server, *words)
        expected = 100 if words[2] == "SOA" else expected + 1
        assert serial == expected, words
        peer.wait_serial(ZONE, serial, EDIT_SECONDS)
        assert_equal(server, peer, key)
    peer.wait_kinds(ZONE, axfr=1, ixfr=len(EDITS))
    wait_until(lambda: len(server.events("transfer-out", kind="ixfr")) >= len(EDITS), 10, "all are logged")
    ours = server.events("transfer-out", kind="ixfr")
    assert {event["key"].rstrip(".") for event in ours} == {key.name.rstrip(".") if key else "-"}


@pytest.mark.parametrize("kind", PEERS)
def test_a_batch_is_one_ixfr(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]) -> None:
    server, peer = followed(make_server, make_peer, tmp_path, kind, None)
    lines = [f"zone {ZONE}", "ttl 300", *(f"update delete host{n}.{ZONE} A" for n in range(10))]
    lines += [f"update add batch{n}.{ZONE} TXT {n}" for n in range(10)] + ["send", ""]
    server.cli("record", "apply", "-", input="\n".join(lines))
    peer.wait_serial(ZONE, 2, EDIT_SECONDS)
    assert_equal(server, peer, None)
    peer.wait_kinds(ZONE, axfr=1, ixfr=1)


@pytest.mark.parametrize("kind", PEERS)
def test_a_secondary_killed_during_edits_is_current_within_a_minute(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]
) -> None:
    server, peer = followed(make_server, make_peer, tmp_path, kind, None)
    serial = edit(server, *EDITS[0])
    peer.kill()
    for words in EDITS[1:8]:
        serial = edit(server, *words)
    peer.start()
    peer.wait_serial(ZONE, serial, BACK_SECONDS)
    assert_equal(server, peer, None)


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_stopped_secondary_is_current_within_a_minute(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None
) -> None:
    """SIGSTOP, with a refresh of an hour: what it knows when it is back, it knows by NOTIFY.

    The kernel may have kept those that were sent meanwhile: that they are repeated is the next test's to show.
    """
    server, peer = followed(make_server, make_peer, tmp_path, kind, key)
    peer.pause()
    serial = 1
    for words in EDITS[:5]:
        serial = edit(server, *words)
    peer.resume()
    peer.wait_serial(ZONE, serial, BACK_SECONDS)
    assert_equal(server, peer, key)
    if kind is not PowerDns:
        assert peer.transfer_kinds(ZONE)["axfr"] == 1


@pytest.mark.parametrize("kind", PEERS)
def test_a_secondary_that_was_down_is_told_again(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]
) -> None:
    """Ended in order, BIND, Knot and PowerDNS ask for nothing when they are back: a repeated NOTIFY tells them.

    NSD asks by itself, so of it this shows no more than that it is current.
    """
    server, peer = followed(make_server, make_peer, tmp_path, kind, None)
    peer.stop()
    for words in EDITS[:3]:
        serial = edit(server, *words)
    target = f"{peer.address}:{peer.port}"
    server.wait_event("notify-sent", 10, target=target, serial=str(serial))
    peer.start()
    peer.wait_serial(ZONE, serial, BACK_SECONDS)
    assert_equal(server, peer, None)


def test_a_notify_outlives_the_server(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """The outbox: what a secondary has not acknowledged is told by the server that comes after (R8)."""
    server, peer = followed(make_server, make_peer, tmp_path, Bind, None)
    # Not paused: its kernel would keep the first server's NOTIFY.
    peer.stop()
    serial = edit(server, *EDITS[0])
    server.kill("all")
    server.start()
    peer.start()
    peer.wait_serial(ZONE, serial, BACK_SECONDS)
    assert_equal(server, peer, None)


@pytest.mark.parametrize("kind", PEERS)
@pytest.mark.parametrize("key", KEYS)
def test_a_secondary_outside_all_lists_is_refused(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer], key: TsigKey | None
) -> None:
    """R5, R7, R15: it gets nothing; the log names its address and the reason."""
    server: Server = make_server()
    (tmp_path / "zone").write_text(TEXT)
    server.cli("zone", "import", ZONE, str(tmp_path / "zone"))
    if key:
        server.import_key(key)
    server.cli("access", "allow", "--zone", ZONE, "192.0.2.0/24")
    peer: Peer = make_peer(kind)
    peer.add_secondary_zone(ZONE, server.endpoint, key)
    peer.start()
    event = server.wait_event("transfer-refused", 20)
    assert event["zone"].rstrip(".") == ZONE.rstrip(".")
    assert event["peer"].startswith("127.0.0.1#")
    assert event["key"].rstrip(".") == (key.name.rstrip(".") if key else "-")
    assert event["ticket"]
    assert not server.events("transfer-out")
    with pytest.raises(OSError):  # noqa: PT011 - REFUSED, SERVFAIL or NOTAUTH: every peer has its own
        peer.axfr(ZONE)


def test_wait_tells_when_the_secondaries_have_answered(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path
) -> None:
    server, peer = followed(make_server, make_peer, tmp_path, Bind, None)
    # The other name server of the zone is nobody, and would be waited for, too.
    edit(server, "delete", "@", "NS", "ns2.example.test.")
    server.cli("record", "add", ZONE, "waited", "A", "192.0.2.7", "--wait")
    peer.wait_serial(ZONE, 3, EDIT_SECONDS)
    peer.pause()
    late = server.cli("record", "add", ZONE, "late", "A", "192.0.2.7", "--wait", "--timeout", "2", check=False)
    peer.resume()
    assert late.status == 1
    assert f"{peer.port}" in late.stderr, late.stderr
    peer.wait_serial(ZONE, 4, BACK_SECONDS)


def test_notify_off_tells_nobody(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """R8: switched off for the zone; the secondary has the old serial, and an edit after `on` brings it up."""
    server, peer = followed(make_server, make_peer, tmp_path, Bind, None)
    server.cli("zone", "set", ZONE, "notify=off")
    serial = edit(server, *EDITS[0])
    server.wait_serial(ZONE, serial)
    time.sleep(3)  # nothing is what must happen
    assert peer.serial(ZONE) != serial, "no NOTIFY"
    server.cli("zone", "set", ZONE, "notify=on")
    peer.wait_serial(ZONE, edit(server, *EDITS[1]), EDIT_SECONDS)
    assert_equal(server, peer, None)


def test_a_wrong_key_is_refused_on_the_wire(make_server: MakeServer, tmp_path: Path) -> None:
    """RFC 8945, 5.2: BADKEY for a name that is not known, BADSIG for another secret."""
    server = primary(make_server, tmp_path, KEY)
    assert server.axfr(ZONE, KEY)
    with pytest.raises(Refused, match="BADKEY"):
        server.axfr(ZONE, TsigKey("other.key."))
    with pytest.raises(Refused, match="BADSIG"):
        server.axfr(ZONE, TsigKey(KEY.name, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
    with pytest.raises(Refused, match="REFUSED"):
        server.axfr(ZONE)
