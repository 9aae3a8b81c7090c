"""The ledger's tables, as SQLAlchemy Core describes them; the same for SQLite and PostgreSQL.

Rule: `schema.migrations` builds exactly this (a test compares an upgraded database with a fresh one). Times are
integer microseconds UTC. Rows that cannot be derived again carry a checksum, because databases do not notice every
flipped bit.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RowId = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on both; SQLite gives rising numbers by itself only to INTEGER."""

servers = Table(
    "servers",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    # Which servers record the same cameras, where one ledger holds many pairs; empty until a service said so.
    Column("pair", String(128), nullable=False, server_default=""),
)

storages = Table(
    "storages",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("server_id", ForeignKey("servers.id"), nullable=False),
    # A side store's names two storages and a server: `main from nvr-b/main`.
    Column("name", String(200), nullable=False),
    Column("identity", String(36), nullable=False, server_default=""),
    Column("rules", String(32), nullable=False, server_default=""),
    # The longest segment ever taken in: bounds how far back a window query must look for overlaps.
    Column("longest_us", BigInteger, nullable=False, server_default=text("0")),
    Column("scanned_us", BigInteger, nullable=False, server_default=text("0")),
    # Rises with every change of this storage's coverage; a peer that has seen everything up to it lacks nothing.
    Column("seq", BigInteger, nullable=False, server_default=text("0")),
    # Changes when everything known of the storage was forgotten: what a peer has seen by then is worth nothing.
    Column("epoch", String(32), nullable=False, server_default=""),
    # Of a storage that only a peer can read: its coverage here is a copy of the peer's `epoch` up to `cursor`.
    Column("mirror", Boolean, nullable=False, server_default=false()),
    Column("cursor", String(64), nullable=False, server_default=""),
    Column("open_since", Text, nullable=False, server_default=""),
    # How its names are read (`schema.wire.StorageAbout` as JSON), so that a report needs no configuration of it.
    Column("about", Text, nullable=False, server_default=""),
    UniqueConstraint("server_id", "name"),
)

cameras = Table(
    "cameras",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(512), nullable=False, unique=True),
)

folders = Table(
    "folders",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("storage_id", ForeignKey("storages.id"), nullable=False),
    Column("path", String(4096), nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    # True once every entry is final: while mtime_ns stays the same, a rescan need not list this folder.
    Column("settled", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("storage_id", "path"),
)

# What scans could not read or did not recognise, by folder; rows only for folders that hold any. Replaced whenever the
# folder is listed, so that a scan that lists little still knows all of it.
oddities = Table(
    "oddities",
    metadata,
    Column("storage_id", ForeignKey("storages.id"), primary_key=True),
    Column("path", String(4096), primary_key=True),
    Column("kind", SmallInteger, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("example", String(4096), nullable=False),
    Column("reason", String(1024), nullable=False),
)

segments = Table(
    "segments",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("storage_id", ForeignKey("storages.id"), nullable=False),
    Column("folder_id", ForeignKey("folders.id"), nullable=False),
    Column("name", String(1024), nullable=False),
    Column("camera_id", ForeignKey("cameras.id"), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("digest", LargeBinary(16)),
    # 0: written by the recorder here; else the id of the server it was fetched from.
    Column("origin_id", BigInteger, nullable=False, server_default=text("0")),
    Column("marks", SmallInteger, nullable=False, server_default=text("0")),
    Column("reason", String(1024), nullable=False, server_default=""),
    Column("checksum", BigInteger, nullable=False),
    UniqueConstraint("folder_id", "name"),
    Index(None, "storage_id", "camera_id", "start_us"),
    # Only what is open (state 1), which every plan asks for: a few rows, whatever the archive holds.
    Index("ix_segments_open", "storage_id", sqlite_where=text("state = 1"), postgresql_where=text("state = 1")),
)

manifests = Table(
    "manifests",
    metadata,
    Column("segment_id", ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("checksum", BigInteger, nullable=False),
)

# Merged coverage by camera and bucket of time: derived from `segments`, kept so that finding a gap costs the number
# of buckets and not of segments. A stale row is computed anew when it is next read.
coverage = Table(
    "coverage",
    metadata,
    Column("storage_id", ForeignKey("storages.id"), primary_key=True),
    Column("camera_id", ForeignKey("cameras.id"), primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("stale", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    # The storage's `seq` when this bucket last changed.
    Column("seq", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "storage_id", "seq"),
)

outages = Table(
    "outages",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("server_id", ForeignKey("servers.id"), nullable=False),
    Column("storage_id", ForeignKey("storages.id")),
    Column("camera_id", ForeignKey("cameras.id")),
    Column("cause", String(32), nullable=False),
    Column("start_us", BigInteger, nullable=False),
    # NULL while the outage lasts.
    Column("end_us", BigInteger),
    Column("evidence", String(1024), nullable=False),
    Column("checksum", BigInteger, nullable=False),
    # The server whose service noticed it; 0 in rows of releases that knew no peers: noticed here.
    Column("observer_id", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "server_id", "start_us"),
)

fills = Table(
    "fills",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("server_id", ForeignKey("servers.id"), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("landed", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("stopped", String(1024), nullable=False, server_default=""),
    Column("checksum", BigInteger, nullable=False),
)

# What a fill could not bring over. A row is superseded by a later success for the same source and then deleted.
refusals = Table(
    "refusals",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("server_id", ForeignKey("servers.id"), nullable=False),
    Column("camera_id", ForeignKey("cameras.id"), nullable=False),
    Column("peer_id", ForeignKey("servers.id"), nullable=False),
    Column("path", String(4096), nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("why", String(32), nullable=False),
    Column("detail", String(1024), nullable=False, server_default=""),
    Column("size", BigInteger, nullable=False, server_default=text("0")),
    Column("at_us", BigInteger, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    UniqueConstraint("server_id", "peer_id", "path"),
)

# What holds for the ledger as a whole or for one server: `ledger` is who it is, `paused:SERVER` why nothing is filled
# there, `rules:SERVER` what counts as a gap there.
properties = Table(
    "properties",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("value", String(1024), nullable=False),
)

# How one server last saw another. In a fleet's ledger there is a row for each direction.
contacts = Table(
    "contacts",
    metadata,
    Column("observer_id", ForeignKey("servers.id"), primary_key=True),
    Column("server_id", ForeignKey("servers.id"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since_us", BigInteger, nullable=False),
    # The last answer; 0 if there never was one.
    Column("seen_us", BigInteger, nullable=False, server_default=text("0")),
    # Its clock less ours, and how far that may be wrong; NULL while unknown.
    Column("offset_us", BigInteger),
    Column("offset_error_us", BigInteger),
    Column("detail", String(1024), nullable=False, server_default=""),
)

# The outbox: an event is written in the transaction that makes it true, and sent later, as often as it takes.
alarms = Table(
    "alarms",
    metadata,
    Column("id", RowId, primary_key=True),
    # Names the event, so that it is raised once however often it is noticed.
    Column("key", String(256), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("server_id", ForeignKey("servers.id"), nullable=False),
    # The server whose service raised it and delivers it.
    Column("observer_id", ForeignKey("servers.id"), nullable=False),
    Column("camera_id", ForeignKey("cameras.id")),
    Column("at_us", BigInteger, nullable=False),
    Column("text", String(1024), nullable=False),
    Column("body", Text, nullable=False),
    Index(None, "at_us"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("alarm_id", ForeignKey("alarms.id", ondelete="CASCADE"), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_us", BigInteger, nullable=False),
    Column("error", String(1024), nullable=False, server_default=""),
    Index(None, "state", "next_us"),
)
