"""The general road of an ordinary query: RFC 1034, 4.3.2, over all zones of this server.

Answers are minimal: the address records that MX, SRV or SVCB name are left out; a referral carries its glue, and the
NS of an apex the addresses that this zone holds. ANY gets one RRset of the node, over TCP too (RFC 8482, 4.1): an
answer that does not depend on the transport can be cached, and amplifies nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from dnsserver.protocol import edns, proofs
from dnsserver.protocol.lookup import Found, Kind, has, lookup
from dnsserver.protocol.message import RRset, Sections, write_body
from dnsserver.protocol.query import AA, HEADER_SIZE, Query, Rcode
from dnsserver.protocol.server import Body, ServerState, View
from dnsserver.zone import blob, names
from dnsserver.zone.image import Image, Node
from dnsserver.zone.rrtypes import AAAA, ANY, CNAME, DNAME, DS, NS, NSEC, RRSIG, SOA, A

# RFC 1034, 3.6.2 wants loops signalled, not followed: a name is visited once, and a chain has this many links.
MAX_CHAIN = 16
# What stands beside a CNAME is answered itself (RFC 4035, 2.5); ANY takes what there is (RFC 1034, 3.6.2).
_NOT_FOLLOWED = frozenset({CNAME, ANY, RRSIG, NSEC})


class Answered(NamedTuple):
    """``one_zone``: nothing of another zone than the first is in it."""

    body: Body
    one_zone: bool


def zone_for(state: ServerState, name: bytes, qtype: int) -> View | None:
    """The zone that answers. DS at an apex is the parent's, where that is here (RFC 4035, 3.1.4.1)."""
    view = state.find(name)
    if qtype == DS and view is not None and view.apex == name:
        above = state.find_above(name)
        if above is not None and above.served is not None:
            return above
    return view


def answer(state: ServerState, view: View, image: Image, query: Query, limit: int) -> Answered:
    """The sections for a query of class IN; ``limit``: where they must end in the message."""
    key = (query.name, query.qtype, query.edns is not None and query.edns.do, limit)
    body = view.bodies.get(key)
    if body is not None:
        return Answered(body, True)
    walk = _Walk(state, query)
    walk.follow(view)
    one_zone = len(walk.views) == 1
    if not one_zone:
        return Answered(walk.write(limit), False)
    if walk.sections.answer:
        body = walk.write(limit)
        # Names that a wildcard or DNAME stands for are without number: only those that exist are kept.
        return Answered(view.keep_body(key, body) if image.node(query.name) else body, True)
    return Answered(walk.shared_body(view, limit), True)


def shareable(state: ServerState, view: View, query: Query) -> Body | None:
    """The whole body of a referral or denial, however long; None where the answer is another, or takes another zone."""
    walk = _Walk(state, query)
    walk.follow(view)
    if len(walk.views) != 1 or walk.sections.answer:
        return None
    return walk.shared_body(view, edns.TCP_LIMIT)


