"""Images: what stands where, and that a changed image is the one that would be built anew."""

from __future__ import annotations

import marshal
import random
from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsserver.zone import blob, names
from dnsserver.zone.blocks import Block
from dnsserver.zone.changeset import Changeset, difference
from dnsserver.zone.image import Builder, Denial, DoesNotApply, Image
from dnsserver.zone.nsec3 import Param
from dnsserver.zone.pages import Page, Pager, rows_of
from dnsserver.zone.patching import Patching
from dnsserver.zone.records import Record, unpack, with_serial
from dnsserver.zone.rrtypes import AAAA, DNAME, DS, NS, NSEC, NSEC3, NSEC3PARAM, RRSIG, SOA, TXT, A
from dnsserver.zone.shards import LARGE, Shards

APEX = names.from_text("zone.test.")
SOA_RDATA = APEX + APEX + bytes(16) + b"\x00\x00\x01\x2c"
OTHER = names.from_text("other.test.")


def name(text: str) -> bytes:
    return names.from_text(text, APEX)


def soa(serial: int = 1) -> Record:
    return Record(APEX, SOA, 3600, with_serial(SOA_RDATA, serial))


def a(owner: str, last: int = 1) -> Record:
    return Record(name(owner), A, 300, bytes((192, 0, 2, last)))


def in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (names.key(record.owner), record.type))


def build(*records: Record, serial: int = 1, version: int = 1) -> Image:
    return Image.build(APEX, version, in_order([soa(serial), Record(APEX, NS, 3600, OTHER), *records]))


def contents(nodes: Shards) -> dict[bytes, list[tuple[tuple[int, int], set[tuple[int, bytes]]]]]:
    """What stands where, the order within an RRset aside."""
    return {
        where: [(blob.key(rrset), set(blob.members(rrset))) for rrset in node]
        for where in nodes
        for node in [nodes.get(where) or ()]
    }


def transferred(image: Image) -> list[Record]:
    """The records of the blocks, as a transfer sends them; each chunk holds as many as it says."""
    found: list[Record] = []
    for block in image.blocks():
        for count, octets in block.chunks:
            # Owners end in a pointer to the question's name; the pointer's octets start no label.
            records = list(unpack(b"".join(whole(octets))))
            assert len(records) == count
            found += records
    return found


def whole(octets: bytes) -> list[bytes]:
    """The records of a chunk with the zone's name in place of the pointers."""
    found, at = [], 0
    while at < len(octets):
        start = at
        while octets[at] < 0xC0:
            at += octets[at] + 1
        end = at + 12 + int.from_bytes(octets[at + 10 : at + 12], "big")
        found.append(octets[start:at] + APEX + octets[at + 2 : end])
        at = end
    return found


def assert_same(changed: Image, rebuilt: Image) -> None:
    assert contents(changed._nodes) == contents(rebuilt._nodes)
    assert contents(changed._hashed) == contents(rebuilt._hashed)
    assert changed.cuts == rebuilt.cuts
    assert (changed.soa, changed.serial, changed.denial) == (rebuilt.soa, rebuilt.serial, rebuilt.denial)
    assert changed.chain == rebuilt.chain
    assert changed.record_count == rebuilt.record_count == len(list(rebuilt.records()))
    assert sorted(transferred(changed)) == sorted(transferred(rebuilt))
    assert list(changed._blocks) == list(rebuilt._blocks) == sorted(rebuilt._blocks)
    size = sum(len(octets) for block in changed.blocks() for _, octets in block.chunks)
    assert changed._blocks.wire_size == size
    for block in changed.blocks():
        # Changed octets are put into those that were there: what a transfer sends is what would be rendered.
        rendered = [record for key in block.keys for record in changed._render(key)]
        assert b"".join(octets for _, octets in block.chunks) == b"".join(rendered)
        assert sum(count for count, _ in block.chunks) == len(rendered)
        assert all(len(octets) <= changed.largest_chunk for _, octets in block.chunks)
    for key in rebuilt._blocks:
        for probe in (key, key + b"0\x00"):
            assert changed._blocks.before(probe) == rebuilt._blocks.before(probe)
            assert changed._blocks.after(probe) == rebuilt._blocks.after(probe)


