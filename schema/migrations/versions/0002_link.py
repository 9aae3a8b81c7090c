"""What two hosts need: changes of coverage in order, contacts between servers, alarms.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_zero = sa.text("0")


def upgrade() -> None:
    """Add columns and tables; every bucket of coverage counts as never seen by a peer."""
    op.add_column("servers", sa.Column("pair", sa.String(128), nullable=False, server_default=""))
    op.add_column("storages", sa.Column("seq", sa.BigInteger, nullable=False, server_default=_zero))
    op.add_column("storages", sa.Column("epoch", sa.String(32), nullable=False, server_default=""))
    op.add_column("storages", sa.Column("mirror", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("storages", sa.Column("cursor", sa.String(64), nullable=False, server_default=""))
    op.add_column("storages", sa.Column("open_since", sa.Text, nullable=False, server_default=""))
    op.add_column("storages", sa.Column("about", sa.Text, nullable=False, server_default=""))
    op.add_column("outages", sa.Column("observer_id", sa.BigInteger, nullable=False, server_default=_zero))
    op.add_column("coverage", sa.Column("seq", sa.BigInteger, nullable=False, server_default=_zero))
    op.create_index("ix_coverage_storage_id_seq", "coverage", ["storage_id", "seq"])
    op.create_table(
        "properties",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("value", sa.String(1024), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_properties"),
    )
    op.create_table(
        "contacts",
        sa.Column("observer_id", _row_id, nullable=False),
        sa.Column("server_id", _row_id, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("seen_us", sa.BigInteger, nullable=False, server_default=_zero),
        sa.Column("offset_us", sa.BigInteger),
        sa.Column("offset_error_us", sa.BigInteger),
        sa.Column("detail", sa.String(1024), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("observer_id", "server_id", name="pk_contacts"),
        sa.ForeignKeyConstraint(["observer_id"], ["servers.id"], name="fk_contacts_observer_id_servers"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_contacts_server_id_servers"),
    )
    op.create_table(
        "alarms",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("server_id", _row_id, nullable=False),
        sa.Column("observer_id", _row_id, nullable=False),
        sa.Column("camera_id", _row_id),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("text", sa.String(1024), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
        sa.UniqueConstraint("key", name="uq_alarms_key"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_alarms_server_id_servers"),
        sa.ForeignKeyConstraint(["observer_id"], ["servers.id"], name="fk_alarms_observer_id_servers"),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name="fk_alarms_camera_id_cameras"),
    )
    op.create_index("ix_alarms_at_us", "alarms", ["at_us"])
    op.create_table(
        "deliveries",
        sa.Column("alarm_id", _row_id, nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=_zero),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("error", sa.String(1024), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("alarm_id", "channel", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name="fk_deliveries_alarm_id_alarms", ondelete="CASCADE"),
    )
    op.create_index("ix_deliveries_state_next_us", "deliveries", ["state", "next_us"])
