"""What the keeper and its helper process for long transfers say to each other.

To the helper, on its standard input: a frame with the pickled ``Job``, then, for a transfer, the octets of the
primary's stream as they come. From it, on its standard output: frames of marshalled tuples, of which each names its
kind first:

    rows       (rows,)                       rows of contents, in the order of their columns
    read       (octets,)                     so much of the stream is worked on, and no more is here
    ended      (kind,)                       the stream is whole: nothing more is to be read
    done       (outcome as a tuple,)         the last one
    failed     (reason, detail, rcode)       instead of the last one
    digest     ((status, detail),)           instead of the last one: a zone that may not be taken for its ZONEMD
"""

from __future__ import annotations

import marshal
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dnsserver.editing.context import EditLimits
from dnsserver.protocol.xfrin import Asked

LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Job:
    """A transfer (``asked``), or the digest of what a difference will make of a zone (``changeset``, encoded, and the
    ``zonemd`` rdatas that it will have).

    ``contents``: the id that rows are for; ``version``: the zone's that all is measured by, and ``stored``, how many
    records it has.
    """

    database_url: str = field(repr=False)
    zone_id: int
    version: int
    stored: int
    limits: EditLimits
    asked: Asked | None = None
    force: bool = False
    fudge: int = 300
    contents: int = 0
    changeset: bytes | None = None
    zonemd: tuple[bytes, ...] = ()


class Outcome(NamedTuple):
    """What the helper made of a transfer; ``how``:

    ``unchanged``  nothing was different
    ``changes``    ``changeset`` (encoded) fits the zone, and is small
    ``contents``   rows came for all records; ``journal``: the difference, unless there is none or it is too large
    ``digest``     the digest alone was asked for
    """

    how: str
    kind: str
    soa: bytes
    expire: int | None
    messages: int
    octets: int
    records: int
    changeset: bytes | None = None
    written: tuple[int, int, int] = (0, 0, 0)  # count, wire size and serial of the rows
    digest: tuple[str, str] | None = None
    contents: int = 0
    journal: tuple[bytes, int, int] | None = None

    def plain(self) -> tuple[Any, ...]:
        """Tuples alone, as a pipe carries them."""
        return (*self[:-1], None if self.journal is None else tuple(self.journal))


def frame(kind: str, *values: Any) -> bytes:
    """A frame of the helper's."""
    body = marshal.dumps((kind, *values))
    return LENGTH.pack(len(body)) + body
