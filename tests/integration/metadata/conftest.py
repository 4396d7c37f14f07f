"""metadata-service's stores on a freshly migrated database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from draftstore_common.kit.database import Database
from draftstore_metadata.schema import migrate
from draftstore_metadata.service import DraftService, ObjectService
from draftstore_metadata.store.confirm import ConfirmStore
from draftstore_metadata.store.drafts import DraftStore
from draftstore_metadata.store.due import DueStore
from draftstore_metadata.store.objects import ObjectStore


@dataclass(frozen=True)
class Metadata:
    """The services under test and the database beneath, for moving rows in time."""

    database: Database
    drafts: DraftService
    confirms: ConfirmStore
    objects: ObjectService
    due: DueStore


@pytest_asyncio.fixture(loop_scope="session")
async def metadata(postgres_url: str) -> AsyncIterator[Metadata]:
    await migrate(postgres_url)
    async with Database(postgres_url) as database:
        confirms = ConfirmStore(database)
        yield Metadata(
            database=database,
            drafts=DraftService(DraftStore(database), confirms),
            confirms=confirms,
            objects=ObjectService(ObjectStore(database)),
            due=DueStore(database),
        )
