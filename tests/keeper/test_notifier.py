"""What the notifier takes off the outbox, and what it must leave there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dnsserver import replication
from dnsserver.keeper.hub import Hub
from dnsserver.keeper.notifier import Notifier
from dnsserver.keeper.offload import Offload
from dnsserver.keeper.watch import FeedWatch
from dnsserver.store import outbox
from dnsserver.store.database import Database
from tests.support.desk import Desk
from tests.support.keeping import Reports, keeper_settings


@pytest.mark.parametrize(("gone", "left"), [(False, 1), (True, 0)])
def test_a_suspended_zones_change_waits_in_the_outbox_and_a_gone_ones_does_not(
    tmp_path: Path, gone: bool, left: int
) -> None:
    """R8: an answer that comes after the suspension must not pass for the answers of all targets."""
    database = Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True)
    Desk(database)("zone.create", name="example.com", ns=["ns1.example.net"])

    async def scene() -> int:
        offload, watch = Offload(), FeedWatch()
        hub = Hub(str(tmp_path / "l"), replication.Source(database), watch, offload, Reports(), 1)
        notifier = Notifier(keeper_settings(), database, hub, watch, offload, lambda _: None)
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
