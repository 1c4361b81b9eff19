"""What the keeping process is given by the composition root, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from dnsserver.editing.context import EditLimits, ZoneDefaults
from dnsserver.protocol.refresh import RefreshLimits


@dataclass(frozen=True, slots=True)
class KeeperSettings:
    """``outbound_addresses``: source of what this server sends by itself (R6), at most one a family; ``listen``: the
    addresses it answers on, which are never notified (R8); ``limits``, ``defaults``: what ``editing`` takes; times in
    seconds, sizes in octets, ``transfer_in_rate`` in octets a minute; names as in LIMITS.
    """

    control_path: str
    link_path: str
    database_url: str
    secret_file: str
    server_name: str
    workers: int
    json_log: bool
    listen: tuple[str, ...]
    outbound_addresses: tuple[str, ...]
    notify: bool
    notify_interval: float
    notifies_per_second: int
    limits: EditLimits
    defaults: ZoneDefaults
    ixfr: bool
    refresh: RefreshLimits
    soa_checks_per_second: int
    max_transfers_in: int
    max_transfers_in_per_primary: int
    transfer_in_time: float
    transfer_in_idle: float
    transfer_in_rate: int
    tsig_fudge: int
