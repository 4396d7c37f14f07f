"""What the rows promise: one way through the states, one receipt, nothing due forgotten."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import create_async_engine

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.drafts import OnConflict
from draftstore_common.kit.database import Database, DatabaseUnavailable
from draftstore_common.kit.errors import Problem
from draftstore_metadata.schema import migrate
from draftstore_metadata.tables import Xid8
from draftstore_metadata.tables import metadata as schema
from draftstore_standalone.servers import PostgresServer
from support.metadata import (
    ACTOR,
    PAST,
    Metadata,
    age,
    claim,
    confirmed,
    create,
    publish,
    ref,
    release,
    reserve,
    tend,
)


async def test_the_migrated_schema_is_the_one_the_code_describes(postgres_url: str) -> None:
    await migrate(postgres_url)
    ischema_names["xid8"] = Xid8  # SQLAlchemy does not know the type by itself
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))

    def differences(connection: Connection) -> list[Any]:
        options = {"include_schemas": True, "compare_type": True, "include_name": _ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def _ours(name: str | None, kind: str, parents: dict[str, Any]) -> bool:
    if kind == "schema":
        return name == "metadata"
    return not (kind == "table" and name == "alembic_version" and parents.get("schema_name") == "metadata")


async def test_many_migrations_at_once_leave_one_schema(postgres_url: str) -> None:
    await asyncio.gather(*(migrate(postgres_url) for _ in range(4)))
    await migrate(postgres_url)


async def test_a_new_draft_is_open_with_a_random_key_and_a_horizon(metadata: Metadata) -> None:
    draft = await create(metadata, upload_ttl=600)
    assert draft.state == "open"
    assert draft.url_ttl == 600
    assert draft.storage_key.startswith(f"{DEFAULT_TENANT_ID}/")
    assert "a.jpg" not in draft.storage_key
    row = await metadata.database.row("SELECT write_horizon_at - created_at AS slack FROM metadata.drafts")
    assert row is not None
    assert row["slack"] == timedelta(seconds=600, minutes=15)


async def test_a_url_never_outlives_its_draft(metadata: Metadata) -> None:
    draft = await create(metadata, draft_ttl=60, upload_ttl=600)
    assert draft.url_ttl == 60
    again = await metadata.drafts.allow_url(wire.AllowUrl(**ref(draft), upload_ttl=600))
    assert 55 <= again.url_ttl <= 60


async def test_confirm_publishes_once_and_every_repeat_answers_the_same_receipt(metadata: Metadata) -> None:
    draft = await create(metadata)
    receipt = await confirmed(metadata, draft)
    assert receipt.final_location == "main/a.jpg"
    again = await claim(metadata, draft)
    assert (again.outcome, again.receipt) == ("confirmed", receipt)


async def test_of_many_claims_at_once_one_wins(metadata: Metadata) -> None:
    draft = await create(metadata)
    claims = await asyncio.gather(*(claim(metadata, draft) for _ in range(30)))
    assert sorted(c.outcome for c in claims) == ["busy"] * 29 + ["claimed"]


async def test_a_stale_holder_cannot_publish(metadata: Metadata) -> None:
    draft = await create(metadata)
    stale = await claim(metadata, draft)
    key = await reserve(metadata, stale)
    await age(metadata, draft, lease_expires_at=PAST)
    fresh = await claim(metadata, draft)
    assert fresh.outcome == "claimed"
    assert fresh.draft.fence > stale.draft.fence
    with pytest.raises(Problem) as refused:
        await publish(metadata, stale, key)
    assert refused.value.code == "lease_lost"
    assert (await publish(metadata, fresh, await reserve(metadata, fresh))).final_location == "main/a.jpg"


async def test_the_next_attempt_of_the_same_bytes_writes_the_same_key_and_of_other_bytes_another(
    metadata: Metadata,
) -> None:
    draft = await create(metadata)
    first = await claim(metadata, draft)
    assert await reserve(metadata, first, etag="e1") == "a.jpg"
    await age(metadata, draft, lease_expires_at=PAST)
    second = await claim(metadata, draft)
    assert await reserve(metadata, second, etag="e1") == "a.jpg"
    await age(metadata, draft, lease_expires_at=PAST)
    third = await claim(metadata, draft)
    other = await reserve(metadata, third, etag="e2")
    assert other.startswith("a.jpg~")
    rows = await metadata.database.rows("SELECT storage_key, state FROM metadata.object_keys ORDER BY storage_key")
    assert [(r["storage_key"], r["state"]) for r in rows] == [("a.jpg", "garbage"), (other, "reserved")]


async def test_replacing_keeps_the_old_bytes_for_urls_already_given_out(metadata: Metadata) -> None:
    first = await confirmed(metadata, await create(metadata))
    second = await confirmed(metadata, await create(metadata), on_conflict="replace")
    assert second.final_location.startswith("main/a.jpg~")
    batch = await metadata.due.claim(wire.ClaimDue())
    assert batch.items == []
    await metadata.database.rows("UPDATE metadata.object_keys SET purge_due_at = now() WHERE purge_due_at IS NOT NULL")
    batch = await metadata.due.claim(wire.ClaimDue())
    assert [(item.kind, item.storage_key, item.final) for item in batch.items] == [("object_key", "a.jpg", False)]
    name = wire.NameRef(tenant_id=DEFAULT_TENANT_ID, bucket="main", object_name="a.jpg")
    found = await metadata.objects.get(name)
    assert (found.generation, found.final_location) == (2, second.final_location)
    assert first.final_location == "main/a.jpg"


async def test_a_taken_name_is_refused_where_replacing_was_not_asked(metadata: Metadata) -> None:
    await confirmed(metadata, await create(metadata))
    draft = await create(metadata)
    claimed = await claim(metadata, draft)
    with pytest.raises(Problem) as refused:
        await reserve(metadata, claimed)
    assert refused.value.code == "object_exists"


async def test_of_many_publishes_of_one_name_exactly_one_wins_with_fail_and_all_with_replace(
    metadata: Metadata,
) -> None:
    async def attempt(on_conflict: OnConflict) -> str:
        try:
            await confirmed(metadata, await create(metadata), on_conflict)
        except Problem as problem:
            return problem.code
        return "confirmed"

    outcomes = await asyncio.gather(*(attempt("fail") for _ in range(12)))
    assert sorted(outcomes) == ["confirmed"] + ["object_exists"] * 11
    assert set(await asyncio.gather(*(attempt("replace") for _ in range(12)))) == {"confirmed"}
    row = await metadata.database.row("SELECT count(*) AS n, max(generation) AS generation FROM metadata.objects")
    assert row is not None
    assert (row["n"], row["generation"]) == (1, 13)


async def test_an_overdue_draft_is_expired_for_callers_before_any_cleaner_ran(metadata: Metadata) -> None:
    draft = await create(metadata)
    await age(metadata, draft, expires_at=PAST, purge_due_at=PAST)
    assert (await metadata.drafts.get(wire.DraftRef(**ref(draft)))).state == "expired"
    for act in (claim(metadata, draft), metadata.drafts.allow_url(wire.AllowUrl(**ref(draft), upload_ttl=60))):
        with pytest.raises(Problem) as refused:
            await act
        assert (refused.value.http_status, refused.value.code) == (410, "draft_expired")


async def test_cleaning_removes_the_bytes_twice_and_then_forgets(metadata: Metadata) -> None:
    draft = await create(metadata)
    await age(metadata, draft, expires_at=PAST, purge_due_at=PAST)
    assert (await tend(metadata)).expired == 1
    batch = await metadata.due.claim(wire.ClaimDue())
    assert [(i.id, i.role, i.state, i.final) for i in batch.items] == [(draft.id, "draft", "purging", False)]
    assert (await metadata.due.claim(wire.ClaimDue())).items == [], "leased"
    assert await report(metadata, batch) == 1
    await age(metadata, draft, write_horizon_at=PAST, purge_due_at=PAST)
    batch = await metadata.due.claim(wire.ClaimDue())
    assert [(i.state, i.final) for i in batch.items] == [("purged", True)]
    await report(metadata, batch)
    row = await metadata.database.row("SELECT state, purge_due_at FROM metadata.drafts")
    assert row is not None
    assert (row["state"], row["purge_due_at"]) == ("purged", None)
    events = await metadata.database.rows("SELECT type FROM metadata.events ORDER BY id")
    assert [e["type"] for e in events] == ["draft.open", "draft.expired", "draft.purging", "draft.purged"]


async def report(metadata: Metadata, batch: wire.DueBatch) -> int:
    items = [wire.PurgedItem(kind=i.kind, id=i.id, final=i.final) for i in batch.items]
    return await metadata.due.report(wire.ReportPurged(items=items))


async def test_a_cleaner_that_died_gives_its_batch_back_by_doing_nothing(metadata: Metadata) -> None:
    draft = await create(metadata)
    await age(metadata, draft, expires_at=PAST, purge_due_at=PAST)
    await tend(metadata)
    assert len((await metadata.due.claim(wire.ClaimDue())).items) == 1
    await age(metadata, draft, purge_due_at=PAST)
    assert [i.state for i in (await metadata.due.claim(wire.ClaimDue())).items] == ["purging"]


async def test_two_cleaners_at_once_share_the_work(metadata: Metadata) -> None:
    for number in range(40):
        draft = await create(metadata, name=f"{number}")
        await age(metadata, draft, expires_at=PAST, purge_due_at=PAST)
    tended = await asyncio.gather(*(tend(metadata) for _ in range(4)))
    assert sum(each.expired for each in tended) == 40
    batches = await asyncio.gather(*(metadata.due.claim(wire.ClaimDue(limit=10)) for _ in range(4)))
    ids = [item.id for batch in batches for item in batch.items]
    assert len(ids) == len(set(ids))
    rest = await metadata.due.claim(wire.ClaimDue(limit=1000))
    assert len(ids) + len(rest.items) == 40


async def test_a_dead_attempt_is_given_back_with_time_to_live(metadata: Metadata) -> None:
    draft = await create(metadata)
    await claim(metadata, draft)
    await age(metadata, draft, expires_at=PAST, lease_expires_at=PAST, purge_due_at=PAST)
    assert (await tend(metadata)).recovered == 1
    assert (await metadata.due.claim(wire.ClaimDue())).items == []
    back = await metadata.drafts.get(wire.DraftRef(**ref(draft)))
    assert (back.state, back.ttl_left > 590) == ("open", True), "nobody has seen bytes yet"


async def test_a_live_attempt_is_left_alone_by_cleaning(metadata: Metadata) -> None:
    draft = await create(metadata)
    claimed = await claim(metadata, draft)
    await age(metadata, draft, expires_at=PAST)
    assert (await tend(metadata)).taken == 0
    assert (await metadata.due.claim(wire.ClaimDue())).items == []
    key = await reserve(metadata, claimed)
    assert (await publish(metadata, claimed, key)).draft_id == draft.id


async def test_a_discarded_draft_says_so_and_a_repeat_is_harmless(metadata: Metadata) -> None:
    draft = await create(metadata)
    discard = wire.DiscardDraft(**ref(draft), actor=ACTOR)
    for _ in range(2):
        assert (await metadata.drafts.discard(discard)).state == "discarded"
    batch = await metadata.due.claim(wire.ClaimDue())
    await report(metadata, batch)
    assert (await metadata.drafts.discard(discard)).state == "purged"
    with pytest.raises(Problem) as refused:
        await claim(metadata, draft)
    assert refused.value.code == "draft_discarded"


async def test_a_confirmed_draft_cannot_be_discarded(metadata: Metadata) -> None:
    draft = await create(metadata)
    await confirmed(metadata, draft)
    with pytest.raises(Problem) as refused:
        await metadata.drafts.discard(wire.DiscardDraft(**ref(draft), actor=ACTOR))
    assert refused.value.code == "draft_state_conflict"


async def test_a_foreign_draft_looks_like_a_missing_one(metadata: Metadata) -> None:
    draft = await create(metadata)
    for stranger in (
        wire.DraftRef(tenant_id=uuid4(), draft_id=draft.id),
        wire.DraftRef(tenant_id=DEFAULT_TENANT_ID, draft_id=uuid4()),
    ):
        with pytest.raises(Problem) as refused:
            await metadata.drafts.get(stranger)
        assert (refused.value.http_status, refused.value.code) == (404, "draft_not_found")


async def test_a_claim_lost_to_an_outage_leaves_time_to_confirm_again(metadata: Metadata) -> None:
    for outage, then in ((True, "uploaded"), (False, "expired")):
        draft = await create(metadata)
        claimed = await claim(metadata, draft)
        await age(metadata, draft, expires_at=PAST)
        await release(metadata, claimed.draft, outage=outage, size=3, etag="e1")
        assert (await metadata.drafts.get(wire.DraftRef(**ref(draft)))).state == then


async def test_claims_that_race_with_releases_never_see_a_conflict(metadata: Metadata) -> None:
    draft = await create(metadata)

    async def claim_and_release() -> str:
        claimed = await claim(metadata, draft)
        if claimed.outcome == "claimed":
            await release(metadata, claimed.draft)
        return claimed.outcome

    outcomes = await asyncio.gather(*(claim_and_release() for _ in range(200)))
    assert set(outcomes) <= {"claimed", "busy"}


async def find(metadata: Metadata, subject: str | None = None) -> wire.NameRecord:
    query = {"tenant_id": DEFAULT_TENANT_ID, "bucket": "main", "object_name": "a.jpg", "subject": subject}
    return await metadata.drafts.find(wire.FindByName(**query))


async def test_a_name_means_the_newest_draft_with_bytes_and_the_open_ones_after_it(metadata: Metadata) -> None:
    drafts = [await create(metadata) for _ in range(4)]
    for known in drafts[:2]:
        await metadata.drafts.record_uploaded(wire.RecordUploaded(**ref(known), actor=ACTOR, size=1, etag="e"))
    found = await find(metadata)
    assert [draft.id for draft in found.drafts] == [draft.id for draft in reversed(drafts[1:])]
    assert not found.more_drafts


async def test_an_uploaded_draft_is_not_lost_behind_many_open_ones(metadata: Metadata) -> None:
    uploaded = await create(metadata)
    await metadata.drafts.record_uploaded(wire.RecordUploaded(**ref(uploaded), actor=ACTOR, size=1, etag="e"))
    for _ in range(120):
        await create(metadata)
    assert (await find(metadata)).more_drafts, "the name alone does not say which is meant"


async def test_a_name_never_means_another_subjects_draft_or_receipt(metadata: Metadata) -> None:
    draft = await create(metadata, subject="alice")
    assert (await find(metadata, "bob")).drafts == []
    assert [found.id for found in (await find(metadata, "alice")).drafts] == [draft.id]
    claimed = await claim(metadata, draft, subject="alice")
    await publish(metadata, claimed, await reserve(metadata, claimed))
    assert [(await find(metadata, who)).subject_matches for who in ("alice", "bob", None)] == [True, False, False]


async def test_expired_drafts_wait_out_the_grace(metadata: Metadata) -> None:
    kept = Metadata.over(metadata.database, restore_grace=3600)
    draft = await create(metadata)
    await age(metadata, draft, expires_at=PAST, purge_due_at=PAST)
    assert (await tend(kept)).expired == 1
    assert (await tend(kept)).taken == 0
    assert (await kept.due.claim(wire.ClaimDue())).items == []
    await age(metadata, draft, purge_due_at=PAST)
    assert [item.state for item in (await metadata.due.claim(wire.ClaimDue())).items] == ["purging"]


async def test_another_subject_sees_no_such_draft(metadata: Metadata) -> None:
    draft = await create(metadata, subject="alice")
    for subject in (None, "bob"):
        with pytest.raises(Problem) as refused:
            await claim(metadata, draft, subject=subject)
        assert refused.value.code == "draft_not_found"
    assert (await claim(metadata, draft, subject="alice")).outcome == "claimed"
    anyones = await create(metadata, name="anyones")
    assert (await claim(metadata, anyones, subject="bob")).outcome == "claimed"


async def test_a_released_claim_may_be_confirmed_again(metadata: Metadata) -> None:
    draft = await create(metadata)
    claimed = await claim(metadata, draft)
    for _ in range(2):
        await release(metadata, claimed.draft, size=3, etag="e1")
    assert (await metadata.drafts.get(wire.DraftRef(**ref(draft)))).state == "uploaded"
    assert (await confirmed(metadata, draft)).final_location == "main/a.jpg"


async def test_deleting_an_object_frees_its_name_and_never_its_key(metadata: Metadata) -> None:
    await confirmed(metadata, await create(metadata))
    name = {"tenant_id": DEFAULT_TENANT_ID, "bucket": "main", "object_name": "a.jpg"}
    for _ in range(2):
        await metadata.objects.delete(wire.DeleteObject(**name, actor=ACTOR, url_grace=0))
    with pytest.raises(Problem) as gone:
        await metadata.objects.get(wire.NameRef(**name))
    assert gone.value.code == "object_not_found"
    again = await confirmed(metadata, await create(metadata))
    assert again.final_location.startswith("main/a.jpg~")


async def test_another_tenants_objects_lie_under_its_own_prefix(metadata: Metadata) -> None:
    tenant = uuid4()
    receipt = await confirmed(metadata, await create(metadata, tenant=tenant))
    assert receipt.final_location == f"main/tenants/{tenant}/main/a.jpg"


async def test_lists_neither_skip_nor_double(metadata: Metadata) -> None:
    drafts = [await create(metadata, name=f"n{number:02}") for number in range(7)]
    for draft in drafts:
        await confirmed(metadata, draft)
    seen: list[str] = []
    cursor = None
    while True:
        query = wire.ListDrafts(tenant_id=DEFAULT_TENANT_ID, limit=3, cursor=cursor)
        page = await metadata.drafts.list(query)
        seen += [item.object_name for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"n{number:02}" for number in reversed(range(7))]
    objects: list[str] = []
    while True:
        listing = wire.ListObjects(tenant_id=DEFAULT_TENANT_ID, bucket="main", prefix="n0", limit=3, cursor=cursor)
        found = await metadata.objects.list(listing)
        objects += [item.object_name for item in found.items]
        cursor = found.next_cursor
        if cursor is None:
            break
    assert objects == [f"n{number:02}" for number in range(7)]


async def test_the_plan_counts_what_is_due_and_changes_nothing(metadata: Metadata) -> None:
    draft = await create(metadata, size=1000)
    await age(metadata, draft, expires_at=PAST, purge_due_at=PAST)
    await create(metadata, name="living")
    for _ in range(2):
        plan = await metadata.due.plan()
        assert (plan.expired_drafts, plan.bytes, plan.leftovers, plan.object_keys) == (1, 1000, 0, 0)


async def test_a_lost_database_is_said_to_be_away(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server, Database(server.url) as database:
        await server.kill()
        with pytest.raises(DatabaseUnavailable):
            await _check_for_ever(database)
        await server.start()
        await database.check()


async def _check_for_ever(database: Database) -> None:
    async with asyncio.timeout(30):
        while True:  # a backend may outlive its killed postmaster for a moment
            await database.check()


async def test_a_large_copys_key_is_deleted_again_only_when_no_copy_of_it_can_land_any_more(
    metadata: Metadata,
) -> None:
    draft = await create(metadata)
    claimed = await claim(metadata, draft)
    await reserve(metadata, claimed)
    await metadata.database.rows(
        "UPDATE metadata.object_keys SET size = $1, state = 'garbage', purge_due_at = now()", 100 * 1024**3
    )
    await report(metadata, await metadata.due.claim(wire.ClaimDue()))
    row = await metadata.database.row("SELECT purge_due_at - now() AS again FROM metadata.object_keys")
    assert row is not None
    at_five_mebibytes_a_second = timedelta(seconds=100 * 1024 / 5)
    assert row["again"] > at_five_mebibytes_a_second
