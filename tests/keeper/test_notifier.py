"""What the notifier takes off the outbox, and what it must leave there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dnsserver import replication
from dnsserver.editing import EditLimits, ZoneDefaults
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.notifier import Notifier
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.settings import KeeperSettings
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store import outbox
from dnsserver.store.database import Database
from tests.support.desk import Desk


def _settings(folder: Path) -> KeeperSettings:
    return KeeperSettings(
        control_path=str(folder / "c"),
        link_path=str(folder / "l"),
        database_url="",
        secret_file="",
        server_name="ns1.example.net.",
        workers=1,
        json_log=False,
        listen=("127.0.0.1",),
        outbound_addresses=("127.0.0.1",),
        notify=True,
        notify_interval=1.0,
        notifies_per_second=100,
        limits=EditLimits(),
        defaults=ZoneDefaults(),
    )


@pytest.mark.parametrize(("gone", "left"), [(False, 1), (True, 0)])
def test_a_suspended_zones_change_waits_in_the_outbox_and_a_gone_ones_does_not(
    tmp_path: Path, gone: bool, left: int
) -> None:
    """R8: an answer that comes after the suspension must not pass for the answers of all targets."""
    database = Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True)
    Desk(database)("zone.create", name="example.com", ns=["ns1.example.net"])

    async def scene() -> int:
        offload, watch = Offload(), FeedWatch()
        hub = Hub(str(tmp_path / "l"), replication.Source(database), watch, offload, lambda *_: None, 1)
        notifier = Notifier(_settings(tmp_path), database, hub, watch, offload)
        with database.read() as conn:
            (pending,) = outbox.pending(conn)
        notifier._told[pending.zone_id] = pending.version
        notifier._forget(pending.zone_id, gone=gone)
        notifier._unsaved.add(pending.zone_id)
        await notifier._save()
        offload.close()
        with database.read() as conn:
            return len(outbox.pending(conn))

    try:
        assert asyncio.run(scene()) == left
    finally:
        database.close()
