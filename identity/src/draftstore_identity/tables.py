"""The schema `identity`, for statements, migrations and the check that they agree."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET, JSONB

SCHEMA = "identity"
MIGRATION_LOCK = 0x6964656D
"""Key of the advisory lock that lets one process migrate."""

CHANGE_LOCK = 0x69646568
"""Key of the advisory lock that puts changes in one order: the order of their commits."""

CHANGES_CHANNEL = "draftstore_identity_changes"
"""Where PostgreSQL announces that a change was committed (LISTEN)."""

SERVICE_ROLE = "draftstore_identity"
"""What the service works as, whatever user it logs in as: this role can add to the audit log, and not alter it."""

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False, server_default="active"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("rate_limits", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("access_audit", Text, nullable=False, server_default="sampled"),
    CheckConstraint("status IN ('active', 'suspended')", name="status"),
    CheckConstraint("access_audit IN ('off', 'sampled', 'full')", name="access_audit"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id), nullable=False),
    Column("parent_id", Uuid, ForeignKey(f"{SCHEMA}.keys.id"), comment="The key that issued this one."),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("hash_alg", Text, nullable=False, server_default="sha256"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("last4", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("rate_limits", JSONB(none_as_null=True)),
    Column("cidrs", ARRAY(CIDR), nullable=False),
    Column("name_prefixes", ARRAY(Text), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("lineage", Uuid, nullable=False, comment="The first key of a chain of rotations."),
    Column("rotated_from", Uuid, ForeignKey(f"{SCHEMA}.keys.id"), comment="The key this one replaces."),
    CheckConstraint("kind IN ('data', 'admin')", name="kind"),
    CheckConstraint("kind = 'data' OR cardinality(scopes) = 0", name="admin_scopes"),
    CheckConstraint("hash_alg = 'sha256' AND octet_length(hash) = 32", name="hash"),
    Index("keys_tenant_id_id_idx", "tenant_id", "id"),
    Index("keys_one_successor", "rotated_from", unique=True, postgresql_where=text("revoked_at IS NULL")),
)

changes = Table(
    "changes",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("action", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("subject IN ('key', 'tenant')", name="subject"),
    comment="What changed, in commit order. Whoever trims it keeps the newest row, which holds the number.",
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("public_jwk", JSONB, nullable=False),
    Column("private_pem", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("active_at", DateTime(timezone=True), nullable=False),
    Column("retire_at", DateTime(timezone=True)),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("lineage", Uuid, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("target_id", Uuid, nullable=False, comment="What was made. Its secret is not kept, here or anywhere."),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("idempotency_keys_created_at_idx", "created_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("category", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("code", Text),
    Column("actor", Text, nullable=False),
    Column("tenant_id", Uuid),
    Column("target_type", Text),
    Column("target", Text),
    Column("request_id", Text, nullable=False),
    Column("ip", INET),
    Column("suppressed", BigInteger, nullable=False, server_default=text("0")),
    Column("detail", JSONB(none_as_null=True)),
    CheckConstraint("category IN ('admin', 'access')", name="category"),
    CheckConstraint("outcome IN ('allowed', 'refused')", name="outcome"),
    Index("audit_tenant_id_id_idx", "tenant_id", "id"),
    Index("audit_target_id_idx", "target", "id"),
    Index("audit_actor_id_idx", "actor", "id"),
    Index("audit_at_idx", "at", postgresql_using="brin"),
    comment="Append-only: the service's role may insert and read.",
)
