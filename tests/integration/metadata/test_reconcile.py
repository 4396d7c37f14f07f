"""What the rows say to a reconcile, and how far it has come."""

from collections.abc import Iterable
from typing import Protocol, get_args
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from draftstore_common.contracts.base import DEFAULT_TENANT_ID, BucketRole
from draftstore_common.contracts.metadata import CreateDraft, DraftRecord
from draftstore_common.contracts.reconcile import (
    AttributeKeys,
    Attribution,
    ListOwed,
    MoveCursor,
    OwedBytes,
    PassName,
)
from draftstore_common.kit.database import Database
from draftstore_common.kit.ids import uuid7
from draftstore_metadata.errors import ReconcileElsewhere
from draftstore_metadata.service import DraftService
from draftstore_metadata.store.reconcile import ReconcileStore


class Metadata(Protocol):
    database: Database
    drafts: DraftService


@pytest_asyncio.fixture(loop_scope="session")
async def reconcile(metadata: Metadata) -> ReconcileStore:
    return ReconcileStore(metadata.database)


async def draft(metadata: Metadata, state: str = "open", tenant: UUID = DEFAULT_TENANT_ID) -> DraftRecord:
    """A draft in a state without rules of its own."""
    made = await metadata.drafts.create(
        CreateDraft(
            actor="key:test",
            tenant_id=tenant,
            bucket="main",
            object_name="a",
            upload_type="put",
            draft_ttl=60,
            upload_ttl=60,
            max_lifetime=60,
        )
    )
    moved = """UPDATE metadata.drafts SET state = $2, size = 1, etag = 'e',
        lease_expires_at = CASE WHEN $2 IN ('confirming', 'prepared') THEN expires_at END WHERE id = $1"""
    await metadata.database.rows(moved, made.id, state)
    return made


async def object_row(metadata: Metadata, key: str) -> UUID:
    """An object whose bytes lie under a key."""
    object_id = uuid7()
    await metadata.database.rows(
        """INSERT INTO metadata.objects (id, tenant_id, bucket, object_name, storage_key, store_id, final_location,
               generation, size, etag, content_type, metadata, draft_id, confirmed_at)
           VALUES ($1, $2, 'main', $3, $3, 's', 'main/' || $3, 1, 5, 'e', 'text/plain', '{}', $1, now())""",
        object_id,
        uuid4(),
        key,
    )
    return object_id


async def key_row(metadata: Metadata, key: str, state: str) -> None:
    await metadata.database.rows(
        """INSERT INTO metadata.object_keys (id, storage_key, tenant_id, draft_id, source_etag, state, purge_due_at)
           VALUES ($1, $2, $1, $1, 'e', $3, CASE WHEN $3 = 'garbage' THEN now() END)""",
        uuid7(),
        key,
        state,
    )


async def asked(reconcile: ReconcileStore, role: BucketRole, keys: Iterable[str]) -> list[Attribution]:
    return (await reconcile.attribute(AttributeKeys(role=role, keys=list(keys)))).items


async def test_keys_of_drafts_are_attributed_whoever_they_belong_to(
    metadata: Metadata, reconcile: ReconcileStore
) -> None:
    ours, theirs = await draft(metadata), await draft(metadata, "purged", uuid4())
    stray = f"{uuid4()}/{ours.storage_key[-27:]}"
    said = await asked(reconcile, "draft", [theirs.storage_key, "other\0thing", stray, ours.storage_key, "x" * 1024])
    assert [item.draft_id for item in said] == [theirs.id, None, None, ours.id, None]
    assert [item.draft_state for item in said] == ["purged", None, None, "open", None]
    assert [item.own_shape for item in said] == [True, False, True, True, False]


@pytest.mark.parametrize("key", ["A" * 27, f"{uuid4()}/{'a' * 28}", f"{uuid4()}/{'a' * 26}-", f"x{uuid4()}/{'a' * 27}"])
async def test_a_key_that_only_resembles_ours_is_not_of_our_shape(reconcile: ReconcileStore, key: str) -> None:
    (found,) = await asked(reconcile, "draft", [key])
    assert not found.own_shape


async def test_keys_of_the_main_bucket_are_attributed_to_their_row_and_their_object(
    metadata: Metadata, reconcile: ReconcileStore
) -> None:
    for state in ("reserved", "published", "garbage", "deleted"):
        await key_row(metadata, f"{state}.txt", state)
    await object_row(metadata, "published.txt")
    await object_row(metadata, "no-key-row.txt")
    keys = ["reserved.txt", "published.txt", "garbage.txt", "deleted.txt", "no-key-row.txt", "unknown.txt"]
    said = await asked(reconcile, "main", keys)
    assert [item.key for item in said] == keys
    assert [item.key_state for item in said] == ["reserved", "published", "garbage", "deleted", None, None]
    assert [item.object_name for item in said] == [None, "published.txt", None, None, "no-key-row.txt", None]


async def owed(reconcile: ReconcileStore, role: BucketRole, limit: int) -> list[OwedBytes]:
    """Every page."""
    found: list[OwedBytes] = []
    while page := (
        await reconcile.list_owed(ListOwed(role=role, after=found[-1].id if found else None, limit=limit))
    ).items:
        assert len(page) <= limit
        found += page
    return found


async def test_every_object_is_owed_its_bytes_page_by_page(metadata: Metadata, reconcile: ReconcileStore) -> None:
    ids = [await object_row(metadata, f"{number}.txt") for number in range(5)]
    found = await owed(reconcile, "main", 2)
    assert [item.id for item in found] == ids
    assert (found[0].key, found[0].object_name, found[0].size, found[0].etag) == ("0.txt", "0.txt", 5, "e")


async def test_living_drafts_whose_bytes_were_seen_are_owed_them(metadata: Metadata, reconcile: ReconcileStore) -> None:
    waiting = [await draft(metadata, "uploaded") for _ in range(3)]
    overdue = await draft(metadata, "uploaded")
    await metadata.database.rows("UPDATE metadata.drafts SET expires_at = now() WHERE id = $1", overdue.id)
    for state in ("open", "expired", "discarded", "purging", "purged"):
        await draft(metadata, state)
    assert [item.id for item in await owed(reconcile, "draft", 1)] == [item.id for item in waiting]


async def test_a_cursor_moves_only_from_where_it_is(reconcile: ReconcileStore) -> None:
    assert (await reconcile.cursors()).items == []
    begun = (await reconcile.begin_round()).items
    assert {cursor.name for cursor in begun} == set(get_args(PassName))
    assert {(cursor.position, cursor.finished) for cursor in begun} == {("", False)}
    await reconcile.move_cursor(MoveCursor(name="objects", before="", after="a"))
    for before in ("", "b"):
        with pytest.raises(ReconcileElsewhere):
            await reconcile.move_cursor(MoveCursor(name="objects", before=before, after="c"))
    await reconcile.move_cursor(MoveCursor(name="objects", before="a", after="a", finished=True))
    with pytest.raises(ReconcileElsewhere):
        await reconcile.move_cursor(MoveCursor(name="objects", before="a", after="b"))
    (objects,) = [cursor for cursor in (await reconcile.cursors()).items if cursor.name == "objects"]
    assert (objects.position, objects.finished) == ("a", True)
    assert {cursor.position for cursor in (await reconcile.begin_round()).items} == {""}
