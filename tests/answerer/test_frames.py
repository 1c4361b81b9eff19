"""What the keeper sends in one frame is bounded in octets: an answerer takes a frame in between two packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsserver import link, replication
from dnsserver.store.database import Database
from dnsserver.zone.names import ROOT
from dnsserver.zone.records import Record
from tests.support.desk import Desk
from tests.support.pages import zone_pages


def test_pages_of_large_records_are_cut_by_their_octets() -> None:
    sizes = [60_000, 10, 60_000, *[5_000] * 9, *[10] * 900]
    pages = zone_pages(ROOT, [Record(b"\x04%04d\x00" % at, 16, 60, bytes(size)) for at, size in enumerate(sizes)])
    assert sum(page.fields[0] for page in pages) == len(sizes)
    assert all(len(link.encode(page)) <= 20 << 10 or page.fields[0] == 1 for page in pages)
    assert max(page.fields[0] for page in pages) == 128


@pytest.mark.parametrize(("records", "kind"), [(3, link.Patch), (50, link.ZoneInfo)])
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
