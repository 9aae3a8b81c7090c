"""The tables of the first release.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "servers",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
        sa.UniqueConstraint("name", name="uq_servers_name"),
    )
    op.create_table(
        "storages",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("server_id", _row_id, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("identity", sa.String(36), nullable=False, server_default=""),
        sa.Column("rules", sa.String(32), nullable=False, server_default=""),
        sa.Column("longest_us", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("scanned_us", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name="pk_storages"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_storages_server_id_servers"),
        sa.UniqueConstraint("server_id", "name", name="uq_storages_server_id_name"),
    )
    op.create_table(
        "cameras",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cameras"),
        sa.UniqueConstraint("name", name="uq_cameras_name"),
    )
    op.create_table(
        "folders",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("storage_id", _row_id, nullable=False),
        sa.Column("path", sa.String(4096), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="pk_folders"),
        sa.ForeignKeyConstraint(["storage_id"], ["storages.id"], name="fk_folders_storage_id_storages"),
        sa.UniqueConstraint("storage_id", "path", name="uq_folders_storage_id_path"),
    )
    op.create_table(
        "oddities",
        sa.Column("storage_id", _row_id, nullable=False),
        sa.Column("path", sa.String(4096), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("example", sa.String(4096), nullable=False),
        sa.Column("reason", sa.String(1024), nullable=False),
        sa.PrimaryKeyConstraint("storage_id", "path", "kind", name="pk_oddities"),
        sa.ForeignKeyConstraint(["storage_id"], ["storages.id"], name="fk_oddities_storage_id_storages"),
    )
    op.create_table(
        "segments",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("storage_id", _row_id, nullable=False),
        sa.Column("folder_id", _row_id, nullable=False),
        sa.Column("name", sa.String(1024), nullable=False),
        sa.Column("camera_id", _row_id, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary(16)),
        sa.Column("origin_id", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("marks", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("reason", sa.String(1024), nullable=False, server_default=""),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
        sa.ForeignKeyConstraint(["storage_id"], ["storages.id"], name="fk_segments_storage_id_storages"),
        sa.ForeignKeyConstraint(["folder_id"], ["folders.id"], name="fk_segments_folder_id_folders"),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name="fk_segments_camera_id_cameras"),
        sa.UniqueConstraint("folder_id", "name", name="uq_segments_folder_id_name"),
    )
    op.create_index("ix_segments_storage_id_camera_id_start_us", "segments", ["storage_id", "camera_id", "start_us"])
    op.create_index(
        "ix_segments_open",
        "segments",
        ["storage_id"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_table(
        "manifests",
        sa.Column("segment_id", _row_id, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("segment_id", name="pk_manifests"),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name="fk_manifests_segment_id_segments", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "coverage",
        sa.Column("storage_id", _row_id, nullable=False),
        sa.Column("camera_id", _row_id, nullable=False),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        sa.Column("stale", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("storage_id", "camera_id", "bucket", name="pk_coverage"),
        sa.ForeignKeyConstraint(["storage_id"], ["storages.id"], name="fk_coverage_storage_id_storages"),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name="fk_coverage_camera_id_cameras"),
    )
    op.create_table(
        "outages",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("server_id", _row_id, nullable=False),
        sa.Column("storage_id", _row_id),
        sa.Column("camera_id", _row_id),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger),
        sa.Column("evidence", sa.String(1024), nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outages"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_outages_server_id_servers"),
        sa.ForeignKeyConstraint(["storage_id"], ["storages.id"], name="fk_outages_storage_id_storages"),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name="fk_outages_camera_id_cameras"),
    )
    op.create_index("ix_outages_server_id_start_us", "outages", ["server_id", "start_us"])
    op.create_table(
        "fills",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("server_id", _row_id, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("landed", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("stopped", sa.String(1024), nullable=False, server_default=""),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fills"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_fills_server_id_servers"),
    )
    op.create_table(
        "refusals",
        sa.Column("id", _row_id, nullable=False),
        sa.Column("server_id", _row_id, nullable=False),
        sa.Column("camera_id", _row_id, nullable=False),
        sa.Column("peer_id", _row_id, nullable=False),
        sa.Column("path", sa.String(4096), nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger, nullable=False),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("detail", sa.String(1024), nullable=False, server_default=""),
        sa.Column("size", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refusals"),
        sa.ForeignKeyConstraint(["server_id"], ["servers.id"], name="fk_refusals_server_id_servers"),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name="fk_refusals_camera_id_cameras"),
        sa.ForeignKeyConstraint(["peer_id"], ["servers.id"], name="fk_refusals_peer_id_servers"),
        sa.UniqueConstraint("server_id", "peer_id", "path", name="uq_refusals_server_id_peer_id_path"),
    )


def downgrade() -> None:
    """Refuse: a ledger is rebuilt from the storages, never taken back."""
    raise NotImplementedError("a ledger is not downgraded; rebuild it with the older release's 'scan --rebuild'")
