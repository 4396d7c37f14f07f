"""The document of the public API, made from the applications as they are, without starting any."""

import json
from typing import Any, cast

from pydantic import SecretStr

from draftstore_gateway.documents import unite
from draftstore_gateway.routes import ROUTES, RouteTable
from draftstore_standalone.suite import Backing, Suite

Document = dict[str, Any]


def public_document() -> Document:
    """What a gateway would answer under /openapi.json."""
    suite = Suite(Backing(SecretStr("postgresql://"), None, {}, lambda _, __: None))
    base = cast("Any", suite.gateway)._operations.openapi()
    documents = {"identity": suite._identity.openapi(), "drafts": suite._drafts.openapi()}
    union: Document = json.loads(json.dumps(unite(base, documents, RouteTable(ROUTES))))
    return union


def resolved(document: Document, thing: Document) -> Document:
    """What a reference refers to; anything else as it is."""
    if "$ref" not in thing:
        return thing
    found: Any = document
    for part in thing["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return cast("Document", found)


def body_schema(document: Document, operation: Document) -> Document | None:
    """The schema of an operation's JSON body, if it takes one."""
    if "requestBody" not in operation:
        return None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    # An optional body is "this, or null".
    return resolved(document, next((part for part in schema.get("anyOf", []) if "$ref" in part), schema))
