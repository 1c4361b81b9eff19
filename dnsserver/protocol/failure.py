"""Why a primary did not give what it was asked for: one value for machine, log, events and `zone status`."""

from __future__ import annotations

from typing import NamedTuple

# Reasons that mean: nothing can be heard from it (R27, event 6523); R22 keeps all of these apart.
UNREACHABLE = frozenset({"timeout", "unreachable"})


class Failure(NamedTuple):
    """``reason`` is a stable word; ``detail`` says more, for people; ``rcode`` where the primary answered with one.

    ==================  ===============================================================================================
    timeout             nothing came back in time
    unreachable         the system could not send or connect
    refused             RCODE REFUSED
    not-authoritative   RCODE NOTAUTH without TSIG, or an answer without AA or without the zone's SOA
    error               any other RCODE (SERVFAIL, FORMERR, ...)
    unauthenticated     a TSIG that one of the two did not accept; ``detail`` is ``tsig.Unauthentic.reason``
    no-key              the key that is configured is not here, or unreadable
    malformed           what came is no DNS message, or none that answers
    invalid             a transfer that breaks a rule (order of SOAs, owner, class, rdata, incomplete)
    too-slow            the limits of time, idle time or rate were passed
    too-large           the limits of size, records, records of an RRset or types of a name were passed
    closed              the connection ended before the transfer did
    does-not-apply      a difference (IXFR) that does not fit the zone that is here
    serial              the serial it brought is not the one that was asked for, or not ahead of what is here
    zonemd              the zone's digest is wrong, or missing where it is required (RFC 8976)
    internal            a fault of this server's own, the database for one
    ==================  ===============================================================================================
    """

    reason: str
    detail: str = ""
    rcode: int | None = None
