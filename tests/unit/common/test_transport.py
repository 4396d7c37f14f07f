"""The in-process transport behaves as a network does: isolated, bounded in time, crashes answered."""

import asyncio
from contextvars import ContextVar

import pytest
from starlette.types import Message, Receive, Scope, Send

from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport, Call, HttpTransport, ServiceUnavailable
from draftstore_common.kit.context import request_id, set_timeout

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


async def test_a_call_arrives_whole_and_so_does_its_answer() -> None:
    request_id.set("the-request-id")
    reply = await AsgiTransport(app).send(Call("POST", "/x?a=1", b"body"))
    assert (reply.status, reply.headers["x-thing"]) == (201, "1")
    assert reply.body == b"POST|a=1|body|the-request-id"


async def test_context_variables_set_by_the_callee_do_not_come_back() -> None:
    await AsgiTransport(app).send(Call("GET", "/leak"))
    assert marker.get() == "untouched"


async def test_a_crash_is_answered_as_a_server_would() -> None:
    assert (await AsgiTransport(app).send(Call("GET", "/crash"))).status == 500


async def test_a_service_that_does_not_answer_in_time_is_unavailable() -> None:
    async def ask() -> None:
        set_timeout(0.05)
        await AsgiTransport(app).send(Call("GET", "/hang"))

    with pytest.raises(ServiceUnavailable):
        await asyncio.create_task(ask())


async def test_a_call_of_a_task_that_is_ending_has_its_deadline_too() -> None:
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


async def test_a_cancellation_that_meets_the_end_of_a_call_is_not_swallowed() -> None:
    callers: list[asyncio.Task[None]] = []

    async def cancels_its_caller(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        callers[0].cancel()

    async def ask() -> None:
        await AsgiTransport(cancels_its_caller).send(Call("GET", "/"))

    callers.append(asyncio.create_task(ask()))
    with pytest.raises(asyncio.CancelledError):
        await callers[0]


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
