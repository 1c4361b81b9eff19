"""Answers as a table: what stands in each section. Beside BIND, NSD and Knot: tests/interop/test_answers.py.

Sections are written as ``owner type rdata``, one a line, in any order; ``owner type`` alone stands for any rdata.
"""

from __future__ import annotations

from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from dnsserver.protocol.dispatch import handle
from dnsserver.protocol.outcome import Peer
from tests.interop.authorities import APEXES, load
from tests.protocol.answering import NOW, TCP, UDP, ask, image, query, reply, serving


class Case(NamedTuple):
    """``flags``: words of aa, tc (expected), do, edns, tcp (asked)."""

    qname: str
    qtype: str
    flags: str
    rcode: str
    answer: str = ""
    authority: str = ""
    additional: str = ""


SOA = "feature.test. SOA"
NSEC_SOA = "nsec.test. SOA\nnsec.test. RRSIG SOA"
SUB = "sub.feature.test. NS ns1.sub.feature.test.\nsub.feature.test. NS ns2.sub.feature.test."
SUB_GLUE = """
    ns1.sub.feature.test. A 192.0.2.101
    ns2.sub.feature.test. A 192.0.2.102
    ns2.sub.feature.test. AAAA 2001:db8::102
"""
WWW = "www.feature.test. A 192.0.2.80"

