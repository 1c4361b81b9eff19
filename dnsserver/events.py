"""Events as values: a stable name, a stable code, and fields (R5, R22, R27).

An event is logged, counted, and kept in the database, where ``dnsserver events`` and ``zone status`` find it.
docs/events.md explains each. Codes below 7000 are those of the Windows DNS server for the same thing.
"""

from __future__ import annotations

from typing import NamedTuple

Value = str | int | float | None

# The events that are kept in the database, with their codes; all others stand in the log alone.
CODES: dict[str, int] = {
    "primary-unreachable": 6523,
    "transfer-failed": 6524,
    "primary-behind": 6526,
    "zone-expired": 6527,
    "zone-transferred": 6002,
    "refresh-failed": 7001,
    "zone-stale": 7002,
    "zone-recovered": 7003,
    "serial-incomparable": 7004,
    "ixfr-fallback": 7005,
    "zonemd-mismatch": 7006,
    "zonemd-missing": 7007,
    "notify-received": 7010,
    "notify-denied": 7011,
    "notifies-denied": 7012,
    "transfer-refused": 7020,
    "transfers-refused": 7021,
    "transfer-out-failed": 7022,
    "notify-refused": 7030,
    "notify-unreachable": 7031,
    "notify-unanswered": 7032,
}
# The code of a transfer that the primary refused, as the Windows DNS server has it.
REFUSED = 6525


class Event(NamedTuple):
    """``name`` is one of ``CODES`` or of docs/events.md; ``fields`` as ``log.event`` takes them."""

    name: str
    fields: dict[str, Value]

    @property
    def code(self) -> int | None:
        if self.name == "transfer-failed" and self.fields.get("reason") == "refused":
            return REFUSED
        return CODES.get(self.name)
