"""`Idempotency-Key`: a row of the transaction that does the work, so both are there or neither.

Changes run one at a time, so a request that repeats one still at work waits for it, and finds what it made.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_identity.errors import IdempotencyKeyReused
from draftstore_identity.store.rows import Rows
from draftstore_identity.tables import idempotency_keys

IDEMPOTENCY_TTL = timedelta(hours=24)
FORGET_AT_ONCE = 100
"""Old rows that go with each new one, so that the table stays as small as a day."""

_columns = idempotency_keys.c
_SAME = (_columns.lineage, _columns.route, _columns.key)
_OLD = _columns.created_at <= func.statement_timestamp() - IDEMPOTENCY_TTL


class IdempotencyKeys(Rows):
    """The keys of the last 24 hours."""

    async def target(self, key: IdempotencyKey) -> UUID | None:
        """What was made with this key; raises `IdempotencyKeyReused` if it came with another payload."""
        query = select(_columns.fingerprint, _columns.target_id)
        row = await self._row(query.where(tuple_(*_SAME) == (key.lineage, key.route, key.key), ~_OLD))
        if row is None:
            return None
        if row["fingerprint"] != key.fingerprint:
            raise IdempotencyKeyReused
        return UUID(str(row["target_id"]))

    async def take(self, key: IdempotencyKey, target_id: UUID) -> None:
        """Remember what was made with a key that has no living row."""
        await self._forget()
        values = {**key.model_dump(), "target_id": target_id, "created_at": func.statement_timestamp()}
        statement = insert(idempotency_keys).values(values)
        await self._connection.execute(statement.on_conflict_do_update(index_elements=_SAME, set_=values))

    async def _forget(self) -> None:
        some = select(*_SAME).where(_OLD).limit(FORGET_AT_ONCE)
        await self._connection.execute(delete(idempotency_keys).where(tuple_(*_SAME).in_(some)))
