"""From the configuration to what ``editing`` is given: the same for the keeper and for a command without a server."""

from __future__ import annotations

from dnsserver.config import Config
from dnsserver.editing.context import EditLimits, ZoneDefaults
from dnsserver.protocol.refresh import RefreshLimits
from dnsserver.zone.checks import ZoneLimits


def edit_limits(config: Config) -> EditLimits:
    """What edits are judged by."""
    limits = config.limits
    zone = ZoneLimits(limits.zone_size, limits.zone_records, limits.rrset_records, limits.name_types)
    return EditLimits(zone, limits.journal_size, limits.undelete)


def zone_defaults(config: Config) -> ZoneDefaults:
    """What a new zone has where nothing else is said."""
    given = config.defaults
    return ZoneDefaults(
        ttl=given.ttl,
        hostmaster=given.hostmaster,
        refresh=given.refresh,
        retry=given.retry,
        expire=given.expire,
        minimum=given.minimum,
        serial_policy=given.serial_policy,
    )


def refresh_limits(config: Config) -> RefreshLimits:
    """What the timers of secondary zones are held to."""
    limits = config.limits
    return RefreshLimits(
        refresh_min=limits.refresh_min,
        refresh_max=limits.refresh_max,
        retry_min=limits.retry_min,
        retry_max=limits.retry_max,
        expire_min=limits.expire_min,
        expire_max=limits.expire_max,
        jitter=limits.jitter,
    )
