"""Proofs of absence in a pre-signed zone: NSEC (RFC 4035, 3.1.3) and NSEC3 (RFC 5155, 7.2).

Each function gives the RRsets that go into the authority section for a client that set DO; none where the zone is not
signed.
"""

from __future__ import annotations

from collections.abc import Iterable

from dnsserver.protocol.lookup import WILDCARD
from dnsserver.protocol.message import RRset
from dnsserver.protocol.server import View
from dnsserver.zone import blob
from dnsserver.zone.image import Denial, Image
from dnsserver.zone.nsec3 import Chain
from dnsserver.zone.rrtypes import NSEC, NSEC3, RRSIG


def no_name(view: View, image: Image, name: bytes, encloser: bytes) -> list[RRset]:
    """Neither the name nor a wildcard that would stand for it exists (RFC 4035, 3.1.3.2; RFC 5155, 7.2.2)."""
    if image.denial is Denial.NSEC:
        return _distinct([_nsec(image, name), _nsec(image, WILDCARD + encloser)])
    if chain := image.chain:
        proof, provable = _closest_encloser(view, image, chain, name, encloser)
        return _distinct([*proof, _nsec3_covering(view, image, chain, WILDCARD + provable)])
    return []


def no_data(view: View, image: Image, name: bytes) -> list[RRset]:
    """The name exists and the type does not; also a delegation without DS.

    RFC 4035, 3.1.3.1 and 3.1.4; RFC 5155, 7.2.3, 7.2.4 and 7.2.7.
    An empty non-terminal has no NSEC: the one before it shows that it is one. Under opt-out a name may have no NSEC3:
    then the closest encloser that has one, and the opt-out span over the next name.
    """
    if image.denial is Denial.NSEC:
        return _distinct([_nsec(image, name)])
    if chain := image.chain:
        label = _hash(view, chain, name)
        if chain.has(label):
            return _distinct([_nsec3(image, label)])
        return _distinct(_closest_encloser(view, image, chain, name, name[name[0] + 1 :])[0])
    return []


def expanded(view: View, image: Image, name: bytes, encloser: bytes) -> list[RRset]:
    """A wildcard answered because the name itself does not exist (RFC 4035, 3.1.3.3; RFC 5155, 7.2.6)."""
    if image.denial is Denial.NSEC:
        return _distinct([_nsec(image, name)])
    if chain := image.chain:
        return _distinct([_nsec3_covering(view, image, chain, _next_closer(name, encloser))])
    return []


def no_wildcard_data(view: View, image: Image, name: bytes, encloser: bytes) -> list[RRset]:
    """A wildcard stands for the name, and has no such type (RFC 4035, 3.1.3.4; RFC 5155, 7.2.5)."""
    wildcard = WILDCARD + encloser
    if image.denial is Denial.NSEC:
        return _distinct([_nsec(image, name), _nsec(image, wildcard)])
    if chain := image.chain:
        proof, _ = _closest_encloser(view, image, chain, name, encloser)
        return _distinct([*proof, _nsec3(image, _hash(view, chain, wildcard))])
    return []


def _distinct(found: Iterable[RRset | None]) -> list[RRset]:
    """One NSEC or NSEC3 may prove several things, and is sent once."""
    return list({item.owner: item for item in found if item is not None}.values())


def _nsec(image: Image, name: bytes) -> RRset | None:
    """The NSEC that matches a name, or covers it."""
    owner = image.nsec_covering(name)
    if owner is None:
        return None
    node = image.node(owner) or ()
    rrset = blob.find(node, NSEC)
    return RRset(owner, rrset, blob.find(node, RRSIG, NSEC)) if rrset else None


def _nsec3(image: Image, label: bytes | None) -> RRset | None:
    node = image.nsec3_node(label) if label is not None else ()
    rrset = blob.find(node, NSEC3)
    if rrset is None or label is None:
        return None
    return RRset(b"\x20" + label + image.apex, rrset, blob.find(node, RRSIG, NSEC3))


def _nsec3_covering(view: View, image: Image, chain: Chain, name: bytes) -> RRset | None:
    return _nsec3(image, chain.covering(_hash(view, chain, name)))


def _closest_encloser(
    view: View, image: Image, chain: Chain, name: bytes, encloser: bytes
) -> tuple[list[RRset | None], bytes]:
    """The closest provable encloser proof (RFC 5155, 7.2.1), and that encloser.

    Under opt-out an empty non-terminal above unsigned delegations alone may have no NSEC3: then the search goes up.
    """
    while len(encloser) > len(image.apex) and not chain.has(_hash(view, chain, encloser)):
        encloser = encloser[encloser[0] + 1 :]
    matching = _nsec3(image, _hash(view, chain, encloser))
    return [matching, _nsec3_covering(view, image, chain, _next_closer(name, encloser))], encloser


def _next_closer(name: bytes, encloser: bytes) -> bytes:
    """The name one label longer than the encloser (RFC 5155, 1.3)."""
    longer = name
    while len(name) > len(encloser):
        longer = name
        name = name[name[0] + 1 :]
    return longer


def _hash(view: View, chain: Chain, name: bytes) -> bytes:
    label = view.hashes.get(name)
    return label if label is not None else view.keep_hash(name, chain.param.label(name))
