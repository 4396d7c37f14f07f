"""A process dies, or stalls, before or after each call it makes for a draft. Another one then does what was asked."""

import pytest

from draftstore_cleaner.service import Cleaner
from draftstore_common.kit.errors import Problem
from support.installation import LEASE, Installation, Site
from support.lives import WHENS, Life, Point, When, lives_that_die, lives_that_freeze, stalled, walked_through
from support.promises import Draft, confirmed_once, ended, nothing_is_left_but_objects

BEFORE_COPY = Point(1, "before", "/objects/copy")

STEPS_OF_A_CONFIRM = ("/claim", "/head", "/reserve-keys", "/copy", "/publish", "/objects/delete")


@pytest.mark.parametrize("when", WHENS)
async def test_a_draft_whose_confirm_died_anywhere_is_confirmed_once_by_another(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        name = f"died/confirm-{when}-{len(drafts)}.bin"
        draft = await whole.upload(name, name.encode())
        async with whole.process(life) as mortal:
            lost = await mortal.confirm(draft)
        await whole.pass_time([draft], LEASE)
        await confirmed_once(whole, draft, name.encode(), lost)
        drafts.append(draft)
    assert walked_through(walked, STEPS_OF_A_CONFIRM)
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("when", WHENS)
async def test_a_draft_whose_discard_died_anywhere_is_gone_once_it_is_asked_for_again(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        draft = await whole.upload(f"died/discard-{when}-{len(drafts)}.bin", b"unwanted")
        async with whole.process(life) as mortal:
            await mortal.ask("DELETE", f"/drafts/{draft['id']}")
        await whole.door.get("DELETE", f"/drafts/{draft['id']}", status=204)
        assert (await whole.door.confirm(draft)).status == 410
        drafts.append(draft)
    assert walked_through(walked, ("/discard", "/objects/delete"))
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)
    for discarded in drafts:
        await ended(whole, discarded, "purged")


@pytest.mark.parametrize("when", WHENS)
async def test_a_create_that_died_anywhere_leaves_nothing_for_ever(whole: Installation, when: When) -> None:
    walked, prefix = list[str](), f"died/create-{when}"
    for life in lives_that_die(when, walked):
        async with whole.process(life) as mortal:
            await mortal.ask("POST", "/drafts", {"object_name": f"{prefix}-{len(walked)}.bin"})
    assert walked_through(walked, ("/drafts/create", "/presign/put"))
    rows = await whole.database.rows(
        "SELECT id::text, object_name FROM metadata.drafts WHERE object_name LIKE $1 || '%'", prefix
    )
    drafts = [dict(row) for row in rows]
    assert len(drafts) == len({draft["object_name"] for draft in drafts}) > 1
    await whole.pass_time(drafts, 24 * 3600)
    await whole.clean_up_after(drafts)
    for draft in drafts:
        await ended(whole, draft, "purged")


@pytest.mark.parametrize("when", WHENS)
async def test_a_cleaner_that_died_anywhere_loses_nothing(whole: Installation, when: When) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        name = f"died/clean-{when}-{len(walked)}"
        overdue, replaced = await whole.upload(f"{name}-a.bin", b"overdue"), await whole.upload(f"{name}-b.bin", b"old")
        newer = await whole.upload(f"{name}-b.bin", b"newer")
        for one in (replaced, newer):
            assert (await whole.door.confirm(one, on_conflict="replace")).status == 200
        await whole.pass_time([overdue], 24 * 3600)
        await whole.pass_time([replaced, newer], 2 * 3600)
        async with whole.another_cleaner(life) as mortal:
            await _run_until_death(mortal, life)
        drafts += [overdue, replaced, newer]
    assert walked_through(walked, ("/plan", "/claim", "/objects/delete", "/report"))
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)
    for kept in drafts[2::3]:
        await confirmed_once(whole, kept, b"newer")


