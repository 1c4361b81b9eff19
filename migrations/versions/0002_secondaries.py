"""Secondary zones: the timers of their refreshes; and the events that are kept."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mariadb_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_charset": "utf8mb4",
}


def _words() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "refresh",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", _words(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.id"], name="fk_refresh_zone", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("zone", name="pk_refresh"),
        **_OPTIONS,
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first", sa.Double(), nullable=False),
        sa.Column("last", sa.Double(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("zone", sa.LargeBinary(255).with_variant(mysql.VARBINARY(255), "mysql", "mariadb"), nullable=False),
        sa.Column("peer", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("message", _words(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
        **_OPTIONS,
    )
    op.create_index("ix_events_last", "events", ["last"], unique=False)
    op.create_index("ix_events_zone_name_peer", "events", ["zone", "name", "peer"], unique=False)
