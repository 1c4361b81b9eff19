"""LIMITS, all but TCP: each is passed, and there are the error, the counter, and the data as they were."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest
from dns.rdtypes.ANY.TSIG import TSIG

from tests.support import client
from tests.support.client import Endpoint, Refused, Row, TsigKey
from tests.support.fixtures import MakeServer
from tests.support.procs import free_port, wait_until
from tests.support.server import Server
from tests.support.zones import HEAD, ZONE, import_zone, large

pytestmark = pytest.mark.faults

KEY = TsigKey("limits.key.")


def made(make_server: MakeServer, directory: Path, lines: Iterable[str] = (), **limits: str | int) -> Server:
    server: Server = make_server(limits={name.replace("_", "-"): value for name, value in limits.items()})
    server.allow_everywhere("127.0.0.1")
    import_zone(server, directory, lines)
    return server


def change(server: Server, *lines: str) -> int:
    """One transaction in nsupdate's language; the new serial, which is served when this returns."""
    text = "\n".join([f"zone {ZONE}", "ttl 300", *lines, "send", ""])
    serial = int(server.cli("record", "apply", "-", "--json", input=text).json["changes"][-1]["new_serial"])
    server.wait_serial(ZONE, serial)
    return serial


# Contents


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("zone-size", 800, ("record", "add", ZONE, "new", "TXT", '"' + "x" * 250 + '"', '"' + "y" * 250 + '"')),
        ("zone-records", 10, ("record", "add", ZONE, "new", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")),
        ("rrset-records", 3, ("record", "add", ZONE, "many", "A", "192.0.2.3", "192.0.2.4")),
        ("name-types", 3, ("record", "add", ZONE, "many", "MX", "10 mail")),
    ],
)
def test_an_edit_past_a_limit_of_contents_is_refused(
    make_server: MakeServer, tmp_path: Path, limit: str, value: int, words: tuple[str, ...]
) -> None:
    lines = ["many A 192.0.2.1", "many A 192.0.2.2", "many TXT x", "many AAAA 2001:db8::1", "other A 192.0.2.1"]
    server = made(make_server, tmp_path, lines, **{limit: value})
    before = server.axfr(ZONE)
    result = server.cli(*words, check=False)
    assert result.status == 4
    assert limit in result.stderr, result.stderr
    assert server.axfr(ZONE) == before
    assert server.serial(ZONE) == 1
    assert server.counter(f"limit-{limit}") == 1
    # What stays below is taken as before.
    server.cli("record", "set", ZONE, "other", "A", "192.0.2.2")
    server.wait_serial(ZONE, 2)


@pytest.mark.parametrize(
    ("limit", "value", "line"),
    [
        ("zone-size", 2000, "$GENERATE 1-100 h$ A 192.0.2.1"),
        ("zone-records", 20, "$GENERATE 1-100 h$ A 192.0.2.1"),
        ("rrset-records", 5, "$GENERATE 1-100 many A 192.0.2.$"),
        ("name-types", 3, "many A 192.0.2.1\nmany TXT x\nmany AAAA ::1\nmany MX 10 mail"),
    ],
)
@pytest.mark.parametrize("replace", [False, True])
def test_an_import_past_a_limit_of_contents_is_refused(
    make_server: MakeServer, tmp_path: Path, limit: str, value: int, line: str, replace: bool
) -> None:
    server: Server = make_server(limits={limit: value})
    server.allow_everywhere("127.0.0.1")
    if replace:
        import_zone(server, tmp_path)
    (tmp_path / "zone").write_text(HEAD + line + "\n")
    result = server.cli(
        "zone", "import", ZONE, str(tmp_path / "zone"), *(["--replace"] if replace else []), check=False
    )
    assert result.status == 4
    assert limit in result.stderr, result.stderr
    assert server.serial(ZONE) == (1 if replace else None)


# Transfers of changes


def test_a_large_ixfr_is_sent_as_axfr(make_server: MakeServer, tmp_path: Path) -> None:
    """ixfr-max-ratio; ignored below 64 KiB."""
    server = made(make_server, tmp_path, large(600), ixfr_max_ratio="20%")
    small = change(server, *(f"update delete h{n}.{ZONE} TXT" for n in range(100)))
    assert _is_incremental(client.transfer(server.endpoint, ZONE, serial=1).rows)
    big = change(server, *(f"update add g{n}.{ZONE} 300 TXT {'y' * 200}" for n in range(400)))
    assert big == small + 1
    assert not _is_incremental(client.transfer(server.endpoint, ZONE, serial=small).rows)
    assert server.counter("transfers-out-ixfr") == 1
    assert server.counter("transfers-out-axfr") == 1


