"""What the keeper sends in one frame is bounded in octets: an answerer takes a frame in between two packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsserver import link, replication
from dnsserver.store.database import Database
from dnsserver.zone.records import Record, pack
from tests.support.desk import Desk


def test_rows_of_large_records_are_cut_by_their_octets() -> None:
    large = [Record(b"\x01a\x00", 16, 60, bytes(size)) for size in [60_000, 10, 60_000, *[9_000] * 9, *[10] * 900]]
    parts = list(replication._parts(large))
    assert [record for part in parts for record in part] == large
    assert all(len(pack(part)) <= 16 << 10 or len(part) == 1 for part in parts)
    assert max(map(len, parts)) == 256


@pytest.mark.parametrize(("records", "kind"), [(3, link.Patch), (40, link.ZoneInfo)])
def test_a_patch_of_many_octets_is_sent_as_the_zone(tmp_path: Path, records: int, kind: type) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'dns.db'}", create=True)
    desk = Desk(database)
    desk("zone.create", name="example.com", ns=["ns.example.org"])
    mark = replication.Source(database).head()
    text = '"' + '" "'.join(["x" * 255] * 200) + '"'
    desk("record.set", zone="example.com", name="t", type="TXT", rdata=[f'"{n}" {text}' for n in range(records)])
    (message,), _ = replication.Source(database).after(mark)
    database.close()
    assert isinstance(message, kind)
