"""Batches of datagrams over real sockets, by recvmmsg and one by one."""

from __future__ import annotations

import select
import socket

import pytest

from dnsserver.answerer.mmsg import BATCH, SLOT, Batch
from dnsserver.answerer.plain import PlainBatch

AnyBatch = Batch | PlainBatch
both = pytest.mark.parametrize("kind", [Batch, PlainBatch])


def _received(batch: AnyBatch, sock: socket.socket) -> int:
    readable, _, _ = select.select([sock], [], [], 5)
    assert readable
    return batch.receive()


def _echo(batch: AnyBatch, count: int, answer: bytes) -> None:
    for slot in range(count):
        batch.data[slot * SLOT : slot * SLOT + len(answer)] = answer
        batch.answer_lengths[slot] = len(answer)


@both
@pytest.mark.parametrize(("bind", "ask"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.7"), ("::", "::1")])
def test_answers_leave_from_the_address_that_was_asked(bind: str, ask: str, kind: type[AnyBatch]) -> None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        server.bind((bind, 0))
        server.setblocking(False)
        batch = kind(server)
        # A connected socket takes answers of that address only.
        client.connect((ask, server.getsockname()[1]))
        client.settimeout(5)
        client.send(b"question")
        count = _received(batch, server)
        assert (count, batch.lengths[0], bytes(batch.data[:8])) == (1, 8, b"question")
        assert batch.address(0)[1] == client.getsockname()[1]
        _echo(batch, count, b"answer")
        assert batch.send(0, count) == 0
        assert client.recv(100) == b"answer"
        address, control = batch.reply_path(0)
        server.sendmsg([b"later"], control, 0, address)
        assert client.recv(100) == b"later"


@both
def test_slots_are_fresh_for_every_batch_and_full_ones_come_in_parts(kind: type[AnyBatch]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        batch = kind(server)
        client.connect(server.getsockname())
        client.settimeout(5)
        for size in range(BATCH + 10):
            client.send(b"x" * (size + 1))
        seen: list[int] = []
        while len(seen) < BATCH + 10:
            count = _received(batch, server)
            seen += [batch.lengths[slot] for slot in range(count)]
            _echo(batch, count, b"ok")
            assert batch.send(0, count) == 0
        assert seen == list(range(1, BATCH + 11))
        assert [client.recv(100) for _ in seen] == [b"ok"] * len(seen)
        assert batch.receive() == 0


@both
def test_a_slot_that_cannot_be_sent_does_not_keep_the_next_ones(kind: type[AnyBatch]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        batch = kind(server)
        client.connect(server.getsockname())
        client.settimeout(5)
        client.send(b"one")
        client.send(b"two")
        count = _received(batch, server)
        while count < 2:
            count = _received(batch, server)
        _echo(batch, 2, b"answer")
        batch.answer_lengths[0] = BATCH * SLOT
        assert batch.send(0, 2) == 1
        assert client.recv(100) == b"answer"
