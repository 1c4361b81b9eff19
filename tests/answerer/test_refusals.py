"""Refused transfers in the log: a flood of requests is no flood of lines (LIMITS, refused-log-interval)."""

from __future__ import annotations

import io

from dnsserver import log
from dnsserver.answerer.refusals import RefusalLog
from dnsserver.events import Event


def write(event: Event) -> None:
    log.event(event.name, **event.fields)


def test_a_flood_of_invented_zones_is_a_bounded_number_of_lines() -> None:
    """The zone of a request is the client's choice, and over UDP its source, too."""
    lines = io.StringIO()
    log.configure(json_lines=False, stream=lines)
    try:
        refusals = RefusalLog(30.0, write)
        for number in range(5000):
            peer = f"192.0.{number % 256}.9#53"
            refusals.refused(f"z{number}.test.", peer, None, "zone-not-here", "t", now=1.0)
        refusals.summarise(32.0)
        refusals.summarise(63.0)
    finally:
        log.configure(json_lines=False)
    written = lines.getvalue().splitlines()
    assert len([line for line in written if line.startswith("transfer-refused ")]) == 1000
    (summary,) = [line for line in written if line.startswith("transfers-refused ")]
    assert " reason=others " in summary
    assert " count=4000" in summary
    assert not refusals._seen, "what came no more is forgotten"


def test_the_first_is_told_and_the_rest_are_summed_up() -> None:
    lines = io.StringIO()
    log.configure(json_lines=False, stream=lines)
    try:
        refusals = RefusalLog(30.0, write)
        for last in (1, 2, 3):
            refusals.refused("example.com.", f"192.0.2.{last}#53", None, "no-entries", "t", now=1.0)
        refusals.summarise(30.9)
        assert len(lines.getvalue().splitlines()) == 1
        refusals.summarise(31.0)
    finally:
        log.configure(json_lines=False)
    first, rest = lines.getvalue().splitlines()
    assert first.startswith("transfer-refused ")
    assert "peers=192.0.2.2,192.0.2.3 reason=no-entries" in rest
    assert "count=2" in rest
