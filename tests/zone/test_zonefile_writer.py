"""What the writer wrote, the reader reads: the same records (CONTRACT, `zone export`)."""

from __future__ import annotations

import gzip
import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.zone import names
from dnsserver.zone.records import Record
from dnsserver.zone.zonefile import writer
from dnsserver.zone.zonefile.reader import read
from tests.zone.rdata_samples import SAMPLES

APEX = names.from_text("example.com.")
SOA = Record(APEX, 6, 60, b"\x02ns\x00\x01h\x00" + bytes(20))

labels = st.lists(st.binary(min_size=1, max_size=12), max_size=4)
owners = labels.map(lambda parts: names.from_labels(parts)[:-1] + APEX)
targets = labels.map(names.from_labels)
texts = st.lists(st.binary(max_size=20), min_size=1, max_size=3)
records = st.one_of(
    st.builds(Record, owners, st.just(1), st.integers(0, 2**31 - 1), st.binary(min_size=4, max_size=4)),
    st.builds(Record, owners, st.just(2), st.integers(0, 2**31 - 1), targets),
    st.builds(
        Record, owners, st.just(16), st.just(5), texts.map(lambda parts: b"".join(bytes((len(p),)) + p for p in parts))
    ),
    st.builds(Record, owners, st.integers(65280, 65300), st.just(5), st.binary(max_size=40)),
    st.builds(lambda owner, sample: Record(owner, sample[0], 7, sample[1]), owners, st.sampled_from(SAMPLES)),
)


def one_ttl(found: list[Record]) -> list[Record]:
    """Distinct records, one TTL each RRset, as a zone holds them: that of the SOA stands."""
    ttls = {(APEX, SOA.type): SOA.ttl}
    kept = {}
    for record in found:
        ttl = ttls.setdefault((record.owner.lower(), record.type), record.ttl)
        kept[record.owner.lower(), record.type, record.rdata.lower()] = record._replace(ttl=ttl)
    return list(kept.values())


@given(st.lists(records, max_size=12).map(one_ttl))
def test_round_trip(found: list[Record]) -> None:
    text = "".join(writer.write(APEX, [*found, SOA], 77))
    assert text.isascii()
    parsed = read(io.StringIO(text), APEX)
    assert parsed.problems == []
    assert sorted(parsed.records) == sorted([*found, SOA])
    assert parsed.default_ttl == 77


def test_order_and_form() -> None:
    found = [
        Record(names.from_text("b.example.com."), 1, 1, b"\xc0\x00\x02\x01"),
        Record(names.from_text("z.a.example.com."), 1, 1, b"\xc0\x00\x02\x02"),
        Record(names.from_text("a.example.com."), 1, 1, b"\xc0\x00\x02\x01"),
        Record(APEX, 1, 1, b"\xc0\x00\x02\x01"),
        SOA,
    ]
    assert "".join(writer.write(APEX, found)) == (
        "; example.com.\n"
        "example.com.\t60\tIN\tSOA\tns. h. 0 0 0 0 0\n"
        "example.com.\t1\tIN\tA\t192.0.2.1\n"
        "a.example.com.\t1\tIN\tA\t192.0.2.1\n"
        "z.a.example.com.\t1\tIN\tA\t192.0.2.2\n"
        "b.example.com.\t1\tIN\tA\t192.0.2.1\n"
    )


ROOT_ZONE = Path(os.environ.get("DNSSERVER_ROOT_ZONE", Path(__file__).parents[3] / "shared/data/root-zone"))


@pytest.mark.parametrize("serial", ["2018012900", "2018012901", "2018013000", "2018020701", "2018022302", "2018031200"])
def test_the_root_zone(serial: str) -> None:
    """Six versions, the first two signed."""
    path = ROOT_ZONE / f"{serial}.zone.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here (DNSSERVER_ROOT_ZONE names the folder)")
    text = gzip.decompress(path.read_bytes())
    started = time.process_time()
    parsed = read(io.BytesIO(text), names.ROOT)
    again = read(io.StringIO("".join(writer.write(names.ROOT, parsed.records))), names.ROOT)
    assert parsed.errors == []
    assert len(parsed.records) + len(parsed.problems) == text.count(b"\n")
    assert all("SOA is repeated" in problem.message for problem in parsed.problems)
    assert sorted(again.records) == sorted(parsed.records)
    # About 0.6 s; with dnspython's parser it would be 3 and more.
    assert time.process_time() - started < 8
