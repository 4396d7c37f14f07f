"""Scripts of allowed origins may call the API and read its answers; nobody else's may. By default none is allowed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from draftstore_common.contracts.identity import Scope
from draftstore_gateway.settings import GatewaySettings
from support.gateway import SERVICE_KEY
from support.running_gateway import Running, running_gateway

ORIGIN = "https://app.example"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_gateway() -> AsyncIterator[Running]:
    """A gateway that allows one origin, and refuses an address after one refusal."""
    async with running_gateway(api_cors_origins=(ORIGIN,), rate_limit_per_ip="1/day") as gateway:
        yield gateway


def _preflight(
    origin: str = ORIGIN, method: str = "POST", headers: str = "authorization,content-type"
) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }


async def test_preflights_are_answered_without_a_key_and_charged_to_nobody(open_gateway: Running) -> None:
    open_gateway.service.reset()
    for _ in range(5):
        answer = await open_gateway.client.options("/api/v1/drafts", headers=_preflight())
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "idempotency-key" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 24
    assert open_gateway.service.seen == []
    assert open_gateway.identity.verifications == 0


@pytest.mark.parametrize(
    "wrong",
    [
        _preflight(origin="https://evil.example"),
        _preflight(origin=ORIGIN + ".evil.example"),
        _preflight(origin="http://app.example"),
        _preflight(origin="null"),
        _preflight(method="TRACE"),
        _preflight(headers="x-request-id"),
    ],
    ids=["origin", "suffix", "scheme", "null", "method", "header"],
)
async def test_a_preflight_for_more_than_is_allowed_is_a_problem(open_gateway: Running, wrong: dict[str, str]) -> None:
    answer = await open_gateway.client.options("/api/v1/drafts", headers=wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "cors_refused")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "access-control-allow-origin" not in answer.headers


async def test_an_allowed_origin_may_read_answers_and_what_they_say_in_headers(open_gateway: Running) -> None:
    headers = open_gateway.headers(Scope.OBJECTS_READ) | {"origin": ORIGIN}
    answer = await open_gateway.client.get("/streams/stream-1", headers=headers)
    assert len(answer.content) == 1024 * 1024
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"etag", "ratelimit", "retry-after", "x-request-id", "location"} <= set(exposed)


@pytest.mark.parametrize(("path", "status"), [("/api/v1/drafts", {401, 429}), ("/health/live", {200})])
async def test_refusals_and_operations_may_be_read_too(open_gateway: Running, path: str, status: set[int]) -> None:
    answer = await open_gateway.client.get(path, headers={"origin": ORIGIN})
    assert answer.status_code in status
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_another_origin_may_read_nothing(open_gateway: Running) -> None:
    headers = open_gateway.headers(Scope.DRAFTS_READ) | {"origin": "https://evil.example"}
    answer = await open_gateway.client.get("/api/v1/drafts", headers=headers)
    assert "access-control-allow-origin" not in answer.headers


async def test_without_the_setting_no_origin_is_told_anything(gateway: Running) -> None:
    answer = await gateway.client.options("/api/v1/drafts", headers=_preflight())
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("text", ["app.example", "https://app.example/", "https://a b", "https://app.example/path"])
def test_an_origin_no_browser_would_send_stops_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_CORS_ORIGINS", text)
    with pytest.raises(ValueError, match="origins as browsers send them"):
        GatewaySettings(service_key=SERVICE_KEY)


def test_origins_are_read_from_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_CORS_ORIGINS", "https://app.example, http://localhost:3000")
    assert GatewaySettings(service_key=SERVICE_KEY).api_cors_origins == ("https://app.example", "http://localhost:3000")