HASHES = [bytes((0x20,)) + bytes((48 + number,)) * 32 + APEX for number in range(4)]
PARAM = b"\x01\x00\x00\x00\x00"
NSEC3_RDATA = PARAM + b"\x14" + bytes(20) + b"\x00\x01\x40"
_LABELS = st.sampled_from(["a", "b", "*", "0"])
_OWNERS = st.lists(_LABELS, min_size=1, max_size=3).map(lambda parts: name(".".join(parts)))
_DATA = st.one_of(
    st.integers(0, 3).map(lambda last: (A, bytes((192, 0, 2, last)))),
    st.just((NS, OTHER)),
    st.just((DNAME, OTHER)),
    st.just((TXT, b"\x01x")),
    st.just((NSEC, OTHER + b"\x00\x01\x40")),
    st.sampled_from([A, TXT]).map(lambda covered: (RRSIG, covered.to_bytes(2, "big") + bytes(17) + OTHER)),
)
_PLAIN = st.builds(lambda owner, data, ttl: Record(owner, data[0], ttl, data[1]), _OWNERS, _DATA, st.just(300))
_SIGNED = st.one_of(
    st.sampled_from(HASHES).map(lambda owner: Record(owner, NSEC3, 300, NSEC3_RDATA)),
    st.sampled_from(HASHES).map(lambda owner: Record(owner, NSEC3, 300, b"\x01\x00\x00\x09" + NSEC3_RDATA[4:])),
    st.sampled_from(HASHES).map(lambda owner: Record(owner, A, 300, b"\x00" * 4)),
    st.just(Record(APEX, NSEC3PARAM, 0, PARAM)),
    st.just(Record(APEX, NSEC3PARAM, 0, b"\x01\x00\x00\x09\x00")),
    st.just(Record(APEX, NSEC, 300, OTHER + b"\x00\x01\x40")),
)
_CONTENTS = st.frozensets(st.one_of(_PLAIN, _SIGNED), max_size=14)


@given(st.lists(_CONTENTS, min_size=2, max_size=4))
def test_a_changed_image_is_the_one_built_anew(versions: list[frozenset[Record]]) -> None:
    """Names, empty non-terminals, cuts, NSEC3 chain, blocks and neighbours, after each of several changes."""
    changed = build(*versions[0])
    for serial, records in enumerate(versions[1:], 2):
        rebuilt = build(*records, serial=serial)
        changed.apply(difference(changed.records(), rebuilt.records()), serial)
        assert changed.version == serial
        assert_same(changed, rebuilt)


def test_blocks_split_and_vanish_as_names_come_and_go() -> None:
    chance = random.Random(7)
    pool = [a(f"n{number}.{number % 7}") for number in range(2000)]
    present = set(chance.sample(pool, 600))
    image = build(*present)
    for serial in range(2, 14):
        toggled = set(chance.sample(pool, chance.choice([1, 5, 300])))
        present = present - toggled if serial in (6, 7, 8) else present ^ toggled
        rebuilt = build(*present, serial=serial)
        image.apply(difference(image.records(), rebuilt.records()), serial)
        assert_same(image, rebuilt)
        assert all(0 < len(block.keys) <= 128 for block in image.blocks())


def test_a_change_of_many_blocks_is_the_zone_built_anew() -> None:
    chance = random.Random(3)
    pool = [a(f"n{number}.{number % 7}", last) for number in range(3000) for last in (1, 2)]
    image = build(*pool[::3])
    for serial in range(2, 8):
        rebuilt = build(*chance.sample(pool, chance.choice([1000, 3000])), serial=serial)
        image.apply(difference(image.records(), rebuilt.records()), serial)
        assert_same(image, rebuilt)


def test_octets_that_stand_in_two_places_are_not_taken_for_a_record() -> None:
    """Rdata may hold what looks like the record of another name."""
    inside = b"\x01b\xc0\x0c" + b"\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04" + bytes((192, 0, 2, 1))
    for owner in ("a", "c"):
        image = build(Record(name(owner), 65280, 300, inside), a("b"), a("d"))
        assert blob.transferred(image.node(name("b")) or (), b"\x01b\xc0\x0c") == [inside]
        image.apply(Changeset((soa(1), a("b")), (soa(2), a("b", 2))), 2)
        assert_same(image, build(Record(name(owner), 65280, 300, inside), a("b", 2), a("d"), serial=2))
        image.apply(Changeset((soa(2),), (soa(3), a("aa"))), 3)
        image.apply(Changeset((soa(3), a("b", 2)), (soa(4),)), 4)
        assert_same(image, build(Record(name(owner), 65280, 300, inside), a("aa"), a("d"), serial=4))


