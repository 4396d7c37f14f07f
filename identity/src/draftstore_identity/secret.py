"""From a secret to what is kept of it."""

import hashlib
from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyImport
from draftstore_common.contracts.identity import KeyKind
from draftstore_common.kit.ids import uuid7
from draftstore_identity.store.keys import NewKeyRow


def digest(secret: str) -> bytes:
    """SHA-256. A slow hash would add nothing: 190 random bits cannot be tried out."""
    return hashlib.sha256(secret.encode()).digest()


def new_key_row(secret: str, kind: KeyKind, tenant_id: UUID, *, parent_id: UUID | None) -> NewKeyRow:
    """The stored part of a key just made, under a fresh id."""
    key_id = uuid7()
    return NewKeyRow(
        id=key_id,
        lineage=key_id,
        tenant_id=tenant_id,
        parent_id=parent_id,
        kind=kind,
        hash=digest(secret),
        prefix=api_keys.prefix(secret),
        last4=api_keys.last4(secret),
    )


def successor_row(secret: str, old: Key, *, parent_id: UUID | None) -> NewKeyRow:
    """The stored part of the key that replaces another: of its lineage, of the same parent, switched off if it is."""
    return NewKeyRow(
        id=uuid7(),
        lineage=old.lineage,
        rotated_from=old.id,
        tenant_id=old.tenant_id,
        parent_id=parent_id,
        kind=old.kind,
        enabled=old.enabled,
        hash=digest(secret),
        prefix=api_keys.prefix(secret),
        last4=api_keys.last4(secret),
    )


def imported_row(wanted: KeyImport, tenant_id: UUID, *, parent_id: UUID | None) -> NewKeyRow:
    """The stored part of a key whose secret was never here."""
    key_id = uuid7()
    return NewKeyRow(
        id=key_id,
        lineage=key_id,
        tenant_id=tenant_id,
        parent_id=parent_id,
        kind="data",
        hash=bytes.fromhex(wanted.hash),
        prefix=f"ds_{wanted.environment}_",
        last4=wanted.last4 or "",
    )
