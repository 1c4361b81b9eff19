"""Issue 4, Done when: a foreign primary, dnsserver as its secondary, and BIND as dnsserver's.

What came by IXFR goes on by IXFR, and what came by AXFR too: its difference is what is kept (R14, issue 4, 3).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.follower import SECONDS, assert_equal, followed, transfers
from tests.interop.versions import ZONE
from tests.support.client import TsigKey, difference
from tests.support.fixtures import MakePeer, MakeServer
from tests.support.peers import PEERS, Bind, Knot, Peer

pytestmark = pytest.mark.interop

IN, OUT = TsigKey("in.key."), TsigKey("out.key.", "b3RoZXIgc2VjcmV0IG9mIHRoZSB0ZXN0cyAwMDAwMDI=", "hmac-sha512")


@pytest.mark.parametrize(
    ("kind", "key_in", "key_out"),
    [*((kind, IN, OUT) for kind in PEERS), pytest.param(Bind, None, None, id="Bind-unsigned")],
)
def test_changes_go_through_by_ixfr(
    make_server: MakeServer, make_peer: MakePeer, tmp_path: Path, kind: type[Peer],
    key_in: TsigKey | None, key_out: TsigKey | None,
) -> None:  # fmt: skip
    """Each leg with a key of its own."""
    pair = followed(make_server, make_peer, tmp_path, kind, key_in)
    last: Peer = make_peer(Bind, "last")
    onward = f"also-notify={last.address}:{last.port}"
    if key_out:
        pair.server.import_key(key_out)
        pair.server.allow(ZONE, None, key_out)
        onward += f",key={key_out.name}"
    pair.server.cli("zone", "set", ZONE, onward)
    last.add_secondary_zone(ZONE, pair.server.endpoint, key_out)
    last.start()
    last.wait_serial(ZONE, 1, SECONDS)
    for serial in range(2, 8):
        pair.publish(serial)
        last.wait_serial(ZONE, serial, SECONDS)
        ours, theirs = assert_equal(pair.server, pair.primary, key_in), last.axfr(ZONE)
        assert ours == theirs, difference(ours, theirs)
    last.wait_kinds(ZONE, axfr=1, ixfr=6)
    assert [kind for kind, _ in transfers(pair.server, 7)][1:] == ["ixfr" if kind.serves_ixfr else "axfr"] * 6


def test_two_of_ours_in_a_row(make_server: MakeServer, make_peer: MakePeer, tmp_path: Path) -> None:
    """The middle one is stopped while changes are made: the last is told by it when it is back."""
    pair = followed(make_server, make_peer, tmp_path, Knot)
    second = make_server("second")
    pair.server.cli("zone", "set", ZONE, f"also-notify={second.host}:{second.port}")
    at = pair.server.endpoint
    second.cli("zone", "create", ZONE, "--secondary-of", f"{at.address}:{at.port}")
    second.allow(ZONE, second.host)
    second.wait_serial(ZONE, 1, SECONDS)
    pair.server.stop()
    for serial in (2, 3, 4):
        pair.publish(serial)
        pair.primary.wait_serial(ZONE, serial, SECONDS)
    pair.server.start()
    pair.server.cli("zone", "refresh", ZONE)
    second.wait_serial(ZONE, 4, SECONDS)
    assert second.axfr(ZONE) == assert_equal(pair.server, pair.primary)
    assert transfers(pair.server, 2)[-1] == ("ixfr", "1->4")
    assert transfers(second, 2)[-1] == ("ixfr", "1->4")
