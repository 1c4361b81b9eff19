"""What differs between databases, all of it: how they are opened, how a transaction begins, what their errors mean.

Everything else in ``store`` is SQLAlchemy Core that SQLite, PostgreSQL and MariaDB all understand; SQLite is given some
of it past SQLAlchemy (``statements``, ``writing``).
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from dnsserver.errors import StoreFailed

# What a database raises; the driver's own where SQLAlchemy does not wrap it (while a connection is prepared).
ERRORS = (SQLAlchemyError, sqlite3.Error)

# Set on a connection whose transaction will write; and on one whose transaction need not outlast a power cut alone.
WRITES = "dnsserver_writes"
ASIDE = "dnsserver_aside"

_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # what was committed survives a power cut (_begin_sqlite)
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-32768",  # 32 MiB: bulk writes touch many pages
    "PRAGMA journal_size_limit=67108864",  # the log shrinks again after a bulk write
    "PRAGMA wal_autocheckpoint=4000",  # 16 MiB: pages that every change writes are copied a quarter as often
)


def parse_url(url: str) -> URL:
    """The URL; raises StoreFailed when it is none, or of a database that is not supported."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise StoreFailed("the database's URL cannot be read (expected like sqlite:///dnsserver.db)") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql", "mysql", "mariadb"):
        raise StoreFailed(f"no database of kind {parsed.get_backend_name()!r}: there are sqlite, postgresql, mysql")
    return parsed


def shown(url: URL) -> str:
    """The URL as errors show it: without the password."""
    return url.render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite database; None for another kind."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise StoreFailed("an SQLite database in memory cannot be shared by processes; give it a file")
    return Path(url.database)


def make_engine(url: URL, busy_timeout: float) -> Engine:
    """An engine whose transactions begin as the store needs them; ``busy_timeout`` in seconds."""
    if url.get_backend_name() == "sqlite":
        # mode=rw: a file that is gone is an error, not a new empty database.
        path = sqlite_path(url)
        assert path is not None
        uri = path.absolute().as_uri() + "?mode=rw"
        engine = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, timeout=busy_timeout, check_same_thread=False, uri=True),
            poolclass=sa.pool.QueuePool,
            pool_size=4,
            max_overflow=16,
            pool_use_lifo=True,  # the connection that has pages and statements in its cache
        )
        event.listen(engine, "connect", lambda connection, _record: _prepare_sqlite(connection, busy_timeout))
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "before_cursor_execute", _refuse_autocommit)
        return engine
    return sa.create_engine(url, pool_pre_ping=True)


def reading(connection: Connection) -> Connection:
    """The connection, its next transaction one snapshot."""
    if connection.dialect.name == "sqlite":
        return connection
    return connection.execution_options(isolation_level="REPEATABLE READ")


def writing(connection: Connection, *, aside: bool = False) -> Connection:
    """The connection, its next transaction one that writes (DESIGN, SQL: READ COMMITTED).

    ``aside``: a power cut may take it back, though not once a later transaction that is not aside has been committed.
    """
    if connection.dialect.name == "sqlite":
        return connection.execution_options(**{WRITES: True, ASIDE: aside})
    return connection.execution_options(isolation_level="READ COMMITTED", **{WRITES: True})


def is_writing(connection: Connection) -> bool:
    """Whether the transaction is one that writes."""
    return bool(connection.get_execution_options().get(WRITES))


def sqlite_driver(connection: Connection) -> sqlite3.Connection | None:
    """SQLite's own connection, in its transaction; None for another database.

    Raises StoreFailed after an error at which SQLite rolled back by itself: each further statement would commit alone.
    """
    if connection.dialect.name != "sqlite":
        return None
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        raise StoreFailed("the transaction has ended with an error; nothing of it is kept")
    return driver  # type: ignore[no-any-return]


