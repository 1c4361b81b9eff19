"""What an edit leaves of the first level: answers of other names of a large zone, and none that it could change."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dnsserver import link
from dnsserver.answerer.replica import Replica
from dnsserver.protocol.quick import CACHEABLE, QuickRoad
from dnsserver.protocol.server import CELLS_FROM, Cell, ServerState, View
from dnsserver.zone import names, rdata
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.image import Image
from dnsserver.zone.records import Record, with_serial
from dnsserver.zone.rrtypes import NS, SOA, A

APEX = names.from_user("example.com")


def record(owner: str, rtype: int, text: str) -> Record:
    return Record(names.from_text(owner, APEX), rtype, 300, rdata.from_text(rtype, text, APEX))


SOA_RECORD = record("@", SOA, "ns1 hostmaster 1 3600 600 86400 300")


class Scene:
    def __init__(self, count: int) -> None:
        self.state = ServerState()
        self.replica = Replica(self.state, cookies=False)
        self.quick = QuickRoad(self.state)
        self.version = 1
        hosts = [record(f"h{n}", A, "192.0.2.1") for n in range(count)]
        records = [SOA_RECORD, record("@", NS, "ns1.example.net."), *hosts]
        image = Image.build(APEX, 1, sorted(records, key=lambda one: names.key(one.owner)))
        info = link.ZoneInfo(1, APEX, "primary", False, 1, "{}", ())
        self.replica._publish(self.replica._meta(info), image)

    def ask(self, owner: str) -> tuple[bytes, View | Cell]:
        """The answer and what it holds as long as."""
        name = names.from_text(owner, APEX)
        found = self.quick.answer(b"\0\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")
        assert found is not None
        assert found[2] == CACHEABLE
        return found[0], found[1]

    def change(self, removed: Iterable[Record] = (), added: Iterable[Record] = ()) -> None:
        old, self.version = self.version, self.version + 1
        soas = [SOA_RECORD._replace(rdata=with_serial(SOA_RECORD.rdata, number)) for number in (old, self.version)]
        encoded = Changeset((soas[0], *removed), (soas[1], *added)).encode()
        (answer,) = self.replica.take(link.Patch(1, old, self.version, encoded, True))
        assert isinstance(answer, link.Serving)


@pytest.fixture
def scene() -> Scene:
    return Scene(CELLS_FROM + 500)


def test_an_edit_leaves_the_answers_of_other_names(scene: Scene) -> None:
    before = {f"h{n}": scene.ask(f"h{n}") for n in range(CELLS_FROM)}
    for number in range(2, 20):
        at = f"h{number}"
        scene.change([record(at, A, "192.0.2.1")], [record(at, A, "192.0.2.2")])
    alive = [name for name, (_, token) in before.items() if token.live]
    assert len(alive) > len(before) * 0.8
    assert all(scene.ask(name)[0] == before[name][0] for name in alive)
    assert not any(before[f"h{number}"][1].live for number in range(2, 20))


def test_a_name_that_goes_or_gets_more_records(scene: Scene) -> None:
    (_, one), (_, other) = scene.ask("h1"), scene.ask("h2")
    scene.change([record("h1", A, "192.0.2.1")])
    scene.change(added=[record("h2", A, "192.0.2.9")])
    assert not one.live
    assert not other.live


@pytest.mark.parametrize(
    "added", [record("h", NS, "ns1.example.net."), record("x", 39, "example.net."), record("h7", NS, "ns.example.net.")]
)
def test_what_says_something_of_other_names_leaves_none(scene: Scene, added: Record) -> None:
    tokens = [scene.ask(f"h{n}")[1] for n in range(300)]
    scene.change(added=[added])
    assert not any(token.live for token in tokens)


def test_a_large_change_leaves_none(scene: Scene) -> None:
    token = scene.ask("h1")[1]
    scene.change(added=[record(f"new{n}", A, "192.0.2.1") for n in range(400)])
    assert not token.live


def test_neither_does_a_suspension_a_zone_below_or_the_end_of_the_zone(scene: Scene) -> None:
    info = link.ZoneInfo(1, APEX, "primary", False, 1, "{}", ())
    token = scene.ask("h1")[1]
    scene.replica.take(info)
    assert not token.live, "set anew"
    token = scene.ask("h1")[1]
    below = names.from_text("h1", APEX)
    scene.replica.take(link.ZoneInfo(2, below, "secondary", False, 0, "{}", ()))
    assert not token.live, "a zone below"
    token = scene.ask("h2")[1]
    scene.replica.take(info._replace(suspended=True))
    assert not token.live, "suspended"
    scene.replica.take(info)
    token = scene.ask("h2")[1]
    scene.replica.take(link.ZoneGone(1))
    assert not token.live, "gone"


def test_a_small_zone_has_one_view(scene: Scene) -> None:
    small = Scene(10)
    token = small.ask("h1")[1]
    assert isinstance(token, View)
    small.change([record("h2", A, "192.0.2.1")])
    assert not token.live