CASES = {
    # RFC 1034, 4.3.2
    "positive": Case("www.feature.test.", "A", "aa", "NOERROR", WWW),
    "apex NS with addresses": Case(
        "child.feature.test.", "NS", "aa", "NOERROR",
        "child.feature.test. NS ns.child.feature.test.\nchild.feature.test. NS ns.other.test.", "",
        "ns.child.feature.test. A 192.0.2.107",
    ),
    "MX without addresses": Case("mxonly.feature.test.", "MX", "aa", "NOERROR",
        "mxonly.feature.test. MX 10 mail.feature.test.\nmxonly.feature.test. MX 20 mail.other.test."),
    "NODATA": Case("www.feature.test.", "MX", "aa", "NOERROR", "", SOA),
    "NXDOMAIN": Case("nx.feature.test.", "A", "aa", "NXDOMAIN", "", SOA),
    "empty non-terminal": Case("b.ent.feature.test.", "A", "aa", "NOERROR", "", SOA),
    "below a name that has data": Case("nx.www.feature.test.", "A", "aa", "NXDOMAIN", "", SOA),
    # Aliases
    "CNAME chain": Case("alias2.feature.test.", "A", "aa", "NOERROR",
        f"alias2.feature.test. CNAME alias.feature.test.\nalias.feature.test. CNAME www.feature.test.\n{WWW}"),
    "CNAME itself": Case("alias.feature.test.", "CNAME", "aa", "NOERROR",
        "alias.feature.test. CNAME www.feature.test."),
    "CNAME into another zone": Case("toother.feature.test.", "A", "aa", "NOERROR",
        "toother.feature.test. CNAME www.other.test.\nwww.other.test. A 192.0.2.180"),
    "CNAME to what is not here": Case("toabroad.feature.test.", "A", "aa", "NOERROR",
        "toabroad.feature.test. CNAME www.example.net."),
    "CNAME to nothing": Case("dangling.feature.test.", "A", "aa", "NXDOMAIN",
        "dangling.feature.test. CNAME nothing.feature.test.", SOA),
    "CNAME to nothing in another zone": Case("toothernx.feature.test.", "A", "aa", "NXDOMAIN",
        "toothernx.feature.test. CNAME nx.other.test.", "other.test. SOA"),
    "CNAME into a delegation": Case("todeleg.feature.test.", "A", "aa", "NOERROR",
        "todeleg.feature.test. CNAME host.sub.feature.test.", SUB, SUB_GLUE),
    "CNAME loop": Case("loop1.feature.test.", "A", "aa", "NOERROR",
        "loop1.feature.test. CNAME loop2.feature.test.\nloop2.feature.test. CNAME loop1.feature.test."),
    "CNAME loop over two zones": Case("pingpong.feature.test.", "A", "aa", "NOERROR",
        "pingpong.feature.test. CNAME pong.other.test.\npong.other.test. CNAME pingpong.feature.test."),
    "DNAME": Case("host.dn.feature.test.", "A", "aa", "NOERROR", """
        dn.feature.test. DNAME target.feature.test.
        host.dn.feature.test. CNAME host.target.feature.test.
        host.target.feature.test. A 192.0.2.110"""),
    "DNAME itself": Case("dn.feature.test.", "DNAME", "aa", "NOERROR",
        "dn.feature.test. DNAME target.feature.test."),
    "DNAME into another zone": Case("www.dnother.feature.test.", "A", "aa", "NOERROR", """
        dnother.feature.test. DNAME other.test.
        www.dnother.feature.test. CNAME www.other.test.
        www.other.test. A 192.0.2.180"""),
    "DNAME, too long": Case(f"{'x' * 30}.dnlong.feature.test.", "A", "aa edns", "YXDOMAIN",
        "dnlong.feature.test. DNAME"),
    "DNAME chain": Case("host.dnchain.feature.test.", "A", "aa", "NOERROR", """
        dnchain.feature.test. DNAME dn.feature.test.
        host.dnchain.feature.test. CNAME host.dn.feature.test.
        dn.feature.test. DNAME target.feature.test.
        host.dn.feature.test. CNAME host.target.feature.test.
        host.target.feature.test. A 192.0.2.110"""),
    # Wildcards (RFC 4592)
    "wildcard": Case("any.wild.feature.test.", "A", "aa", "NOERROR", "any.wild.feature.test. A 192.0.2.90"),
    "wildcard over several labels": Case("a.b.wild.feature.test.", "A", "aa", "NOERROR",
        "a.b.wild.feature.test. A 192.0.2.90"),
    "wildcard without the type": Case("any.wild.feature.test.", "MX", "aa", "NOERROR", "", SOA),
    "wildcard blocked by a name": Case("nx.exists.wild.feature.test.", "A", "aa", "NXDOMAIN", "", SOA),
    "wildcard blocked by an empty non-terminal": Case("nx.ent.wild.feature.test.", "A", "aa", "NXDOMAIN", "", SOA),
    "wildcard that is an empty non-terminal": Case("foo.starent.feature.test.", "TXT", "aa", "NOERROR", "", SOA),
    "wildcard alias": Case("x.wildalias.feature.test.", "A", "aa", "NOERROR",
        f"x.wildalias.feature.test. CNAME www.feature.test.\n{WWW}"),
    # Delegations
    "referral": Case("host.sub.feature.test.", "A", "", "NOERROR", "", SUB, SUB_GLUE),
    "referral at the cut": Case("sub.feature.test.", "NS", "", "NOERROR", "", SUB, SUB_GLUE),
    "topmost cut": Case("x.deeper.sub.feature.test.", "A", "", "NOERROR", "", SUB, SUB_GLUE),
    "glue is no answer": Case("ns1.sub.feature.test.", "A", "", "NOERROR", "", SUB, SUB_GLUE),
    "sibling glue": Case("x.sibling.feature.test.", "A", "", "NOERROR", "",
        "sibling.feature.test. NS ns1.sub.feature.test.\nsibling.feature.test. NS ns.sibling2.feature.test.",
        "ns1.sub.feature.test. A 192.0.2.101\nns.sibling2.feature.test. A 192.0.2.105"),
    "DS at a cut": Case("sub.feature.test.", "DS", "aa", "NOERROR", "", SOA),
    "child here": Case("www.child.feature.test.", "A", "aa", "NOERROR", "www.child.feature.test. A 192.0.2.120"),
    "child here, DS of the parent": Case("child.feature.test.", "DS", "aa", "NOERROR", "", SOA),
    "grandchild": Case("x.grand.child.feature.test.", "A", "", "NOERROR", "",
        "grand.child.feature.test. NS ns.grand.child.feature.test.", "ns.grand.child.feature.test. A 192.0.2.122"),
    # ANY (RFC 8482)
    "ANY": Case("www.feature.test.", "ANY", "aa", "NOERROR", WWW),
    "ANY over TCP": Case("www.feature.test.", "ANY", "aa tcp", "NOERROR", WWW),
    "ANY of an alias": Case("alias.feature.test.", "ANY", "aa", "NOERROR",
        "alias.feature.test. CNAME www.feature.test."),
    # DNSSEC (RFC 4035, 3.1; RFC 5155, 7.2)
    "signed, without DO": Case("nx.nsec.test.", "A", "aa edns", "NXDOMAIN", "", "nsec.test. SOA"),
    "signed": Case("www.nsec.test.", "A", "aa do", "NOERROR",
        "www.nsec.test. A 192.0.2.80\nwww.nsec.test. RRSIG A"),
    "NSEC, no name": Case("nx.nsec.test.", "A", "aa do", "NXDOMAIN", "", f"""{NSEC_SOA}
        ns2.nsec.test. NSEC
        ns2.nsec.test. RRSIG NSEC
        nsec.test. NSEC
        nsec.test. RRSIG NSEC"""),
    "NSEC, no data": Case("www.nsec.test.", "MX", "aa do", "NOERROR", "",
        f"{NSEC_SOA}\nwww.nsec.test. NSEC\nwww.nsec.test. RRSIG NSEC"),
    "NSEC, wildcard": Case("x.wild.nsec.test.", "A", "aa do", "NOERROR",
        "x.wild.nsec.test. A 192.0.2.90\nx.wild.nsec.test. RRSIG A",
        "exists.wild.nsec.test. NSEC\nexists.wild.nsec.test. RRSIG NSEC"),
    "NSEC, secure delegation": Case("x.secure.nsec.test.", "A", "do", "NOERROR", "",
        "secure.nsec.test. NS ns.secure.nsec.test.\nsecure.nsec.test. DS\nsecure.nsec.test. RRSIG DS",
        "ns.secure.nsec.test. A 192.0.2.101"),
    "NSEC, insecure delegation": Case("x.insecure.nsec.test.", "A", "do", "NOERROR", "",
        "insecure.nsec.test. NS ns.insecure.nsec.test.\ninsecure.nsec.test. NSEC\ninsecure.nsec.test. RRSIG NSEC",
        "ns.insecure.nsec.test. A 192.0.2.102"),
    "DS from the parent, child here": Case("hosted.nsec.test.", "DS", "aa do", "NOERROR",
        "hosted.nsec.test. DS\nhosted.nsec.test. RRSIG DS"),
}  # fmt: skip


