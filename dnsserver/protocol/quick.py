"""The quick road: most of what no packet cache knows, put together from finished octets (DESIGN, second level).

It takes a packet without its ID, and looks things up where ``query.parse`` reads. It answers what is plain: positive
answers, and with bodies that many names share, referrals and denials. For all else, whatever is malformed included, it
has no answer: ``dispatch.handle`` reads and judges the packet as a whole.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, replace

from dnsserver.protocol import edns
from dnsserver.protocol.answer import shareable
from dnsserver.protocol.cookies import CLIENT_SIZE, FULL_SIZE
from dnsserver.protocol.edns import COOKIE
from dnsserver.protocol.lookup import WILDCARD
from dnsserver.protocol.query import AA, HEADER_SIZE, QR, RD, Query, parse
from dnsserver.protocol.server import CACHED_BODY, Cell, ServerState, Shared, View
from dnsserver.zone import names
from dnsserver.zone.blob import HEAD_SIZE
from dnsserver.zone.image import Denial, Image, Node
from dnsserver.zone.records import IN
from dnsserver.zone.rrtypes import CNAME, DS, NS, OPT, RRSIG, SOA

_ID = b"\x00\x00"  # of no packet: what is read here stands behind it
_NAME = HEADER_SIZE - len(_ID)
# What is longer is no name: to look for its zone label by label would take a second for the 64 KiB of TCP.
_LONGEST = _NAME + names.MAX_NAME
_TYPE_CLASS = 4
_AD, _CD = 0x20, 0x10
# Flags and counts of plain queries -> RD as 0 or 1, and octets behind the name: those of an OPT record, too, or not.
_FORMS = {
    (rd | bits).to_bytes(2, "big") + bytes((0, 1, 0, 0, 0, 0, 0, opt)): (rd >> 8, _TYPE_CLASS + opt * edns.OPT_SIZE)
    for rd in (0, RD)
    for bits in (0, _AD, _CD, _AD | _CD)
    for opt in (0, 1)
}
# RFC 6895, 3.1: types from here on are none of data, or rare.
_FIRST_META = 128
_NOT_QUICK = frozenset({0, OPT, DS, RRSIG})
_CNAME = CNAME.to_bytes(2, "big") + b"\x00\x00"
_IN = IN.to_bytes(2, "big")
_OPT_HEAD = b"\x00" + OPT.to_bytes(2, "big")
# RDLENGTH, option code and length of an OPT record with a cookie alone: the client's own, or with the server's.
_FIRST_COOKIE, _FULL_COOKIE = (
    b"".join(number.to_bytes(2, "big") for number in (size + 4, COOKIE, size)) for size in (CLIENT_SIZE, FULL_SIZE)
)
_COOKIE_HEAD_AT = _TYPE_CLASS + edns.OPT_SIZE - 2
_COOKIE_AT = _COOKIE_HEAD_AT + len(_FULL_COOKIE)
# Ends of queries that are known; past it all are forgotten, for clients choose them.
_MOST_KNOWN = 4096
_MOST_COOKIES = 16384
_UNKNOWN: tuple[None, float] = None, -math.inf
_MISSING, _NO_DATA = b"missing", b"no data"

# What is to be done with an answer besides sending it: ``cacheable`` and ``soa_asked`` of a ``Reply``, or nothing.
CACHEABLE, ONCE, SOA_ASKED = range(3)
# An answer without its ID, what it holds as long as (of ``SOA_ASKED`` the view), and what is to be done with it.
Quick = tuple[bytes, View | Cell, int]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What follows the name in a plain query, ``size`` octets: type, class and OPT record, and what that means.

    ``prefix``: how the blob that is asked for begins, ``signatures``: that of its signatures, None without DO;
    ``single``: how it begins if it is of one record, and the answer that and no more; ``heads``: that answer's header
    after its ID, without RD and with it. ``kind``: 0 without EDNS, 1 with it, 2 with DO; ``opt``: the OPT record of the
    answer, ``most``: where it must begin.
    """

    size: int
    prefix: bytes
    signatures: bytes | None
    single: bytes | None
    heads: tuple[bytes, bytes]
    kind: int
    opt: bytes
    most: int
    fate: int


