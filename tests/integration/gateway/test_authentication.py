"""Nobody passes without a good key, and a key does only what it was given for."""

import asyncio
import logging
from ipaddress import ip_network

import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Scope
from draftstore_gateway import verdict_cache
from draftstore_gateway.routes import ROUTES, Route
from support.gateway import SmallIdentity
from support.raw_http import request
from support.running_gateway import Running, bearer, running_gateway

DATA_ROUTES = [route for route in ROUTES if route.scope is not None]


def _path(route: Route) -> str:
    return route.pattern.replace("{id}", "0").replace("{name...}", "a/b")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "api_key_missing"),
        ("", "api_key_malformed"),
        ("Bearer", "api_key_malformed"),
        ("Basic dXNlcjpwdw==", "api_key_malformed"),
        ("Bearer short", "api_key_malformed"),
        ("Bearer ds_live_" + "0" * 38, "api_key_malformed"),
        ("Bearer " + api_keys.make("live") + " and more", "api_key_malformed"),
        ("Bearer " + api_keys.make("live"), "api_key_unknown"),
        ("Bearer " + api_keys.make("admin"), "api_key_unknown"),
    ],
)
async def test_a_request_without_a_good_key_is_refused(gateway: Running, authorization: str | None, code: str) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await gateway.client.get("/api/v1/drafts", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert gateway.service.seen == []


async def test_identity_is_not_asked_about_what_cannot_be_a_key(gateway: Running) -> None:
    await gateway.client.get("/api/v1/drafts", headers={"authorization": "Bearer ds_live_" + "0" * 38})
    assert gateway.identity.verifications == 0


async def test_the_scheme_is_read_whatever_its_case(gateway: Running) -> None:
    secret = gateway.identity.issue(Scope.DRAFTS_READ).secret
    answer = await gateway.client.get("/api/v1/drafts", headers={"authorization": f"bEARER {secret}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("route", DATA_ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
async def test_a_data_route_needs_its_scope_and_no_other(gateway: Running, route: Route) -> None:
    others = set(Scope) - {route.scope}
    refused = await gateway.client.request(route.method, _path(route), headers=gateway.headers(*others))
    assert refused.status_code == 403
    assert gateway.service.seen == []
    assert route.scope is not None
    admitted = await gateway.client.request(route.method, _path(route), headers=gateway.headers(route.scope))
    assert admitted.status_code == 200


async def test_a_missing_scope_is_named(gateway: Running) -> None:
    answer = await gateway.client.get("/api/v1/drafts", headers=gateway.headers(Scope.DRAFTS_WRITE))
    assert answer.json()["code"] == "scope_missing"
    assert "drafts:read" in answer.json()["detail"]


async def test_an_admin_key_reaches_no_data(gateway: Running) -> None:
    key = bearer(gateway.identity.issue(kind="admin"))
    for route in DATA_ROUTES:
        answer = await gateway.client.request(route.method, _path(route), headers=key)
        assert answer.status_code == 403
        assert answer.request.method == "HEAD" or answer.json()["code"] == "wrong_key_kind"
    assert gateway.service.seen == []


async def test_routes_of_keys_and_tenants_are_decided_by_identity(gateway: Running) -> None:
    for key in (gateway.identity.issue(kind="admin"), gateway.identity.issue()):
        assert (await gateway.client.post("/api/v1/keys", json={}, headers=bearer(key))).status_code == 200


async def test_identity_is_asked_once_for_many_requests_of_a_key() -> None:
    async with running_gateway() as gateway:
        key = gateway.headers(Scope.DRAFTS_READ)
        gateway.identity.hold = asyncio.Event()
        requests = [asyncio.create_task(gateway.client.get("/api/v1/drafts", headers=key)) for _ in range(20)]
        gateway.identity.hold.set()
        assert {answer.status_code for answer in await asyncio.gather(*requests)} == {200}
        assert gateway.identity.verifications == 1


async def test_a_revoked_key_stops_without_the_feed_once_its_verdict_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_gateway() as gateway:
        key = gateway.identity.issue(Scope.DRAFTS_READ)
        assert (await gateway.client.get("/api/v1/drafts", headers=bearer(key))).status_code == 200
        await gateway.identity.feed.cut()
        await gateway.identity.revoke(key)
        assert (await gateway.client.get("/api/v1/drafts", headers=bearer(key))).status_code == 200
        monkeypatch.setattr(verdict_cache, "VERDICT_TTL", 0.0)
        answer = await gateway.client.get("/api/v1/drafts", headers=bearer(key))
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_unknown")


async def test_a_key_works_only_from_its_networks_even_when_its_verdict_is_remembered() -> None:
    async with running_gateway(trusted_proxies="127.0.0.1/32") as gateway:
        key = bearer(gateway.identity.issue(Scope.DRAFTS_READ, cidrs=[ip_network("10.1.0.0/16")]))
        inside = await gateway.client.get("/api/v1/drafts", headers=key | {"x-forwarded-for": "10.1.2.3"})
        outside = await gateway.client.get("/api/v1/drafts", headers=key | {"x-forwarded-for": "10.2.2.3"})
    assert inside.status_code == 200
    assert (outside.status_code, outside.json()["code"]) == (403, "ip_not_allowed")
    assert gateway.service.seen[-1].header("x-forwarded-for") == "10.1.2.3"


async def test_a_gateway_that_identity_refuses_blames_no_caller(caplog: pytest.LogCaptureFixture) -> None:
    identity = SmallIdentity()
    identity.service_key = "another"
    async with running_gateway(identity=identity) as gateway:
        answer = await gateway.client.get("/api/v1/drafts", headers=gateway.headers(Scope.DRAFTS_READ))
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_unavailable")
    assert any(record.levelname == "ERROR" for record in caplog.records)


async def test_a_request_is_logged_with_its_key_and_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running_gateway() as gateway:
        key = gateway.identity.issue(Scope.DRAFTS_READ)
        await gateway.client.get("/api/v1/drafts?cursor=private", headers=bearer(key))
    [line] = [record for record in caplog.records if record.name == "draftstore_gateway.pipeline"]
    fields = vars(line)
    assert (fields["method"], fields["path"], fields["status"]) == ("GET", "/api/v1/drafts", 200)
    assert str(fields["key_id"]) == str(key.principal.key_id)
    assert fields["tenant_id"] == str(key.principal.tenant_id)
    gateway_lines = [r for r in caplog.records if r.name.startswith("draftstore")]
    text = "".join(str(vars(record)) for record in gateway_lines)
    assert key.secret not in text
    assert "private" not in text


async def test_a_request_cut_off_by_a_shutdown_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running_gateway(in_process=True) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request("GET", "/api/v1/objects/silent", gateway.headers(Scope.OBJECTS_READ)))
        await asyncio.wait_for(gateway.service.begun.wait(), 10)
    [line] = [record for record in caplog.records if record.name == "draftstore_gateway.pipeline"]
    assert (vars(line)["path"], vars(line)["complete"]) == ("/api/v1/objects/silent", False)
    writer.transport.abort()
