"""``dnsserver zone import|export|edit``: zones as master files."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnsserver.cli import files, output
from dnsserver.cli.app import confirm, json_option, yes_option
from dnsserver.cli.changes import comment_option, make, messages, wait_options
from dnsserver.cli.session import Session
from dnsserver.errors import DnsServerError, InvalidData, NotFound, Problem, UsageError
from dnsserver.priority import stand_back

if TYPE_CHECKING:
    from dnsserver.zone.checks import ZoneLimits
    from dnsserver.zone.whole import Whole
    from dnsserver.zone.zonefile.parsed import Parsed

SUFFIX = ".zone"
_BAR_FROM = 4 << 20  # octets of a file whose reading takes long enough to be watched
_NICE = 10


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A zone read from a file."""

    path: Path
    apex: bytes
    limits: ZoneLimits
    parsed: Parsed

    def whole(self) -> Whole:
        """It as operations take it."""
        from dnsserver.zone.whole import arranged

        return arranged(self.parsed.records, self.parsed.keys)

    def check(self) -> None:
        """Raises InvalidData that tells what is wrong with the zone as a whole by the lines that it is written on."""
        from dnsserver.zone.checks import check_contents

        whole = check_contents(self.apex, self.parsed.records, self.limits, place=self.parsed.place)
        _require(self.path, [*self.parsed.problems, *whole])


def _stand_back(session: Session, path: Path) -> None:
    """Answers come first where a server may share the processor: to read a long file takes seconds of it."""
    if os.nice(0) < _NICE and path.stat().st_size >= _BAR_FROM and session.config.server.control_socket.exists():
        stand_back(_NICE)


def _load(session: Session, name: str, path: Path) -> _Loaded:
    """Read a master file; warnings go to standard error. Raises NotFound, InvalidData with all errors."""
    from dnsserver.zone import names
    from dnsserver.zone.checks import ZoneLimits, excess
    from dnsserver.zone.whole import uncollected
    from dnsserver.zone.zonefile import reader

    apex = names.zone_from_user(name)
    limits = session.config.limits
    zone_limits = ZoneLimits(limits.zone_size, limits.zone_records, limits.rrset_records, limits.name_types)
    _stand_back(session, files.regular(path))
    with uncollected(), _progress(path) as progress:
        parsed = reader.read(path, apex, limits=zone_limits, progress=progress)
    loaded = _Loaded(path, apex, zone_limits, parsed)
    if parsed.errors:
        # Lines that could not be read may be what the whole lacks: each error is told, but none that follows from it.
        _require(path, [*parsed.problems, *excess(apex, parsed.records, zone_limits, place=parsed.place)])
    output.problems(parsed.problems)
    return loaded


def _require(path: Path, problems: Sequence[Problem]) -> None:
    errors = sum(problem.severity == "error" for problem in problems)
    if errors:
        raise InvalidData(f"{path} has {_count(errors, 'error')}; nothing was changed", problems)


@contextmanager
def _by_line(loaded: _Loaded) -> Iterator[None]:
    """What an operation finds wrong with the zone is told by lines. Looked for again only then: it takes its time."""
    try:
        yield
    except InvalidData:
        loaded.check()
        raise


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int], None] | None]:
    """A bar over the octets of a long file, on a terminal."""
    size = path.stat().st_size
    if size < _BAR_FROM or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=size, label=f"Reading {path.name}", file=sys.stderr) as bar:
        yield lambda octets: bar.update(octets - bar.pos)


@click.command("import")
@click.argument("name", required=False)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), help="Import every NAME.zone in it.")
@click.option("--replace", is_flag=True, help="A zone that is there then equals the file.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--init", is_flag=True, help="Make the database where it is not there.")
@comment_option
@wait_options
@json_option
@click.pass_obj
def import_(
    session: Session,
    name: str | None,
    file: Path | None,
    folder: Path | None,
    replace: bool,
    dry_run: bool,
    init: bool,
    comment: str | None,
    wait: bool,
    timeout: float,
) -> int:
    """Import the primary zone NAME from the master FILE, as one change; or every NAME.zone of a folder.

    All errors are reported at once (status 4), and nothing is changed when there is one. A zone that is there needs
    --replace.
    """
    args: dict[str, Any] = {"replace": replace, "dry_run": dry_run, "comment": comment}
    if folder is not None:
        if name is not None or wait:
            raise UsageError("--dir takes the zones' names from the files, and does not go with --wait")
        return _import_folder(session, folder, args, init)
    if name is None or file is None:
        raise UsageError("say which zone and which file: zone import NAME FILE, or --dir DIR")
    loaded = _load(session, name, file)
    args |= {"name": name, "source": str(file)}
    wait = wait and not dry_run
    with _by_line(loaded):
        return make(session, "zone.import", args, loaded.whole(), wait=wait, timeout=timeout, create=init)


def _import_folder(session: Session, folder: Path, args: dict[str, Any], init: bool) -> int:
    """One change a zone; a bad one does not stop the others. 4 when one failed."""
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}")
    files = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    if not files:
        raise NotFound(f"there is no NAME{SUFFIX} in {folder}")
    given = {key: value for key, value in args.items() if value is not None}
    results = [_import_one(session, path, given, init) for path in files]
    failed = sum(not result["ok"] for result in results)
    if session.json:
        output.as_json({"zones": results, "failed": failed})
    elif failed:
        output.note(f"{failed} of {len(results)} zones failed")
    return InvalidData.exit_status if failed else 0


