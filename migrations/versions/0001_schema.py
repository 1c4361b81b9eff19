"""The first schema."""

import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None

# MariaDB: transactions and foreign keys, and all of Unicode, whatever the server's defaults are.
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mariadb_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_charset": "utf8mb4",
}


def _octets(length: int) -> TypeEngine[bytes]:
    return sa.LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def _number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _words() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    _zones()
    _journal()
    _feed()
    _server()
    # The counter, and the row that a follower of an empty feed stands at.
    head = sa.table("feed_head", sa.column("id"), sa.column("seq"))
    feed = sa.table("feed", sa.column("seq"), sa.column("tag"), sa.column("kind"))
    op.bulk_insert(head, [{"id": 1, "seq": 0}])
    op.bulk_insert(feed, [{"seq": 0, "tag": secrets.randbits(62), "kind": "settings"}])


def _zones() -> None:
    op.create_table(
        "contents",
        sa.Column("id", _number(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("wire_size", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contents"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_table(
        "zones",
        sa.Column("id", _number(), nullable=False),
        sa.Column("name", _octets(255), nullable=False),
        sa.Column("live", sa.Integer(), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("contents", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("settings", _words(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.Column("deleted", sa.Double(), nullable=True),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("wire_size", sa.BigInteger(), nullable=False),
        sa.Column("journal_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_zones"),
        sa.UniqueConstraint("name", "live", name="uq_zones_name_live"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_table(
        "records",
        sa.Column("contents", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", _octets(510), nullable=False),
        sa.Column("type", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", _octets(255), nullable=True),
        sa.Column("ttl", sa.BigInteger(), nullable=False),
        sa.Column("rdata", sa.LargeBinary(length=65535), nullable=False),
        sa.PrimaryKeyConstraint("contents", "key", "type", "number", name="pk_records"),
        sqlite_with_rowid=False,
        **_OPTIONS,
    )
    op.create_table(
        "serial_floors",
        sa.Column("name", _octets(255), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_serial_floors"),
        **_OPTIONS,
    )


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_version", sa.BigInteger(), nullable=False),
        sa.Column("from_serial", sa.BigInteger(), nullable=True),
        sa.Column("to_serial", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("user", _words(), nullable=False),
        sa.Column("source", _words(), nullable=False),
        sa.Column("comment", _words(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reset", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.id"], name="fk_journal_zone", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("zone", "version", name="pk_journal"),
        **_OPTIONS,
    )
    op.create_index("ix_journal_zone_from_serial", "journal", ["zone", "from_serial"], unique=False)
    op.create_index("ix_journal_zone_to_serial", "journal", ["zone", "to_serial"], unique=False)
    op.create_table(
        "journal_chunks",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(length=262144), nullable=False),
        sa.ForeignKeyConstraint(
            ["zone", "version"],
            ["journal.zone", "journal.version"],
            name="fk_journal_chunks_zone_version",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("zone", "version", "part", name="pk_journal_chunks"),
        **_OPTIONS,
    )
    op.create_table(
        "journal_pruned",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.id"], name="fk_journal_pruned_zone", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("zone", "part", name="pk_journal_pruned"),
        **_OPTIONS,
    )


def _feed() -> None:
    op.create_table(
        "feed",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=True),
        sa.Column("from_version", sa.BigInteger(), nullable=True),
        sa.Column("to_version", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_feed"),
        **_OPTIONS,
    )
    op.create_table(
        "feed_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed_head"),
        **_OPTIONS,
    )
    op.create_table(
        "history",
        sa.Column("id", _number(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("user", _words(), nullable=False),
        sa.Column("source", _words(), nullable=False),
        sa.Column("subject", _words(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("detail", _words(), nullable=False),
        sa.Column("bulk", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_table(
        "outbox",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.id"], name="fk_outbox_zone", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("zone", name="pk_outbox"),
        **_OPTIONS,
    )


def _server() -> None:
    op.create_table(
        "keys",
        sa.Column("name", _octets(255), nullable=False),
        sa.Column("algorithm", _octets(255), nullable=False),
        sa.Column("secret", sa.LargeBinary(length=65535), nullable=False),
        sa.Column("weak_allowed", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_keys"),
        **_OPTIONS,
    )
    op.create_table(
        "access",
        sa.Column("id", _number(), nullable=False),
        sa.Column("layer", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("prefix", sa.String(length=64), nullable=False),
        sa.Column("key", _octets(255), nullable=False),
        sa.Column("notify_port", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("user", _words(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access"),
        sa.UniqueConstraint("layer", "zone", "prefix", "key", name="uq_access_layer_zone_prefix_key"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_table(
        "peers",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", _octets(1200), nullable=False),
        sa.Column("state", _words(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.id"], name="fk_peers_zone", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("zone", "target", name="pk_peers"),
        **_OPTIONS,
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(length=65535), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
        **_OPTIONS,
    )
