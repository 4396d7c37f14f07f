"""All SQL of identity. Reads are single statements; changes run one at a time, each with its row in `changes`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, exists, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from draftstore_common.contracts.administration import Key, KeyCreate, Tenant
from draftstore_common.contracts.identity import Scope
from draftstore_common.kit.database import database_errors, deadline
from draftstore_identity.domain import Credential
from draftstore_identity.signing import StoredSigningKey
from draftstore_identity.tables import CHANGE_LOCK, changes, keys, signing_keys, tenants

STALLED_CHANGE = "10s"
"""How long an instance that went silent in the middle of a change can hold up the others'."""

_SCOPES = frozenset(scope.value for scope in Scope)
_SEQUENCE = select(func.coalesce(func.max(changes.c.sequence), 0)).scalar_subquery()
_KEY = tuple(column for column in keys.c if column.name not in {"hash", "hash_alg", "parent_id"})
_TENANT = tuple(column.label(f"tenant_{column.name}") for column in tenants.c)
_CREDENTIAL = select(
    *(column.label(f"key_{column.name}") for column in _KEY),
    *_TENANT,
    func.statement_timestamp().label("now"),
    _SEQUENCE.label("sequence"),
).join_from(keys, tenants)
_SIGNING_KEY = select(signing_keys.c.kid, signing_keys.c.public_jwk, signing_keys.c.private_pem)
# Not now(), the beginning of the transaction: it may have waited, for the one that made the key.
_PUBLISHED = or_(signing_keys.c.retire_at.is_(None), signing_keys.c.retire_at > func.statement_timestamp())


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


