"""Statements that every change needs, compiled once.

SQLite's driver is given them as they are: what SQLAlchemy does for one statement takes ten times as long as SQLite
itself. Other databases get the same statements from SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect
from sqlalchemy.engine import Connection

from dnsserver.store import dialects

Values = Mapping[str, Any]
Row = Sequence[Any]
Core = sa.Select[Any] | sa.CompoundSelect[Any] | sa.Insert | sa.Update | sa.Delete

_SQLITE = sqlite_dialect(paramstyle="named")


class Statement:
    """A statement of Core whose values all are bound by name.

    ``columns``: of an INSERT, those that are given. ``listed``: the name of an expanding parameter, whose value is a
    list of bytes, at least one. Rows are as the driver gives them: truth values are numbers in SQLite.
    """

    __slots__ = ("_columns", "_core", "_fixed", "_listed", "_sql")

    def __init__(self, core: Core, columns: list[str] | None = None, listed: str = "") -> None:
        self._core = core
        self._columns = columns
        self._listed = listed
        self._sql = ""
        self._fixed: dict[str, Any] = {}

    def rows(self, conn: Connection, values: Values) -> Sequence[Row]:
        """All rows of a SELECT."""
        driver = dialects.sqlite_driver(conn)
        if driver is None:
            return conn.execute(self._core, values).all()
        return self._run(driver, values).fetchall()

    def row(self, conn: Connection, values: Values) -> Row | None:
        """The row of a SELECT that finds one at most."""
        found = self.rows(conn, values)
        return found[0] if found else None

    def change(self, conn: Connection, values: Values) -> int:
        """Carries out what is no SELECT; how many rows an UPDATE or DELETE met."""
        driver = dialects.sqlite_driver(conn)
        if driver is None:
            return conn.execute(self._core, values).rowcount
        return self._run(driver, values).rowcount

    def change_many(self, conn: Connection, rows: Sequence[Values]) -> None:
        """The same with each of these values in turn."""
        driver = dialects.sqlite_driver(conn)
        if driver is None:
            if rows:
                conn.execute(self._core, rows)
            return
        driver.executemany(self._text(), [{**self._fixed, **row} for row in rows] if self._fixed else rows)

    def insert(self, conn: Connection, values: Values) -> int:
        """Carries out an INSERT of one row; the id that the database gave it."""
        driver = dialects.sqlite_driver(conn)
        if driver is None:
            key = conn.execute(self._core, values).inserted_primary_key
            assert key is not None
            return int(key[0])
        return self._run(driver, values).lastrowid or 0

    def _run(self, driver: sqlite3.Connection, values: Values) -> sqlite3.Cursor:
        text = self._text()
        if self._listed:
            text, values = self._expanded(text, values)
        return driver.execute(text, {**self._fixed, **values} if self._fixed else values)

    def _text(self) -> str:
        """The statement as SQLite takes it; what is not bound by the caller stands in ``_fixed``."""
        if not self._sql:
            compiled: Any = self._core.compile(dialect=_SQLITE, column_keys=self._columns)
            self._fixed = {name: bound.value for name, bound in compiled.binds.items() if not bound.required}
            self._sql = str(compiled)
        return self._sql

    def _expanded(self, text: str, values: Values) -> tuple[str, Values]:
        """With as many names as the list has members, filled up to a power of two: SQLite then knows most of these
        statements already."""
        members = list(map(bytearray, values[self._listed]))
        members += [members[-1]] * ((1 << (len(members) - 1).bit_length()) - len(members))
        each = {f"{self._listed}_{at}": member for at, member in enumerate(members)}
        places = ", ".join([f":{name}" for name in each])
        return text.replace(f"__[POSTCOMPILE_{self._listed}]", places), {**values, **each}
