"""Rotation: one successor with the same powers, a grace that never lengthens a life, a secret that is told once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from draftstore_common.clients.transport import AsgiLifespan
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, NewKey
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.errors import RelayedProblem
from draftstore_common.kit.ids import random_base62
from draftstore_identity.app import create_app
from support.identity import Installation, Revealed, settings
from support.plain_http import NO_TLS

KEYS = "/api/v1/keys"
DAY = 86_400


async def rotate(
    identity: Installation, key: Key, body: Any = None, *, by: str | None = None, idempotency_key: str | None = None
) -> httpx.Response:
    """Ask for a successor, with an `Idempotency-Key` nobody used unless one is given."""
    path = f"{KEYS}/{key.id}/rotate"
    given = idempotency_key or random_base62(12)
    return await identity.call(by or identity.admin_key, "POST", path, body or {}, idempotency_key=given)


async def rotated(identity: Installation, key: Key, body: Any = None, *, by: str | None = None) -> NewKey:
    """The successor."""
    answer = await rotate(identity, key, body, by=by)
    assert answer.status_code == 201, answer.text
    return NewKey.model_validate_json(answer.content)


async def shown(identity: Installation, key: Key) -> Key:
    """A key as it is now."""
    answer = await identity.call(identity.admin_key, "GET", f"{KEYS}/{key.id}")
    return Key.model_validate_json(answer.content)


async def code_of(identity: Installation, secret: str) -> str | None:
    """What a secret is refused with; None if it opens."""
    try:
        await identity.verify(secret)
    except RelayedProblem as problem:
        return problem.code
    return None


def seconds_from_now(instant: datetime | None) -> float:
    assert instant is not None
    return (instant - datetime.now(UTC)).total_seconds()


async def test_the_successor_has_the_same_powers_and_counts_against_the_same_limits(identity: Installation) -> None:
    old = await identity.issue(
        scopes=["drafts:read", "keys:admin"],
        tenant_id=await identity.tenant(),
        rate_limits=[{"amount": 5, "seconds": 60}],
        name_prefixes=["a/"],
        expires_at=(datetime.now(UTC) + timedelta(days=30)).isoformat(),
    )
    new = await rotated(identity, old)
    same = {"tenant_id", "name", "kind", "scopes", "rate_limits", "cidrs", "name_prefixes", "enabled", "lineage"}
    assert new.model_dump(include=same) == old.model_dump(include=same)
    assert (new.rotated_from, new.expires_at, new.lineage) == (old.id, old.expires_at, old.id)
    verdicts = [await identity.verify(secret) for secret in (old.key, new.key)]
    assert {verdict.principal.lineage for verdict in verdicts} == {old.id}
    assert verdicts[0].rate_limits == verdicts[1].rate_limits


@pytest.mark.parametrize("wanted", [{"environment": "test"}, {"kind": "admin", "scopes": []}], ids=["test", "admin"])
async def test_the_successor_is_of_the_same_kind(identity: Installation, wanted: dict[str, Any]) -> None:
    old = await identity.issue(**wanted)
    new = await rotated(identity, old)
    assert api_keys.label(new.prefix) == api_keys.label(old.prefix)
    assert (await identity.verify(new.key)).principal.kind == old.kind


async def test_a_key_that_is_switched_off_has_a_successor_that_is_switched_off(identity: Installation) -> None:
    old = await identity.issue()
    await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{old.id}", {"enabled": False})
    assert await code_of(identity, (await rotated(identity, old)).key) == "api_key_disabled"


async def test_both_keys_work_in_the_grace_and_then_the_new_one(identity: Installation) -> None:
    old = await identity.issue()
    new = await rotated(identity, old, {"grace": 600})
    assert [await code_of(identity, key.key) for key in (old, new)] == [None, None]
    assert 590 < seconds_from_now((await shown(identity, old)).expires_at) <= 600
    await identity.sql("UPDATE identity.keys SET expires_at = now() WHERE id = $1", old.id)
    assert [await code_of(identity, key.key) for key in (old, new)] == ["api_key_expired", None]


async def test_without_grace_the_old_key_stops_at_once(identity: Installation) -> None:
    old = await identity.issue()
    new = await rotated(identity, old, {"grace": 0})
    assert [await code_of(identity, key.key) for key in (old, new)] == ["api_key_expired", None]


async def test_a_grace_never_lengthens_the_life_of_the_old_key(identity: Installation) -> None:
    expires_at = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0)
    old = await identity.issue(expires_at=expires_at.isoformat())
    await rotated(identity, old, {"grace": DAY})
    assert (await shown(identity, old)).expires_at == expires_at


async def test_no_change_lengthens_the_grace_of_a_key_that_has_a_successor(identity: Installation) -> None:
    old = await identity.issue()
    new = await rotated(identity, old, {"grace": 600})
    before = (await shown(identity, old)).expires_at
    for later in (None, (datetime.now(UTC) + timedelta(days=1)).isoformat()):
        answer = await identity.call(identity.admin_key, "PATCH", f"{KEYS}/{old.id}", {"expires_at": later})
        assert (answer.status_code, answer.json()["code"]) == (409, "key_already_rotated")
        assert str(new.id) in answer.json()["detail"]
    assert (await shown(identity, old)).expires_at == before


async def test_the_successor_lives_as_long_as_was_asked(identity: Installation) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    new = await rotated(identity, await identity.issue(), {"expires_at": expires_at.isoformat()})
    assert new.expires_at == expires_at


async def test_a_key_has_one_successor_and_a_second_rotation_names_it(identity: Installation) -> None:
    old = await identity.issue()
    new = await rotated(identity, old)
    answer = await rotate(identity, old)
    assert (answer.status_code, answer.json()["code"]) == (409, "key_already_rotated")
    assert str(new.id) in answer.json()["detail"]


async def test_rotations_at_once_make_one_successor(identity: Installation) -> None:
    old = await identity.issue()
    answers = await asyncio.gather(*(rotate(identity, old) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    rows = await identity.sql("SELECT 1 FROM identity.keys WHERE rotated_from = $1", old.id)
    assert len(rows) == 1


async def test_a_key_that_is_revoked_and_rotated_at_once_stays_revoked(identity: Installation) -> None:
    for _ in range(10):
        old = await identity.issue()
        revoked, answer = await asyncio.gather(
            identity.call(identity.admin_key, "DELETE", f"{KEYS}/{old.id}"), rotate(identity, old)
        )
        assert revoked.status_code == 200
        assert await code_of(identity, old.key) == "api_key_revoked"
        assert answer.status_code in {201, 409}
        if answer.status_code == 409:
            assert answer.json()["code"] == "key_ended"


@pytest.mark.parametrize("ended", ["revoked_at", "expires_at"])
async def test_a_key_that_has_ended_is_not_rotated(identity: Installation, ended: str) -> None:
    old = await identity.issue()
    await identity.sql(f"UPDATE identity.keys SET {ended} = now() WHERE id = $1", old.id)  # noqa: S608
    answer = await rotate(identity, old)
    assert (answer.status_code, answer.json()["code"]) == (409, "key_ended")


async def test_a_successor_is_rotated_in_turn_while_the_first_key_lives(identity: Installation) -> None:
    first = await identity.issue()
    third = await rotated(identity, await rotated(identity, first))
    assert third.lineage == first.id
    assert await code_of(identity, first.key) is None


async def test_a_key_that_administers_keys_rotates_itself(identity: Installation) -> None:
    old = await identity.keys_admin()
    new = await rotated(identity, old, by=old.key)
    assert (await identity.issue(by=new.key)).tenant_id == old.tenant_id


async def test_a_key_in_its_grace_makes_nothing_that_outlives_it(identity: Installation) -> None:
    """Whoever stole the old key cannot come back by it: neither through a child nor by rotating once more."""
    old = await identity.keys_admin()
    new = await rotated(identity, old, {"grace": 600})
    body = {"name": "x", "scopes": ["drafts:read"]}
    assert await identity.refused(old.key, "POST", KEYS, body) == (403, "grant_exceeds_own")
    await identity.call(old.key, "DELETE", f"{KEYS}/{new.id}")
    again = await rotate(identity, old, by=old.key)
    assert (again.status_code, again.json()["code"]) == (403, "grant_exceeds_own")


async def test_a_rotation_needs_an_idempotency_key(identity: Installation) -> None:
    key = await identity.issue()
    refused = await identity.refused(identity.admin_key, "POST", f"{KEYS}/{key.id}/rotate", {})
    assert refused == (422, "idempotency_key_missing")


async def test_a_repeat_is_answered_with_the_successor_and_without_its_secret(identity: Installation) -> None:
    old = await identity.issue()
    first = await rotate(identity, old, idempotency_key="again")
    assert (first.status_code, first.headers["cache-control"]) == (201, "no-store")
    assert "idempotent-replayed" not in first.headers
    repeat = await rotate(identity, old, idempotency_key="again")
    assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (200, "true")
    assert repeat.json() == {name: value for name, value in first.json().items() if name != "key"}
    assert first.json()["key"] not in repeat.text


async def test_whoever_lost_the_answer_revokes_the_successor_and_rotates_again(identity: Installation) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    old = await identity.issue(expires_at=expires_at.isoformat())
    lost = await rotated(identity, old, {"grace": DAY})
    end_of_grace = (await shown(identity, old)).expires_at
    await identity.call(identity.admin_key, "DELETE", f"{KEYS}/{lost.id}")
    new = await rotated(identity, old, {"grace": 2 * DAY})
    assert (new.rotated_from, new.expires_at) == (old.id, expires_at), "as the first successor was to"
    assert (await shown(identity, old)).expires_at == end_of_grace, "no second grace on top"
    assert [await code_of(identity, key.key) for key in (old, lost, new)] == [None, "api_key_revoked", None]


async def test_a_rotation_whose_answer_was_cut_off_is_repeated_at_another_instance(identity: Installation) -> None:
    old = await identity.issue()
    token = (await identity.verify(identity.admin_key, Audience.IDENTITY)).token
    path, headers = f"{KEYS}/{old.id}/rotate", {"authorization": f"Bearer {token}", "idempotency-key": "cut"}

    async def cut_off(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001  it sends nothing
        async def swallow(message: Any) -> None:  # noqa: ARG001
            raise ConnectionResetError

        await identity.app(scope, receive, swallow)

    async with httpx.AsyncClient(
        verify=NO_TLS, transport=httpx.ASGITransport(cut_off), base_url="http://identity"
    ) as http:
        with pytest.raises(ConnectionResetError):
            await http.post(path, json={}, headers=headers)
    other = create_app(settings(identity.database_url), reveal=Revealed())
    async with AsgiLifespan(other):
        repeat = await Installation(other, identity.database_url, "", "").send(
            "POST", path, {}, token=token, idempotency_key="cut"
        )
    assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (200, "true")
    assert repeat.json()["rotated_from"] == str(old.id)
    assert "key" not in repeat.json()