class Reader:
    """Questions over one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

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
        return Credential(_key(_part(row, "key_")), _tenant(_part(row, "tenant_")), row["now"], row["sequence"])

    async def key(self, key_id: UUID) -> Key | None:
        """One key."""
        row = await self._row(select(*_KEY).where(keys.c.id == key_id))
        return None if row is None else _key(row)

    async def keys(self, which: KeyFilter, *, before: UUID | None, limit: int) -> list[Key]:
        """Keys newest first, beginning after `before`."""
        query = select(*_KEY).order_by(keys.c.id.desc()).limit(limit)
        if which.tenant_id is not None:
            query = query.where(keys.c.tenant_id == which.tenant_id)
        if which.kind is not None:
            query = query.where(keys.c.kind == which.kind)
        if before is not None:
            query = query.where(keys.c.id < before)
        return [_key(row) for row in await self._rows(query)]

    async def tenant(self, tenant_id: UUID) -> Tenant | None:
        """One tenant."""
        row = await self._row(select(tenants).where(tenants.c.id == tenant_id))
        return None if row is None else _tenant(row)

    async def tenants(self, *, before: UUID | None, limit: int) -> list[Tenant]:
        """Tenants newest first, beginning after `before`."""
        query = select(tenants).order_by(tenants.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(tenants.c.id < before)
        return [_tenant(row) for row in await self._rows(query)]

    async def admin_key_exists(self) -> bool:
        """Whether there ever was an admin key, revoked ones included."""
        return await self._true(keys.c.kind == "admin")

    async def secret_exists(self, digest: bytes) -> bool:
        """Whether a key with this SHA-256 exists, in whatever state."""
        return await self._true(keys.c.hash == digest)

    async def _true(self, which: ColumnElement[bool]) -> bool:
        return bool(await self._connection.scalar(select(exists().where(which))))

    async def signing_key(self) -> StoredSigningKey | None:
        """The key that signs now: the latest to have become active among those still published."""
        active = _SIGNING_KEY.where(_PUBLISHED, signing_keys.c.active_at <= func.statement_timestamp())
        row = await self._row(active.order_by(signing_keys.c.active_at.desc(), signing_keys.c.kid).limit(1))
        return None if row is None else StoredSigningKey(**row)

    async def public_keys(self) -> list[dict[str, Any]]:
        """The public halves whose tokens are accepted, those that will sign later included."""
        query = select(signing_keys.c.public_jwk).where(_PUBLISHED).order_by(signing_keys.c.active_at.desc())
        return [row["public_jwk"] for row in await self._rows(query)]

    async def _row(self, query: Select[*tuple[Any, ...]]) -> RowMapping | None:
        return (await self._connection.execute(query)).mappings().first()

    async def _rows(self, query: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
        return (await self._connection.execute(query)).mappings().all()


class Changer(Reader):
    """Changes inside one transaction that no other change overlaps, so that what was read here still holds."""

    async def insert_key(self, row: NewKeyRow, wanted: KeyCreate) -> Key:
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
        await self._note("key", row.id, "created")
        return _key(inserted)

    async def revoke_key(self, key_id: UUID) -> Key:
        """Revoke a living key, for ever."""
        statement = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
        revoked = await self._connection.execute(
            statement.values(revoked_at=func.statement_timestamp()).returning(*_KEY)
        )
        key = _key(revoked.mappings().one())
        await self._note("key", key_id, "revoked")
        return key

    async def insert_tenant(self, tenant_id: UUID, name: str) -> Tenant | None:
        """Add a tenant; None if the id or the name is taken."""
        statement = upsert(tenants).values(id=tenant_id, name=name).on_conflict_do_nothing().returning(tenants)
        row = (await self._connection.execute(statement)).mappings().first()
        if row is None:
            return None
        await self._note("tenant", tenant_id, "created")
        return _tenant(row)

    async def insert_signing_key(self, key: StoredSigningKey) -> None:
        """Add a signing key that signs from now on."""
        values = {"kid": key.kid, "public_jwk": key.public_jwk, "private_pem": key.private_pem}
        await self._connection.execute(insert(signing_keys).values(**values, active_at=func.now()))

    async def _note(self, subject: str, subject_id: UUID, action: str) -> None:
        values = {"sequence": _SEQUENCE + 1, "subject": subject, "subject_id": subject_id, "action": action}
        await self._connection.execute(insert(changes).values(values))


class IdentityStore:
    """Where readers and changers come from.

    Both raise `DatabaseUnavailable` when PostgreSQL is away, or when the request's time is over.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        """A reader whose every question is its own snapshot."""
        async with database_errors(), deadline(), self._reading.connect() as connection:
            yield Reader(connection)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Changer]:
        """A transaction, committed on leaving without an error. Changes wait for each other.

        That makes the numbers in `changes` follow the order of commits without a gap a reader could miss, and lets
        rules read before they write. Keys and tenants change rarely enough for it.
        """
        async with database_errors(), deadline(), self._engine.begin() as connection:
            await connection.execute(
                text("SELECT set_config('idle_in_transaction_session_timeout', :limit, true)"),
                {"limit": STALLED_CHANGE},
            )
            await connection.execute(select(func.pg_advisory_xact_lock(CHANGE_LOCK)))
            yield Changer(connection)

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys whose tokens are accepted, as a JWK set (RFC 7517)."""
        async with self.read() as reader:
            return {"keys": await reader.public_keys()}

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless PostgreSQL answers."""
        await self.jwks()


def _part(row: RowMapping, prefix: str) -> dict[str, Any]:
    """The columns of one table in a row of several."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def _key(row: RowMapping | dict[str, Any]) -> Key:
    # A newer release may have granted scopes that this one, rolled back to, has never heard of: nothing here asks
    # for them, and the key's other powers hold.
    return Key.model_validate({**row, "scopes": [scope for scope in row["scopes"] if scope in _SCOPES]})


def _tenant(row: RowMapping | dict[str, Any]) -> Tenant:
    return Tenant.model_validate(dict(row))


def _limits(wanted: KeyCreate) -> list[dict[str, int]] | None:
    return None if wanted.rate_limits is None else [limit.model_dump() for limit in wanted.rate_limits]
