"""Response rate limiting in a UDP listener, over real sockets: what comes back, and to whom."""

from __future__ import annotations

import contextlib
import select
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import dns.edns
import dns.flags
import dns.message
import pytest

from dnsserver.answerer.mmsg import BATCH, Batch
from dnsserver.answerer.plain import PlainBatch
from dnsserver.answerer.udp import FirstLevel, UdpListener
from dnsserver.protocol.cookies import CookieJar, CookieSecrets
from dnsserver.protocol.ratelimit import Cut, RateLimit, RateLimiter
from tests.protocol.answering import image, query, serving

ZONE = "@ 60 SOA ns host 7 3600 600 86400 300\n@ 60 NS ns\nns 60 A 192.0.2.53\n"
LIMIT, SLIP = 4, 2
FIRST, SECOND = "127.0.1.1", "127.0.2.1"
both = pytest.mark.parametrize("kind", [Batch, PlainBatch])


def nothing(*_: object) -> None:
    """For what these tests do not look at."""


class StillLimiter(RateLimiter):
    """For which time stands still: nothing runs out of a bucket, however long a test takes."""

    def over(self, prefixes: Iterable[bytes], now: float) -> list[tuple[int, bytes]]:
        return super().over(prefixes, 1.0)


class Desk:
    """A listener that is driven by hand: what the clients have sent is there when it reads."""

    def __init__(self, kind: type[Batch | PlainBatch], host: str = "127.0.0.1") -> None:
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(self.family, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.setblocking(False)
        self.address = self.sock.getsockname()
        self.state = serving([("zone.test.", image(ZONE, "zone.test."))])
        self.state.cookies = CookieJar(CookieSecrets(bytes(16)))
        self.counters: Counter[str] = Counter()
        self.cache = FirstLevel(1 << 20)
        self.listener = UdpListener(
            self.sock, self.state, self.cache, self.counters, nothing, nothing, nothing, nothing
        )
        self.listener._batch = kind(self.sock)
        self.clients: list[socket.socket] = []

    def limit(self, slip: int = SLIP, prefixes: tuple[int, int] = (24, 56), per_second: int = LIMIT) -> None:
        self.listener.limiter = StillLimiter(RateLimit(per_second, slip, prefixes), 30.0)

    def client(self, address: str) -> socket.socket:
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        sock.bind((address, 0))
        sock.connect(self.address)
        sock.setblocking(False)
        self.clients.append(sock)
        return sock

    def answer(self) -> None:
        readable, _, _ = select.select([self.sock], [], [], 5)
        assert readable
        self.listener._readable()

    def close(self) -> None:
        for sock in (self.sock, *self.clients):
            sock.close()


@pytest.fixture
def make_desk() -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def make(kind: type[Batch | PlainBatch], host: str = "127.0.0.1") -> Desk:
            desk = Desk(kind, host)
            stack.callback(desk.close)
            return desk

        yield make


def numbered(number: int, packet: bytes) -> bytes:
    return number.to_bytes(2, "big") + packet[2:]


def received(sock: socket.socket) -> str:
    """What came back, in order: ``a`` an answer, ``t`` one that is truncated and empty; each with its number."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            answer = dns.message.from_wire(sock.recv(4096))
            kind = "t" if answer.flags & dns.flags.TC else "a"
            assert bool(answer.answer) is (kind == "a")
            found.append(f"{kind}{answer.id}")
    return " ".join(found)


HOT = query("ns.zone.test.")
COLD = query("NS.zone.test.")


@both
@pytest.mark.parametrize("packet", [HOT, COLD], ids=["hot", "cold"])
@pytest.mark.parametrize(
    ("slip", "expected"),
    [
        (0, "a0 a1 a2 a3"),
        (1, "a0 a1 a2 a3 t4 t5 t6 t7 t8 t9"),
        (2, "a0 a1 a2 a3 t5 t7 t9"),
        (3, "a0 a1 a2 a3 t6 t9"),
    ],
)
def test_every_slip_th_of_what_is_over_comes_back_truncated(
    make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch], slip: int, expected: str, packet: bytes
) -> None:
    desk = make_desk(kind)
    desk.limit(slip)
    client = desk.client(FIRST)
    for number in range(10):
        client.send(numbered(number, packet))
    desk.answer()
    assert received(client) == expected
    slipped = expected.count("t")
    assert desk.counters["rate-limited-slipped"] == slipped
    assert desk.counters["rate-limited-dropped"] == 6 - slipped
    assert desk.counters["udp-queries"] == 10
    assert not desk.counters["udp-dropped"]


@both
def test_mixed_batches(make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch]) -> None:
    """Two prefixes, several addresses, hot and cold, over several batches: each gets what is its own."""
    desk = make_desk(kind)
    desk.limit()
    greedy, neighbour, modest = desk.client(FIRST), desk.client("127.0.1.77"), desk.client(SECOND)
    sent: list[tuple[socket.socket, int]] = []
    for number in range(BATCH):
        sent.append((neighbour if number % 7 == 3 else greedy, number))
        sent[-1][0].send(numbered(number, HOT if number % 3 else COLD))
        if number % 16 == 5:
            modest.send(numbered(number, COLD if number % 3 else HOT))
    desk.answer()
    assert received(modest) == "a5 a21 a37 a53"
    for client in (greedy, neighbour):
        passed = [f"a{n}" for who, n in sent[:LIMIT] if who is client]
        turns = [f"t{n}" for who, n in sent[LIMIT + 1 :: 2] if who is client]
        assert received(client) == " ".join(passed + turns)
    assert desk.counters["rate-limited-dropped"] + desk.counters["rate-limited-slipped"] == BATCH - LIMIT


@both
def test_a_cookie_exempts_also_in_the_midst_of_what_is_dropped(
    make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch]
) -> None:
    desk = make_desk(kind)
    desk.limit(slip=0)
    client, other = desk.client(FIRST), desk.client("127.0.1.2")

    def cookie(octets: bytes) -> bytes:
        option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, octets)
        return query("ns.zone.test.", options=[option])

    client.send(cookie(bytes(8)))
    desk.answer()
    (option,) = dns.message.from_wire(client.recv(4096)).options
    mine = cookie(option.to_wire() or b"")
    for number in range(20):
        client.send(numbered(number, mine if number % 2 else HOT))
        other.send(numbered(number, mine))
    desk.answer()
    # Of 4, one was the first, another the neighbour's, with a cookie that is not its own.
    assert received(client) == "a0 a1 " + " ".join(f"a{n}" for n in range(3, 20, 2))
    assert received(other) == "a0"


@both
def test_what_is_no_request_is_dropped_as_ever(make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch]) -> None:
    desk = make_desk(kind)
    desk.limit(slip=1)
    client = desk.client(FIRST)
    response = HOT[:2] + b"\x80" + HOT[3:]
    for packet in [HOT] * LIMIT + [response, b"", b"x", b"xy", HOT[:11]]:
        client.send(packet)
    client.send(numbered(9, HOT))
    desk.answer()
    assert received(client) == " ".join(["a4711"] * LIMIT + ["t9"])
    assert desk.counters["udp-dropped"] == 5
    assert desk.counters["rate-limited-dropped"] == 0
    assert desk.counters["rate-limited-slipped"] == 1


@both
def test_without_a_limit_all_are_answered(make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch]) -> None:
    desk = make_desk(kind)
    desk.limit(slip=0)
    client = desk.client(FIRST)
    for number in range(6):
        client.send(numbered(number, HOT))
    desk.answer()
    assert received(client) == "a0 a1 a2 a3"
    desk.listener.limiter = None
    for number in range(BATCH):
        client.send(numbered(number, HOT))
    desk.answer()
    assert received(client) == " ".join(f"a{n}" for n in range(BATCH))


@both
@pytest.mark.parametrize(
    ("prefixes", "same", "other"),
    [
        ((24, 56), "127.0.1.255", "127.0.2.1"),
        ((32, 56), "127.0.1.1", "127.0.1.2"),
        ((20, 56), "127.0.15.1", "127.0.16.1"),
        ((8, 56), "127.9.9.9", None),
        ((0, 56), "127.9.9.9", None),
    ],
)
def test_prefixes_of_any_length(
    make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch], prefixes: tuple[int, int], same: str,
    other: str | None,
) -> None:  # fmt: skip
    desk = make_desk(kind)
    desk.limit(slip=0, prefixes=prefixes)
    clients = [desk.client(FIRST), desk.client(same), *([desk.client(other)] if other else [])]
    for client in clients:
        for number in range(LIMIT):
            client.send(numbered(number, HOT))
    desk.answer()
    full = " ".join(f"a{n}" for n in range(LIMIT))
    assert [received(client) for client in clients] == [full, "", *([full] if other else [])]


@both
@pytest.mark.parametrize("length", [0, 1, 32, 56, 60, 64, 128])
def test_ipv6_is_limited(make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch], length: int) -> None:
    try:
        desk = make_desk(kind, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    desk.limit(prefixes=(24, length))
    client = desk.client("::1")
    for number in range(BATCH + 6):
        client.send(numbered(number, HOT))
    desk.answer()
    assert received(client).split()[: LIMIT + 2] == ["a0", "a1", "a2", "a3", "t5", "t7"]


@both
@pytest.mark.parametrize("count", [1, 3, BATCH])
def test_the_prefixes_of_a_batch_are_those_of_its_addresses(
    make_desk: Callable[..., Desk], kind: type[Batch | PlainBatch], count: int
) -> None:
    desk = make_desk(kind)
    batch = desk.listener._batch
    cuts = Cut.of(24, ipv6=False), Cut.of(56, ipv6=True)
    clients = [desk.client(f"127.0.{1 + number}.9") for number in range(count)]
    for client in clients:
        client.send(HOT)
    select.select([desk.sock], [], [], 5)
    assert batch.receive() == count
    assert list(batch.prefixes(count, cuts)) == [bytes((127, 0, 1 + number)) for number in range(count)]
