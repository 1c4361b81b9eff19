"""The messages between the keeper and the answerers, and their frames.

A frame is a 4-octet big-endian length and the marshalled fields, the number of the message's kind first. Both ends
are this program, on a Unix socket of mode 0600: what arrives is trusted, and both must be of the same version
(``Hello.protocol``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import marshal
import struct
from typing import Any, BinaryIO, NamedTuple, cast

from dnsserver.zone.access import AccessEntry

PROTOCOL = 5
GONE = -1
_LENGTH = struct.Struct(">I")

# An access entry as text parts: address prefix, key name in wire form; at least one is there.
EntryParts = tuple[str | None, bytes | None]


class Hello(NamedTuple):
    """An answerer's first message: where in the feed its images are, and what it serves: zone id, version, serial."""

    protocol: int
    pid: int
    seq: int
    tag: int
    zones: tuple[tuple[int, int, int], ...]


class Mark(NamedTuple):
    """Keeper: everything of the feed up to ``seq`` has been sent."""

    seq: int
    tag: int


class Applied(NamedTuple):
    """Answerer: everything up to that mark is served."""

    seq: int


class ZoneInfo(NamedTuple):
    """Keeper: a zone as it is; an answerer whose image is of another version asks for it (``NeedZone``)."""

    zone_id: int
    name: bytes
    role: str
    suspended: bool
    version: int
    settings: str
    access: tuple[EntryParts, ...]


class ZoneGone(NamedTuple):
    """Keeper: the zone is not here any more."""

    zone_id: int


class ZonesAre(NamedTuple):
    """Keeper: these are all the zones there are; whatever else an answerer has is gone."""

    zone_ids: tuple[int, ...]


class Patch(NamedTuple):
    """Keeper: one change of a zone, as ``Changeset.encode`` makes it.

    ``is_unique``: no other version up to this one has, or had, one of its two serials (R20: they can be forced).
    """

    zone_id: int
    from_version: int
    to_version: int
    changeset: bytes
    is_unique: bool


class NeedZone(NamedTuple):
    """Answerer: send me the contents of this zone."""

    zone_id: int


class ZoneBegin(NamedTuple):
    """Keeper: the contents of a zone follow, of this version, in canonical order."""

    info: tuple[object, ...]
    version: int


class ZonePage(NamedTuple):
    """Keeper: a page of the zone (``pages.Page.plain``), some 16 KiB, so that taking it in never delays answers."""

    fields: tuple[Any, ...]


class ZoneEnd(NamedTuple):
    """Keeper: the zone that began is whole."""


class Serving(NamedTuple):
    """Answerer: this version of the zone is served from now on; ``GONE``: none is any more."""

    zone_id: int
    version: int
    serial: int


class Globals(NamedTuple):
    """Keeper: the lists, keys and secrets that hold for all zones. A key: name, algorithm, secret, weak allowed."""

    global_access: tuple[EntryParts, ...]
    super_slaves: tuple[EntryParts, ...]
    keys: tuple[tuple[bytes, bytes, bytes, bool], ...]
    cookie_secrets: tuple[bytes, ...]
    ticket_key: bytes


class AskChain(NamedTuple):
    """Answerer: the changes from a client's serial to the version that is served, for an IXFR."""

    request: int
    zone_id: int
    from_serial: int
    to_version: int


class Chain(NamedTuple):
    """Keeper: the chain asked for as one difference: packed records removed and added, and the octets of the largest;
    None when it is not whole.
    """

    request: int
    difference: tuple[bytes, bytes, int] | None


class Heard(NamedTuple):
    """Answerer: this address asked for the zone's SOA, or took a transfer: it is alive."""

    zone_id: int
    address: str


class Deadlines(NamedTuple):
    """Keeper: when zones expire (R11), as (zone id, seconds from now); None: never, zero or less: it has expired.

    The answerer keeps the time by its own monotonic clock: a zone expires also when the keeper is away.
    """

    entries: tuple[tuple[int, float | None], ...]


class NotifyHeard(NamedTuple):
    """Answerer: an accepted NOTIFY for a secondary zone (R9), coalesced; ``serial``: its hint, where it had one."""

    zone_id: int
    address: str
    serial: int | None


class Happened(NamedTuple):
    """Answerer: an event for the database's list of events; it stands in the log already."""

    name: str
    fields: dict[str, str | int | float | None]


class AskCounters(NamedTuple):
    """Keeper: what have you counted?"""

    request: int


class Counters(NamedTuple):
    """Answerer: what it counted since its start."""

    request: int
    counters: dict[str, int]


Message = (
    Hello | Mark | Applied | ZoneInfo | ZoneGone | ZonesAre | Patch | NeedZone | ZoneBegin | ZonePage | ZoneEnd
    | Serving | Globals | AskChain | Chain | Heard | Deadlines | NotifyHeard | Happened | AskCounters | Counters
)  # fmt: skip

_KINDS: tuple[type, ...] = (
    Hello, Mark, Applied, ZoneInfo, ZoneGone, ZonesAre, Patch, NeedZone, ZoneBegin, ZonePage, ZoneEnd,
    Serving, Globals, AskChain, Chain, Heard, Deadlines, NotifyHeard, Happened, AskCounters, Counters,
)  # fmt: skip
_NUMBER = {kind: number for number, kind in enumerate(_KINDS)}


def entry_parts(entry: AccessEntry) -> EntryParts:
    return (None if entry.prefix is None else str(entry.prefix), entry.key)


def entry_of(parts: EntryParts) -> AccessEntry:
    prefix, key = parts
    return AccessEntry(None if prefix is None else ipaddress.ip_network(prefix), key)


def encode(message: Message) -> bytes:
    """The frame of a message."""
    body = marshal.dumps((_NUMBER[type(message)], *message))
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The message of a frame without its length."""
    number, *fields = marshal.loads(body)
    return cast(Message, _KINDS[number](*fields))


def read(stream: BinaryIO) -> Message | None:
    """The next message of a stream that blocks; None at its end, also in the middle of one."""
    head = stream.read(4)
    length = _LENGTH.unpack(head)[0] if len(head) == 4 else 0
    body = stream.read(length)
    return decode(body) if body and len(body) == length else None


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None when the other end is gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(4))
        return decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
