"""Rotation, limits of tenants, idempotency keys, the audit log, and the role the service works as."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from draftstore_common.kit.database import ensure_role

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "identity"
ROLE = "draftstore_identity"

_EMPTY = sa.text("'[]'::jsonb")
_NOW = {"nullable": False, "server_default": sa.func.now()}


def upgrade() -> None:
    """Add columns and tables, then say what the service may do with each."""
    _tenants()
    _keys()
    _idempotency_keys()
    _audit()
    _role()


def downgrade() -> None:
    """Take them away; the audit log is lost. The role stays: other databases of the server may use it."""
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM {ROLE}")
    op.execute(f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {ROLE}")
    op.drop_table("audit", schema=SCHEMA)
    op.drop_table("idempotency_keys", schema=SCHEMA)
    for column in ("lineage", "rotated_from"):
        op.drop_column("keys", column, schema=SCHEMA)
    for column in ("rate_limits", "access_audit"):
        op.drop_column("tenants", column, schema=SCHEMA)


def _tenants() -> None:
    limits = sa.Column("rate_limits", postgresql.JSONB, nullable=False, server_default=_EMPTY)
    access = sa.Column("access_audit", sa.Text, nullable=False, server_default="sampled")
    for column in (limits, access):
        op.add_column("tenants", column, schema=SCHEMA)
    condition = "access_audit IN ('off', 'sampled', 'full')"
    op.create_check_constraint(op.f("tenants_access_audit_check"), "tenants", condition, schema=SCHEMA)


def _keys() -> None:
    comment = "The first key of a chain of rotations."
    op.add_column("keys", sa.Column("lineage", sa.Uuid, comment=comment), schema=SCHEMA)
    op.execute(f"UPDATE {SCHEMA}.keys SET lineage = id")  # noqa: S608  our own name
    op.alter_column("keys", "lineage", nullable=False, schema=SCHEMA)
    replaces = sa.Column("rotated_from", sa.Uuid, comment="The key this one replaces.")
    op.add_column("keys", replaces, schema=SCHEMA)
    op.create_foreign_key(
        "keys_rotated_from_fkey", "keys", "keys", ["rotated_from"], ["id"], source_schema=SCHEMA, referent_schema=SCHEMA
    )
    op.create_index(
        "keys_one_successor",
        "keys",
        ["rotated_from"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
        schema=SCHEMA,
    )


def _idempotency_keys() -> None:
    comment = "What was made. Its secret is not kept, here or anywhere."
    op.create_table(
        "idempotency_keys",
        sa.Column("lineage", sa.Uuid, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("target_id", sa.Uuid, nullable=False, comment=comment),
        sa.Column("created_at", sa.DateTime(timezone=True), **_NOW),
        sa.PrimaryKeyConstraint("lineage", "route", "key", name="idempotency_keys_pkey"),
        schema=SCHEMA,
    )
    op.create_index("idempotency_keys_created_at_idx", "idempotency_keys", ["created_at"], schema=SCHEMA)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), **_NOW),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Uuid),
        sa.Column("target_type", sa.Text),
        sa.Column("target", sa.Text),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("ip", postgresql.INET),
        sa.Column("suppressed", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("detail", postgresql.JSONB),
        sa.PrimaryKeyConstraint("id", name="audit_pkey"),
        sa.CheckConstraint("category IN ('admin', 'access')", name=op.f("audit_category_check")),
        sa.CheckConstraint("outcome IN ('allowed', 'refused')", name=op.f("audit_outcome_check")),
        comment="Append-only: the service's role may insert and read.",
        schema=SCHEMA,
    )
    op.create_index("audit_tenant_id_id_idx", "audit", ["tenant_id", "id"], schema=SCHEMA)
    op.create_index("audit_target_id_idx", "audit", ["target", "id"], schema=SCHEMA)


def _role() -> None:
    ensure_role(op.get_bind(), ROLE)
    op.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE}")
    tables = ", ".join(
        f"{SCHEMA}.{name}" for name in ("tenants", "keys", "changes", "signing_keys", "idempotency_keys")
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {ROLE}")
    op.execute(f"GRANT SELECT, INSERT ON {SCHEMA}.audit TO {ROLE}")
