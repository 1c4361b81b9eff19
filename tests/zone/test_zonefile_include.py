"""$INCLUDE: relative to the including file, held to the zone file's directory (RFC 1035, 5.1)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dnsserver.zone import names
from dnsserver.zone.zonefile import sources
from dnsserver.zone.zonefile.parsed import Parsed
from dnsserver.zone.zonefile.reader import read

APEX = names.from_text("example.com.")


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("$TTL 60\n" + text)
    return folder / "zone"


def owners(parsed: Parsed) -> list[str]:
    return [names.to_text(record.owner).removesuffix(".example.com.") for record in parsed.records]


def test_origin_and_owner_are_restored(tmp_path: Path) -> None:
    """RFC 1035, 5.1: an included file never changes the origin of its parent; its $TTL goes on (RFC 2308, 4)."""
    zone = put(
        tmp_path,
        zone='a A 192.0.2.1\n$INCLUDE sub/one in.example.com. ; x\n AAAA ::\nb A 192.0.2.1\n$INCLUDE "sub/two"\n',
        sub__one="c A 192.0.2.1\n$ORIGIN deep\nd A 192.0.2.1\n$INCLUDE two\n$TTL 7\n",
        sub__two="e A 192.0.2.1\n",
    )
    parsed = read(zone, APEX)
    assert [str(problem) for problem in parsed.problems] == []
    assert owners(parsed) == ["a", "c.in", "d.deep.in", "e.deep.in", "a", "b", "e"]
    assert [record.ttl for record in parsed.records] == [60, 60, 60, 60, 7, 7, 60]


def test_an_included_file_begins_without_an_owner(tmp_path: Path) -> None:
    parsed = read(put(tmp_path, zone="a A 192.0.2.1\n$INCLUDE one\n", one=" A 192.0.2.2\n"), APEX)
    assert [problem.place for problem in parsed.problems] == [f"{tmp_path}/one:2"]


def test_the_jail(tmp_path: Path) -> None:
    home = tmp_path / "home"
    put(tmp_path, secret="leak A 192.0.2.1\n")
    zone = put(
        home, zone="$INCLUDE ../secret\n$INCLUDE {0}/secret\n$INCLUDE link\n$INCLUDE sub/up\n$INCLUDE in\nz A 1.2.3.4\n"
    )
    zone.write_text(zone.read_text().replace("{0}", str(tmp_path)))
    put(home, sub__up="$INCLUDE ../../secret\n$INCLUDE ../fine\n", fine="fine A 192.0.2.1\n")
    os.symlink("../secret", home / "link")
    os.symlink("fine", home / "in")
    parsed = read(zone, APEX)
    assert owners(parsed) == ["fine", "z"]
    outside = [problem.place.removeprefix(f"{home}/") for problem in parsed.errors if "outside" in problem.message]
    assert outside == ["zone:2", "zone:3", "zone:4", "sub/up:2"]
    assert len(parsed.errors) == 4


def test_a_sister_directory_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    put(tmp_path / "home2", secret="leak A 192.0.2.1\n")
    parsed = read(put(tmp_path / "home", zone="$INCLUDE ../home2/secret\n"), APEX)
    assert "outside" in parsed.errors[0].message


def test_loops_and_depth(tmp_path: Path) -> None:
    parsed = read(
        put(tmp_path, zone="$INCLUDE one\n$INCLUDE zone\n", one="$INCLUDE ./zone\n$INCLUDE one\na A 192.0.2.1\n"), APEX
    )
    assert [problem.place.rpartition("/")[2] for problem in parsed.errors] == ["one:2", "one:3", "zone:3"]
    assert all("loop" in problem.message for problem in parsed.errors)
    files = {f"f{n}": f"$INCLUDE f{n + 1}\n" for n in range(sources.MAX_DEPTH + 5)}
    parsed = read(put(tmp_path, zone="$INCLUDE f0\n", **files), APEX)
    assert ["deeper" in problem.message for problem in parsed.errors] == [True]
    # Each file twice the next one: 2^10 files, more than are opened.
    files = {f"f{n}": f"$INCLUDE f{n + 1}\n$INCLUDE f{n + 1}\n" for n in range(9)}
    parsed = read(put(tmp_path, zone="$INCLUDE f0\n$INCLUDE f0\n", f9="", **files), APEX)
    assert len(parsed.includes) == sources.MAX_FILES
    assert "files" in parsed.errors[0].message


@pytest.mark.parametrize("name", ["absent", ".", "pipe", "", "sub", '""', "knot"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.symlink("knot", tmp_path / "knot")
    (tmp_path / "sub").mkdir()
    parsed = read(put(tmp_path, zone=f"$INCLUDE {name}\na A 192.0.2.1\n"), APEX)
    assert [problem.place for problem in parsed.errors] == [f"{tmp_path}/zone:2"]
    assert owners(parsed) == ["a"]


def test_a_zone_file_through_a_link_includes_what_lies_beside_the_real_one(tmp_path: Path) -> None:
    put(tmp_path / "real", zone="$INCLUDE one\n", one="a A 192.0.2.1\n")
    os.symlink("real/zone", tmp_path / "link")
    assert owners(read(tmp_path / "link", APEX)) == ["a"]
