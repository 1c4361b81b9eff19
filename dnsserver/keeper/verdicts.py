"""Errors of a transfer in as the reasons that machine, log and events know."""

from __future__ import annotations

from dnsserver.editing.receive import BadDigest, BadSerial, DoesNotApply
from dnsserver.errors import DnsServerError
from dnsserver.protocol.failure import Failure
from dnsserver.protocol.xfrin import BadTransfer
from dnsserver.zone.gather import TooLarge

_REASONS: dict[type[DnsServerError], str] = {
    DoesNotApply: "does-not-apply",
    BadSerial: "serial",
    TooLarge: "too-large",
    BadDigest: "zonemd",
}


def failure_of(error: DnsServerError) -> Failure:
    """Whatever is not the primary's fault is ``internal``: the database's, or a zone that was changed meanwhile."""
    if isinstance(error, BadTransfer):
        return error.failure
    return Failure(_REASONS.get(type(error), "internal"), error.message)
