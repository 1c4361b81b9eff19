"""Store, feed, link and replica back to back: whatever is edited, an answerer that follows equals one that starts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsserver import link, replication
from dnsserver.answerer.replica import Replica
from dnsserver.errors import DnsServerError
from dnsserver.protocol.server import ServerState
from dnsserver.store.database import Database
from dnsserver.store.feed import FeedMark
from dnsserver.store.secretbox import SecretBox
from tests.support.desk import Desk

ZONES = ("example.com", "sub.example.com", "example.net")
NOW = 1_700_000_000.0
NAMES = ("@", "www", "a.b", "*.wild", "sub")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True, secret=SecretBox(bytes(32)))
    with database.write() as conn:
        replication.renew_secrets(conn, NOW)
    yield database
    database.close()


def _fresh(db: Database) -> Replica:
    replica = Replica(ServerState(), cookies=False)
    replica.load(replication.snapshot(db, NOW))
    return replica


class Keeper:
    """The keeper's side of one connection, without the socket: the same order of messages."""

    def __init__(self, db: Database, replica: Replica, patch_records: int = replication.PATCH_RECORDS) -> None:
        self.source = replication.Source(db, patch_records)
        self.replica = replica
        self.asked: list[link.Message] = []
        self.serving: dict[int, int] = {}

    def connect(self) -> None:
        self.asked = self.replica.hello(1)[1:]

    def follow(self, most: int = 1_000_000) -> None:
        """Send what there is to send; ``most`` messages, where the connection is to break early."""
        for message in self._messages():
            if most == 0:
                return
            most -= 1
            for answer in self.replica.take(link.decode(link.encode(message)[4:])):
                if isinstance(answer, link.NeedZone):
                    self.asked.append(answer)
                elif isinstance(answer, link.Serving):
                    self.serving[answer.zone_id] = answer.version

    def _messages(self) -> Iterator[link.Message]:
        while True:
            while self.asked:
                wanted = self.asked.pop(0)
                assert isinstance(wanted, link.NeedZone)
                yield from self.source.contents(wanted.zone_id)
            messages, mark = self.source.after(FeedMark(*self.replica.mark))
            yield from messages
            if mark != FeedMark(*self.replica.mark):
                yield link.Mark(*mark)
            elif not self.asked:
                return


def _shown(replica: Replica) -> dict[bytes, object]:
    return {
        apex: (view.zone_id, view.meta, view.live, view.image and (view.image.version, list(view.image.records())))
        for apex, view in replica.state.zones.items()
    }


def _edit(desk: Desk, rng: random.Random) -> None:
    zone, name = rng.choice(ZONES), rng.choice(NAMES)
    address = f"192.0.2.{rng.randrange(8)}"
    lines = "".join(f"h{rng.randrange(30)}.{zone}. 300 A {address}\n" for _ in range(10))
    serial = rng.randrange(1, 1 << 31)
    whole = f"{zone}. 300 SOA ns.{zone}. h.{zone}. {serial} 1 1 1 1\n{zone}. 300 NS ns.{zone}.\n{lines}"
    edits = [
        lambda: desk("zone.create", name=zone, ns=["ns.example.org"]),
        lambda: desk("zone.create", name=zone, secondary_of=[address]),
        lambda: desk("zone.convert", name=zone, to="secondary", secondary_of=[address]),
        lambda: desk("zone.convert", name=zone, to="primary"),
        lambda: desk("record.add", zone=zone, name=name, type="A", rdata=[address]),
        lambda: desk("record.set", zone=zone, name=name, type="A", rdata=[address, "192.0.2.99"]),
        lambda: desk("record.delete", zone=zone, name=name, type="A", rdata=[]),
        lambda: desk("record.add", zone=zone, name=name, type="TXT", rdata=["x" * rng.randrange(200)]),
        lambda: desk.load(zone, whole, replace=True),
        lambda: desk("zone.suspend", name=zone),
        lambda: desk("zone.resume", name=zone),
        lambda: desk("zone.delete", name=zone),
        lambda: desk("zone.restore", name=zone),
        lambda: desk("zone.set", name=zone, changes=["ixfr=udp"]),
        lambda: desk("access.allow", layer="zone", zone=zone, prefix=address),
        lambda: desk("access.allow", layer="global", prefix=address),
        lambda: desk("key.generate", name=f"k{rng.randrange(3)}", algorithm="hmac-sha256"),
    ]
    # Most of what is drawn applies; the rest is refused, and changes nothing.
    try:
        rng.choice(edits)()
    except DnsServerError:
        return


@pytest.mark.parametrize("seed", range(12))
def test_one_that_follows_equals_one_that_starts(db: Database, seed: int) -> None:
    rng = random.Random(seed)
    desk = Desk(db)
    # Small enough that patches and whole zones are both met.
    keeper = Keeper(db, _fresh(db), patch_records=8)
    keeper.connect()
    for _ in range(60):
        for _ in range(rng.randrange(1, 4)):
            _edit(desk, rng)
        if rng.random() < 0.3:
            keeper.follow(rng.randrange(6))
            keeper.connect()
        keeper.follow()
        fresh = _fresh(db)
        assert _shown(keeper.replica) == _shown(fresh)
        assert keeper.replica.state.access == fresh.state.access
        assert keeper.replica.state.keys == fresh.state.keys
        assert keeper.replica.mark == fresh.mark


def test_a_follower_whose_mark_is_gone_takes_everything_anew(db: Database) -> None:
    desk = Desk(db)
    desk("zone.create", name="example.com", ns=["ns.example.org"])
    desk("zone.create", name="example.net", ns=["ns.example.org"])
    keeper = Keeper(db, _fresh(db))
    keeper.replica.mark = keeper.replica.mark._replace(tag=1)
    desk("zone.delete", name="example.net")
    desk("record.add", zone="example.com", name="www", type="A", rdata=["192.0.2.1"])
    keeper.connect()
    keeper.follow()
    assert _shown(keeper.replica) == _shown(_fresh(db))
