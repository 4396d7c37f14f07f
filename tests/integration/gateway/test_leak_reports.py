"""Leaked keys are reported without a key: the gateway asks identity in its own name, and charges the address."""

import jwt
import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import SERVICE_TOKEN, Scope
from draftstore_gateway.routes import REPORT_LIMIT
from support.gateway import SERVICE_KEY, SmallIdentity
from support.running_gateway import Running, running_gateway

PATH = "/api/v1/keys/revoke-leaked"
REPORT = {"keys": [api_keys.make("live")]}


@pytest.fixture(params=["none", "good", "malformed", "unknown"])
def headers(request: pytest.FixtureRequest, gateway: Running) -> dict[str, str]:
    """Headers with every kind of key, and with none."""
    return {
        "none": {},
        "good": gateway.headers(Scope.DRAFTS_READ),
        "malformed": {"authorization": "Bearer nonsense"},
        "unknown": {"authorization": f"Bearer {api_keys.make('live')}"},
    }[request.param]


async def test_a_report_needs_no_key_and_no_key_is_looked_at(gateway: Running, headers: dict[str, str]) -> None:
    answer = await gateway.client.post(PATH, json=REPORT, headers=headers)
    assert answer.status_code == 200
    assert gateway.identity.verifications == 0
    [seen] = gateway.service.seen
    token = (seen.header("authorization") or "").removeprefix("Bearer ")
    assert jwt.get_unverified_header(token)["typ"] == SERVICE_TOKEN
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert seen.body_bytes > len(REPORT["keys"][0])


async def test_every_report_is_charged_to_the_address() -> None:
    async with running_gateway(in_process=True, rate_limit_per_ip="3/day") as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        answers = [await gateway.client.post(PATH, json=REPORT, headers=key) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[0].headers["ratelimit-policy"] == '"ip-86400s";q=3;w=86400'
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await gateway.client.get("/nowhere")).status_code == 429
    assert len(gateway.service.seen) == 3


async def test_only_its_method_answers_and_only_small_bodies_pass(gateway: Running) -> None:
    wrong = await gateway.client.get(PATH, headers=gateway.headers())
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    large = await gateway.client.post(PATH, content=b" " * (REPORT_LIMIT + 1))
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert gateway.service.seen == []


async def test_where_identity_does_not_know_the_gateway_a_report_is_told_to_come_again() -> None:
    identity = SmallIdentity()
    identity.service_key = f"not {SERVICE_KEY}"
    async with running_gateway(in_process=True, identity=identity) as gateway:
        answer = await gateway.client.post(PATH, json=REPORT)
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert gateway.service.seen == []
