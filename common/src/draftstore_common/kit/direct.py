"""Routes that FastAPI declares and documents, and that are served without its machinery.

A declaration says all that serving needs: dependencies, a few values of the request, a body, a model to answer with.
FastAPI interprets it anew for every request, behind a search through all routes and five layers; here it is read once.
What comes of a request is the same, the order of its refusals included: a body that is no JSON, then whatever
dependencies refuse (in their order), then all wrong values together.
"""

import email.message
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, TypeAlias

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from draftstore_common.kit.errors import MalformedJson
from draftstore_common.kit.validation import validation_problem

JSON = "application/json"
_IS_JSON = (b"content-type", JSON.encode())

_ABSENT = object()
"""In the place of a value that the request does not have."""

Errors: TypeAlias = list[Mapping[str, Any]]


class Asked(Request):
    """A request to a direct route. `fields` are its headers by their names in lower case, the first of each name.

    `sent` is the JSON of its body, once the route has read it, for who looks at it beside the route.
    """

    def __init__(
        self, scope: Scope, fields: Mapping[str, str], content: bytes | BaseModel | None, receive: Receive
    ) -> None:
        """`content` is the body, if it is here already; else it comes by `receive`.

        A caller in this process gives the model itself, which is not validated again.
        """
        super().__init__(scope, receive)
        self.fields = fields
        self.sent: Any = None
        self._content = content

    @classmethod
    def over_asgi(cls, scope: Scope, receive: Receive) -> Self:
        """A request as a server or FastAPI brings it."""
        return cls(scope, by_name(scope["headers"]), None, receive)

    @property
    def headers(self) -> Headers:
        """As Starlette has them; `fields` costs less."""
        return Headers(self.fields)

    async def content(self) -> bytes | BaseModel:
        """The whole body, or the model it would be; raises `ClientDisconnect` if it breaks off."""
        if self._content is None:
            self._content = await _received(self.receive)
        return self._content


