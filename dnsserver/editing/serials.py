"""Which serial a change gets (R10, R20): once, by the zone's policy, unless the change sets it itself."""

from __future__ import annotations

from dnsserver.errors import InvalidData
from dnsserver.zone.serial import SerialPolicy, is_ahead, next_serial


def chosen(policy: SerialPolicy, stored: int, asked: int | None, now: float, *, force: bool = False) -> int:
    """The serial after ``stored``: ``asked`` when it is set by hand, else the policy's next.

    ``asked`` equal to ``stored`` means that the hand left it alone. One that is not ahead (RFC 1982, 3.2) raises
    InvalidData that says how to force it; with ``force`` it is kept as it is.
    """
    if asked is None or asked == stored:
        return next_serial(policy, stored, now)
    if is_ahead(asked, stored) or force:
        return asked
    raise InvalidData(
        f"the serial {asked} is not ahead of the stored {stored} (RFC 1982), so secondaries would not take the "
        f"change; leave the serial at {stored} and the zone's policy ({policy}) chooses the next, or use --force "
        "and then retransfer the zone on each secondary"
    )


BACKWARDS = "the serial {new} is not ahead of {old}: secondaries keep what they have until they retransfer the zone"