def _import_one(session: Session, path: Path, args: dict[str, Any], init: bool) -> dict[str, Any]:
    name = path.name.removesuffix(SUFFIX)
    try:
        loaded = _load(session, name, path)
        given = {**args, "name": name, "source": str(path)}
        with _by_line(loaded):
            result, _ = session.call("zone.import", given, loaded.whole(), create=init)
    except DnsServerError as failure:
        if not session.json:
            output.say(f"{name}: failed: {failure.message}")
        output.problems(failure.problems)
        return {"zone": name, "ok": False, "error": failure.to_dict()}
    if not session.json:
        output.say(f"{result['zone']}: {_outcome(result)}, {_count(len(loaded.parsed.records), 'record')}")
        messages(result)
    return {**result, "ok": True}


def _outcome(result: dict[str, Any]) -> str:
    if not result["changed"]:
        return "nothing to do"
    if result["old_serial"] is None:
        return f"imported, serial {result['new_serial']}"
    return f"serial {result['old_serial']} -> {result['new_serial']}"


@click.command()
@click.argument("name")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="The file; else standard output.")
@json_option
@click.pass_obj
def export(session: Session, name: str, target: Path | None) -> None:
    """Write a zone as a master file, sorted and with absolute names."""
    result, lines = _exported(session, name)
    if target is not None and str(target) != "-":
        _write_atomically(target, lines)
        if session.json:
            output.as_json({**result, "file": str(target)})
    elif session.json:
        output.as_json({**result, "text": "".join(lines)})
    else:
        sys.stdout.writelines(lines)


def _exported(session: Session, name: str) -> tuple[dict[str, Any], Iterable[str]]:
    """The zone's name, version and serial, and the lines of its file."""
    from dnsserver.zone import names
    from dnsserver.zone.records import unpack
    from dnsserver.zone.zonefile import writer

    result, packed = session.call("zone.export", {"name": name})
    return result, writer.write(names.from_text(result["zone"]), unpack(packed), result["default_ttl"])


def _write_atomically(target: Path, lines: Iterable[str]) -> None:
    """The whole new file, or the old one: written beside it, synced, renamed."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise DnsServerError(f"{target} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fchmod(descriptor, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            os.fsync(descriptor)
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise DnsServerError(f"{target} cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@click.command()
@click.argument("name")
@yes_option
@click.option("--force", is_flag=True, help="Let the serial go backwards.")
@comment_option
@wait_options
@json_option
@click.pass_obj
def edit(session: Session, name: str, yes: bool, force: bool, comment: str | None, wait: bool, timeout: float) -> int:
    """Edit a zone in $VISUAL or $EDITOR; the difference is shown before it is committed."""
    if not yes and not sys.stdin.isatty():
        raise UsageError("`zone edit` asks before it commits, and there is no terminal: --yes. Nothing was done")
    result, lines = _exported(session, name)
    descriptor, path = tempfile.mkstemp(prefix=f"{result['zone'].rstrip('.').replace('/', '_')}.", suffix=SUFFIX)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(lines)
    edited = Path(path)
    before = edited.read_bytes()
    loaded = _edit_until_good(session, result["zone"], edited)
    if edited.read_bytes() == before:
        edited.unlink()
        return _unchanged(session, result)
    args = {"name": name, "base_version": result["zone_version"], "comment": comment, "force": force or None}
    status = _commit_edit(session, args, loaded, edited, yes=yes, wait=wait, timeout=timeout)
    edited.unlink()
    return status


def _unchanged(session: Session, exported: dict[str, Any]) -> int:
    serial = exported["serial"]
    if session.json:
        same = {"old_serial": serial, "new_serial": serial, "added": [], "removed": [], "changed": False}
        output.as_json({"zone": exported["zone"], **same})
    else:
        output.say(f"{exported['zone']}: nothing to do")
    return 0


def _edit_until_good(session: Session, zone: str, path: Path) -> _Loaded:
    """Open the editor until the file can be read, or the user gives up: then the file is kept."""
    while True:
        try:
            click.edit(filename=str(path))
        except click.ClickException as error:
            raise DnsServerError(f"{error.message} (the file is kept in {path}; nothing was changed)") from None
        try:
            loaded = _load(session, zone, path)
            loaded.check()
            return loaded
        except InvalidData as failure:
            output.error(failure)
            if not (sys.stdin.isatty() and click.confirm("Edit again?", default=True, err=True)):
                raise InvalidData(f"the zone was not changed; what you wrote is kept in {path}") from None


def _commit_edit(
    session: Session, args: dict[str, Any], loaded: _Loaded, path: Path, *, yes: bool, wait: bool, timeout: float
) -> int:
    """Show the difference, ask, commit. Whatever goes wrong, the edited file is kept."""
    try:
        given = {key: value for key, value in args.items() if value is not None}
        if not yes:
            preview, _ = session.call("zone.replace_text", {**given, "dry_run": True}, loaded.whole())
            output.difference(preview)
            confirm("Commit this?", yes=False)
        return make(session, "zone.replace_text", given, loaded.whole(), wait=wait, timeout=timeout, brief=not yes)
    except (DnsServerError, click.Abort):
        output.note(f"what you wrote is kept in {path}")
        raise
