"""SQL of `Idempotency-Key`: the key is a row of the transaction that does the work, so both are there or neither."""

from typing import Any
from uuid import UUID

from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_metadata.domain import IDEMPOTENCY_TTL
from draftstore_metadata.errors import IdempotencyKeyReused
from draftstore_metadata.store.rows import Connection

# A key is free again when its time is over, or when the confirmation it began came to nothing.
_TAKE = """
    INSERT INTO metadata.idempotency_keys AS known (tenant_id, lineage, route, key, fingerprint, target_id)
    VALUES (${0}, ${1}, ${2}, ${3}, ${4}, ${5})
    ON CONFLICT (tenant_id, lineage, route, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, target_id = excluded.target_id, created_at = now()
    WHERE known.created_at <= now() - ${6}::interval OR (known.fingerprint = excluded.fingerprint AND EXISTS (
        SELECT FROM metadata.confirmations c WHERE c.id = known.target_id
          AND (c.state = 'rolled_back' OR c.lease_expires_at <= now())))
    RETURNING target_id"""

_KNOWN = """
    SELECT fingerprint, target_id FROM metadata.idempotency_keys
    WHERE tenant_id = $1 AND lineage = $2 AND route = $3 AND key = $4"""

_FORGET = """
    DELETE FROM metadata.idempotency_keys WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM metadata.idempotency_keys WHERE created_at <= now() - $1::interval
        LIMIT $2 FOR UPDATE SKIP LOCKED))"""


def taking(first: int) -> str:
    """A statement that takes a key, and answers a row if it could. Its parameters (`arguments`) begin with `first`.

    A second request with the key waits here until the transaction of the first has ended.
    """
    return _TAKE.format(*range(first, first + 7))


def arguments(tenant_id: UUID, key: IdempotencyKey, target_id: UUID) -> tuple[Any, ...]:
    """What `taking` takes the key for."""
    return (tenant_id, key.lineage, key.route, key.key, key.fingerprint, target_id, IDEMPOTENCY_TTL)


async def take(connection: Connection, tenant_id: UUID, key: IdempotencyKey, target_id: UUID) -> UUID | None:
    """Take the key for `target_id`: None; or, if it is taken, what it was taken for. See `taking` and `known`."""
    if await connection.fetchval(taking(1), *arguments(tenant_id, key, target_id)) is not None:
        return None
    target = await known(connection, tenant_id, key)
    assert target is not None  # noqa: S101  the conflict has locked it until this transaction ends
    return target


async def known(connection: Connection, tenant_id: UUID, key: IdempotencyKey) -> UUID | None:
    """What the key was taken for, if it was.

    Raises `IdempotencyKeyReused` if it came with another payload then.
    """
    row = await connection.fetchrow(_KNOWN, tenant_id, key.lineage, key.route, key.key)
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReused
    return UUID(str(row["target_id"]))


async def forget(connection: Connection, limit: int) -> None:
    """Delete keys whose time is over."""
    await connection.execute(_FORGET, IDEMPOTENCY_TTL, limit)
