"""Steps of different callers that leave in one statement: each has its own draft, its own claim and its own refusal."""

import asyncio
from itertools import product
from random import Random
from uuid import UUID, uuid4

import pytest

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.kit.errors import RelayedProblem
from support.metadata import PAST, Metadata, age, claim, confirmed, create, publish, reserve


async def test_drafts_of_different_tenants_that_are_made_together_are_each_ones_own(metadata: Metadata) -> None:
    tenants = [uuid4() for _ in range(3)]
    made = await asyncio.gather(
        *(create(metadata, f"together/{n}", tenants[n % 3], draft_ttl=100 + n, upload_ttl=60 + n) for n in range(60))
    )
    for n, draft in enumerate(made):
        assert (draft.object_name, draft.tenant_id, draft.ttl_left) == (f"together/{n}", tenants[n % 3], 100 + n)
        kept = await metadata.database.row("SELECT * FROM metadata.drafts WHERE id = $1", draft.id)
        assert kept is not None
        assert (kept["tenant_id"], kept["storage_key"]) == (draft.tenant_id, draft.storage_key)
        assert (kept["created_at"], kept["expires_at"]) == (draft.created_at, draft.expires_at)
        assert (kept["expires_at"] - kept["created_at"]).total_seconds() == 100 + n
        assert (kept["write_horizon_at"] - kept["created_at"]).total_seconds() == 60 + n + 15 * 60
    assert len(await metadata.database.rows("SELECT FROM metadata.events WHERE tenant_id = ANY($1)", tenants)) == 60


async def test_names_that_are_looked_up_together_are_each_answered_for_their_own_tenant_and_subject(
    metadata: Metadata,
) -> None:
    tenants, subjects = [uuid4(), uuid4(), DEFAULT_TENANT_ID], [None, "alice", "bob"]
    await confirmed(metadata, await create(metadata, "looked/1"))
    for number, (tenant, subject) in enumerate(product(tenants, subjects)):
        await create(metadata, f"looked/{number % 2}", tenant, subject=subject)
    queries = [
        wire.FindByName(tenant_id=tenant, bucket="main", object_name=f"looked/{number}", subject=subject)
        for tenant, subject, number in product(tenants, subjects, range(3))
    ]
    together = await asyncio.gather(*map(metadata.drafts.find, queries))
    alone = [await metadata.drafts.find(query) for query in queries]
    for query, found, same in zip(queries, together, alone, strict=True):
        assert [draft.id for draft in found.drafts] == [draft.id for draft in same.drafts]
        assert found.object == same.object
        assert all(draft.tenant_id == query.tenant_id for draft in found.drafts)
        assert all(draft.object_name == query.object_name for draft in found.drafts)
        assert all(draft.subject in {None, query.subject} for draft in found.drafts)
    assert {found.object is not None for found in together} == {True, False}
    assert any(found.drafts for found in together)


async def test_a_draft_the_database_refuses_is_refused_alone(metadata: Metadata) -> None:
    results = await asyncio.gather(
        *(create(metadata, f"alone/{n}", subject="\0" if n == 3 else None) for n in range(8)), return_exceptions=True
    )
    assert [isinstance(result, Exception) for result in results] == [n == 3 for n in range(8)]
    rows = await metadata.database.rows("SELECT FROM metadata.drafts WHERE object_name LIKE 'alone/%'")
    assert len(rows) == 7


async def test_of_many_who_claim_one_draft_together_one_has_it(metadata: Metadata) -> None:
    draft, others = await create(metadata, "claims/one"), [await create(metadata, f"claims/{n}") for n in range(4)]
    answers = await asyncio.gather(*(claim(metadata, each) for each in (draft, others[0], draft, *others[1:], draft)))
    outcomes = [answer.outcome for answer in answers]
    assert sorted(outcomes) == ["busy", "busy", *["claimed"] * 5]
    assert sum(answer.outcome == "claimed" and answer.draft.id == draft.id for answer in answers) == 1


async def test_of_many_who_publish_together_only_those_who_cannot_are_refused(metadata: Metadata) -> None:
    await confirmed(metadata, await create(metadata, "many/3"))
    drafts = [await create(metadata, f"many/{n}") for n in range(6)]
    claims = await asyncio.gather(*(claim(metadata, draft) for draft in drafts))
    keys = await asyncio.gather(*(reserve(metadata, each, on_conflict="replace") for each in claims))
    await age(metadata, drafts[5], lease_expires_at=PAST)
    await claim(metadata, drafts[5])  # by another attempt: the first one's fencing number is old
    results = await asyncio.gather(
        *(publish(metadata, each, key) for each, key in zip(claims, keys, strict=True)), return_exceptions=True
    )
    codes = {n: getattr(result, "code", None) for n, result in enumerate(results)}
    assert codes == {0: None, 1: None, 2: None, 3: "object_exists", 4: None, 5: "lease_lost"}


async def test_names_that_are_taken_are_refused_to_those_who_want_them(metadata: Metadata) -> None:
    await confirmed(metadata, await create(metadata, "names/1"))
    claims = [await claim(metadata, await create(metadata, f"names/{n}")) for n in range(3)]
    results = await asyncio.gather(*(reserve(metadata, each) for each in claims), return_exceptions=True)
    assert [results[0], results[2]] == ["names/0", "names/2"]
    assert isinstance(results[1], RelayedProblem)
    assert results[1].code == "object_exists"


