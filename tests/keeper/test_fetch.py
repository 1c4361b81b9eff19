"""Transfers in, from a primary that does as its script says (R13, R14, R22; RFC 1995, RFC 5936)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from dnsserver.editing.context import EditLimits
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Fetched
from dnsserver.store import zones
from dnsserver.zone import names
from dnsserver.zone.checks import ZoneLimits
from tests.keeper.fetching import KEY, KEY_NAME, WHO, Place, digested
from tests.support import hostile
from tests.support.hostile import IXFR, Ask, End, Pause, Step
from tests.support.keeping import keeper_settings

# What goes well


def test_a_zone_without_contents_is_transferred_whole(place: Place) -> None:
    place.zone()
    place.serves(1)
    got = place.fetch()
    assert isinstance(got, Fetched)
    assert (got.kind, got.soa.serial, got.soa.expire, got.messages, got.records) == ("axfr", 1, 604800, 1, 9)
    assert (place.row.version, place.row.serial) == (1, 1)
    assert place.records == place.expected(1)


def test_a_zone_that_is_here_is_brought_up_to_date_by_ixfr(place: Place) -> None:
    place.zone()
    for serial in (1, 2, 5):
        place.serves(serial)
        got = place.fetch()
        assert isinstance(got, Fetched)
        assert (place.row.serial, place.records) == (serial, place.expected(serial))
    assert place.kinds() == ["axfr", "ixfr", "ixfr"]
    assert place.events == []


def test_a_primary_that_has_nothing_newer_is_taken_at_its_word(place: Place) -> None:
    place.zone()
    place.serves(3)
    place.fetch()
    got = place.fetch()
    assert isinstance(got, Fetched)
    assert (got.kind, got.soa.serial, place.row.version) == ("current", 3, 1)
    assert got.stored == got.soa


@pytest.mark.parametrize("how", ["zone", "server"])
def test_ixfr_can_be_switched_off(place: Place, how: str) -> None:
    """R14."""
    place.zone(ixfr="off" if how == "zone" else "on")
    place.settings = replace(place.settings, ixfr=how != "server")
    for serial in (1, 2):
        place.serves(serial)
        place.fetch()
    assert place.kinds() == ["axfr", "axfr"]
    assert place.records == place.expected(2)


def test_a_retransfer_is_an_axfr_whatever_the_serial(place: Place) -> None:
    """R23."""
    place.zone()
    for serial in (9, 4, 4):
        place.serves(serial)
        got = place.fetch(full=True)
        assert isinstance(got, Fetched)
        assert got.kind == "axfr"
        assert (place.row.serial, place.records) == (serial, place.expected(serial))
    assert place.kinds() == ["axfr", "axfr"]


def test_a_signed_transfer_is_verified(place: Place) -> None:
    place.zone()
    place.has_key()
    place.answers(lambda ask: hostile.good(ask, 1), KEY)
    got = place.fetch(key=KEY_NAME)
    assert isinstance(got, Fetched), got
    place.answers(lambda ask: [ask.whole(serial=2)], KEY)
    failed = place.fetch(key=KEY_NAME)
    assert isinstance(failed, Failure)
    assert (failed.reason, place.records) == ("unauthenticated", place.expected(1))


def test_without_its_key_nothing_is_asked(place: Place) -> None:
    place.zone()
    failed = place.fetch(key=names.from_text("gone."))
    assert isinstance(failed, Failure)
    assert failed.reason == "no-key"


def test_ixfr_by_udp_where_that_is_chosen_and_there_is_a_key(place: Place) -> None:
    """R13."""
    place.zone(ixfr="udp")
    place.has_key()
    asked: list[bool] = []

    def script(serial: int) -> Callable[[Ask], Iterable[Step]]:
        def answer(ask: Ask) -> Iterable[Step]:
            asked.append(ask.is_tcp)
            return hostile.good(ask, serial)

        return answer

    for serial in (1, 2):
        place.answers(script(serial), KEY)
        place.fetch(key=KEY_NAME)
    assert asked == [True, False]
    place.answers(script(3))
    place.fetch()
    assert asked == [True, False, True]
    assert place.kinds() == ["axfr", "ixfr", "ixfr"]


def test_a_datagram_that_does_not_do_is_no_answer(place: Place) -> None:
    """What is truncated, unsigned or too large goes by TCP."""
    place.zone(ixfr="udp")
    place.has_key()

    def script(ask: Ask) -> Iterable[Step]:
        if ask.is_tcp:
            return hostile.good(ask, 1 if ask.serial is None else 2)
        reply = ask.reply([ask.soa(2)])
        return [ask.reply([ask.soa(9)]), ask.signer()(reply)]

    place.answers(script, KEY)
    place.fetch(key=KEY_NAME)
    place.fetch(key=KEY_NAME)
    assert (place.row.serial, place.kinds()) == (2, ["axfr", "ixfr"])


# IXFR that does not do


def _ixfr_gone_wrong(name: str) -> Callable[[Ask], Iterable[Step]]:
    def answer(ask: Ask) -> Iterable[Step]:
        if ask.qtype != IXFR:
            return hostile.good(ask, 2)
        new = ask.soa(2)
        if name in ("notimp", "refused", "formerr"):
            return [ask.reply(rcode={"notimp": 4, "refused": 5, "formerr": 1}[name])]
        if name == "closed":
            return [ask.reply([new, ask.soa(1)]), End()]
        if name == "does-not-apply":
            return [ask.reply([new, ask.soa(1), ask.rr("nobody", "A", "192.0.2.9"), new, new])]
        return [ask.reply([new, ask.soa(1), new, ask.rr("x", "A", "192.0.2.9"), ask.soa(3)])]

    return answer


@pytest.mark.parametrize("name", ["notimp", "refused", "formerr", "closed", "does-not-apply", "invalid"])
def test_an_ixfr_that_fails_is_followed_by_an_axfr(place: Place, name: str) -> None:
    """R14; RFC 1995, 4."""
    place.zone()
    place.serves(1)
    place.fetch()
    place.answers(_ixfr_gone_wrong(name))
    got = place.fetch()
    assert isinstance(got, Fetched)
    assert got.kind == "axfr"
    assert place.records == place.expected(2)
    (event,) = place.events
    assert event.name == "ixfr-fallback"
    assert event.fields["zone"] == "example.com."


def test_an_answer_in_the_style_of_axfr_is_one(place: Place) -> None:
    """RFC 1995, 4."""
    place.zone()
    for serial in (1, 2):
        place.answers(lambda ask, serial=serial: [ask.whole(serial=serial)])  # type: ignore[misc]
        place.fetch()
    assert place.kinds() == ["axfr", "axfr"]
    assert place.events == []
    assert place.records == place.expected(2)


def test_a_primary_that_knows_no_edns_is_asked_without(place: Place) -> None:
    """RFC 6891, 7."""
    place.zone()
    asked: list[int] = []

    def answer(ask: Ask) -> Iterable[Step]:
        asked.append(1)
        return [ask.reply(rcode=1)] if len(asked) == 1 else hostile.good(ask, 1)

    place.answers(answer)
    assert isinstance(place.fetch(), Fetched)
    assert len(asked) == 2


# Failures, by their reasons


def _endless(ask: Ask) -> Iterator[Step]:
    yield ask.reply([ask.soa(2)])
    at = 0
    while True:
        yield ask.reply([ask.rr(f"h{at + i}", "A", "192.0.2.1") for i in range(500)])
        at += 500


FAILURES: dict[str, tuple[str, Callable[[Ask], Iterable[Step]]]] = {
    "refused": ("refused", lambda ask: [ask.reply(rcode=5)]),
    "notauth": ("not-authoritative", lambda ask: [ask.reply(rcode=9)]),
    "servfail": ("error", lambda ask: [ask.reply(rcode=2)]),
    "closed": ("closed", lambda ask: [End()]),
    "reset": ("closed", lambda ask: [ask.reply([ask.soa(2)]), End(reset=True)]),
    "silent": ("timeout", lambda ask: [Pause(20)]),
    "stops": ("too-slow", lambda ask: [ask.reply([ask.soa(2)]), Pause(20)]),
    "endless": ("too-large", _endless),
    "lower": ("serial", lambda ask: hostile.good(ask, 0)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_transfer_that_fails_leaves_the_zone_as_it_is(place: Place, name: str) -> None:
    """R22: told apart."""
    idle = 0.5 if name in ("silent", "stops") else 15.0
    place.settings = keeper_settings(transfer_in_idle=idle, limits=EditLimits(ZoneLimits(zone_records=30_000)))
    place.zone(ixfr="off")
    place.serves(1)
    place.fetch()
    reason, script = FAILURES[name]
    place.answers(script)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert failed.reason == reason, failed
    assert (place.row.version, place.records, place.leftovers()) == (1, place.expected(1), 0)
    place.serves(2)
    assert isinstance(place.fetch(), Fetched)


def test_a_primary_that_is_not_there_is_unreachable(place: Place) -> None:
    place.zone()
    place.primary.close_tcp()
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert (failed.reason, failed.detail) == ("unreachable", "Connection refused")


def test_the_whole_has_its_time(place: Place) -> None:
    def drip(ask: Ask) -> Iterator[Step]:
        yield ask.reply([ask.soa(2)])
        while True:
            yield Pause(0.05)
            yield ask.reply([ask.rr("x", "A", "192.0.2.1")])

    place.settings = replace(place.settings, transfer_in_time=0.5)
    place.zone()
    place.answers(drip)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert (failed.reason, "transfer-in-time" in failed.detail) == ("too-slow", True)


def test_a_zone_that_is_not_to_be_transferred_any_more_is_not(place: Place) -> None:
    zone = place.zone()
    place.serves(1)
    with place.db.write() as conn:
        zones.set_suspended(conn, zone, True, WHO)
    failed = place.fetch()
    assert isinstance(failed, Failure)
    assert failed.reason == "internal"
    assert place.row.version == 0


# Digests (RFC 8976)


@pytest.mark.parametrize(
    ("mode", "sent", "taken", "events"),
    [
        ("warn", "right", True, []),
        ("warn", "wrong", True, ["zonemd-mismatch"]),
        ("warn", "none", True, []),
        ("off", "wrong", True, []),
        ("require", "right", True, []),
        ("require", "wrong", False, ["zonemd-mismatch"]),
        ("require", "none", False, ["zonemd-missing"]),
    ],
)
def test_the_zones_digest_is_looked_at_as_is_set(
    place: Place, mode: str, sent: str, taken: bool, events: list[str]
) -> None:
    place.zone(zonemd=mode)
    if sent == "none":
        place.serves(1)
    else:
        place.answers(lambda ask: digested(ask, 1, wrong=sent == "wrong"))
    got = place.fetch()
    assert isinstance(got, Fetched) == taken, got
    assert isinstance(got, Fetched) or got.reason == "zonemd"
    assert [event.name for event in place.events] == events
    assert place.row.version == taken