def by_name(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as ASGI has them, by their names, the first of each name."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}


def header(request: Request, name: str) -> str | None:
    """A header of any request, whoever serves it, at the least cost; the name is in lower case."""
    return request.fields.get(name) if isinstance(request, Asked) else request.headers.get(name)


Handler: TypeAlias = Callable[[Asked], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route whose handler is made of its declaration, once.

    Its dependencies are coroutines that take the request, its parameters single values, and its answer is a model,
    or nothing. Whatever else FastAPI can do is refused with `TypeError` when the route is declared.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The same handler as FastAPI calls it, where it has found the route itself."""
        handler = self.handler()

        async def handle(request: Request) -> Response:
            return await handler(Asked.over_asgi(request.scope, request.receive))

        return handle

    def handler(self) -> Handler:
        """From the request to its answer; problems are raised."""
        arguments = _Arguments(self.dependant)
        answer = _Answer(self)

        async def handle(request: Asked) -> Response:
            values = await arguments.of(request)
            told = answer.told(values)
            return answer.made(await self.endpoint(**values), told)

        return handle


class _Arguments:
    """What the function of a route is called with."""

    def __init__(self, dependant: Dependant) -> None:
        self._dependencies = [(each.name, _takes_the_request(each)) for each in dependant.dependencies]
        self._path = [_Value("path", each) for each in dependant.path_params]
        self._query = [_Value("query", each) for each in dependant.query_params]
        self._headers = [_Value("header", each) for each in dependant.header_params]
        self._body = _body_of(dependant)
        self._request_name = dependant.request_param_name

    async def of(self, request: Asked) -> dict[str, Any]:
        """All by their names; raises what a dependency raises, and `InvalidRequest` for what is wrong itself."""
        if self._body is not None:
            request.sent = await _json(request)
        values: dict[str, Any] = {}
        for name, solve in self._dependencies:
            solved = await solve(request)
            if name is not None:  # else it only decides who gets in
                values[name] = solved
        errors = self._read(request, values)
        if errors:
            raise validation_problem(errors)
        if self._request_name is not None:
            values[self._request_name] = request
        return values

    def _read(self, request: Asked, values: dict[str, Any]) -> Errors:
        errors: Errors = []
        for value in self._path:
            value.read(request.path_params.get(value.alias, _ABSENT), values, errors)
        for value in self._query:
            value.read(request.query_params.get(value.alias, _ABSENT), values, errors)
        for value in self._headers:
            value.read(request.fields.get(value.alias.lower(), _ABSENT), values, errors)
        if self._body is not None:
            self._body.read(request.sent, values, errors)
        return errors


class _Value:
    """One value of a request: what it may be, and what stands for it where it is absent."""

    def __init__(self, place: str, declared: Any) -> None:
        self.alias: str = declared.alias
        self._declared = declared  # FastAPI's, so that errors are found and told in its words
        self._name: str = declared.name
        self._where = (place,) if place == "body" else (place, self.alias)
        self._required: bool = declared.field_info.is_required()
        self._default: Any = None if self._required else declared.default
        kind = declared.field_info.annotation
        self._model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None

    def read(self, sent: Any, values: dict[str, Any], errors: Errors) -> None:
        """Put the value among the others, or what is wrong with it among the errors."""
        if type(sent) is self._model:  # a model, from this process
            values[self._name] = sent
        elif sent is not _ABSENT:
            values[self._name], found = self._declared.validate(sent, loc=self._where)
            errors.extend(found)
        elif self._required:
            errors.append({"type": "missing", "loc": self._where})
        else:
            values[self._name] = self._default


class _Answer:
    """How the result of a route's function is sent."""

    def __init__(self, route: APIRoute) -> None:
        self._status = route.status_code or 200
        self._model = None if route.response_model is None else TypeAdapter[Any](route.response_model)
        self._told_name = route.dependant.response_param_name

    def told(self, values: dict[str, Any]) -> Response | None:
        """The response that the function may write a status and headers to, put among its arguments."""
        if self._told_name is None:
            return None
        told = values[self._told_name] = Response()
        del told.headers["content-length"]
        told.status_code = self._status
        return told

    def made(self, result: Any, told: Response | None) -> Response:
        """The response with the result as its body."""
        if self._model is None:
            return Response(status_code=self._status)
        status = self._status if told is None else told.status_code
        response = Modelled(result, self._model, status)
        if told is not None:
            response.raw_headers.extend(told.raw_headers)
        return response


class Modelled(Response):
    """A result that becomes JSON only when it leaves this process."""

    def __init__(self, result: Any, model: TypeAdapter[Any], status: int) -> None:
        # Not Starlette's, which wants the bytes at once.
        self.result = result
        self.status_code = status
        self.background = None
        self.raw_headers = [_IS_JSON]
        self._model = model

    def json(self) -> bytes:
        """The result as JSON."""
        return self._model.dump_json(self.result)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it over ASGI."""
        self.body = self.json()
        self.raw_headers.append((b"content-length", str(len(self.body)).encode()))
        await super().__call__(scope, receive, send)


def _takes_the_request(dependency: Dependant) -> Callable[[Asked], Awaitable[Any]]:
    call = dependency.call
    if not inspect.iscoroutinefunction(call) or list(inspect.signature(call).parameters) != ["request"]:
        raise TypeError(f"{call}: a dependency of a direct route is a coroutine that takes `request` and nothing else")
    return call


def _body_of(dependant: Dependant) -> _Value | None:
    if len(dependant.body_params) > 1 or dependant.cookie_params or dependant.background_tasks_param_name:
        raise TypeError(f"{dependant.path}: a direct route takes one body, and no cookies or background tasks")
    return _Value("body", dependant.body_params[0]) if dependant.body_params else None


async def _json(request: Asked) -> Any:
    """The body as JSON; as bytes where it does not say that it is JSON, which no model takes."""
    try:
        content = await request.content()
        if isinstance(content, BaseModel):
            return content
        if not content:
            return _ABSENT
        return _parsed(content) if _is_json(request.fields.get("content-type", "")) else content
    except Exception as error:  # nested too deeply, no UTF-8, broken off: nothing of it can be read
        raise MalformedJson from error


def _parsed(content: bytes) -> Any:
    try:
        return from_json(content)  # a seventh of the cost
    except ValueError:
        return json.loads(content)  # takes what the other does not: UTF-16, half of a surrogate pair


async def _received(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _is_json(content_type: str) -> bool:
    if content_type == JSON:
        return True
    message = email.message.Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
