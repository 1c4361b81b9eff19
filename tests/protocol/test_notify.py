"""When NOTIFY goes out, and to whom (R8; LIMITS notify-interval, notifies-per-second)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.protocol.notify import Answer, NotifyMachine, Send
from dnsserver.protocol.notify_targets import targets_of
from dnsserver.zone import names
from dnsserver.zone.access import AccessEntry, AccessLists, Role
from dnsserver.zone.settings import Target, ZoneSettings

ONE, TWO, THREE = Target("192.0.2.1"), Target("192.0.2.2", 5301), Target("2001:db8::1", 53, b"\x01k\x00")


def run(machine: NotifyMachine, until: float, begin: float = 0.0) -> list[tuple[float, Send]]:
    """Everything that is sent up to ``until``, driven by the machine's own timer alone."""
    sends, now = [], begin
    while True:
        sends += [(now, send) for send in machine.due(now)]
        timer = machine.next_timer()
        if timer is None or timer > until:
            return sends
        assert timer > now, "a timer that is due, and nothing was sent"
        now = timer


def times(sends: list[tuple[float, Send]]) -> list[float]:
    return [when for when, _ in sends]


def test_the_first_goes_at_once_to_every_target() -> None:
    machine = NotifyMachine()
    machine.changed(1, 5, 50, [ONE, TWO], 10.0)
    assert machine.next_timer() == 10.0
    assert machine.due(10.0) == [Send(1, ONE, 5, 50), Send(1, TWO, 5, 50)]
    assert machine.due(10.0) == []


def test_changes_that_follow_are_coalesced_to_one_in_the_interval() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    assert len(machine.due(0.0)) == 1
    assert machine.answered(1, ONE, 1, 0) is Answer.DONE
    for step in range(2, 8):
        machine.changed(1, step, step * 10, [ONE], step / 10)
        assert machine.due(step / 10) == []
    assert machine.next_timer() == 1.0
    assert machine.due(1.0) == [Send(1, ONE, 7, 70)]


def test_retries_double_to_30_seconds_for_an_hour_and_then_come_every_15_minutes() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    when = times(run(machine, 3600 + 3 * 900))
    assert when[:8] == [0, 1, 3, 7, 15, 31, 61, 91]
    gaps = [later - earlier for earlier, later in itertools.pairwise(when)]
    hopeful = [gap for earlier, gap in zip(when, gaps, strict=False) if earlier < 3600]
    assert set(hopeful[5:]) == {30.0}
    assert set(gaps[len(hopeful) :]) == {900.0}
    assert len(gaps) > len(hopeful)


def test_it_ends_with_noerror() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE, TWO], 0.0)
    machine.due(0.0)
    assert not machine.is_done(1)
    assert machine.answered(1, ONE, 1, 0) is Answer.DONE
    assert not machine.is_done(1)
    assert machine.answered(1, TWO, 1, 0) is Answer.DONE
    assert machine.is_done(1)
    assert machine.next_timer() is None
    assert [(s.acknowledged, s.acknowledged_serial, s.rcode, s.is_done) for s in machine.status(1)] == [
        (1, 10, 0, True)
    ] * 2


def test_an_error_is_an_event_once_and_the_retries_go_on() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    machine.due(0.0)
    assert machine.answered(1, ONE, 1, 5) is Answer.ERROR
    assert machine.answered(1, ONE, 1, 5) is Answer.REPEATED
    assert machine.answered(1, ONE, 1, 9) is Answer.ERROR
    assert machine.due(1.0) == [Send(1, ONE, 1, 10)]
    machine.changed(1, 2, 11, [ONE], 1.5)
    machine.due(2.0)
    assert machine.answered(1, ONE, 2, 9) is Answer.ERROR


def test_an_answer_to_a_superseded_version_does_not_end_the_newer() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    machine.due(0.0)
    machine.changed(1, 2, 11, [ONE], 0.1)
    assert machine.answered(1, ONE, 1, 0) is Answer.STALE
    assert run(machine, 1.5, 0.1) == [(1.0, Send(1, ONE, 2, 11))]


def test_a_change_supersedes_the_retries_of_the_one_before() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    run(machine, 40.0)
    machine.changed(1, 2, 11, [ONE], 50.0)
    assert run(machine, 60.0, 50.0)[:3] == [(50.0, Send(1, ONE, 2, 11)), (51.0, Send(1, ONE, 2, 11)),
                                            (53.0, Send(1, ONE, 2, 11))]  # fmt: skip


