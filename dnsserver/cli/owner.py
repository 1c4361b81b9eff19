"""Root works on another user's database as that user, so that no file is left owned by root (CONTRACT, Program)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def login_name() -> str:
    """Who works here, for the history: behind sudo the person, not root."""
    uid = os.getuid()
    if uid == 0 and (behind := os.environ.get("SUDO_USER")):
        return behind
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def as_owner(path: Path | None) -> Iterator[None]:
    """Run the block as the owner of ``path`` (where it is not there yet: of its folder), if we are root.

    Effective ids only, and root again after it: the files that a person names are read and written as that person.
    """
    owner = _owner(path) if path is not None and os.geteuid() == 0 else None
    if owner is None or owner[0] == 0:
        yield
        return
    uid, gid = owner
    from dnsserver.cli.capabilities import keep_reading

    groups, own_gid = os.getgroups(), os.getegid()
    os.setgroups(_groups(uid, gid))
    os.setegid(gid)
    os.seteuid(uid)
    keep_reading()
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(own_gid)
        os.setgroups(groups)


def _owner(path: Path) -> tuple[int, int] | None:
    for there in (path, *path.parents):
        try:
            status = there.stat()
        except OSError:
            continue
        return status.st_uid, status.st_gid
    return None


def _groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
