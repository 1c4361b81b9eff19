"""record apply: nsupdate's language, one transaction a `send` (CONTRACT; RFC 2136, 2.4, 2.5, 3.2, 3.4)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsserver.editing import nsupdate
from dnsserver.errors import Conflict, InvalidData, NotFound
from tests.support.desk import Desk


def test_one_transaction_a_send_one_serial_each(zone: Desk) -> None:
    result = zone.apply("""
; a comment
server 192.0.2.1 53
zone example.com
ttl 60
update add a.example.com A 192.0.2.1
update add b.example.com. 30 IN A 192.0.2.2
send
add c.example.com 30 TXT hello world
show
send
answer
""")
    assert [(c["old_serial"], c["new_serial"]) for c in result["changes"]] == [(1, 2), (2, 3)]
    assert result["changes"][0]["added"] == ["a.example.com. 60 IN A 192.0.2.1", "b.example.com. 30 IN A 192.0.2.2"]
    assert result["changes"][1]["added"] == ['c.example.com. 30 IN TXT "hello world"']
    assert any("line 3: server is ignored" in message for message in result["messages"])


def test_an_empty_line_sends(zone: Desk) -> None:
    result = zone.apply("add a.example.com 60 A 192.0.2.1\n\ndel a.example.com\n\n\n")
    assert [c["new_serial"] for c in result["changes"]] == [2, 3]


def test_names_are_absolute_as_nsupdate_takes_them(zone: Desk) -> None:
    result = zone.apply("zone example.com\nadd www.example.com 60 CNAME web.example.com\nsend\n")
    assert result["changes"][0]["added"] == ["www.example.com. 60 IN CNAME web.example.com."]
    with pytest.raises(InvalidData, match=r"batch:2: www\. is not in the zone"):
        zone.apply("zone example.com\nadd www 60 A 192.0.2.1\nsend\n")


def test_the_zone_is_found_by_the_first_name(zone: Desk) -> None:
    zone("zone.create", name="sub.example.com")
    result = zone.apply("add a.sub.example.com 60 A 192.0.2.1\nsend\n")
    assert result["changes"][0]["zone"] == "sub.example.com."
    with pytest.raises(NotFound, match=r"batch:1: no zone here holds a\.example\.org\."):
        zone.apply("add a.example.org 60 A 192.0.2.1\nsend\n")
    with pytest.raises(NotFound, match="batch:2"):
        zone.apply("zone example.org\nadd a.example.org 60 A 192.0.2.1\nsend\n")


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("update delete www.example.com", []),
        ("update delete www.example.com ANY", []),
        ("update delete www.example.com A", ['TXT "x"']),
        ("update delete www.example.com IN A", ['TXT "x"']),
        ("update delete www.example.com 0 ANY A", ['TXT "x"']),
        ("del www.example.com A 192.0.2.7", ["A 192.0.2.8", 'TXT "x"']),
        ("update delete www.example.com 0 IN A 192.0.2.7", ["A 192.0.2.8", 'TXT "x"']),
        ("update delete www.example.com AAAA", ["A 192.0.2.7", "A 192.0.2.8", 'TXT "x"']),
    ],
)
def test_all_forms_of_delete(zone: Desk, line: str, left: list[str]) -> None:
    """RFC 2136, 2.5.2 to 2.5.4."""
    zone.add("www", "A", "192.0.2.7", "192.0.2.8")
    zone.add("www", "TXT", "x")
    result = zone.apply(f"{line}\nsend\n")
    assert [text.split(None, 2)[2] for text in zone.texts() if text.startswith("www")] == left
    assert result["changed"] is (len(left) < 3)


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("prereq nxdomain free.example.com", True),
        ("prereq nxdomain www.example.com", False),
        ("nxdomain b.example.com", True),
        ("prereq yxdomain www.example.com", True),
        ("prereq yxdomain b.example.com", False),  # an empty non-terminal owns nothing: RFC 2136, 3.2.5
        ("prereq nxrrset www.example.com AAAA", True),
        ("prereq nxrrset www.example.com IN A", False),
        ("prereq yxrrset WWW.example.com A", True),
        ("prereq yxrrset www.example.com MX", False),
        ("prereq yxrrset www.example.com A 192.0.2.7\nprereq yxrrset www.example.com IN A 192.0.2.8", True),
        ("prereq yxrrset www.example.com A 192.0.2.7", False),
        ("prereq yxrrset www.example.com A 192.0.2.9", False),
        ("prereq yxrrset www.example.com MX 10 a.example.com", False),
    ],
)
def test_prerequisites(zone: Desk, line: str, holds: bool) -> None:
    """RFC 2136, 2.4 and 3.2."""
    zone.add("www", "A", "192.0.2.7", "192.0.2.8")
    zone.add("a.b", "A", "192.0.2.7")
    batch = f"{line}\nadd new.example.com 60 A 192.0.2.1\nsend\n"
    if holds:
        assert zone.apply(batch)["changed"] is True
        return
    with pytest.raises(Conflict, match="batch:1: the prerequisite"):
        zone.apply(batch)
    assert zone.serial() == 3


def test_prerequisites_speak_of_what_was_before_the_transaction(zone: Desk) -> None:
    result = zone.apply("add new.example.com 60 A 192.0.2.1\nprereq nxdomain new.example.com\nsend\n")
    assert result["changed"] is True
    with pytest.raises(Conflict):
        zone.apply("add newer.example.com 60 A 192.0.2.1\nprereq nxdomain new.example.com\nsend\n")


def test_an_addition_replaces_cname_and_soa(zone: Desk) -> None:
    """RFC 2136, 3.4.2.2."""
    zone.add("alias", "CNAME", "a")
    zone.apply("add alias.example.com 60 CNAME b.example.com\nsend\n")
    assert [text for text in zone.texts() if text.startswith("alias")] == ["alias.example.com. 60 CNAME b.example.com."]
    soa = "add example.com 60 SOA ns1.example.com h.example.com {} 1 2 3 4\nadd x.example.com 1 A 192.0.2.1\nsend\n"
    assert zone.apply(soa.format(77))["changes"][0]["new_serial"] == 77
    with pytest.raises(InvalidData, match=r"RFC 1982"):
        zone.apply(soa.format(5))


def test_replacing_all_name_servers_in_one_transaction(zone: Desk) -> None:
    result = zone.apply("del example.com NS\nadd example.com 60 NS ns9.example.net\nsend\n")
    assert result["changes"][0]["removed"] == ["example.com. 3600 IN NS ns1.example.com."]
    with pytest.raises(InvalidData, match="last NS"):
        zone.apply("del example.com NS\nsend\n")


def test_a_dname_over_what_the_same_transaction_empties(zone: Desk) -> None:
    zone.add("a.old", "A", "192.0.2.1")
    zone.add("b.old", "A", "192.0.2.1")
    with pytest.raises(InvalidData, match="names below"):
        zone.apply("del a.old.example.com\nadd old.example.com 60 DNAME new.example.com\nsend\n")
    batch = "del a.old.example.com\ndel b.old.example.com\nadd old.example.com 60 DNAME new.example.com\nsend\n"
    assert zone.apply(batch)["changed"] is True


def test_all_errors_of_the_text_at_once_and_nothing_is_done(zone: Desk) -> None:
    with pytest.raises(InvalidData) as caught:
        zone.apply("""add ok.example.com 60 A 192.0.2.1
