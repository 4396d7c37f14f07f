"""Drafts, objects, the keys of the main bucket, and events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from draftstore_metadata.tables import Xid8

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "drafts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("upload_type", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=True),
        sa.Column("declared_size", sa.BigInteger(), nullable=True),
        sa.Column("declared_content_type", sa.Text(), nullable=True),
        sa.Column("declared_checksum_sha256", sa.Text(), nullable=True),
        sa.Column("cache_control", sa.Text(), nullable=True),
        sa.Column("content_disposition", sa.Text(), nullable=True),
        sa.Column("content_encoding", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column(
            "verdicts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("write_horizon_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purge_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("discarded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'confirmed') = (receipt IS NOT NULL)", name=op.f("drafts_receipt")),
        sa.CheckConstraint("(state = 'confirming') = (lease_expires_at IS NOT NULL)", name=op.f("drafts_lease")),
        sa.CheckConstraint(
            "state IN ('open', 'uploaded', 'confirming', 'prepared', 'confirmed', 'expired', 'discarded', 'purging', 'purged')",
            name=op.f("drafts_state"),
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("storage_key", name=op.f("drafts_storage_key_key")),
        schema="metadata",
    )
    op.create_index("drafts_by_tenant", "drafts", ["tenant_id", "id"], unique=False, schema="metadata")
    op.create_index(
        "drafts_living_by_name",
        "drafts",
        ["tenant_id", "bucket", "object_name", "id"],
        unique=False,
        schema="metadata",
        postgresql_where=sa.text("state IN ('open', 'uploaded', 'confirming', 'prepared')"),
    )
    op.create_index(
        "drafts_purge_due",
        "drafts",
        ["purge_due_at"],
        unique=False,
        schema="metadata",
        postgresql_where=sa.text("purge_due_at IS NOT NULL"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("txid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=True),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="metadata",
    )
    op.create_index("events_by_draft", "events", ["draft_id", "id"], unique=False, schema="metadata")
    op.create_index("events_feed", "events", ["tenant_id", "txid", "id"], unique=False, schema="metadata")
    op.create_table(
        "object_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("source_etag", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("purges", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("purge_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'garbage') = (purge_due_at IS NOT NULL)", name=op.f("object_keys_purge_due")),
        sa.CheckConstraint("state IN ('reserved', 'published', 'garbage', 'deleted')", name=op.f("object_keys_state")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("storage_key", name=op.f("object_keys_storage_key_key")),
        schema="metadata",
        comment="Every key ever written to the main bucket. A key is never used twice, so its row is never deleted.",
    )
    op.create_index("object_keys_by_draft", "object_keys", ["draft_id"], unique=False, schema="metadata")
    op.create_index(
        "object_keys_purge_due",
        "object_keys",
        ["purge_due_at"],
        unique=False,
        schema="metadata",
        postgresql_where=sa.text("purge_due_at IS NOT NULL"),
    )
    op.create_table(
        "objects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("object_name", sa.Text(collation="C"), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("final_location", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("checksum_sha256", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("content_disposition", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("storage_key", name=op.f("objects_storage_key_key")),
        sa.UniqueConstraint(
            "tenant_id", "bucket", "object_name", name=op.f("objects_tenant_id_bucket_object_name_key")
        ),
        schema="metadata",
    )
