"""The OpenAPI document of the public API: the union of what the services say of their `/api/…` routes."""

import json
import math
import time
from collections.abc import Mapping
from typing import Any

from draftstore_common.clients.transport import Call, ServiceUnavailable, Transport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.flight import SingleFlight

MAX_AGE = 60.0
"""Seconds a union is served before the services are asked again."""

FETCH_TIMEOUT = 5.0
"""Seconds all services together have to give their documents."""

FAILURE_PAUSE = 1.0
"""Seconds after a failure in which no service is asked again: anyone may ask us, without a key."""

_PUBLIC = "/api/"
_SECURITY = {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `ds_live_…`."}}

Document = dict[str, Any]


class PublicDocument:
    """Fetches the services' documents, once for all who ask meanwhile, and keeps their union for a while."""

    def __init__(self, services: Mapping[Audience, Transport], base: Document) -> None:
        """`base` gives the union its `openapi` version and `info`."""
        self._services = services
        self._base = base
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
        self._union = unite(self._base, documents)
        self._made_at = time.monotonic()
        return self._union


async def _fetch(service: Transport) -> Document:
    reply = await service.send(Call("GET", "/openapi.json"))
    if reply.status != 200:
        raise ServiceUnavailable
    document: Document = json.loads(reply.body)
    return document


def unite(base: Document, documents: Mapping[str, Document]) -> Document:
    """One document with the public paths of all. A schema name that two use differently gets the service's name."""
    paths: Document = {}
    schemas: Document = {}
    for service, document in documents.items():
        own = _without_clashes(service, document, schemas)
        paths |= {path: item for path, item in own.get("paths", {}).items() if path.startswith(_PUBLIC)}
        schemas |= own.get("components", {}).get("schemas", {})
    components = {"schemas": schemas, "securitySchemes": _SECURITY}
    return {**base, "paths": paths, "components": components, "security": [{"apiKey": []}]}


def _without_clashes(service: str, document: Document, taken: Mapping[str, Any]) -> Document:
    schemas: Document = document.get("components", {}).get("schemas", {})
    clashes = {name: f"{service}.{name}" for name, schema in schemas.items() if taken.get(name, schema) != schema}
    text = json.dumps(document)
    for name, own in clashes.items():
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{own}"')
    renamed: Document = json.loads(text)
    if clashes:
        renamed_schemas = renamed["components"]["schemas"]
        renamed["components"]["schemas"] = {clashes.get(n, n): schema for n, schema in renamed_schemas.items()}
    return renamed
