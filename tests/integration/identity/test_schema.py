"""The migrations make the schema that the statements are written for."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from draftstore_common.kit.database import engine
from draftstore_common.kit.errors import CannotStart
from draftstore_identity.schema import check_migrated, migrate
from draftstore_identity.tables import SCHEMA, metadata
from support.identity import Installation


def differences(connection: Connection) -> list[object]:
    """What a migration would have to change for the schema to be what `tables.py` says."""
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        "version_table_schema": SCHEMA,
        "compare_type": True,
        "compare_server_default": True,
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def test_the_migrated_schema_is_the_one_the_code_describes(postgres_url: str) -> None:
    await migrate(postgres_url)
    database = engine(postgres_url)
    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []
    await database.dispose()


async def test_every_check_of_the_code_is_in_the_schema(identity: Installation) -> None:
    query = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'identity'::regnamespace"
    described = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    assert {row["conname"] for row in await identity.sql(query)} == described


async def test_migrating_again_or_from_many_places_at_once_changes_nothing(postgres_url: str) -> None:
    await asyncio.gather(*(migrate(postgres_url) for _ in range(3)))
    await migrate(postgres_url)
    await check_migrated(postgres_url)


async def test_an_empty_database_is_not_migrated(postgres_url: str) -> None:
    with pytest.raises(CannotStart, match="revision none"):
        await check_migrated(postgres_url)


async def test_a_schema_of_a_newer_release_still_serves(identity: Installation) -> None:
    await identity.sql("UPDATE identity.alembic_version SET version_num = 'from the future'")
    try:
        await check_migrated(identity.database_url)
    finally:
        await identity.sql("UPDATE identity.alembic_version SET version_num = '0003'")
