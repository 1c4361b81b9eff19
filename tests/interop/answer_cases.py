"""The table of answers: every branch of RFC 1034, 4.3.2 and what came after it, asked of us, BIND, NSD and Knot.

A line is a question and what comes of it:

    qname qtype [do] [edns] [size=N] [tcp] [rd] [cd] [ad] [class=CH] = RCODE [! program:reason ...]

``do`` and ``size`` imply ``edns`` (size 1232 where not given). After ``!`` stand the programs whose answer differs from
ours and why (``REASONS``); the test fails where one differs that is not named, and where one is named that does not.
A reason that all three share must quote an RFC's sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.rdataclass

REASONS: dict[str, str] = {
    "mail-addresses": (
        "Knot adds the addresses of MX and SRV targets. RFC 1035 (3.3.9) and RFC 2782 make them a "
        "convenience; ours are minimal."
    ),
    "apex-glue": (
        "BIND leaves out the addresses of name servers below a cut; a resolver that primes itself wants all "
        "of them (RFC 9609, 4.2)."
    ),
    "in-zone-addresses": (
        "BIND (minimal-responses) gives a referral only the glue below the cut; ours, NSD's and Knot's spares"
        " a query for in-zone servers."
    ),
    "one-zone": (
        'It follows an alias within one zone only. RFC 1034, 4.3.2, 3a: "change QNAME to the canonical name '
        'in the CNAME RR, and go back to step 1", and step 2 searches the available zones.'
    ),
    "own-referral": ("Knot follows the alias in the parent's zone alone, and refers to a child that it hosts itself."),
    "loop-servfail": (
        "BIND answers SERVFAIL to a loop of aliases; ours gives the records it met, as NSD and Knot do: the "
        "data is right, the resolver sees the loop."
    ),
    "no-yxdomain": ("Knot 3.2 answers NXDOMAIN. RFC 6672, 2.2, wants YXDOMAIN where the substituted name is too long."),
    "any-all": ("BIND (minimal-any no) gives all RRsets; ours gives one (RFC 8482, 4.1)."),
    "any-other": (
        'RFC 8482, 4.1: a responder "MAY instead send a response with a single RRset". NSD takes another one.'
    ),
    "any-additional": ("Knot takes the same RRset, and adds the addresses that it names."),
    "any-follows": (
        "It follows the CNAME made from a DNAME. RFC 1034, 4.3.2, 3a follows one where QTYPE does not match "
        "it; ANY does, as at a CNAME that stands there."
    ),
    "glue-without-tc": (
        "It omits glue without a word. RFC 9471, 3.1: where in-domain glue does not fit, TC must be set; Knot does."
    ),
    "class-any": (
        'RFC 1034, 3.7.1: "Hence responses to QCLASS=* queries can never be authoritative." There is nothing '
        "else here, so it is REFUSED."
    ),
    "class-none": (
        "BIND sees the class of RFC 2136's prerequisites and answers FORMERR; to ours, NSD and Knot it is one"
        " more class that is not here."
    ),
    "chaos": (
        'RFC 1035, 4.1.1: "Refused - The name server refuses to perform the specified operation for policy '
        "reasons.\" What runs here is nobody's business."
    ),
    "meta-as-data": (
        "It takes the QTYPE for data and answers NODATA. RFC 6895, 3.1: 128 to 255 are QTYPEs and meta-TYPEs,"
        " which no zone holds; as BIND."
    ),
    "type-zero": ("Knot answers NOTIMP; no record has type 0 (RFC 6895, 3.1), so there is none here."),
    "one-signature": (
        "Knot gives one RRSIG RRset for QTYPE=RRSIG, to stay small; who asks debugs, and gets all, as of BIND."
    ),
    "wildcard-ent-proof": (
        "It proves only that the name does not exist. RFC 4035, 3.1.3.4, wants the NSEC for the wildcard too,"
        " an empty non-terminal here."
    ),
    "denial-after-dname": ("NSD omits the NSEC about the wildcard for a name reached by DNAME (RFC 4035, 3.1.3.2)."),
    "needless-next-closer": (
        "NSD proves the absence of a next closer name for a question for the wildcard itself, which the "
        "matching NSEC3 answers (RFC 5155, 7.2.3)."
    ),
    "encloser-not-provable": (
        "NSD takes the closest encloser without looking whether it has an NSEC3. RFC 5155, 7.2.1, wants one "
        "that is provable."
    ),
    "nsec3-owner-encloser": ("NSD takes an NSEC3's owner for an encloser. RFC 5155, 7.2.8: it is no name of the zone."),
    "silent": (
        "Knot does not answer what it cannot parse to the end of the question; FORMERR tells the sender (RFC "
        "1035, 4.1.1)."
    ),
    "lenient-sections": (
        "It does not look at sections that a query has no use for; ours refuses to carry on parsing (as NSD),"
        " which bounds the work."
    ),
    "strict-additional": (
        "NSD wants OPT or TSIG alone in the additional section; a SIG(0) (RFC 2931) that is not verified may "
        "stand there."
    ),
    "trailing": ("It ignores what follows the last record that is counted; RFC 1035, 4.1, ends a message there."),
    "rcode-ignored": (
        "NSD answers FORMERR to an RCODE in a query. RFC 1035, 4.1.1: the field is set as part of responses, "
        "so it means nothing here."
    ),
    "opt-owner": ('Knot does not look at the owner. RFC 6891, 6.1.2: "NAME ... MUST be 0 (root domain)".'),
    "no-cookies": (
        "It runs without cookies here and ignores the option. RFC 7873, 5.2.2: a length that is not valid is FORMERR."
    ),
    "no-question": (
        "NSD answers NOERROR without a question and a cookie; RFC 7873, 5.4, extends QUERY only where there is one."
    ),
    "no-cookie-query": (
        "Knot without its cookies module does not know such a query (RFC 7873, 5.4, allows FORMERR then)."
    ),
    "badcookie": (
        'RFC 7873, 5.4: "In this case, the response SHALL have the RCODE BADCOOKIE if the Server Cookie sent '
        'with the query was invalid".'
    ),
    "notify-primary": (
        'RFC 1996, 3.10: of a host that is not a known primary a server "should ignore the request and '
        'produce an error message in its operations log"; R9 refuses it, so that the misconfiguration shows.'
    ),
    "notify-nxdomain": ("NSD answers NXDOMAIN; NOTAUTH says what is the matter (RFC 2136, 2.2)."),
    "update-notimp": ("NSD has no dynamic update."),
    "update-notauth": ("Knot answers NOTAUTH to what its lists deny; RFC 2136, 3.3, wants REFUSED."),
    "axfr-udp": (
        'RFC 5936, 4.2: "AXFR sessions over UDP transport are not defined." R5 wants FORMERR, before access is judged.'
    ),
    "axfr-notauth": ("Knot answers NOTAUTH to what its lists deny; R5 wants REFUSED."),
}


class Case(NamedTuple):
    """``differs``: program -> key of REASONS."""

    name: str
    wire: bytes
    tcp: bool
    rcode: str
    differs: dict[str, str]


def _differs(text: str) -> dict[str, str]:
    return dict(word.split(":") for word in text.split())


def _query(words: list[str], origin: str) -> tuple[bytes, bool]:
    qname, qtype, *flags = words
    if not qname.endswith("."):
        qname = f"{origin}." if qname == "@" else f"{qname}.{origin}."
    options = dict(flag.split("=") for flag in flags if "=" in flag)
    edns = {"do", "edns"} & set(flags) or "size" in options
    message = dns.message.make_query(
        qname,
        qtype,
        options.get("class", "IN"),
        use_edns=0 if edns else False,
        want_dnssec="do" in flags,
        payload=int(options.get("size", 1232)),
        id=4711,
    )
    message.flags = dns.flags.Flag(0)
    for word, flag in (("rd", dns.flags.RD), ("cd", dns.flags.CD), ("ad", dns.flags.AD)):
        if word in flags:
            message.flags |= flag
    return message.to_wire(), "tcp" in flags


def table(branch: str, origin: str, lines: str) -> Iterator[Case]:
    """The cases of one branch."""
    for line in filter(None, (line.strip() for line in lines.splitlines())):
        left, _, right = line.partition(" = ")
        rcode, _, differs = right.partition(" ! ")
        wire, tcp = _query(left.split(), origin)
        yield Case(f"{branch}: {' '.join(left.split())} {origin}", wire, tcp, rcode.strip(), _differs(differs))


QUESTION = b"\x03www\x07feature\x04test\x00\x00\x01\x00\x01"
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"


def header(flags: int = 0, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in (4711, flags, qd, an, ns, ar))


def _named(qname: bytes, rest: bytes = b"\x00\x01\x00\x01") -> bytes:
    return header() + qname + rest


def _tsig(name: bytes = b"\x07unknown\x00") -> bytes:
    rdata = b"\x0bhmac-sha256\x00" + bytes(6) + b"\x01\x2c" + b"\x00\x20" + bytes(32) + b"\x12\x67\x00\x00\x00\x00"
    return name + b"\x00\xfa\x00\xff\x00\x00\x00\x00" + len(rdata).to_bytes(2, "big") + rdata


_SOA = b"\x00\x00\x06\x00\x01" + bytes(4) + b"\x00\x16\x00\x00" + bytes(20)
_TXT = b"\x00\x00\x10\x00\x01" + bytes(4) + b"\x00\x02\x01x"
_LONG = (b"\x3f" + b"a" * 63) * 4 + b"\x00"
_ZONE = b"\x07feature\x04test\x00\x00\x06\x00\x01"
_ABROAD = b"\x07example\x03net\x00\x00\x06\x00\x01"
_BARE = header(ar=1)


def _opt(options: bytes, *, version: int = 0, size: int = 1232, flags: int = 0) -> bytes:
    head = b"\x00\x00\x29" + size.to_bytes(2, "big") + bytes((0, version)) + flags.to_bytes(2, "big")
    return head + len(options).to_bytes(2, "big") + options


def _option(code: int, octets: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(octets).to_bytes(2, "big") + octets


def _asked(opt: bytes) -> bytes:
    return header(ar=1) + QUESTION + opt


# Requests that no library would write: what it is, its octets, whether it goes over TCP.
REQUESTS: list[tuple[str, bytes, bool]] = [
    ("QR set", header(0x8000) + QUESTION, False),
    ("QR set, an answer counted", header(0x8400, an=1) + QUESTION, False),
    ("shorter than a header", b"\x12\x67\x00\x00\x00", False),
    ("header alone, no question counted", header(qd=0), False),
    ("header alone, a question counted", header(), False),
    *[(f"opcode {n}", header(n << 11) + QUESTION, False) for n in (1, 2, 3, 6, 7, 15)],
    ("opcode 15, header alone", header(15 << 11, qd=0), False),
    ("two questions", header(qd=2) + QUESTION * 2, False),
    ("an answer in a query", header(an=1) + QUESTION + _TXT, False),
    ("an authority in a query", header(ns=1) + QUESTION + _SOA, False),
    ("65535 answers counted", header(an=65535) + QUESTION, False),
    ("65535 additionals counted", header(ar=65535) + QUESTION, False),
    ("an additional counted that is not there", header(ar=1) + QUESTION, False),
    ("a TXT in the additional section", header(ar=1) + QUESTION + _TXT, False),
    ("three additionals", header(ar=3) + QUESTION + _TXT * 3, False),
    ("octets after the end", header() + QUESTION + b"junk", False),
    ("question cut off in the name", header() + QUESTION[:7], False),
    ("question cut off in the class", header() + QUESTION[:-1], False),
    ("a label of 64", _named(b"\x40" + b"a" * 64 + b"\x00"), False),
    ("a pointer to itself", _named(b"\xc0\x0c"), False),
    ("a pointer into the header", _named(b"\x03www\xc0\x00"), False),
    ("a name of 257 octets", _named(_LONG), False),
    ("an extended label", _named(b"\x41\x01\x00"), False),
    ("TC set", header(0x0200) + QUESTION, False),
    ("AA set", header(0x0400) + QUESTION, False),
    ("Z set", header(0x0040) + QUESTION, False),
    ("RA set", header(0x0080) + QUESTION, False),
    ("an RCODE in the query", header(0x0003) + QUESTION, False),
    ("RD, AD and CD set", header(0x0130) + QUESTION, False),
    ("EDNS version 1", _asked(_opt(b"", version=1)), False),
    ("EDNS version 255 with DO", _asked(_opt(b"", version=255, flags=0x8000)), False),
    ("EDNS version 1 with an option", _asked(_opt(_option(3, b""), version=1)), False),
    ("EDNS flags that are not assigned", _asked(_opt(b"", flags=0x7FFF)), False),
    ("EDNS size 0", _asked(_opt(b"", size=0)), False),
    ("EDNS size 65535", _asked(_opt(b"", size=65535)), False),
    ("two OPT", header(ar=2) + QUESTION + OPT * 2, False),
    ("an OPT not of the root", header(ar=1) + QUESTION + b"\x01x" + OPT, False),
    ("an OPT among the answers", header(an=1) + QUESTION + OPT, False),
    ("an OPT among the authorities", header(ns=1) + QUESTION + OPT, False),
    ("an option longer than the OPT", _asked(_opt(b"\x00\x03\x00\x09x")), False),
    ("an option cut off", _asked(_opt(b"\x00\x03\x00")), False),
    ("rdata longer than the message", _asked(OPT[:-2] + b"\x00\x09"), False),
    ("an unknown option", _asked(_opt(_option(65001, b"hello"))), False),
    ("two unknown options", _asked(_opt(_option(65001, b"") + _option(100, b"x"))), False),
    ("NSID", _asked(_opt(_option(3, b""))), False),
    ("client subnet", _asked(_opt(_option(8, b"\x00\x01\x18\x00\xc0\x00\x02"))), False),
    ("padding", _asked(_opt(_option(12, bytes(20)))), False),
    ("TCP keepalive", _asked(_opt(_option(11, b""))), True),
    ("TCP keepalive over UDP", _asked(_opt(_option(11, b""))), False),
    ("cookie of a client", _asked(_opt(_option(10, b"12345678"))), False),
    ("cookie of a client over TCP", _asked(_opt(_option(10, b"12345678"))), True),
    ("cookie with a server's that is not ours", _asked(_opt(_option(10, b"12345678" + b"x" * 16))), False),
    ("cookie with a server's of 8", _asked(_opt(_option(10, b"12345678" * 2))), False),
    ("cookie with a server's of 32", _asked(_opt(_option(10, b"12345678" * 5))), False),
    ("cookie of 7", _asked(_opt(_option(10, b"1234567"))), False),
    ("cookie of 0", _asked(_opt(_option(10, b""))), False),
    ("cookie of 15", _asked(_opt(_option(10, b"1" * 15))), False),
    ("cookie of 41", _asked(_opt(_option(10, b"1" * 41))), False),
    ("no question, no cookie", header(qd=0, ar=1) + OPT, False),
    ("no question, a client's cookie", header(qd=0, ar=1) + _opt(_option(10, b"12345678")), False),
    ("no question, a bad cookie", header(qd=0, ar=1) + _opt(_option(10, b"12345678" + b"x" * 16)), False),
    ("an unknown TSIG key", header(ar=1) + QUESTION + _tsig(), False),
    ("an unknown TSIG key beside an OPT", header(ar=2) + QUESTION + OPT + _tsig(), False),
    ("a TSIG before the OPT", header(ar=2) + QUESTION + _tsig() + OPT, False),
    ("two TSIG", header(ar=2) + QUESTION + _tsig() * 2, False),
    ("a TSIG cut off", header(ar=1) + QUESTION + _tsig()[:-4], False),
    ("NOTIFY of a primary zone", header(0x2400) + _ZONE, False),
    ("NOTIFY of a zone that is not here", header(0x2400) + _ABROAD, False),
    ("UPDATE of a zone", header(0x2800) + _ZONE, False),
    ("UPDATE of a zone that is not here", header(0x2800) + _ABROAD, False),
    ("AXFR over UDP", header() + _ZONE[:-4] + b"\x00\xfc\x00\x01", False),
    ("AXFR of a zone that is not here", header() + _ABROAD[:-4] + b"\x00\xfc\x00\x01", True),
    ("AXFR that is not allowed", header() + _ZONE[:-4] + b"\x00\xfc\x00\x01", True),
]

# What comes of them.
OUTCOMES = """
    QR set = no answer
    QR set, an answer counted = no answer
    shorter than a header = no answer
    header alone, no question counted = FORMERR
    header alone, a question counted = FORMERR ! knotd:silent
    opcode 1 = NOTIMP
    opcode 2 = NOTIMP
    opcode 3 = NOTIMP
    opcode 6 = NOTIMP
    opcode 7 = NOTIMP
    opcode 15 = NOTIMP
    opcode 15, header alone = NOTIMP
    two questions = FORMERR ! knotd:silent
    an answer in a query = FORMERR ! named:lenient-sections knotd:lenient-sections
    an authority in a query = FORMERR ! named:lenient-sections knotd:lenient-sections
    65535 answers counted = FORMERR
    65535 additionals counted = FORMERR
    an additional counted that is not there = FORMERR
    a TXT in the additional section = NOERROR ! nsd:strict-additional
    three additionals = FORMERR ! named:lenient-sections knotd:lenient-sections
    octets after the end = FORMERR ! named:trailing nsd:trailing
    question cut off in the name = FORMERR ! knotd:silent
    question cut off in the class = FORMERR ! knotd:silent
    a label of 64 = FORMERR ! knotd:silent
    a pointer to itself = FORMERR ! knotd:silent
    a pointer into the header = FORMERR ! knotd:silent
    a name of 257 octets = FORMERR ! knotd:silent
    an extended label = FORMERR ! knotd:silent
    TC set = NOERROR
    AA set = NOERROR
    Z set = NOERROR
    RA set = NOERROR
    an RCODE in the query = NOERROR ! nsd:rcode-ignored
    RD, AD and CD set = NOERROR
    EDNS version 1 = BADVERS
    EDNS version 255 with DO = BADVERS
    EDNS version 1 with an option = BADVERS
    EDNS flags that are not assigned = NOERROR
    EDNS size 0 = NOERROR
    EDNS size 65535 = NOERROR
    two OPT = FORMERR
    an OPT not of the root = FORMERR ! knotd:opt-owner
    an OPT among the answers = FORMERR
    an OPT among the authorities = FORMERR
    an option longer than the OPT = FORMERR
    an option cut off = FORMERR
    rdata longer than the message = FORMERR
    an unknown option = NOERROR
    two unknown options = NOERROR
    NSID = NOERROR
    client subnet = NOERROR
    padding = NOERROR
    TCP keepalive = NOERROR
    TCP keepalive over UDP = NOERROR
    cookie of a client = NOERROR
    cookie of a client over TCP = NOERROR
    cookie with a server's that is not ours = NOERROR
    cookie with a server's of 8 = NOERROR
    cookie with a server's of 32 = NOERROR
    cookie of 7 = FORMERR ! nsd:no-cookies knotd:no-cookies
    cookie of 0 = FORMERR ! nsd:no-cookies knotd:no-cookies
    cookie of 15 = FORMERR ! nsd:no-cookies knotd:no-cookies
    cookie of 41 = FORMERR ! nsd:no-cookies knotd:no-cookies
    no question, no cookie = FORMERR ! nsd:no-question
    no question, a client's cookie = NOERROR ! knotd:no-cookie-query
    no question, a bad cookie = BADCOOKIE ! named:badcookie nsd:badcookie knotd:badcookie
    an unknown TSIG key = NOTAUTH
    an unknown TSIG key beside an OPT = NOTAUTH
    a TSIG before the OPT = FORMERR
    two TSIG = FORMERR
    a TSIG cut off = FORMERR
    NOTIFY of a primary zone = REFUSED ! named:notify-primary nsd:notify-primary knotd:notify-primary
    NOTIFY of a zone that is not here = NOTAUTH ! nsd:notify-nxdomain
    UPDATE of a zone = REFUSED ! nsd:update-notimp knotd:update-notauth
    UPDATE of a zone that is not here = NOTAUTH ! nsd:update-notimp
    AXFR over UDP = FORMERR ! named:axfr-udp nsd:axfr-udp knotd:axfr-udp
    AXFR of a zone that is not here = NOTAUTH
    AXFR that is not allowed = REFUSED ! knotd:axfr-notauth
