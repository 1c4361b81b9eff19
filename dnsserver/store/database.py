"""The database: connections that read one snapshot, or write one transaction.

    with db.read() as conn: …     one snapshot, however others write meanwhile
    with db.write() as conn: …    one transaction: committed at the block's end, rolled back by an exception

Every error of the database leaves here as StoreFailed, in words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from dnsserver.errors import StoreFailed
from dnsserver.store import dialects, feed, schema
from dnsserver.store.secretbox import SecretBox

BUSY_TIMEOUT = 30.0


class Database:
    """An open database; threads may share it, processes may not."""

    def __init__(self, url: URL, engine: Engine, where: str, file: Path | None) -> None:
        self.url = url
        self.where = where
        self._engine = engine
        self._file = file
        self._identity = _file_identity(file)
        self._broken: str | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = False,
        secret: SecretBox | None = None,
        migrate: bool = False,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> Database:
        """The database at ``url``.

        ``create``: make it when it is not there; ``migrate``: bring an older schema up to date; ``secret`` opens the
        secrets of TSIG keys; ``busy_timeout``: seconds to wait for another writer.

        Raises StoreFailed: not there (says where it looked), no database, not to be opened, its schema newer than the
        program, or older and not ``migrate``.
        """
        parsed = dialects.parse_url(url)
        file = dialects.sqlite_path(parsed)
        new = create and (file is None or not file.exists() or file.stat().st_size == 0)
        if file is not None and not new:
            dialects.look_for_sqlite(file)
        if new or (migrate and _revision(parsed, file, busy_timeout) != schema.REVISIONS[-1]):
            # Alembic takes half a second to import: only who needs it pays.
            from dnsserver.store.migrate import upgrade

            upgrade(url, create=create)
        engine = dialects.make_engine(parsed, busy_timeout)
        event.listen(engine, "connect", lambda _connection, record: record.info.__setitem__("secret", secret))
        db = cls(parsed, engine, where_of(parsed, file), file)
        try:
            with db.read() as conn:
                check_revision(revision(conn), db.where)
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one snapshot of the database."""
        with self._errors(), dialects.reading(self._engine.connect()) as conn, conn.begin():
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection inside one transaction (SQLite: BEGIN IMMEDIATE); its feed rows are its last statements."""
        if self._broken:
            raise StoreFailed(f"{self._broken} (an earlier error; start the program again)")
        if self._identity != _file_identity(self._file):
            raise StoreFailed(f"{self.where}: the database file was moved or replaced; start the program again")
        with self._errors(), dialects.writing(self._engine.connect()) as conn:
            conn.info.pop(feed.PENDING, None)
            with conn.begin():
                yield conn
                feed.flush(conn)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except dialects.ERRORS as error:
            message = dialects.explain(error, self.where)
            if dialects.is_fatal(error):
                self._broken = message
            raise StoreFailed(message) from error


def where_of(url: URL, file: Path | None) -> str:
    """How errors name the database."""
    return str(file.absolute()) if file is not None else dialects.shown(url)


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


def _revision(url: URL, file: Path | None, busy_timeout: float) -> str | None:
    db = Database(url, dialects.make_engine(url, busy_timeout), where_of(url, file), file)
    try:
        with db.read() as conn:
            return revision(conn)
    finally:
        db.close()


def _file_identity(file: Path | None) -> tuple[int, int] | None:
    """What a file that was replaced under its name differs in; writing to the old one would lose every change."""
    if file is None:
        return None
    try:
        stat = os.stat(file)
    except OSError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)
