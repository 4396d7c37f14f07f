"""Drafts by the million: rows written by PostgreSQL itself, with the bytes of some of them in the store."""

from collections.abc import Sequence

from bench.load import Replay
from bench.load.s3 import Store
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from support.stack_base import Stack

PUTTING = 16
"""Connections bytes are sent over."""

# An hour's URL was signed for each when it was made, so what expired is looked at again after its horizon.
_INSERT = """
    INSERT INTO metadata.drafts (
        id, tenant_id, bucket, object_name, storage_key, state, upload_type, metadata, created_by,
        expires_at, write_horizon_at, lifetime_ends_at, purge_due_at)
    SELECT uuidv7(), $1::uuid, 'main', $2 || number, $1::text || '/' || $2 || number, 'open', 'put', '{}', 'key:bench',
        now() + $4::interval, now() + interval '1 hour', now() + interval '7 days', now() + $4::interval
    FROM generate_series(0, $3::bigint - 1) AS number"""

CONTENT = b"0123456789abcdef" * 4


async def live(stack: Stack, name: str, count: int) -> list[str]:
    """So many drafts with six days to live; their keys."""
    return await _made(stack, name, count, "6 days")


async def expired(stack: Stack, name: str, count: int) -> list[str]:
    """So many drafts whose time was over a minute ago; their keys."""
    return await _made(stack, name, count, "-1 minute")


async def _made(stack: Stack, name: str, count: int, expires_in: str) -> list[str]:
    await stack.sql(_INSERT.replace("$4", f"'{expires_in}'"), str(DEFAULT_TENANT_ID), name, count)
    return [f"{DEFAULT_TENANT_ID}/{name}{number}" for number in range(count)]


async def settled(stack: Stack) -> None:
    """What PostgreSQL would do in its own time after so many rows, done now."""
    await stack.sql("VACUUM (ANALYZE) metadata.drafts")
    await stack.sql("CHECKPOINT")


async def with_bytes(replay: Replay, store: Store, bucket: str, keys: Sequence[str], content: bytes = CONTENT) -> None:
    """Put a few bytes at every key."""
    (await replay.send(store.port, store.puts(bucket, keys, content), connections=PUTTING)).all_are(200)
