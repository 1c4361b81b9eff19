"""What the primaries of a zone say when they are asked for it (R28)."""

from __future__ import annotations

import asyncio
import time

import pytest

from dnsserver.probing import probe, sentence
from dnsserver.protocol.failure import Failure
from dnsserver.zone import names
from dnsserver.zone.settings import Target
from tests.support.procs import free_port

APEX = names.from_text("example.com.")


def test_each_is_asked_and_they_stand_in_their_order() -> None:
    """A key that is not here is found without a question; a closed port is told by the system."""
    closed = f"127.0.0.1:{free_port()}"
    primaries = [Target.parse("127.0.0.1,key=lost."), Target.parse(closed)]
    lost, dead = asyncio.run(probe(APEX, primaries, {}, ("127.0.0.1",), time.time))
    assert (lost["primary"], lost["ok"], lost["serial"], lost["reason"]) == (
        "127.0.0.1,key=lost.",
        False,
        None,
        "no-key",
    )
    assert (dead["primary"], dead["ok"], dead["reason"]) == (closed, False, "unreachable")
    assert dead["message"].startswith(f"{closed} cannot be reached: ")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Failure("refused", rcode=5), "refuses to answer (REFUSED)"),
        (Failure("error", rcode=2), "answers with an error (RCODE 2)"),
        (Failure("not-authoritative", "the answer lacks AA"), "is not authoritative for the zone: the answer lacks AA"),
        (Failure("new"), "cannot be asked (new)"),
    ],
)
def test_a_failure_in_words(failure: Failure, words: str) -> None:
    assert sentence(failure) == words
