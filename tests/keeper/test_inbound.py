"""The stream of a transfer in: how slow it may be, and how it is cut into messages (RFC 1035, 4.2.2)."""

from __future__ import annotations

import pytest

from dnsserver.keeper.inbound import Framing, Pace
from dnsserver.protocol.xfrin import BadTransfer


def test_the_rate_is_judged_after_a_minute_and_on_the_whole() -> None:
    pace = Pace(10_240)
    pace.add(1, 59.0)
    pace.add(20_000, 2.0)
    pace.add(0, 50.0)
    with pytest.raises(BadTransfer) as caught:
        pace.add(0, 10.0)
    assert caught.value.failure.reason == "too-slow"
    assert "transfer-in-rate" in caught.value.failure.detail


def test_a_rate_of_zero_is_none() -> None:
    Pace(0).add(1, 1e6)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_messages_are_the_same_however_they_come(size: int) -> None:
    messages = [b"", b"x", b"y" * 300, b"z" * 65535]
    stream = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
    framing = Framing()
    found = [message for at in range(0, len(stream), size) for message in framing.messages(stream[at : at + size])]
    assert found == messages
