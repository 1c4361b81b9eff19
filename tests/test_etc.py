"""What etc/ ships beside the configuration: the systemd unit and the sample zone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dnsserver.zone import names, rrtypes
from dnsserver.zone.checks import ZoneLimits, check_contents
from dnsserver.zone.zonefile import reader

ETC = Path(__file__).resolve().parents[1] / "etc"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_systemd_unit_is_well_formed_and_hardened(tmp_path: Path) -> None:
    text = (ETC / "dnsserver.service").read_text()
    unit = tmp_path / "dnsserver.service"
    unit.write_text(text.replace("/usr/local/bin/dnsserver", shutil.which("true") or "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert "dnsserver.service" not in done.stderr, done.stderr
    for words in ("Type=notify", "User=dnsserver", "AmbientCapabilities=CAP_NET_BIND_SERVICE", "ProtectSystem=strict"):
        assert f"\n{words}\n" in text


def test_the_sample_zone_has_variety_and_no_problem() -> None:
    apex = names.from_user("example.com")
    parsed = reader.read(ETC / "sample.zone", apex)
    assert not parsed.problems
    assert not check_contents(apex, parsed.records, ZoneLimits())
    kinds = {record.type for record in parsed.records}
    assert {rrtypes.SOA, rrtypes.NS, rrtypes.A, rrtypes.AAAA, rrtypes.MX, rrtypes.TXT, rrtypes.CNAME} <= kinds
    assert {rrtypes.SRV, rrtypes.NAPTR, rrtypes.DNAME, rrtypes.DS, rrtypes.HTTPS, 65280} <= kinds
    owners = {record.owner for record in parsed.records}
    assert {names.from_user(name + ".example.com") for name in ("www", "*.apps", "host-16", "ns.child")} <= owners
