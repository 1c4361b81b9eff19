"""A zone, its primaries, and a player of scripts, for the tests of the refresh machine."""

from __future__ import annotations

from typing import Any

from dnsserver.events import Event
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.refresh import Action, AskSoa, Fetch, Fetched, RefreshLimits, SoaTimers, ZoneRefresh
from dnsserver.protocol.soa_query import SoaAnswer
from dnsserver.zone import names
from dnsserver.zone.settings import Target

ZONE = names.from_user("example.com")
PRIMARIES = {
    "A": Target("192.0.2.1"),
    "B": Target("192.0.2.2", 5301, b"\x01k\x00"),
    "C": Target("2001:db8::3"),
}
LETTERS = {target: letter for letter, target in PRIMARIES.items()}
SOA = SoaTimers(7, 3600, 600, 86400)
WALL = 1_800_000_000.0
CHECK_WORDS = "Failed to check the serial of zone example.com at 192.0.2.1 "


def machine(primaries: str = "AB", limits: RefreshLimits | None = None) -> ZoneRefresh:
    return ZoneRefresh(ZONE, tuple(PRIMARIES[p] for p in primaries), limits or RefreshLimits(), lambda: 0.0)


class Player:
    """Plays a script: one step a line, ``what happens -> what is to be done``, or ``= how it stands``."""

    def __init__(self, zone: ZoneRefresh) -> None:
        self.zone = zone
        self.now = 1000.0
        self.events: list[Event] = []

    def play(self, script: str) -> None:
        for line in filter(None, (line.strip() for line in script.splitlines())):
            if line.startswith("="):
                for fact in line[1:].split(","):
                    self._check(line, *fact.split())
                continue
            step, _, expected = line.partition("->")
            assert ", ".join(self._said(self._do(step.split()))) == expected.strip(), line

    def _said(self, actions: list[Action]) -> list[str]:
        said = []
        for action in actions:
            match action:
                case AskSoa(primary):
                    said.append(f"ask {LETTERS[primary]}")
                case Fetch(primary, full):
                    said.append(f"{'axfr' if full else 'fetch'} {LETTERS[primary]}")
                case Event():
                    self.events.append(action)
                    said.append(action.name)
        return said

    def _do(self, words: list[str]) -> list[Action]:
        zone, now = self.zone, self.now
        match words:
            case [moment] if moment.startswith("+"):
                self.now += float(moment[1:])
                return zone.due(self.now)
            case ["due"]:
                return zone.due(now)
            case ["refresh"]:
                return zone.refresh(now)
            case ["retransfer"]:
                return zone.retransfer(now)
            case ["notify", who, *serial]:
                address = PRIMARIES[who].address if who in PRIMARIES else who
                return zone.notified(now, int(serial[0]) if serial else None, address)
            case ["primaries", letters]:
                return zone.reconfigure(now, tuple(PRIMARIES[p] for p in letters), RefreshLimits())
            case [who, "says", serial, *expire]:
                answer = SoaAnswer(int(serial), int(expire[1]) if expire else None)
                return zone.soa_answered(now, PRIMARIES[who], answer)
            case [who, "fails", reason]:
                return zone.soa_failed(now, PRIMARIES[who], Failure(reason))
            case [who, "gives", kind, serial, *expire]:
                soa = SOA._replace(serial=int(serial))
                return zone.fetched(now, PRIMARIES[who], Fetched(soa, kind, int(expire[1]) if expire else None))
            case [who, "drops", reason]:
                return zone.fetch_failed(now, PRIMARIES[who], Failure(reason))
        raise AssertionError(words)

    def _check(self, line: str, what: str, value: str = "") -> None:
        zone, outcome = self.zone, self.zone.outcome
        facts: dict[str, Any] = {
            "next": None if zone.next_at is None else zone.next_at - self.now,
            "expires": None if zone.deadline is None else zone.deadline - self.now,
            "failures": zone.failures,
            "rounds": zone.rounds,
        }
        match what:
            case "busy" | "idle":
                assert zone.is_busy == (what == "busy"), line
            case "expired" | "valid":
                assert zone.expired == (what == "expired"), line
            case "current" | "transferred" | "failed":
                assert outcome is not None, line
                assert outcome.result == what, line
            case _:
                assert facts[what] == (None if value == "never" else float(value)), line
