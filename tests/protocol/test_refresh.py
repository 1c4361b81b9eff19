"""The refresh machine against a table of what happens and what it says to that (R9, R11, R12, R23, R26, R28)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.protocol.refreshing import SOA, WALL, Player, machine


class Case(NamedTuple):
    """``serial``: of the contents that are here, None: none."""

    about: str
    script: str
    serial: int | None = 7
    primaries: str = "AB"


CASES = [
    Case("an equal serial is a good check", """
        due -> ask A
        = busy, next 86400
        A says 7 ->
        = idle, current, next 3600, expires 86400, rounds 1
        +3599 ->
        +1 -> ask A
        """),
    Case("R12: a higher serial is fetched, and puts off the expiry", """
        due -> ask A
        +10 ->
        A says 8 -> fetch A
        = expires 86390
        +20 ->
        A gives ixfr 8 -> zone-transferred
        = transferred, next 3600, expires 86400
        """),
    Case("RFC 1982: 0 is ahead of 2^32 - 1", """
        due -> ask A
        A says 0 -> fetch A
        A gives axfr 0 -> zone-transferred
        """, 4294967295),
    Case("a zone without contents fetches any serial", """
        due -> ask A
        = next never, expires never
        A says 0 -> fetch A
        A gives axfr 0 -> zone-transferred
        = expires 86400
        """, None),
    Case("2^31 - 1 ahead is ahead", """
        due -> ask A
        A says 2147483654 -> fetch A
        """),
    Case("exactly 2^31 away is an event, and the next is asked", """
        due -> ask A
        A says 2147483655 -> serial-incomparable, ask B
        B says 7 ->
        = current, failures 0
        """),
    Case("a primary that is behind is an event, and the next is asked", """
        due -> ask A
        A says 6 -> primary-behind, ask B
        B says 8 -> fetch B
        """),
    Case("primaries that are all behind are no good check", """
        due -> ask A
        +100 ->
        A says 6 -> primary-behind, ask B
        B says 2147483656 -> primary-behind, zone-stale
        = failed, failures 1, next 600, expires 86300
        """),
    Case("R28: a primary that fails is followed by the next, and the one that worked is asked first", """
        due -> ask A
        A fails timeout -> primary-unreachable, ask B
        B says 7 ->
        +3600 -> ask B
        B fails refused -> refresh-failed, ask A
        A says 7 ->
        +3600 -> ask A
        """),
    Case("a transfer that fails is followed by the next primary's", """
        due -> ask A
        A says 8 -> fetch A
        A drops invalid -> transfer-failed, ask B
        B says 8 -> fetch B
        B gives axfr 8 -> zone-transferred
        = transferred, failures 0
        +3600 -> ask B
        """),
    Case("after the last primary the retry timer, and zone-stale once an outage", """
        due -> ask A
        A fails timeout -> primary-unreachable, ask B
        B fails unreachable -> primary-unreachable, zone-stale
        = failed, failures 1, next 600
        +600 -> ask A
        A fails timeout -> primary-unreachable, ask B
        B fails unreachable -> primary-unreachable
        = failures 2, next 600
        +600 -> ask A
        A says 7 -> zone-recovered
        = failures 0, next 3600, expires 86400
        +3600 -> ask A
        A fails timeout -> primary-unreachable, ask B
        B fails timeout -> primary-unreachable, zone-stale
        """),
    Case("recovery by a transfer", """
        due -> ask A
        A fails timeout -> primary-unreachable, zone-stale
        +600 -> ask A
        A says 9 -> fetch A
        A gives ixfr 9 -> zone-transferred, zone-recovered
        """, primaries="A"),
    Case("R11: expiry to the second, also while a question is under way; checks go on at retry", """
        due -> ask A
        A says 7 ->
        +3600 -> ask A
        +82799.5 ->
        = valid, next 0.5
        +0.5 -> zone-expired
        = expired, next never, busy
        A fails timeout -> primary-unreachable
        = next 600, failures 1
        +600 -> ask A
        A says 7 -> zone-recovered
        = valid, expires 86400, next 3600
        """, primaries="A"),
    Case("an expired zone comes back by a transfer", """
        due -> ask A
        A fails timeout -> primary-unreachable, zone-stale
        +86400 -> zone-expired, ask A
        A says 8 -> fetch A
        A drops too-slow -> transfer-failed
        = expired
        +600 -> ask A
        A says 8 -> fetch A
        A gives axfr 8 -> zone-transferred, zone-recovered
        = valid
        """, primaries="A"),
    Case("a zone without contents neither expires nor gets stale; its retries get rarer", """
        due -> ask A
        A fails refused -> refresh-failed
        = next 60, failures 1, valid
        +60 -> ask A
        A fails refused -> refresh-failed
        = next 120
        +120 -> ask A
        A fails refused -> refresh-failed
        +240 -> ask A
        A fails refused -> refresh-failed
        +480 -> ask A
        A fails refused -> refresh-failed
        +960 -> ask A
        A fails refused -> refresh-failed
        = next 960, failures 6
        +960 -> ask A
        A says 3 -> fetch A
        A gives axfr 3 -> zone-transferred
        = next 3600, expires 86400
        """, None, "A"),
    Case("R9: a NOTIFY starts a check at once", """
        due -> ask A
        A says 7 ->
        +5 ->
        notify A 8 -> ask A
        A says 8 -> fetch A
        A gives ixfr 8 -> zone-transferred
        = next 3600
        """),
    Case("the primary that sent the NOTIFY is asked first, and then the one before again", """
        notify B 8 -> ask B
        B says 8 -> fetch B
        B gives ixfr 8 -> zone-transferred
        +3600 -> ask A
        """),
    Case("the sender of a NOTIFY that fails is followed by the usual order", """
        notify C -> ask C
        C fails timeout -> primary-unreachable, ask A
        A fails timeout -> primary-unreachable, ask B
        B says 7 ->
        +3600 -> ask B
        """, primaries="ABC"),
    Case("a NOTIFY of allow-notify starts with the usual one", """
        notify 198.51.100.9 -> ask A
        """),
    Case("NOTIFYs while a round is under way make one more", """
        due -> ask A
        notify A ->
        notify A ->
        A says 8 -> fetch A
        notify B 9 ->
        A gives ixfr 8 -> zone-transferred, ask B
        B says 9 -> fetch B
        B gives ixfr 9 -> zone-transferred
        = idle, rounds 2
        """),
    Case("a NOTIFY whose serial the first primary has not yet: the next is asked, and then before long", """
        notify A 9 -> ask A
        A says 7 -> ask B
        B says 7 ->
        = current, next 600, failures 0
        +600 -> ask A
        A says 7 ->
        = next 3600
        """),
    Case("a NOTIFY whose serial the second primary has", """
        notify A 9 -> ask A
        A says 7 -> ask B
        B says 9 -> fetch B
        B gives ixfr 9 -> zone-transferred
        = next 3600
        """),
    Case("a confirmed zone is fresh, whatever the primaries after that say", """
        notify A 9 -> ask A
        A says 7 -> ask B
        B fails refused -> refresh-failed
        = current, failures 0, next 600, expires 86400
        """),
    Case("the hint is no serial to believe: a lower one is checked all the same", """
        notify A 6 -> ask A
        A says 7 ->
        = current, next 3600
        """),
    Case("R23: a forced refresh", """
        due -> ask A
        A says 7 ->
        refresh -> ask A
        refresh ->
        A says 7 -> ask A
        A says 7 ->
        = rounds 3, idle
        """),
    Case("R23: a retransfer asks for no serial and is tried with each primary", """
        retransfer -> axfr A
        A drops closed -> transfer-failed, axfr B
        B gives axfr 7 -> zone-transferred
        = transferred, expires 86400
        """),
    Case("a retransfer while a round is under way comes after it, also when a NOTIFY comes later", """
        due -> ask A
        retransfer ->
        notify B ->
        A says 7 -> axfr B
        """),
    Case("a retransfer that no primary gives", """
        retransfer -> axfr A
        A drops refused -> transfer-failed, zone-stale
        = failed, next 600
        """, primaries="A"),
    Case("a retransfer may bring a lower serial", """
        retransfer -> axfr A
        A gives axfr 5 -> zone-transferred
        +3600 -> ask A
        A says 5 ->
        = current
        """),
    Case("an IXFR that finds nothing newer is a good check (RFC 1995, 2)", """
        due -> ask A
        A says 8 -> fetch A
        +9 ->
        A gives current 7 ->
        = current, expires 86400, failures 0
        """),
    Case("an IXFR that finds an older zone is none", """
        due -> ask A
        A says 8 -> fetch A
        A gives current 6 -> primary-behind, ask B
        """),
    Case("RFC 7314: after a transfer the option counts, where it is lower", """
        due -> ask A
        A says 8 expire 500 -> fetch A
        A gives ixfr 8 expire 1000 -> zone-transferred
        = expires 1000
        """),
    Case("RFC 7314: the SOA's value is the most", """
        due -> ask A
        A says 8 -> fetch A
        A gives axfr 8 expire 99999 -> zone-transferred
        = expires 86400
        +60 ->
        refresh -> ask A
        A says 7 expire 99999 -> primary-behind, ask B
        B says 8 expire 99999 ->
        = expires 86400
        """),
    Case("RFC 7314: at an equal serial the later of the option and the timer", """
        due -> ask A
        A says 7 ->
        = expires 86400
        +3600 -> ask A
        A says 7 expire 1000 ->
        = expires 82800
        +3600 -> ask A
        A says 7 expire 80000 ->
        = expires 80000
        """),
    Case("RFC 7314: a zone that lives shorter than its refresh is checked when it expires", """
        due -> ask A
        A says 8 -> fetch A
        A gives axfr 8 expire 10 -> zone-transferred
        = next 10
        +10 -> zone-expired, ask A
        A says 8 expire 0 ->
        = expired, current
        +600 -> ask A
        A says 8 expire 86000 -> zone-recovered
        = valid, expires 86000
        """),
    Case("what a primary says that was not asked is passed over", """
        A says 9 ->
        A fails timeout ->
        due -> ask A
        B says 9 ->
        A gives axfr 9 ->
        A drops timeout ->
        A says 7 ->
        A says 9 ->
        = idle, rounds 1
        """),
    Case("other primaries are asked at once", """
        due -> ask A
        A says 7 ->
        primaries C ->
        = next 0
        due -> ask C
        """),
    Case("the same primaries change nothing", """
        due -> ask A
        A says 7 ->
        primaries AB ->
        = next 3600
        """),
    Case("a primary that is removed while it is asked is not believed, and no outage", """
        due -> ask A
        primaries C ->
        A says 9 -> ask C
        = failures 0
        C says 7 ->
        = idle, current
        """),
    Case("what a removed primary gave is here", """
        due -> ask A
        A says 9 -> fetch A
        primaries C ->
        A gives axfr 9 -> zone-transferred, ask C
        C says 9 ->
        = idle, current
        """),
    Case("a transfer that a removed primary dropped is no event", """
        due -> ask A
        A says 9 -> fetch A
        primaries B ->
        A drops closed -> ask B
        B fails timeout -> primary-unreachable, zone-stale
        """),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_what_happens_and_what_is_done(case: Case) -> None:
    zone = machine(case.primaries)
    player = Player(zone)
    soa = None if case.serial is None else SOA._replace(serial=case.serial)
    assert zone.start(player.now, WALL, soa, None) == []
    assert zone.next_at == player.now
    player.play(case.script)
