"""The schema `metadata`, for migrations and for the check that they agree with the code."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import UserDefinedType

from draftstore_metadata.domain import BYTES_GO, CLAIMED, LIVING, TRANSITIONS

SCHEMA = "metadata"
MIGRATION_LOCK = 0x6D657461
"""Key of the advisory lock that lets one process migrate ("meta" in ASCII)."""

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={"ck": "%(table_name)s_%(constraint_name)s", "uq": "%(table_name)s_%(column_0_N_name)s_key"},
)


def _in(states: Iterable[str]) -> str:
    return "state IN ({})".format(", ".join(f"'{state}'" for state in states))


_STATES = _in(TRANSITIONS)
_LIVING = _in(LIVING)
_BYTES_GO = _in(BYTES_GO)


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id: it puts the event feed in commit order without a counter."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in DDL."""
        return "xid8"


def _instant(name: str, *, required: bool = False, default: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=not required, server_default=func.now() if default else None)


drafts = Table(
    "drafts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("object_name", Text, nullable=False),
    Column("storage_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("upload_type", Text, nullable=False),
    Column("upload_id", Text),
    Column("declared_size", BigInteger),
    Column("declared_content_type", Text),
    Column("declared_checksum_sha256", Text),
    Column("cache_control", Text),
    Column("content_disposition", Text),
    Column("content_encoding", Text),
    Column("metadata", JSONB, nullable=False),
    Column("subject", Text),
    Column("verdicts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("size", BigInteger),
    Column("etag", Text),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("receipt", JSONB),
    Column("confirmation_id", Uuid),
    Column("created_by", Text, nullable=False),
    _instant("lease_expires_at"),
    _instant("created_at", required=True, default=True),
    _instant("expires_at", required=True),
    Column(
        "lifetime_ends_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("now() + interval '7 days'"),
    ),
    _instant("warn_at"),
    _instant("write_horizon_at", required=True),
    _instant("purge_due_at"),
    _instant("discarded_at"),
    _instant("purged_at"),
    UniqueConstraint("storage_key"),
    CheckConstraint(_STATES, name="state"),
    CheckConstraint("(state = 'confirmed') = (receipt IS NOT NULL)", name="receipt"),
    CheckConstraint(f"({_in(CLAIMED)}) = (lease_expires_at IS NOT NULL)", name="lease"),
    Index("drafts_by_tenant", "tenant_id", "id"),
    Index("drafts_living_by_name", "tenant_id", "bucket", "object_name", "id", postgresql_where=text(_LIVING)),
    Index(
        "drafts_holding_a_name",
        "tenant_id",
        "bucket",
        "object_name",
        unique=True,
        postgresql_where=text("state = 'prepared'"),
    ),
    Index("drafts_to_tend", "purge_due_at", postgresql_where=text(_LIVING)),
    Index("drafts_to_purge", "purge_due_at", postgresql_where=text(f"purge_due_at IS NOT NULL AND {_BYTES_GO}")),
)

objects = Table(
    "objects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("object_name", Text(collation="C"), nullable=False),
    Column("storage_key", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("final_location", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", Text, nullable=False),
    Column("checksum_sha256", Text),
    Column("content_type", Text, nullable=False),
    Column("content_disposition", Text),
    Column("metadata", JSONB, nullable=False),
    Column("draft_id", Uuid, nullable=False),
    _instant("confirmed_at", required=True),
    UniqueConstraint("tenant_id", "bucket", "object_name"),
    UniqueConstraint("storage_key"),
)

object_keys = Table(
    "object_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("storage_key", Text, nullable=False),
    Column("tenant_id", Uuid, nullable=False),
    Column("draft_id", Uuid, nullable=False),
    Column("source_etag", Text, nullable=False),
    Column("size", BigInteger),
    Column("state", Text, nullable=False),
    Column("purges", Integer, nullable=False, server_default=text("0")),
    _instant("created_at", required=True, default=True),
    _instant("purge_due_at"),
    UniqueConstraint("storage_key"),
    CheckConstraint("state IN ('reserved', 'published', 'garbage', 'deleted')", name="state"),
    CheckConstraint("(state = 'garbage') = (purge_due_at IS NOT NULL)", name="purge_due"),
    Index("object_keys_by_draft", "draft_id"),
    Index("object_keys_purge_due", "purge_due_at", postgresql_where=text("purge_due_at IS NOT NULL")),
    comment="Every key ever written to the main bucket. A key is never used twice, so its row is never deleted.",
)

confirmations = Table(
    "confirmations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("draft_ids", ARRAY(Uuid), nullable=False),
    Column("publication", JSONB),
    Column("problem", JSONB),
    Column("created_by", Text, nullable=False),
    _instant("lease_expires_at"),
    _instant("created_at", required=True, default=True),
    _instant("ended_at"),
    CheckConstraint("state IN ('working', 'prepared', 'confirmed', 'rolled_back')", name="state"),
    CheckConstraint("mode IN ('commit', 'prepare')", name="mode"),
    CheckConstraint("(state IN ('working', 'prepared')) = (lease_expires_at IS NOT NULL)", name="lease"),
    CheckConstraint("state <> 'prepared' OR publication IS NOT NULL", name="publication"),
    Index("confirmations_lease", "lease_expires_at", postgresql_where=text("lease_expires_at IS NOT NULL")),
    comment="Bundles and prepared confirmations: what a caller may ask about, commit or roll back.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("lineage", Uuid, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("target_id", Uuid, nullable=False),
    _instant("created_at", required=True, default=True),
    Index("idempotency_keys_age", "created_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("txid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("tenant_id", Uuid, nullable=False),
    Column("draft_id", Uuid),
    Column("object_name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    _instant("at", required=True, default=True),
    Index("events_by_draft", "draft_id", "id"),
    Index("events_feed", "tenant_id", "txid", "id"),
)

reconcile_cursors = Table(
    "reconcile_cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Text, nullable=False, server_default=text("''")),
    Column("finished", Boolean, nullable=False, server_default=text("false")),
    _instant("updated_at", required=True, default=True),
)
