"""`python -m bench.lean_gateway`: the least a gateway can be in Python, in one function.

For each request what no gateway can leave out, made of the product's own parts: a look at its shape, a digest that is
known, one window, two ids, the headers that may pass, the way to the service and back, and a line in the log. There are
no routes or scopes, nothing is bounded in time or number, nothing is sent again, no client is missed that left, and
every request is without a body. `PORT`, `SERVICE_URL` and `KEY` in the environment.
"""

import hashlib
import logging
import os
import time

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from draftstore_common.kit.context import new_request_id, request_id, set_timeout
from draftstore_common.kit.logging import configure, log_request
from draftstore_common.kit.serve import server_config
from draftstore_common.kit.trace import Trace, trace
from draftstore_gateway.headers import for_client, for_service
from draftstore_gateway.memory import Memory
from draftstore_gateway.shape import check_headers, check_path
from draftstore_gateway.upstreams.base import Forwarded
from draftstore_gateway.upstreams.wire import Wire
from draftstore_gateway.windows import charges, parse_limits

log = logging.getLogger(__name__)

READY = "/health/live"

TOKEN = "t" * 500
"""As long as a principal's token."""


class LeanGateway:
    """Knows one key, and may be asked a billion times a minute."""

    def __init__(self, service_url: str, key: str) -> None:
        self._wire = Wire(service_url)
        self._known = {hashlib.sha256(key.encode()).digest(): charges("key", key, parse_limits("1000000000/minute"))}
        self._windows = Memory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == READY:
            await Response()(scope, receive, send)
        elif scope["type"] == "http":
            await self._forward(scope, send)
        elif scope["type"] == "lifespan":
            await receive()
            async with self._wire:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})

    async def _forward(self, scope: Scope, send: Send) -> None:
        began, own_id, own_trace = time.monotonic(), new_request_id(), Trace.begin()
        request_id.set(own_id)
        trace.set(own_trace)
        set_timeout(30)
        headers, path = scope["headers"], scope["raw_path"]
        check_headers(headers, http_version=scope["http_version"])
        check_path(path, scope["query_string"])
        digest = hashlib.sha256(dict(headers)[b"authorization"].removeprefix(b"Bearer ")).digest()
        standing = self._windows.hit(self._known[digest]).headers()
        client = scope["client"][0]
        passed = for_service(headers, token=TOKEN, request_id=own_id, client=client, trace=own_trace.headers())
        asked = Forwarded(scope["method"], path, scope["query_string"], passed, has_body=False)
        async with await self._wire.ask(asked, None) as answer:
            own = [*for_client(answer.raw_headers), (b"x-request-id", own_id.encode()), *standing]
            await send({"type": "http.response.start", "status": answer.status, "headers": own})
            await send({"type": "http.response.body", "body": await answer.content.read()})
        took = round((time.monotonic() - began) * 1000, 1)
        facts = {"method": scope["method"], "status": answer.status, "ms": took, "client": client}
        log_request(log, path.decode(), facts)


if __name__ == "__main__":
    configure("gateway")
    app = LeanGateway(os.environ["SERVICE_URL"], os.environ["KEY"])
    uvicorn.Server(server_config(app, host="127.0.0.1", port=int(os.environ["PORT"]), grace=1)).run()
