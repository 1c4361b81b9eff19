"""Zone files in and out, and edited, on a real SQLite database, no server running (CONTRACT, Program)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.files import GOOD, write
from tests.support.program import Program

ROOT = Path(__file__).resolve().parents[2]

# Zone files


def test_import_tells_all_errors_with_file_and_line(program: Program) -> None:
    file = write(program.folder / "zone", *GOOD, "a A 192.0.2.999", "b A x", "other.test. A 192.0.2.1")
    done = program("zone", "import", "example.org", file)
    assert done.status == 4
    assert re.findall(r":(\d+): ", done.err) == ["6", "7", "8"]
    assert program("zone", "show", "example.org").status == 3


def test_what_is_wrong_with_the_zone_as_a_whole_is_told_by_its_lines_too(program: Program) -> None:
    file = write(program.folder / "zone", *GOOD, "www CNAME elsewhere.test.")
    done = program("zone", "import", "example.org", file)
    assert done.status == 4
    assert re.search(rf"^{file}:[56]: .*CNAME", done.err, re.MULTILINE)


def test_import_over_a_zone_needs_replace_and_shows_the_difference(program: Program) -> None:
    file = write(program.folder / "zone", *GOOD)
    done = program("zone", "import", "example.com", file)
    assert done.status == 7
    assert "+ www.example.com. 3600 IN A 192.0.2.7" in done.err
    assert program.serial() == 1
    assert (
        program.good("zone", "import", "example.com", file, "--replace", "--dry-run", "--json").json["new_serial"] == 10
    )
    assert program.serial() == 1
    assert program.good("zone", "import", "example.com", file, "--replace", "--json").json["new_serial"] == 10
    assert program.good("zone", "import", "example.com", file, "--replace", "--json").json["changed"] is False


def test_an_exported_zone_imports_to_the_same_zone(program: Program) -> None:
    program.good("zone", "import", "example.com", ROOT / "etc" / "sample.zone", "--replace")
    target = program.folder / "out.zone"
    target.write_text("old")
    target.chmod(0o600)
    program.good("zone", "export", "example.com", "-o", target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert program.good("zone", "export", "example.com").out == target.read_text()
    assert program.good("zone", "import", "example.com", target, "--replace", "--json").json["changed"] is False
    assert sorted(path.name for path in program.folder.glob("*out*")) == ["out.zone"]


def test_an_export_that_cannot_be_written_leaves_nothing(program: Program) -> None:
    done = program("zone", "export", "example.com", "-o", program.folder / "none" / "file")
    assert done.status == 1
    assert "cannot be written" in done.err


def test_a_folder_is_imported_zone_by_zone_and_goes_on_after_a_bad_one(program: Program) -> None:
    folder = program.folder / "zones"
    folder.mkdir()
    write(folder / "a.example.zone", *GOOD)
    write(folder / "b.example.zone", "@ SOA broken")
    write(folder / "c.example.zone", *GOOD)
    write(folder / "ignored.txt", "no zone")
    done = program("zone", "import", "--dir", folder)
    assert done.status == 4
    assert [line.split(": ")[0] for line in done.out.splitlines()] == ["a.example.", "b.example", "c.example."]
    assert "b.example.zone:1: " in done.err
    done = program("zone", "import", "--dir", folder, "--json", "--replace")
    assert [zone["ok"] for zone in done.json["zones"]] == [True, False, True]
    (folder / "b.example.zone").unlink()
    program.good("zone", "import", "--dir", folder, "--replace")


# zone edit


def test_zone_edit_commits_what_the_editor_made(program: Program) -> None:
    done = program.process(
        "zone", "edit", "example.com", "--yes", "--json", EDITOR="sed -i s/192.0.2.1/192.0.2.2/", VISUAL=""
    )
    assert done.status == 0, done
    assert done.json["removed"] == ["ns1.example.com. 3600 IN A 192.0.2.1"]
    assert done.json["added"] == ["ns1.example.com. 3600 IN A 192.0.2.2"]
    done = program.process("zone", "edit", "example.com", "--yes", "--json", VISUAL="true")
    assert (done.status, done.json["changed"]) == (0, False)


def test_zone_edit_with_errors_keeps_the_file_and_changes_nothing(program: Program) -> None:
    done = program.process("zone", "edit", "example.com", "--yes", VISUAL="sed -i s/192.0.2.1/192.0.2.999/")
    assert done.status == 4
    (kept,) = re.findall(r"kept in (\S+)", done.err)
    assert re.search(rf"^{kept}:\d+: ", done.err, re.MULTILINE)
    assert "192.0.2.999" in Path(kept).read_text()
    Path(kept).unlink()
    assert program.serial() == 1


def test_an_editor_that_fails_changes_nothing(program: Program) -> None:
    done = program.process("zone", "edit", "example.com", "--yes", VISUAL="false")
    assert (done.status, program.serial()) == (1, 1)
    assert "nothing was changed" in done.err


def test_zone_edit_does_not_overwrite_what_was_changed_meanwhile(program: Program) -> None:
    meanwhile = shlex.join(program.command("record", "add", "example.com", "new", "A", "192.0.2.9"))
    editor = write(program.folder / "editor", "#!/bin/sh", 'sed -i s/192.0.2.1/192.0.2.2/ "$1"', f"{meanwhile} >&2")
    editor.chmod(0o755)
    done = program.process("zone", "edit", "example.com", "--yes", VISUAL=str(editor))
    assert done.status == 7
    assert "changed meanwhile" in done.err
    (kept,) = re.findall(r"kept in (\S+)", done.err)
    Path(kept).unlink()
    assert program.serial() == 2


def test_zone_edit_asks_on_a_terminal_after_it_has_shown_the_difference(program: Program) -> None:
    editor = "sed -i s/192.0.2.1/192.0.2.2/"
    status, shown = program.on_terminal("n", "zone", "edit", "example.com", VISUAL=editor)
    assert status == 1
    assert shown.index("+ ns1.example.com. 3600 IN A 192.0.2.2") < shown.index("Commit this?")
    assert program.serial() == 1
    status, _ = program.on_terminal("y", "zone", "edit", "example.com", VISUAL=editor)
    assert (status, program.serial()) == (0, 2)