def test_nothing_is_changed_before_it_is_published() -> None:
    old = [a(f"n{number}") for number in range(2000)]
    new = [*(a(f"n{number}", 2) for number in range(0, 2000, 2)), a("x.y.z"), Record(name("cut"), NS, 300, OTHER)]
    image, before, after = build(*old), build(*old), build(*new, serial=2)
    change = difference(before.records(), after.records())
    patching = Patching(image, change.removed, change.added)
    for number, _ in enumerate(patching.prepare()):
        if number % 40 == 0:
            assert_same(image, before)
    assert_same(image, before)
    patching.publish(2)
    assert_same(image, after)


def test_a_snapshot_of_blocks_stays_what_it_was() -> None:
    """DESIGN: a transfer keeps the tuple of blocks it began with."""
    image = build(*[a(f"n{number}") for number in range(600)])
    before = image.blocks()
    copy = [(block.keys, block.chunks) for block in before]
    image.apply(Changeset((soa(1), a("n0")), (soa(2), a("zzz"))), 2)
    assert [(block.keys, block.chunks) for block in before] == copy
    assert [block for block in image.blocks() if any(block is old for old in before)] == list(before[1:-1])


def test_a_transfer_after_a_whole_block_went_has_nothing_of_it() -> None:
    image = build(*[a(f"n{number:02}") for number in range(40)])
    last = image.blocks()[-1]
    gone = [record for key in last.keys for record in image.records_at(names.from_key(key))]
    image.apply(Changeset((soa(1), *gone), (soa(2),)), 2)
    assert last not in image.blocks()
    assert not set(gone).intersection(transferred(image))


@pytest.mark.parametrize(
    ("removed", "added"),
    [
        ([a("absent")], []),
        ([a("www", 9)], []),
        ([], [a("www")]),
        ([a("www"), a("www")], []),
        ([], [a("new"), a("new")]),
        ([Record(name("www"), A, 301, bytes((192, 0, 2, 1)))], []),
        ([], [Record(OTHER, A, 300, bytes(4))]),
    ],
    ids=["absent name", "absent rdata", "there already", "removed twice", "added twice", "other TTL", "out of zone"],
)
def test_what_does_not_apply_changes_nothing(removed: list[Record], added: list[Record]) -> None:
    """All or nothing: what comes before the bad record is not done either."""
    image = build(a("www"))
    bad = Changeset((soa(1), *removed), (soa(2), a("before"), *added))
    with pytest.raises(DoesNotApply):
        image.apply(bad, 2)
    assert image.version == 1
    assert_same(image, build(a("www")))


@pytest.mark.parametrize(("removed", "added"), [([soa(5)], [soa(6)]), ([], [soa(2)]), ([soa(1)], [])])
def test_a_changeset_from_another_serial_does_not_apply(removed: list[Record], added: list[Record]) -> None:
    with pytest.raises(DoesNotApply):
        build(a("www")).apply(Changeset(tuple(removed), tuple(added)), 2)


def pages(*parts: list[Record]) -> list[Page]:
    pager = Pager(APEX)
    return [*(page for part in parts for page in pager.add(rows_of(part))), *pager.finish()]


def built(found: Iterable[Page]) -> Image:
    builder = Builder(APEX, 1)
    for page in found:
        builder.add(Page.of(marshal.loads(marshal.dumps(page.plain))))
    return builder.finish()


def test_pages_are_the_same_however_their_rows_come() -> None:
    many = [a(f"n{number}", last) for number in range(200) for last in range(1 + number % 3)]
    records = in_order([soa(), a("www", 1), a("www", 2), a("zzz"), Record(name("www"), TXT, 300, b"\x01x"), *many])
    whole = Image.build(APEX, 1, records)
    for at in (0, 1, 2, 3, 150, 200, 250, len(records) - 2, len(records)):
        assert_same(built(pages(records[:at], records[at:])), whole)
    assert_same(built(pages(*([record] for record in records))), whole)


@pytest.mark.parametrize("parent", ["", "a", "a.a", "\\000", "\\001.a"])
@pytest.mark.parametrize("octets", [b"a", b"ab", b"a\x00", b"a\x01b", b"\x00\x01\x02", b"@\xff"])
def test_names_are_told_apart_whatever_they_look_like(parent: str, octets: bytes) -> None:
    """Labels that are the parent's, or hold what keys are escaped and packed with."""
    above = name(parent) if parent else APEX
    labels = [bytes(label) for size in range(1, 6) for label in product(octets, repeat=size)]
    found = [Record(bytes((len(label),)) + label + above, A, 300, b"%4d" % at) for at, label in enumerate(labels)]
    records = in_order([soa(), *found])
    image = Image.build(APEX, 1, records)
    assert list(image.records()) == records
    assert transferred(image) == records[1:]
    for block in image.blocks():
        assert block == Block.of(block.keys, block.chunks)