def test_with_the_ratio_off_any_change_goes_by_ixfr(make_server: MakeServer, tmp_path: Path) -> None:
    server = made(make_server, tmp_path, large(600), ixfr_max_ratio="off")
    change(server, *(f"update delete h{n}.{ZONE} TXT" for n in range(590)))
    assert _is_incremental(client.transfer(server.endpoint, ZONE, serial=1).rows)


def restart(server: Server) -> None:
    server.stop()
    server.start()


def _is_incremental(rows: list[Row]) -> bool:
    return rows[1].type == "SOA"


def test_the_journal_is_pruned_and_no_change_refused(make_server: MakeServer, tmp_path: Path) -> None:
    """journal-size: who asks for what was pruned gets the whole zone, once no answerer has it in memory any more."""
    server = made(make_server, tmp_path, journal_size="8KiB")
    for number in range(8):
        change(server, *(f"update add r{number}-{n}.{ZONE} 300 TXT {'z' * 100}" for n in range(20)))
    restart(server)
    # Before the keeper is there, every request gets the whole zone.
    wait_until(
        lambda: _is_incremental(client.transfer(server.endpoint, ZONE, serial=8).rows), 30, "the keeper is there"
    )
    assert not _is_incremental(client.transfer(server.endpoint, ZONE, serial=1).rows)
    # One that is larger than the journal itself is made, too; there is no IXFR and no rollback past it.
    change(server, *(f"update add big{n}.{ZONE} 300 TXT {'z' * 200}" for n in range(60)))
    restart(server)
    change(server, f"update delete big0.{ZONE}")
    assert _is_incremental(client.transfer(server.endpoint, ZONE, serial=10).rows)
    rows = client.transfer(server.endpoint, ZONE, serial=9).rows
    assert not _is_incremental(rows)
    assert len(rows) == 3 + 8 * 20 + 59 + 1
    result = server.cli("zone", "rollback", ZONE, "--to", "9", "--yes", check=False)
    assert result.status != 0
    assert server.serial(ZONE) == 11


def test_no_message_of_a_transfer_is_larger_than_the_limit(make_server: MakeServer, tmp_path: Path) -> None:
    """transfer-message: packed full (RFC 5936, 2.2), never past the limit, signed or not."""
    server = made(make_server, tmp_path, large(200), transfer_message="2KiB")
    server.import_key(KEY)
    server.allow(ZONE, key=KEY)
    for key in (None, KEY):
        found = client.transfer(server.endpoint, ZONE, key=key)
        assert max(found.sizes) <= 2048
        assert min(found.sizes[:-1]) > 2048 - 250 - (120 if key else 0)
        assert len(found.rows) == 200 + 3 + 1


def test_messages_end_where_compression_pointers_do(make_server: MakeServer, tmp_path: Path) -> None:
    """transfer-message by default: 16 KiB, filled to the last record that fits."""
    server = made(make_server, tmp_path, large(400))
    sizes = client.transfer(server.endpoint, ZONE).sizes
    assert max(sizes) <= 16384
    assert min(sizes[:-1]) > 16384 - 250


# NOTIFY


class Heard(NamedTuple):
    at: float
    zone: str
    serial: int


