"""API keys: what is kept of them, which is never their secret."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from draftstore_common.contracts.administration import Key, KeyCreate
from draftstore_common.contracts.identity import Scope
from draftstore_identity.domain import Credential
from draftstore_identity.store.changes import SEQUENCE, ChangeLog
from draftstore_identity.store.rows import Rows
from draftstore_identity.store.tenants import tenant_of
from draftstore_identity.tables import keys, tenants

_SCOPES = frozenset(scope.value for scope in Scope)
_KEY = tuple(column for column in keys.c if column.name not in {"hash", "hash_alg", "parent_id"})
_TENANT = tuple(column.label(f"tenant_{column.name}") for column in tenants.c)
_CREDENTIAL = select(
    *(column.label(f"key_{column.name}") for column in _KEY),
    *_TENANT,
    func.statement_timestamp().label("now"),
    SEQUENCE.label("sequence"),
).join_from(keys, tenants)


@dataclass(frozen=True, slots=True)
class NewKeyRow:
    """What is stored of a key just made: never its secret. `parent_id` is the key that issued it, if one did."""

    id: UUID
    lineage: UUID
    tenant_id: UUID
    parent_id: UUID | None
    hash: bytes
    prefix: str
    last4: str


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys a list shows; None shows all."""

    tenant_id: UUID | None = None
    kind: Literal["data", "admin"] | None = None


class KeyReader(Rows):
    """Questions about keys."""

    async def credential_by_hash(self, digest: bytes) -> Credential | None:
        """The key whose secret has this SHA-256, with all that decides about it."""
        return await self._credential(keys.c.hash == digest)

    async def credential(self, key_id: UUID) -> Credential | None:
        """The key of this id, with all that decides about it."""
        return await self._credential(keys.c.id == key_id)

    async def _credential(self, which: ColumnElement[bool]) -> Credential | None:
        row = await self._row(_CREDENTIAL.where(which))
        if row is None:
            return None
        return Credential(_key(_part(row, "key_")), tenant_of(_part(row, "tenant_")), row["now"], row["sequence"])

    async def get(self, key_id: UUID) -> Key | None:
        """One key."""
        row = await self._row(select(*_KEY).where(keys.c.id == key_id))
        return None if row is None else _key(row)

    async def page(self, which: KeyFilter, *, before: UUID | None, limit: int) -> list[Key]:
        """Keys newest first, beginning after `before`."""
        query = select(*_KEY).order_by(keys.c.id.desc()).limit(limit)
        if which.tenant_id is not None:
            query = query.where(keys.c.tenant_id == which.tenant_id)
        if which.kind is not None:
            query = query.where(keys.c.kind == which.kind)
        if before is not None:
            query = query.where(keys.c.id < before)
        return [_key(row) for row in await self._rows(query)]

    async def admin_exists(self) -> bool:
        """Whether there ever was an admin key, revoked ones included."""
        return await self._true(keys.c.kind == "admin")

    async def secret_exists(self, digest: bytes) -> bool:
        """Whether a key with this SHA-256 exists, in whatever state."""
        return await self._true(keys.c.hash == digest)


class KeyChanger(KeyReader):
    """Changes of keys."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection)
        self._changes = ChangeLog(connection)

    async def insert(self, row: NewKeyRow, wanted: KeyCreate) -> Key:
        """Add a key."""
        values = {
            "id": row.id,
            "lineage": row.lineage,
            "tenant_id": row.tenant_id,
            "parent_id": row.parent_id,
            "hash": row.hash,
            "prefix": row.prefix,
            "last4": row.last4,
            "name": wanted.name,
            "kind": wanted.kind,
            "scopes": sorted(wanted.scopes),
            "rate_limits": _limits(wanted),
            "cidrs": wanted.cidrs,
            "name_prefixes": wanted.name_prefixes,
            "expires_at": wanted.expires_at,
        }
        inserted = (await self._connection.execute(insert(keys).values(values).returning(*_KEY))).mappings().one()
        await self._changes.note("key", row.id, "created")
        return _key(inserted)

    async def revoke(self, key_id: UUID) -> Key:
        """Revoke a living key, for ever."""
        statement = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
        revoked = await self._connection.execute(
            statement.values(revoked_at=func.statement_timestamp()).returning(*_KEY)
        )
        key = _key(revoked.mappings().one())
        await self._changes.note("key", key_id, "revoked")
        return key


def _part(row: RowMapping, prefix: str) -> dict[str, Any]:
    """The columns of one table in a row of several."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def _key(row: RowMapping | dict[str, Any]) -> Key:
    # A newer release may have granted scopes that this one, rolled back to, has never heard of: nothing here asks
    # for them, and the key's other powers hold.
    return Key.model_validate({**row, "scopes": [scope for scope in row["scopes"] if scope in _SCOPES]})


def _limits(wanted: KeyCreate) -> list[dict[str, int]] | None:
    return None if wanted.rate_limits is None else [limit.model_dump() for limit in wanted.rate_limits]
