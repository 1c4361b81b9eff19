"""What becomes of a packet: bytes to send, nothing, or an effect for the server to carry out."""

from __future__ import annotations

from typing import NamedTuple

from dnsserver.protocol.server import View


class Peer(NamedTuple):
    """Who asks; ``address`` as text, an IPv4-mapped one as IPv4."""

    address: str
    port: int
    tcp: bool


class Refusal(NamedTuple):
    """A transfer request that was not granted, for the log (R7, R22); ``ticket`` is what the answer's EDE showed."""

    zone: bytes
    key: bytes | None
    reason: str
    ticket: str | None


class NotifyTaken(NamedTuple):
    """A NOTIFY for a secondary zone that was answered NOERROR (R9); ``serial``: its hint, where it had one."""

    zone_id: int
    zone: bytes
    key: bytes | None
    serial: int | None


class NotifyDenied(NamedTuple):
    """A NOTIFY that starts nothing, for the log (R9). ``reason``: see ``notify_in``, or that of a failed TSIG."""

    zone: bytes
    key: bytes | None
    reason: str


class Reply(NamedTuple):
    """A whole message to send back.

    ``view``: the zone it was made from. ``cacheable``: while that view is live, the octets after the ID answer every
    packet with the same octets after its ID, from anybody, over the same transport (DESIGN, first level).
    ``soa_asked``: a positive answer to QTYPE SOA at the zone's apex, as a secondary asks: the peer is alive.
    ``refusal``: set when a transfer was asked for and is not granted. ``notify``: what became of a NOTIFY; the answer
    to one has no view.
    """

    wire: bytes
    view: View | None = None
    cacheable: bool = False
    soa_asked: bool = False
    refusal: Refusal | None = None
    notify: NotifyTaken | NotifyDenied | None = None


class Drop(NamedTuple):
    """No answer at all; ``reason`` is a stable word for the counters."""

    reason: str
