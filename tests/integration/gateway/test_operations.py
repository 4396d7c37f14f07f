"""What the gateway answers itself: health, the document of the public API, its pages."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from draftstore_common.clients.transport import AsgiTransport, ServiceUnavailable
from draftstore_common.contracts.identity import Audience
from draftstore_gateway import documents
from draftstore_gateway.app import create_app
from draftstore_gateway.documents import PublicDocument
from draftstore_gateway.routes import ROUTES, RouteTable
from draftstore_gateway.settings import GatewaySettings
from draftstore_gateway.upstreams import AsgiUpstream, HttpUpstream, SmallCalls, Upstream
from support.gateway import SERVICE_KEY, SmallIdentity
from support.plain_http import NO_TLS
from support.ports import free_port
from support.running_gateway import Running
from support.uvicorn_server import served


def _service(name: str, kind: type) -> FastAPI:
    class Thing(BaseModel):
        value: Annotated[kind, "what differs"]  # type: ignore[valid-type]

    app = FastAPI(title=name)

    @app.get(f"/api/v1/{name}")
    async def public() -> Thing:
        return Thing(value=kind())

    @app.get("/internal/secret")
    async def internal() -> None:
        return None

    @app.get("/health/live")
    async def live() -> None:
        return None

    return app


async def _ask(upstreams: dict[Audience, Upstream], path: str) -> httpx.Response:
    settings = GatewaySettings(service_key=SERVICE_KEY)
    app = create_app(settings, identity=AsgiTransport(SmallIdentity().app), upstreams=upstreams)
    async with served(app) as port, httpx.AsyncClient(verify=NO_TLS, base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path)


def _both() -> dict[Audience, Upstream]:
    return {
        Audience.DRAFTS: AsgiUpstream(_service("drafts", int)),
        Audience.IDENTITY: AsgiUpstream(_service("keys", str)),
    }


async def test_the_document_is_the_union_of_the_public_routes_of_all_services() -> None:
    document = (await _ask(_both(), "/openapi.json")).json()
    assert set(document["paths"]) == {"/api/v1/drafts", "/api/v1/keys"}
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert document["security"] == [{"apiKey": []}]


async def test_a_schema_two_services_name_alike_stays_what_each_means() -> None:
    document = (await _ask(_both(), "/openapi.json")).json()

    def value_type(path: str) -> str:
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        name = schema["$ref"].removeprefix("#/components/schemas/")
        found: str = document["components"]["schemas"][name]["properties"]["value"]["type"]
        return found

    assert value_type("/api/v1/drafts") == "integer"
    assert value_type("/api/v1/keys") == "string"


async def test_the_pages_of_the_api_are_there(gateway: Running) -> None:
    answer = await gateway.client.get("/docs")
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text


async def test_a_document_that_cannot_be_had_is_a_503() -> None:
    away = {Audience.DRAFTS: HttpUpstream(f"http://127.0.0.1:{free_port()}")}
    answer = await _ask({**away}, "/openapi.json")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


class _Silent:
    """A service that counts its requests and answers none before it is let go."""

    def __init__(self, document: bytes = b"{}") -> None:
        self._document = document
        self.asked = 0
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.asked += 1
        await self.let_go.wait()
        await Response(self._document)(scope, receive, send)


async def test_all_who_ask_for_the_document_at_once_share_one_fetch() -> None:
    service = _Silent()
    document = PublicDocument(
        {Audience.DRAFTS: SmallCalls(AsgiUpstream(service))}, {"openapi": "3.1.0"}, RouteTable(ROUTES)
    )
    waiting = [asyncio.create_task(document.current()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting.pop(0).cancel()
    service.let_go.set()
    assert {answer["openapi"] for answer in await asyncio.gather(*waiting)} == {"3.1.0"}
    assert service.asked == 1


async def test_a_service_that_never_gives_its_document_is_a_503_and_left_alone_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "FETCH_TIMEOUT", 0.1)
    monkeypatch.setattr(documents, "FAILURE_PAUSE", 60.0)
    service = _Silent()
    async with served(service) as port, HttpUpstream(f"http://127.0.0.1:{port}") as upstream:
        document = PublicDocument({Audience.DRAFTS: SmallCalls(upstream)}, {}, RouteTable(ROUTES))
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                await asyncio.wait_for(document.current(), 10)
        service.let_go.set()
    assert service.asked == 1


async def test_a_gateway_whose_services_answer_is_ready() -> None:
    answer = await _ask(_both(), "/health/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"credential": "ok", "drafts": "ok", "identity": "ok"}


async def test_a_gateway_without_a_service_lives_and_is_not_ready() -> None:
    away: dict[Audience, Upstream] = {Audience.DRAFTS: HttpUpstream(f"http://127.0.0.1:{free_port()}")}
    ready = await _ask(away, "/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"credential": "ok", "drafts": "unavailable"}
    assert (await _ask(away, "/health/live")).status_code == 200


async def test_health_needs_no_key_and_mints_its_own_request_id(gateway: Running) -> None:
    answer = await gateway.client.get("/health/live", headers={"x-request-id": "forged-request-id"})
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] != "forged-request-id"
