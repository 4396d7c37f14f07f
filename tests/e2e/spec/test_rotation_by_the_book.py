"""What is promised of a rotation: one successor, one counter, one look at the secret, no more time for the old key."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from support.api import Api, problem_of
from support.clients import Clients, at_once, comes_to, issue, rotate, rotated, unique, works

KEYS = "/api/v1/keys"
POWERS = ("tenant_id", "kind", "name", "scopes", "rate_limits", "cidrs", "name_prefixes", "lineage", "enabled")


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def seen(admin: Api, key_id: str) -> dict[str, Any]:
    key: dict[str, Any] = await admin.json("GET", f"{KEYS}/{key_id}")
    return key


async def seconds_left(admin: Api, key_id: str) -> float:
    ends = datetime.fromisoformat((await seen(admin, key_id))["expires_at"])
    return (ends - datetime.now(UTC)).total_seconds()


async def test_a_successor_is_what_its_predecessor_was(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    old = await issue(
        admin,
        tenant_id=tenant,
        name="rotating",
        scopes=["drafts:read", "objects:read"],
        rate_limits=[{"amount": 50, "seconds": 60}],
        cidrs=[f"{clients.address}/32"],
        name_prefixes=["web/"],
        expires_at=in_seconds(3600),
        environment="test",
    )
    new = await rotated(admin, old["id"], grace=60)
    assert {name: new[name] for name in POWERS} == {name: old[name] for name in POWERS}
    assert (new["rotated_from"], new["expires_at"]) == (old["id"], old["expires_at"])
    assert new["id"] != old["id"]
    assert new["key"] != old["key"]
    assert new["key"].startswith("ds_test_")
    for secret in (old["key"], new["key"]):
        assert await works(await clients.of(secret)), "both work in the grace"


async def test_the_grace_is_a_day_unless_said_otherwise(admin: Api) -> None:
    old = await issue(admin)
    await rotated(admin, old["id"])
    assert 86_400 - 60 < await seconds_left(admin, old["id"]) <= 86_400


async def test_a_grace_never_extends_the_old_key(admin: Api) -> None:
    old = await issue(admin, expires_at=in_seconds(300))
    await rotated(admin, old["id"], grace=3600)
    assert (await seen(admin, old["id"]))["expires_at"] == old["expires_at"]


async def test_the_old_key_stops_when_its_grace_is_over(admin: Api, clients: Clients) -> None:
    for grace in (0, 1):
        old = await issue(admin)
        owner = await clients.of(old["key"])
        assert await works(owner)
        new = await rotated(admin, old["id"], grace=grace)
        await comes_to(owner, 401, "api_key_expired", seconds=grace + 5)
        assert await works(await clients.of(new["key"]))


async def test_a_successor_may_be_given_another_end(admin: Api) -> None:
    old = await issue(admin, expires_at=in_seconds(300))
    new = await rotated(admin, old["id"], expires_at="2031-01-01T00:00:00Z")
    assert new["expires_at"].startswith("2031-01-01T00:00:00")
    assert (await seen(admin, old["id"]))["expires_at"] == old["expires_at"]


async def test_a_rotation_without_an_idempotency_key_does_nothing(admin: Api) -> None:
    old = await issue(admin)
    assert await admin.problem("POST", f"{KEYS}/{old['id']}/rotate", {}) == (422, "idempotency_key_missing")
    assert (await seen(admin, old["id"]))["expires_at"] is None


@pytest.mark.parametrize("grace", [-1, 30 * 86_400 + 1, "x", None, 1.5])
async def test_a_grace_out_of_range_is_refused(admin: Api, grace: Any) -> None:
    old = await issue(admin)
    answer = await rotate(admin, old["id"], grace=grace)
    assert problem_of(answer)[0] == 422
    assert (await seen(admin, old["id"]))["expires_at"] is None


async def test_a_repeat_names_the_successor_and_tells_no_secret(admin: Api) -> None:
    old = await issue(admin)
    repeat = unique("rotation")
    first = await rotate(admin, old["id"], repeat, grace=60)
    again = await rotate(admin, old["id"], repeat, grace=60)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {name: value for name, value in first.json().items() if name != "key"}
    assert first.json()["key"] not in again.text
    other = await rotate(admin, old["id"], repeat, grace=61)
    assert problem_of(other) == (422, "idempotency_key_reused")


async def test_one_idempotency_key_does_not_stand_for_two_rotations(admin: Api) -> None:
    one, two = await issue(admin), await issue(admin)
    repeat = unique("rotation")
    await rotate(admin, one["id"], repeat, grace=60)
    answer = await rotate(admin, two["id"], repeat, grace=60)
    if answer.status_code != 201:
        assert problem_of(answer) == (422, "idempotency_key_reused")
    else:
        assert answer.json()["rotated_from"] == two["id"]


async def test_a_key_has_one_successor(admin: Api) -> None:
    old = await issue(admin)
    new = await rotated(admin, old["id"])
    answer = await rotate(admin, old["id"])
    assert problem_of(answer) == (409, "key_already_rotated")
    assert new["id"] in answer.json()["detail"]


async def test_of_rotations_that_race_one_succeeds(admin: Api) -> None:
    old = await issue(admin)
    answers = await at_once(12, lambda _: rotate(admin, old["id"]))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    (made,) = (answer.json() for answer in answers if answer.status_code == 201)
    for answer in answers:
        if answer.status_code == 409:
            assert problem_of(answer) == (409, "key_already_rotated")
            assert made["id"] in answer.json()["detail"]


async def test_repeats_at_once_tell_one_secret(admin: Api, clients: Clients) -> None:
    tenant = await clients.tenant(admin)
    old = await issue(admin, tenant_id=tenant)
    repeat = unique("rotation")
    answers = await at_once(12, lambda _: rotate(admin, old["id"], repeat, grace=60))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert sum("ds_live_" in answer.text and '"key":"' in answer.text for answer in answers) == 1
    keys = (await admin.json("GET", f"{KEYS}?tenant_id={tenant}"))["items"]
    assert len(keys) == 2


async def test_who_lost_the_answer_revokes_the_successor_and_rotates_again(admin: Api, clients: Clients) -> None:
    old = await issue(admin)
    lost = await rotated(admin, old["id"], grace=3600)
    ends = (await seen(admin, old["id"]))["expires_at"]
    await admin.json("DELETE", f"{KEYS}/{lost['id']}")
    found = await rotated(admin, old["id"], grace=7200)
    assert found["id"] != lost["id"]
    assert found["rotated_from"] == old["id"]
    assert found["expires_at"] is None, "the successor expires when the old key was to"
    assert (await seen(admin, old["id"]))["expires_at"] == ends, "the grace stays what it was"
    assert await works(await clients.of(found["key"]))
    await comes_to(await clients.of(lost["key"]), 401, "api_key_revoked")


async def test_a_second_rotation_may_end_the_grace_sooner_but_never_later(admin: Api) -> None:
    old = await issue(admin)
    lost = await rotated(admin, old["id"], grace=600)
    await admin.json("DELETE", f"{KEYS}/{lost['id']}")
    await rotated(admin, old["id"], grace=86_400)
    assert await seconds_left(admin, old["id"]) <= 600


async def test_what_has_ended_is_not_rotated(admin: Api, clients: Clients) -> None:
    revoked, brief = await issue(admin), await issue(admin, expires_at=in_seconds(0.7))
    await admin.json("DELETE", f"{KEYS}/{revoked['id']}")
    await comes_to(await clients.of(brief["key"]), 401, "api_key_expired", seconds=6)
    for ended in (revoked, brief):
        assert problem_of(await rotate(admin, ended["id"])) == (409, "key_ended")


async def test_a_key_in_its_grace_lives_no_longer_by_any_change(admin: Api) -> None:
    old = await issue(admin)
    new = await rotated(admin, old["id"], grace=600)
    ends = (await seen(admin, old["id"]))["expires_at"]
    for later in (None, in_seconds(3600)):
        answer = await admin.call("PATCH", f"{KEYS}/{old['id']}", {"expires_at": later})
        assert problem_of(answer) == (409, "key_already_rotated")
        assert new["id"] in answer.json()["detail"]
    assert (await seen(admin, old["id"]))["expires_at"] == ends


async def test_a_chain_of_rotations_has_one_lineage(admin: Api) -> None:
    first = await issue(admin)
    second = await rotated(admin, first["id"])
    third = await rotated(admin, second["id"])
    assert third["rotated_from"] == second["id"]
    assert first["lineage"] == second["lineage"] == third["lineage"] == first["id"]


async def test_predecessor_and_successor_share_one_counter(admin: Api, clients: Clients) -> None:
    old = await issue(admin, rate_limits=[{"amount": 6, "seconds": 600}])
    before = await clients.of(old["key"])
    assert [await works(before) for _ in range(4)] == [True] * 4
    new = await rotated(admin, old["id"], grace=600)
    after = await clients.of(new["key"])
    assert [await works(after) for _ in range(3)] == [True, True, False]
    assert await before.problem("GET", "/api/v1/drafts") == (429, "rate_limited")
    assert await after.problem("GET", "/api/v1/drafts") == (429, "rate_limited")


async def test_an_admin_key_replaces_itself(admin: Api, clients: Clients) -> None:
    me = await admin.json("GET", f"{KEYS}/self")
    new = await rotated(admin, me["id"], grace=0)
    assert (new["kind"], new["lineage"], new["key"].startswith("ds_admin_")) == ("admin", me["id"], True)
    await comes_to(admin, 401, "api_key_expired")
    assert await (await clients.of(new["key"])).json("GET", "/api/v1/tenants?limit=1")


async def test_revoking_the_old_key_leaves_its_successor(admin: Api, clients: Clients) -> None:
    old = await issue(admin)
    new = await rotated(admin, old["id"], grace=600)
    await admin.json("DELETE", f"{KEYS}/{old['id']}")
    await comes_to(await clients.of(old["key"]), 401, "api_key_revoked")
    assert await works(await clients.of(new["key"]))


async def test_no_change_made_at_the_same_time_lengthens_an_old_keys_life(admin: Api) -> None:
    keys = [await issue(admin) for _ in range(8)]

    async def race(number: int) -> httpx.Response:
        path = f"{KEYS}/{keys[number]['id']}"
        answers = await asyncio.gather(
            admin.call("PATCH", path, {"expires_at": None}),
            rotate(admin, keys[number]["id"], grace=60),
            admin.call("PATCH", path, {"name": "meanwhile"}),
            admin.call("PATCH", path, {"expires_at": in_seconds(7200)}),
        )
        assert {answer.status_code for answer in answers} <= {200, 201, 409}
        return answers[1]

    for key, answer in zip(keys, await at_once(len(keys), race), strict=True):
        assert answer.status_code == 201, answer.text
        assert await seconds_left(admin, key["id"]) <= 60
        assert (await seen(admin, key["id"]))["name"] == "meanwhile"


async def test_a_rotation_that_races_with_a_revocation_revives_nothing(admin: Api, clients: Clients) -> None:
    keys = [await issue(admin) for _ in range(8)]

    async def race(number: int) -> httpx.Response:
        path = f"{KEYS}/{keys[number]['id']}"
        answers = await asyncio.gather(rotate(admin, keys[number]["id"], grace=60), admin.call("DELETE", path))
        assert answers[1].status_code == 200
        return answers[0]

    for key, answer in zip(keys, await at_once(len(keys), race), strict=True):
        assert answer.status_code == 201 or problem_of(answer) == (409, "key_ended")
        assert (await seen(admin, key["id"]))["revoked_at"] is not None
        await comes_to(await clients.of(key["key"]), 401, "api_key_revoked")
