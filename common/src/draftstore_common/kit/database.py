"""PostgreSQL: one pool per service, failures translated once, migrations under a lock."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

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
from draftstore_common.kit.patience import Looks, Patience

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

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
    return asyncio.timeout(_patience())


def _patience() -> float:
    return min(STATEMENT_TIMEOUT, remaining())


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
        # The pool's own queue is not fair: who comes while one that waits is being woken takes the connection, and the
        # one that was woken goes to the queue's end. Under load some waited seconds.
        self._turns = asyncio.Semaphore(size)
        self._looks = Looks()

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
        seconds = _patience()
        if seconds <= 0:  # what is begun goes on until the first look
            raise DatabaseUnavailable
        try:  # one frame for all of it: every statement of the suite passes here
            with Patience(min(CONNECT_TIMEOUT, seconds), self._looks) as patience:
                async with self._turns:
                    connection = await self._pool.acquire()
                    try:
                        patience.renew(_patience())
                        yield connection  # type: ignore[misc]  # the pool's proxy has the connection's interface
                    finally:
                        await self._pool.release(connection, timeout=CONNECT_TIMEOUT)
        except _AWAY as error:
            raise DatabaseUnavailable from error

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

    async def common(self, work: Awaitable[Answer]) -> Answer:
        """What comes of work that others do here for this request, as long as the request may wait."""
        try:
            with Patience(_patience(), self._looks):
                return await work
        except TimeoutError as error:
            raise DatabaseUnavailable from error

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless PostgreSQL answers."""
        await self.row("SELECT 1")


async def _use_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def connect(
    url: str, *, role: str | None = None, statement_timeout: float | None = STATEMENT_TIMEOUT
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of one's own, that works as `role` whoever the URL logs in as.

    Raises `CannotStart`, naming the statements that help, if the user may not work as that role. `statement_timeout`
    None: statements may take as long as they take.
    """
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=statement_timeout)
    if role is not None:
        try:
            await connection.execute(f'SET ROLE "{role}"')
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError) as error:
            raise await _role_missing(connection, role) from error
        except BaseException:
            connection.terminate()
            raise
    return connection


async def _role_missing(connection: "asyncpg.Connection[asyncpg.Record]", role: str) -> CannotStart:
    user = await connection.fetchval("SELECT session_user")
    await connection.close()
    return _may_not_work_as(role, str(user))


def _may_not_work_as(role: str, user: str) -> CannotStart:
    statements = f'CREATE ROLE "{role}" NOLOGIN; GRANT "{role}" TO "{user}";'
    text = f"the database user {user!r} may not work as the role {role!r}"
    return CannotStart(f"{text}; have an administrator of the database run what is missing of: {statements}")


def engine(url: str, *, size: int = 10, role: str | None = None) -> AsyncEngine:
    """A SQLAlchemy engine over asyncpg that takes any PostgreSQL URL asyncpg itself takes (sslmode included).

    It never has more than `size` connections. All of them work as `role` (see `connect`).
    """
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(connect, url, role=role),
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text goes into the log, and hashes of keys are among the values
    )


def ensure_role(connection: Connection, role: str) -> None:
    """In a migration: make a role that cannot log in, unless it is there, and let the present user work as it.

    Roles belong to the whole server: another database on it may have made this one, a moment ago even. Raises
    `CannotStart`, naming the statements that help, where the user may do neither.
    """
    make = f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE "{role}" NOLOGIN; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$"""
    if _permits(connection, make) and _may_work_as(connection, role):
        return
    if not _permits(connection, f'GRANT "{role}" TO CURRENT_USER'):
        raise _may_not_work_as(role, str(connection.scalar(text("SELECT current_user"))))


def _may_work_as(connection: Connection, role: str) -> bool:
    trial = connection.begin_nested()
    try:
        return _permits(connection, f'SET LOCAL ROLE "{role}"')
    finally:
        trial.rollback()  # which ends the SET as well


def _permits(connection: Connection, statement: str) -> bool:
    """Run a statement; whether the user was allowed to, and everything it names is there."""
    try:
        with connection.begin_nested():
            connection.execute(text(statement))
    except DBAPIError as error:
        refused = asyncpg.InsufficientPrivilegeError | asyncpg.InvalidParameterValueError | asyncpg.UndefinedObjectError
        if isinstance(_driver_error(error), refused):
            return False
        raise
    return True


async def migrate(url: str, *, schema: str, scripts: Path, lock: int) -> None:
    """Bring a schema to its newest revision. Safe from many places at once: an advisory lock lets one work.

    The schema is made if absent; its Alembic version table lies inside it. `lock` is the advisory lock's key.
    """

    patiently = partial(connect, url, statement_timeout=None)
    migrator = create_async_engine("postgresql+asyncpg://", async_creator=patiently, poolclass=NullPool)
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


async def check_migrated(url: str, *, schema: str, scripts: Path, role: str | None = None) -> None:
    """Raise `CannotStart` unless the schema is at the newest revision of `scripts`, as the user or its `role` sees it.

    A revision these scripts do not know passes: a newer release has migrated, and this one serves until it is replaced.
    """
    found = await _revision(url, schema, role)
    history = ScriptDirectory(str(scripts))
    head = history.get_current_head()
    older = {script.revision for script in history.walk_revisions()} - {head}
    if found is None or found in older:
        text = f"the database schema {schema!r} is at revision {found or 'none'}, this release needs {head}"
        raise CannotStart(f"{text}; run the migrations first")


async def _revision(url: str, schema: str, role: str | None) -> str | None:
    """The revision; None if there is none, or none that may be read."""
    # The user first: before the migrations there is no role, and they make what lets it read.
    for reader in dict.fromkeys((None, role)):
        async with database_errors():
            connection = await connect(url, role=reader)
            try:
                return await _read_revision(connection, f'"{schema}".alembic_version')
            except asyncpg.InsufficientPrivilegeError as error:
                log.debug("revision not readable", extra={"role": reader, "causes": [repr(error)]})
            finally:
                await connection.close()
    return None


async def _read_revision(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> str | None:
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return None
    return str(await connection.fetchval(f"SELECT version_num FROM {table}"))  # noqa: S608  our own name


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
