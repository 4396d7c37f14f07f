"""Routes that FastAPI declares and documents, and that are served without its machinery.

A declaration says all that serving needs: dependencies, a few values of the request, a body, a model to answer with.
FastAPI interprets it anew for every request, behind a search through all routes and five layers; here it is read once.
What comes of a request is the same, the order of its refusals included: a body that is no JSON, then whatever
dependencies refuse (in their order), then all wrong values together.
"""

import email.message
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic_core import from_json
from starlette.convertors import StringConvertor
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from draftstore_common.kit.errors import MalformedJson
from draftstore_common.kit.validation import validation_problem

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]

JSON = "application/json"

SENT = "draftstore.sent"
"""In the scope of a request that is served directly: the JSON of its body, for who looks at it beside the route."""

_ABSENT = object()
"""In the place of a value that the request does not have."""

Errors: TypeAlias = list[Mapping[str, Any]]


class DirectRoute(APIRoute):
    """A route whose handler is made of its declaration, once.

    Its dependencies are coroutines that take the request, its parameters single values, and its answer is a model,
    or nothing. Whatever else FastAPI can do is refused with `TypeError` when the route is declared.
    """

    def get_route_handler(self) -> Handler:
        """From the request to its answer; problems are raised."""
        arguments = _Arguments(self.dependant)
        answer = _Answer(self)

        async def handle(request: Request) -> Response:
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

    async def of(self, request: Request) -> dict[str, Any]:
        """All by their names; raises what a dependency raises, and `InvalidRequest` for what is wrong itself."""
        body = await _json(request) if self._body is not None else None
        request.scope[SENT] = body
        values: dict[str, Any] = {}
        for name, solve in self._dependencies:
            solved = await solve(request)
            if name is not None:  # else it only decides who gets in
                values[name] = solved
        errors = self._read(request, body, values)
        if errors:
            raise validation_problem(errors)
        if self._request_name is not None:
            values[self._request_name] = request
        return values

    def _read(self, request: Request, body: Any, values: dict[str, Any]) -> Errors:
        errors: Errors = []
        for value in self._path:
            value.read(request.path_params.get(value.alias, _ABSENT), values, errors)
        for value in self._query:
            value.read(request.query_params.get(value.alias, _ABSENT), values, errors)
        for value in self._headers:
            value.read(request.headers.get(value.alias, _ABSENT), values, errors)
        if self._body is not None:
            self._body.read(body, values, errors)
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

    def read(self, sent: Any, values: dict[str, Any], errors: Errors) -> None:
        """Put the value among the others, or what is wrong with it among the errors."""
        if sent is not _ABSENT:
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
        response = _Json(self._model.dump_json(result), status)
        if told is not None:
            response.raw_headers.extend(told.raw_headers)
        return response


class _Json(Response):
    """JSON that is bytes already."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:  # noqa: ARG002  Starlette's
        """The two headers it has, without the search for others that Starlette begins with."""
        length = (b"content-length", str(len(self.body)).encode())
        self.raw_headers = [length, (b"content-type", JSON.encode())]


def _takes_the_request(dependency: Dependant) -> Callable[[Request], Awaitable[Any]]:
    call = dependency.call
    if not inspect.iscoroutinefunction(call) or list(inspect.signature(call).parameters) != ["request"]:
        raise TypeError(f"{call}: a dependency of a direct route is a coroutine that takes `request` and nothing else")
    return call


def _body_of(dependant: Dependant) -> _Value | None:
    if len(dependant.body_params) > 1 or dependant.cookie_params or dependant.background_tasks_param_name:
        raise TypeError(f"{dependant.path}: a direct route takes one body, and no cookies or background tasks")
    return _Value("body", dependant.body_params[0]) if dependant.body_params else None


async def _json(request: Request) -> Any:
    """The body as JSON; as bytes where it does not say that it is JSON, which no model takes."""
    try:
        content = await _content(request)
        if not content:
            return _ABSENT
        return _parsed(content) if _is_json(request.headers.get("content-type", "")) else content
    except Exception as error:  # nested too deeply, no UTF-8, broken off: nothing of it can be read
        raise MalformedJson from error


def _parsed(content: bytes) -> Any:
    try:
        return from_json(content)  # a seventh of the cost
    except ValueError:
        return json.loads(content)  # takes what the other does not: UTF-16, half of a surrogate pair


async def _content(request: Request) -> bytes:
    chunks: list[bytes] = []
    more = True
    while more:
        message = await request.receive()
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


Ends: TypeAlias = dict[str, tuple[Handler, dict[str, int]]]
"""By method: the handler of a route, and where in its path the parameters stand."""


@dataclass(slots=True)
class _Place:
    """One segment of paths with parameters: the places behind it, and the routes that end here."""

    ends: Ends = field(default_factory=dict)
    fixed: dict[str, "_Place"] = field(default_factory=dict)
    any: "_Place | None" = None

    def next(self, segment: str) -> "_Place | None":
        """Where this segment of a request leads."""
        return self.fixed.get(segment) or (self.any if segment else None)

    def made(self, segment: str) -> "_Place":
        """Where this segment of a route leads; a place that is new if need be."""
        if not segment.startswith("{"):
            return self.fixed.setdefault(segment, _Place())
        self.any = self.any or _Place()
        return self.any


class DirectTable:
    """Direct routes by path and method. What is not found here is for FastAPI to answer."""

    def __init__(self, routes: Iterable[object]) -> None:
        self._whole: dict[str, Ends] = {}
        self._root = _Place()
        for route in routes:
            # A parameter that takes the rest of a path is no segment.
            if isinstance(route, DirectRoute) and all(
                type(each) is StringConvertor for each in route.param_convertors.values()
            ):
                self._add(route)

    def find(self, scope: Scope) -> Handler | None:
        """The handler of a request, whose path parameters are put into its scope."""
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        ends = self._whole.get(path) or self._walk(path.split("/"))
        found = ends.get(scope["method"])
        if found is None:
            return None
        handler, parameters = found
        segments = path.split("/") if parameters else []
        scope["path_params"] = {name: segments[position] for name, position in parameters.items()}
        return handler

    def _walk(self, segments: list[str]) -> Ends:
        place = self._root
        for segment in segments:
            following = place.next(segment)
            if following is None:
                return {}
            place = following
        return place.ends

    def _add(self, route: DirectRoute) -> None:
        segments = route.path.split("/")
        parameters = {each[1:-1]: position for position, each in enumerate(segments) if each.startswith("{")}
        for method in route.methods or ():
            self._ends(route.path, parameters)[method] = route.get_route_handler(), parameters

    def _ends(self, path: str, parameters: dict[str, int]) -> Ends:
        if not parameters:
            return self._whole.setdefault(path, {})
        place = self._root
        for segment in path.split("/"):
            place = place.made(segment)
        return place.ends
