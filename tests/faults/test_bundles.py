"""Bundles, holds and idempotency keys under deaths and stalls: all or none, and what was promised stays."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from draftstore_common.clients.transport import Reply
from support.installation import LEASE, Door, Installation
from support.lives import WHENS, Life, Point, When, lives_that_die, lives_that_freeze, stalled, walked_through
from support.promises import Draft, confirmed_once, ended, nothing_is_left_but_objects
from support.until import until

SIZE = 3
HOLD = 301

STEPS_OF_A_BUNDLE = ("/claim", "/head", "/reserve-keys", "/copy", "/publish", "/objects/delete", "/confirmations/get")
STEPS_OF_A_HOLD = ("/claim", "/head", "/reserve-keys", "/copy", "/prepare", "/commit", "/objects/delete")


async def bundle(door: Door, drafts: Sequence[Draft], **more: Any) -> Reply:
    return await door.ask("POST", "/confirmations", {"draft_ids": [draft["id"] for draft in drafts], **more})


async def request(door: Door, path: str, wanted: Mapping[str, Any], key: str) -> Reply:
    return await door.ask("POST", path, wanted, **{"idempotency-key": key})


async def end(door: Door, confirmation: Mapping[str, Any], act: str) -> Reply:
    return await door.ask("POST", f"/confirmations/{confirmation['id']}/{act}")


def body(reply: Reply, status: int = 200) -> Any:
    assert reply.status == status, reply.body
    return json.loads(reply.body)


async def uploads(whole: Installation, folder: str, count: int = SIZE) -> list[Draft]:
    return [await whole.upload(f"{folder}/{n}.bin", f"{folder}/{n}.bin".encode()) for n in range(count)]


async def visible(whole: Installation, drafts: Sequence[Draft]) -> int:
    return sum([len(await whole.objects_of(draft)) for draft in drafts])


async def all_confirmed_once(whole: Installation, drafts: Sequence[Draft], *answers: Reply) -> None:
    """Each is published once; every confirmed answer has the receipts, in the order of the drafts."""
    receipts = [await confirmed_once(whole, draft, draft["object_name"].encode()) for draft in drafts]
    for answer in answers:
        if answer.status == 200 and json.loads(answer.body)["state"] == "confirmed":
            assert json.loads(answer.body)["receipts"] == receipts


@pytest.mark.parametrize("when", WHENS)
async def test_a_bundle_that_died_anywhere_shows_all_or_none_and_is_confirmed_by_another(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        mine = await uploads(whole, f"bundle/died-{when}-{len(drafts)}")
        async with whole.process(life) as mortal:
            lost = await bundle(mortal, mine)
        assert await visible(whole, mine) in {0, SIZE}
        await whole.pass_time(mine, LEASE)
        done = await bundle(whole.door, mine)
        assert body(done)["state"] == "confirmed"
        await all_confirmed_once(whole, mine, lost, done, await bundle(whole.door, mine))
        drafts += mine
    assert walked_through(walked, STEPS_OF_A_BUNDLE)
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("when", WHENS)
async def test_a_bundle_that_stalled_anywhere_and_wakes_up_late_harms_nothing(whole: Installation, when: When) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_freeze(when, walked):
        mine = await uploads(whole, f"bundle/stalled-{when}-{len(drafts)}")
        async with whole.process(life) as stale:
            asked = await stalled(life, bundle(stale, mine))
            assert await visible(whole, mine) in {0, SIZE}
            await whole.pass_time(mine, LEASE)
            await confirmed_once(whole, mine[1], mine[1]["object_name"].encode())  # one of them alone, meanwhile
            life.thaw()
            late = await asked
            done = await bundle(whole.door, mine)
        await all_confirmed_once(whole, mine, late, done)
        drafts += mine
    assert walked_through(walked, STEPS_OF_A_BUNDLE)
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("when", WHENS)
async def test_a_hold_that_died_anywhere_on_its_way_to_a_commit_is_committed_by_another(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        mine = await uploads(whole, f"hold/died-{when}-{len(drafts)}", 2)
        async with whole.process(life) as mortal:
            held = await bundle(mortal, mine, mode="prepare")
            lost = [await end(mortal, json.loads(held.body), "commit")] if held.status == 200 else []
        if held.status != 200:
            await whole.pass_time(mine, LEASE)
            held = await bundle(whole.door, mine, mode="prepare")
        assert await visible(whole, mine) in {0, 2}
        done = [await end(whole.door, body(held), "commit") for _ in range(2)]
        assert body(done[0]) == body(done[1])
        assert body(done[0])["state"] == "confirmed"
        await all_confirmed_once(whole, mine, *lost, *done)
        drafts += mine
    assert walked_through(walked, STEPS_OF_A_HOLD)
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("when", WHENS)
async def test_a_hold_whose_caller_died_ends_at_its_deadline_and_holds_nothing_back(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        mine = await uploads(whole, f"hold/given-up-{when}-{len(drafts)}", 2)
        rival = await whole.upload(mine[0]["object_name"], b"a rival")
        async with whole.process(life) as mortal:
            held = await bundle(mortal, mine, mode="prepare")
        await whole.pass_time(mine, HOLD)
        await confirmed_once(whole, rival, b"a rival")
        if held.status == 200:
            assert body(await end(whole.door, body(held), "commit"), 409)["code"] == "hold_expired"
        done = await bundle(whole.door, mine, on_conflict="replace")
        assert body(done)["state"] == "confirmed"
        await all_confirmed_once(whole, mine, done)
        drafts += [*mine, rival]
    assert walked_through(walked, STEPS_OF_A_HOLD[:5])
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("when", WHENS)
async def test_a_rollback_that_died_anywhere_is_done_once_it_is_asked_for_again(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        mine = await uploads(whole, f"hold/rolled-back-{when}-{len(drafts)}", 2)
        held = body(await bundle(whole.door, mine, mode="prepare"))
        async with whole.process(life) as mortal:
            await end(mortal, held, "rollback")
        ended_twice = [body(await end(whole.door, held, "rollback")) for _ in range(2)]
        assert [confirmation["state"] for confirmation in ended_twice] == ["rolled_back"] * 2
        assert (await end(whole.door, held, "commit")).status == 409
        await all_confirmed_once(whole, mine, await bundle(whole.door, mine))
        drafts += mine
    assert walked_through(walked, ("/rollback",))
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)


@pytest.mark.parametrize("when", WHENS)
async def test_a_create_with_an_idempotency_key_that_died_anywhere_is_one_draft(
    whole: Installation, when: When
) -> None:
    drafts, walked = list[Draft](), list[str]()
    for life in lives_that_die(when, walked):
        name = f"once/{when}-{len(drafts)}.bin"
        async with whole.process(life) as mortal:
            lost = await request(mortal, "/drafts", {"object_name": name}, name)
        draft, again = [body(await request(whole.door, "/drafts", {"object_name": name}, name), 201) for _ in range(2)]
        ids = {draft["id"], again["id"], *([json.loads(lost.body)["id"]] if lost.status == 201 else [])}
        rows = await whole.database.rows("SELECT id::text FROM metadata.drafts WHERE object_name = $1", name)
        assert [row["id"] for row in rows] == list(ids)
        await whole.put(again, name.encode())
        await confirmed_once(whole, draft, name.encode())
        drafts.append(draft)
    assert walked_through(walked, ("/drafts/create", "/presign/put"))


@pytest.mark.parametrize("when", WHENS)
async def test_a_bundle_with_an_idempotency_key_that_died_anywhere_is_done_by_its_repeat(
    whole: Installation, when: When
) -> None:
    walked = list[str]()
    for number, life in enumerate(lives_that_die(when, walked)):
        mine = await uploads(whole, f"once/bundle-{when}-{number}", 2)
        wanted, key = {"draft_ids": [draft["id"] for draft in mine]}, f"bundle-{when}-{number}"
        async with whole.process(life) as mortal:
            lost = await request(mortal, "/confirmations", wanted, key)
        await whole.pass_time(mine, LEASE)
        done = [await request(whole.door, "/confirmations", wanted, key) for _ in range(2)]
        assert body(done[0]) == body(done[1])
        assert body(done[0])["state"] == "confirmed"
        await all_confirmed_once(whole, mine, lost, *done)
    assert walked_through(walked, STEPS_OF_A_BUNDLE)


async def test_a_bundle_with_an_idempotency_key_is_refused_for_what_it_is_and_may_be_sent_again(
    whole: Installation,
) -> None:
    mine = await uploads(whole, "once/refused")
    other = await whole.upload(mine[0]["object_name"], b"there first")
    await confirmed_once(whole, other, b"there first")
    await whole.door.get("DELETE", f"/drafts/{mine[2]['id']}", status=204)
    wanted = {"draft_ids": [draft["id"] for draft in mine]}
    for _ in range(2):
        problem = body(await request(whole.door, "/confirmations", wanted, "once-refused"), 409)
        assert [error["code"] for error in problem["errors"]] == ["draft_discarded"]
    wanted["draft_ids"].pop()
    problem = body(await request(whole.door, "/confirmations", wanted, "once-refused-2"), 409)
    assert [error["code"] for error in problem["errors"]] == ["object_exists"]
    await whole.door.get("DELETE", f"/objects/{other['object_name']}", status=204)
    done = await request(whole.door, "/confirmations", wanted, "once-refused-2")
    await all_confirmed_once(whole, mine[:2], done)


async def test_a_bundle_refused_for_changed_bytes_publishes_nothing(whole: Installation) -> None:
    life = Life(freezes=Point(2, "before", "/objects/copy"))
    mine = await uploads(whole, "bundle/changed")
    async with whole.process(life) as process:
        asked = await stalled(life, bundle(process, mine))
        for draft in mine:
            await whole.put(draft, b"other bytes")
        life.thaw()
        problem = body(await asked, 409)
    assert problem["code"] == "confirmation_refused"
    assert {error["code"] for error in problem["errors"]} == {"draft_changed"}
    assert await visible(whole, mine) == 0
    assert body(await bundle(whole.door, mine))["state"] == "confirmed"
    for draft in mine:
        await confirmed_once(whole, draft, b"other bytes")
    await whole.clean_up_after(mine)
    await nothing_is_left_but_objects(whole, mine)


async def test_what_was_prepared_is_published_whatever_is_put_meanwhile(whole: Installation) -> None:
    (draft,) = await uploads(whole, "hold/put", 1)
    held = body(await bundle(whole.door, [draft], mode="prepare"))
    await whole.put(draft, b"other bytes")
    assert body(await end(whole.door, held, "commit"))["state"] == "confirmed"
    await all_confirmed_once(whole, [draft])
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


async def test_a_held_draft_that_is_never_committed_expires_and_leaves_nothing(whole: Installation) -> None:
    mine = await uploads(whole, "hold/forgotten")
    assert (await bundle(whole.door, mine, mode="prepare")).status == 200
    await whole.pass_time(mine, 24 * 3600)
    await whole.cleaner.run()
    await whole.clean_up_after(mine)
    await nothing_is_left_but_objects(whole, mine)
    for draft in mine:
        await ended(whole, draft, "purged")


async def test_a_dead_attempt_is_given_back_by_whoever_is_up(whole: Installation) -> None:
    life = Life(dies=Point(1, "before", "/objects/copy"))
    mine = await uploads(whole, "bundle/tended")
    async with whole.process(life) as mortal:
        await bundle(mortal, mine)
    await whole.pass_time(mine, LEASE)

    async def given_back() -> bool:
        return {(await whole.row(draft))["state"] for draft in mine}.isdisjoint({"confirming", "prepared"})

    async with whole.process(Life(), tend_interval=0.1):
        await until(given_back, "the drafts are given back")
    await all_confirmed_once(whole, mine)


async def test_what_callers_were_told_is_over_is_not_confirmed_afterwards(whole: Installation) -> None:
    life = Life(freezes=Point(1, "before", "/confirm/publish"))
    mine = await uploads(whole, "bundle/told")
    async with whole.process(life) as stale:
        asked = await stalled(life, bundle(stale, mine))
        await whole.pass_time(mine, LEASE)
        (row,) = await whole.database.rows(
            "SELECT id::text FROM metadata.confirmations WHERE $1 = ANY (draft_ids)", mine[0]["id"]
        )
        told = await whole.door.get("GET", f"/confirmations/{row['id']}")
        assert told["state"] == "rolled_back"
        life.thaw()
        await asked
    assert await whole.door.get("GET", f"/confirmations/{row['id']}") == told
    assert await visible(whole, mine) == 0


@pytest.mark.parametrize("rivalled", [True, False])
async def test_a_commit_that_meets_its_deadline_is_told_so(whole: Installation, rivalled: bool) -> None:
    """The commit's transaction begins in time and waits for a lock; meanwhile the hold ends, and a rival publishes."""
    (draft,) = await uploads(whole, f"hold/deadline-{rivalled}", 1)
    rival = await whole.upload(draft["object_name"], b"a rival")
    held = body(await bundle(whole.door, [draft], mode="prepare"))
    async with whole.database.transaction() as connection:
        await connection.execute("SELECT FROM metadata.confirmations WHERE id = $1 FOR UPDATE", held["id"])
        commit = asyncio.create_task(end(whole.door, held, "commit"))
        await until(lambda: _waits_for_a_lock(whole), "the commit waits")
        over = "lease_expires_at = clock_timestamp()"
        await connection.execute(f"UPDATE metadata.confirmations SET {over} WHERE id = $1", held["id"])  # noqa: S608
        due = "purge_due_at = clock_timestamp()"
        await whole.database.rows(f"UPDATE metadata.drafts SET {over}, {due} WHERE id = $1", draft["id"])  # noqa: S608
        if rivalled:
            await confirmed_once(whole, rival, b"a rival")
        await whole.cleaner.recover()
    assert body(await commit, 409)["code"] == "hold_expired"
    assert await visible(whole, [draft]) == 0
    await confirmed_once(whole, rival, b"a rival")


async def _waits_for_a_lock(whole: Installation) -> bool:
    rows = await whole.database.rows(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return len(rows) > 0