def test_a_target_or_zone_that_is_removed_is_told_no_more() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE, TWO], 0.0)
    machine.changed(2, 1, 10, [ONE], 0.0)
    machine.due(0.0)
    machine.changed(1, 1, 10, [TWO], 0.5)
    machine.removed(2)
    assert {send.target for _, send in run(machine, 100.0, 0.5)} == {TWO}
    assert machine.answered(1, ONE, 1, 0) is Answer.STALE
    assert machine.answered(2, ONE, 1, 0) is Answer.STALE
    machine.heard(ONE.address, 200.0)
    assert machine.status(2) == []


def test_targets_that_are_resolved_later_are_told_and_the_others_left_alone() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    machine.due(0.0)
    machine.answered(1, ONE, 1, 0)
    machine.changed(1, 1, 10, [ONE, THREE], 0.3)
    assert machine.due(0.3) == [Send(1, THREE, 1, 10)]


def test_a_peer_that_is_heard_is_told_at_once_in_all_zones() -> None:
    machine = NotifyMachine()
    for zone in (1, 2, 3):
        machine.changed(zone, 1, 10, [ONE, TWO], 0.0)
    run(machine, 7200.0)
    machine.answered(3, ONE, 1, 0)
    machine.heard(ONE.address, 7300.0)
    told = [send for send in machine.due(7300.0) if send.target == ONE]
    assert told == [Send(zone, ONE, 1, 10) for zone in (1, 2)]
    # It is alive: another hour of short retries.
    assert [when for when, send in run(machine, 7304.0, 7300.0) if send[:2] == (1, ONE)] == [7301.0, 7303.0]


def test_a_peer_that_is_heard_all_the_time_is_told_once_in_the_interval() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    sent = 0
    for tick in range(1000):
        machine.heard(ONE.address, tick / 100)
        sent += len(machine.due(tick / 100))
    assert sent == 10


def test_heard_before_anything_was_sent_changes_nothing() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    machine.heard(ONE.address, 0.0)
    machine.heard("198.51.100.1", 0.0)
    assert len(machine.due(0.0)) == 1


def test_an_operator_tells_all_again() -> None:
    machine = NotifyMachine()
    machine.changed(1, 1, 10, [ONE], 0.0)
    machine.due(0.0)
    machine.answered(1, ONE, 1, 0)
    machine.again(1, 5.0)
    assert not machine.is_done(1)
    assert machine.due(5.0) == [Send(1, ONE, 1, 10)]
    assert machine.answered(1, ONE, 1, 0) is Answer.DONE
    assert machine.is_done(1)


def test_no_more_than_the_limit_in_any_second_and_the_living_first() -> None:
    """LIMITS notifies-per-second; first sendings go before retries."""
    machine = NotifyMachine(per_second=10)
    for zone in range(50):
        machine.changed(zone, 1, 10, [ONE], 0.0)
    sends = run(machine, 60.0)
    when = times(sends)
    assert all(later - earlier >= 1.0 for earlier, later in zip(when, when[10:], strict=False))
    assert len([1 for moment in when if moment < 10]) == 100
    first = {zone: next(moment for moment, send in sends if send.zone == zone) for zone in range(50)}
    assert max(first.values()) < 5.0
    machine.changed(99, 1, 10, [TWO], 60.0)
    assert next(moment for moment, send in run(machine, 70.0, 60.0) if send.zone == 99) <= 61.0


@pytest.mark.parametrize(("before", "after"), [(10, 3), (3, 10)])
def test_the_limit_can_be_changed_while_it_runs(before: int, after: int) -> None:
    """SIGHUP."""
    machine = NotifyMachine(per_second=before)
    for zone in range(100):
        machine.changed(zone, 1, 10, [ONE], 0.0)
    assert len(machine.due(0.0)) == before
    machine.per_second = after
    assert len(machine.due(0.5)) == max(after - before, 0)
    assert len(machine.due(1.5)) == after
    assert len(machine.due(2.5)) == after


