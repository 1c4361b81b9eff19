"""From a packet to what becomes of it. No I/O, no clock, and no exception for any packet.

This is the general road, for all that ``quick`` has no answer to: a packet is parsed whole and judged in order.
"""

from __future__ import annotations

from dnsserver.protocol import edns, message, notify_in, tsig, xfrout
from dnsserver.protocol.answer import answer, zone_for
from dnsserver.protocol.cookies import NO_COOKIE, Judged, is_malformed
from dnsserver.protocol.edns import COOKIE, Ede
from dnsserver.protocol.outcome import Drop, Peer, Reply
from dnsserver.protocol.query import HEADER_SIZE, OPCODE, QR, TC, Malformed, Opcode, Query, Rcode, parse
from dnsserver.protocol.server import ServerState
from dnsserver.protocol.tsig import Key
from dnsserver.protocol.xfrout import TransferOut
from dnsserver.zone.records import IN
from dnsserver.zone.rrtypes import AXFR, IXFR, OPT, SOA

__all__ = ["Drop", "Outcome", "Peer", "Reply", "TransferOut", "handle"]

Outcome = Reply | Drop | TransferOut

MAILB, MAILA = 253, 254
# RFC 6895, 3.1: data types end at 127 and go on at 256; between are QTYPEs and types of messages.
_FIRST_META, _LAST_META = 128, 255
_FIRST_UNCACHED = 249
_OPCODES = frozenset(Opcode)


def handle(state: ServerState, packet: bytes, peer: Peer, now: float) -> Outcome:
    """What becomes of one packet; ``now`` in seconds since the epoch."""
    if len(packet) < HEADER_SIZE:
        return Drop("short")
    if packet[2] & QR >> 8:
        return Drop("response")  # two servers must not answer each other for ever
    if (packet[2] & OPCODE >> 8) >> 3 not in _OPCODES:
        return Reply(message.header_only(packet, Rcode.NOTIMP))
    query = parse(packet)
    if isinstance(query, Malformed):
        return Reply(message.error(query, query.rcode, payload=state.limits.udp_payload))
    return _judge(state, packet, query, peer, now)


def _judge(state: ServerState, packet: bytes, query: Query, peer: Peer, now: float) -> Outcome:
    """A well-formed request. A signature is judged before all else (RFC 8945, 5.2)."""
    verified = None
    if query.tsig_at is not None:
        verified = tsig.verify(packet, query.tsig_at, state.keys, now, state.limits.tsig_fudge)
    cookie = _judge_cookie(state, query, peer, now)
    if _is_transfer(query) and cookie is not None:
        # It answers a failed signature itself, so that the refusal is logged; what it replies is signed.
        return xfrout.answer_transfer(state, query, peer, verified, now, _cookie_option(cookie))
    if verified is None:
        return _answer(state, query, peer, cookie, None)
    key = verified.key
    if verified.status is not tsig.Status.VALID or key is None:
        opt = edns.plain_opt(state.limits.udp_payload, query.edns.do) if query.edns else b""
        wire = tsig.error_reply(packet, query.question, verified, now, opt)
        return Reply(wire, notify=notify_in.unauthentic(query, verified))
    reply = _answer(state, query, peer, cookie, key)
    return reply._replace(wire=tsig.sign(reply.wire, key, verified.mac, now), cacheable=False)


def _is_transfer(query: Query) -> bool:
    is_asked = query.opcode == Opcode.QUERY and query.qtype in (AXFR, IXFR)
    return is_asked and (query.edns is None or query.edns.version == 0)


def _judge_cookie(state: ServerState, query: Query, peer: Peer, now: float) -> Judged | None:
    """What the request's cookie is worth; None where it is malformed, ``NO_COOKIE`` where there is none."""
    if query.edns is None or state.cookies is None:
        return NO_COOKIE
    # RFC 7873, 5.2: of several, "all but the first ... are ignored".
    option = next((octets for code, octets in query.edns.options if code == COOKIE), None)
    if option is None:
        return NO_COOKIE
    return None if is_malformed(option) else state.cookies.judge(option, peer.address, now)


