"""Reads a zone file: every error at once, each with its file and line.

Two ways through it, one meaning. Plain lines of common types (no quotes, escapes, parentheses, comments; a TTL, an
owner's parent and a type that were seen before) go through one tight loop, 2 to 3 us each; whatever that loop does not
take goes through ``_entry``, which also says what is wrong.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from typing import IO

from dnsserver.errors import InvalidData, Problem
from dnsserver.zone import names, rdata, rrtypes
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import Record
from dnsserver.zone.tokens import NOT_PLAIN, clean_line
from dnsserver.zone.ttl import parse_ttl
from dnsserver.zone.zonefile import generate, sources
from dnsserver.zone.zonefile.entry import Body, body, take
from dnsserver.zone.zonefile.parsed import Parsed, Places

MAX_PROBLEMS = 10_000
# Octets of text of one entry: rdata has at most 64 KiB, four characters each.
MAX_ENTRY = 1 << 20

_MAX_CACHED = 1 << 16
_LENGTHS = {size: bytes((size,)) for size in range(1, names.MAX_LABEL + 1)}
_SIGNATURES = frozenset({rrtypes.RRSIG, 24})
# The SOA gives a TTL to others, so it takes the slow way.
_PLAIN = {
    text: (rtype, rtype.to_bytes(2, "big"), rdata.from_plain(rtype))
    for rtype in rdata.FIELDS
    if rtype != rrtypes.SOA
    for text in (rdata.type_to_text(rtype), rdata.type_to_text(rtype).lower())
}


def read(
    source: str | os.PathLike[str] | IO[bytes] | IO[str],
    apex: bytes,
    *,
    limits: ZoneLimits | None = None,
    progress: Callable[[int], None] | None = None,
) -> Parsed:
    """The records and problems of a zone file, or of a stream (which includes no files).

    ``apex`` is the first origin; what is outside it is an error. ``progress`` is told the bytes read so far. Reading
    ends early past ``limits.zone_records`` or ``limits.zone_size``. Raises InvalidData when the file cannot be opened.
    """
    top = sources.open_top(source) if isinstance(source, (str, os.PathLike)) else _of_stream(source)
    reader = _Reader(apex, limits or ZoneLimits(), progress or (lambda done: None))
    try:
        reader.read_all(top)
    finally:
        if not top.is_foreign:
            top.stream.close()
    return reader.parsed()


def _of_stream(stream: IO[bytes] | IO[str]) -> sources.Source:
    shown = getattr(stream, "name", None)
    return sources.Source(shown if isinstance(shown, str) else "-", stream, is_foreign=True)


class _Stop(Exception):
    """Enough: a limit is passed; the problem is recorded."""


class _Reader:
    """The state of reading: what RFC 1035 (5.1) calls the current origin and the last stated owner and TTL."""

    def __init__(self, apex: bytes, limits: ZoneLimits, progress: Callable[[int], None]) -> None:
        self._apex = apex.lower()
        self._limits = limits
        self._progress = progress
        self._bytes = self._size = self._measured = self._generated = 0
        self._records: list[Record] = []
        self._lines = array("Q")
        self._files: list[str] = []
        self._problems: list[Problem] = []
        # The first record of each RRset, and the canonical rdata of those with several.
        self._rrsets: dict[bytes, Record] = {}
        self._members: dict[bytes, set[bytes]] = {}
        self._stack: list[sources.Source] = []
        self._base = 0
        self._default_ttl: int | None = None
        self._ttl: int | None = None
        self._ttls: dict[str, int] = {}
        self._set_origin(apex)
        self._forget_owner()
        self._drop_entry()

    def parsed(self) -> Parsed:
        places = Places(self._records, self._files, self._lines)
        return Parsed(self._records, self._problems, places, self._files[1:], self._default_ttl, self._size)

    # -- state ---------------------------------------------------------------------------------------------------

    def _set_origin(self, origin: bytes) -> None:
        self._origin = origin
        # What follows the first label of an owner as written -> wire form of its parent, where that is in the zone.
        self._parents: dict[str, bytes] = {}

    def _forget_owner(self) -> None:
        self._owner: bytes | None = None
        self._owner_text = ""
        self._is_owner_bad = False

    def _drop_entry(self) -> None:
        self._depth = 0
        self._parts: list[str] = []
        self._start = 0
        self._is_blank = self._is_broken = False

    def _problem(self, line: int, message: str, severity: str = "error") -> None:
        if len(self._problems) >= MAX_PROBLEMS:
            self._problems.append(Problem(self._files[0], f"more than {MAX_PROBLEMS} problems: the rest is not read"))
            raise _Stop
        self._problems.append(Problem(f"{self._files[self._base >> 32]}:{line}", message, severity))

    # -- files ---------------------------------------------------------------------------------------------------

    def read_all(self, top: sources.Source) -> None:
        try:
            self._read_file(top)
        except _Stop:
            return
        self._measure(0)

    def _read_file(self, source: sources.Source) -> None:
        self._base = len(self._files) << 32
        self._files.append(source.shown)
        self._stack.append(source)
        line = 1
        try:
            for chunk, size in source.chunks():
                text = chunk.decode("utf-8", "surrogateescape")
                lines = text.split("\n")
                if not lines[-1]:
                    lines.pop()
                self._read_lines(lines, line, NOT_PLAIN.search(text.replace("\n", " ")) is not None)
                line += len(lines)
                self._bytes += size
                self._progress(self._bytes)
                self._measure(line)
        except InvalidData as error:
            self._problem(line, error.message)
        if self._depth:
            self._problem(self._start, "a parenthesis is not closed")
        self._drop_entry()
        self._stack.pop()

    def _measure(self, line: int) -> None:
        """Counts what came since the last time, and stops past a limit."""
        new = self._records[self._measured :] if self._measured else self._records
        self._size += sum([len(record[0]) + len(record[3]) for record in new]) + 10 * len(new)
        self._measured = len(self._records)
        if self._measured > self._limits.zone_records:
            self._problem(line, f"more records than the limit zone-records = {self._limits.zone_records}")
            raise _Stop
        if self._size > self._limits.zone_size:
            self._problem(line, f"more octets of records than the limit zone-size = {self._limits.zone_size}")
            raise _Stop

    # -- the fast way --------------------------------------------------------------------------------------------

    def _read_lines(self, lines: list[str], first: int, is_mixed: bool) -> None:
        """Lines of the current file, the first with the number ``first``; ``is_mixed``: some are not plain."""
        not_plain, rrsets, ttls = NOT_PLAIN.search, self._rrsets, self._ttls
        add_record, add_line = self._records.append, self._lines.append
        for number, line in enumerate(lines, first):
            if (is_mixed and (self._depth or not_plain(line))) or line[:1] == "$":
                self._slow(number, line)
                continue
            words = line.split()
            if not words:
                continue
            try:
                at = 0
                if line[0] > " ":
                    at = 1
                    text = words[0]
                    if text != self._owner_text:
                        head = text.partition(".")[0]
                        owner = _LENGTHS[len(head)] + head.encode() + self._parents[text[len(head) :]]
                        if text == "@" or len(owner) > names.MAX_NAME:
                            raise KeyError
                        self._owner, self._owner_text, self._is_owner_bad = owner, text, False
                if (ttl := ttls.get(words[at])) is not None:
                    at += 1
                if words[at] == "IN":
                    at += 1
                rtype, key, from_words = _PLAIN[words[at]]
                wire = from_words(words[at + 1 :], self._origin)
                if self._owner is None:
                    raise KeyError
                if rtype == rrtypes.RRSIG:
                    key += wire[:2]
                if ttl is None:
                    if (ttl := self._ttl) is None or rtype == rrtypes.RRSIG:
                        raise KeyError
                elif self._default_ttl is None:
                    self._ttl = ttl
            except (KeyError, IndexError, ValueError, OSError, InvalidData):
                self._slow(number, line)
                continue
            record = Record(self._owner, rtype, ttl, wire)
            key += self._owner.lower()
            if rrsets.setdefault(key, record) is record:
                add_record(record)
                add_line(self._base | number)
            else:
                self._add_member(key, record, number)

    def _add_member(self, key: bytes, record: Record, line: int) -> None:
        """One more record of an RRset: not one that is there already, and with the TTL of the first."""
        first = self._rrsets[key]
        members = self._members.get(key)
        if members is None:
            members = self._members[key] = {rdata.canonical(first.type, first.rdata)}
        form = rdata.canonical(record.type, record.rdata)
        shown = f"{names.to_text(record.owner)} {rdata.type_to_text(record.type)}"
        if form in members:
            what = "the SOA is repeated" if record.type == rrtypes.SOA else f"a duplicate record of {shown}"
            self._problem(line, f"{what}; the first is kept", "warning")
            return
        members.add(form)
        if record.ttl != first.ttl:
            words = f"{shown} has the TTL {record.ttl} here and {first.ttl} before; {first.ttl} is taken"
            self._problem(line, f"{words} (RFC 2181, 5.2)", "warning")
            record = record._replace(ttl=first.ttl)
        self._records.append(record)
        self._lines.append(self._base | line)

    # -- the slow way --------------------------------------------------------------------------------------------

    def _slow(self, number: int, line: str) -> None:
        """Gathers the lines of an entry, then takes it."""
        if not self._depth:
            self._drop_entry()
            self._start = number
            self._is_blank = line[:1] in (" ", "\t")
        try:
            part, self._depth = clean_line(line, self._depth)
            self._parts.append(part)
        except InvalidData as error:
            self._problem(number, error.message)
            self._is_broken = True
            self._depth = max(0, self._depth + line.count("(") - line.count(")"))
        if self._depth:
            if len(self._parts) > MAX_ENTRY or (
                len(self._parts) % 1000 == 0 and sum(map(len, self._parts)) > MAX_ENTRY
            ):
                self._problem(self._start, "a parenthesis is not closed in a megabyte of text")
                raise _Stop
            return
        start, text, is_blank = self._start, " ".join(self._parts), self._is_blank
        if self._is_broken or not text.strip(" \t"):
            self._is_owner_bad = self._is_owner_bad or (self._is_broken and not is_blank)
            return
        try:
            self._entry(start, text, is_blank)
        except InvalidData as error:
            self._problem(start, error.message)

    def _entry(self, line: int, text: str, is_blank: bool) -> None:
        """Raises InvalidData."""
        if not is_blank and text.startswith("$"):
            self._directive(line, text)
            return
        if not is_blank:
            word, text = take(text)
            try:
                self._set_owner(word)
            except InvalidData as error:
                self._forget_owner()
                self._is_owner_bad = True
                self._problem(line, error.message)
        elif self._owner is None and not self._is_owner_bad:
            raise InvalidData("the owner is missing, and there is none before it")
        found = body(text)
        wire = rdata.from_clean(found.type, found.text, self._origin)
        if found.ttl is not None and len(self._ttls) < _MAX_CACHED:
            self._ttls[found.ttl_text] = found.ttl
        # What follows an owner that was refused is read for its own errors, and left out.
        if not self._is_owner_bad and self._owner is not None:
            self._add(self._owner, found, wire, line)

    def _set_owner(self, text: str) -> None:
        owner = names.from_text(text, self._origin)
        self._owner, self._owner_text, self._is_owner_bad = owner, text, False
        if len(owner) > len(self._apex) and "\\" not in text and names.is_within(owner.lower(), self._apex):
            if len(self._parents) >= _MAX_CACHED:
                self._parents.clear()
            self._parents[text[owner[0] :]] = names.parent(owner)

    def _add(self, owner: bytes, found: Body, wire: bytes, line: int) -> None:
        """Raises InvalidData: out of the zone, no TTL."""
        if not names.is_within(owner.lower(), self._apex):
            raise InvalidData(f"{names.to_text(owner)} is out of the zone {names.to_text(self._apex)}")
        rtype = found.type
        if found.ttl is not None:
            ttl = found.ttl
            if self._default_ttl is None:
                self._ttl = ttl
        elif rtype in _SIGNATURES:
            # RFC 2308, 4: a signature without a TTL has the original TTL that it states.
            ttl = int.from_bytes(wire[4:8], "big")
        elif self._ttl is not None:
            ttl = self._ttl
        elif rtype == rrtypes.SOA:
            ttl = self._ttl = int.from_bytes(wire[-4:], "big")
        else:
            raise InvalidData("no TTL: none here, none before, no $TTL and no SOA before it")
        if ttl >= 1 << 31:
            raise InvalidData(f"the TTL {ttl} is above {(1 << 31) - 1} (RFC 2181, 8)")
        record = Record(owner, rtype, ttl, wire)
        key = rtype.to_bytes(2, "big") + (wire[:2] if rtype in _SIGNATURES else b"") + owner.lower()
        if self._rrsets.setdefault(key, record) is record:
            self._records.append(record)
            self._lines.append(self._base | line)
        else:
            self._add_member(key, record, line)

    # -- directives ----------------------------------------------------------------------------------------------

    def _directive(self, line: int, text: str) -> None:
        word, rest = take(text)
        match word.upper():
            case "$ORIGIN":
                self._set_origin(names.from_text(_only(word, rest), self._origin))
                self._owner_text = ""
            case "$TTL":
                self._default_ttl = self._ttl = parse_ttl(_only(word, rest))
            case "$INCLUDE":
                self._include(rest)
            case "$GENERATE":
                self._generate(line, rest)
            case _:
                raise InvalidData(f"{word} is no directive: $ORIGIN, $TTL, $INCLUDE, $GENERATE")

    def _include(self, text: str) -> None:
        name, rest = take(text)
        if name[:1] == '"':
            name = name[1:-1]
        origin = names.from_text(_only("$INCLUDE", rest), self._origin) if rest.strip(" \t") else self._origin
        if len(self._files) > sources.MAX_FILES:
            raise InvalidData(f"more than {sources.MAX_FILES} files are included")
        source = sources.open_included(name, self._stack)
        # RFC 1035, 5.1: whatever happens in it, the origin here stays; so does the owner (as in BIND).
        before = (self._base, self._origin, self._owner, self._is_owner_bad)
        with source.stream:
            self._forget_owner()
            self._set_origin(origin)
            self._read_file(source)
        self._base, old_origin, self._owner, self._is_owner_bad = before
        self._set_origin(old_origin)
        self._owner_text = ""

    def _generate(self, line: int, text: str) -> None:
        span, rest = take(text)
        left, rest = take(rest)
        values = generate.parse_range(span)
        self._generated += len(values)
        room = min(generate.MAX_GENERATED, self._limits.zone_records)
        if self._generated > room:
            raise InvalidData(f"$GENERATE makes more than {room} records")
        found = body(rest)
        owner_of, text_of = generate.template(left), generate.template(found.text)
        for value in values:
            owner = names.from_text(owner_of(value), self._origin)
            self._add(owner, found, rdata.from_clean(found.type, text_of(value), self._origin), line)


def _only(word: str, rest: str) -> str:
    """The one word that a directive takes. Raises InvalidData."""
    found, more = take(rest)
    if not found or more.strip(" \t"):
        raise InvalidData(f"{word} takes one {'name' if word.upper() != '$TTL' else 'TTL'}")
    return found
