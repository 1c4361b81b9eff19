"""Connections to a database: one snapshot to read, one transaction to write; errors in words (StoreFailed)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection

from dnsserver.errors import StoreFailed
from dnsserver.store import dialects, feed, schema

if TYPE_CHECKING:
    from dnsserver.store.secretbox import SecretBox

# Seconds to wait for another writer.
BUSY_TIMEOUT = 30.0


class Connections:
    """A database, whatever its schema; threads may share it, processes may not.

    ``busy_timeout``: seconds; ``secret`` is what ``store.keys`` opens secrets with. ``committed`` is told of what each
    transaction added to the feed, right after its COMMIT and in its thread; one after the other where SQLite is below.
    """

    def __init__(self, url: URL, *, secret: SecretBox | None = None, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.url = url
        self._file = dialects.sqlite_path(url)
        self.where = str(self._file.absolute()) if self._file is not None else dialects.shown(url)
        self._engine = dialects.make_engine(url, busy_timeout)
        self._identity = _file_identity(self._file)
        self._broken: str | None = None
        self.committed: Callable[[feed.Appended], None] = lambda _: None
        # SQLite has one writer at a time, and who finds another sleeps and looks again: with many threads that takes
        # several times as long as the writing. Another process is still met with in the file.
        self._turn = threading.Lock() if self._file is not None else None
        self._patience = busy_timeout
        event.listen(self._engine, "connect", lambda _connection, record: record.info.__setitem__("secret", secret))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one snapshot of the database."""
        with self._errors(), dialects.reading(self._engine.connect()) as conn, conn.begin():
            yield conn

    @contextmanager
    def write(self, *, aside: bool = False) -> Iterator[Connection]:
        """A connection inside one transaction (SQLite: BEGIN IMMEDIATE); its feed rows are its last statements.

        ``aside``: what it writes counts for nothing before a later transaction, with which it becomes durable.
        """
        if self._broken:
            raise StoreFailed(f"{self._broken} (an earlier error; start the program again)")
        if self._identity != _file_identity(self._file):
            raise StoreFailed(f"{self.where}: the database file was moved or replaced; start the program again")
        with self._in_turn(), self._errors(), dialects.writing(self._engine.connect(), aside=aside) as conn:
            conn.info.pop(feed.PENDING, None)
            with conn.begin():
                yield conn
                appended = feed.flush(conn)
            if appended is not None:
                self.committed(appended)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One thread after the other. Who waits too long goes on, to be told by the database that it is locked."""
        is_ours = self._turn is not None and self._turn.acquire(timeout=self._patience)
        try:
            yield
        finally:
            if is_ours and self._turn is not None:
                self._turn.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except dialects.ERRORS as error:
            message = dialects.explain(error, self.where)
            if dialects.is_fatal(error):
                self._broken = message
            raise StoreFailed(message) from error


def revision(conn: Connection) -> str | None:
    """The schema's revision; None for a database without one. Does not need Alembic."""
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def check_revision(found: str | None, where: str) -> None:
    """Raises StoreFailed when the schema is not the one that this program works with."""
    if found == schema.REVISIONS[-1]:
        return
    if found is None:
        raise StoreFailed(f"{where}: the database has no tables of dnsserver (`dnsserver db upgrade` makes them)")
    if found in schema.REVISIONS:
        raise StoreFailed(f"{where}: the schema is older ({found}) than this program; run `dnsserver db upgrade`")
    raise StoreFailed(f"{where}: the schema is newer ({found}) than this program, which knows {schema.REVISIONS[-1]}")


def _file_identity(file: Path | None) -> tuple[int, int] | None:
    """What a file that was replaced under its name differs in; writing to the old one would lose every change."""
    if file is None:
        return None
    try:
        stat = os.stat(file)
    except OSError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)
