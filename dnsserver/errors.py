"""Every error that a person or a script can meet, and the exit status of each.

    DnsServerError          1  failed
      UsageError            2  the words of a command are off
      NotFound              3  the zone, record, key or entry is not there
      InvalidData           4  data that cannot be taken; carries all its problems
      Denied                5  not allowed
      Unreachable           6  the server does not run, or does not answer
      Conflict              7  it is there already, or in use
      CheckFailed           8  a check found a problem
      StoreFailed           1  the database is full, lost, locked, or not readable

An error says what is wrong, where, and what to do. It crosses the control socket as a
dictionary (``to_dict``, ``from_dict``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where (``file:line``, or a name); ``severity`` is "error" or "warning"."""

    place: str
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class DnsServerError(Exception):
    """The root of the tree; ``exit_status`` is what the CLI ends with (CONTRACT, Program)."""

    exit_status: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)

    def to_dict(self) -> dict[str, Any]:
        problems = [{"place": p.place, "message": p.message, "severity": p.severity} for p in self.problems]
        return {"code": self.code, "message": self.message, "problems": problems}


class UsageError(DnsServerError):
    exit_status = 2
    code = "usage"


class NotFound(DnsServerError):
    exit_status = 3
    code = "not-found"


class InvalidData(DnsServerError):
    exit_status = 4
    code = "invalid-data"


class Denied(DnsServerError):
    exit_status = 5
    code = "denied"


class Unreachable(DnsServerError):
    exit_status = 6
    code = "unreachable"


class Conflict(DnsServerError):
    exit_status = 7
    code = "conflict"


class CheckFailed(DnsServerError):
    exit_status = 8
    code = "check-failed"


class StoreFailed(DnsServerError):
    code = "store-failed"


_BY_CODE: dict[str, type[DnsServerError]] = {
    cls.code: cls
    for cls in (
        DnsServerError, UsageError, NotFound, InvalidData, Denied, Unreachable, Conflict, CheckFailed, StoreFailed,
    )
}  # fmt: skip


def from_dict(error: Mapping[str, Any]) -> DnsServerError:
    """The error that ``to_dict`` made, on the other side of the control socket."""
    problems = [Problem(p["place"], p["message"], p["severity"]) for p in error.get("problems", ())]
    return _BY_CODE.get(error["code"], DnsServerError)(error["message"], problems)
