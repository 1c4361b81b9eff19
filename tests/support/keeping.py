"""What the keeper's parts need around them, where a test has no whole keeper."""

from __future__ import annotations

from collections.abc import Iterable

from dnsserver import link
from dnsserver.editing.context import EditLimits, ZoneDefaults
from dnsserver.events import Event
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.protocol.refresh import RefreshLimits


class Reports:
    """A ``hub.Listener`` that keeps what it was told."""

    def __init__(self) -> None:
        self.heard_of: list[tuple[int, str]] = []
        self.notifies: list[tuple[int, str, int | None]] = []
        self.events: list[Event] = []
        self.served: list[int | None] = []
        self.first: list[link.Message] = []

    def heard(self, zone_id: int, address: str) -> None:
        self.heard_of.append((zone_id, address))

    def notify_heard(self, zone_id: int, address: str, serial: int | None) -> None:
        self.notifies.append((zone_id, address, serial))

    def serving(self, zone_id: int | None) -> None:
        self.served.append(zone_id)

    def told(self, event: Event) -> None:
        self.events.append(event)

    def greeting(self) -> Iterable[link.Message]:
        return self.first


def keeper_settings(**changes: object) -> KeeperSettings:
    """Those of LIMITS, where nothing else is said."""
    values: dict[str, object] = {
        "control_path": "",
        "link_path": "",
        "database_url": "",
        "secret_file": "",
        "server_name": "ns1.example.net.",
        "workers": 1,
        "json_log": False,
        "listen": ("127.0.0.1",),
        "outbound_addresses": ("127.0.0.1",),
        "notify": True,
        "notify_interval": 1.0,
        "notifies_per_second": 100,
        "limits": EditLimits(),
        "defaults": ZoneDefaults(),
        "ixfr": True,
        "refresh": RefreshLimits(),
        "soa_checks_per_second": 100,
        "max_transfers_in": 10,
        "max_transfers_in_per_primary": 2,
        "transfer_in_time": 3600.0,
        "transfer_in_idle": 60.0,
        "transfer_in_rate": 10240,
        "tsig_fudge": 300,
    }
    return KeeperSettings(**values | changes)  # type: ignore[arg-type]
