"""What a zone may hold (issue, 3; R30; RFC 1034, 2181, 6672)."""

from __future__ import annotations

import pytest

from dnsserver.zone import checks, names
from dnsserver.zone.checks import ZoneLimits
from dnsserver.zone.records import Record
from tests.support.desk import lines

APEX = names.from_text("example.com.")
HEAD = "@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"


def zone(*more: str, head: str = HEAD) -> list[Record]:
    return lines("example.com", head + "\n".join(more))


def check(*more: str, head: str = HEAD, limits: ZoneLimits | None = None) -> list[tuple[str, str]]:
    problems = checks.check_contents(APEX, zone(*more, head=head), limits or ZoneLimits())
    return [(problem.severity, problem.message) for problem in problems]


def test_a_good_zone_has_no_problems() -> None:
    assert check("www 60 A 192.0.2.1", "a.b.c 60 TXT x", "child 60 NS ns.child", "ns.child 60 A 192.0.2.1") == []


@pytest.mark.parametrize(
    ("more", "severity", "words"),
    [
        (("www 60 A 192.0.2.1", "WWW 60 CNAME ns1"), "error", "CNAME beside other data"),
        (("www 60 CNAME a", "www 60 CNAME b"), "error", "one is allowed"),
        (("@ 60 CNAME www",), "error", "CNAME beside other data"),
        (("www.example.org. 60 A 192.0.2.1",), "error", "not in the zone"),
        (("notexample.com. 60 A 192.0.2.1",), "error", "not in the zone"),
        (("www 60 SOA a b 1 2 3 4 5",), "error", "alone"),
        (("@ 60 SOA a b 9 2 3 4 5",), "error", "2 SOA records"),
        (("d 60 DNAME a", "x.d 60 A 192.0.2.1"), "error", "below the DNAME"),
        (("d 60 DNAME a", "d 60 DNAME b"), "error", "one is allowed"),
        (("d 60 DNAME a.", "d 60 NS b."), "error", "DNAME beside NS"),
        (("d 60 DNAME a", "d 60 CNAME b"), "error", "CNAME beside other data"),
        (("www 60 A 192.0.2.1", "www 61 A 192.0.2.2"), "warning", "different TTLs"),
        (("c 60 NS ns.c",), "warning", "ns.c.example.com. lies in this zone and has no address"),
        (("c 60 NS n.", "w.c 60 TXT x"), "warning", "below the delegation"),
        (("c 60 NS n.", "c 60 TXT x"), "warning", "never answered"),
        (("c 60 DS 1 8 2 " + "00" * 32,), "warning", "DS without NS"),
        (("@ 60 NS ns2",), "warning", "NOTIFY cannot reach it"),
        (("@ 60 NS ns2", "ns2 60 CNAME ns1"), "warning", "is an alias"),
        (("@ 60 NS ns2", "ns2 60 A 0.0.0.0"), "warning", "NOTIFY cannot reach"),
        (("@ 60 MX 10 mail", "mail 60 CNAME ns1"), "warning", "MX target mail.example.com. is an alias"),
        (("@ 60 MX 10 mail",), "warning", "MX target mail.example.com. lies in this zone and has no address"),
    ],
)
def test_each_problem(more: tuple[str, ...], severity: str, words: str) -> None:
    found = check(*more)
    assert len(found) == 1, found
    assert found[0][0] == severity
    assert words in found[0][1]


@pytest.mark.parametrize(
    "more",
    [
        ("www 60 CNAME a", "www 60 RRSIG CNAME 8 3 60 20300101000000 20200101000000 1 example.com. AAAA",
         "www 60 NSEC ns1 CNAME RRSIG NSEC"),
        ("@ 60 MX 10 mail", "* 60 A 192.0.2.1"),
        ("@ 60 MX 10 mail.c", "c 60 NS n."),
        ("@ 60 MX 0 .",),
        ("x 60 RRSIG A 8 3 60 20300101000000 20200101000000 1 example.com. AAAA",
         "x 90 RRSIG TXT 8 3 60 20300101000000 20200101000000 1 example.com. AAAA"),
        ("c 60 NS ns1", "c 60 DS 1 8 2 " + "00" * 32),
    ],
)  # fmt: skip
def test_what_is_no_problem(more: tuple[str, ...]) -> None:
    assert check(*more) == []


def test_soa_and_ns_are_needed() -> None:
    assert check(head="www 60 A 192.0.2.1\n") == [("error", "the zone has no SOA and no NS at its own name")]
    assert check(head="@ 60 NS ns1.\n") == [("error", "the zone has no SOA")]
    assert check(head="@ 60 SOA a. b. 1 2 3 4 5\n") == [("error", "the zone has no NS at its own name")]


@pytest.mark.parametrize(
    ("limit", "value"), [("zone_size", 200), ("zone_records", 5), ("rrset_records", 2), ("name_types", 2)]
)
def test_limits(limit: str, value: int) -> None:
    """LIMITS: each is named, with its value; one below it is fine."""
    more = ["www 60 A 192.0.2.1", "www 60 A 192.0.2.2", "www 60 A 192.0.2.3", "www 60 TXT x", "www 60 AAAA ::1"]
    found = check(*more, limits=ZoneLimits(**{limit: value}))
    assert [severity for severity, _ in found] == ["error"]
    assert f"{limit.replace('_', '-')} = {value}" in found[0][1]
    exact = {"zone_size": sum(len(record.wire) for record in zone(*more)), "zone_records": 8, "rrset_records": 3,
             "name_types": 3}  # fmt: skip
    assert check(*more, limits=ZoneLimits(**{limit: exact[limit]})) == []


def test_places_come_from_the_reader() -> None:
    records = zone("www 60 A 192.0.2.1", "www 60 CNAME ns1")
    problems = checks.check_contents(APEX, records, ZoneLimits(), place=lambda record: f"file:{records.index(record)}")
    assert [problem.place for problem in problems] == ["file:4"]


def test_ttls_become_the_lowest_of_their_rrset() -> None:
    """RFC 2181, 5.2."""
    unified = checks.unify_ttls(zone("www 60 A 192.0.2.1", "WWW 30 A 192.0.2.2", "www 90 TXT x", head=""))
    assert [record.ttl for record in unified] == [30, 30, 90]