def _cookie_option(cookie: Judged) -> bytes:
    return edns.option(COOKIE, cookie.reply) if cookie.reply else b""


def _answer(state: ServerState, query: Query, peer: Peer, cookie: Judged | None, key: Key | None) -> Reply:
    """``key``: what signed the request; its answer leaves room for a signature."""
    payload = state.limits.udp_payload
    if query.edns is not None and query.edns.version:
        # RFC 6891, 6.1.3: "If a responder does not implement the VERSION level of the request, then it MUST respond
        # with RCODE=BADVERS."
        return Reply(message.error(query, Rcode.BADVERS, payload=payload))
    if cookie is None:
        return Reply(message.error(query, Rcode.FORMERR, payload=payload))
    options = _cookie_option(cookie)
    if not query.question:
        # RFC 7873, 5.4: without a question, a server cookie is asked for or verified. Else RFC 9619, 4.
        rcode = Rcode.FORMERR
        if cookie.reply:
            rcode = Rcode.NOERROR if cookie.is_valid or cookie.is_first else Rcode.BADCOOKIE
        return Reply(message.error(query, rcode, payload=payload, options=options))
    if query.opcode == Opcode.QUERY:
        return _answer_query(state, query, peer, options, 0 if key is None else key.record_size)
    if query.opcode == Opcode.NOTIFY:
        return notify_in.answer(state, query, peer, None if key is None else key.name, options)
    # The place where UPDATE (RFC 2136) will become an effect; until then every one is declined.
    rcode = Rcode.NOTAUTH if state.find(query.name) is None else Rcode.REFUSED
    return Reply(message.error(query, rcode, payload=payload, options=options))


def _answer_query(state: ServerState, query: Query, peer: Peer, options: bytes, room: int) -> Reply:
    payload = state.limits.udp_payload
    rcode = _unanswerable(query)
    if rcode is not None:
        return Reply(message.error(query, rcode, payload=payload, options=options))
    view = zone_for(state, query.name, query.qtype) if query.qclass == IN else None
    if view is None or view.meta.suspended:
        return Reply(message.error(query, Rcode.REFUSED, Ede.NOT_AUTHORITATIVE, payload=payload, options=options))
    image = view.served
    if image is None:
        ede = Ede.INVALID_DATA if view.meta.expired else Ede.NOT_READY
        return Reply(message.error(query, Rcode.SERVFAIL, ede, payload=payload, options=options))
    if query.qtype == SOA and query.edns and query.edns.options and query.name == view.apex:
        options += edns.expire(query.edns, state.expire(view, image))
    limit = edns.size_limit(query.edns.size if query.edns else None, payload, peer.tcp) - room
    if query.edns:
        limit -= edns.OPT_SIZE + len(options)
    found = answer(state, view, image, query, limit)
    cacheable = (
        found.one_zone
        and query.tsig_at is None
        and query.qname == query.name
        and query.qtype < _FIRST_UNCACHED
        and query.qtype != SOA
        and not (query.edns and query.edns.options)
    )
    is_positive = found.body.rcode == Rcode.NOERROR and found.body.answers > 0 and not found.body.flags & TC
    soa_asked = query.qtype == SOA and query.name == view.apex and is_positive
    wire = message.render(query, found.body, payload, options)
    return Reply(wire, view, cacheable, soa_asked)


def _unanswerable(query: Query) -> Rcode | None:
    """The RCODE for a QTYPE that asks for no data. As BIND: MAILA and MAILB, obsolete, NOTIMP; the others FORMERR."""
    qtype = query.qtype
    if qtype in (MAILA, MAILB) and query.qclass == IN:
        return Rcode.NOTIMP
    if qtype == OPT or (_FIRST_META <= qtype < _LAST_META):
        return Rcode.FORMERR
    return None
