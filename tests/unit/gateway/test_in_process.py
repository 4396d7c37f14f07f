"""A service in this process: what the gateway begins there, it ends."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import APIRouter, FastAPI
from starlette.types import Message

from draftstore_common.kit.app import service_app
from draftstore_common.kit.direct import DirectRoute
from draftstore_common.kit.patience import Looks, Patience
from draftstore_gateway.upstreams.base import Forwarded
from draftstore_gateway.upstreams.in_process import AsgiUpstream


def _service() -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def act() -> None:
        """Do nothing."""

    router = APIRouter(route_class=DirectRoute)
    router.post("/act")(act)
    return service_app("x", lifespan=lifespan, routers=[router])


async def test_a_request_that_is_cancelled_before_its_first_step_leaves_nothing_unawaited() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def forward() -> None:
        with Patience(5, Looks()) as patience:
            request = Forwarded("POST", b"/act", b"", [], has_body=False)
            await AsgiUpstream(_service()).forward(request, receive, send, patience)

    task = asyncio.create_task(forward())
    await asyncio.sleep(0)  # the service's task is made, and has not begun
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()  # which tells of a coroutine that nobody awaited
    assert sent == []
