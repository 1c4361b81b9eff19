"""Reads a zone file: every error at once, each with its file and line.

Two ways through it, one meaning. Plain lines of common types (``plain``) go through one tight loop, 2 to 3 us each;
whatever that loop does not take goes through ``_entry``, which also says what is wrong. Who reads a million records
does well to have the cyclic collector off meanwhile (a fifth of the time).
"""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
from collections.abc import Callable
from typing import IO

from dnsserver.errors import InvalidData, Problem
from dnsserver.zone import names, rdata, rrtypes
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import Record
from dnsserver.zone.tokens import clean_line
from dnsserver.zone.ttl import parse_ttl
from dnsserver.zone.zonefile import generate, sources
from dnsserver.zone.zonefile.entry import Body, body, take
from dnsserver.zone.zonefile.parsed import Parsed, Places
from dnsserver.zone.zonefile.plain import LENGTHS, LINES, Heads, Parents

MAX_PROBLEMS = 10_000
# Characters of one entry, 16 more a line: rdata has at most 64 KiB, four characters each.
MAX_ENTRY = 1 << 20

_LENIENT = ("utf-8", "surrogateescape")
_SIGNATURES = frozenset({rrtypes.RRSIG, 24})


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
        self._keys: list[bytes] = []
        self._lines = array("L")
        self._files: list[str] = []
        self._problems: list[Problem] = []
        # The first record of each RRset by type and key, and the canonical rdata of those with several.
        self._rrsets: defaultdict[int, dict[bytes, Record]] = defaultdict(dict)
        self._members: dict[tuple[int, bytes], set[bytes]] = {}
        self._stack: list[sources.Source] = []
        self._file = 0
        self._runs: list[tuple[int, int]] = []
        self._default_ttl: int | None = None
        self._ttl: int | None = None
        self._heads = Heads(self._rrsets)
        self._set_origin(apex)
        self._forget_owner()
        self._drop_entry()

    def parsed(self) -> Parsed:
        places = Places(self._records, self._files, self._runs, self._lines)
        return Parsed(self._records, self._keys, self._problems, places, self._files[1:], self._default_ttl, self._size)

    # -- state ---------------------------------------------------------------------------------------------------

    def _set_origin(self, origin: bytes) -> None:
        self._origin = origin
        self._parents = Parents(origin, self._apex)

    def _forget_owner(self) -> None:
        self._owner: bytes | None = None
        self._is_owner_bad = False

    def _drop_entry(self) -> None:
        self._depth = 0
        self._parts: list[str] = []
        self._start = self._gathered = 0
        self._is_blank = self._is_broken = False

    def _problem(self, line: int, message: str, severity: str = "error") -> None:
        if len(self._problems) >= MAX_PROBLEMS:
            self._problems.append(Problem(self._files[0], f"more than {MAX_PROBLEMS} problems: the rest is not read"))
            raise _Stop
        self._problems.append(Problem(f"{self._files[self._file]}:{line}", message, severity))

    # -- files ---------------------------------------------------------------------------------------------------

    def read_all(self, top: sources.Source) -> None:
        try:
            self._read_file(top)
        except _Stop:
            return
        self._measure(0)

    def _read_file(self, source: sources.Source) -> None:
        self._enter(len(self._files))
        self._files.append(source.shown)
        self._stack.append(source)
        line = 1
        try:
            for chunk, size in source.chunks():
                line = self._read_lines(chunk, line)
                self._bytes += size
                self._progress(self._bytes)
                self._measure(line)
        except InvalidData as error:
            self._problem(line, error.message)
        if self._depth:
            self._problem(self._start, "a parenthesis is not closed")
        self._drop_entry()
        self._stack.pop()

    def _enter(self, file: int) -> None:
        """The records that follow are from this one of the files."""
        self._file = file
        self._runs.append((len(self._records), file))

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

    def _read_lines(self, chunk: bytes, first: int) -> int:
        """Lines of the current file, the first with the number ``first``; the number after the last."""
        heads, parents, origin = self._heads, self._parents, self._origin
        # ``tuple.__new__`` is what a NamedTuple's own constructor calls, in half its time.
        add_record, add_key, add_line = self._records.append, self._keys.append, self._lines.append
        make, rrsig = tuple.__new__, rrtypes.RRSIG
        owner, key, owner_label, owner_rest = self._owner, names.key(self._owner or names.ROOT), b"", b""
        ttl_before, has_default, is_inside = self._ttl, self._default_ttl is not None, bool(self._depth)
        number = first - 1
        for number, (label, rest, head, text, other) in enumerate(LINES.findall(chunk), first):
            if not head and not other:
                continue
            try:
                if other or is_inside:
                    raise KeyError
                if label:
                    if label != owner_label or rest != owner_rest:
                        parent, parent_key = parents[rest]
                        name = LENGTHS[len(label)] + label + parent
                        if len(name) > names.MAX_NAME:
                            raise KeyError
                        owner, key = name, parent_key + label.lower() + b"\0"
                        owner_label, owner_rest = label, rest
                elif rest or owner is None:
                    raise KeyError
                ttl, rtype, rrsets, from_plain = heads[head]
                wire = from_plain(text.decode(), origin)
                if ttl is None:
                    ttl = ttl_before
                    if ttl is None or rtype == rrsig:
                        raise KeyError
            except (KeyError, ValueError, OSError, InvalidData):
                self._owner, self._ttl = owner, ttl_before
                self._slow(number, (other or b"%b%b %b%b" % (label, rest, head, text)).decode(*_LENIENT))
                parents, origin, owner_label = self._parents, self._origin, b""
                owner, key = self._owner, names.key(self._owner or names.ROOT)
                ttl_before, has_default, is_inside = self._ttl, self._default_ttl is not None, bool(self._depth)
                continue
            if not has_default:
                ttl_before = ttl
            record, rrset = make(Record, (owner, rtype, ttl, wire)), wire[:2] + key if rtype == rrsig else key
            if rrsets.setdefault(rrset, record) is record:
                add_record(record)
                add_key(key)
                add_line(number)
            else:
                self._add_member(rrset, key, record, number)
        self._owner, self._ttl = owner, ttl_before
        return number + 1

    def _add_member(self, rrset: bytes, key: bytes, record: Record, line: int) -> None:
        """One more record of an RRset: not one that is there already, and with the TTL of the first."""
        first = self._rrsets[record.type][rrset]
        members = self._members.get((record.type, rrset))
        if members is None:
            members = self._members[record.type, rrset] = {rdata.canonical(first.type, first.rdata)}
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
        self._keep(record, key, line)

    def _keep(self, record: Record, key: bytes, line: int) -> None:
        self._records.append(record)
        self._keys.append(key)
        self._lines.append(line)

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
            self._gathered += len(line) + 16
            if self._gathered > MAX_ENTRY:
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
                self._owner = names.from_text(word, self._origin)
            except InvalidData as error:
                self._forget_owner()
                self._is_owner_bad = True
                self._problem(line, error.message)
        elif self._owner is None and not self._is_owner_bad:
            raise InvalidData("the owner is missing, and there is none before it")
        found = body(text)
        wire = rdata.from_clean(found.type, found.text, self._origin)
        # What follows an owner that was refused is read for its own errors, and left out.
        if self._owner is not None:
            self._add(self._owner, found, wire, line)

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
        key = names.key(owner)
        rrset = wire[:2] + key if rtype in _SIGNATURES else key
        if self._rrsets[rtype].setdefault(rrset, record) is record:
            self._keep(record, key, line)
        else:
            self._add_member(rrset, key, record, line)

    # -- directives ----------------------------------------------------------------------------------------------

    def _directive(self, line: int, text: str) -> None:
        word, rest = take(text)
        match word.upper():
            case "$ORIGIN":
                self._set_origin(names.from_text(_only(word, rest), self._origin))
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
        before = (self._file, self._origin, self._owner, self._is_owner_bad)
        with source.stream:
            self._forget_owner()
            self._set_origin(origin)
            self._read_file(source)
        file, old_origin, self._owner, self._is_owner_bad = before
        self._enter(file)
        self._set_origin(old_origin)

    def _generate(self, line: int, text: str) -> None:
        span, rest = take(text)
        left, rest = take(rest)
        values = generate.parse_range(span)
        self._generated += len(values)
        if self._generated > generate.MAX_GENERATED:
            raise InvalidData(f"$GENERATE makes more than {generate.MAX_GENERATED} records")
        if self._generated > self._limits.zone_records:
            raise InvalidData(f"$GENERATE makes more than {self._limits.zone_records} records, the limit zone-records")
        found = body(rest)
        owner_of, text_of = generate.template(left), generate.template(generate.right_side(found.text))
        for value in values:
            owner = names.from_text(owner_of(value), self._origin)
            self._add(owner, found, rdata.from_text(found.type, text_of(value), self._origin), line)


def _only(word: str, rest: str) -> str:
    """The one word that a directive takes. Raises InvalidData."""
    found, more = take(rest)
    if not found or more.strip(" \t"):
        raise InvalidData(f"{word} takes one {'name' if word.upper() != '$TTL' else 'TTL'}")
    return found
