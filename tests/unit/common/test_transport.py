"""The in-process transport behaves as a network does: isolated, bounded in time, crashes answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport, Call, HttpTransport, ServiceUnavailable
from draftstore_common.kit.app import service_app
from draftstore_common.kit.context import client_address, remaining, request_id, set_timeout
from draftstore_common.kit.direct import DirectRoute
from draftstore_common.kit.trace import Trace, trace

marker: ContextVar[str] = ContextVar("marker", default="untouched")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    match scope["path"]:
        case "/crash":
            raise RuntimeError("boom")
        case "/hang":
            await asyncio.Event().wait()
        case "/leak":
            marker.set("leaked")
    message: Message = await receive()
    headers = dict(scope["headers"])
    body = b"|".join([scope["method"].encode(), scope["query_string"], message["body"], headers[b"x-request-id"]])
    await send({"type": "http.response.start", "status": 201, "headers": [(b"X-Thing", b"1")]})
    await send({"type": "http.response.body", "body": body[:3], "more_body": True})
    await send({"type": "http.response.body", "body": body[3:]})


async def _act(path: str) -> dict[str, str | None]:
    """What the application above does at these paths; else what the request's context is."""
    match path:
        case "crash":
            raise RuntimeError("boom")
        case "hang":
            await asyncio.Event().wait()
        case "leak":
            marker.set("leaked")
        case "cancel":
            CALLERS[-1].cancel()
    current = trace.get()
    return {
        "request_id": request_id.get(),
        "client": client_address.get(),
        "seconds": f"{remaining():.0f}",
        "trace_id": current and current.trace_id,
        "state": current and current.state,
    }


def _service(route_class: type[APIRoute]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    router = APIRouter(route_class=route_class)
    router.get("/{path}")(_act)
    return service_app("x", lifespan=lifespan, routers=[router])


DIRECT = _service(DirectRoute)
CALLERS: list[asyncio.Task[None]] = []

both = pytest.mark.parametrize("app", [app, DIRECT], ids=["asgi", "direct"])
"""An application that is asked over ASGI, and one whose routes are asked without it."""


async def test_a_call_arrives_whole_and_so_does_its_answer() -> None:
    request_id.set("the-request-id")
    reply = await AsgiTransport(app).send(Call("POST", "/x?a=1", b"body"))
    assert (reply.status, reply.headers["x-thing"]) == (201, "1")
    assert reply.body == b"POST|a=1|body|the-request-id"


@both
async def test_context_variables_set_by_the_callee_do_not_come_back(app: ASGIApp) -> None:
    await AsgiTransport(app).send(Call("GET", "/leak"))
    assert marker.get() == "untouched"


@both
async def test_a_crash_is_answered_as_a_server_would(app: ASGIApp) -> None:
    assert (await AsgiTransport(app).send(Call("GET", "/crash"))).status == 500


@both
async def test_a_service_that_does_not_answer_in_time_is_unavailable(app: ASGIApp) -> None:
    async def ask() -> None:
        set_timeout(0.05)
        await AsgiTransport(app).send(Call("GET", "/hang"))

    with pytest.raises(ServiceUnavailable):
        await asyncio.create_task(ask())


@both
async def test_a_call_of_a_task_that_is_ending_has_its_deadline_too(app: ASGIApp) -> None:
    begun = asyncio.Event()

    async def tidies_up() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            set_timeout(0.05)
            with pytest.raises(ServiceUnavailable):
                await AsgiTransport(app).send(Call("GET", "/hang"))

    task = asyncio.create_task(tidies_up())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancels_its_caller(scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)
    CALLERS[-1].cancel()


@pytest.mark.parametrize("app", [cancels_its_caller, DIRECT], ids=["asgi", "direct"])
async def test_a_cancellation_that_meets_the_end_of_a_call_is_not_swallowed(app: ASGIApp) -> None:
    async def ask() -> None:
        await AsgiTransport(app).send(Call("GET", "/cancel"))

    CALLERS.append(asyncio.create_task(ask()))
    with pytest.raises(asyncio.CancelledError):
        await CALLERS[-1]


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_a_request_that_is_asked_for_directly_is_a_part_of_the_same_as_over_asgi(
    traced: bool, known: bool
) -> None:
    """Its id, its trace, the time it has and its client: what headers would have told."""
    caller = Trace.begin()._replace(state="a=1")
    told = {"X-Forwarded-For": "192.0.2.1"} | dict([] if traced else caller.headers()[:1])

    async def ask(service: FastAPI) -> dict[str, str | None]:
        set_timeout(20)
        request_id.set("the-request-id" if known else "-")
        trace.set(caller if traced else None)
        seen: dict[str, str | None] = json.loads((await AsgiTransport(service).send(Call("GET", "/x", b"", told))).body)
        return seen

    answers = [await asyncio.create_task(ask(service)) for service in (DIRECT, _service(APIRoute))]
    if not known:  # each is given an id of its own
        assert len({str(answer.pop("request_id")) for answer in answers}) == 2
    assert answers[0] == answers[1]
    assert answers[0]["trace_id"] == caller.trace_id
    assert (answers[0]["client"], answers[0]["seconds"]) == ("192.0.2.1", "20")


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with HttpTransport("http://127.0.0.1:1") as transport:
        with pytest.raises(ServiceUnavailable):
            await transport.send(Call("GET", "/"))


async def test_a_call_whose_time_is_over_is_not_sent_at_all() -> None:
    async def ask() -> None:
        set_timeout(0)
        async with HttpTransport("http://127.0.0.1:1") as transport:
            await transport.send(Call("GET", "/"))

    async with asyncio.timeout(2):
        with pytest.raises(ServiceUnavailable) as refused:
            await asyncio.create_task(ask())
    assert refused.value.__cause__ is None, "nobody was asked"


@both
async def test_a_call_in_process_whose_time_is_over_is_not_made_at_all(app: ASGIApp) -> None:
    async def ask() -> None:
        set_timeout(0)
        await AsgiTransport(app).send(Call("GET", "/any"))

    with pytest.raises(ServiceUnavailable):
        await asyncio.create_task(ask())


async def test_a_lifespan_runs_once_and_a_failed_start_raises() -> None:
    seen: list[str] = []

    async def good(_: Scope, receive: Receive, send: Send) -> None:
        for _step in range(2):
            kind = (await receive())["type"]
            seen.append(kind)
            await send({"type": f"{kind}.complete"})

    async with AsgiLifespan(good):
        assert seen == ["lifespan.startup"]
    assert seen == ["lifespan.startup", "lifespan.shutdown"]

    async def bad(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        async with AsgiLifespan(bad):
            pass
