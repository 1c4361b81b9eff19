"""Requests that no library would write, and what comes of them."""

from __future__ import annotations

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
