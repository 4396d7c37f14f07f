"""SQL of `Idempotency-Key`: the key is a row of the transaction that does the work, so both are there or neither."""

from uuid import UUID

from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_metadata.domain import IDEMPOTENCY_TTL
from draftstore_metadata.errors import IdempotencyKeyReused
from draftstore_metadata.store.rows import Connection

# A key is free again when its time is over, or when the confirmation it began came to nothing.
_TAKE = """
    INSERT INTO metadata.idempotency_keys AS known (tenant_id, lineage, route, key, fingerprint, target_id)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (tenant_id, lineage, route, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, target_id = excluded.target_id, created_at = now()
    WHERE known.created_at <= now() - $7::interval OR (known.fingerprint = excluded.fingerprint AND EXISTS (
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


async def take(connection: Connection, tenant_id: UUID, key: IdempotencyKey, target_id: UUID) -> UUID | None:
    """Take the key for `target_id`: None; or, if it is taken, what it was taken for.

    A second request with the key waits here until the transaction of the first has ended. Raises
    `IdempotencyKeyReused` if the key came with another payload before.
    """
    where = (tenant_id, key.lineage, key.route, key.key)
    taken = await connection.fetchval(_TAKE, *where, key.fingerprint, target_id, IDEMPOTENCY_TTL)
    if taken is not None:
        return None
    known = await connection.fetchrow(_KNOWN, *where)
    assert known is not None  # noqa: S101  the conflict has locked it
    if known["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReused
    return UUID(str(known["target_id"]))


async def forget(connection: Connection, limit: int) -> None:
    """Delete keys whose time is over."""
    await connection.execute(_FORGET, IDEMPOTENCY_TTL, limit)