class QuickRoad:
    """Into one server, over UDP or over TCP."""

    __slots__ = ("_cookies", "_jar", "_known", "_limits", "_state", "_tcp")

    def __init__(self, state: ServerState, *, tcp: bool = False) -> None:
        self._state = state
        self._tcp = tcp
        self._limits = state.limits
        self._jar = state.cookies
        # By what follows the name; with a cookie, by that and the client's address, and how long that holds.
        self._known: dict[bytes, _Asked] = {}
        self._cookies: dict[bytes, tuple[_Asked, float]] = {}

    def answer(self, key: bytes, asked: _Asked | None = None) -> Quick | None:
        """The answer to a packet without its ID, if this road has one. ``asked``: what follows the name, where known.

        What leads by whole labels to the name of a zone, at the end of what is no type, class or OPT record, is a name:
        nothing else of it needs to be read.
        """
        form = _FORMS.get(key[:_NAME])
        if form is None:
            return None
        if self._limits is not self._state.limits:
            self._forget()
        rd, size = form
        if asked is None:
            asked = self._known.get(key[-size:]) or self._learn(key[-size:])
            if asked is None:
                return None
        end = len(key) - asked.size
        if end > _LONGEST:
            return None
        sent = key[_NAME:end]
        at = name = sent.lower()
        view_of = self._state.zones.get
        while (view := view_of(at)) is None:
            length = at[0] if at else 0
            if not 0 < length < 64:
                return None
            at = at[length + 1 :]
        image = view.served
        if image is None:
            return None
        fate = asked.fate if sent == name else asked.fate or ONCE
        if image.cuts and (cut := image.cut(name)) is not None:
            return self._shared(key, end, view, cut[0], asked, fate) if cut[1] == NS else None
        found = image.shards[hash(name) & image.mask].get(name)
        if type(found) is bytes and found[:HEAD_SIZE] == asked.single and end + len(found) <= asked.most:
            question = key[_NAME : end + _TYPE_CLASS]
            token = view.token(name) if fate == CACHEABLE else view
            return b"".join((asked.heads[rd], question, found[HEAD_SIZE:], asked.opt)), token, fate
        node = (found,) if isinstance(found, bytes) else found
        for rrset in node or ():
            if rrset.startswith(asked.prefix):
                octets = None if node is None else self._positive(key, end, node, rrset, asked)
                return None if octets is None else (octets, view, fate)
        what = _denial(image, name, node, asked.kind)
        return None if what is None else self._shared(key, end, view, what, asked, fate)

    def _positive(self, key: bytes, end: int, node: Node, rrset: bytes, asked: _Asked) -> bytes | None:
        """The answer with an RRset of a node, and its signatures for who set DO."""
        count, octets = rrset[4] << 8 | rrset[5], rrset[HEAD_SIZE:]
        if asked.signatures is not None:
            for other in node:
                if other.startswith(asked.signatures):
                    count += other[4] << 8 | other[5]
                    octets += other[HEAD_SIZE:]
        head = asked.heads[key[0] & 1]
        if asked.single is None or end + HEAD_SIZE + len(octets) > asked.most:
            return None
        return head[:4] + count.to_bytes(2, "big") + head[6:] + key[_NAME : end + _TYPE_CLASS] + octets + asked.opt

    def answer_cookie(self, key: bytes, source: bytes, now: float) -> Quick | None:
        """The same for a packet whose OPT record has a cookie alone, from an address, in network order."""
        if self._jar is not self._state.cookies or self._limits is not self._state.limits:
            self._forget()
        if key[-FULL_SIZE - len(_FULL_COOKIE) : -FULL_SIZE] == _FULL_COOKIE:
            tail = key[-FULL_SIZE - _COOKIE_AT :]
        elif key[-CLIENT_SIZE - len(_FIRST_COOKIE) : -CLIENT_SIZE] == _FIRST_COOKIE:
            tail = key[-CLIENT_SIZE - _COOKIE_AT :]
        else:
            return None
        asked, until = self._cookies.get(tail + source, _UNKNOWN)
        if now > until:
            asked = self._judge(tail, source, now)
        has_opt = key[_NAME - 1 : _NAME] == b"\x01"
        return self.answer(key, asked) if asked is not None and has_opt else None

    def _judge(self, tail: bytes, source: bytes, now: float) -> _Asked | None:
        """What follows the name in such a packet; a cookie that was forged is worth no place."""
        plain = tail[:_COOKIE_HEAD_AT] + b"\x00\x00"
        asked = self._known.get(plain) or self._learn(plain)
        if asked is None or self._jar is None:
            return None
        judged = self._jar.judge(tail[_COOKIE_AT:], str(ipaddress.ip_address(source)), now)
        opt = edns.cookie_opt(self._limits.udp_payload, asked.signatures is not None, judged.reply)
        most = asked.most + len(asked.opt) - len(opt)
        asked = replace(asked, size=len(tail), opt=opt, most=most, fate=asked.fate or ONCE)
        if judged.is_valid or judged.is_first:
            if len(self._cookies) >= _MOST_COOKIES:
                self._cookies.clear()
            self._cookies[tail + source] = asked, judged.until
        return asked

    def _shared(self, key: bytes, end: int, view: View, what: object, asked: _Asked, fate: int) -> Quick | None:
        """A referral or denial: the body that is kept for it, moved to where this question ends."""
        shared = view.shared.get((asked.kind, what)) or self._share(key, end, view, what, asked.kind)
        if shared is None:
            return None
        heads, size, octets, pointers, length = shared
        question = key[_NAME : end + _TYPE_CLASS]
        if HEADER_SIZE + len(question) + length > asked.most:
            return None
        body = (octets + (end - size) * pointers).to_bytes(length, "big")
        return heads[key[0] & 1] + question + body + asked.opt, view, fate and ONCE

    def _share(self, key: bytes, end: int, view: View, what: object, kind: int) -> Shared | None:
        """Makes and keeps such a body by the general road."""
        query = parse(_ID + key)
        body = shareable(self._state, view, query) if isinstance(query, Query) else None
        if body is None or len(body.octets) > CACHED_BODY:
            return None
        counts = b"".join(
            count.to_bytes(2, "big") for count in (1, 0, body.authorities, body.additionals + (1 if kind else 0))
        )
        without_rd, with_rd = ((QR | body.flags | body.rcode | rd).to_bytes(2, "big") + counts for rd in (0, RD))
        length = len(body.octets)
        pointers = sum(1 << 8 * (length - 2 - at) for at in body.pointers)
        shared = Shared((without_rd, with_rd), end, int.from_bytes(body.octets, "big"), pointers, length)
        view.keep_shared((kind, what), shared)
        return shared

    def _forget(self) -> None:
        """There are other limits, or other secrets of cookies."""
        self._limits, self._jar = self._state.limits, self._state.cookies
        self._known.clear()
        self._cookies.clear()

    def _learn(self, tail: bytes) -> _Asked | None:
        """Reads what may follow a name: type, class IN, and at most an OPT record of version 0 without options."""
        asked = self._read(tail)
        if asked is not None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[tail] = asked
        return asked

    def _read(self, tail: bytes) -> _Asked | None:
        if tail[2:_TYPE_CLASS] != _IN:
            return None
        qtype = int.from_bytes(tail[:2], "big")
        if qtype in _NOT_QUICK or qtype >= _FIRST_META:
            return None
        payload = self._limits.udp_payload
        opt, offered, do = b"", None, False
        record = tail[_TYPE_CLASS:]
        if record:
            if len(record) != edns.OPT_SIZE or record[:3] != _OPT_HEAD or any(record[5:7]) or any(record[9:]):
                return None
            offered, do = int.from_bytes(record[3:5], "big"), record[7] > 127
            opt = edns.plain_opt(payload, do)
        signatures = RRSIG.to_bytes(2, "big") + tail[:2] if do else None
        counts = b"\x00\x01\x00\x01\x00\x00" + (b"\x00\x01" if opt else b"\x00\x00")
        return _Asked(
            size=len(tail),
            prefix=tail[:2] + b"\x00\x00",
            signatures=signatures,
            single=None if qtype == NS else tail[:2] + b"\x00\x00\x00\x01",
            heads=((QR | AA).to_bytes(2, "big") + counts, (QR | AA | RD).to_bytes(2, "big") + counts),
            kind=2 if do else 1 if opt else 0,
            opt=opt,
            most=edns.size_limit(offered, payload, self._tcp) - len(opt),
            fate=SOA_ASKED if qtype == SOA else CACHEABLE,
        )


def _denial(image: Image, name: bytes, node: Node | None, kind: int) -> object:
    """What tells this denial from others of the same zone that have other records; None: not by this road."""
    is_proved = kind == 2 and image.denial is not Denial.NONE
    if node is not None:
        # An alias leads on, and what proves that a type is missing stands at the name itself.
        return None if is_proved or any(rrset.startswith(_CNAME) for rrset in node) else _NO_DATA
    shards, mask = image.shards, image.mask
    closer, encloser = name, name[name[0] + 1 :]
    while shards[hash(encloser) & mask].get(encloser) is None:
        closer, encloser = encloser, encloser[encloser[0] + 1 :]
    wildcard = WILDCARD + encloser
    if shards[hash(wildcard) & mask].get(wildcard) is not None:
        return None
    if not is_proved:
        return _MISSING
    # Nothing is below the next closer name, so that what is before it is before the name.
    return (image.before(names.key(closer)), encloser) if image.denial is Denial.NSEC else None