def test_what_was_acknowledged_outlives_a_restart() -> None:
    before = NotifyMachine()
    before.changed(1, 4, 40, [ONE, TWO], 0.0)
    before.due(0.0)
    before.answered(1, ONE, 4, 0)
    after = NotifyMachine()
    for target, state in before.export(1):
        after.restore(1, Target.parse(target.text()), state)
    after.changed(1, 4, 40, [ONE, TWO], 0.0)
    assert after.due(0.0) == [Send(1, TWO, 4, 40)]
    after.answered(1, TWO, 4, 0)
    assert after.is_done(1)
    after.changed(1, 5, 41, [ONE, TWO], 1.0)
    assert len(after.due(1.0)) == 2


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["change", "ok", "error", "heard", "wait", "retarget", "remove", "again"]),
        st.integers(1, 3),
        st.sampled_from([ONE, TWO, THREE]),
        st.floats(0, 100, allow_nan=False),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens(events: list[tuple[str, int, Target, float]]) -> None:
    """Sendings to one target stay apart, are of the newest version, and go on until every living target knows it."""
    machine = NotifyMachine(per_second=5)
    targets: dict[int, list[Target]] = {}
    version: dict[int, int] = {}
    known: dict[tuple[int, Target], int] = {}
    last: dict[tuple[int, Target], float] = {}
    recent: list[float] = []
    now = 0.0

    def check(sends: list[Send]) -> None:
        for send in sends:
            place = (send.zone, send.target)
            assert send.target in targets[send.zone]
            assert (send.version, send.serial) == (version[send.zone], version[send.zone] * 10)
            assert known.get(place, 0) < send.version
            assert now - last.get(place, -10.0) >= 0.999
            last[place] = now
            recent.append(now)
            assert len([when for when in recent if when > now - 0.999]) <= 5

    for kind, zone, target, pause in events:
        if kind in ("change", "retarget"):
            if kind == "change" or zone not in version:
                version[zone] = version.get(zone, 0) + 1
            wanted = targets.get(zone, [ONE, TWO])
            if kind == "retarget":
                wanted = [t for t in (ONE, TWO, THREE) if (t in wanted) != (t == target)]
            for gone in set(targets.get(zone, ())) - set(wanted):
                known.pop((zone, gone), None)
                last.pop((zone, gone), None)
            targets[zone] = wanted
            machine.changed(zone, version[zone], version[zone] * 10, wanted, now)
        elif kind == "ok" and target in targets.get(zone, ()) and (zone, target) in last:
            assert machine.answered(zone, target, version[zone], 0) is Answer.DONE
            known[zone, target] = version[zone]
        elif kind == "error" and target in targets.get(zone, ()):
            assert machine.answered(zone, target, version[zone], 5) in (Answer.ERROR, Answer.REPEATED)
        elif kind == "heard":
            machine.heard(target.address, now)
        elif kind == "again" and zone in targets:
            machine.again(zone, now)
            for place in [place for place in known if place[0] == zone]:
                del known[place]
        elif kind == "remove":
            machine.removed(zone)
            targets.pop(zone, None)
            for gone_place in [place for place in (*known, *last) if place[0] == zone]:
                known.pop(gone_place, None)
                last.pop(gone_place, None)
        end = now + (pause if kind == "wait" else pause / 100)
        while True:
            check(machine.due(now))
            timer = machine.next_timer()
            if timer is None or timer > end:
                break
            now = max(now, timer)
        now = end
        check(machine.due(now))
    # Peace: everybody answers, and then nothing is left to do.
    for _ in range(10_000):
        timer = machine.next_timer()
        if timer is None:
            break
        now = max(now, timer)
        sends = machine.due(now)
        check(sends)
        for send in sends:
            assert machine.answered(send.zone, send.target, send.version, 0) is Answer.DONE
            known[send.zone, send.target] = send.version
    for zone, wanted in targets.items():
        assert machine.is_done(zone)
        assert all(known.get((zone, target)) == version[zone] for target in wanted)


# To whom

NS1, NS2, NS3 = (names.from_text(f"ns{n}.example.com.") for n in (1, 2, 3))
SERVERS = {NS1: ["192.0.2.10"], NS2: ["192.0.2.20", "2001:db8::20"], NS3: ["192.0.2.30"]}