"""

TABLES = [
    (
        "exact match",
        "feature.test",
        r"""
    www A = NOERROR
    www AAAA = NOERROR
    www TXT = NOERROR
    www A do = NOERROR
    www A edns = NOERROR
    www A tcp = NOERROR
    www A rd = NOERROR
    www A cd ad rd = NOERROR
    WwW A = NOERROR
    mixed A = NOERROR
    MIXED A do = NOERROR
    @ SOA = NOERROR
    @ SOA do tcp = NOERROR
    @ TXT = NOERROR
    @ CAA = NOERROR
    @ MX = NOERROR ! knotd:mail-addresses
    mxonly MX = NOERROR ! knotd:mail-addresses
    srv SRV = NOERROR ! knotd:mail-addresses
    _sip._tcp SRV = NOERROR ! knotd:mail-addresses
    svc HTTPS = NOERROR
    naptr NAPTR = NOERROR
    unknown TYPE65280 = NOERROR
    nul\000label A = NOERROR
    dot\.label A = NOERROR
    onlytxt TXT = NOERROR
    ns1 AAAA = NOERROR
    _sip._tcp SRV do tcp = NOERROR ! knotd:mail-addresses
    mxonly MX do = NOERROR ! knotd:mail-addresses
    """,
    ),
    (
        "apex NS",
        "feature.test",
        r"""
    @ NS = NOERROR ! named:apex-glue
    @ NS do = NOERROR ! named:apex-glue
    @ NS tcp = NOERROR ! named:apex-glue
    """,
    ),
    (
        "NODATA",
        "feature.test",
        r"""
    www MX = NOERROR
    www MX do = NOERROR
    www TYPE65280 = NOERROR
    www DS = NOERROR
    www DNSKEY do = NOERROR
    mail AAAA = NOERROR
    onlytxt A = NOERROR
    onlytxt SOA = NOERROR
    @ A = NOERROR
    @ DS = NOERROR
    @ NSEC = NOERROR
    @ RRSIG = NOERROR
    www RRSIG do = NOERROR
    www NSEC do = NOERROR
    naptr A tcp = NOERROR
    nul\000label TXT = NOERROR
    @ CNAME = NOERROR
    www CNAME = NOERROR
    www NS = NOERROR
    www SOA = NOERROR
    www DNAME = NOERROR
    """,
    ),
    (
        "NXDOMAIN",
        "feature.test",
        r"""
    nx A = NXDOMAIN
    nx A do = NXDOMAIN
    nx A tcp = NXDOMAIN
    nx SOA = NXDOMAIN
    nx NS = NXDOMAIN
    nx CNAME = NXDOMAIN
    nx DS = NXDOMAIN
    nx.www A = NXDOMAIN
    deep.nx.www A = NXDOMAIN
    a.very.long.way.down A = NXDOMAIN
    NX A = NXDOMAIN
    *.nx A = NXDOMAIN
    nx.onlytxt TXT = NXDOMAIN
    label A = NXDOMAIN
    zzzz.mail AAAA = NXDOMAIN
    nx.srv SRV = NXDOMAIN
    nx MX do = NXDOMAIN
    """,
    ),
    (
        "empty non-terminal",
        "feature.test",
        r"""
    ent A = NOERROR
    b.ent A = NOERROR
    b.ent TXT do = NOERROR
    ent NS = NOERROR
    ent DS = NOERROR
    nx.ent A = NXDOMAIN
    nx.b.ent A = NXDOMAIN
    a.b.ent A = NOERROR
    _tcp SRV = NOERROR
    _tcp A = NOERROR
    _udp A = NXDOMAIN
    cut A = NOERROR
    ent.cut A = NOERROR
    nx.ent.cut A = NXDOMAIN
    """,
    ),
    (
        "CNAME",
        "feature.test",
        r"""
    alias A = NOERROR
    alias AAAA = NOERROR
    alias A do = NOERROR
    alias TXT = NOERROR
    alias MX = NOERROR
    alias CNAME = NOERROR
    alias SOA = NOERROR
    alias NS = NOERROR
    alias DS = NOERROR
    alias2 A = NOERROR
    alias3 A = NOERROR
    alias3 A tcp = NOERROR
    alias3 CNAME = NOERROR
    dangling A = NXDOMAIN
    dangling CNAME = NOERROR
    toent A = NOERROR
    todeleg A = NOERROR
    todeleg A do = NOERROR
    todname A = NXDOMAIN
    towild A = NOERROR
    towild TXT = NOERROR
    towild MX = NOERROR
    nx.alias A = NXDOMAIN
    toabroad A = NOERROR
    toabroad CNAME = NOERROR
    """,
    ),
    (
        "CNAME into another zone",
        "feature.test",
        r"""
    toother A = NOERROR ! named:one-zone knotd:one-zone
    toother AAAA = NOERROR ! named:one-zone knotd:one-zone
    toother A do = NOERROR ! named:one-zone knotd:one-zone
    toothernx A = NXDOMAIN ! named:one-zone knotd:one-zone
    tootheralias A = NOERROR ! named:one-zone knotd:one-zone
    tochild A = NOERROR ! named:one-zone knotd:own-referral
    tochild MX = NOERROR ! named:one-zone knotd:own-referral
    tochildnx A = NXDOMAIN ! named:one-zone knotd:own-referral
    aliasns A = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "CNAME into another zone",
        "other.test",
        r"""
    back A = NOERROR ! named:one-zone knotd:one-zone
    back AAAA = NOERROR ! named:one-zone knotd:one-zone
    back MX = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "CNAME into another zone",
        "child.feature.test",
        r"""
    up A = NOERROR ! named:one-zone knotd:one-zone
    up MX = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "CNAME loop",
        "feature.test",
        r"""
    loop A = NOERROR ! named:loop-servfail
    loop CNAME = NOERROR
    loop1 A = NOERROR ! named:loop-servfail
    loop2 A = NOERROR ! named:loop-servfail
    pingpong A = NOERROR ! named:one-zone knotd:one-zone
    pingpong A tcp = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "wildcard",
        "feature.test",
        r"""
    any.wild A = NOERROR
    any.wild TXT = NOERROR
    any.wild MX = NOERROR
    any.wild A do = NOERROR
    two.labels.wild A = NOERROR
    ANY.Wild A = NOERROR
    exists.wild A = NOERROR
    exists.wild TXT = NOERROR
    nx.exists.wild A = NXDOMAIN
    ent.wild A = NOERROR
    nx.ent.wild A = NXDOMAIN
    deep.ent.wild A = NOERROR
    *.wild A = NOERROR
    *.wild MX = NOERROR
    x.*.wild A = NXDOMAIN
    wild A = NOERROR
    wild TXT = NOERROR
    x.wildalias A = NOERROR
    x.wildalias CNAME = NOERROR
    x.wildalias MX = NOERROR
    x.y.wildalias AAAA = NOERROR
    x.wildabroad A = NOERROR
    host9.wildmx MX = NOERROR
    host9.wildmx A = NOERROR
    host1.wildmx MX = NOERROR
    foo.wildent TXT = NOERROR
    foo.wildent A = NOERROR
    sub.*.wildent TXT = NOERROR
    nx.*.wildent TXT = NXDOMAIN
    *.wildent TXT = NOERROR
    foo.starent TXT = NOERROR
    foo.bar.starent A = NOERROR
    x.*.starent TXT = NOERROR
    *.starent TXT = NOERROR
    starent A = NOERROR
    """,
    ),
    (
        "delegation",
        "feature.test",
        r"""
    sub A = NOERROR
    sub NS = NOERROR
    sub SOA = NOERROR
    sub TXT do = NOERROR
    host.sub A = NOERROR
    host.sub A do = NOERROR
    host.sub A tcp = NOERROR
    ns1.sub A = NOERROR
    ns2.sub AAAA = NOERROR
    below.sub A = NOERROR
    nx.below.sub A = NOERROR
    deeper.sub A = NOERROR
    x.deeper.sub A = NOERROR
    HOST.SUB A = NOERROR
    sub CNAME = NOERROR
    sub MX = NOERROR
    outzone A = NOERROR
    x.outzone A = NOERROR
    mixed A = NOERROR
    ns.mixed A = NOERROR
    x.mixed A = NOERROR
    noglue A = NOERROR
    ns.noglue A = NOERROR
    inzone A = NOERROR ! named:in-zone-addresses
    x.inzone A = NOERROR ! named:in-zone-addresses
    below.ent.cut A = NOERROR ! named:in-zone-addresses
    x.below.ent.cut A = NOERROR ! named:in-zone-addresses
    """,
    ),
    (
        "sibling glue",
        "feature.test",
        r"""
    sibling A = NOERROR
    x.sibling A = NOERROR
    x.sibling A do = NOERROR
    sibling2 NS = NOERROR
    x.sibling2 A = NOERROR
    ns.sibling A = NOERROR
    ns.sibling2 A = NOERROR
    """,
    ),
    (
        "DS",
        "feature.test",
        r"""
    sub DS = NOERROR
    sub DS do = NOERROR
    outzone DS = NOERROR
    host.sub DS = NOERROR
    deeper.sub DS = NOERROR
    below.ent.cut DS = NOERROR
    """,
    ),
    (
        "child beside its parent",
        "feature.test",
        r"""
    child A = NOERROR
    child SOA = NOERROR
    child NS = NOERROR
    child DS = NOERROR
    child DS do = NOERROR
    child DS tcp = NOERROR
    www.child A = NOERROR
    nx.child A = NXDOMAIN
    ns.child A = NOERROR
    x.w.child A = NOERROR
    grand.child A = NOERROR
    x.grand.child A = NOERROR
    x.grand.child A do = NOERROR
    grand.child DS = NOERROR
    ns.grand.child A = NOERROR
    """,
    ),
    (
        "DNAME",
        "feature.test",
        r"""
    x.dn A = NXDOMAIN
    x.dn A do = NXDOMAIN
    x.dn A tcp = NXDOMAIN
    host.dn A = NOERROR
    host.dn AAAA = NOERROR
    HoSt.DN A = NOERROR
    dn DNAME = NOERROR
    dn TXT = NOERROR
    dn A = NOERROR
    dn MX = NOERROR
    x.wilddn.dn A = NOERROR
    host.dn CNAME = NOERROR
    host.dn DNAME = NOERROR
    nx.dn A = NXDOMAIN
    a.b.c.dn A = NXDOMAIN
    x.dnabroad A = NOERROR
    www.dnother A = NOERROR ! named:one-zone knotd:one-zone
    nx.dnother A = NXDOMAIN ! named:one-zone knotd:one-zone
    www.dnother AAAA = NOERROR ! named:one-zone knotd:one-zone
    x.dnself A = NOERROR ! named:loop-servfail
    host.dnchain A = NOERROR
    x.dnself CNAME = NOERROR
    host.dnchain TXT = NOERROR
    label-of-29-octets-xxxxxxxxxx.dnlong A edns = NXDOMAIN
    label-of-30-octets-xxxxxxxxxxx.dnlong A edns = YXDOMAIN ! knotd:no-yxdomain
    label-of-30-octets-xxxxxxxxxxx.dnlong A do = YXDOMAIN ! knotd:no-yxdomain
    several.labels.of.30.octets.xx.dnlong A edns = YXDOMAIN ! knotd:no-yxdomain
    label-of-30-octets-xxxxxxxxxxx.dnlong CNAME edns = YXDOMAIN ! knotd:no-yxdomain
    x.dnlong A edns = NXDOMAIN
    """,
    ),
    (
        "DNAME",
        "other.test",
        r"""
    www.dnback A = NOERROR ! named:one-zone knotd:one-zone
    alias.dnback A = NOERROR ! named:one-zone knotd:one-zone
    nx.dnback A = NXDOMAIN ! named:one-zone knotd:one-zone
    x.sub.dnback A = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "ANY",
        "feature.test",
        r"""
    www ANY = NOERROR ! named:any-all
    www ANY tcp = NOERROR ! named:any-all
    @ ANY = NOERROR ! named:any-all nsd:any-other knotd:any-additional
    alias ANY = NOERROR
    any.wild ANY = NOERROR ! named:any-all
    ent ANY = NOERROR
    nx ANY = NXDOMAIN
    sub ANY = NOERROR
    x.dn ANY = NOERROR ! nsd:any-follows knotd:any-follows
    onlytxt ANY = NOERROR
    mxonly ANY do = NOERROR ! knotd:any-additional
    """,
    ),
    (
        "truncation",
        "feature.test",
        r"""
    big TXT = NOERROR
    big TXT edns = NOERROR
    big TXT size=512 = NOERROR
    big TXT size=700 = NOERROR
    big TXT size=100 = NOERROR
    big TXT tcp = NOERROR
    big TXT size=4096 = NOERROR
    huge TXT size=4096 = NOERROR
    huge TXT = NOERROR
    huge TXT tcp = NOERROR
    toobig TXT = NOERROR
    toobig TXT size=1232 = NOERROR
    toobig TXT tcp = NOERROR
    manyns A = NOERROR ! named:glue-without-tc nsd:glue-without-tc
    x.manyns A = NOERROR ! named:glue-without-tc nsd:glue-without-tc
    x.manyns A edns = NOERROR
    x.manyns A tcp = NOERROR
    """,
    ),
    (
        "class",
        "feature.test",
        r"""
    www A class=CH = REFUSED
    www A class=HS = REFUSED
    www A class=ANY = REFUSED ! named:class-any nsd:class-any knotd:class-any
    www A class=NONE = REFUSED ! named:class-none
    version.bind. TXT class=CH = REFUSED ! named:chaos nsd:chaos knotd:chaos
    id.server. TXT class=CH = REFUSED ! named:chaos nsd:chaos knotd:chaos
    version.server. TXT class=CH = REFUSED ! nsd:chaos knotd:chaos
    hostname.bind. TXT class=CH = REFUSED ! named:chaos nsd:chaos knotd:chaos
    """,
    ),
    (
        "not here",
        "example.net",
        r"""
    @ A = REFUSED
    www A = REFUSED
    www A edns = REFUSED
    @ SOA = REFUSED
    @ ANY = REFUSED
    . NS = REFUSED
    . A = REFUSED
    test. A = REFUSED
    test. SOA = REFUSED
    test. DS = REFUSED
    @ DS = REFUSED
    www A tcp = REFUSED
    @ NS rd = REFUSED
    """,
    ),
    (
        "QTYPE that asks for no data",
        "feature.test",
        r"""
    www TYPE0 = NOERROR ! knotd:type-zero
    www OPT = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TSIG = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TKEY = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www MAILA = NOTIMP ! nsd:meta-as-data knotd:meta-as-data
    www MAILB = NOTIMP ! nsd:meta-as-data knotd:meta-as-data
    www TYPE128 = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TYPE200 = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TYPE248 = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TYPE103 = NOERROR
    """,
    ),
    (
        "NSEC",
        "nsec.test",
        r"""
    www A = NOERROR
    www A do = NOERROR
    www MX do = NOERROR
    www DS do = NOERROR
    www RRSIG = NOERROR ! knotd:one-signature
    www RRSIG do = NOERROR ! knotd:one-signature
    www NSEC do = NOERROR
    @ SOA do = NOERROR
    @ NS do = NOERROR
    @ MX do = NOERROR ! knotd:mail-addresses
    @ DNSKEY do = NOERROR
    @ DNSKEY = NOERROR
    @ NSEC3PARAM do = NOERROR
    @ DS do = NOERROR
    @ A do = NOERROR
    @ ANY do = NOERROR ! named:any-all nsd:any-other knotd:any-additional
    www ANY do = NOERROR ! named:any-all
    www ANY = NOERROR ! named:any-all
    nx A = NXDOMAIN
    nx A do = NXDOMAIN
    nx.www A do = NXDOMAIN
    a.b.c.nx A do = NXDOMAIN
    zzzz A do = NXDOMAIN
    0 A do = NXDOMAIN
    ent A do = NOERROR
    b.ent A do = NOERROR
    a.b.ent A do = NOERROR
    nx.ent A do = NXDOMAIN
    nx.b.ent A do = NXDOMAIN
    alias A do = NOERROR
    alias A = NOERROR
    alias MX do = NOERROR
    alias CNAME do = NOERROR
    nx.alias A do = NXDOMAIN
    dangling A do = NXDOMAIN
    towild A do = NOERROR
    tosecure A do = NOERROR
    toinsecure A do = NOERROR
    toabroad A do = NOERROR
    x.wild A do = NOERROR
    x.wild A = NOERROR
    x.wild TXT do = NOERROR
    x.wild MX do = NOERROR
    x.y.wild A do = NOERROR
    exists.wild TXT do = NOERROR
    nx.exists.wild A do = NXDOMAIN
    ent.wild A do = NOERROR
    nx.ent.wild A do = NXDOMAIN
    wild A do = NOERROR
    *.wild A do = NOERROR
    *.wild MX do = NOERROR
    x.wildalias A do = NOERROR
    x.wildalias MX do = NOERROR
    x.wildalias CNAME do = NOERROR
    x.wildabroad A do = NOERROR
    foo.starent TXT do = NOERROR ! named:wildcard-ent-proof knotd:wildcard-ent-proof
    foo.bar.starent A do = NOERROR ! named:wildcard-ent-proof knotd:wildcard-ent-proof
    *.starent TXT do = NOERROR
    secure A = NOERROR
    secure A do = NOERROR
    x.secure A do = NOERROR
    secure DS do = NOERROR
    secure DS = NOERROR
    secure NS do = NOERROR
    ns.secure A do = NOERROR
    x.secure DS do = NOERROR
    insecure A do = NOERROR
    x.insecure A do = NOERROR
    insecure DS do = NOERROR
    insecure NS do = NOERROR
    x.insecure2 A do = NOERROR ! named:in-zone-addresses
    insecure2 DS do = NOERROR
    x.unsigned.deep A do = NOERROR
    unsigned.deep DS do = NOERROR
    deep A do = NOERROR
    nx.deep A do = NXDOMAIN
    dn A do = NOERROR
    dn DNAME do = NOERROR
    host.dn A do = NOERROR
    nx.dn A do = NXDOMAIN ! nsd:denial-after-dname
    x.y.dn TXT do = NXDOMAIN ! nsd:denial-after-dname
    zzz TXT do = NOERROR
    zzz A do = NOERROR
    nx.zzz A do = NXDOMAIN
    @ TYPE65280 do = NOERROR
    secure ANY do = NOERROR
    ns1 AAAA do tcp = NOERROR
    nx A do tcp = NXDOMAIN
    x.unsigned.deep A do tcp = NOERROR
    """,
    ),
    (
        "NSEC3",
        "nsec3.test",
        r"""
    www A = NOERROR
    www A do = NOERROR
    www MX do = NOERROR
    www DS do = NOERROR
    www RRSIG = NOERROR ! knotd:one-signature
    www RRSIG do = NOERROR ! knotd:one-signature
    www NSEC do = NOERROR
    @ SOA do = NOERROR
    @ NS do = NOERROR
    @ MX do = NOERROR ! knotd:mail-addresses
    @ DNSKEY do = NOERROR
    @ DNSKEY = NOERROR
    @ NSEC3PARAM do = NOERROR
    @ DS do = NOERROR
    @ A do = NOERROR
    @ ANY do = NOERROR ! named:any-all nsd:any-other knotd:any-additional
    www ANY do = NOERROR ! named:any-all
    www ANY = NOERROR ! named:any-all
    nx A = NXDOMAIN
    nx A do = NXDOMAIN
    nx.www A do = NXDOMAIN
    a.b.c.nx A do = NXDOMAIN
    zzzz A do = NXDOMAIN
    0 A do = NXDOMAIN
    ent A do = NOERROR
    b.ent A do = NOERROR
    a.b.ent A do = NOERROR
    nx.ent A do = NXDOMAIN
    nx.b.ent A do = NXDOMAIN
    alias A do = NOERROR
    alias A = NOERROR
    alias MX do = NOERROR
    alias CNAME do = NOERROR
    nx.alias A do = NXDOMAIN
    dangling A do = NXDOMAIN
    towild A do = NOERROR
    tosecure A do = NOERROR
    toinsecure A do = NOERROR
    toabroad A do = NOERROR
    x.wild A do = NOERROR
    x.wild A = NOERROR
    x.wild TXT do = NOERROR
    x.wild MX do = NOERROR
    x.y.wild A do = NOERROR
    exists.wild TXT do = NOERROR
    nx.exists.wild A do = NXDOMAIN
    ent.wild A do = NOERROR
    nx.ent.wild A do = NXDOMAIN
    wild A do = NOERROR
    *.wild A do = NOERROR
    *.wild MX do = NOERROR ! nsd:needless-next-closer
    x.wildalias A do = NOERROR
    x.wildalias MX do = NOERROR
    x.wildalias CNAME do = NOERROR
    x.wildabroad A do = NOERROR
    foo.starent TXT do = NOERROR
    foo.bar.starent A do = NOERROR
    *.starent TXT do = NOERROR ! nsd:needless-next-closer
    secure A = NOERROR
    secure A do = NOERROR
    x.secure A do = NOERROR
    secure DS do = NOERROR
    secure DS = NOERROR
    secure NS do = NOERROR
    ns.secure A do = NOERROR
    x.secure DS do = NOERROR
    insecure A do = NOERROR
    x.insecure A do = NOERROR
    insecure DS do = NOERROR
    insecure NS do = NOERROR
    x.insecure2 A do = NOERROR ! named:in-zone-addresses
    insecure2 DS do = NOERROR
    x.unsigned.deep A do = NOERROR
    unsigned.deep DS do = NOERROR
    deep A do = NOERROR
    nx.deep A do = NXDOMAIN
    dn A do = NOERROR
    dn DNAME do = NOERROR
    host.dn A do = NOERROR
    nx.dn A do = NXDOMAIN
    x.y.dn TXT do = NXDOMAIN
    zzz TXT do = NOERROR
    zzz A do = NOERROR
    nx.zzz A do = NXDOMAIN
    @ TYPE65280 do = NOERROR
    secure ANY do = NOERROR
    ns1 AAAA do tcp = NOERROR
    nx A do tcp = NXDOMAIN
    x.unsigned.deep A do tcp = NOERROR
    """,
    ),
    (
        "NSEC3 opt-out",
        "optout.test",
        r"""
    www A = NOERROR
    www A do = NOERROR
    www MX do = NOERROR
    www DS do = NOERROR
    www RRSIG = NOERROR ! knotd:one-signature
    www RRSIG do = NOERROR ! knotd:one-signature
    www NSEC do = NOERROR
    @ SOA do = NOERROR
    @ NS do = NOERROR
    @ MX do = NOERROR ! knotd:mail-addresses
    @ DNSKEY do = NOERROR
    @ DNSKEY = NOERROR
    @ NSEC3PARAM do = NOERROR
    @ DS do = NOERROR
    @ A do = NOERROR
    @ ANY do = NOERROR ! named:any-all nsd:any-other knotd:any-additional
    www ANY do = NOERROR ! named:any-all
    www ANY = NOERROR ! named:any-all
    nx A = NXDOMAIN
    nx A do = NXDOMAIN
    nx.www A do = NXDOMAIN
    a.b.c.nx A do = NXDOMAIN
    zzzz A do = NXDOMAIN
    0 A do = NXDOMAIN
    ent A do = NOERROR
    b.ent A do = NOERROR
    a.b.ent A do = NOERROR
    nx.ent A do = NXDOMAIN
    nx.b.ent A do = NXDOMAIN
    alias A do = NOERROR
    alias A = NOERROR
    alias MX do = NOERROR
    alias CNAME do = NOERROR
    nx.alias A do = NXDOMAIN
    dangling A do = NXDOMAIN
    towild A do = NOERROR
    tosecure A do = NOERROR
    toinsecure A do = NOERROR
    toabroad A do = NOERROR
    x.wild A do = NOERROR
    x.wild A = NOERROR
    x.wild TXT do = NOERROR
    x.wild MX do = NOERROR
    x.y.wild A do = NOERROR
    exists.wild TXT do = NOERROR
    nx.exists.wild A do = NXDOMAIN
    ent.wild A do = NOERROR
    nx.ent.wild A do = NXDOMAIN
    wild A do = NOERROR
    *.wild A do = NOERROR
    *.wild MX do = NOERROR ! nsd:needless-next-closer
    x.wildalias A do = NOERROR
    x.wildalias MX do = NOERROR
    x.wildalias CNAME do = NOERROR
    x.wildabroad A do = NOERROR
    foo.starent TXT do = NOERROR
    foo.bar.starent A do = NOERROR
    *.starent TXT do = NOERROR ! nsd:needless-next-closer
    secure A = NOERROR
    secure A do = NOERROR
    x.secure A do = NOERROR
    secure DS do = NOERROR
    secure DS = NOERROR
    secure NS do = NOERROR
    ns.secure A do = NOERROR
    x.secure DS do = NOERROR
    insecure A do = NOERROR
    x.insecure A do = NOERROR
    insecure DS do = NOERROR
    insecure NS do = NOERROR
    x.insecure2 A do = NOERROR ! named:in-zone-addresses
    insecure2 DS do = NOERROR
    x.unsigned.deep A do = NOERROR
    unsigned.deep DS do = NOERROR
    deep A do = NOERROR
    nx.deep A do = NXDOMAIN ! nsd:encloser-not-provable
    dn A do = NOERROR
    dn DNAME do = NOERROR
    host.dn A do = NOERROR
    nx.dn A do = NXDOMAIN
    x.y.dn TXT do = NXDOMAIN
    zzz TXT do = NOERROR
    zzz A do = NOERROR
    nx.zzz A do = NXDOMAIN
    @ TYPE65280 do = NOERROR
    secure ANY do = NOERROR
    ns1 AAAA do tcp = NOERROR
    nx A do tcp = NXDOMAIN
    x.unsigned.deep A do tcp = NOERROR
    """,
    ),
    (
        "signed child beside its parent",
        "hosted.nsec.test",
        r"""
    @ DS = NOERROR
    @ DS do = NOERROR
    @ DS do tcp = NOERROR
    @ NS do = NOERROR
    @ SOA do = NOERROR
    @ DNSKEY do = NOERROR
    www A do = NOERROR
    nx A do = NXDOMAIN
    @ NSEC do = NOERROR
    """,
    ),
    (
        "NSEC3 owners are no names",
        "nsec3.test",
        r"""
    GAILT7186OVON0TLCNUCI4A67E76S1GV NSEC3 do = NXDOMAIN
    GAILT7186OVON0TLCNUCI4A67E76S1GV A do = NXDOMAIN
    x.GAILT7186OVON0TLCNUCI4A67E76S1GV A do = NXDOMAIN ! nsd:nsec3-owner-encloser
    """,
    ),
    (
        "DNSSEC, no room",
        "nsec3.test",
        r"""
    nx A do size=512 = NXDOMAIN
    @ DNSKEY do size=512 = NOERROR
    x.insecure A do size=512 = NOERROR
    x.wild MX do size=700 = NOERROR
    """,
    ),
]


def _raw_cases() -> Iterator[Case]:
    outcomes = dict(line.strip().split(" = ", 1) for line in OUTCOMES.splitlines() if line)
    for name, wire, tcp in REQUESTS:
        rcode, _, differs = outcomes[name].partition(" ! ")
        yield Case(f"raw: {name}", wire, tcp, rcode, _differs(differs))


CASES = [case for rows in TABLES for case in table(*rows)] + list(_raw_cases())