def _prepare_sqlite(connection: sqlite3.Connection, busy_timeout: float) -> None:
    # The driver's own BEGINs are off: it begins neither before a SELECT nor with IMMEDIATE.
    connection.isolation_level = None
    _turn_to_wal(connection, busy_timeout)
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _turn_to_wal(connection: sqlite3.Connection, busy_timeout: float) -> None:
    """Readers and the writer do not wait for each other from here on; the file remembers.

    The one statement that does not wait by itself where another holds the file (it would have to give up its own lock
    first): of several that open a new database at once, all but one are told at once that it is locked.
    """
    until = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    options = connection.get_execution_options()
    if not options.get(WRITES):
        driver.execute("BEGIN")
        return
    # With NORMAL the log is not synced at each commit, but as a whole at the next commit with FULL, or checkpoint.
    level = "NORMAL" if options.get(ASIDE) else "FULL"
    if connection.info.setdefault("synchronous", "FULL") != level:
        driver.execute(f"PRAGMA synchronous={level}")
        connection.info["synchronous"] = level
    driver.execute("BEGIN IMMEDIATE")


def _refuse_autocommit(
    connection: Connection, _cursor: object, _statement: str, _parameters: object, _context: object, _many: bool
) -> None:
    sqlite_driver(connection)


def create_sqlite(path: Path) -> None:
    """An empty database file (0640), unless there is one; raises StoreFailed."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    except FileExistsError:
        return
    except FileNotFoundError:
        raise StoreFailed(f"no folder {path.absolute().parent} to make the database {path.name} in") from None
    except OSError as error:
        raise StoreFailed(f"cannot make the database {path.absolute()}: {error.strerror}") from None


def look_for_sqlite(path: Path) -> None:
    """Raises StoreFailed, with where it looked, when there is no database file."""
    where = path.absolute()
    if where.is_file():
        return
    if not where.parent.is_dir():
        raise StoreFailed(f"no database at {where}: there is no folder {where.parent}")
    if where.exists():
        raise StoreFailed(f"no database at {where}: it is no file")
    raise StoreFailed(f"no database at {where} (`dnsserver db upgrade` makes one)")


def is_fatal(error: Exception) -> bool:
    """Whether writing must end until the database is opened again: SQLite's I/O errors, and a damaged file."""
    cause = _cause(error)
    return isinstance(cause, sqlite3.Error) and _code(cause) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT)


def explain(error: Exception, where: str) -> str:
    """What a database's error means, in words; ``where``: the file, or the URL without its password."""
    cause = _cause(error)
    if isinstance(error, TimeoutError):
        return f"{where}: all connections are in use"
    if isinstance(cause, sqlite3.Error):
        words = _SQLITE_WORDS.get(_code(cause))
        name = getattr(cause, "sqlite_errorname", None)
        if name == "SQLITE_IOERR_SHMSIZE":
            # What a full disk looks like to the first who opens the database.
            words = _SQLITE_WORDS[sqlite3.SQLITE_FULL]
        detail = f"{cause}, {name}" if name else str(cause)
        return f"{where}: {words} ({detail})" if words else f"{where}: {detail}"
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return f"{where}: the connection to the database was lost ({cause})"
    return f"{where}: {' '.join(str(cause).split())}"


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _code(error: sqlite3.Error) -> int:
    """The primary result code: the low octet of the extended one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_SQLITE_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing was changed",
    sqlite3.SQLITE_READONLY: "the database cannot be written to: look at the rights of the file and its folder",
    sqlite3.SQLITE_BUSY: "the database is locked by another process; nothing was changed",
    sqlite3.SQLITE_LOCKED: "the database is locked by this process; nothing was changed",
    sqlite3.SQLITE_NOTADB: "this is no SQLite database",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore a backup",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened: look at the rights of the file and its folder",
    sqlite3.SQLITE_IOERR: "the disk failed; nothing was changed, and nothing is until the program is started again",
    sqlite3.SQLITE_PERM: "the database may not be accessed",
}
