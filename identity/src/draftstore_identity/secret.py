"""From a secret to what is kept of it."""

import hashlib
from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.kit.ids import uuid7
from draftstore_identity.store.keys import NewKeyRow


def digest(secret: str) -> bytes:
    """SHA-256. A slow hash would add nothing: 190 random bits cannot be tried out."""
    return hashlib.sha256(secret.encode()).digest()


def new_key_row(secret: str, tenant_id: UUID, *, parent_id: UUID | None) -> NewKeyRow:
    """The stored part of a key just made, under a fresh id."""
    key_id = uuid7()
    return NewKeyRow(
        id=key_id,
        lineage=key_id,
        tenant_id=tenant_id,
        parent_id=parent_id,
        hash=digest(secret),
        prefix=api_keys.prefix(secret),
        last4=api_keys.last4(secret),
    )
