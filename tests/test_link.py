"""Frames of the link: what goes in comes out, whatever the kind."""

from __future__ import annotations

import asyncio

import pytest

from dnsserver import link

ENTRIES: tuple[link.EntryParts, ...] = (("192.0.2.0/24", None), (None, b"\x03key\x00"))

MESSAGES: list[link.Message] = [
    link.Hello(link.PROTOCOL, 77, 12, 1 << 61, ((1, 5, 2026112100),)),
    link.Mark(12, 99),
    link.Applied(12),
    link.ZoneInfo(3, b"\x07example\x00", "primary", False, 4, "{}", ENTRIES),
    link.ZoneGone(3),
    link.ZonesAre((1, 2, 3)),
    link.Patch(3, 4, 5, b"\x00\x01", True),
    link.NeedZone(3),
    link.ZoneBegin((3, b"\x00", "primary", False, 4, "{}", ()), 4),
    link.ZonePage((1, (b"\0",), (b"blob",), (), (), (), (), ((b"key", ((1, b"octets"),)),))),
    link.ZoneEnd(),
    link.Serving(3, 4, 0xFFFFFFFF),
    link.Globals(ENTRIES, (), ((b"\x01k\x00", b"\x01a\x00", b"secret", True),), (b"c" * 16,), b"t"),
    link.AskChain(1, 3, 0xFFFFFFFF, 1 << 40),
    link.Chain(1, (b"a", b"b", 1)),
    link.Chain(1, None),
    link.Heard(3, "2001:db8::1"),
    link.Deadlines(((3, 12.5), (4, None))),
    link.NotifyHeard(3, "192.0.2.1", 7),
    link.Happened("notify-denied", {"zone": "example.com.", "key": None}),
    link.AskCounters(2),
    link.Counters(2, {"udp-queries": 5}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_its_frame(message: link.Message) -> None:
    frame = link.encode(message)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    decoded = link.decode(frame[4:])
    assert decoded == message
    assert type(decoded) is type(message)


def test_every_kind_is_tried() -> None:
    assert {type(message) for message in MESSAGES} == set(link.Message.__args__)


def test_a_stream_gives_its_messages_and_ends_with_none() -> None:
    async def read() -> list[link.Message]:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(map(link.encode, MESSAGES)) + b"\x00\x00\x00\x09cut")
        reader.feed_eof()
        found = []
        while (message := await link.receive(reader)) is not None:
            found.append(message)
        return found

    assert asyncio.run(read()) == MESSAGES
