"""$GENERATE, as BIND has it."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from dnsserver.errors import InvalidData
from dnsserver.zone import names, rdata
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.zonefile import generate
from dnsserver.zone.zonefile.parsed import Parsed
from dnsserver.zone.zonefile.reader import read

APEX = names.from_text("example.com.")

LINES = [
    "1-3 h$ A 192.0.2.$",
    "0-10/5 h$ 300 IN A 192.0.2.$",
    "5-7 h${-5} AAAA 2001:db8::$",
    "5-7 h${0,4} CNAME t${+10,3,d}",
    "250-258/2 h${0,0,x} CNAME t${0,4,X}",
    "8-9 h${0,3,o} CNAME t${1,5,o}",
    "18-20 ${0,5,n} PTR h$.example.com.",
    "171-173 ${0,4,N}x PTR h${0,3,N}x",
    "10-11 ${0,1,n} PTR h${300,0,n}",
    r"1-2 a\$$ TXT x$$y\$$",
    '1-2 t$ TXT "text $ ${10}"',
    r'1-2 t$ TXT "\"text $ ${10}\" b"',
    '1-2 $.sub MX "$ mail${0,2}"',
    "7-7 h$ 1h IN A 192.0.2.$",
]


def parse(lines: list[str]) -> Parsed:
    text = "$TTL 60\n@ SOA n h 1 2 3 4 5\n@ NS n\nn A 192.0.2.1\n" + "".join(f"$GENERATE {line}\n" for line in lines)
    return read(io.StringIO(text), APEX)


def shown(parsed: Parsed) -> list[str]:
    return [
        f"{names.to_text(r.owner)} {r.ttl} {rdata.type_to_text(r.type)} {rdata.to_text(r.type, r.rdata)}"
        for r in parsed.records[3:]
    ]


def test_values() -> None:
    assert shown(parse(["1-5/2 h${1,3} A 192.0.2.$"])) == [
        f"h{n + 1:03}.example.com. 60 A 192.0.2.{n}" for n in (1, 3, 5)
    ]
    assert shown(parse(["18-18 ${0,5,n} PTR ${0,0,X}"])) == ["2.1.0.example.com. 60 PTR 12.example.com."]
    assert shown(parse(["1-1 a MX $ b${1}"])) == ["a.example.com. 60 MX 1 b2.example.com."]
    assert shown(parse(['1-1 \\$$ TXT "$$"'])) == ['\\$1.example.com. 60 TXT "$"']


def test_every_line_of_the_table_is_read() -> None:
    parsed = parse(LINES)
    assert [str(problem) for problem in parsed.problems] == []
    assert parsed.lines.at(3) == "-:5"


@pytest.mark.interop("named")
@pytest.mark.parametrize("line", LINES)
def test_as_bind_does(line: str, tmp_path: Path) -> None:
    compile_zone = shutil.which("named-compilezone")
    assert compile_zone is not None, "named-compilezone is part of BIND"
    zone = tmp_path / "zone"
    zone.write_text(f"$TTL 60\n@ SOA n h 1 2 3 4 5\n@ NS n\nn A 192.0.2.1\n$GENERATE {line}\n")
    out = tmp_path / "out"
    subprocess.run(
        [compile_zone, "-q", "-i", "none", "-k", "ignore", "-o", str(out), "example.com.", str(zone)], check=True
    )
    assert sorted(read(out, APEX).records) == sorted(read(zone, APEX).records)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3-1 h$ A 192.0.2.$", "range"),
        ("1-3/0 h$ A 192.0.2.$", "range"),
        ("x h$ A 192.0.2.$", "range"),
        ("1-99999999999 h$ A 192.0.2.$", "range"),
        ("0-2147483647 h$ A 192.0.2.1", "more than"),
        ("1-3 h${x} A 192.0.2.$", "modifier"),
        ("1-3 h${ A 192.0.2.$", "modifier"),
        ("1-3 h${0,999} A 192.0.2.$", "width"),
        ("1-3 h${-5} A 192.0.2.$", "below 0"),
        ("1-3 h$", "type"),
        ("255-300 h$ A 192.0.2.$", "192.0.2.256"),
        ("1-3 h$.example.net. A 192.0.2.$", "out of the zone"),
    ],
)
def test_errors_are_said_once_and_with_the_line(line: str, words: str) -> None:
    parsed = parse([line])
    assert [problem.place for problem in parsed.problems] == ["-:5"]
    assert words in parsed.problems[0].message


def test_the_cap_counts_all_lines_together() -> None:
    text = "$TTL 60\n$GENERATE 1-60 a$ A 192.0.2.1\n$GENERATE 1-60 b$ A 192.0.2.1\n"
    parsed = read(io.StringIO(text), APEX, limits=ZoneLimits(zone_records=100))
    assert len(parsed.records) == 60
    assert "more than 100" in parsed.errors[0].message


def test_the_template_alone() -> None:
    assert generate.template("a${2,4,x}b$")(30) == "a0020b30"
    with pytest.raises(InvalidData):
        generate.template("${-1}")(0)
