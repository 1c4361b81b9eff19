"""Rdata between text and wire; dnspython is the judge of the types that we read ourselves."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.errors import InvalidData
from dnsserver.zone import names, rdata
from tests.zone.rdata_samples import ORIGIN, SAMPLES, TEXTS

WITH_NAMES = (2, 5, 6, 12, 15, 17, 33, 35, 46)


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind not in ("TYPE65280", "TYPE38", "NULL")])
def test_every_type_of_dnspython_as_dnspython_reads_it(kind: str) -> None:
    rtype = rdata.type_from_text(kind)
    ours = rdata.from_text(rtype, TEXTS[kind], ORIGIN)
    if kind not in ("MD", "MF", "MB", "MG", "MR", "MINFO"):  # those it knows by name only
        base = dns.name.from_wire(ORIGIN, 0)[0]
        theirs = dns.rdata.from_text("IN", kind, TEXTS[kind], base, relativize=False)
        assert ours == theirs.to_wire()
        assert rdata.from_text(rtype, theirs.to_text(), ORIGIN) == ours
        # RFC 6840, 5.1: an NSEC's next name keeps its case; HIP, SVCB and others are not in RFC 4034's list.
        if kind not in ("NSEC", "SIG"):
            assert rdata.canonical(rtype, ours) == theirs.to_digestable()
    rdata.validate(rtype, ours)
    assert rdata.from_text(rtype, rdata.to_text(rtype, ours), names.ROOT) == ours
    assert rdata.from_text(rtype, f"\\# {len(ours)} {ours.hex()}", names.ROOT) == ours


def test_the_samples_cover_dnspython() -> None:
    """Every type for which dnspython has a parser, but those that no zone holds."""
    known = set()
    for rtype in dns.rdatatype.RdataType:
        found = dns.rdata.get_rdata_class(1, rtype)  # type: ignore[no-untyped-call]
        if found is not dns.rdata.GenericRdata:
            known.add(rdata.type_to_text(rtype))
    assert known - TEXTS.keys() == {"OPT", "TKEY", "TSIG"}


@given(st.sampled_from(SAMPLES), st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
def test_malformed_rdata_raises_nothing_but_invalid_data(
    sample: tuple[int, bytes], at: int, patch: bytes, cut: int
) -> None:
    rtype, wire = sample
    broken = wire[:at] + patch + wire[at + cut :]
    text = rdata.to_text(rtype, broken)
    assert "\n" not in text
    for look in (rdata.validate, rdata.canonical, rdata.names_at):
        try:
            look(rtype, broken)
        except InvalidData:
            continue
    try:
        rdata.validate(rtype, broken)
    except InvalidData:
        return
    assert rdata.from_text(rtype, text, names.ROOT) == broken


@given(st.integers(0, 65535), st.binary(max_size=64))
def test_junk_of_any_type(rtype: int, wire: bytes) -> None:
    rdata.to_text(rtype, wire)
    try:
        rdata.canonical(rtype, wire)
        rdata.names_at(rtype, wire)
        rdata.validate(rtype, wire)
    except InvalidData:
        return
    assert rdata.from_text(rtype, rdata.to_text(rtype, wire), names.ROOT) == wire


@given(st.sampled_from(sorted({rtype for rtype, _ in SAMPLES})), st.text(max_size=40))
def test_junk_text_raises_nothing_but_invalid_data(rtype: int, text: str) -> None:
    try:
        rdata.validate(rtype, rdata.from_text(rtype, text, ORIGIN))
    except InvalidData:
        return


@given(st.sampled_from(SAMPLES), st.data())
def test_changed_text_raises_nothing_but_invalid_data(sample: tuple[int, bytes], data: st.DataObject) -> None:
    rtype, wire = sample
    words = rdata.to_text(rtype, wire).split(" ")
    at = data.draw(st.integers(0, len(words) - 1))
    words[at] = data.draw(
        st.sampled_from(["", "-1", "65536", "4294967296", "x", '"', "\\", "\\300", "é", "256", "0", ".", "a..b", "٣"])
    )
    try:
        changed = rdata.from_text(rtype, " ".join(words), ORIGIN)
    except InvalidData:
        return
    rdata.validate(rtype, changed)


@pytest.mark.parametrize("rtype", [0, 41, 128, 249, 250, 251, 252, 255])
def test_what_no_zone_holds_is_refused(rtype: int) -> None:
    """RFC 6895, 3.1."""
    for act in (lambda: rdata.validate(rtype, b""), lambda: rdata.from_text(rtype, "\\# 0", ORIGIN)):
        with pytest.raises(InvalidData):
            act()


def test_canonical_lowers_names_alone() -> None:
    """RFC 4034, 6.2."""
    upper = rdata.from_text(6, "NS.Example. Host.Example. 1 2 3 4 5", ORIGIN)
    assert rdata.canonical(6, upper) == rdata.from_text(6, "ns.example. host.example. 1 2 3 4 5", ORIGIN)
    text = rdata.from_text(16, "ABC", ORIGIN)
    assert rdata.canonical(16, text) == text
    nsec = rdata.from_text(47, "NEXT A", ORIGIN)
    assert rdata.canonical(47, nsec) == nsec


def test_names_that_may_be_compressed() -> None:
    """RFC 3597, 4: those of RFC 1035's types alone."""
    soa = rdata.from_text(6, "ns. host.example. 1 2 3 4 5", ORIGIN)
    assert [soa[start:end] for start, end in rdata.names_at(6, soa)] == [b"\x02ns\x00", b"\x04host\x07example\x00"]
    assert rdata.names_at(15, rdata.from_text(15, "10 a.", ORIGIN)) == [(2, 5)]
    assert rdata.names_at(33, rdata.from_text(33, "1 2 3 a.", ORIGIN)) == []
    for rtype in WITH_NAMES:
        with pytest.raises(InvalidData):
            rdata.canonical(rtype, b"\xc0\x0c")


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ("v=spf1 include:x -all", [b"v=spf1 include:x -all"]),
        ("v=DKIM1; k=rsa", [b"v=DKIM1; k=rsa"]),
        ('"a" "b c"', [b"a", b"b c"]),
        ("x" * 300, [b"x" * 255, b"x" * 45]),
        ("é (x)", ["é (x)".encode()]),
        ("a\\059b", [b"a;b"]),
    ],
)
def test_unquoted_txt_of_a_user_is_one_string(text: str, strings: list[bytes]) -> None:
    """CONTRACT: TXT given unquoted becomes one string."""
    assert rdata.from_user(16, text, ORIGIN) == b"".join(bytes((len(part),)) + part for part in strings)


def test_other_types_of_a_user_are_read_as_in_a_file() -> None:
    assert rdata.from_user(15, "10 mail", ORIGIN) == rdata.from_text(15, "10 mail", ORIGIN)
    with pytest.raises(InvalidData):
        rdata.from_user(15, "10 mail ; x", ORIGIN)


def test_messages_name_the_fields() -> None:
    with pytest.raises(InvalidData, match="preference host"):
        rdata.from_text(15, "mail", ORIGIN)
    with pytest.raises(InvalidData, match="digest of type 2 has 32 octets"):
        rdata.from_text(43, "1 8 2 aabb", ORIGIN)


def test_type_names() -> None:
    assert rdata.type_from_text("aaaa") == 28
    assert rdata.type_from_text("TYPE65280") == 65280
    assert rdata.type_from_text("nsap-ptr") == 23
    assert rdata.type_to_text(65280) == "TYPE65280"
    for text in ("TYPE65536", "TYPE", "", "X", "TYPE-1", "é"):
        with pytest.raises(InvalidData):
            rdata.type_from_text(text)
