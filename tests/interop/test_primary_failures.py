"""Issue 4, Done when: foreign primaries that fail: the event, what ``zone status`` says, and the way back by itself.

R5, R11, R22, R26 to R28. Checks and retries are limited to a second or two, so that nobody has to ask for them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.follower import (
    QUICK,
    SECONDS,
    Followed,
    assert_equal,
    followed,
    kept,
    make_secondary,
    place,
    primary_of,
    transfers,
    wait_state,
)
from tests.interop.versions import ZONE, version
from tests.support.client import TsigKey
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import PEERS, Bind, Knot, Nsd, Peer, PowerDns
from tests.support.procs import wait_until
from tests.support.server import Server

pytestmark = pytest.mark.interop

NAME = ZONE.rstrip(".")
KEY = TsigKey("transfer.key.")
# Every interpreter reads this when it starts: its clock is wrong by what stands in the file.
WRONG_CLOCK = """
import time
_right = time.time
def _wrong():
    with open({path!r}) as file:
        return _right() + float(file.read())
time.time = _wrong
"""


def assert_stale(pair: Followed, event: str, reason: str, code: int) -> None:
    """The event is logged and kept, the status tells it, and the old zone goes on being served (R26)."""
    server = pair.server
    logged = server.wait_event(event, SECONDS, zone=NAME, reason=reason)
    assert logged["primary"] == pair.place
    found = wait_state(server, stale=True)
    assert found["state"] == "active"
    assert found["serial"]["served"] == found["serial"]["stored"] == 1
    error = found["last_error"]
    assert (error["event"], error["code"], error["reason"]) == (event, code, reason), error
    assert f"{pair.primary.port}" in error["primary"], error
    assert NAME in error["message"]
    assert pair.primary.address in error["message"]
    assert found["next_check"]
    assert found["expires"]
    assert kept(server, event, reason=reason, code=code)["zone"].rstrip(".") == NAME
    assert server.events("zone-stale", zone=NAME)
    assert server.serial(ZONE) == 1


def assert_recovers(pair: Followed, serial: int) -> None:
    """Without anybody's help."""
    pair.server.wait_serial(ZONE, serial, SECONDS)
    pair.assert_equal()
    pair.server.wait_event("zone-recovered", SECONDS, zone=NAME)
    found = wait_state(pair.server, stale=False)
    assert found["state"] == "active"
    assert found["serial"]["served"] == serial


@pytest.mark.parametrize("kind", PEERS)
def test_a_primary_that_is_killed_and_started_anew(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]
) -> None:
    """R27: event 6523 names zone and primary; what changed meanwhile comes, and then the next change, too."""
    pair = followed(make_server, make_peer, tmp_path, kind, limits=QUICK)
    pair.primary.kill()
    pair.publish(2)
    assert_stale(pair, "primary-unreachable", "unreachable", 6523)
    pair.primary.start()
    assert_recovers(pair, 2)
    pair.publish(3)
    pair.server.wait_serial(ZONE, 3, SECONDS)
    pair.assert_equal()


def test_a_primary_that_hangs(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """Its system takes what is sent, but nothing comes back: `timeout`, apart from `unreachable` (R22)."""
    pair = followed(make_server, make_peer, tmp_path, Bind, limits=QUICK)
    pair.primary.pause()
    assert_stale(pair, "primary-unreachable", "timeout", 6523)
    pair.primary.resume()
    pair.publish(2)
    assert_recovers(pair, 2)


@pytest.mark.parametrize("kind", PEERS)
def test_a_primary_that_refuses(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]) -> None:
    """R5: in the words of the requirement. Knot and PowerDNS refuse with NOTAUTH, which their words tell."""
    pair = followed(make_server, make_peer, tmp_path, kind, limits=QUICK)
    # In this order: what is published before it refuses may have been transferred by then.
    pair.primary.restart_with(replace(pair.zone, refuses=True))
    pair.publish(2)
    if kind.refusal == "REFUSED":
        assert_stale(pair, "transfer-failed", "refused", 6525)
        words = f"Failed to transfer zone {NAME} from {pair.primary.address} (RCODE 5, REFUSED)"
    else:
        assert_stale(pair, "transfer-failed", "not-authoritative", 6524)
        words = f"Failed to transfer zone {NAME} from {pair.primary.address} (RCODE 9, NOTAUTH)"
    assert pair.server.events("transfer-failed", zone=NAME)[0]["msg"] == words
    pair.primary.restart_with(pair.zone)
    assert_recovers(pair, 2)


