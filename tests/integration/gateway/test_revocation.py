"""A revoked key stops as soon as the feed tells of it, and the gateway serves without a feed."""

import logging

import httpx
import pytest

from draftstore_common.contracts.identity import Scope
from draftstore_common.kit.ids import uuid7
from support.gateway import SmallIdentity
from support.running_gateway import Running, bearer, running_gateway
from support.until import until

PATH = "/api/v1/drafts"


async def _status(gateway: Running, headers: dict[str, str]) -> int:
    return (await gateway.client.get(PATH, headers=headers)).status_code


async def _until_refused(gateway: Running, headers: dict[str, str]) -> httpx.Response:
    async def refused() -> bool:
        return await _status(gateway, headers) == 401

    await until(refused, "the key is refused", seconds=3)  # its verdict would be remembered for longer
    return await gateway.client.get(PATH, headers=headers)


@pytest.mark.parametrize("in_process", [False, True], ids=["http", "in process"])
async def test_a_revoked_key_stops_when_the_feed_tells_of_it(in_process: bool) -> None:
    async with running_gateway(in_process=in_process) as gateway:
        key, other = gateway.identity.issue(Scope.DRAFTS_READ), gateway.headers(Scope.DRAFTS_READ)
        assert await _status(gateway, bearer(key)) == await _status(gateway, other) == 200
        asked = gateway.identity.verifications
        await gateway.identity.revoke(key)
        answer = await _until_refused(gateway, bearer(key))
        assert answer.json()["code"] == "api_key_unknown"
        asked_since = gateway.identity.verifications
        assert await _status(gateway, other) == 200
        assert gateway.identity.verifications == asked_since > asked


async def test_all_keys_of_a_suspended_tenant_stop() -> None:
    async with running_gateway() as gateway:
        tenant = uuid7()
        keys = [gateway.identity.issue(Scope.DRAFTS_READ, tenant_id=tenant) for _ in range(3)]
        for key in keys:
            assert await _status(gateway, bearer(key)) == 200
            del gateway.identity._keys[key.secret]
        await gateway.identity.feed.note(tenant, tenant=True)
        for key in keys:
            await _until_refused(gateway, bearer(key))


async def test_a_change_that_takes_nothing_away_costs_one_question() -> None:
    async with running_gateway() as gateway:
        key = gateway.identity.issue(Scope.DRAFTS_READ)
        assert await _status(gateway, bearer(key)) == 200
        await gateway.identity.feed.note(key.principal.key_id)

        async def asked_again() -> bool:
            assert await _status(gateway, bearer(key)) == 200
            return gateway.identity.verifications == 2

        await until(asked_again, "identity is asked again", seconds=3)


async def test_a_gateway_starts_and_serves_while_the_feed_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    identity = SmallIdentity()
    await identity.feed.cut()
    async with running_gateway(identity=identity) as gateway:
        key = gateway.identity.issue(Scope.DRAFTS_READ)
        assert await _status(gateway, bearer(key)) == 200
        assert (await gateway.client.get("/health/live")).status_code == 200
        await identity.feed.restore()
        await identity.revoke(key)
        await _until_refused(gateway, bearer(key))
    assert len([record for record in caplog.records if record.name == "draftstore_gateway.feed"]) == 2


async def test_requests_that_began_before_a_revocation_are_not_cut_off() -> None:
    async with running_gateway(in_process=True) as gateway:
        key = gateway.identity.issue(Scope.DRAFTS_READ, Scope.OBJECTS_READ)
        path = "/api/v1/objects/stream-1"
        assert (await gateway.client.get(path, headers=bearer(key))).status_code == 200
        async with gateway.client.stream("GET", path, headers=bearer(key)) as answer:
            await gateway.identity.revoke(key)
            await _until_refused(gateway, bearer(key))
            assert len(await answer.aread()) == 1024 * 1024
