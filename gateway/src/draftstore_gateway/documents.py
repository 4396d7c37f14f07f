"""The OpenAPI document of the public API: what the services say of the routes in the gateway's table, and what the
gateway itself answers there.

A route of a service that the table does not forward is left out; so is nothing else.
"""

import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from draftstore_common.clients.transport import Call, ServiceUnavailable, Transport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.flight import SingleFlight
from draftstore_common.kit.openapi import headers, operations, refuse_with, shared_components, used
from draftstore_gateway.routes import Route, RouteTable

MAX_AGE = 60.0
"""Seconds a union is served before the services are asked again."""

FETCH_TIMEOUT = 5.0
"""Seconds all services together have to give their documents."""

FAILURE_PAUSE = 1.0
"""Seconds after a failure in which no service is asked again: anyone may ask us, without a key."""

INTRODUCTION = """Two-stage file uploads: ask for an upload URL, send the bytes straight to the object store, preview
them if you like, and **confirm**. A draft that is never confirmed expires and is removed.

* **Authentication.** `Authorization: Bearer <API key>`. A data key (`ds_live_…`, `ds_test_…`) works in one tenant, with
the scopes each operation names. An admin key (`ds_admin_…`) administers keys and tenants, and reaches no data.
* **Errors** are problem details (RFC 9457) with a stable `code` and the `request_id` under which our logs know the
request. The codes are listed in `docs/errors.md`. What belongs to another tenant is not found.
* **Repeats.** With an `Idempotency-Key`, the same request sent again within 24 hours does nothing more. Confirm,
discard and revoke can be repeated as they are.
* **Lists** come in pages: send `next_cursor` as `cursor` for the next one. What is there throughout is neither skipped
nor doubled.
* **Limits.** `RateLimit` says what is left of each window; a 429 says in `Retry-After` how long to wait.
* **Instants** are RFC 3339 in UTC, ids are UUIDs.
"""

_SECURITY = {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key. Scopes are named as roles."}}

_ANYBODY = (400, 414, 429, 431)
_WITH_BODY = (408, 413, 415)
_WITH_KEY = (401, 403)
_PARAMETER = re.compile(r"\{[^{}]+\}")
_TOLD = headers("X-Request-Id", "RateLimit", "RateLimit-Policy")

Document = dict[str, Any]


class PublicDocument:
    """Fetches the services' documents, once for all who ask meanwhile, and keeps their union for a while."""

    def __init__(self, services: Mapping[Audience, Transport], base: Document, routes: RouteTable) -> None:
        """`base` gives the union its `openapi` version and `info`."""
        self._services = services
        self._base = base
        self._routes = routes
        self._union: Document | None = None
        self._made_at = -math.inf
        self._failed_at = -math.inf
        self._flight = SingleFlight(self._renew, timeout=FETCH_TIMEOUT)

    async def current(self) -> Document:
        """The union, at most `MAX_AGE` old; raises `ServiceUnavailable` if a service does not answer."""
        now = time.monotonic()
        if self._union is not None and now - self._made_at <= MAX_AGE:
            return self._union
        if now - self._failed_at <= FAILURE_PAUSE:
            raise ServiceUnavailable
        try:
            return await self._flight.wait()
        except TimeoutError as error:
            raise ServiceUnavailable from error

    async def _renew(self) -> Document:
        try:
            documents = {audience.value: await _fetch(service) for audience, service in self._services.items()}
        except BaseException:  # the end of our time, too
            self._failed_at = time.monotonic()
            raise
        self._union = unite(self._base, documents, self._routes)
        self._made_at = time.monotonic()
        return self._union


async def _fetch(service: Transport) -> Document:
    reply = await service.send(Call("GET", "/openapi.json"))
    if reply.status != 200:
        raise ServiceUnavailable
    document: Document = json.loads(reply.body)
    return document


def unite(base: Document, documents: Mapping[str, Document], routes: RouteTable) -> Document:
    """One document with the public operations of all. A schema name that two use differently gets its service's."""
    paths: Document = {}
    schemas: Document = {}
    tags: list[Document] = []
    for service, document in documents.items():
        own = _without_clashes(service, document, schemas)
        for path, method, operation in operations(own):
            route = _forwarded(routes, service, method, path)
            if route is not None:
                paths.setdefault(path, {})[method] = _through_gateway(operation, route)
        schemas |= own.get("components", {}).get("schemas", {})
        tags += own.get("tags", [])
    components = {**shared_components(schemas), "securitySchemes": _SECURITY}
    components["schemas"] = used(components["schemas"], {"paths": paths, "responses": components["responses"]})
    return {**base, "tags": tags, "paths": paths, "components": components, "security": [{"apiKey": []}]}


def _forwarded(routes: RouteTable, service: str, method: str, path: str) -> Route | None:
    """The gateway's route for an operation of this service, if it has one."""
    try:
        route = routes.find(method.upper(), _PARAMETER.sub("x", path))
    except Problem:
        return None
    return route if route.audience == service else None


def _through_gateway(operation: Document, route: Route) -> Document:
    """An operation as it is from outside: with the key it needs, and what the gateway refuses and adds."""
    statuses = [*_ANYBODY, *(() if route.anonymous else _WITH_KEY), *(_WITH_BODY if "requestBody" in operation else ())]
    refuse_with(operation, statuses)
    for answer in operation["responses"].values():
        if "$ref" not in answer:
            answer["headers"] = {**answer.get("headers", {}), **_TOLD}
    operation["security"] = [] if route.anonymous else [{"apiKey": [route.scope] if route.scope else []}]
    if route.scope is not None:
        power = f"Needs a data key with the scope `{route.scope}`."
        operation["description"] = "\n\n".join(filter(None, [operation.get("description"), power]))
    return operation


def _without_clashes(service: str, document: Document, taken: Mapping[str, Any]) -> Document:
    schemas: Document = document.get("components", {}).get("schemas", {})
    clashes = {name: f"{service}.{name}" for name, schema in schemas.items() if taken.get(name, schema) != schema}
    text = json.dumps(document)
    for name, own in clashes.items():
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{own}"')
    renamed: Document = json.loads(text)  # a copy, for the caller to complete
    if clashes:
        renamed_schemas = renamed["components"]["schemas"]
        renamed["components"]["schemas"] = {clashes.get(n, n): schema for n, schema in renamed_schemas.items()}
    return renamed
