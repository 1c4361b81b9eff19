"""The reader of zone files: RFC 1035 (5), RFC 2308 (4), RFC 3597 (5), and BIND's directives."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dnsserver.errors import InvalidData
from dnsserver.zone import names, rdata
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.zonefile.parsed import Parsed
from dnsserver.zone.zonefile.reader import read

APEX = names.from_text("example.com.")
HEAD = "$TTL 3600\n@ SOA ns1 hostmaster 1 7200 900 1209600 300\n@ NS ns1\n"


def parse(text: str | bytes, apex: bytes = APEX) -> Parsed:
    return read(io.BytesIO(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text), apex)


def shown(parsed: Parsed) -> list[str]:
    """Each record as ``owner ttl type rdata``."""
    return [
        f"{names.to_text(r.owner)} {r.ttl} {rdata.type_to_text(r.type)} {rdata.to_text(r.type, r.rdata)}"
        for r in parsed.records
    ]


def said(parsed: Parsed) -> list[tuple[str, str]]:
    return [(problem.place.rpartition(":")[2], problem.severity) for problem in parsed.problems]


A1 = "a.example.com. 60 A 192.0.2.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 60 A 192.0.2.1", [A1]),
        ("a 60 IN A 192.0.2.1", [A1]),
        ("a IN 60 A 192.0.2.1", [A1]),
        ("a in 60 a 192.0.2.1", [A1]),
        ("a CLASS1 1m TYPE1 192.0.2.1", [A1]),
        ("a 1M A 192.0.2.1", [A1]),
        ("a 60 A 192.0.2.1 ; the first", [A1]),
        ("a 60 A 192.0.2.1;x", [A1]),
        ("a.example.com.  60\tA \t192.0.2.1  ", [A1]),
        ("a 60 A ( 192.0.2.1 )", [A1]),
        ("a ( 60 ; why\n A\n192.0.2.1\n)", [A1]),
        ("a 60 A \\# 4 C0000201", [A1]),
        ("a 60 A \\# 4 C0 00 0201", [A1]),
        ("a 60 A 192.0.2.1\r\na 60 A 192.0.2.2\r\n", [A1, "a.example.com. 60 A 192.0.2.2"]),
        ("a 60 A 192.0.2.1\n 60 A 192.0.2.2", [A1, "a.example.com. 60 A 192.0.2.2"]),
        ("a 60 A 192.0.2.1\n\n; x\n   \n\t60 AAAA 2001:DB8::1", [A1, "a.example.com. 60 AAAA 2001:db8::1"]),
        ("1h30m 1h30m A 192.0.2.1", ["1h30m.example.com. 5400 A 192.0.2.1"]),
        ("in 1w2d3h4m5s A 192.0.2.1", ["in.example.com. 788645 A 192.0.2.1"]),
        ("@ 60 MX 10 @", ["example.com. 60 MX 10 example.com."]),
        ("x.y 60 CNAME @", ["x.y.example.com. 60 CNAME example.com."]),
        ("* 60 CNAME .", ["*.example.com. 60 CNAME ."]),
        (r"a\.b 60 CNAME c\032d", [r"a\.b.example.com. 60 CNAME c\032d.example.com."]),
        (r"\@ 60 CNAME \$", [r"\@.example.com. 60 CNAME \$.example.com."]),
        ("Aa 60 NS Bb", ["Aa.example.com. 60 NS Bb.example.com."]),
        ("$ORIGIN b\na 60 A 192.0.2.1", ["a.b.example.com. 60 A 192.0.2.1"]),
        ("$origin b.example.com. ; x\n@ 60 A 192.0.2.1", ["b.example.com. 60 A 192.0.2.1"]),
        ("a 60 A 192.0.2.1\n$ORIGIN b\n 60 A 192.0.2.2", [A1, "a.example.com. 60 A 192.0.2.2"]),
        ("a 60 A 192.0.2.1\n$ORIGIN b\na 60 A 192.0.2.1", [A1, "a.b.example.com. 60 A 192.0.2.1"]),
        ("t 60 TXT plain \"quoted ; ( \\\" \\059\" \"\"", ['t.example.com. 60 TXT "plain" "quoted ; ( \\" ;" ""']),
        ('t 60 TXT "a""b"', ['t.example.com. 60 TXT "a" "b"']),
        ("t 60 TXT (\"a\"\n \"b\")", ['t.example.com. 60 TXT "a" "b"']),
        ('t 60 TXT "é\udcff"', ['t.example.com. 60 TXT "\\195\\169\\255"']),
        ("t 60 TYPE65280 \\# 3 abcdef", ["t.example.com. 60 TYPE65280 \\# 3 abcdef"]),
        ("t 60 TYPE65280 \\# 0", ["t.example.com. 60 TYPE65280 \\# 0"]),
        ('h 60 HTTPS 1 . alpn="h2,h3"', ['h.example.com. 60 HTTPS 1 . alpn="h2,h3"']),
        ("s 60 SRV 1 2 3 host", ["s.example.com. 60 SRV 1 2 3 host.example.com."]),
        ("c 60 CAA 0 issue letsencrypt.org", ['c.example.com. 60 CAA 0 issue "letsencrypt.org"']),
    ],
)  # fmt: skip
def test_entries(text: str, expected: list[str]) -> None:
    parsed = parse(text)
    assert [str(problem) for problem in parsed.problems] == []
    assert shown(parsed) == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a 60 A 192.0.2.256", 1, "192.0.2.256"),
        ("a 60 A", 1, "missing"),
        ("a 60 A 192.0.2.1 x", 1, "too much"),
        ("a 60 MX 10 b c", 1, "too much"),
        ("a 60", 1, "type"),
        ("a 60 NOTYPE x", 1, "NOTYPE"),
        ("a 60 70 A 192.0.2.1", 1, "second TTL"),
        ("a IN IN 60 A 192.0.2.1", 1, "class IN"),
        ("a 60 CH A 192.0.2.1", 1, "class"),
        ("a 60x A 192.0.2.1", 1, "TTL"),
        ("a 2147483648 A 192.0.2.1", 1, "TTL"),
        ("a 60 A \\# 5 c0000201", 1, "5 octets"),
        ("a 60 A \\# 3 c00002", 1, "short"),
        ("a 60 NS \\# 2 c00c", 1, "name"),
        ("a 60 ANY \\# 0", 1, "ANY"),
        ("a 60 OPT \\# 0", 1, "OPT"),
        ("a 60 TYPE65280 abc", 1, "3597"),
        ("www.example.net. 60 A 192.0.2.1", 1, "out of the zone"),
        ("notexample.com. 60 A 192.0.2.1", 1, "out of the zone"),
        ("com. 60 A 192.0.2.1", 1, "out of the zone"),
        (" 60 A 192.0.2.1", 1, "owner"),
        ("a..b 60 A 192.0.2.1", 1, "empty label"),
        ("l" * 64 + " 60 A 192.0.2.1", 1, "63"),
        (("l" * 60 + ".") * 4 + "x 60 A 192.0.2.1", 1, "255"),
        ("a A 192.0.2.1", 1, "no TTL"),
        ('t 60 TXT "abc', 1, "not closed"),
        ("t 60 TXT abc\\", 1, "backslash"),
        ('t 60 TXT "\\300"', 1, "255"),
        ('t 60 TXT "' + "x" * 256 + '"', 1, "255"),
        ("t 60 TXT ä", 1, "ASCII"),
        ("a\x00 60 A 192.0.2.1", 1, "0x00"),
        ("\na 60 A 192.0.2.1\x0b", 2, "0x0b"),
        ('t 60 TXT "a\rb"', 1, "0x0d"),
        ("a 60 A 192.0.2.1 )", 1, "closing"),
        ("\na 60 A ( 192.0.2.1\n\n", 2, "not closed"),
        ("$TTL", 1, "TTL"),
        ("$TTL x", 1, "TTL"),
        ("$ORIGIN a b", 1, "ORIGIN"),
        ("$NONSENSE 1", 1, "NONSENSE"),
        ("$INCLUDE other", 1, "stream"),
        ("$GENERATE 1-2 a 60 A", 1, "missing"),
    ],
)
def test_errors(text: str, line: int, words: str) -> None:
    parsed = parse(text)
    assert parsed.records == []
    assert said(parsed) == [(str(line), "error")], [str(problem) for problem in parsed.problems]
    assert words in parsed.problems[0].message


def test_all_errors_come_at_once_each_with_its_line() -> None:
    parsed = parse(HEAD + "a A 1\nb A 192.0.2.1\nb.. A 192.0.2.2\n MX ten b\nc NOTYPE (\n x\n)\nd A 192.0.2.3\n")
    assert said(parsed) == [("4", "error"), ("6", "error"), ("7", "error"), ("8", "error")]
    assert [names.to_text(r.owner) for r in parsed.records[2:]] == ["b.example.com.", "d.example.com."]
    with pytest.raises(InvalidData) as raised:
        parsed.require()
    assert raised.value.exit_status == 4
    assert raised.value.problems == tuple(parsed.problems)


def test_ttl_rules_of_rfc_2308() -> None:
    """RFC 2308, 4: $TTL where none is given; without it the last stated one (RFC 1035, 5.1), else the SOA's minimum."""
    soa = "@ SOA n h 1 2 3 4 300\n"
    assert [r.ttl for r in parse(soa + "a A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1\n").records] == [
        300,
        300,
        60,
        60,
    ]
    assert [r.ttl for r in parse("$TTL 1h\n" + soa + "b 60 A 192.0.2.1\nc A 192.0.2.1").records] == [3600, 60, 3600]
    assert [r.ttl for r in parse("$TTL 1\na A 192.0.2.1\n$TTL 2\nb A 192.0.2.1\n").records] == [1, 2]
    assert parse("$TTL 1\na A 192.0.2.1\n$TTL 2\n").default_ttl == 2
    # RFC 2308, 4: "SIG records without an explicit TTL get their TTL from the original TTL of the SIG record".
    signature = "a RRSIG A 8 2 777 20300101000000 20200101000000 1 @ AAAA\n"
    assert [r.ttl for r in parse("$TTL 5\n" + signature).records] == [777]


