"""What stands at each name of a zone, in one dictionary or, for a large zone, in 256.

One dictionary of a million names stalls 90 to 150 ms when it grows, and takes as long to let go; a part of one takes
less than a millisecond. A small zone is one dictionary: there may be 100,000 of them.
"""

from __future__ import annotations

from collections.abc import Iterator

# A single RRset, as most names have, stands for itself; else a tuple of blobs. ``()``: an empty non-terminal.
Stored = bytes | tuple[bytes, ...]

LARGE = 8192  # names
_SHARDS = 256


class Shards:
    """Names to what is stored at them; readers in a hurry look into ``shards[hash(name) & mask]`` themselves."""

    __slots__ = ("mask", "shards")

    def __init__(self) -> None:
        self.shards: list[dict[bytes, Stored]] = [{}]
        self.mask = 0

    def get(self, name: bytes) -> tuple[bytes, ...] | None:
        """The blobs at a name."""
        found = self.shards[hash(name) & self.mask].get(name)
        return (found,) if isinstance(found, bytes) else found

    def put(self, name: bytes, node: tuple[bytes, ...]) -> None:
        shard = self.shards[hash(name) & self.mask]
        shard[name] = node[0] if len(node) == 1 else node
        if len(shard) > LARGE and not self.mask:
            self._spread()

    def put_all(self, names: tuple[bytes, ...], stored: tuple[Stored, ...]) -> None:
        """Takes some hundred names at most, as they are to be stored."""
        shards, mask = self.shards, self.mask
        for name, node in zip(names, stored, strict=True):
            shards[hash(name) & mask][name] = node
        if not mask and len(shards[0]) > LARGE:
            self._spread()

    def add_empty(self, name: bytes) -> bool:
        """An empty non-terminal, unless there is something at the name; whether there was nothing."""
        if name in self:
            return False
        self.put(name, ())
        return True

    def discard(self, name: bytes) -> None:
        self.shards[hash(name) & self.mask].pop(name, None)

    def __contains__(self, name: bytes) -> bool:
        return name in self.shards[hash(name) & self.mask]

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def __iter__(self) -> Iterator[bytes]:
        for shard in self.shards:
            yield from shard

    def _spread(self) -> None:
        (whole,) = self.shards
        self.mask = _SHARDS - 1
        self.shards = [{} for _ in range(_SHARDS)]
        for name, node in whole.items():
            self.shards[hash(name) & self.mask][name] = node
