"""The database, as everybody opens it.

    with db.read() as conn: …     one snapshot, however others write meanwhile
    with db.write() as conn: …    one transaction: committed at the block's end, rolled back by an exception

Every error of the database leaves here as StoreFailed, in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnsserver.store import dialects, schema
from dnsserver.store.connections import BUSY_TIMEOUT, Connections, check_revision, revision

if TYPE_CHECKING:
    from dnsserver.store.secretbox import SecretBox


class Database(Connections):
    """An open database whose schema is the one that this program works with."""

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
        if new or (migrate and _is_older(cls(parsed, busy_timeout=busy_timeout))):
            # Alembic takes half a second to import: only who needs it pays.
            from dnsserver.store.migrate import upgrade

            upgrade(url, create=create)
        db = cls(parsed, secret=secret, busy_timeout=busy_timeout)
        try:
            with db.read() as conn:
                check_revision(revision(conn), db.where)
        except BaseException:
            db.close()
            raise
        return db


def _is_older(database: Connections) -> bool:
    with database, database.read() as conn:
        return revision(conn) != schema.REVISIONS[-1]