def test_a_label_that_repeats_its_parents_is_a_label() -> None:
    apex = b"\x01a\x01a\x00"
    records = [Record(apex, SOA, 3600, with_serial(SOA_RDATA, 1))]
    records += [Record(b"\x01" + letter + b"\x01a" + apex, A, 300, b"1234") for letter in (b"a", b"b", b"c")]
    image = Image.build(apex, 1, records)
    assert list(image.records()) == records
    assert [names.from_key(key) for block in image.blocks() for key in block.keys] == [owner for owner, *_ in records]


def test_a_page_is_small_whatever_stands_in_it() -> None:
    long = [Record(name(f"n{number}"), TXT, 300, (b"\xff" + b"x" * 255) * 4) for number in range(500)]
    found = pages(in_order([soa(), *long]))
    assert_same(built(found), Image.build(APEX, 1, in_order([soa(), *long])))
    assert max(len(marshal.dumps(page.plain)) for page in found) < 20_000
    ordinary = pages(in_order([soa(), *(a(f"n{number}") for number in range(999))]))
    assert max(len(marshal.dumps(page.plain)) for page in ordinary) < 16_384


def test_builder_refuses_what_is_no_zone() -> None:
    with pytest.raises(ValueError, match="exactly one SOA"):
        Image.build(APEX, 1, [Record(APEX, NS, 1, OTHER)])
    with pytest.raises(ValueError, match="exactly one SOA"):
        Image.build(APEX, 1, [soa(1), soa(2)])
    with pytest.raises(ValueError, match="canonical order"):
        Image.build(APEX, 1, [soa(), a("b"), a("a")])
    with pytest.raises(ValueError, match="not in"):
        Image.build(APEX, 1, [soa(), Record(name("www") + b"", A, 1, bytes(4)), Record(b"\x04zzzz\x00", A, 1, b"1234")])


def test_empty_non_terminals_exist_while_something_is_below() -> None:
    """RFC 4592, 2.2.2."""
    image = build(a("a.b.c"))
    assert [image.node(name(text)) for text in ("c", "b.c")] == [(), ()]
    assert image.node(name("x.c")) is None
    image.apply(Changeset((soa(1), a("a.b.c")), (soa(2),)), 2)
    assert [image.node(name(text)) for text in ("c", "b.c", "a.b.c")] == [None, None, None]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("www", None),
        ("@", None),
        ("sub", ("sub", NS)),
        ("x.sub", ("sub", NS)),
        ("x.deeper.sub", ("sub", NS)),
        ("dn", None),
        ("x.dn", ("dn", DNAME)),
        ("x.cut.dn", ("dn", DNAME)),
    ],
)
def test_the_topmost_cut_wins(asked: str, expected: tuple[str, int] | None) -> None:
    """RFC 1034, 4.3.2, 3b: NS at or above a name, not the apex's; RFC 6672, 3.2: DNAME above it."""
    image = build(
        Record(name("sub"), NS, 1, OTHER),
        Record(name("deeper.sub"), NS, 1, OTHER),
        Record(name("dn"), DNAME, 1, OTHER),
        Record(name("cut.dn"), NS, 1, OTHER),
    )
    assert image.cut(name(asked)) == (expected and (name(expected[0]), expected[1]))


def test_a_dname_at_the_apex_cuts_all_below() -> None:
    image = build(Record(APEX, DNAME, 1, OTHER))
    assert image.cut(name("x")) == (APEX, DNAME)
    assert image.cut(APEX) is None


def test_predecessor_and_nsec_owners() -> None:
    """RFC 4035, 2.3: glue has no NSEC, so the one before it covers what follows it."""
    nsec = OTHER + b"\x00\x01\x40"
    image = build(
        Record(APEX, NSEC, 300, nsec),
        Record(name("b"), NS, 1, OTHER),
        Record(name("b"), NSEC, 300, nsec),
        a("glue.b"),
        Record(name("d"), NSEC, 300, nsec),
    )
    assert image.denial is Denial.NSEC
    assert image.predecessor(name("c")) == name("glue.b")
    assert image.predecessor(APEX) is None
    covering = {text: image.nsec_covering(name(text)) for text in ("@", "a", "b", "c", "d", "z")}
    assert covering == {
        "@": APEX, "a": APEX, "b": name("b"), "c": name("b"), "d": name("d"), "z": name("d"),
    }  # fmt: skip


