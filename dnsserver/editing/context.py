"""What an operation is given: the database, who asks, limits, defaults, and the running server where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dnsserver.errors import InvalidData, UsageError
from dnsserver.store.commit import Who
from dnsserver.store.database import Database
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.serial import SerialPolicy
from dnsserver.zone.whole import Whole

WEEK = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class EditLimits:
    """``zone``: what a zone may hold; ``journal_size``: octets a zone, None: twice the zone, at least 16 MiB;
    ``undelete``: seconds that a deleted zone can be restored; ``large``: changed records above which contents are
    written aside and flipped."""

    zone: ZoneLimits = field(default_factory=ZoneLimits)
    journal_size: int | None = None
    undelete: float = WEEK
    large: int = 20_000


@dataclass(frozen=True, slots=True)
class ZoneDefaults:
    """The ``[defaults]`` of new zones: SOA timers and TTLs in seconds (RFC 1912, 2.2; RIPE-203).

    ``hostmaster``: a mailbox (``admin@example.net``), an absolute name, or a label within each zone. ``ttl``: the
    default TTL of the zone's records; None: the SOA's minimum.
    """

    ttl: int | None = None
    hostmaster: str = "hostmaster"
    refresh: int = 3600
    retry: int = 600
    expire: int = 1_209_600
    minimum: int = 3600
    serial_policy: SerialPolicy = SerialPolicy.INCREMENT


class Runtime(Protocol):
    """The running server, as the keeper shows it to operations."""

    def served(self, zone_id: int) -> tuple[int, int] | None:
        """The version and serial that is answered now; None when the zone is not answered."""

    def notified(self, zone_id: int) -> int | None:
        """The serial that was last sent in a NOTIFY; None when none was."""

    def served_since(self, zone_id: int) -> float | None:
        """When the version that is answered now began to be (epoch); None when the zone is not answered."""

    def notified_since(self, zone_id: int) -> float | None:
        """When the serial that ``notified`` gives was first sent (epoch); None when none was."""

    def notify_now(self, zone_id: int) -> None:
        """Send NOTIFY for the zone again, to all its targets."""


@dataclass(frozen=True, slots=True)
class Context:
    """``server_name``: absolute text, for SOA and NS of new zones; ``runtime``: None where no server runs; ``now``:
    seconds since the epoch; ``comment``: why, in the person's words."""

    db: Database
    who: Who
    limits: EditLimits
    defaults: ZoneDefaults
    server_name: str
    runtime: Runtime | None
    now: float
    comment: str = ""

    def said(self, what: str) -> str:
        """What a zone's history says of a change: the person's comment, else ``what`` it is."""
        return self.comment or what


@dataclass(frozen=True, slots=True)
class Args:
    """The arguments of an operation, as they came over the control socket: each is asked for by its type.

    ``payload``: packed records, or where no socket lies between also the zone that they are.

    The getters raise UsageError that names the argument.
    """

    operation: str
    values: Mapping[str, Any]
    payload: bytes | Whole = b""

    def known(self, *allowed: str) -> None:
        """Refuse arguments that the operation does not have."""
        if unknown := sorted(self.values.keys() - set(allowed)):
            raise UsageError(f"{self.operation} has no argument {', '.join(unknown)}; it has {', '.join(allowed)}")

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or not value:
            raise UsageError(f"{self.operation} needs {name}")
        return value

    def optional_text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise UsageError(f"{self.operation}: {name} is text")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.values.get(name)
        if value is None:
            return []
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
            raise UsageError(f"{self.operation}: {name} is a list of texts")
        return list(value)

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise UsageError(f"{self.operation}: {name} is true or false")
        return bool(value)

    def number(self, name: str, default: int | None = None, *, low: int = 0, high: int = (1 << 63) - 1) -> int | None:
        """An integer, or the text of one; raises InvalidData when it is out of range."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidData(f"{name}: {value!r} is no number")
        if not low <= value <= high:
            raise InvalidData(f"{name}: {value} is not in {low} to {high}")
        return value