@pytest.mark.parametrize("kind", PEERS)
def test_a_wrong_key(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]) -> None:
    """RFC 8945, 5.2: another secret under the same name; the NOTIFY that it signs is refused, too."""
    pair = followed(make_server, make_peer, tmp_path, kind, KEY, limits=QUICK)
    other = TsigKey(KEY.name, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    pair.primary.restart_with(replace(pair.zone, key=other))
    pair.publish(2)
    assert_stale(pair, "refresh-failed", "unauthenticated", 7001)
    pair.server.wait_event("notify-denied", SECONDS, zone=NAME)
    pair.primary.restart_with(pair.zone)
    assert_recovers(pair, 2)


@pytest.mark.parametrize("kind", [Bind, PowerDns])
def test_a_key_that_the_primary_does_not_know(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer]
) -> None:
    """BADKEY: it was renamed there."""
    pair = followed(make_server, make_peer, tmp_path, kind, KEY, limits=QUICK)
    pair.primary.restart_with(replace(pair.zone, key=TsigKey("renamed.key.")))
    pair.publish(2)
    assert_stale(pair, "refresh-failed", "unauthenticated", 7001)
    pair.server.import_key(TsigKey("renamed.key."))
    at = pair.primary.endpoint
    pair.server.cli("zone", "set", ZONE, f"primaries={at.address}:{at.port},key=renamed.key.")
    pair.server.wait_serial(ZONE, 2, SECONDS)
    assert_equal(pair.server, pair.primary, TsigKey("renamed.key."))


@pytest.mark.parametrize(("kind", "hours"), [*((kind, 1) for kind in PEERS), (Bind, -1)])
def test_a_wrong_clock(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer], hours: int
) -> None:
    """Two clocks an hour apart (RFC 8945, 5.2.3): each sees the other's as wrong. It is ours that can be set here.

    The jump moves no timer, either (R11).
    """
    offset = tmp_path / "offset"
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(WRONG_CLOCK.format(path=str(offset)))

    def set_clock(seconds: float) -> None:
        new = offset.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(offset)

    set_clock(0)
    env = {"PYTHONPATH": str(tmp_path / "site")}
    pair = followed(make_server, make_peer, tmp_path, kind, KEY, limits=QUICK, env=env)
    set_clock(hours * 3600)
    pair.publish(2)
    assert_stale(pair, "refresh-failed", "unauthenticated", 7001)
    # PowerDNS says NOTAUTH and no more.
    said = "unsigned" if kind is PowerDns else "badtime"
    # A question that was under way when the clock jumped may have another reason.
    wait_until(
        lambda: any(said in event["msg"] for event in pair.server.events("refresh-failed", zone=NAME)), SECONDS, said
    )
    pair.server.wait_event("notify-denied", SECONDS, zone=NAME)
    set_clock(0)
    assert_recovers(pair, 2)


def test_a_zone_expires_and_comes_back(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """R11, R26: SERVFAIL, transfers refused; the data is kept, and served again after a good check."""
    limits = {**QUICK, "expire-max": "4s", "expire-min": "4s"}
    pair = followed(make_server, make_peer, tmp_path, Nsd, limits=limits)
    pair.primary.stop()
    pair.server.wait_event("zone-expired", SECONDS, zone=NAME)
    found = wait_state(pair.server, state="expired")
    assert found["last_error"]["event"] == "primary-unreachable"
    wait_until(lambda: pair.server.serial(ZONE) is None, 5, "the zone is not answered")
    with pytest.raises(OSError, match=r"REFUSED|SERVFAIL"):
        pair.server.axfr(ZONE)
    pair.primary.start()
    assert_recovers(pair, 1)
    assert transfers(pair.server, 1) == [("axfr", "->1")], "nothing had changed"


FAILOVER = [
    pytest.param(Nsd, Knot, id="nsd-knot"),
    pytest.param(Bind, PowerDns, id="bind-powerdns"),
]


@pytest.mark.parametrize(("one", "two"), FAILOVER)
def test_failover(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, one: type[Peer], two: type[Peer]
) -> None:
    """R28: the second takes over and is stayed with; one that is behind is passed over; then the first takes over."""
    server: Server = make_server(limits=QUICK)
    first = primary_of(make_peer, tmp_path, one, server, name="first")
    second = primary_of(make_peer, tmp_path, two, server, name="second", address=two.elsewhere)
    make_secondary(server, ZONE, first.endpoint, second.endpoint)
    server.wait_serial(ZONE, 1, SECONDS)
    for peer in (first, second):
        peer.publish(ZONE, version(2))
    server.wait_serial(ZONE, 2, SECONDS)
    first.kill()
    second.publish(ZONE, version(3))
    server.wait_event("zone-transferred", SECONDS, serial="2->3", primary=place(second))
    server.wait_serial(ZONE, 3)
    assert_equal(server, second)
    server.wait_event("primary-unreachable", SECONDS, primary=place(first))
    found = wait_state(server, stale=False)
    assert found["state"] == "active"
    # Back, with serial 2 while 3 is here.
    first.start()
    server.wait_event("primary-behind", SECONDS, primary=place(first))
    assert server.serial(ZONE) == 3
    second.kill()
    first.publish(ZONE, version(4))
    server.wait_event("zone-transferred", SECONDS, serial="3->4", primary=place(first))
    server.wait_serial(ZONE, 4)
    assert_equal(server, first)
    assert not server.events("zone-expired")