send
add a.example.com 60 A 192.0.2.300
update paint a.example.com
frobnicate
add a.example.com 60 CH TXT x
prereq nxrrset a.example.com A 192.0.2.1
gsstsig
zone
add a.example.com 60 A 192.0.2.1
""")
    places = [problem.place for problem in caught.value.problems]
    assert places == [f"batch:{line}" for line in (3, 4, 5, 6, 7, 8, 9, 10)]
    assert zone.serial() == 1


def test_updates_without_send_are_not_half_a_file(zone: Desk) -> None:
    with pytest.raises(InvalidData, match="without `send`"):
        zone.apply("add a.example.com 60 A 192.0.2.1")
    assert zone.serial() == 1


def test_a_failing_transaction_keeps_those_before_it(zone: Desk) -> None:
    with pytest.raises(InvalidData, match="transaction 2 of 3; the 1 before it is done") as caught:
        zone.apply("""add a.example.com 60 A 192.0.2.1
send
add b.example.com 60 A 192.0.2.1
add a.example.com 60 CNAME b.example.com
send
add c.example.com 60 A 192.0.2.1
send
""")
    assert [problem.place for problem in caught.value.problems] == ["batch:4"]
    assert [text.split()[0] for text in zone.texts() if " 60 " in text] == ["a.example.com."]
    assert zone.serial() == 2


def test_nothing_to_do_takes_no_serial(zone: Desk) -> None:
    zone.add("a", "A", "192.0.2.1", ttl=60)
    result = zone.apply("add a.example.com 60 A 192.0.2.1\ndel b.example.com\nsend\n")
    assert (result["changed"], zone.serial()) == (False, 2)
    assert zone.apply("")["changes"] == []


def test_quit_ends_the_text() -> None:
    script = nsupdate.read("add a.example 1 A 192.0.2.1\nsend\nquit\nnonsense\n")
    assert len(script.transactions) == 1


def test_keys_on_a_line_are_ignored_and_not_repeated() -> None:
    script = nsupdate.read("key hmac-sha256:k c2VjcmV0\nadd a.example 1 A 192.0.2.1\nsend\n")
    assert "c2VjcmV0" not in " ".join(script.messages)


_WORDS = st.sampled_from(
    ["update", "add", "a.test", "a.test.", "A\\.b.test", ".", "..", "300", "0", "4294967296", "1h", "IN", "CH", "A",
     "a", "AAAA", "TXT", "TYPE65280", "192.0.2.1", "2001:db8::1", '"x y"', '"', "\\# 4 c0000201", ";", "ns.test", "("]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=4), st.sampled_from([" ", "  ", "\t"]))
@example(["300", "A", "192.0.2.1"], " ")
@example(["300", "IN", "TXT", '"x y"'], " ")
def test_a_line_taken_as_a_whole_is_that_taken_word_by_word(words: list[str], gap: str) -> None:
    line = gap.join(["update", "add", "a.test", *words])

    def read(text: str) -> object:
        try:
            return nsupdate.read(f"{text}\nsend\n").transactions
        except InvalidData as error:
            return [(problem.place, problem.message) for problem in error.problems]

    # A blank before it: that is for the general road.
    assert read(line) == read(" " + line)