@pytest.fixture(scope="module", name="state")
def _state() -> object:
    return serving((apex + ".", load(apex)) for apex in APEXES)


def rows(section: list[object]) -> set[tuple[str, ...]]:
    """(owner, type, rdata), (owner, type), and for a signature (owner, RRSIG, covered type)."""
    found: set[tuple[str, ...]] = set()
    for rrset in section:
        for rdata in rrset:  # type: ignore[attr-defined]
            kind = dns.rdatatype.to_text(rdata.rdtype)
            text = dns.rdatatype.to_text(rdata.type_covered) if kind == "RRSIG" else rdata.to_text()
            found.add((rrset.name.to_text(), kind, text))  # type: ignore[attr-defined]
    return found


def wanted(text: str) -> list[tuple[str, ...]]:
    return [tuple(line.split(maxsplit=2)) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_answer(case: Case, state: object) -> None:
    words = case.flags.split()
    options: dict[str, object] = {"use_edns": 0} if {"do", "edns"} & set(words) else {}
    packet = query(case.qname, case.qtype, want_dnssec="do" in words, **options)
    answer = ask(state, packet, TCP if "tcp" in words else UDP)  # type: ignore[arg-type]
    assert dns.rcode.to_text(answer.rcode()) == case.rcode
    assert [bool(answer.flags & flag) for flag in (dns.flags.AA, dns.flags.TC)] == ["aa" in words, "tc" in words]
    for section, text in zip(answer.sections[1:], case[4:], strict=True):
        found, expected = rows(list(section)), wanted(text)
        assert len(found) == len(expected), found
        for row in expected:
            assert any(other[: len(row)] == row for other in found), (row, found)


def test_a_chain_has_an_end() -> None:
    """An answer is bounded however many aliases follow each other."""
    text = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\n" + "".join(f"c{n} 60 CNAME c{n + 1}\n" for n in range(100))
    answer = ask(serving([("t.", image(text, "t."))]), query("c0.t."), TCP)
    assert answer.rcode() == dns.rcode.NOERROR
    assert len(answer.answer) == 17


def longest_pointer_chain(wire: bytes) -> int:
    """Of the owners of all records and the names in the rdata of NS, CNAME and DNAME: pointers met in a row."""

    def end_and_pointers(at: int) -> tuple[int, int]:
        end = pointers = 0
        while wire[at]:
            if wire[at] < 0xC0:
                at += wire[at] + 1
                continue
            end = end or at + 2
            pointers += 1
            at = (wire[at] & 0x3F) << 8 | wire[at + 1]
        return end or at + 1, pointers

    at, longest = end_and_pointers(12)[0] + 4, 0
    for _ in range(sum(int.from_bytes(wire[count : count + 2], "big") for count in (6, 8, 10))):
        at, pointers = end_and_pointers(at)
        longest = max(longest, pointers)
        rtype, size = int.from_bytes(wire[at : at + 2], "big"), int.from_bytes(wire[at + 8 : at + 10], "big")
        if rtype in (2, 5, 39):
            longest = max(longest, end_and_pointers(at + 10)[1])
        at += 10 + size
    assert at == len(wire)
    return longest


NESTED = {
    "CNAME": "\n".join(f"{'c.' * n}c 60 CNAME {'c.' * (n + 1)}c" for n in range(1, 40)),
    "DNAME": "d 60 DNAME c.d",
    "NS": "\n".join(f"n 60 NS {'c.' * n}away" for n in range(1, 20)),
}


@pytest.mark.parametrize(("kind", "asked"), [("CNAME", "c.c.t."), ("DNAME", "x.d.t."), ("NS", "x.n.t.")])
@pytest.mark.parametrize("peer", [UDP, TCP])
def test_names_within_names_make_no_long_chain_of_pointers(kind: str, asked: str, peer: Peer) -> None:
    """Go's resolver follows 10 pointers and dnspython 16, where RFC 1035, 4.1.4 knows no end."""
    served = serving([("t.", image("@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\n" + NESTED[kind] + "\n", "t."))])
    wire = reply(handle(served, query(asked), peer, NOW)).wire
    read = dns.message.from_wire(wire)
    assert sum(len(rrset) for section in read.sections[1:] for rrset in section) > 10
    assert 4 <= longest_pointer_chain(wire) <= 8


def test_glue_that_must_be_there_truncates() -> None:
    """RFC 9471, 3.1: in-domain glue that does not fit sets TC; sibling glue (3.2) is left out in silence."""

    def zone(below: str) -> object:
        servers = [f"name-server-with-a-long-label-{n:02}.{below}" for n in range(8)]
        lines = [f"cut 60 NS {server}\n{server} 60 AAAA 2001:db8::{n:x}" for n, server in enumerate(servers)]
        head = "@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\nother 60 NS a\n"
        return ask(serving([("t.", image(head + "\n".join(lines) + "\n", "t."))]), query("x.cut.t."))

    needed, sibling = zone("cut"), zone("other")
    assert isinstance(needed, dns.message.Message)
    assert isinstance(sibling, dns.message.Message)
    assert needed.flags & dns.flags.TC
    assert not sibling.flags & dns.flags.TC
    assert 0 < len(sibling.additional) < 8
    assert len(sibling.authority[0]) == 8