class _Walk:
    """One query's way through the zones, and what it gathered."""

    __slots__ = ("dnssec", "flags", "name", "owner", "qtype", "query", "rcode", "sections", "seen", "state", "views")

    def __init__(self, state: ServerState, query: Query) -> None:
        self.state = state
        self.query = query
        self.qtype = query.qtype
        self.owner = query.qname  # the name in question now, as it is to be written
        self.name = query.name
        self.dnssec = query.edns is not None and query.edns.do
        self.flags = AA
        self.rcode: int = Rcode.NOERROR
        self.sections = Sections([], [], [])
        self.seen = {query.name}
        self.views: set[View] = set()

    def follow(self, view: View) -> None:
        """Steps from name to name while aliases lead into zones that are here."""
        here: View | None = view
        while here is not None and here.served is not None:
            self.views.add(here)
            if self.qtype == DS and self.name == here.apex:
                self.state.outward.add(view.apex)  # its parent is not here, or is not answered from
            if not self._step(here, here.served):
                return
            # RFC 1034, 3.6.2: "CNAME loops should be signalled as an error" to resolvers;
            # an authority gives what it has.
            if self.name in self.seen or len(self.seen) > MAX_CHAIN:
                return
            self.seen.add(self.name)
            here = zone_for(self.state, self.name, self.qtype)
        self.state.outward.add(view.apex)

    def _step(self, view: View, image: Image) -> bool:
        """Takes one name as far as its zone knows it; True where an alias leads on."""
        found = lookup(image, self.name, self.qtype)
        match found.kind:
            case Kind.DELEGATION:
                self._refer(view, image, found)
            case Kind.REDIRECTION:
                return self._redirect(image, found)
            case Kind.MISS:
                self.rcode = Rcode.NXDOMAIN
                self._deny(image, proofs.no_name(view, image, self.name, found.name) if self.dnssec else [])
            case _:
                return self._take(view, image, found)
        return False

    def _take(self, view: View, image: Image, found: Found) -> bool:
        """The name exists, or a wildcard stands for it."""
        is_wildcard = found.kind is Kind.WILDCARD
        node = found.node
        alias = None if self.qtype in _NOT_FOLLOWED else blob.find(node, CNAME)
        matching = [alias] if alias else _matching(node, self.qtype)
        if not matching:
            if not self.dnssec:
                self._deny(image, [])
            elif is_wildcard:
                self._deny(image, proofs.no_wildcard_data(view, image, self.name, found.name))
            else:
                self._deny(image, proofs.no_data(view, image, self.name))
            return False
        for rrset in matching:
            self.sections.answer.append(self._signed(self.owner, node, rrset))
        if is_wildcard and self.dnssec:
            self.sections.authority.extend(proofs.expanded(view, image, self.name, found.name))
        if self.qtype == NS and not alias:
            self._add_addresses(image, matching[0], image.apex)
        if alias:
            self._go_to(next(blob.members(alias))[1])
        return bool(alias)

    def _redirect(self, image: Image, found: Found) -> bool:
        """RFC 6672, 3.2: the DNAME, the CNAME made from it with its TTL, and on from there."""
        rrset = blob.find(found.node, DNAME)
        if rrset is None:
            return False
        self.sections.answer.append(self._signed(image.owner(found.name), found.node, rrset))
        ttl, target = next(blob.members(rrset))
        renamed = self.owner[: len(self.owner) - len(found.name)] + target
        if len(renamed) > names.MAX_NAME:
            self.rcode = Rcode.YXDOMAIN
            return False
        self.sections.answer.append(RRset(self.owner, blob.make(CNAME, 0, [(ttl, renamed)])))
        self._go_to(renamed)
        # RFC 1034, 4.3.2, 3a goes on where "QTYPE doesn't match CNAME": these two match the one that was made.
        return self.qtype not in (CNAME, ANY)

    def _go_to(self, target: bytes) -> None:
        self.owner = target
        self.name = target.lower()

    def _refer(self, view: View, image: Image, found: Found) -> None:
        """A referral: NS, and for DNSSEC the DS or the proof that there is none (RFC 4035, 3.1.4), and the glue."""
        if not self.sections.answer:
            self.flags = 0
        rrset = blob.find(found.node, NS)
        if rrset is None:
            return
        authority = self.sections.authority
        owner = image.owner(found.name)
        authority.append(RRset(owner, rrset))
        if self.dnssec:
            ds = blob.find(found.node, DS)
            authority.extend([self._signed(owner, found.node, ds)] if ds else proofs.no_data(view, image, found.name))
        self._add_addresses(image, rrset, found.name)

    def _add_addresses(self, image: Image, servers: bytes, cut: bytes) -> None:
        """The zone's addresses of name servers; glue within the delegated domain first, and needed (RFC 9471, 3.1)."""
        needed: list[RRset] = []
        others: list[RRset] = []
        is_referral = cut != image.apex
        for _, target in blob.members(servers):
            name = target.lower()
            node = image.node(name)
            if not node or not names.is_within(name, image.apex):
                continue
            in_domain = is_referral and names.is_within(name, cut)
            is_glue = image.cut(name) is not None
            for rtype in (A, AAAA):
                if rrset := blob.find(node, rtype):
                    signatures = blob.find(node, RRSIG, rtype) if self.dnssec and not is_glue else None
                    (needed if in_domain else others).append(RRset(target, rrset, signatures, needed=in_domain))
        self.sections.additional.extend(needed + others)

    def _deny(self, image: Image, proof: list[RRset]) -> None:
        """RFC 2308, 3: the SOA, its TTL at most its minimum; its signature's too (RFC 4034, 3)."""
        soa = image.soa
        node = image.node(image.apex) or ()
        rrset = blob.find(node, SOA)
        if rrset is not None:
            ttl = min(soa.ttl, int.from_bytes(soa.rdata[-4:], "big"))
            signatures = blob.find(node, RRSIG, SOA) if self.dnssec else None
            self.sections.authority.append(RRset(soa.owner, rrset, signatures, ttl))
        self.sections.authority.extend(proof)

    def _signed(self, owner: bytes, node: Node, rrset: bytes) -> RRset:
        rtype, _ = blob.key(rrset)
        wanted = self.dnssec and rtype != RRSIG
        return RRset(owner, rrset, blob.find(node, RRSIG, rtype) if wanted else None)

    # What was gathered, as octets

    def write(self, limit: int) -> Body:
        """Compressed against the whole question."""
        query = self.query
        return write_body(
            self.sections, self.rcode, self.flags, query.qname, HEADER_SIZE, HEADER_SIZE + len(query.question), limit
        )

    def shared_body(self, view: View, limit: int) -> Body:
        """A referral's or denial's. It serves every name of the same length: of the question it points only at what
        its first owner (the cut, the apex) shares with it.
        """
        query, authority = self.query, self.sections.authority
        size = len(query.qname)
        key = (self.rcode, self.flags, size, self.dnssec, limit, *[rrset.owner for rrset in authority])
        body = view.bodies.get(key)
        if body is not None:
            return body
        known = authority[0].owner if authority else query.qname
        at, start = HEADER_SIZE + size - len(known), HEADER_SIZE + len(query.question)
        return view.keep_body(key, write_body(self.sections, self.rcode, self.flags, known, at, start, limit))


def _matching(node: Node, qtype: int) -> list[bytes]:
    """The blobs that answer a type: all signatures for RRSIG, one RRset for ANY."""
    if qtype == RRSIG:
        return [rrset for rrset in node if blob.key(rrset)[0] == RRSIG]
    if qtype == ANY:
        return _one_of(node)
    rrset = blob.find(node, qtype)
    return [rrset] if rrset else []


def _one_of(node: Node) -> list[bytes]:
    """RFC 8482, 4.1: "A DNS responder that receives an ANY query MAY decline to provide a conventional ANY response or
    MAY instead send a response with a single RRset". An alias, if there is one, tells most.
    """
    if has(node, CNAME):
        return [rrset for rrset in node if blob.key(rrset)[0] == CNAME]
    own = [rrset for rrset in node if blob.key(rrset)[0] not in (RRSIG, NSEC)]
    return (own or list(node))[:1]