async def _run_until_death(cleaner: Cleaner, life: Life) -> None:
    """Run a cleaner, which fails when it dies; a failure without a death is one."""
    try:
        await cleaner.run()
    except Problem:
        if not life.reached.is_set():
            raise


@pytest.mark.parametrize("when", WHENS)
async def test_a_process_that_stalled_anywhere_in_a_confirm_and_wakes_up_late_harms_nothing(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_freeze(when, walked):
        name = f"stalled/{when}-{len(drafts)}.bin"
        draft = await whole.upload(name, name.encode())
        async with whole.process(life) as stale:
            asked = await stalled(life, stale.confirm(draft))
            await whole.pass_time([draft], LEASE)
            receipt = await confirmed_once(whole, draft, name.encode())
            life.thaw()
            assert await confirmed_once(whole, draft, name.encode(), await asked) == receipt
        drafts.append(draft)
    assert walked_through(walked, STEPS_OF_A_CONFIRM)
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


async def test_the_late_copy_of_a_stale_attempt_writes_only_what_is_already_there(whole: Installation) -> None:
    stale_life, other_life = Life(freezes=BEFORE_COPY), Life(dies=Point(1, "before", "/objects/delete"))
    draft = await whole.upload("late/same.png", b"the same bytes")
    async with whole.process(stale_life) as stale, whole.process(other_life) as other:
        asked = await stalled(stale_life, stale.confirm(draft))
        await whole.pass_time([draft], LEASE)
        published = await other.confirm(draft)
        assert other_life.dead
        await whole.put(draft, b"the same bytes", **{"content-type": "text/html"})
        stale_life.thaw()
        await confirmed_once(whole, draft, b"the same bytes", published, await asked)
    assert stale_life.number_of("/copy") == other_life.number_of("/copy") == 1
    found = await whole.store.head(whole.main, "late/same.png")
    assert found is not None
    assert (found.content_type, found.metadata) == ("image/png", {})
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


async def test_the_late_copy_of_other_bytes_lands_where_nobody_looks_and_is_removed(whole: Installation) -> None:
    life = Life(freezes=BEFORE_COPY)
    draft = await whole.upload("late/other.bin", b"first bytes")
    async with whole.process(life) as stale:
        asked = await stalled(life, stale.confirm(draft))
        await whole.pass_time([draft], LEASE)
        await whole.put(draft, b"second bytes, which are confirmed")
        receipt = await confirmed_once(whole, draft, b"second bytes, which are confirmed")
        first_key = (await whole.keys_of(draft))[0]["storage_key"]
        await whole.cleaner.run()  # deletes the key of the first bytes, where nothing is yet
        await whole.put(draft, b"first bytes")
        life.thaw()
        assert await confirmed_once(whole, draft, b"second bytes, which are confirmed", await asked) == receipt
    assert await whole.store.read(whole.main, first_key) == b"first bytes"
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


async def test_a_repeat_that_meets_a_dead_attempt_is_told_to_wait_for_its_lease(whole: Installation) -> None:
    life = Life(dies=BEFORE_COPY)
    draft = await whole.upload("died/pending.bin", b"pending")
    async with whole.process(life) as mortal, whole.process(Life(), confirm_wait=0) as hasty:
        await mortal.confirm(draft)
        pending = await hasty.confirm(draft)
        assert (pending.status, int(pending.headers["retry-after"]) > 0) == (202, True)
        await whole.pass_time([draft], LEASE)
        await confirmed_once(whole, draft, b"pending", await hasty.confirm(draft))


async def test_a_new_suite_on_the_same_rows_and_bytes_goes_on_where_a_dead_one_stopped(ground: Site) -> None:
    life = Life(dies=BEFORE_COPY)
    async with ground.running() as before:
        draft = await before.upload("died/whole.bin", b"all of it")
        async with before.process(life) as mortal:
            await mortal.confirm(draft)
    async with ground.running() as after:
        await after.pass_time([draft], LEASE)
        assert (await after.cleaner.run()).recovered == 1
        await confirmed_once(after, draft, b"all of it")
