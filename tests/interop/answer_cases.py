"""The table of answers: every branch of RFC 1034, 4.3.2 and what came after it, asked of us, BIND, NSD and Knot.

A line is a question and what comes of it:

    qname qtype [do] [edns] [size=N] [tcp] [rd] [cd] [ad] [class=CH] = RCODE [! program:reason ...]

``do`` and ``size`` imply ``edns`` (size 1232 where not given). After ``!`` stand the programs whose answer differs from
ours and why (``answer_reasons``); the test fails where one differs that is not named, and where one is named that does
not. A reason that all three share must quote an RFC's sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import dns.flags
import dns.message

from tests.interop import answer_tables, answer_tables_signed
from tests.interop.answer_requests import OUTCOMES, REQUESTS


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


def _raw_cases() -> Iterator[Case]:
    outcomes = dict(line.strip().split(" = ", 1) for line in OUTCOMES.splitlines() if line)
    for name, wire, tcp in REQUESTS:
        rcode, _, differs = outcomes[name].partition(" ! ")
        yield Case(f"raw: {name}", wire, tcp, rcode, _differs(differs))


CASES = [
    *(case for rows in answer_tables.TABLES + answer_tables_signed.TABLES for case in table(*rows)),
    *_raw_cases(),
]
