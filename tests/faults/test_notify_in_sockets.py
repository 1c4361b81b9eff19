"""NOTIFY over real sockets, to the whole server: answered, logged, counted, stored; a flood of it is little (R9)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from tests.support import client
from tests.support.client import TsigKey
from tests.support.fixtures import MakeServer
from tests.support.procs import free_port, wait_until
from tests.support.server import Server

pytestmark = pytest.mark.faults

PLAIN, KEYED, MINE = "plain.example.", "keyed.example.", "mine.example."
KEY = TsigKey("notify-key.")


def notify(zone: str, key: TsigKey | None = None, serial: int = 7) -> dns.message.Message:
    message = dns.message.make_query(zone, "SOA", use_edns=0, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    message.answer.append(dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    if key is not None:
        message.use_tsig(key.dnspython)
    return message


def send(
    server: Server, message: dns.message.Message, source: str = "127.0.0.1", *, tcp: bool = False
) -> dns.message.Message:
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(20)
        sock.bind((source, 0))
        sock.connect(server.endpoint)
        wire = message.to_wire()
        if tcp:
            client.send_tcp(sock, wire)
            answer = client.receive_tcp(sock)
        else:
            sock.send(wire)
            answer = sock.recv(65535)
    return dns.message.from_wire(answer, keyring=message.keyring or False, request_mac=message.mac)


@contextlib.contextmanager
def silent_primary() -> Iterator[socket.socket]:
    """Where SOA checks come in, and no answer goes out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", free_port("127.0.0.1")))
        sock.setblocking(False)
        yield sock


def questions(sock: socket.socket) -> int:
    """How many have come since it was last asked."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while sock.recv(65535):
            count += 1
    return count


def prepare(server: Server, primary: socket.socket) -> None:
    port = primary.getsockname()[1]
    server.import_key(KEY)
    server.control("zone.create", name=PLAIN, secondary_of=[f"127.0.0.1:{port}"])
    server.control("zone.create", name=KEYED, secondary_of=[f"127.0.0.1:{port},key={KEY.name}"])
    server.control("zone.create", name=MINE, ns=["ns.example.org"])
    wait_until(lambda: send(server, notify(MINE)).rcode() == dns.rcode.REFUSED, 10, "the zones are here")


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_who_is_heard_and_who_is_not(make_server: MakeServer, tcp: bool) -> None:
    server = make_server()
    with silent_primary() as primary:
        prepare(server, primary)
        found = [
            dns.rcode.to_text(send(server, message, source, tcp=tcp).rcode())
            for message, source in (
                (notify(PLAIN), "127.0.0.1"),
                (notify(PLAIN, KEY), "127.0.0.1"),
                (notify(KEYED, KEY), "127.0.0.1"),
                (notify(PLAIN), "127.0.0.9"),
                (notify(KEYED), "127.0.0.1"),
                (notify("elsewhere.example."), "127.0.0.1"),
            )
        ]
    assert found == ["NOERROR"] * 3 + ["REFUSED"] * 2 + ["NOTAUTH"]
    heard = server.wait_event("notify-received", zone="keyed.example")
    assert (heard["key"], heard["serial"]) == ("notify-key", "7")
    reasons = {"plain.example": "not-a-primary", "keyed.example": "key-required", "elsewhere.example": "zone-not-here"}
    for zone, reason in reasons.items():
        assert server.wait_event("notify-denied", zone=zone)["reason"] == reason
        assert server.counter(f"notifies-denied-{reason}") == 1
    assert server.counter("notifies-received") == 3

    def stored() -> dict[str, str]:
        listed = server.control("events")["events"]
        return {event["zone"]: event["reason"] for event in listed if event["name"] == "notify-denied"}

    wait_until(lambda: {zone.rstrip("."): reason for zone, reason in stored().items()}.items() >= reasons.items(), 10,
               lambda: f"the events are stored: {stored()}")  # fmt: skip


def test_a_flood_of_notifies_is_one_check_now_and_one_after(make_server: MakeServer) -> None:
    """Issue 4: 10,000 a second leave one check pending a zone; and queries are answered meanwhile."""
    server = make_server()
    with silent_primary() as primary, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        prepare(server, primary)
        sock.bind(("127.0.0.1", 0))
        sock.connect(server.endpoint)
        sock.setblocking(False)
        packet = notify(PLAIN).to_wire()
        questions(primary)
        begun, sent, answered = time.monotonic(), 0, 0
        while (passed := time.monotonic() - begun) < 3:
            while sent < passed * 10_000:
                with contextlib.suppress(BlockingIOError):
                    sock.send(packet)
                sent += 1
            answered += questions(sock)
        asked = questions(primary)
        assert client.ask(server.endpoint, MINE, "SOA", tries=5).answer
        answered += questions(sock)
        assert answered > 2000, f"of {sent}"
        # Each check asks a silent primary a few times by UDP, for some seconds.
        assert asked <= 12, f"{asked} questions for {answered} NOTIFYs"
        wait_until(lambda: server.counter("notifies-received") >= answered, 10, "all are counted")
        assert len(server.events("notify-received", zone="plain.example")) <= 8
