"""What reading the audit log needs, and that the service may see which revision this is, whoever it logs in as."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "identity"
ROLE = "draftstore_identity"


def upgrade() -> None:
    """Add indexes and a grant."""
    op.create_index("audit_actor_id_idx", "audit", ["actor", "id"], schema=SCHEMA)
    op.create_index("audit_at_idx", "audit", ["at"], schema=SCHEMA, postgresql_using="brin")
    op.execute(f"GRANT SELECT ON {SCHEMA}.alembic_version TO {ROLE}")


def downgrade() -> None:
    """Take them away."""
    op.execute(f"REVOKE SELECT ON {SCHEMA}.alembic_version FROM {ROLE}")  # noqa: S608  our own names
    for index in ("audit_at_idx", "audit_actor_id_idx"):
        op.drop_index(index, "audit", schema=SCHEMA)
