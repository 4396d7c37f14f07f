"""PostgreSQL: one pool per service, failures translated once, migrations under a lock."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from draftstore_common.kit.context import remaining
from draftstore_common.kit.errors import CannotStart, Unavailable

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 30.0
FROZEN_TIMEOUT = 60.0
"""Seconds after which PostgreSQL ends a session that says nothing inside a transaction: its process froze, or the line
to it is cut, and its locks would be in everybody's way until TCP gave up. No request works so long."""

_AWAY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a statement meets on a connection whose server was just killed
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.DeadlockDetectedError,  # the transaction was undone, and the same request may succeed
    asyncpg.exceptions.DiskFullError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.QueryCanceledError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.TooManyConnectionsError,
)


class DatabaseUnavailable(Unavailable):
    """PostgreSQL is away, full or refusing; the transaction did not commit as far as we know."""

    code = "database_unavailable"
    detail = "The database is away for the moment. Nothing was lost: send the same request again shortly."


@asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Translate what a lost database raises, through asyncpg or SQLAlchemy, into `DatabaseUnavailable`."""
    try:
        yield
    except _AWAY as error:
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(_driver_error(error), _AWAY):
            raise DatabaseUnavailable from error
        raise


def deadline() -> asyncio.Timeout:
    """Ends what this request may still do with the database. Enter it inside `database_errors`."""
    return asyncio.timeout(min(STATEMENT_TIMEOUT, remaining()))


def _driver_error(error: DBAPIError) -> BaseException | None:
    return error.orig.__cause__ if error.orig is not None else None


async def _keep_session(_: Any) -> None:
    """No reset when a connection returns to the pool: we set no session state, and a reset costs a round trip."""


class Database:
    """A pool of asyncpg connections. Every method raises `DatabaseUnavailable` when PostgreSQL is away."""

    def __init__(self, url: str, *, size: int = 10) -> None:
        self._url = url
        self._size = size
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def __aenter__(self) -> Self:
        async with database_errors():
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._size,
                timeout=CONNECT_TIMEOUT,
                command_timeout=STATEMENT_TIMEOUT,
                server_settings={"idle_in_transaction_session_timeout": f"{FROZEN_TIMEOUT:.0f}s"},
                reset=_keep_session,
                init=_use_json,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection in autocommit: each statement is its own transaction. Held until the request's deadline."""
        assert self._pool is not None, "entered"  # noqa: S101  a caller's mistake, not a state of the world
        async with database_errors(), deadline(), self._pool.acquire(timeout=CONNECT_TIMEOUT) as connection:
            yield connection  # type: ignore[misc]  # the pool's proxy has the connection's interface

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection inside one READ COMMITTED transaction, committed on leaving without an error."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def row(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row a statement answers, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows a statement answers."""
        async with self.connection() as connection:
            return list(await connection.fetch(sql, *arguments))

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless PostgreSQL answers."""
        await self.row("SELECT 1")


async def _use_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


def engine(url: str, *, size: int = 10) -> AsyncEngine:
    """A SQLAlchemy engine over asyncpg that takes any PostgreSQL URL asyncpg itself takes (sslmode included).

    It never has more than `size` connections.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=STATEMENT_TIMEOUT)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text goes into the log, and hashes of keys are among the values
    )


async def migrate(url: str, *, schema: str, scripts: Path, lock: int) -> None:
    """Bring a schema to its newest revision. Safe from many places at once: an advisory lock lets one work.

    The schema is made if absent; its Alembic version table lies inside it. `lock` is the advisory lock's key.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)

    migrator = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with database_errors(), migrator.connect() as connection:
        await connection.run_sync(_upgrade, schema, scripts, lock)
        await connection.commit()
    await migrator.dispose()


def _upgrade(connection: Connection, schema: str, scripts: Path, lock: int) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, "head")


async def check_migrated(url: str, *, schema: str, scripts: Path) -> None:
    """Raise `CannotStart` unless the schema is at the newest revision of `scripts`.

    A revision these scripts do not know passes: a newer release has migrated, and this one serves until it is replaced.
    """
    found = await _revision(url, schema)
    history = ScriptDirectory(str(scripts))
    head = history.get_current_head()
    older = {script.revision for script in history.walk_revisions()} - {head}
    if found is None or found in older:
        text = f"the database schema {schema!r} is at revision {found or 'none'}, this release needs {head}"
        raise CannotStart(f"{text}; run the migrations first")


async def _revision(url: str, schema: str) -> str | None:
    async with database_errors():
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=STATEMENT_TIMEOUT)
        try:
            table = f'"{schema}".alembic_version'
            if await connection.fetchval("SELECT to_regclass($1)", table) is None:
                return None
            return str(await connection.fetchval(f"SELECT version_num FROM {table}"))  # noqa: S608  our own name
        finally:
            await connection.close()


async def wait_for_database(url: str, *, seconds: float) -> None:
    """Return once PostgreSQL accepts a connection; raise `DatabaseUnavailable` after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not await _accepts(url):  # noqa: ASYNC110  another server's readiness has no event to wait for
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise DatabaseUnavailable(f"PostgreSQL did not accept a connection within {seconds:.0f} s.") from error


async def _accepts(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    except _AWAY as error:
        log.debug("database not there yet", extra={"causes": [repr(error)]})
        return False
    await connection.close()
    return True
