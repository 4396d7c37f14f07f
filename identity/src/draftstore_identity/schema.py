"""Brings the schema `identity` to the revision this release needs, and says whether it is there."""

from pathlib import Path

from draftstore_common.kit import database
from draftstore_identity.tables import MIGRATION_LOCK, SCHEMA, SERVICE_ROLE

MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(database_url: str) -> None:
    """Run what is missing of the migrations. Safe to repeat, and from many places at once."""
    await database.migrate(database_url, schema=SCHEMA, scripts=MIGRATIONS, lock=MIGRATION_LOCK)


async def check_migrated(database_url: str) -> None:
    """Raise `CannotStart` if migrations are missing."""
    await database.check_migrated(database_url, schema=SCHEMA, scripts=MIGRATIONS, role=SERVICE_ROLE)
