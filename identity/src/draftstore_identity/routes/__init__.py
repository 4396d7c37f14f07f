"""What identity answers: administration to keys, verification and tokens to services."""

from draftstore_identity.routes import audit, internal, keys, leaks, tenants

PUBLIC = (leaks.router, keys.router, tenants.router, audit.router)
"""What the gateway forwards."""

INTERNAL = (internal.router,)
"""What only services reach."""

TAGS = {
    "admin": "API keys, tenants and the audit log, for those who administer them.",
    "leaks": "For whoever finds a secret where it should not be.",
}
