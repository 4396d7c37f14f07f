"""The frame of every service: request context, problem details for every error, health routes."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from draftstore_common.kit.context import DRAINING, request_id
from draftstore_common.kit.direct import Asked
from draftstore_common.kit.errors import (
    PROBLEM_MEDIA_TYPE,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    Problem,
    chain,
    problem_body,
)
from draftstore_common.kit.openapi import describe_problems
from draftstore_common.kit.origin import Origin, own_request_id
from draftstore_common.kit.table import DirectTable, Found
from draftstore_common.kit.validation import validation_problem

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]
"""A readiness check: returns when the thing is there, raises when it is not."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

READY_TIMEOUT = 3.0
READY_MAX_AGE = 1.0


class ProblemResponse(JSONResponse):
    """A problem document with its media type and headers."""

    media_type = PROBLEM_MEDIA_TYPE

    def __init__(self, problem: Problem) -> None:
        body = problem_body(problem, request_id.get())
        super().__init__(body, status_code=problem.http_status, headers=problem.headers())


class RequestContext:
    """Pure ASGI: gives the request its id, deadline and trace, logs its end, and turns a crash into a 500 problem.

    Ids, timeouts and addresses from outside are trusted: only services call services. The gateway replaces all three.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        Origin.told(scope["headers"]).adopt()
        answer = _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.status is not None:
                raise
            await _crashed(error)(scope, receive, answer.send)
        finally:
            _log_end(scope, answer.status, answer.began)


class _Answer:
    """Watches one answer go out: its status, and the request id it must carry."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.began = time.monotonic()
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], own_request_id()]}
        await self._send(message)


def _crashed(error: Exception) -> ProblemResponse:
    log.error("request crashed", extra={"causes": chain(error)}, exc_info=error)
    return ProblemResponse(Problem())


def _log_end(scope: Scope, status: int | None, began: float) -> None:
    """At DEBUG: the gateway's line has all of it, and what does not pass there is for its caller to log."""
    if log.isEnabledFor(logging.DEBUG):
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        extra = {"method": scope["method"], "path": scope["path"], "status": status, "ms": milliseconds}
        log.debug("request", extra=extra)


async def _on_problem(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, Problem)  # noqa: S101  registered for Problem only
    if error.http_status >= 500 or error.needs_operator:
        log.error("request failed", extra={"code": error.code, "causes": chain(error)})
    return ProblemResponse(error)


async def _on_validation(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this type only
    return ProblemResponse(validation_problem(error.errors()))


async def _on_http(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this type only
    match error.status_code:
        case 400:
            return ProblemResponse(MalformedJson())  # FastAPI's word for a body that cannot be read as JSON
        case 405:
            answer = ProblemResponse(MethodNotAllowed())
            answer.headers.update(error.headers or {})  # Allow (RFC 9110 §15.5.6)
            return answer
        case 404:
            return ProblemResponse(NotFound())
        case _:
            return ProblemResponse(Problem())


class Service(FastAPI):
    """An application whose document tells how every route refuses, and whose direct routes are served directly.

    Those are answered by `answer`, whoever brings the request: a server, over ASGI, or a caller in this process.
    """

    def __init__(self, *, routers: list[APIRouter], **options: Any) -> None:
        super().__init__(**options)
        for router in routers:
            self.include_router(router)
        self._direct = DirectTable(route for router in routers for route in router.routes)

    def find(self, method: str, path: str) -> Found | None:
        """Who answers this, if it is a direct route's."""
        return self._direct.find(method, path)

    async def answer(self, found: Found, request: Asked, origin: Origin) -> Response:
        """What `found` answers. This task becomes the request's own; problems and crashes are answers as well."""
        began = time.monotonic()
        origin.adopt()
        request.scope["app"], request.scope["path_params"] = self, found.parameters
        try:
            response = await found.handler(request)
        except Problem as problem:
            response = await _on_problem(request, problem)
        except Exception as error:
            response = _crashed(error)
        response.raw_headers.append(own_request_id())
        _log_end(request.scope, response.status_code, began)
        return response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, as ASGI has it."""
        found = self._found(scope)
        if found is None:
            await super().__call__(scope, receive, send)
            return
        response = await self.answer(found, Asked.over_asgi(scope, receive), Origin.told(scope["headers"]))
        await response(scope, receive, send)

    def _found(self, scope: Scope) -> Found | None:
        if scope["type"] != "http":
            return None
        return self.find(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            describe_problems(super().openapi())
        assert self.openapi_schema is not None  # noqa: S101  made and kept by FastAPI
        return self.openapi_schema


def service_app(
    title: str,
    *,
    lifespan: Lifespan,
    routers: list[APIRouter],
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> Service:
    """A FastAPI application with request context, problem details and health routes.

    `tags` says what the groups of its routes are about. Operations are known in the document by their functions' names.
    """
    app = Service(
        routers=[*routers, _health],
        title=title,
        description=description,
        lifespan=lifespan,
        redoc_url=None,
        openapi_tags=[{"name": name, "description": text} for name, text in (tags or {}).items()],
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.readiness = _Readiness()
    app.add_middleware(RequestContext)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    return app


_health = APIRouter(tags=["operations"])


@_health.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers. Depends on nothing outside, so that a restart is never the answer to an outage."""
    return {"status": "ok"}


@_health.get("/health/ready")
@_health.get("/health", name="health")
async def ready(request: Request) -> JSONResponse:
    """Everything this service needs answers; 503 names what does not. Asked again at most once a second.

    503 as well from the moment on at which the service was told to end.
    """
    draining: asyncio.Event | None = getattr(request.state, DRAINING, None)
    if draining is not None and draining.is_set():
        return JSONResponse({"status": DRAINING, "checks": {}}, status_code=503)
    results = await request.app.state.readiness.results(request.app.state.ready_checks)
    good = all(result == "ok" for result in results.values())
    body: dict[str, Any] = {"status": "ok" if good else "unavailable", "checks": results}
    return JSONResponse(body, status_code=200 if good else 503)


class _Readiness:
    """Remembers for a moment what the checks said, so that anybody's polling costs others nothing."""

    def __init__(self) -> None:
        self._results: dict[str, str] = {}
        self._asked_at = -math.inf
        self._lock = asyncio.Lock()

    async def results(self, checks: Mapping[str, Check]) -> dict[str, str]:
        async with self._lock:  # every check inside is bounded by READY_TIMEOUT
            if time.monotonic() - self._asked_at >= READY_MAX_AGE:
                answers = await asyncio.gather(*map(_probe, checks.values()))
                self._results, self._asked_at = dict(zip(checks, answers, strict=True)), time.monotonic()
            return self._results


async def _probe(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), READY_TIMEOUT)
    except Exception as error:
        log.warning("not ready", extra={"causes": chain(error)})
        return "unavailable"
    return "ok"