def test_different_ttls_in_an_rrset_are_a_warning_and_the_first_is_taken() -> None:
    """RFC 2181, 5.2; the signatures of different types are different RRsets."""
    parsed = parse("a 60 A 192.0.2.1\nb 5 A 192.0.2.1\nA 70 A 192.0.2.2\na 80 AAAA ::\n")
    assert [r.ttl for r in parsed.records] == [60, 5, 60, 80]
    assert said(parsed) == [("3", "warning")]
    rrsig = "a {0} RRSIG {1} 8 2 777 20300101000000 20200101000000 1 @ AAAA\n"
    assert parse(rrsig.format(1, "A") + rrsig.format(2, "AAAA")).problems == []
    assert said(parse(rrsig.format(1, "A") + rrsig.format(2, "A").replace("AAAA", "BBBB"))) == [("2", "warning")]


def test_duplicates_and_a_repeated_soa_are_warnings() -> None:
    parsed = parse(HEAD + "a NS NS1.example.com.\nA NS ns1\na NS ns2\n@ SOA ns1 hostmaster 1 7200 900 1209600 300\n")
    assert said(parsed) == [("5", "warning"), ("7", "warning")]
    assert "duplicate" in parsed.problems[0].message
    assert "SOA is repeated" in parsed.problems[1].message
    assert len(parsed.records) == 4
    parsed.require()


