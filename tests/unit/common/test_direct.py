"""A direct route answers as FastAPI would have: the same declarations are served both ways and compared."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field
from starlette.types import Message, Receive, Scope, Send

from draftstore_common.clients.transport import AsgiTransport, Call, Reply
from draftstore_common.contracts.base import Answer, Instant
from draftstore_common.contracts.base import Request as Body
from draftstore_common.contracts.names import ObjectName
from draftstore_common.kit.app import service_app
from draftstore_common.kit.direct import DirectRoute
from draftstore_common.kit.errors import Conflict, Forbidden, NotFound, Unauthorized

JSON = {"content-type": "application/json"}
KNOWN = JSON | {"authorization": "known"}
ID = "0193f4a0-7c1e-7d3a-9b52-3f1c2a4d5e6f"


class Sent(Body):
    """What is sent."""

    object_name: ObjectName
    size: int | None = Field(default=None, strict=True, ge=0)
    at: Instant | None = None
    tags: dict[str, str] = {}


class Told(Answer):
    """What is answered."""

    seen: dict[str, Any]
    at: Instant | None = None


class Pending(Answer):
    """What is answered while it is not done."""

    state: str = "pending"


async def _guard(request: Request) -> str:
    match request.headers.get("authorization"):
        case None:
            raise Unauthorized
        case "weak":
            raise Forbidden
        case caller:
            return caller


async def _context(request: Request) -> SimpleNamespace:
    context: SimpleNamespace = request.app.state.context
    return context


Caller = Annotated[str, Depends(_guard)]
Ctx = Annotated[SimpleNamespace, Depends(_context)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=2, pattern=r"^[\x21-\x7e]+$")]


async def _make(body: Sent, caller: Caller, ctx: Ctx, key: Key = None) -> Told:
    """Make a thing."""
    seen = {"body": body.model_dump(mode="json"), "caller": caller, "key": key, "ctx": ctx.name}
    return Told(seen=seen, at=body.at)


async def _look(caller: Caller, name: ObjectName | None = None, limit: Annotated[int, Query(ge=1)] = 10) -> Told:
    """Look for things."""
    return Told(seen={"name": name, "limit": limit, "caller": caller})


async def _end(thing_id: UUID, _: Caller, response: Response, body: Sent | None = None) -> Told | Pending:
    """End a thing."""
    if body is None:
        response.status_code = 202
        response.headers["Retry-After"] = "2"
        return Pending()
    return Told(seen={"id": str(thing_id), "name": body.object_name})


async def _drop(thing_id: UUID, _: Caller) -> None:
    """Drop a thing."""
    if thing_id != UUID(ID):
        raise NotFound


async def _rest(rest: ObjectName) -> Told:
    """The rest of a path."""
    return Told(seen={"rest": rest})


async def _guarded(request: Request) -> Told:
    """Guarded, and nobody asks by whom."""
    return Told(seen={"method": request.method})


async def _fail(how: str) -> Told:
    """Fail."""
    raise Conflict(retry_after=3) if how == "told" else RuntimeError(how)


def _routes(route_class: type[APIRoute]) -> APIRouter:
    router = APIRouter(prefix="/api", route_class=route_class)
    router.post("/things", status_code=201)(_make)
    router.get("/things")(_look)
    router.post("/things/{thing_id}/end", response_model=Told | Pending)(_end)
    router.delete("/things/{thing_id}", status_code=204)(_drop)
    router.get("/rest/{rest:path}")(_rest)
    router.post("/guarded", dependencies=[Depends(_guard)])(_guarded)
    router.post("/fails/{how}")(_fail)
    return router


def _app(route_class: type[APIRoute]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    app = service_app("things", lifespan=lifespan, routers=[_routes(route_class)])
    app.state.context = SimpleNamespace(name="the context")
    return app


DIRECT, FASTAPI = _app(DirectRoute), _app(APIRoute)

GOOD = {"object_name": "a/b", "size": 3, "at": "2026-01-02T03:04:05Z", "tags": {"a": "b"}}

BODIES: Mapping[str, bytes] = {
    "good": json.dumps(GOOD).encode(),
    "nothing": b"",
    "null": b"null",
    "a list": b"[1]",
    "a string": b'"text"',
    "empty object": b"{}",
    "not json": b"{",
    "trailing": b"{} {}",
    "unknown field": b'{"object_name":"a","other":1}',
    "wrong types": b'{"object_name":1,"size":"3","tags":[]}',
    "ours": b'{"object_name":"a//b"}',
    "half a surrogate": b'{"object_name":"\\ud800"}',
    "a whole one": b'{"object_name":"\\ud83d\\ude00"}',
    "not a number": b'{"object_name":"a","size":NaN}',
    "too large for a float": b'{"object_name":"a","size":1e999}',
    "a very large number": b'{"object_name":"a","size":' + b"9" * 400 + b"}",
    "more digits than are read": b'{"object_name":"a","size":' + b"9" * 5000 + b"}",
    "minus zero": b'{"object_name":"a","size":-0}',
    "a float that is whole": b'{"object_name":"a","size":3.0}',
    "twice": b'{"object_name":"a","object_name":"b"}',
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "no utf-8": b'{"object_name":"\xff"}',
    "a control character": b'{"object_name":"a\x01"}',
    "a nul": b'{"object_name":"a\\u0000"}',
    "deep": b'{"object_name":' + b"[" * 300 + b"]" * 300 + b"}",
    "far too deep": b"[" * 100_000,
    "many members": json.dumps({f"f{i}": i for i in range(200)}).encode(),
}

TYPES = ["application/json", "application/json; charset=utf-8", "application/problem+json", "text/plain", "", "x"]


async def _served(scope: Scope, receive: Receive, send: Send) -> None:
    """The direct routes as a server asks for them."""
    await DIRECT(scope, receive, send)


async def _same(call: Call) -> Reply:
    """The answer to a call, if direct routes and FastAPI give the same to a server, and the former to this process."""
    here, direct, usual = [await AsgiTransport(app).send(call) for app in (DIRECT, _served, FASTAPI)]
    assert here.status == direct.status == usual.status
    assert _without_id(here) == _without_id(direct) == _without_id(usual)
    if direct.status != 204:  # where FastAPI says what type the nothing is
        assert _headers(direct) == _headers(usual)
    assert _headers(here) | {"content-length": ""} == _headers(direct) | {"content-length": ""}
    assert "x-request-id" in here.headers
    assert "x-request-id" in direct.headers
    return direct


def _headers(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name != "x-request-id"}


def _without_id(reply: Reply) -> Any:
    content = json.loads(reply.body) if reply.body else {}
    content.pop("request_id", None)
    return content


@pytest.mark.parametrize("path", ["/api/things", f"/api/things/{ID}/end"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_any_body_gets_the_same_answer(path: str, body: bytes) -> None:
    await _same(Call("POST", path, body, KNOWN))


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("body", [BODIES["good"], b"", b"{"], ids=["good", "nothing", "not json"])
async def test_a_body_of_any_type_gets_the_same_answer(content_type: str, body: bytes) -> None:
    await _same(Call("POST", "/api/things", body, KNOWN | {"content-type": content_type}))
    await _same(Call("POST", "/api/things", body, {"authorization": "known"}))


@pytest.mark.parametrize("headers", [JSON, JSON | {"authorization": "weak"}, KNOWN], ids=["nobody", "weak", "known"])
@pytest.mark.parametrize("body", ["not json", "unknown field", "nothing", "good"])
@pytest.mark.parametrize("path", ["/api/things", f"/api/things/{ID}/end", "/api/things/no-id/end", "/api/guarded"])
async def test_what_is_wrong_first_is_told_first(headers: Mapping[str, str], body: str, path: str) -> None:
    await _same(Call("POST", path, BODIES[body], headers))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/things", 200),
        ("GET", "/api/things?name=a/b&limit=2&limit=3", 200),
        ("GET", "/api/things?limit=0&name=a//b", 422),
        ("GET", "/api/things?limit=", 422),
        ("GET", "/api/things?other=1", 200),
        ("DELETE", f"/api/things/{ID}", 204),
        ("DELETE", f"/api/things/{UUID(int=1)}", 404),
        ("DELETE", "/api/things/x", 422),
        ("GET", "/api/rest/a/b", 200),
        ("GET", "/api/rest/a//b", 422),
        ("PUT", "/api/things", 405),
        ("GET", f"/api/things/{ID}", 405),
        ("GET", f"/api/things/{ID}/end", 405),
        ("GET", "/api/nothing", 404),
        ("POST", "/api/things//end", 404),
        ("POST", "/api/things/", 307),
        ("POST", "/api/fails/told", 409),
        ("POST", "/api/fails/badly", 500),
        ("GET", "/health/live", 200),
    ],
)
async def test_any_path_and_method_gets_the_same_answer(method: str, path: str, status: int) -> None:
    assert (await _same(Call(method, path, b"", {"authorization": "known", "host": "x"}))).status == status


@pytest.mark.parametrize("key", ["good", "x", "", "two words", "ü"])
async def test_a_header_is_judged_the_same(key: str) -> None:
    await _same(Call("POST", "/api/things", BODIES["good"], KNOWN | {"Idempotency-Key": key}))


async def test_what_a_function_writes_to_its_response_is_sent() -> None:
    reply = await _same(Call("POST", f"/api/things/{ID}/end", b"", KNOWN))
    assert (reply.status, reply.headers["retry-after"], json.loads(reply.body)) == (202, "2", {"state": "pending"})


async def test_a_body_that_comes_in_pieces_is_whole() -> None:
    pieces = [BODIES["good"][:5], b"", BODIES["good"][5:]]
    assert (await _sent(pieces, ended=True))["status"] == 201


async def test_a_body_that_breaks_off_is_not_acted_upon() -> None:
    assert (await _sent([BODIES["good"]], ended=False))["status"] == 400


async def _sent(pieces: list[bytes], *, ended: bool) -> Message:
    """How the answer to a body in these pieces begins; one that is not ended is given up by its client."""
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b""} if ended else {"type": "http.disconnect"})
    answer: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answer.append(message)

    headers = [(name.encode(), value.encode()) for name, value in KNOWN.items()]
    scope = {"type": "http", "method": "POST", "path": "/api/things", "headers": headers, "query_string": b""}
    await DIRECT(scope, receive, send)
    return answer[0]


async def test_a_route_under_another_path_is_found() -> None:
    scope_path = Call("POST", "/api/guarded", b"", KNOWN)
    assert (await AsgiTransport(DIRECT).send(scope_path)).status == 200
    mounted = FastAPI()
    mounted.mount("/things", DIRECT)
    assert (await AsgiTransport(mounted).send(Call("POST", "/things/api/guarded", b"", KNOWN))).status == 200


async def test_what_cannot_be_served_directly_is_not_declared() -> None:
    router = APIRouter(route_class=DirectRoute)

    async def page_of(request: Request, page: int) -> str:
        return f"{request.url.path} {page}"

    with pytest.raises(TypeError, match="takes `request` and nothing else"):

        @router.get("/x", dependencies=[Depends(page_of)])
        async def x() -> Told:
            """X."""
            return Told(seen={})
