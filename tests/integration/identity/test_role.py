"""The service works as a role that can add to the audit log and not alter it, whoever it logs in as."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.kit.database import connect, engine, ensure_role
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.ids import random_base62
from draftstore_identity.app import prepared_store
from draftstore_identity.schema import check_migrated, migrate
from draftstore_identity.tables import SERVICE_ROLE
from support.identity import Installation, Revealed, installed, settings, started

AUDIT_ROW = (
    "INSERT INTO identity.audit (id, category, action, outcome, actor, request_id)"
    " VALUES ('01890000-0000-7000-8000-000000000001', 'admin', 'key.created', 'allowed', 'operator', 'a-request')"
)


@pytest_asyncio.fixture(loop_scope="session")
async def login(postgres_url: str) -> AsyncIterator[str]:
    """A user who may do nothing but log in: its name, with which `as_user` makes a URL."""
    name = f"user_{random_base62(8).lower()}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    yield name
    await admin.execute(f"DROP OWNED BY {name} CASCADE")
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


def as_user(url: str, name: str) -> str:
    """The URL of the same database for another user."""
    return f"postgresql://{name}:secret@{url.rpartition('@')[2]}"


async def run(url: str, *statements: str) -> None:
    """Run statements as whoever the URL logs in as."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity.audit SET actor = 'nobody'",
        "DELETE FROM identity.audit",
        "TRUNCATE identity.audit",
        "DROP TABLE identity.audit",
        "ALTER TABLE identity.audit DISABLE TRIGGER ALL",
        "CREATE TABLE identity.another (id int)",
    ],
)
async def test_the_services_connection_cannot_alter_the_audit_log(identity: Installation, statement: str) -> None:
    database = engine(identity.database_url, size=1, role=SERVICE_ROLE)
    try:
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            async with database.begin() as connection:
                await connection.execute(text(statement))
    finally:
        await database.dispose()


async def test_every_connection_of_a_running_service_works_as_the_role(identity: Installation) -> None:
    await identity.verify(identity.data_key)
    store = identity.app.state.context.store
    async with store._engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_user")) == SERVICE_ROLE
        await connection.execute(text(AUDIT_ROW))
        assert await connection.scalar(text("SELECT count(*) FROM identity.audit WHERE actor = 'operator'")) == 1
        await connection.rollback()


@pytest.mark.parametrize("inherits", ["", " NOINHERIT"])
async def test_a_user_that_owns_nothing_and_is_only_a_member_of_the_role_runs_the_service(
    postgres_url: str, login: str, inherits: str
) -> None:
    await migrate(postgres_url)
    await run(postgres_url, f"GRANT {SERVICE_ROLE} TO {login}", f"ALTER ROLE {login} {inherits or 'INHERIT'}")
    async with started(as_user(postgres_url, login)) as identity:
        key = await identity.issue()
        assert (await identity.verify(key.key)).principal.key_id == key.id


async def test_a_user_that_may_not_work_as_the_role_stops_the_start_and_learns_what_to_run(
    postgres_url: str, login: str
) -> None:
    await migrate(postgres_url)
    with pytest.raises(CannotStart, match=f'GRANT "{SERVICE_ROLE}" TO "{login}"'):
        async with prepared_store(settings(as_user(postgres_url, login)), Revealed()):
            pass


async def test_a_schema_nobody_of_ours_may_read_is_not_migrated(postgres_url: str, login: str) -> None:
    await migrate(postgres_url)
    await run(
        postgres_url,
        f"GRANT {SERVICE_ROLE} TO {login}",
        f"REVOKE SELECT ON identity.alembic_version FROM {SERVICE_ROLE}",  # noqa: S608  our own names
    )
    with pytest.raises(CannotStart, match="run the migrations first"):
        await check_migrated(as_user(postgres_url, login))


async def test_a_user_that_may_make_no_roles_migrates_where_the_role_is_granted_to_it(
    postgres_url: str, login: str
) -> None:
    await migrate(postgres_url)  # the role exists, as where an administrator made it
    await run(
        postgres_url, "DROP SCHEMA identity CASCADE", f"GRANT CREATE ON DATABASE {_name(postgres_url)} TO {login}"
    )
    with pytest.raises(CannotStart, match=f'CREATE ROLE "{SERVICE_ROLE}" NOLOGIN; GRANT "{SERVICE_ROLE}" TO "{login}"'):
        await migrate(as_user(postgres_url, login))
    await run(postgres_url, f"GRANT {SERVICE_ROLE} TO {login}")
    async with installed(as_user(postgres_url, login)) as identity:
        assert (await identity.verify(identity.data_key)).principal.tenant_id == DEFAULT_TENANT_ID


def _name(url: str) -> str:
    return url.rpartition("/")[2]


async def test_a_role_that_is_missing_is_made_by_who_may_and_asked_for_by_who_may_not(
    postgres_url: str, login: str
) -> None:
    role = f"{login}_role"
    with pytest.raises(CannotStart, match=f'CREATE ROLE "{role}" NOLOGIN; GRANT "{role}" TO "{login}"'):
        await _ensure(as_user(postgres_url, login), role)
    await run(postgres_url, f"ALTER ROLE {login} CREATEROLE")
    await _ensure(as_user(postgres_url, login), role)
    await _ensure(as_user(postgres_url, login), role)
    await (await connect(as_user(postgres_url, login), role=role)).close()
    await run(postgres_url, f"DROP ROLE {role}")


async def _ensure(url: str, role: str) -> None:
    database = engine(url, size=1)
    try:
        async with database.begin() as connection:
            await connection.run_sync(ensure_role, role)
    finally:
        await database.dispose()
