"""API keys: what is kept of them, which is never their secret."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from draftstore_common.contracts.administration import Key, KeyGrant, KeyPatch
from draftstore_common.contracts.identity import KeyKind, Scope
from draftstore_identity.domain import Credential
from draftstore_identity.store.changes import SEQUENCE, Change, ChangeLog
from draftstore_identity.store.rows import Rows
from draftstore_identity.store.tenants import tenant_of
from draftstore_identity.tables import keys, tenants

_SCOPES = frozenset(scope.value for scope in Scope)
_KEY = tuple(column for column in keys.c if column.name not in {"hash", "hash_alg", "parent_id"})
GRANTED = ("name", "scopes", "rate_limits", "cidrs", "name_prefixes", "expires_at")
"""The columns that say what a key may do."""

_CHOSEN = {*GRANTED, "kind", "enabled", "rotated_from"}
_TENANT = tuple(column.label(f"tenant_{column.name}") for column in tenants.c)
_CREDENTIAL = select(
    *(column.label(f"key_{column.name}") for column in _KEY),
    *_TENANT,
    func.statement_timestamp().label("now"),
    SEQUENCE.label("sequence"),
).join_from(keys, tenants)


@dataclass(frozen=True, slots=True)
class NewKeyRow:
    """What is stored of a new key besides its grant: never its secret. `parent_id`: the key that issued it, if any."""

    id: UUID
    lineage: UUID
    tenant_id: UUID
    parent_id: UUID | None
    kind: KeyKind
    hash: bytes
    prefix: str
    last4: str
    rotated_from: UUID | None = None
    enabled: bool = True


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

    async def living(self, digests: Collection[bytes]) -> list[Key]:
        """The keys among these SHA-256 that are not revoked, in the order of their ids."""
        query = select(*_KEY).where(keys.c.hash.in_(digests), keys.c.revoked_at.is_(None))
        return [_key(row) for row in await self._rows(query.order_by(keys.c.id))]

    async def successors(self, key_id: UUID) -> list[Key]:
        """The keys that replaced this one, newest first. All but one of them are revoked, or all."""
        query = select(*_KEY).where(keys.c.rotated_from == key_id)
        return [_key(row) for row in await self._rows(query.order_by(keys.c.id.desc()))]

    async def parent_id(self, key_id: UUID) -> UUID | None:
        """The key that issued this one."""
        row = await self._row(select(keys.c.parent_id).where(keys.c.id == key_id))
        return None if row is None else row["parent_id"]

    async def issuers(self, key_id: UUID) -> frozenset[UUID]:
        """The lineages of the keys that issued this one: directly, or through others."""
        above = select(keys.c.parent_id).where(keys.c.id == key_id).cte(recursive=True)
        above = above.union(select(keys.c.parent_id).where(keys.c.id == above.c.parent_id))
        rows = await self._rows(select(keys.c.lineage).where(keys.c.id.in_(select(above.c.parent_id))))
        return frozenset(row["lineage"] for row in rows)

    async def secret_exists(self, digest: bytes) -> bool:
        """Whether a key with this SHA-256 exists, in whatever state."""
        return await self._true(keys.c.hash == digest)


class KeyChanger(KeyReader):
    """Changes of keys."""

    def __init__(self, connection: AsyncConnection, changes: ChangeLog) -> None:
        super().__init__(connection)
        self._changes = changes

    async def insert(self, row: NewKeyRow, grant: KeyGrant, *, action: Literal["created", "imported"]) -> Key:
        """Add a key."""
        values = asdict(row) | {field: _stored(grant, field) for field in GRANTED}
        inserted = (await self._connection.execute(insert(keys).values(values).returning(*_KEY))).mappings().one()
        key = _key(inserted)
        return await self._noted(action, key, key.model_dump(mode="json", include=_CHOSEN))

    async def change(self, key_id: UUID, patch: KeyPatch, fields: Collection[str]) -> Key:
        """Set these fields of a key that is not revoked to what the patch says."""
        key = await self._update(key_id, {field: _stored(patch, field) for field in fields})
        return await self._noted("updated", key, key.model_dump(mode="json", include=set(fields)))

    async def end_at(self, key_id: UUID, expires_at: datetime, *, successor: UUID) -> Key:
        """Let a key that was replaced end."""
        key = await self._update(key_id, {"expires_at": expires_at})
        detail = key.model_dump(mode="json", include={"expires_at"}) | {"successor": str(successor)}
        return await self._noted("rotated", key, detail)

    async def revoke(self, key_id: UUID, *, reason: str | None = None) -> Key:
        """Revoke a living key, for ever."""
        key = await self._update(key_id, {"revoked_at": func.statement_timestamp()})
        return await self._noted("revoked", key, None if reason is None else {"reason": reason})

    async def _update(self, key_id: UUID, values: Mapping[str, Any]) -> Key:
        statement = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(values)
        return _key((await self._connection.execute(statement.returning(*_KEY))).mappings().one())

    async def _noted(self, action: str, key: Key, detail: dict[str, Any] | None = None) -> Key:
        # An admin key only lodges in its tenant: it is none of the business of those who read that tenant's log.
        tenant_id = key.tenant_id if key.kind == "data" else None
        await self._changes.note(Change("key", key.id, action, tenant_id, detail))
        return key


def _part(row: RowMapping, prefix: str) -> dict[str, Any]:
    """The columns of one table in a row of several."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def _key(row: RowMapping | dict[str, Any]) -> Key:
    # A newer release may have granted scopes that this one, rolled back to, has never heard of: nothing here asks
    # for them, and the key's other powers hold.
    return Key.model_validate({**row, "scopes": [scope for scope in row["scopes"] if scope in _SCOPES]})


def _stored(source: KeyGrant | KeyPatch, field: str) -> Any:
    """The value of a field as its column takes it."""
    value = getattr(source, field)
    match field:
        case "scopes":
            return sorted(value)
        case "rate_limits" if value is not None:
            return [limit.model_dump() for limit in value]
        case _:
            return value
