"""Tenants, keys, changes and signing keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "identity"


def upgrade() -> None:
    """Make the four tables."""
    _tenants()
    _keys()
    _changes()
    _signing_keys()


def downgrade() -> None:
    """Drop them. Every key is lost."""
    for table in ("signing_keys", "changes", "keys", "tenants"):
        op.drop_table(table, schema=SCHEMA)


def _instant(name: str, *, default: bool = False, required: bool = False) -> sa.Column:
    server_default = sa.func.now() if default else None
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=not (required or default), server_default=server_default
    )


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="active"),
        _instant("created_at", default=True),
        sa.PrimaryKeyConstraint("id", name="tenants_pkey"),
        sa.UniqueConstraint("name", name="tenants_name_key"),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("tenants_status_check")),
        schema=SCHEMA,
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("parent_id", sa.Uuid, comment="The key that issued this one."),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("hash_alg", sa.Text, nullable=False, server_default="sha256"),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("last4", sa.Text, nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("rate_limits", postgresql.JSONB),
        sa.Column("cidrs", postgresql.ARRAY(postgresql.CIDR), nullable=False),
        sa.Column("name_prefixes", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.text("true")),
        _instant("created_at", default=True),
        _instant("expires_at"),
        _instant("revoked_at"),
        _instant("last_used_at"),
        sa.PrimaryKeyConstraint("id", name="keys_pkey"),
        sa.UniqueConstraint("hash", name="keys_hash_key"),
        sa.ForeignKeyConstraint(["tenant_id"], [f"{SCHEMA}.tenants.id"], name="keys_tenant_id_fkey"),
        sa.ForeignKeyConstraint(["parent_id"], [f"{SCHEMA}.keys.id"], name="keys_parent_id_fkey"),
        sa.CheckConstraint("kind IN ('data', 'admin')", name=op.f("keys_kind_check")),
        sa.CheckConstraint("kind = 'data' OR cardinality(scopes) = 0", name=op.f("keys_admin_scopes_check")),
        sa.CheckConstraint("hash_alg = 'sha256' AND octet_length(hash) = 32", name=op.f("keys_hash_check")),
        schema=SCHEMA,
    )
    op.create_index("keys_tenant_id_id_idx", "keys", ["tenant_id", "id"], schema=SCHEMA)


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("sequence", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        _instant("changed_at", default=True),
        sa.PrimaryKeyConstraint("sequence", name="changes_pkey"),
        sa.CheckConstraint("subject IN ('key', 'tenant')", name=op.f("changes_subject_check")),
        comment="What changed, in commit order. Whoever trims it keeps the newest row, which holds the number.",
        schema=SCHEMA,
    )


def _signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("public_jwk", postgresql.JSONB, nullable=False),
        sa.Column("private_pem", sa.LargeBinary, nullable=False),
        _instant("created_at", default=True),
        _instant("active_at", required=True),
        _instant("retire_at"),
        sa.PrimaryKeyConstraint("kid", name="signing_keys_pkey"),
        schema=SCHEMA,
    )
