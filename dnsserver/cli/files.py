"""Files that a person names: one that cannot be read is told by the contract's exit statuses (3, 4, 1)."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from dnsserver.errors import DnsServerError, InvalidData, NotFound


def read_text(name: str) -> tuple[str, str]:
    """The text of a file (``-``: standard input), and how messages name it. Raises NotFound, InvalidData, or failed."""
    place = "<stdin>" if name == "-" else name
    try:
        octets = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise trouble(place, error) from None
    try:
        return octets.decode("utf-8-sig"), place
    except UnicodeDecodeError as error:
        raise InvalidData(f"{place} is no text: its octet {error.start} is no UTF-8") from None


def regular(path: Path) -> Path:
    """The path, when a regular file is there."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise trouble(path, error) from None
    if stat.S_ISDIR(mode):
        raise InvalidData(f"{path} is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise InvalidData(f"{path} is no regular file")
    return path


def trouble(place: object, error: OSError) -> DnsServerError:
    """What the operating system's refusal is for the person."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return NotFound(f"there is no file {place}")
    if isinstance(error, IsADirectoryError):
        return InvalidData(f"{place} is a folder, not a file")
    shown = str(place)
    shown = shown if len(shown) <= 255 else f"{shown[:60]}…"
    return DnsServerError(f"{shown} cannot be read: {error.strerror or error}")
