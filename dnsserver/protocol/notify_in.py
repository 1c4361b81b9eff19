"""A NOTIFY that comes in (RFC 1996): who sends it is judged, and what is accepted becomes an effect (R9).

Reasons of a denial are stable codes:

    not-a-primary   the address is neither a primary's of this zone nor in its ``allow-notify``
    key-required    unsigned, and every entry for this address wants a key
    wrong-key       the signature is right, but the entries for this address want another key
    primary-zone    this server is the zone's primary: nobody tells it of changes
    zone-not-here   there is no such zone on this server
    suspended       the zone is not refreshed (CONTRACT)

and those of ``tsig.Status`` for a signature that is not valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from dnsserver.protocol import message
from dnsserver.protocol.edns import Ede
from dnsserver.protocol.outcome import NotifyDenied, NotifyTaken, Peer, Reply
from dnsserver.protocol.query import AA, Opcode, Query, Rcode
from dnsserver.protocol.server import Body, ServerState, View
from dnsserver.protocol.tsig import Verified
from dnsserver.zone.access import AccessEntry, Address, Role, plain_address
from dnsserver.zone.records import IN, soa_serial
from dnsserver.zone.rrtypes import SOA
from dnsserver.zone.settings import ZoneSettings

_TAKEN = Body(Rcode.NOERROR, AA, 0, 0, 0, b"")
_SMALLEST_SOA = 22  # two root names and five numbers


def senders(settings: ZoneSettings) -> tuple[AccessEntry, ...]:
    """Who may send NOTIFY for a secondary zone: its primaries, from whatever port, and ``allow-notify``."""
    primaries = (AccessEntry(ip_network(target.address), target.key) for target in settings.primaries)
    return (*primaries, *settings.allow_notify)


def answer(state: ServerState, query: Query, peer: Peer, key: bytes | None, options: bytes) -> Reply:
    """Judge a NOTIFY whose signature is valid (``key``: the name that signed it) or that has none.

    ``options``: EDNS options that the answer must carry.
    """
    payload = state.limits.udp_payload
    if query.qtype != SOA:
        # RFC 1996, 3.7: "The only defined NOTIFY event at this time is that the SOA RR has changed."
        return Reply(message.error(query, Rcode.FORMERR, payload=payload, options=options))
    view = state.zones.get(query.name)
    if view is None or query.qclass != IN:
        wire = message.error(query, Rcode.NOTAUTH, Ede.NOT_AUTHORITATIVE, payload=payload, options=options)
        return Reply(wire, notify=NotifyDenied(query.name, key, "zone-not-here"))
    reason = _denial(view, peer, key)
    if reason is not None:
        # RFC 1996, 3.10 would have it ignored; an answer shows the misconfiguration (R9).
        wire = message.error(query, Rcode.REFUSED, Ede.PROHIBITED, payload=payload, options=options)
        return Reply(wire, notify=NotifyDenied(view.apex, key, reason))
    taken = NotifyTaken(view.zone_id, view.apex, key, _hint(query))
    return Reply(message.render(query, _TAKEN, payload, options), notify=taken)


def unauthentic(query: Query, verified: Verified) -> NotifyDenied | None:
    """The denial of a NOTIFY whose signature is not valid; None for a request of another kind."""
    if query.opcode != Opcode.NOTIFY:
        return None
    key = verified.record.name if verified.record is not None else None
    return NotifyDenied(query.name, key, str(verified.status))


def _denial(view: View, peer: Peer, key: bytes | None) -> str | None:
    """Why this sender is not heard; None: it is."""
    meta = view.meta
    if meta.role is not Role.SECONDARY:
        return "primary-zone"
    reason = _stranger(meta.notify_from, plain_address(ip_address(peer.address)), key)
    if reason is None and meta.suspended:
        return "suspended"
    return reason


def _stranger(entries: Iterable[AccessEntry], address: Address, key: bytes | None) -> str | None:
    """None where an entry covers the address and wants no key, or the one that signed."""
    covering = [entry for entry in entries if entry.covers(address)]
    if not covering:
        return "not-a-primary"
    # Other than for transfers (R16), an entry without key hears signed ones too: NOTIFY gives nothing away.
    if any(entry.key in (None, key) for entry in covering):
        return None
    return "key-required" if key is None else "wrong-key"


def _hint(query: Query) -> int | None:
    """The serial that the sender has, it says (RFC 1996, 3.7): a hint, which proves nothing."""
    for record in query.answer:
        is_soa = record.type == SOA and record.rclass == IN and record.owner.lower() == query.name
        if is_soa and len(record.rdata) >= _SMALLEST_SOA:
            return soa_serial(record.rdata)
    return None
