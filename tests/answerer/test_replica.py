"""An answerer's copy of the zones, kept up by messages: two ends back to back, no socket."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from dnsserver import link
from dnsserver.answerer.replica import Replica
from dnsserver.protocol.server import ServerState
from dnsserver.zone import names, rdata
from dnsserver.zone.changeset import Changeset
from dnsserver.zone.records import Record
from dnsserver.zone.rrtypes import NS, SOA, A
from dnsserver.zone.settings import ZoneSettings
from tests.support.pages import zone_pages

APEX = names.from_text("example.")


def _soa(serial: int) -> Record:
    return Record(APEX, SOA, 300, rdata.from_text(SOA, f"ns.example. h.example. {serial} 3600 600 86400 300", APEX))


def _a(name: str, address: str) -> Record:
    return Record(names.from_text(name, APEX), A, 300, rdata.from_text(A, address, APEX))


NAME_SERVER = Record(APEX, NS, 300, names.from_text("ns.example."))


def _zone(serial: int, *extra: Record) -> list[Record]:
    return sorted([_soa(serial), NAME_SERVER, *extra], key=lambda r: (names.key(r.owner), r.type))


def _info(version: int, *, zone_id: int = 1, suspended: bool = False) -> link.ZoneInfo:
    return link.ZoneInfo(zone_id, APEX, "primary", suspended, version, ZoneSettings().to_json(), ())


def _patch(from_version: int, serial: int, *added: Record) -> link.Patch:
    changeset = Changeset((_soa(serial - 1),), (_soa(serial), *added))
    return link.Patch(1, from_version, from_version + 1, changeset.encode(), True)


def _loaded(version: int = 5, serial: int = 10) -> Replica:
    replica = Replica(ServerState(), cookies=False)
    no_globals = link.Globals((), (), (), (), b"key")
    replica.load([link.Mark(7, 70), no_globals, _info(version), *zone_pages(APEX, _zone(serial))])
    return replica


def _send(replica: Replica, messages: Iterable[link.Message]) -> list[link.Message]:
    return [answer for message in messages for answer in replica.take(message)]


def _whole(version: int, serial: int, *extra: Record) -> list[link.Message]:
    begin = link.ZoneBegin(tuple(_info(version)), version)
    return [begin, *zone_pages(APEX, _zone(serial, *extra)), link.ZoneEnd()]


def _serial(replica: Replica) -> int:
    image = replica.state.zones[APEX].image
    assert image is not None
    return image.serial


def test_a_start_says_where_it_stands() -> None:
    replica = _loaded()
    assert replica.hello(9) == [link.Hello(link.PROTOCOL, 9, 7, 70, ((1, 5, 10),))]
    assert replica.state.limits.ticket_key == b"key"


def test_a_patch_is_served_and_the_old_view_is_dead() -> None:
    replica = _loaded()
    before = replica.state.zones[APEX]
    assert _send(replica, [_patch(5, 11, _a("www", "192.0.2.1"))]) == [link.Serving(1, 6, 11)]
    assert not before.live
    assert replica.state.zones[APEX].live
    assert replica.state.zones[APEX].image is not None


def test_a_patch_that_is_older_is_skipped() -> None:
    replica = _loaded()
    assert _send(replica, [_patch(4, 10)]) == []
    assert _serial(replica) == 10


def test_a_patch_with_a_gap_asks_for_the_zone_once_and_the_old_one_is_served_until_then() -> None:
    replica = _loaded()
    assert _send(replica, [_patch(6, 12), _patch(7, 13)]) == [link.NeedZone(1)]
    assert _serial(replica) == 10
    assert _send(replica, _whole(8, 13)) == [link.Serving(1, 8, 13)]
    assert _serial(replica) == 13


def test_a_patch_that_does_not_apply_asks_for_the_zone_and_changes_nothing() -> None:
    replica = _loaded()
    broken = Changeset((_soa(10), _a("absent", "192.0.2.9")), (_soa(11),))
    assert _send(replica, [link.Patch(1, 5, 6, broken.encode(), True)]) == [link.NeedZone(1)]
    assert _serial(replica) == 10


def test_changes_are_kept_for_ixfr_until_other_contents_come() -> None:
    replica = _loaded()
    recent = replica.state.recent
    first, second = _patch(5, 11, _a("www", "192.0.2.1")), _patch(6, 12)
    _send(replica, [first, second])
    assert recent.chain(1, 10, 7) == [first.changeset, second.changeset]
    _send(replica, _whole(7, 12))
    assert recent.chain(1, 10, 7) is None
    _send(replica, [_patch(7, 13)])
    assert recent.chain(1, 12, 8) is not None
    _send(replica, [link.ZoneGone(1)])
    assert recent.chain(1, 12, 8) is None


def test_changes_whose_serials_came_twice_are_not_kept_nor_those_before() -> None:
    replica = _loaded()
    _send(replica, [_patch(5, 11), _patch(6, 12)._replace(is_unique=False), _patch(7, 13)])
    assert _serial(replica) == 13
    recent = replica.state.recent
    assert [recent.chain(1, serial, 8) is not None for serial in (10, 11, 12)] == [False, False, True]


def test_a_mark_is_applied_at_once_or_when_what_was_asked_for_is_here() -> None:
    replica = _loaded()
    assert _send(replica, [link.Mark(8, 80)]) == [link.Applied(8)]
    _send(replica, [_patch(6, 12)])
    assert _send(replica, [link.Mark(9, 90)]) == []
    assert _send(replica, _whole(7, 12)) == [link.Serving(1, 7, 12), link.Applied(9)]


def test_a_connection_that_breaks_halfway_asks_again_for_what_is_missing() -> None:
    replica = _loaded()
    _send(replica, [_patch(6, 12), link.Mark(9, 90), *_whole(7, 12)[:2]])
    hello, again = replica.hello(9)
    assert isinstance(hello, link.Hello)
    assert (hello.seq, hello.zones) == (9, ((1, 5, 10),))
    assert again == link.NeedZone(1)
    assert _send(replica, [*zone_pages(APEX, [Record(APEX, 1, 300, b"old!")]), link.ZoneEnd()]) == []
    assert _serial(replica) == 10


def test_suspension_needs_no_contents() -> None:
    replica = _loaded()
    assert _send(replica, [_info(5, suspended=True)]) == [link.Serving(1, 5, 10)]
    assert replica.state.zones[APEX].served is None


def test_a_new_zone_is_asked_for_and_a_zone_that_is_gone_is_withdrawn() -> None:
    replica = Replica(ServerState(), cookies=False)
    assert _send(replica, [_info(1)]) == [link.NeedZone(1)]
    assert APEX not in replica.state.zones
    _send(replica, _whole(1, 1))
    assert APEX in replica.state.zones
    _send(replica, [link.ZoneGone(1)])
    assert APEX not in replica.state.zones


def test_a_zone_that_is_gone_before_it_came_is_not_waited_for() -> None:
    replica = Replica(ServerState(), cookies=False)
    _send(replica, [_info(1), link.Mark(3, 30)])
    assert _send(replica, [link.ZoneGone(1)]) == [link.Serving(1, link.GONE, 0), link.Applied(3)]


def test_contents_that_stopped_coming_are_let_go_with_the_zone() -> None:
    """A keeper whose database failed halfway sends them anew, unless the zone is gone by then."""
    replica = _loaded()
    begin, *rest = _whole(6, 11, _a("www", "192.0.2.1"))
    assert _send(replica, [begin, rest[0]]) == []
    assert not gc.isenabled()
    assert replica.take(link.ZoneGone(1)) == [link.Serving(1, link.GONE, 0)]
    assert gc.isenabled()
    assert replica.take(link.ZoneEnd()) == []


def test_a_zone_made_anew_under_the_name_outlives_the_old_ones_end() -> None:
    replica = _loaded()
    begin = link.ZoneBegin(tuple(_info(1, zone_id=2)), 1)
    _send(replica, [begin, *zone_pages(APEX, _zone(20)), link.ZoneEnd(), link.ZoneGone(1)])
    assert _serial(replica) == 20


def _parts_left(replica: Replica) -> int:
    parts = 1
    while replica.expire():
        parts += 1
    return parts


def test_large_contents_that_are_not_served_any_more_are_let_go_in_parts() -> None:
    replica = _loaded()
    many = [_a(f"n{number}", "192.0.2.1") for number in range(12_000)]
    _send(replica, _whole(6, 11, *many))
    assert _parts_left(replica) == 1
    _send(replica, _whole(7, 12))
    assert _parts_left(replica) > 256
    _send(replica, [*_whole(8, 13, *many), link.ZoneGone(1)])
    assert _parts_left(replica) > 256
    _send(replica, _whole(9, 14, *many)[:-1])
    replica.hello(9)
    assert _parts_left(replica) > 256
    assert APEX not in replica.state.zones


def test_zones_that_are_not_in_the_whole_list_go() -> None:
    replica = _loaded()
    _send(replica, [link.ZonesAre((2,))])
    assert APEX not in replica.state.zones


def test_of_a_database_that_was_restored_each_zone_is_read_anew() -> None:
    """Its versions are those of the past: else the zone's next changes would be taken for old ones."""
    replica = _loaded(version=5, serial=10)
    assert _send(replica, [link.ZonesAre((1,)), _info(3), link.Mark(4, 99)]) == [link.NeedZone(1)]
    assert _serial(replica) == 10
    assert _send(replica, _whole(3, 8)) == [link.Serving(1, 3, 8), link.Applied(4)]
    assert _send(replica, [_patch(3, 9)]) == [link.Serving(1, 4, 9)]


def test_globals_replace_lists_keys_and_cookies() -> None:
    replica = Replica(ServerState(), cookies=True)
    key = (b"\x01k\x00", b"\x0bhmac-sha256\x00", b"secret", False)
    _send(replica, [link.Globals((("192.0.2.0/24", None),), ((None, b"\x01k\x00"),), (key,), (b"c" * 16,), b"t")])
    state = replica.state
    assert [entry.text() for entry in state.access.global_] == ["192.0.2.0/24"]
    assert [entry.text() for entry in state.access.super_slaves] == ["key=k."]
    assert state.keys[b"\x01k\x00"].secret == b"secret"
    assert state.cookies is not None