def test_an_owner_keeps_its_case_everywhere_but_in_lookups() -> None:
    """RFC 4343, 4.1."""
    image = build(Record(name("WwW"), A, 300, bytes(4)), Record(name("WwW"), AAAA, 300, bytes(16)))
    assert image.node(name("www"))
    assert {record.owner for record in image.records_at(name("www"))} == {name("WwW")}
    assert name("WwW") in {record.owner for record in transferred(image)}
    image.apply(Changeset((soa(1), *image.records_at(name("www"))), (soa(2), a("www"))), 2)
    assert [record.owner for record in image.records_at(name("www"))] == [name("WwW")]
    image.apply(Changeset((soa(2), a("www")), (soa(3),)), 3)
    image.apply(Changeset((soa(3),), (soa(4), a("www"))), 4)
    assert [record.owner for record in image.records_at(name("www"))] == [name("www")]


def test_a_record_larger_than_a_chunk_has_one_of_its_own() -> None:
    large = Record(name("big"), TXT, 300, (b"\xff" + b"x" * 255) * 30)
    image = build(a("a"), large, a("c"))
    assert len(transferred(image)) == 4
    sizes = [len(octets) for block in image.blocks() for _, octets in block.chunks]
    assert len(sizes) == 3
    assert sizes[1] > 4096
    assert image.wire_size > sum(sizes)


def test_blob_of_a_signature_goes_by_what_it_covers() -> None:
    signature = Record(name("www"), RRSIG, 300, A.to_bytes(2, "big") + bytes(16) + OTHER)
    node = build(a("www"), signature).node(name("www")) or ()
    found = blob.find(node, RRSIG, A)
    assert found is not None
    assert blob.count(found) == 1
    assert blob.find(node, RRSIG) is None
    assert [record.rdata for record in blob.records(name("www"), (found,))] == [signature.rdata]


def test_nsec3_hash_is_that_of_rfc_5155() -> None:
    """RFC 5155, appendix A: salt aabbccdd, 12 iterations."""
    param = Param(12, bytes.fromhex("aabbccdd"))
    assert param.label(names.from_text("example.")) == b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"
    assert param.label(names.from_text("a.example.")) == b"35mthgpgcu1qg68fab165klnsnk3dpvl"
    assert param.label(names.from_text("*.w.example.")) == b"r53bq7cc2uvmubfu5ocmm6pers9tk9en"


@pytest.mark.parametrize(
    "rdata",
    [
        b"\x02\x00\x00\x00\x00",
        b"\x01\x01\x00\x00\x00",
        b"\x01\x00\x00\x97\x00",
        b"\x01\x00\x00",
        b"\x01\x00\x00\x00\x04\xaa",
    ],
    ids=["not SHA-1", "flags", "151 iterations", "short", "salt cut off"],
)
def test_an_nsec3param_that_is_not_usable_is_no_chain(rdata: bytes) -> None:
    """RFC 5155, 4.1.2 and 8.2; RFC 9276, 3.1: the iterations are capped."""
    assert Param.usable(rdata) is None
    assert build(Record(APEX, NSEC3PARAM, 0, rdata)).denial is Denial.NONE


def test_an_nsec3_owner_is_no_name_of_the_tree() -> None:
    """RFC 5155, 7.2.8; and a DS is found at the cut."""
    image = build(
        Record(APEX, NSEC3PARAM, 0, PARAM),
        Record(HASHES[1], NSEC3, 300, NSEC3_RDATA),
        Record(HASHES[2], NSEC3, 300, NSEC3_RDATA),
        Record(name("sub"), NS, 1, OTHER),
        Record(name("sub"), DS, 1, bytes(36)),
    )
    assert image.denial is Denial.NSEC3
    assert image.node(HASHES[1]) is None
    assert image.nsec3_node(b"1" * 32)
    assert image.chain is not None
    assert image.chain.covering(b"1" * 31 + b"5") == b"1" * 32
    assert image.chain.covering(b"0" * 32) == b"2" * 32
    assert blob.find(image.node(name("sub")) or (), DS)


def test_a_zone_that_grows_large_is_spread_over_many_dictionaries() -> None:
    few = [a(f"n{number}") for number in range(LARGE - 10)]
    more = [a(f"m{number}.sub") for number in range(20)]
    image, rebuilt = build(*few), build(*few, *more)
    assert (len(image.shards), len(rebuilt.shards)) == (1, 256)
    image.apply(difference(image.records(), [*image.records(), *more]), 2)
    assert len(image.shards) == 256
    assert image.node(name("m7.sub")) == (image.shards[hash(name("m7.sub")) & image.mask][name("m7.sub")],)
    assert image.node(name("sub")) == ()
    assert_same(image, rebuilt)
