"""The order of checks, and who is charged: what fails early costs nobody behind it anything."""

import re
from ipaddress import ip_network

import httpx
import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import RateLimit, Scope
from draftstore_gateway.routes import JSON_LIMIT
from support.raw_http import exchange, request
from support.running_gateway import Running, bearer, running_gateway

DRAFTS = "/api/v1/drafts"
ONE = [RateLimit(amount=1, seconds=86_400)]
MALFORMED = {"authorization": "Bearer ds_live_" + "0" * 38}


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def _unknown() -> dict[str, str]:
    return {"authorization": f"Bearer {api_keys.make('live')}"}


async def _address_has_left(gateway: Running) -> int:
    """Refusals left to this address. Asking costs one, which is counted back."""
    answer = await gateway.client.get("/nowhere")
    (left,) = re.findall(r"r=(\d+)", answer.headers["ratelimit"])
    return int(left) + 1


async def test_shape_is_looked_at_before_the_route_and_charged_to_nobody() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        answer = await exchange(gateway.port, request("GET", "/nowhere/%00"))
        assert (answer.status, answer.json()["code"]) == (400, "path_nul")
        assert await _address_has_left(gateway) == 10


async def test_an_unknown_route_is_refused_before_its_key_is_looked_at_and_charged_to_the_address() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        for headers in ({}, MALFORMED, _unknown(), gateway.headers(Scope.DRAFTS_READ)):
            assert _refusal(await gateway.client.get("/nowhere", headers=headers)) == (404, "not_found")
        assert gateway.identity.verifications == 0
        assert await _address_has_left(gateway) == 6


async def test_size_is_looked_at_before_the_key_and_charged_to_nobody() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        too_large = b" " * (JSON_LIMIT + 1)
        for headers in ({}, MALFORMED, _unknown()):
            answer = await gateway.client.post(DRAFTS, headers=headers, content=too_large)
            assert _refusal(answer) == (413, "body_too_large")
        assert gateway.identity.verifications == 0
        assert await _address_has_left(gateway) == 10


async def test_the_checksum_of_a_key_is_looked_at_before_identity_is_asked_and_charged_to_the_address() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        assert _refusal(await gateway.client.get(DRAFTS, headers=MALFORMED)) == (401, "api_key_malformed")
        assert gateway.identity.verifications == 0
        assert await _address_has_left(gateway) == 9


async def test_a_key_identity_refuses_is_charged_to_the_address() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        assert _refusal(await gateway.client.get(DRAFTS, headers=_unknown())) == (401, "api_key_unknown")
        assert await _address_has_left(gateway) == 9


async def test_a_key_from_a_network_it_may_not_be_used_from_is_charged_to_the_address_alone() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        key = gateway.identity.issue(Scope.DRAFTS_READ, cidrs=[ip_network("10.0.0.0/8")], rate_limits=ONE)
        for _ in range(3):
            assert _refusal(await gateway.client.get(DRAFTS, headers=bearer(key))) == (403, "ip_not_allowed")
        assert await _address_has_left(gateway) == 7


async def test_limits_of_the_key_are_looked_at_before_its_scopes_which_are_charged_to_it() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        key = bearer(gateway.identity.issue(Scope.DRAFTS_WRITE, rate_limits=ONE))
        assert _refusal(await gateway.client.get(DRAFTS, headers=key)) == (403, "scope_missing")
        assert _refusal(await gateway.client.get(DRAFTS, headers=key)) == (429, "rate_limited")
        assert await _address_has_left(gateway) == 10


async def test_scopes_are_looked_at_before_anything_is_forwarded() -> None:
    async with running_gateway(in_process=True) as gateway:
        answer = await gateway.client.get(DRAFTS, headers=gateway.headers(Scope.DRAFTS_WRITE))
        assert _refusal(answer) == (403, "scope_missing")
        assert gateway.service.seen == []


@pytest.mark.parametrize(
    "path", ["/api/v1/drafts", "/api/v1/objects/early"], ids=["answered", "refused by the service"]
)
async def test_what_the_service_answers_is_charged_to_the_key_alone(path: str) -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="10/day") as gateway:
        key = bearer(gateway.identity.issue(Scope.DRAFTS_READ, Scope.OBJECTS_READ, rate_limits=ONE))
        assert (await gateway.client.get(path, headers=key)).status_code in {200, 409}
        assert _refusal(await gateway.client.get(path, headers=key)) == (429, "rate_limited")
        assert await _address_has_left(gateway) == 10


async def test_a_good_key_passes_from_an_address_that_has_had_its_share_of_refusals() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="2/day") as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        assert (await gateway.client.get(DRAFTS, headers=key)).status_code == 200
        for _ in range(3):
            await gateway.client.get("/nowhere")
        assert (await gateway.client.get(DRAFTS, headers=key)).status_code == 200
