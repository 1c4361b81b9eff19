"""What reading a zone file gives."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dnsserver.errors import InvalidData, Problem
from dnsserver.zone.changeset import Identity, identity
from dnsserver.zone.records import Record


class Places(Mapping[Identity, str]):
    """Where each record was written, ``file:line``, by its identity (``changeset.identity``).

    8 octets a record until it is first asked: mostly nobody asks. ``runs``: from which index on the records are from
    which of ``files``.
    """

    def __init__(self, records: list[Record], files: list[str], runs: list[tuple[int, int]], lines: array[int]) -> None:
        self._records = records
        self._files = files
        self._runs = runs
        self._lines = lines
        self._index: dict[Identity, int] | None = None

    def __getitem__(self, which: Identity) -> str:
        return self.at(self._indexed()[which])

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._indexed())

    def __len__(self) -> int:
        return len(self._records)

    def at(self, index: int) -> str:
        """The place of the record with this index."""
        _, file = self._runs[bisect_right(self._runs, index, key=lambda run: run[0]) - 1]
        return f"{self._files[file]}:{self._lines[index]}"

    def _indexed(self) -> dict[Identity, int]:
        if self._index is None:
            self._index = {identity(record): index for index, record in enumerate(self._records)}
        return self._index


@dataclass(frozen=True, slots=True)
class Parsed:
    """A zone file: its records in the order as written, without duplicates, and all its problems.

    ``keys``: the canonical key of each one's owner; ``lines``: where each record was written; ``includes``: the files
    included; ``default_ttl``: the last $TTL, seconds; ``wire_size``: octets of all records in uncompressed wire form.
    """

    records: list[Record]
    keys: list[bytes]
    problems: list[Problem]
    lines: Places
    includes: list[str]
    default_ttl: int | None
    wire_size: int

    @property
    def errors(self) -> list[Problem]:
        """The problems that forbid to take the file; the others are warnings."""
        return [problem for problem in self.problems if problem.severity == "error"]

    def place(self, record: Record) -> str:
        """``file:line`` of a record, empty when it is not from the file."""
        return self.lines.get(identity(record), "")

    def require(self) -> None:
        """Raises InvalidData with all problems when one of them is an error."""
        if errors := self.errors:
            count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
            raise InvalidData(f"the zone file has {count}; nothing was changed", self.problems)
