"""The feed's newest rows as messages, where this process wrote them: answerers get them without a look at SQL."""

from __future__ import annotations

from dnsserver import link
from dnsserver.replication import PATCH_RECORDS, PATCH_SIZE
from dnsserver.store.feed import Appended, Change, FeedMark

# Octets that are kept for an answerer that is busy; one that is behind by more gets them of the database.
_MOST = 4 << 20
# What an entry takes besides its changeset.
_EACH = 500


class Recent:
    """Patches by the row that they follow; the oldest make room."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._octets = 0
        self._next: dict[FeedMark, tuple[link.Patch, FeedMark]] = {}
        # The row that this process wrote last.
        self._newest: FeedMark | None = None

    def add(self, appended: Appended) -> bool:
        """Takes in what a transaction of this process wrote; false when the database alone has some of it."""
        before, last = appended.after, appended.rows[-1][0]
        # Where another process wrote in between, who stands before that gets no further by what is here.
        is_next = self._newest in (None, before)
        self._newest = FeedMark(last.seq, last.tag)
        for row, change in appended.rows:
            if change is None or row.zone_id is None or row.from_version is None or row.to_version is None:
                return False
            if not _is_small(change):
                return False
            patch = link.Patch(row.zone_id, row.from_version, row.to_version, change.encoded, change.is_unique)
            mark = FeedMark(row.seq, row.tag)
            self._next[before] = (patch, mark)
            self._octets += len(change.encoded) + _EACH
            before = mark
        while self._octets > self._most:
            patch, _ = self._next.pop(next(iter(self._next)))
            self._octets -= len(patch.changeset) + _EACH
        return is_next

    def after(self, mark: FeedMark) -> tuple[list[link.Message], FeedMark]:
        """What is known to follow ``mark``, and the mark up to which that is."""
        messages: list[link.Message] = []
        while (found := self._next.get(mark)) is not None:
            patch, mark = found
            messages.append(patch)
        return messages, mark


def _is_small(change: Change) -> bool:
    records = len(change.changeset.added) + len(change.changeset.removed)
    return records <= PATCH_RECORDS and len(change.encoded) <= PATCH_SIZE
