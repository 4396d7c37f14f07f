"""The event feed: in commit order, nothing skipped, and nothing read twice for a key of few names."""

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from support.metadata import Metadata, create


async def feed(metadata: Metadata, prefix: str, cursor: str | None, limit: int = 100) -> wire.EventRecords:
    return await metadata.events.list(
        wire.ListEvents(tenant_id=DEFAULT_TENANT_ID, name_prefixes=[prefix], cursor=cursor, limit=limit)
    )


async def test_a_feed_of_few_names_passes_the_events_of_others_once_and_skips_none_of_its_own(
    metadata: Metadata,
) -> None:
    for n in range(5):
        await create(metadata, f"theirs/{n}")
    passed = await feed(metadata, "mine/", None)
    assert passed.items == []
    assert passed.next_cursor is not None, "the place is behind what was passed over"
    async with metadata.database.transaction() as connection:
        await connection.execute("SELECT pg_current_xact_id()")  # runs all the while: what follows is not shown yet
        await create(metadata, "mine/1")
        held_back = await feed(metadata, "mine/", passed.next_cursor)
        assert held_back.items == []
    await create(metadata, "mine/2")
    first = await feed(metadata, "mine/", held_back.next_cursor, limit=1)
    rest = await feed(metadata, "mine/", first.next_cursor)
    assert [event.object_name for event in (*first.items, *rest.items)] == ["mine/1", "mine/2"]
    assert (await feed(metadata, "mine/", rest.next_cursor)).items == []
