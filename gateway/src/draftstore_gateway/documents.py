"""The OpenAPI document of the public API: the union of what the services say of their `/api/…` routes."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from draftstore_common.contracts.identity import Audience
from draftstore_gateway.upstreams import Upstream, fetch

log = logging.getLogger(__name__)

MAX_AGE = 60.0
"""Seconds a union is served before the services are asked again."""

_PUBLIC = "/api/"
_SECURITY = {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `ds_live_…`."}}

Document = dict[str, Any]


class PublicDocument:
    """Fetches the services' documents and keeps their union for a while."""

    def __init__(self, upstreams: Mapping[Audience, Upstream], base: Document) -> None:
        """`base` gives the union its `openapi` version and `info`."""
        self._upstreams = upstreams
        self._base = base
        self._union: Document | None = None
        self._made_at = 0.0

    async def current(self) -> Document:
        """The union, at most `MAX_AGE` old; raises `ServiceUnavailable` if a service does not answer."""
        if self._union is None or time.monotonic() - self._made_at > MAX_AGE:
            documents = {a.value: json.loads(await fetch(u, "/openapi.json")) for a, u in self._upstreams.items()}
            self._union = unite(self._base, documents)
            self._made_at = time.monotonic()
        return self._union


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
