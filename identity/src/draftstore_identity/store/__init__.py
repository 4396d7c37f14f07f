"""All SQL of identity. Reads are single statements; changes run one at a time, each with its row in `changes`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from draftstore_common.kit.database import database_errors, deadline
from draftstore_identity.author import ITSELF, Author
from draftstore_identity.store.audit import AuditLog, AuditReader, AuditRow
from draftstore_identity.store.changes import ChangeLog
from draftstore_identity.store.feed import ChangeReader
from draftstore_identity.store.idempotency import IdempotencyKeys
from draftstore_identity.store.keys import KeyChanger, KeyReader
from draftstore_identity.store.signing_keys import SigningKeyChanger, SigningKeyReader
from draftstore_identity.store.tenants import TenantChanger, TenantReader
from draftstore_identity.store.uses import note_uses
from draftstore_identity.tables import CHANGE_LOCK

STALLED_CHANGE = "10s"
"""How long an instance that went silent in the middle of a change can hold up the others'."""


class Reader:
    """Questions over one connection."""

    keys: KeyReader
    tenants: TenantReader
    signing_keys: SigningKeyReader
    changes: ChangeReader
    audit: AuditReader

    def __init__(self, connection: AsyncConnection) -> None:
        self.keys = KeyReader(connection)
        self.tenants = TenantReader(connection)
        self.signing_keys = SigningKeyReader(connection)
        self.changes = ChangeReader(connection)
        self.audit = AuditReader(connection)


class Changer(Reader):
    """Changes inside one transaction that no other change overlaps, so that what was read here still holds.

    Each change of a key or a tenant is numbered, announced and on record with its author, in the same transaction.
    """

    keys: KeyChanger
    tenants: TenantChanger
    signing_keys: SigningKeyChanger
    idempotency: IdempotencyKeys
    audit: AuditLog

    def __init__(self, connection: AsyncConnection, by: Author) -> None:
        changes = ChangeLog(connection, by)
        self.keys = KeyChanger(connection, changes)
        self.tenants = TenantChanger(connection, changes)
        self.signing_keys = SigningKeyChanger(connection)
        self.idempotency = IdempotencyKeys(connection)
        self.changes = ChangeReader(connection)
        self.audit = AuditLog(connection)


class IdentityStore:
    """Where readers and changers come from.

    Both raise `DatabaseUnavailable` when PostgreSQL is away, or when the request's time is over.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        # Changes wait for each other here before they do in PostgreSQL: there, each would hold a connection while it
        # waits, and a burst of them would leave none to verify keys with.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        """A reader whose every question is its own snapshot."""
        async with database_errors(), deadline(), self._reading.connect() as connection:
            yield Reader(connection)

    @asynccontextmanager
    async def change(self, by: Author = ITSELF) -> AsyncIterator[Changer]:
        """A transaction of this author, committed on leaving without an error. Changes wait for each other.

        That makes the numbers in `changes` follow the order of commits without a gap a reader could miss, and lets
        rules read before they write. Keys and tenants change rarely enough for it.
        """
        async with database_errors(), deadline(), self._turn, self._engine.begin() as connection:
            await connection.execute(
                text("SELECT set_config('idle_in_transaction_session_timeout', :limit, true)"),
                {"limit": STALLED_CHANGE},
            )
            await connection.execute(select(func.pg_advisory_xact_lock(CHANGE_LOCK)))
            yield Changer(connection, by)

    async def record(self, rows: Sequence[AuditRow]) -> None:
        """Keep entries of the audit log that stand alone. When this returns, they are durable."""
        async with database_errors(), deadline(), self._reading.connect() as connection:
            await AuditLog(connection).add(rows)

    async def note_uses(self, uses: Mapping[UUID, datetime]) -> None:
        """Note when keys were last used, never going back. In one statement, which no change waits for."""
        async with database_errors(), deadline(), self._reading.connect() as connection:
            await note_uses(connection, uses)

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys whose tokens are accepted, as a JWK set (RFC 7517)."""
        async with self.read() as reader:
            return {"keys": await reader.signing_keys.public()}

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless PostgreSQL answers."""
        await self.jwks()