async def test_of_two_who_publish_one_name_together_one_is_first_and_the_other_replaces_it(metadata: Metadata) -> None:
    claims = [await claim(metadata, await create(metadata, "same/name")) for _ in range(2)]
    keys = await asyncio.gather(*(reserve(metadata, each, on_conflict="replace") for each in claims))
    assert len(set(keys)) == 2
    receipts = await asyncio.gather(
        *(publish(metadata, each, key, "replace") for each, key in zip(claims, keys, strict=True))
    )
    (found,) = await metadata.database.rows("SELECT * FROM metadata.objects WHERE object_name = 'same/name'")
    assert found["generation"] == 2
    rows = await metadata.database.rows(
        "SELECT storage_key, state FROM metadata.object_keys WHERE storage_key = ANY($1)", keys
    )
    assert {row["storage_key"]: row["state"] for row in rows} == {
        key: "published" if key == found["storage_key"] else "garbage" for key in keys
    }
    assert found["final_location"] in {receipt.final_location for receipt in receipts}


async def test_of_two_who_publish_one_name_together_without_replacing_one_is_refused(metadata: Metadata) -> None:
    claims = [await claim(metadata, await create(metadata, "first/name")) for _ in range(2)]
    keys = await asyncio.gather(*(reserve(metadata, each) for each in claims))
    results = await asyncio.gather(
        *(publish(metadata, each, key) for each, key in zip(claims, keys, strict=True)), return_exceptions=True
    )
    assert sorted(getattr(result, "code", "published") for result in results) == ["object_exists", "published"]


@pytest.mark.parametrize(
    ("tenant", "bucket", "key"),
    [
        (DEFAULT_TENANT_ID, "main", "plain/a"),
        (DEFAULT_TENANT_ID, "other", f"tenants/{DEFAULT_TENANT_ID}/other/plain/a"),
        (uuid4(), "main", "tenants/{tenant}/main/plain/a"),
    ],
    ids=["main of the default tenant", "another bucket", "another tenant"],
)
async def test_the_default_tenants_main_lies_without_a_prefix_and_all_else_under_tenants(
    metadata: Metadata, tenant: object, bucket: str, key: str
) -> None:
    draft = await create(metadata, "plain/a", tenant=tenant, bucket=bucket)  # type: ignore[arg-type]  # a UUID
    assert await reserve(metadata, await claim(metadata, draft)) == key.format(tenant=tenant)


_AMISS = """
    SELECT k.storage_key, k.state FROM metadata.objects o FULL JOIN metadata.object_keys k USING (storage_key)
    WHERE (o.id IS NOT NULL) IS DISTINCT FROM (k.state = 'published')"""
"""Keys that are published without an object, and the other way round; in one statement, as others may be at work."""


@pytest.mark.parametrize("seed", range(3))
async def test_many_who_replace_few_names_together_leave_one_object_of_each(metadata: Metadata, seed: int) -> None:
    names = Random(seed).choices(["few/0", "few/1", "few/2"], k=12)  # noqa: S311
    before = await confirmed(metadata, await create(metadata, "few/0"))
    claims = [await claim(metadata, await create(metadata, name)) for name in names]
    keys = await asyncio.gather(*(reserve(metadata, each, on_conflict="replace") for each in claims))
    receipts = await asyncio.gather(
        *(publish(metadata, each, key, "replace") for each, key in zip(claims, keys, strict=True))
    )
    for each, key, receipt in zip(claims, keys, receipts, strict=True):
        assert (receipt.draft_id, receipt.final_location) == (each.draft.id, f"main/{key}")
        assert receipt.object_name == each.draft.object_name
    assert await metadata.database.rows(_AMISS) == []
    rows = await metadata.database.rows("SELECT object_name, generation FROM metadata.objects")
    wanted = {name: names.count(name) + (name == before.object_name) for name in {before.object_name, *names}}
    assert {row["object_name"]: row["generation"] for row in rows} == wanted
    replaced = await metadata.database.rows("SELECT FROM metadata.events WHERE type = 'object.replaced'")
    assert len(replaced) == sum(wanted.values()) - len(wanted)


async def test_callers_that_leave_at_any_moment_leave_whole_rows_and_nobody_waiting(metadata: Metadata) -> None:
    random, receipts = Random(1), dict[UUID, str]()  # noqa: S311

    async def carry_through(name: str) -> None:
        claimed = await claim(metadata, await create(metadata, name))
        key = await reserve(metadata, claimed, on_conflict="replace")
        receipts[claimed.draft.id] = (await publish(metadata, claimed, key, "replace")).final_location

    tasks = [asyncio.create_task(carry_through(f"storm/{number % 7}")) for number in range(100)]
    for task in random.sample(tasks, 50):
        asyncio.get_running_loop().call_later(random.random() * 0.3, task.cancel)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [end for end in ends if isinstance(end, Exception)] == []
    async with asyncio.timeout(5):
        await carry_through("storm/last")  # behind whatever those who left had begun
    assert await metadata.database.rows(_AMISS) == []
    for draft_id, location in receipts.items():
        row = await metadata.database.row("SELECT state, receipt FROM metadata.drafts WHERE id = $1", draft_id)
        assert row is not None
        assert (row["state"], row["receipt"]["final_location"]) == ("confirmed", location)
