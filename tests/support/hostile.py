"""A primary that does as its script says: what it sends is made octet by octet, so that any of it can be wrong.

It shares no code with dnsserver: messages and signatures (RFC 8945) are made here, requests are read by dnspython.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import hashlib
import hmac
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.tsig

from . import client
from .client import Endpoint, Row, TsigKey
from .procs import LOOPBACK, free_port

SOA, AXFR, IXFR, TSIG = 6, 252, 251, 250
TTL = 300
FUDGE = 300


class RR(NamedTuple):
    """A record as it goes out; ``length`` is an RDLENGTH that lies."""

    owner: bytes
    type: int
    rdata: bytes
    ttl: int = TTL
    class_: int = 1
    length: int | None = None

    def wire(self) -> bytes:
        length = len(self.rdata) if self.length is None else self.length
        return self.owner + struct.pack("!HHIH", self.type, self.class_, self.ttl, length) + self.rdata


# Steps of a script: octets are a message, sent with its length over TCP.
class Raw(NamedTuple):
    """Octets as they are: over TCP without a length before them."""

    octets: bytes


class Pause(NamedTuple):
    """Seconds of silence; the connection stays open."""

    seconds: float


class End(NamedTuple):
    """The connection ends, with RST instead of FIN where ``reset``."""

    reset: bool = False


Step = bytes | Raw | Pause | End


def name(text: str) -> bytes:
    """Wire form of an absolute name."""
    return b"".join(bytes([len(label)]) + label for label in dns.name.from_text(text).labels)


@functools.cache
def rdata(kind: str, text: str) -> bytes:
    """Wire form; names in ``text`` are absolute."""
    wire = dns.rdata.from_text("IN", kind, text).to_wire()
    assert wire is not None
    return wire


def type_of(kind: str) -> int:
    return int(dns.rdatatype.from_text(kind))


def message(id_: int, flags: int, question: bytes, records: bytes, counts: Sequence[int]) -> bytes:
    return struct.pack("!6H", id_, flags, *counts) + question + records


@dataclasses.dataclass(frozen=True)
class Ask:
    """A question that came, and the makers of answers to it. ``serial``: of an IXFR; ``mac``: of a signed request."""

    id: int
    apex: bytes
    qtype: int
    is_tcp: bool
    serial: int | None
    mac: bytes
    key: TsigKey | None
    timers: tuple[int, int, int] = (3600, 600, 604800)

    @property
    def question(self) -> bytes:
        return self.apex + struct.pack("!HH", self.qtype, 1)

    def rr(self, label: str, kind: str, value: str | bytes, **fields: int) -> RR:
        """A record below the apex ('' is the apex)."""
        owner = (bytes([len(label)]) + label.encode() if label else b"") + self.apex
        return RR(owner, type_of(kind), value if isinstance(value, bytes) else rdata(kind, value), **fields)

    def soa(self, serial: int = 2, minimum: int = 60) -> RR:
        numbers = struct.pack("!5I", serial, *self.timers, minimum)
        return RR(self.apex, SOA, b"\3ns1" + self.apex + b"\4host" + self.apex + numbers)

    def body(self, serial: int) -> list[RR]:
        """All of a version but its SOA; each two versions differ in two records."""
        return [
            self.rr("", "NS", b"\3ns1" + self.apex),
            self.rr("ns1", "A", "127.0.0.71"),
            self.rr("www", "A", "192.0.2.1"),
            self.rr("www", "AAAA", "2001:db8::1"),
            self.rr("Mixed", "MX", b"\0\12\4MAIL" + self.apex),
            self.rr("serial", "TXT", f'"version {serial}"'),
            self.rr(f"only-{serial}", "A", f"192.0.2.{serial & 0xFF}"),
        ]

    def reply(
        self,
        records: Iterable[RR] = (),
        *,
        id_: int | None = None,
        flags: int = 0x8400,
        rcode: int = 0,
        question: bytes | None = None,
        questions: int = 1,
        answers: int | None = None,
        extra: bytes = b"",
    ) -> bytes:
        """A message with these answers; ``answers``: a count that lies; ``extra``: octets after them, uncounted."""
        records = list(records)
        counts = (questions, len(records) if answers is None else answers, 0, 0)
        wire = b"".join(record.wire() for record in records) + extra
        asked = self.question if question is None else question
        return message(self.id if id_ is None else id_, flags | rcode, asked, wire, counts)

    def whole(self, *more: RR, serial: int = 2, last: RR | None = None, **options: Any) -> bytes:
        """An AXFR in one message, with ``more`` before its final SOA."""
        soa = self.soa(serial)
        return self.reply([soa, *self.body(serial), *more, last or soa], **options)

    def signer(self, key: TsigKey | None = None, **options: int) -> Signer:
        key = key or self.key
        assert key is not None, "this zone has no key"
        return Signer(key, self.mac, **options)


class Signer:
    """Signs a stream of messages (RFC 8945, 5.3.1): each after the one before, over what was left unsigned."""

    def __init__(self, key: TsigKey, request_mac: bytes, offset: int = 0, size: int = 32) -> None:
        self._key, self._prior, self._offset, self._size = key, request_mac, offset, size
        self._is_first, self._unsigned = True, b""

    def skip(self, wire: bytes) -> bytes:
        """A message that goes unsigned and is covered by the next signature."""
        self._unsigned += wire
        return wire

    def __call__(self, wire: bytes) -> bytes:
        now = int(time.time()) + self._offset
        timers = struct.pack("!HIH", now >> 32, now & 0xFFFFFFFF, FUDGE)
        key_name, algorithm = name(self._key.name), name(self._key.algorithm)
        digested = struct.pack("!H", len(self._prior)) + self._prior if self._prior else b""
        digested += self._unsigned + wire
        if self._is_first:
            digested += key_name + struct.pack("!HI", 255, 0) + algorithm + timers + struct.pack("!HH", 0, 0)
        else:
            digested += timers
        mac = hmac.new(base64.b64decode(self._key.secret), digested, hashlib.sha256).digest()
        self._prior, self._is_first, self._unsigned = mac, False, b""
        return _with_tsig(wire, self._key, timers, mac[: self._size], 0)


def _with_tsig(wire: bytes, key: TsigKey, timers: bytes, mac: bytes, error: int) -> bytes:
    value = name(key.algorithm) + timers + struct.pack("!H", len(mac)) + mac + wire[:2] + struct.pack("!HH", error, 0)
    record = name(key.name) + struct.pack("!HHIH", TSIG, 255, 0, len(value)) + value
    (additional,) = struct.unpack_from("!H", wire, 10)
    return wire[:10] + struct.pack("!H", additional + 1) + wire[12:] + record


def tsig_error(ask: Ask, error: int) -> bytes:
    """NOTAUTH with this TSIG error, unsigned (RFC 8945, 5.2)."""
    assert ask.key is not None
    now = int(time.time())
    timers = struct.pack("!HIH", now >> 32, now & 0xFFFFFFFF, FUDGE)
    return _with_tsig(ask.reply(rcode=9), ask.key, timers, b"", error)


def good(ask: Ask, serial: int) -> list[bytes]:
    """What an honest primary with versions 1, 2, … up to ``serial`` answers, in one message."""
    soa = ask.soa(serial)
    if ask.qtype == SOA or (ask.qtype == IXFR and ask.serial == serial):
        records = [soa]
    elif ask.qtype == IXFR and ask.serial is not None and ask.serial < serial:
        old, new = ask.body(ask.serial), ask.body(serial)
        removed = [record for record in old if record not in new]
        added = [record for record in new if record not in old]
        records = [soa, ask.soa(ask.serial), *removed, soa, *added, soa]
    else:
        records = [soa, *ask.body(serial), soa]
    reply = ask.reply(records)
    return [ask.signer()(reply) if ask.key else reply]


def rows(apex: str, serial: int) -> list[Row]:
    """The rows of a version, as ``client.axfr`` gives them."""
    ask = Ask(0, name(apex), AXFR, True, None, b"", None)
    return sorted(client.answers_in(ask.whole(serial=serial))[:-1])


Script = Callable[[Ask], Iterable[Step]]


@dataclasses.dataclass(slots=True)
class Hosted:
    """A zone of the primary: the script that answers for it now, the timers of its SOA (refresh, retry, expire), and
    the monotonic time at which it was asked last."""

    script: Script
    key: TsigKey | None = None
    timers: tuple[int, int, int] = Ask.timers
    asked_at: float = 0.0


class HostilePrimary:
    """Answers for ``zones`` (absolute names) by UDP and TCP, a thread for each connection; a context manager.

    ``errors`` holds what it could not understand: requests of ours must be right whatever it sends.
    """

    def __init__(self, address: str = LOOPBACK) -> None:
        self.endpoint = Endpoint(address, free_port(address))
        self.zones: dict[str, Hosted] = {}
        self.errors: list[str] = []
        self._ended = threading.Event()
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.bind(self.endpoint)
        self._tcp: socket.socket | None = None

    def __enter__(self) -> HostilePrimary:
        self._start(self._serve_udp)
        self.open_tcp()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.close_tcp()
        _close(self._udp)

    def open_tcp(self) -> None:
        self._tcp = socket.create_server(self.endpoint, backlog=1024)
        self._start(self._accept, self._tcp)

    def close_tcp(self) -> None:
        """Connections are refused from here on."""
        if self._tcp is not None:
            _close(self._tcp)

    @staticmethod
    def _start(target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _serve_udp(self) -> None:
        while not self._ended.is_set():
            try:
                packet, peer = self._udp.recvfrom(65535)
            except OSError:
                return
            for step in self._steps(packet, is_tcp=False):
                if isinstance(step, (bytes, Raw)):
                    self._udp.sendto(step if isinstance(step, bytes) else step.octets, peer)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                self._start(self._serve_tcp, sock)

    def _serve_tcp(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, EOFError):
            sock.settimeout(30)
            while True:
                packet = client.receive_tcp(sock)
                for step in self._steps(packet, is_tcp=True):
                    if self._ended.is_set() or not self._play(sock, step):
                        return

    def _play(self, sock: socket.socket, step: Step) -> bool:
        """Whether the connection goes on."""
        if isinstance(step, End):
            if step.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if isinstance(step, bytes):
            client.send_tcp(sock, step)
        elif isinstance(step, Raw):
            sock.sendall(step.octets)
        else:
            self._ended.wait(step.seconds)
        return True

    def _steps(self, packet: bytes, is_tcp: bool) -> Iterator[Step]:
        try:
            ask = self._understand(packet, is_tcp)
        except (dns.exception.DNSException, ValueError, LookupError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            return
        yield from self.zones[dns.name.from_wire(ask.apex, 0)[0].to_text()].script(ask)

    def _understand(self, packet: bytes, is_tcp: bool) -> Ask:
        keyring = {zone.key.dnspython.name: zone.key.dnspython for zone in self.zones.values() if zone.key}
        query = dns.message.from_wire(packet, keyring=keyring)
        (question,) = query.question
        zone = self.zones[question.name.to_text().lower()]
        if zone.key and not query.had_tsig:
            raise ValueError(f"{question}: unsigned, though the zone has a key")
        zone.asked_at = time.monotonic()
        serial = query.authority[0][0].serial if question.rdtype == IXFR else None
        apex = name(question.name.to_text())
        return Ask(query.id, apex, int(question.rdtype), is_tcp, serial, query.mac or b"", zone.key, zone.timers)


def _close(sock: socket.socket) -> None:
    """Also where a thread waits in it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
