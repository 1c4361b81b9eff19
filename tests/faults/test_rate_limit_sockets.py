"""LIMITS, rate-limit, of a whole server: counted and logged, TCP spared, taken by a reload."""

from __future__ import annotations

import select
import socket
from pathlib import Path

import dns.flags
import dns.message
import pytest

from tests.support import client
from tests.support.client import Endpoint
from tests.support.fixtures import MakeServer
from tests.support.procs import wait_until
from tests.support.server import Server
from tests.support.zones import ZONE, import_zone

pytestmark = pytest.mark.faults

LIMIT, MORE = 5, 100


def burst(server: Server, source: str, count: int) -> list[bool]:
    """Asks as fast as it can from an address; of each answer, whether it is truncated. Nobody else asks meanwhile."""
    before = server.counter("udp-queries")
    packet = dns.message.make_query(ZONE, "NS").to_wire()
    found: list[bool] = []
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.connect(Endpoint(server.host, server.port))
        for _ in range(count):
            sock.send(packet)
        # When all are counted, their answers have been sent, and are here.
        wait_until(lambda: server.counter("udp-queries") >= before + count, 10, "all are taken in")
        while select.select([sock], [], [], 0.1)[0]:
            message = dns.message.from_wire(sock.recv(4096))
            found.append(bool(message.flags & dns.flags.TC))
            assert bool(message.answer) is not found[-1]
    return found


def limited(server: Server) -> tuple[int, int]:
    counters = server.counters()
    return counters.get("rate-limited-dropped", 0), counters.get("rate-limited-slipped", 0)


def test_a_flood_is_limited_counted_and_logged(make_server: MakeServer, tmp_path: Path) -> None:
    server: Server = make_server(limits={"rate-limit": LIMIT, "refused-log-interval": "2s"})
    import_zone(server, tmp_path)
    before = limited(server)  # of who waited for it to answer
    answers = burst(server, "127.0.5.1", MORE)
    dropped, slipped = (now - then for now, then in zip(limited(server), before, strict=True))
    assert dropped + slipped + answers.count(False) == MORE
    assert dropped - slipped in (0, 1)
    assert answers.count(True) == slipped
    assert LIMIT <= answers.count(False) < MORE / 2

    def told() -> tuple[int, int]:
        lines = server.events("rate-limited", prefix="127.0.5.0/24")
        return sum(int(line["dropped"]) for line in lines), sum(int(line["slipped"]) for line in lines)

    wait_until(lambda: told() == (dropped, slipped), 10, "all of it is logged")
    assert len(server.events("rate-limited", prefix="127.0.5.0/24")) <= 2
    # Another prefix is not limited, and TCP is for none.
    assert burst(server, "127.0.6.1", LIMIT) == [False] * LIMIT
    burst(server, server.host, MORE)
    for _ in range(2 * LIMIT):
        assert client.ask(server.endpoint, ZONE, "NS", tcp=True).answer


def test_a_reload_takes_the_limit(make_server: MakeServer, tmp_path: Path) -> None:
    server: Server = make_server()
    import_zone(server, tmp_path)
    assert burst(server, "127.0.5.1", MORE) == [False] * MORE
    assert limited(server) == (0, 0)

    def answered(*expected: bool) -> None:
        wait_until(lambda: set(burst(server, "127.0.5.1", MORE)) == set(expected), 10, "the answerer goes by it")

    server.limits = {"rate-limit": LIMIT, "rate-limit-slip": 1}
    server.write_config()
    server.reload()
    answered(True, False)
    server.limits["rate-limit-slip"] = 0
    server.write_config()
    server.reload()
    answered(False)
    assert len(burst(server, "127.0.5.1", MORE)) < MORE

    server.limits = {}
    server.write_config()
    server.reload()
    wait_until(lambda: burst(server, "127.0.5.1", MORE) == [False] * MORE, 10, "there is no limit")
