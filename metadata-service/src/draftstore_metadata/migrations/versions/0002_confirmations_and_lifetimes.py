"""Confirmations, idempotency keys, lifetimes, and one index for rows to tend beside one for bytes to remove."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

LIVING = "state IN ('open', 'uploaded', 'confirming', 'prepared')"
BYTES_GO = "state IN ('confirmed', 'expired', 'discarded', 'purging', 'purged')"


def upgrade() -> None:
    _drafts()
    _confirmations()
    _idempotency_keys()


def _drafts() -> None:
    instant = sa.DateTime(timezone=True)
    op.add_column("drafts", sa.Column("confirmation_id", sa.Uuid(), nullable=True), schema="metadata")
    op.add_column("drafts", sa.Column("lifetime_ends_at", instant, nullable=True), schema="metadata")
    op.add_column("drafts", sa.Column("warn_at", instant, nullable=True), schema="metadata")
    op.execute("UPDATE metadata.drafts SET lifetime_ends_at = greatest(expires_at, created_at + interval '7 days')")
    # A default, for a release before this one that still makes drafts while it is being replaced.
    week = sa.text("now() + interval '7 days'")
    op.alter_column("drafts", "lifetime_ends_at", nullable=False, server_default=week, schema="metadata")
    op.drop_constraint(op.f("drafts_lease"), "drafts", schema="metadata")
    op.create_check_constraint(
        op.f("drafts_lease"),
        "drafts",
        "(state IN ('confirming', 'prepared')) = (lease_expires_at IS NOT NULL)",
        schema="metadata",
    )
    op.drop_index("drafts_purge_due", "drafts", schema="metadata")
    op.create_index("drafts_to_tend", "drafts", ["purge_due_at"], schema="metadata", postgresql_where=sa.text(LIVING))
    op.create_index(
        "drafts_to_purge",
        "drafts",
        ["purge_due_at"],
        schema="metadata",
        postgresql_where=sa.text(f"purge_due_at IS NOT NULL AND {BYTES_GO}"),
    )
    op.create_index(
        "drafts_holding_a_name",
        "drafts",
        ["tenant_id", "bucket", "object_name"],
        unique=True,
        schema="metadata",
        postgresql_where=sa.text("state = 'prepared'"),
    )


def _confirmations() -> None:
    op.create_table(
        "confirmations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("draft_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("publication", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("problem", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('working', 'prepared', 'confirmed', 'rolled_back')", name=op.f("confirmations_state")
        ),
        sa.CheckConstraint("mode IN ('commit', 'prepare')", name=op.f("confirmations_mode")),
        sa.CheckConstraint(
            "(state IN ('working', 'prepared')) = (lease_expires_at IS NOT NULL)", name=op.f("confirmations_lease")
        ),
        sa.CheckConstraint("state <> 'prepared' OR publication IS NOT NULL", name=op.f("confirmations_publication")),
        sa.PrimaryKeyConstraint("id"),
        schema="metadata",
        comment="Bundles and prepared confirmations: what a caller may ask about, commit or roll back.",
    )
    op.create_index(
        "confirmations_lease",
        "confirmations",
        ["lease_expires_at"],
        schema="metadata",
        postgresql_where=sa.text("lease_expires_at IS NOT NULL"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "lineage", "route", "key"),
        schema="metadata",
    )
    op.create_index("idempotency_keys_age", "idempotency_keys", ["created_at"], schema="metadata")