class Listener:
    """A secondary that only listens: what NOTIFY came when; it answers them unless it is ``mute``."""

    def __init__(self, mute: bool = False) -> None:
        self.endpoint = Endpoint("127.0.0.1", free_port())
        self.heard: list[Heard] = []
        self.mute = mute
        self._sock = socket.socket(type=socket.SOCK_DGRAM)
        self._sock.bind(self.endpoint)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                packet, peer = self._sock.recvfrom(4096)
            except OSError:
                return
            if len(packet) < 12:
                return
            message = dns.message.from_wire(packet, ignore_trailing=True)
            row = client.answers_in(packet)[0]
            name = message.question[0].name.to_text()
            self.heard.append(Heard(time.monotonic(), name, client.serial_of([row])))
            if not self.mute:
                self._sock.sendto(packet[:2] + bytes([packet[2] | 0x80]) + packet[3:], peer)

    def close(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as end:
            end.sendto(b"end", self.endpoint)
        self._thread.join(5)
        self._sock.close()

    @property
    def target(self) -> str:
        return f"also-notify={self.endpoint.address}:{self.endpoint.port}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def test_notifies_of_a_zone_are_coalesced(make_server: MakeServer, tmp_path: Path, listener: Listener) -> None:
    """notify-interval: the first at once, then one in each interval, the last with the last serial.

    To how much time is between two, the protocol's own tests hold it: here either may have been held up on its way.
    """
    server = made(make_server, tmp_path, notify_interval="1s")
    server.control("zone.set", name=ZONE, changes=[listener.target])
    begun = time.monotonic()
    for number in range(30):
        server.control("record.add", zone=ZONE, name=f"n{number}", type="A", rdata=["192.0.2.1"], ttl=None)
    wait_until(lambda: listener.heard and listener.heard[-1].serial == 31, 10, "the last serial is told")
    assert listener.heard[0].serial < 31, "the first does not wait for the last"
    # That of `zone set`, which may have gone before, and both ends of the time.
    assert len(listener.heard) <= listener.heard[-1].at - begun + 3


def test_a_notify_is_repeated_until_it_is_answered(make_server: MakeServer, tmp_path: Path, listener: Listener) -> None:
    """After 1 s, then doubling; never again once answered (RFC 1996, 3.6)."""
    server = made(make_server, tmp_path)
    listener.mute = True
    server.control("zone.set", name=ZONE, changes=[listener.target])
    server.control("record.add", zone=ZONE, name="n", type="A", rdata=["192.0.2.1"], ttl=None)
    wait_until(lambda: len([one for one in listener.heard if one.serial == 2]) >= 4, 20, "it is repeated")
    times = [one.at for one in listener.heard if one.serial == 2]
    # 1 + 2 + 4, where the first may have been late; a second each would be 3.
    assert times[3] - times[0] > 4.5
    listener.mute = False
    count = len(listener.heard)
    wait_until(lambda: len(listener.heard) > count, 15, "once more, and that is answered")
    wait_until(lambda: server.control("zone.status", name=ZONE)["serial"]["notified"] == 2, 5, "acknowledged")
    assert len(listener.heard) == count + 1


def test_notifies_are_sent_at_a_bounded_rate(make_server: MakeServer, tmp_path: Path, listener: Listener) -> None:
    """notifies-per-second, over all zones."""
    server: Server = make_server(limits={"notifies-per-second": 10})
    zones = [f"zone{number}.test." for number in range(40)]
    for zone in zones:
        server.control("zone.create", name=zone, ns=[f"ns.{zone}=127.0.0.71"])
        server.control("zone.set", name=zone, changes=[listener.target])
    lines = [f"zone {zone}\nupdate add new.{zone} 300 A 192.0.2.1\nsend" for zone in zones]
    begun = time.monotonic()
    server.control("record.apply", text="\n".join([*lines, ""]), source="test")
    wait_until(lambda: {one.zone for one in listener.heard if one.serial == 2} >= set(zones), 30, "all were told")
    assert listener.heard[-1].at - begun > 2, "40 of them take four seconds"


# Answers


def test_a_udp_answer_never_passes_the_payload_limit(make_server: MakeServer, tmp_path: Path) -> None:
    """udp-payload: advertised, and not exceeded however much the client takes; the rest by TCP."""
    lines = [f"long TXT {'x' * 200}{number}" for number in range(10)]
    server = made(make_server, tmp_path, lines, udp_payload=900)
    query = dns.message.make_query(f"long.{ZONE}", "TXT", use_edns=0, payload=4096)
    wire = client.udp_exchange(server.endpoint, query.to_wire())
    reply = dns.message.from_wire(wire)
    assert len(wire) <= 900
    assert reply.payload == 900
    assert reply.flags & dns.flags.TC
    assert len(client.answers_in(client.tcp_exchange(server.endpoint, query.to_wire()))) == 10
    old = dns.message.make_query(f"long.{ZONE}", "TXT", use_edns=False)
    assert len(client.udp_exchange(server.endpoint, old.to_wire())) <= 512


@pytest.mark.parametrize("on", [True, False])
def test_cookies_can_be_switched_off(make_server: MakeServer, tmp_path: Path, on: bool) -> None:
    """RFC 7873; RFC 9018: a server cookie of 16 octets after the client's 8."""
    server = made(make_server, tmp_path, cookies=on)
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    query = dns.message.make_query(ZONE, "SOA", use_edns=0, options=[option])
    reply = dns.message.from_wire(client.udp_exchange(server.endpoint, query.to_wire()))
    assert reply.rcode() == dns.rcode.NOERROR
    cookies = [option.to_wire() for option in reply.options if option.otype == dns.edns.OptionType.COOKIE]
    assert [len(cookie or b"") for cookie in cookies] == ([24] if on else [])
    assert all((cookie or b"").startswith(b"12345678") for cookie in cookies)


@pytest.mark.parametrize(
    ("skew", "error"), [(0, None), (-8, None), (8, None), (-60, "BADTIME"), (60, "BADTIME")], ids=str
)
def test_the_clients_fudge_is_capped(make_server: MakeServer, tmp_path: Path, skew: int, error: str | None) -> None:
    """tsig-fudge: a client that allows itself 65535 s is held to the limit."""
    server = made(make_server, tmp_path, tsig_fudge="20s")
    server.import_key(KEY)
    server.allow(ZONE, key=KEY)
    wire, mac = _signed(client.transfer_query(ZONE).to_wire(), int(time.time()) + skew)
    reply = client.tcp_exchange(server.endpoint, wire)
    if error is None:
        assert reply[3] & 0xF == dns.rcode.NOERROR
        return
    assert reply[3] & 0xF == dns.rcode.NOTAUTH
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(reply, keyring=KEY.dnspython, request_mac=mac)
    assert server.counter("transfers-refused-badtime") == 1


def _signed(wire: bytes, at: int) -> tuple[bytes, bytes]:
    """A query signed at that time with a fudge of 65535, and its MAC."""
    (ident,) = struct.unpack_from("!H", wire)
    algorithm = KEY.dnspython.algorithm
    empty = TSIG(dns.rdataclass.ANY, dns.rdatatype.TSIG, algorithm, at, 65535, b"", ident, 0, b"")  # type: ignore[no-untyped-call]
    rdata, _ = dns.tsig.sign(wire, KEY.dnspython, empty, at, b"")  # type: ignore[no-untyped-call]
    body = rdata.to_wire()
    owner = dns.name.from_text(KEY.name).to_wire()
    assert body is not None
    assert owner is not None
    record = owner + struct.pack("!HHIH", dns.rdatatype.TSIG, 255, 0, len(body)) + body
    (count,) = struct.unpack_from("!H", wire, 10)
    return wire[:10] + struct.pack("!H", count + 1) + wire[12:] + record, rdata.mac


def test_refusals_are_logged_once_and_then_summed_up(make_server: MakeServer, tmp_path: Path) -> None:
    """refused-log-interval: counters always; one line at first, then one summary."""
    server: Server = make_server(limits={"refused-log-interval": "6s"})
    import_zone(server, tmp_path)
    for _ in range(20):
        with pytest.raises(Refused, match="REFUSED"):
            client.transfer(server.endpoint, ZONE)
    refused = Counter({name: n for name, n in server.counters().items() if name.startswith("transfers-refused")})
    assert refused.total() == 20
    (first,) = server.events("transfer-refused")
    summary = server.wait_event("transfers-refused", 10)
    assert summary["count"] == "19"
    assert summary["ticket"] == first["ticket"]
    assert "127.0.0.1" in summary["peers"]
    assert len(server.events("transfer-refused")) == 1


def test_a_deleted_zone_can_be_restored_for_a_time(make_server: MakeServer, tmp_path: Path) -> None:
    """undelete."""
    server = made(make_server, tmp_path)
    before = server.axfr(ZONE)
    server.cli("zone", "delete", ZONE, "--yes")
    wait_until(lambda: server.serial(ZONE) is None, 10, "it is gone")
    server.cli("zone", "restore", ZONE)
    wait_until(lambda: server.serial(ZONE) is not None, 10, "it is back")
    assert [row for row in server.axfr(ZONE) if row.type != "SOA"] == [row for row in before if row.type != "SOA"]


def test_after_that_time_it_cannot(make_server: MakeServer, tmp_path: Path) -> None:
    server = made(make_server, tmp_path, undelete="10ms")
    server.cli("zone", "delete", ZONE, "--yes")
    assert server.cli("zone", "restore", ZONE, check=False).status == 3
    # Made anew, its serial is above the old one, so that its secondaries follow.
    server.cli("zone", "create", ZONE, "--ns", f"ns1.{ZONE}=127.0.0.71")
    wait_until(lambda: (server.serial(ZONE) or 0) > 1, 10, "above the old serial")