def targets(
    *, also: tuple[str, ...] = (), own: tuple[str, ...] = (), super_slaves: tuple[AccessEntry, ...] = (),
    zone: tuple[AccessEntry, ...] = (), global_: tuple[AccessEntry, ...] = (), role: Role = Role.PRIMARY,
    to_soa: bool = False, notify: bool = True, servers: dict[bytes, list[str]] | None = None, port: int = 53,
) -> list[str]:  # fmt: skip
    found = targets_of(
        role=role,
        settings=ZoneSettings(
            notify=notify, notify_to_soa=to_soa, also_notify=tuple(Target.parse(text) for text in also)
        ),
        name_servers=SERVERS if servers is None else servers,
        primary_name=NS1,
        zone_entries=zone,
        lists=AccessLists(global_, super_slaves),
        own=own,
        super_slave_ports=dict.fromkeys(super_slaves, port),
    )
    return [target.text() for target in found]


def test_the_ns_set_without_the_mname_and_our_own_addresses() -> None:
    """R8; RFC 1996, 2.1."""
    assert targets() == ["192.0.2.20", "2001:db8::20", "192.0.2.30"]
    assert targets(own=("192.0.2.30", "192.0.2.20")) == ["2001:db8::20"]
    assert targets(to_soa=True) == ["192.0.2.10", "192.0.2.20", "2001:db8::20", "192.0.2.30"]
    assert targets(to_soa=True, own=("192.0.2.10",)) == ["192.0.2.20", "2001:db8::20", "192.0.2.30"]


def test_explicit_targets_and_super_slaves() -> None:
    one = AccessEntry.parse("198.51.100.1")
    net, keyed = AccessEntry.parse("198.51.100.0/24"), AccessEntry.parse(None, "k1")
    assert targets(servers={}, also=("203.0.113.1:5301",)) == ["203.0.113.1:5301"]
    assert targets(servers={}, super_slaves=(one, net, keyed), port=5353) == ["198.51.100.1:5353"]
    assert targets(servers={}, super_slaves=(one,), role=Role.SECONDARY) == []
    assert targets(servers={}, zone=(one,), global_=(one,)) == []


def test_notify_switched_off() -> None:
    assert targets(notify=False, also=("203.0.113.1",)) == []


def test_each_address_and_port_once_and_an_explicit_target_comes_first() -> None:
    found = targets(
        also=("192.0.2.20,key=k1", "192.0.2.20:5301"), super_slaves=(AccessEntry.parse("192.0.2.30", "k2"),),
        servers={NS2: ["192.0.2.20", "::ffff:192.0.2.20"], NS3: ["192.0.2.30"]},
    )  # fmt: skip
    assert found == ["192.0.2.20,key=k1.", "192.0.2.20:5301", "192.0.2.30,key=k2."]


@pytest.mark.parametrize(
    ("also", "zone", "super_slaves", "global_", "key"),
    [
        ("192.0.2.20,key=own", "z", "s", "g", "own."), ("192.0.2.20", "z", "s", "g", "z."),
        ("192.0.2.20", None, "s", "g", "s."), ("192.0.2.20", None, None, "g", "g."),
        ("192.0.2.20", None, None, None, None),
    ],
)  # fmt: skip
def test_the_key_is_the_targets_own_else_that_of_its_entry(
    also: str, zone: str | None, super_slaves: str | None, global_: str | None, key: str | None
) -> None:
    """R8."""

    def entries(name: str | None) -> tuple[AccessEntry, ...]:
        near = AccessEntry.parse("192.0.2.0/24", "net")
        return (near, AccessEntry.parse("192.0.2.20", name)) if name else (near,)

    found = targets(
        servers={}, also=(also,), zone=entries(zone), super_slaves=entries(super_slaves), global_=entries(global_)
    )
    assert found == ["192.0.2.20" + (f",key={key}" if key else "")]


def test_super_slaves_have_ports_and_keys_of_their_own() -> None:
    """R8: two super-slaves on one address, each told where it listens, with its own entry's key."""
    first, second = AccessEntry.parse("198.51.100.1", "k1"), AccessEntry.parse("198.51.100.1", "k2")
    found = targets_of(
        role=Role.PRIMARY,
        settings=ZoneSettings(),
        name_servers={},
        primary_name=NS1,
        zone_entries=(),
        lists=AccessLists((), (first, second)),
        own=(),
        super_slave_ports={second: 5302},
    )
    assert [target.text() for target in found] == ["198.51.100.1,key=k1.", "198.51.100.1:5302,key=k2."]
