"""One address that is refused again and again is limited, and nobody else notices. An IPv6 host is its /64."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Scope
from draftstore_gateway.admission import STRANGERS
from support.running_gateway import Running, running_gateway

SHARE = 5
BEHIND_PROXY: dict[str, Any] = {
    "in_process": True,
    "rate_limit_per_ip": f"{SHARE}/day",
    "trusted_proxies": "127.0.0.1/32,10.0.0.0/8",
}
STORMS = {401: "/api/v1/drafts", 404: "/nowhere"}


async def _refusals(gateway: Running, path: str, claims: list[str]) -> Counter[int]:
    answers = [await gateway.client.get(path, headers={"x-forwarded-for": claim}) for claim in claims]
    for answer in answers:
        assert answer.status_code != 429 or int(answer.headers["retry-after"]) > 0
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("status", STORMS)
async def test_a_storm_from_one_address_is_limited_and_another_address_is_not(status: int) -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        storm = await _refusals(gateway, STORMS[status], ["203.0.113.7"] * 20)
        assert storm == {status: SHARE, 429: 20 - SHARE}
        assert await _refusals(gateway, STORMS[status], ["203.0.113.8"]) == {status: 1}


async def test_good_keys_pass_during_a_storm() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        key = gateway.headers(Scope.DRAFTS_READ) | {"x-forwarded-for": "203.0.113.8"}
        await _refusals(gateway, "/nowhere", ["203.0.113.7"] * 20)
        assert (await gateway.client.get("/api/v1/drafts", headers=key)).status_code == 200


async def test_made_up_keys_from_one_address_reach_identity_only_within_its_share() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        for _ in range(20):
            headers = {"authorization": f"Bearer {api_keys.make('live')}", "x-forwarded-for": "203.0.113.7"}
            await gateway.client.get("/api/v1/drafts", headers=headers)
        assert gateway.identity.verifications == SHARE


async def test_made_up_keys_that_come_all_at_once_reach_identity_only_a_few_beyond_the_share() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:

        async def guess() -> int:
            headers = {"authorization": f"Bearer {api_keys.make('live')}", "x-forwarded-for": "203.0.113.7"}
            return (await gateway.client.get("/api/v1/drafts", headers=headers)).status_code

        statuses = Counter(await asyncio.gather(*(guess() for _ in range(90))))
        assert statuses == {401: SHARE, 429: 90 - SHARE}
        assert gateway.identity.verifications <= SHARE + STRANGERS


async def test_many_keys_that_an_address_uses_for_the_first_time_at_once_are_all_served() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        keys = [gateway.headers(Scope.DRAFTS_READ) for _ in range(3 * STRANGERS)]
        answers = await asyncio.gather(*(gateway.client.get("/api/v1/drafts", headers=key) for key in keys))
        assert {answer.status_code for answer in answers} == {200}


async def test_addresses_of_one_ipv6_network_share_one_allowance() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        storm = await _refusals(gateway, "/nowhere", [f"2001:db8:1:2::{number:x}" for number in range(1, 21)])
        assert storm == {404: SHARE, 429: 20 - SHARE}
        assert await _refusals(gateway, "/nowhere", ["2001:db8:1:3::1"]) == {404: 1}


async def test_an_ipv4_address_written_as_ipv6_is_the_same_address() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        assert await _refusals(gateway, "/nowhere", ["203.0.113.7"] * SHARE) == {404: SHARE}
        assert await _refusals(gateway, "/nowhere", ["::ffff:203.0.113.7"]) == {429: 1}


async def test_what_a_client_claims_left_of_a_trusted_proxy_gives_it_no_new_allowance() -> None:
    async with running_gateway(**BEHIND_PROXY) as gateway:
        claims = [f"198.51.100.{number}, 203.0.113.7, 10.0.0.9" for number in range(20)]
        assert await _refusals(gateway, "/nowhere", claims) == {404: SHARE, 429: 20 - SHARE}


async def test_without_trusted_proxies_no_claim_gives_a_new_allowance() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip=f"{SHARE}/day") as gateway:
        claims = [f"203.0.113.{number}" for number in range(20)]
        assert await _refusals(gateway, "/nowhere", claims) == {404: SHARE, 429: 20 - SHARE}
