"""What the notifier reads and writes: the outbox, what targets know, keys; all of it SQL, in threads."""

from __future__ import annotations

from collections.abc import Iterable

from dnsserver.keeper import keyring
from dnsserver.keeper.offload import Offload
from dnsserver.protocol.tsig import Key
from dnsserver.store import feed, outbox
from dnsserver.store.database import Database
from dnsserver.store.feed import FeedMark, FeedRow
from dnsserver.store.outbox import PeerState, Pending


class Mailbox:
    """Each raises DnsServerError: of the database; of a key that is not there or cannot be read."""

    def __init__(self, database: Database, offload: Offload) -> None:
        self._database = database
        self._offload = offload
        # How far the feed was looked at.
        self._mark: FeedMark | None = None
        self._keys: dict[bytes, Key] = {}
        self._forgotten = 0

    async def look(self, *, whole: bool) -> tuple[list[Pending] | None, list[FeedRow] | None]:
        """What is pending, and what the feed says since the last look; None: that is not known.

        Where the feed says nothing and not the ``whole`` is asked for, what is pending is not read: it may be much.
        """
        return await self._offload(self._read, whole)

    def _read(self, whole: bool) -> tuple[list[Pending] | None, list[FeedRow] | None]:
        with self._database.read() as conn:
            rows = None if self._mark is None else feed.after(conn, self._mark)
            pending = outbox.pending(conn) if whole or rows is None or rows else None
            if rows is None:
                self._mark = feed.head(conn)
        if rows:
            self._mark = FeedMark(rows[-1].seq, rows[-1].tag)
        return pending, rows

    async def key(self, name: bytes | None) -> Key | None:
        """The key of this name, as it was when ``forget_keys`` was called last or later."""
        if name is None or name in self._keys:
            return None if name is None else self._keys[name]
        moment = self._forgotten
        key = await self._offload(self._key, name)
        if moment == self._forgotten:
            self._keys[name] = key
        return key

    def _key(self, name: bytes) -> Key:
        with self._database.read() as conn:
            return keyring.load(conn, name)

    def forget_keys(self) -> None:
        """They may be others now."""
        self._keys.clear()
        self._forgotten += 1

    async def stored(self) -> list[PeerState]:
        """What targets know."""
        return await self._offload(self._stored)

    def _stored(self) -> list[PeerState]:
        with self._database.read() as conn:
            return outbox.peer_states(conn)

    async def save(self, states: Iterable[PeerState], done: Iterable[tuple[int, int]]) -> None:
        """What targets know; and the zones, with their versions, that need be told no more: in one transaction."""
        await self._offload(self._write, states, done)

    def _write(self, states: Iterable[PeerState], done: Iterable[tuple[int, int]]) -> None:
        # A power cut that takes it back makes a NOTIFY go once more: that is not worth a wait for the disk.
        with self._database.write(aside=True) as conn:
            outbox.save_peer_states(conn, states)
            outbox.done(conn, done)