def test_places_of_records(tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("\nb A 192.0.2.2\n")
    (tmp_path / "zone").write_text(HEAD + "a A 192.0.2.1\n$INCLUDE inner\nc A (\n192.0.2.3 )\n")
    parsed = read(tmp_path / "zone", APEX)
    assert parsed.problems == []
    assert [parsed.place(record).removeprefix(str(tmp_path)) for record in parsed.records] == [
        "/zone:2", "/zone:3", "/zone:4", "/inner:2", "/zone:6",
    ]  # fmt: skip
    assert [parsed.lines.at(index) for index in range(5)] == [parsed.place(record) for record in parsed.records]
    assert parsed.place(parsed.records[0]._replace(ttl=1)) == ""
    assert parsed.wire_size == sum(len(record.wire) for record in parsed.records)
    assert parsed.includes == [str(tmp_path / "inner")]


def test_chunks_are_one_text() -> None:
    """Lines, owners and parentheses over the border of the blocks in which a file is read."""
    lines = [f"host{n} 60 A 192.0.{n >> 8 & 255}.{n & 255}\n 60 TXT (\n x{n} )\n" for n in range(12000)]
    done: list[int] = []
    data = "".join(lines).encode()
    parsed = read(io.BytesIO(data), APEX, progress=done.append)
    assert parsed.problems == []
    assert len(parsed.records) == 24000
    assert parsed.lines.at(23998) == "-:35998"
    assert {r.owner for r in parsed.records[-2:]} == {names.from_text("host11999.example.com.")}
    assert len(done) > 2
    assert done[-1] == len(data)
    assert read(io.StringIO(data.decode()), APEX).records == parsed.records


def test_plain_lines_mean_the_same_the_slow_way() -> None:
    """A comment at the end sends a line the slow way."""
    plain = [
        "a 60 A 192.0.2.1", "b.c A 192.0.2.1", " AAAA ::1", "d IN NS e", "x.example.com. 7 IN MX 5 mail",
        "f CNAME g.",
        "*.w 1 IN TXT plain words", "_s._tcp 60 SRV 1 2 3 h", "n NSEC o A NS RRSIG", "B.c A 192.0.2.2",
        "k 0 DS 1 8 9 ab",
        "n RRSIG NSEC 8 3 60 20300101000000 20200101000000 1 example.com. AAAA", "A 60 A 192.0.2.1", " 1 A 192.0.2.2",
        "example.com. 4 A 192.0.2.3", "-_ IN 5 A 192.0.2.4", "$TTL 9", "z A 192.0.2.4", "a..b A 1.2.3.4",
        "z AAAA 1.2.3.4",
        "q.example.net. 5 A 192.0.2.4", "@ 5 A 192.0.2.4", "$ORIGIN sub", "a 3 A 192.0.2.1",
        "b TXT x", ". 5 A 192.0.2.4",
    ]  # fmt: skip
    fast, slow = parse("\n".join(plain)), parse("".join(f"{line} ; slow\n" for line in plain))
    assert fast.records == slow.records
    assert len(fast.records) > 18
    assert fast.problems == slow.problems
    assert len(fast.problems) > 3


def test_limits_end_the_reading() -> None:
    text = "".join(f"h{n} 60 A 192.0.2.1\n" for n in range(50000))
    parsed = read(io.BytesIO(text.encode()), APEX, limits=ZoneLimits(zone_records=100))
    assert "zone-records" in parsed.errors[0].message
    assert len(parsed.records) < 50000
    assert "zone-size" in read(io.BytesIO(text.encode()), APEX, limits=ZoneLimits(zone_size=100)).errors[0].message
    parsed = parse("a 60 A x\n" * 11000)
    assert 10_000 <= len(parsed.problems) < 10_010
    assert "line is longer" in parse("a" * (3 << 20)).errors[0].message
    assert "not closed" in parse("a 60 TXT (\n" + "x\n" * 100_000).errors[0].message


@pytest.mark.parametrize("kind", ["absent", "directory", "unreadable"])
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "zone"
    if kind == "directory":
        path.mkdir()
    elif kind == "unreadable":  # also for root
        path.touch()
        path = path / "zone"
    with pytest.raises(InvalidData) as raised:
        read(path, APEX)
    assert raised.value.problems[0].place == str(path)


def test_a_byte_order_mark_is_no_data() -> None:
    assert shown(parse(b"\xef\xbb\xbfa 60 A 192.0.2.1")) == [A1]


@pytest.mark.parametrize(
    "line",
    [
        "x TXT " + "a " * 33_000,
        "x TXT " + '"a" ' * 33_000,
        "x OPENPGPKEY " + "AAAA" * 22_000,
        'x MX 10 "mail"',
        'x SRV 1 2 3 "target"',
        'x NS "ns"',
        'x A "192.0.2.1"',
        'x HINFO "cpu" "os" "more"',
        "x MX 65536 mail",
        "x SRV 1 99999999999 3 target",
        'x TXT "' + "a" * 256 + '"',
        ".x A 192.0.2.1",
    ],
    ids=lambda line: line[:20],
)  # fmt: skip
def test_the_fast_way_takes_no_more_than_the_other(line: str) -> None:
    """In parentheses the same line goes the slow way; both refuse it, or both read the same."""
    words = line.split(" ", 2)
    slow = parse(f"{HEAD}{words[0]} {words[1]} ( {words[2]} )\n")
    fast = parse(f"{HEAD}{line}\n")
    assert shown(fast) == shown(slow)
    assert [problem.message for problem in fast.errors] == [problem.message for problem in slow.errors]


@pytest.mark.parametrize("text", ['"a b;c(d)"', '"a" "b"', '"a"\t"b"  ', '""', "a b", '"a"b', '"a""b"', 'a"b"'])
@pytest.mark.parametrize("rtype", ["TXT", "SPF"])
def test_strings_in_quotes_are_the_same_on_both_ways(rtype: str, text: str) -> None:
    fast, slow = parse(f"{HEAD}x {rtype} {text}\n"), parse(f"{HEAD}x {rtype} ( {text} )\n")
    assert shown(fast) == shown(slow)
    assert [problem.message for problem in fast.errors] == [problem.message for problem in slow.errors]
