"""LIMITS, TCP and transfers: each is passed, with its error, its counter, and others served as before."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from tests.support import client
from tests.support.client import Refused, Transfer
from tests.support.fixtures import MakeServer
from tests.support.procs import wait_until
from tests.support.server import Server
from tests.support.zones import HEAD_RECORDS, ZONE, import_zone, large

pytestmark = pytest.mark.faults

# More than the buffers of a loopback connection hold.
LARGE = 40000


def made(make_server: MakeServer, directory: Path, count: int = 0, **limits: str | int) -> Server:
    server: Server = make_server(limits={name.replace("_", "-"): value for name, value in limits.items()})
    server.allow_everywhere("127.0.0.0/8")
    import_zone(server, directory, large(count))
    return server


def connect(server: Server, source: str = "127.0.0.1", buffer: int | None = None) -> socket.socket:
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(20)
    sock.bind((source, 0))
    sock.connect(server.endpoint)
    return sock


def closed(sock: socket.socket) -> bool:
    """Whether the other side has ended the connection; what it sent before is read and dropped."""
    sock.setblocking(False)
    try:
        while True:
            if not sock.recv(65536):
                return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        with contextlib.suppress(OSError):
            sock.settimeout(20)


def query(kind: str = "SOA", name: str = ZONE) -> bytes:
    return dns.message.make_query(name, kind).to_wire()


def is_served(sock: socket.socket) -> bool:
    client.send_tcp(sock, query())
    return dns.message.from_wire(client.receive_tcp(sock)).rcode() == dns.rcode.NOERROR


@contextlib.contextmanager
def stalled_transfer(server: Server) -> Iterator[socket.socket]:
    """An AXFR that is granted and begun, whose client reads nothing more."""
    with connect(server, buffer=4096) as sock:
        client.send_tcp(sock, client.transfer_query(ZONE).to_wire())
        sock.recv(1, socket.MSG_PEEK)
        yield sock


def rest(sock: socket.socket) -> Transfer:
    return client.read_transfer(sock, client.transfer_query(ZONE), None)


def test_transfers_past_the_limit_wait_and_past_that_get_servfail(make_server: MakeServer, tmp_path: Path) -> None:
    """max-transfers-out, max-transfers-waiting."""
    server = made(make_server, tmp_path, LARGE, max_transfers_out=1, max_transfers_waiting=1, tcp_write_stall="60s")
    with stalled_transfer(server) as first, connect(server) as second:
        client.send_tcp(second, client.transfer_query(ZONE).to_wire())
        # The second has been taken in when the third is turned away.
        wait_until(lambda: _is_turned_away(server), 10, "a third transfer is answered SERVFAIL")
        assert server.counter("transfers-no-slot") >= 1
        second.settimeout(0.3)
        with pytest.raises(TimeoutError):
            second.recv(1, socket.MSG_PEEK)
        second.settimeout(20)
        assert server.serial(ZONE) == 1
        assert len(rest(first).rows) == LARGE + HEAD_RECORDS + 1
        assert len(rest(second).rows) == LARGE + HEAD_RECORDS + 1


def _is_turned_away(server: Server) -> bool:
    with connect(server) as third:
        client.send_tcp(third, client.transfer_query(ZONE).to_wire())
        third.settimeout(0.5)
        try:
            rest(third)
        except Refused as error:
            return error.rcode == "SERVFAIL"
    return False


def test_denied_requests_take_no_slot(make_server: MakeServer, tmp_path: Path) -> None:
    """max-transfers-out is counted after authorization."""
    server: Server = make_server(limits={"max-transfers-out": 1, "max-transfers-waiting": 0})
    import_zone(server, tmp_path)
    server.allow(ZONE, "127.0.0.2/32")
    with ExitStack() as stack:
        for _ in range(10):
            sock = stack.enter_context(connect(server))
            client.send_tcp(sock, client.transfer_query(ZONE).to_wire())
            with pytest.raises(Refused, match="REFUSED"):
                rest(sock)
        granted = stack.enter_context(connect(server, "127.0.0.2"))
        client.send_tcp(granted, client.transfer_query(ZONE).to_wire())
        assert len(rest(granted).rows) == HEAD_RECORDS + 1


def test_a_client_past_tcp_clients_takes_the_place_of_the_most_silent(make_server: MakeServer, tmp_path: Path) -> None:
    server = made(make_server, tmp_path, tcp_clients=8, tcp_clients_per_source=4)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server, f"127.0.2.{number}")) for number in range(1, 9)]
        assert all(is_served(sock) for sock in clients)
        new = stack.enter_context(connect(server, "127.0.2.100"))
        assert is_served(new)
        wait_until(lambda: closed(clients[0]), 5, "the most silent one has gone")
        assert all(is_served(sock) for sock in [*clients[1:], new])
        assert server.counter("tcp-evicted") == 1


def test_a_client_past_its_sources_share_takes_the_place_of_its_own(make_server: MakeServer, tmp_path: Path) -> None:
    server = made(make_server, tmp_path, tcp_clients=100, tcp_clients_per_source=4)
    with ExitStack() as stack:
        other = stack.enter_context(connect(server, "127.0.2.1"))
        assert is_served(other)
        own = [stack.enter_context(connect(server, "127.0.2.2")) for _ in range(5)]
        assert is_served(own[-1])
        wait_until(lambda: closed(own[0]), 5, "its own first has gone")
        assert all(is_served(sock) for sock in [other, *own[1:]])
        assert server.counter("tcp-evicted-per-source") == 1


@pytest.mark.parametrize("limit", ["tcp-first-byte", "tcp-message", "tcp-idle"])
def test_a_silent_client_is_cut_off(make_server: MakeServer, tmp_path: Path, limit: str) -> None:
    """Only the limit in question is short: 0.5 s against ten minutes. Never before its time."""
    limits = dict.fromkeys(("tcp-first-byte", "tcp-message", "tcp-idle", "tcp-write-stall"), "10m")
    server: Server = make_server(limits={**limits, limit: "500ms"})
    import_zone(server, tmp_path)
    begun = time.monotonic()
    with connect(server) as sock:
        if limit == "tcp-message":
            sock.sendall(b"\0\x20half of it")
        elif limit == "tcp-idle":
            assert is_served(sock)
        wait_until(lambda: closed(sock), 5, f"{limit} has passed")
        assert time.monotonic() - begun >= 0.5
    assert server.counter("tcp-timeouts") == 1


@pytest.mark.parametrize("what", ["transfer", "queries"])
def test_a_client_that_never_reads_is_cut_off(make_server: MakeServer, tmp_path: Path, what: str) -> None:
    """tcp-write-stall."""
    server = made(make_server, tmp_path, LARGE, tcp_write_stall="500ms")
    with connect(server, buffer=4096) as sock:
        if what == "transfer":
            client.send_tcp(sock, client.transfer_query(ZONE).to_wire())
        else:
            _flood(sock)
        wait_until(lambda: server.counter("tcp-timeouts") == 1, 15, "it is cut off")
        assert server.serial(ZONE) == 1
        wait_until(lambda: closed(sock), 10, "what was sent before, and then the end")


def _flood(sock: socket.socket) -> None:
    """Queries with long answers until neither side takes more."""
    message = query("TXT", f"h1.{ZONE}")
    framed = (len(message).to_bytes(2, "big") + message) * 1000
    sock.settimeout(0.5)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while True:
            sock.sendall(framed)
    sock.settimeout(20)


def test_a_slow_reader_is_not_cut_off(make_server: MakeServer, tmp_path: Path) -> None:
    """tcp-write-stall is about silence: a client that reads all the time, slowly, gets the whole zone."""
    server = made(make_server, tmp_path, 8000, tcp_write_stall="3s")
    with connect(server, buffer=4096) as sock:
        client.send_tcp(sock, client.transfer_query(ZONE).to_wire())
        # Nothing more is asked: the server ends the connection after the transfer.
        sock.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        parts = []
        while time.monotonic() - begun < 7:
            parts.append(sock.recv(4096))
            time.sleep(0.05)  # the slowness itself, no wait for anything
        while chunk := sock.recv(1 << 20):
            parts.append(chunk)
    messages = client.messages_in(b"".join(parts))
    assert sum(len(client.answers_in(message)) for message in messages) == 8000 + HEAD_RECORDS + 1


def test_idle_and_never_reading_clients_leave_others_served(make_server: MakeServer, tmp_path: Path) -> None:
    """500 idle and 50 never-reading TCP clients, all limits at their defaults (issue 3, Done when)."""
    server = made(make_server, tmp_path, LARGE)
    with ExitStack() as stack:
        sources = [f"127.0.3.{number}" for number in range(1, 56)]
        idle = [stack.enter_context(connect(server, source)) for source in sources[:50] for _ in range(10)]
        assert len(idle) == 500
        for number in range(50):
            sock = stack.enter_context(connect(server, sources[50 + number // 10], buffer=4096))
            message = client.transfer_query(ZONE).to_wire() if number % 2 else query("TXT", f"h1.{ZONE}")
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                sock.send((len(message).to_bytes(2, "big") + message) * (1 if number % 2 else 2000))
        for _ in range(200):
            assert server.serial(ZONE) == 1
        for number in range(20):
            with connect(server, f"127.0.4.{number + 1}") as new:
                assert is_served(new)
        assert server.counter("tcp-evicted") > 0
    wait_until(lambda: len(server.axfr(ZONE)) == LARGE + HEAD_RECORDS, 30, "a transfer has its slot again")
