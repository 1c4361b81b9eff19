"""The tables. Serials and versions are BIGINT, names and keys bytes; times are seconds since the epoch (UTC).

What the tables say stands in DESIGN, SQL. The columns are those that every migration together makes; a test compares.
"""

from __future__ import annotations

from sqlalchemy import (
    VARBINARY,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

# The migrations, oldest first; the last is what this program works with.
REVISIONS = ("0001", "0002")

# The most bytes of one journal chunk: far below MariaDB's packet of 16 MiB.
CHUNK = 256 * 1024

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class _LongText(Text):
    """LONGTEXT, without the import of SQLAlchemy's parts for MySQL."""

    __visit_name__ = "LONGTEXT"


def octets(length: int) -> TypeEngine[bytes]:
    """Bytes that can be indexed: MariaDB indexes no BLOB without a prefix length."""
    return LargeBinary(length).with_variant(VARBINARY(length), "mysql", "mariadb")


def number() -> TypeEngine[int]:
    """An id that the database gives; SQLite gives them to INTEGER columns only, of 64 bits there."""
    return BigInteger().with_variant(Integer(), "sqlite")


def words() -> TypeEngine[str]:
    """Text without a limit that data could meet."""
    return Text().with_variant(_LongText(), "mysql", "mariadb")


# A wire name has at most 255 octets; its canonical key at most twice as many, if every octet is escaped.
NAME = 255
KEY = 510

# Contents: the records of one zone, written whole under a new id and then pointed at. ``state``: "writing" until a
# zone points at it, "live", "retired" when it does no longer. The numbers are those at the time of writing.
contents = Table(
    "contents",
    metadata,
    Column("id", number(), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("record_count", BigInteger, nullable=False),
    Column("wire_size", BigInteger, nullable=False),
    Column("serial", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# ``live`` is 1 or NULL: names of live zones are unique, those of deleted ones need not be. ``journal_bytes``,
# ``record_count`` and ``wire_size`` are kept here so that no change needs to scan.
zones = Table(
    "zones",
    metadata,
    Column("id", number(), primary_key=True),
    Column("name", octets(NAME), nullable=False),
    Column("live", Integer, nullable=True),
    Column("role", String(16), nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("contents", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("settings", words(), nullable=False),
    Column("created", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("deleted", Double, nullable=True),
    Column("record_count", BigInteger, nullable=False),
    Column("wire_size", BigInteger, nullable=False),
    Column("journal_bytes", BigInteger, nullable=False),
    UniqueConstraint("name", "live"),
    sqlite_autoincrement=True,
)

# No foreign key: it would be looked up for each of a million rows. ``owner`` is NULL unless its case was not lower.
records = Table(
    "records",
    metadata,
    Column("contents", BigInteger, primary_key=True, autoincrement=False),
    Column("key", octets(KEY), primary_key=True),
    Column("type", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("owner", octets(NAME), nullable=True),
    Column("ttl", BigInteger, nullable=False),
    Column("rdata", LargeBinary(65535), nullable=False),
    sqlite_with_rowid=False,
)

# ``size``: the octets that count towards journal-size. ``reset``: no payload is kept, contents were replaced.
journal = Table(
    "journal",
    metadata,
    Column("zone", BigInteger, ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("from_version", BigInteger, nullable=False),
    Column("from_serial", BigInteger, nullable=True),
    Column("to_serial", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
    Column("user", words(), nullable=False),
    Column("source", words(), nullable=False),
    Column("comment", words(), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("reset", Boolean, nullable=False),
    Index(None, "zone", "from_serial"),
    Index(None, "zone", "to_serial"),
)

journal_chunks = Table(
    "journal_chunks",
    metadata,
    Column("zone", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary(CHUNK), nullable=False),
    ForeignKeyConstraint(["zone", "version"], ["journal.zone", "journal.version"], ondelete="CASCADE"),
)

# Serials of versions that the journal no longer knows, as ranges: an IXFR from one of them might mean either.
journal_pruned = Table(
    "journal_pruned",
    metadata,
    Column("zone", BigInteger, ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
)

feed = Table(
    "feed",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tag", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("zone", BigInteger, nullable=True),
    Column("from_version", BigInteger, nullable=True),
    Column("to_version", BigInteger, nullable=True),
)

# One row, id 1.
feed_head = Table(
    "feed_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
)

# ``bulk``: changes of contents, of which only the newest are kept; changes of access, keys and settings stay.
history = Table(
    "history",
    metadata,
    Column("id", number(), primary_key=True),
    Column("time", Double, nullable=False),
    Column("user", words(), nullable=False),
    Column("source", words(), nullable=False),
    Column("subject", words(), nullable=False),
    Column("action", String(64), nullable=False),
    Column("detail", words(), nullable=False),
    Column("bulk", Boolean, nullable=False),
    sqlite_autoincrement=True,
)

# ``secret`` is sealed (SecretBox).
keys = Table(
    "keys",
    metadata,
    Column("name", octets(NAME), primary_key=True),
    Column("algorithm", octets(NAME), nullable=False),
    Column("secret", LargeBinary(65535), nullable=False),
    Column("weak_allowed", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)

# ``zone`` 0: a list of the whole server; ``prefix`` "" and ``key`` empty: not asked for (NULLs are never unique).
access = Table(
    "access",
    metadata,
    Column("id", number(), primary_key=True),
    Column("layer", String(16), nullable=False),
    Column("zone", BigInteger, nullable=False),
    Column("prefix", String(64), nullable=False),
    Column("key", octets(NAME), nullable=False),
    Column("notify_port", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("user", words(), nullable=False),
    UniqueConstraint("layer", "zone", "prefix", "key"),
    sqlite_autoincrement=True,
)

# The newest version of each zone of which its secondaries have not all been told.
outbox = Table(
    "outbox",
    metadata,
    Column("zone", BigInteger, ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("serial", BigInteger, nullable=False),
)

# What is known of each target of a zone's NOTIFYs; ``state`` is JSON of the keeper's.
peers = Table(
    "peers",
    metadata,
    Column("zone", BigInteger, ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("target", octets(1200), primary_key=True),
    Column("state", words(), nullable=False),
)

# What the keeper knows of a secondary zone's refreshes; ``state`` is JSON, described in ``store/refresh.py``.
refresh = Table(
    "refresh",
    metadata,
    Column("zone", BigInteger, ForeignKey("zones.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("state", words(), nullable=False),
)

# What happened, repeats counted in one row. ``zone``: a name, empty for what is of no zone; it may be gone by now.
events = Table(
    "events",
    metadata,
    Column("id", number(), primary_key=True),
    Column("first", Double, nullable=False),
    Column("last", Double, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("name", String(64), nullable=False),
    Column("code", Integer, nullable=False),
    Column("zone", octets(NAME), nullable=False),
    Column("peer", String(128), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", words(), nullable=False),
    Index(None, "last"),
    Index(None, "zone", "name", "peer"),
    sqlite_autoincrement=True,
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary(65535), nullable=False),
)

# The last serial of deleted zones: a zone made anew under the name starts above it.
serial_floors = Table(
    "serial_floors",
    metadata,
    Column("name", octets(NAME), primary_key=True),
    Column("serial", BigInteger, nullable=False),
)
