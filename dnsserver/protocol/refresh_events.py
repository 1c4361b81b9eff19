"""What the log says of a secondary zone's refreshing: the events that ``protocol.refresh`` raises, in words (R5, R27).

``zone``: its wire name; ``count``: how often in a row this primary has failed in this way.
"""

from __future__ import annotations

from dnsserver.events import CODES, Event
from dnsserver.protocol.failure import UNREACHABLE, Failure
from dnsserver.protocol.query import Rcode
from dnsserver.zone import names
from dnsserver.zone.settings import Target


def place(primary: Target) -> str:
    return f"{primary.address}#{primary.port}"


def unreachable(zone: bytes, primary: Target, failure: Failure, count: int) -> Event:
    name = _name(zone)
    return Event(
        "primary-unreachable",
        {
            "zone": name, "primary": place(primary), "code": CODES["primary-unreachable"], "reason": failure.reason,
            "count": count, "msg": f"Cannot reach the primary {primary.address} of zone {name} ({_why(failure)})",
        },
    )  # fmt: skip


def check_failed(zone: bytes, primary: Target, failure: Failure, count: int) -> Event:
    """A question for the SOA that failed."""
    if failure.reason in UNREACHABLE:
        return unreachable(zone, primary, failure, count)
    name = _name(zone)
    return Event(
        "refresh-failed",
        {
            "zone": name, "primary": place(primary), "reason": failure.reason, "count": count,
            "msg": f"Failed to check the serial of zone {name} at {primary.address} ({_why(failure)})",
        },
    )  # fmt: skip


def transfer_failed(zone: bytes, primary: Target, failure: Failure, count: int) -> Event:
    if failure.reason in UNREACHABLE:
        return unreachable(zone, primary, failure, count)
    name = _name(zone)
    return Event(
        "transfer-failed",
        {
            "zone": name, "primary": place(primary), "reason": failure.reason, "count": count,
            "msg": f"Failed to transfer zone {name} from {primary.address} ({_why(failure)})",
        },
    )  # fmt: skip


def behind(zone: bytes, primary: Target, ours: int, serial: int, count: int) -> Event:
    name = _name(zone)
    return Event(
        "primary-behind",
        {
            "zone": name, "primary": place(primary), "reason": "serial", "serial": ours, "primary_serial": serial,
            "count": count,
            "msg": f"The primary {primary.address} of zone {name} is behind: its serial {serial} is lower than {ours}",
        },
    )  # fmt: skip


def incomparable(zone: bytes, primary: Target, ours: int, serial: int, count: int) -> Event:
    """RFC 1982, 3.2: neither of the two is the greater."""
    name = _name(zone)
    return Event(
        "serial-incomparable",
        {
            "zone": name, "primary": place(primary), "reason": "serial", "serial": ours, "primary_serial": serial,
            "count": count,
            "msg": f"The serial {serial} of zone {name} at {primary.address} is exactly 2^31 away from {ours}:"
            " neither is newer (RFC 1982)",
        },
    )  # fmt: skip


def stale(zone: bytes, serial: int, seconds_left: float) -> Event:
    name, left = _name(zone), max(0, round(seconds_left))
    return Event(
        "zone-stale",
        {
            "zone": name, "serial": serial, "expires_in": left,
            "msg": f"No primary of zone {name} could confirm serial {serial}; it is served for another {left} s",
        },
    )  # fmt: skip


def expired(zone: bytes, serial: int) -> Event:
    name = _name(zone)
    msg = f"Zone {name} has expired: no primary could confirm serial {serial} in time; it is no longer served"
    return Event("zone-expired", {"zone": name, "serial": serial, "msg": msg})


def recovered(zone: bytes, primary: Target, serial: int) -> Event:
    name = _name(zone)
    msg = f"Zone {name} is fresh again: {primary.address} confirmed or gave serial {serial}"
    return Event("zone-recovered", {"zone": name, "primary": place(primary), "serial": serial, "msg": msg})


def transferred(
    zone: bytes, primary: Target, kind: str, old: int | None, new: int, *,
    messages: int, records: int, octets: int, seconds: float,
) -> Event:  # fmt: skip
    name = _name(zone)
    return Event(
        "zone-transferred",
        {
            "zone": name, "primary": place(primary), "kind": kind, "serial": f"{'' if old is None else old}->{new}",
            "messages": messages, "records": records, "bytes": octets, "ms": round(seconds * 1000),
            "msg": f"Zone {name} was transferred from {primary.address}, serial {new}",
        },
    )  # fmt: skip


def _name(zone: bytes) -> str:
    return names.to_text(zone).removesuffix(".") or "."


def _why(failure: Failure) -> str:
    """``RCODE 5, REFUSED``, or the reason's word; and what more is known."""
    why = failure.reason
    if failure.rcode:
        why = f"RCODE {failure.rcode}, {_RCODES.get(failure.rcode, 'unknown')}"
        if failure.reason not in ("refused", "error", "not-authoritative"):
            why += f", {failure.reason}"
    return f"{why}: {failure.detail}" if failure.detail else why


# RFC 6895, 2.3: those that are not among ``Rcode``, too.
_RCODES = {int(rcode): rcode.name for rcode in Rcode} | {7: "YXRRSET", 8: "NXRRSET", 10: "NOTZONE"}
