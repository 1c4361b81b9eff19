"""What a zone file is read from: the file itself, a stream, and the files that it includes, held to its directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dnsserver.errors import InvalidData, Problem

MAX_DEPTH = 10
MAX_FILES = 1000
MAX_LINE = 1 << 20

_CHUNK = 1 << 18
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Source:
    """An open file; ``shown`` is its name in messages, ``path`` its real path (None: a stream).

    ``is_foreign``: the caller of the reader opened it, and closes it.
    """

    shown: str
    stream: IO[bytes] | IO[str]
    path: Path | None = None
    is_foreign: bool = False

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """Whole lines, each ended by LF (CRLF becomes LF), with how many bytes were read for them.

        Raises InvalidData: a line longer than 1 MiB, or a read that fails.
        """
        rest = b""
        first = True
        while block := self._block():
            if first:
                block = block.removeprefix(_BOM)
                first = False
            size = len(block)
            end = block.rfind(b"\n") + 1
            if end:
                whole, rest = rest + block[:end], block[end:]
                yield (whole.replace(b"\r\n", b"\n") if b"\r" in whole else whole), size
            else:
                rest += block
            if len(rest) > MAX_LINE:
                raise InvalidData(f"a line is longer than {MAX_LINE} bytes")
        if rest:
            yield rest.removesuffix(b"\r") + b"\n", 0

    def _block(self) -> bytes:
        try:
            block = self.stream.read(_CHUNK)
        except (OSError, UnicodeError) as error:
            raise InvalidData(f"cannot be read: {error}") from None
        return block.encode("utf-8", "surrogateescape") if isinstance(block, str) else block


def _words(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "is a directory, not a zone file"
    return f"cannot be read: {error.strerror or error}"


def open_top(path: str | os.PathLike[str]) -> Source:
    """The zone file itself. Raises InvalidData: absent, a directory, unreadable."""
    shown = os.fspath(path)
    try:
        stream = open(shown, "rb")  # noqa: SIM115 - the reader closes it
        return Source(shown, stream, Path(shown).resolve())
    except (OSError, ValueError, RuntimeError) as error:
        words = _words(error) if isinstance(error, OSError) else str(error)
        raise InvalidData(f"{shown}: {words}", [Problem(shown, words)]) from None


def open_included(name: str, stack: list[Source]) -> Source:
    """The file that the last of ``stack`` includes, found relative to it.

    Its real path must lie in the directory of the top file, or below it. Raises InvalidData: outside, absent, no
    regular file, already open (a loop), nested too deep, included from a stream.
    """
    top, here = stack[0].path, stack[-1].path
    if top is None or here is None:
        raise InvalidData("$INCLUDE needs a zone file of its own: what is read from a stream has no directory")
    if not name or "\x00" in name:
        raise InvalidData("$INCLUDE needs the name of a file")
    if len(stack) > MAX_DEPTH:
        raise InvalidData(f"$INCLUDE is nested deeper than {MAX_DEPTH}")
    try:
        path = (here.parent / name).resolve()
        if not path.is_relative_to(top.parent):
            raise InvalidData(f"$INCLUDE {name} lies outside {top.parent}, the directory of the zone file")
        if any(source.path == path for source in stack):
            raise InvalidData(f"$INCLUDE {name} is a loop: the file is being read already")
        # The real path has no symbolic links; one that was put there since is not followed, and a pipe does not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InvalidData(f"$INCLUDE {name}: no regular file")
        shown = os.path.join(os.path.dirname(stack[-1].shown), name)
        return Source(shown, os.fdopen(descriptor, "rb"), path)
    except OSError as error:
        raise InvalidData(f"$INCLUDE {name}: {_words(error)}") from None
    except RuntimeError:
        raise InvalidData(f"$INCLUDE {name}: a loop of symbolic links") from None
