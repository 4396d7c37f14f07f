"""Requests made from the document of the public API: so that a route that is new is asked like every other.

What a request refers to (a draft, a key, …) is a *thing*, known by the name of the parameter or field that names it.
A name that is not known here stops the tests: somebody must say what it stands for.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from draftstore_common.contracts import api_keys
from draftstore_common.kit.ids import random_base62
from draftstore_common.kit.openapi import operations
from support.document import Document, body_schema

THINGS = frozenset({"draft_id", "draft_ids", "confirmation_id", "key_id", "tenant_id", "object_name"})

NOT_THINGS = frozenset({"etags", "subject"})
"""Fields that look like references and are none: they narrow what another names."""

Things = Mapping[str, str]


@dataclass(frozen=True)
class Ask:
    """One request."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A route as the document has it."""

    document: Document
    path: str
    method: str
    content: Document

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def name(self) -> str:
        """Its `operationId`."""
        return str(self.content["operationId"])

    @property
    def anonymous(self) -> bool:
        """Whether it needs no key."""
        return bool(self.content["security"] == [])

    @property
    def takes_input(self) -> bool:
        """Whether there is anything to get wrong in a request."""
        return "requestBody" in self.content or bool(self.content.get("parameters"))

    @property
    def scope(self) -> str | None:
        """The scope of a data route; None where the service decides by the kind of key."""
        scopes = [] if self.anonymous else self.content["security"][0]["apiKey"]
        return str(scopes[0]) if scopes else None

    def ask(self, things: Things, only: str | None = None) -> Ask:
        """The request with these things in its path, and in the place called `only`.

        Places beside the path: `query.tenant_id`, `body.draft_id`. Without `only`: whatever must be there.
        """
        place, _, name = (only or "").partition(".")
        query = f"?{name}={quote(_value(name, things), safe='')}" if place == "query" else ""
        return Ask(
            self.method.upper(),
            self._filled_path(things) + query,
            self._body(things, name if place == "body" else None),
            {"Idempotency-Key": random_base62(20)} if "idempotency-key" in self._parameters("header") else {},
        )

    def places(self) -> Iterator[str]:
        """Where it names things: `path`, and each parameter and field that may."""
        if "{" in self.path:
            yield "path"
        for name in self._parameters("query"):
            if _is_thing(name):
                yield f"query.{name}"
        for name, schema in (self._schema or {}).get("properties", {}).items():
            if _is_thing(name, schema):
                yield f"body.{name}"

    @property
    def _schema(self) -> Document | None:
        return body_schema(self.document, self.content)

    def _parameters(self, where: str) -> list[str]:
        found = [parameter for parameter in self.content.get("parameters", []) if parameter["in"] == where]
        return [parameter["name"].lower() if where == "header" else parameter["name"] for parameter in found]

    def _filled_path(self, things: Things) -> str:
        return re.sub(r"{(\w+)}", lambda found: quote(_value(found[1], things)), self.path)

    def _body(self, things: Things, only: str | None) -> Any:
        schema = self._schema
        if schema is None:
            return None
        example = dict(schema["examples"][0])
        for name in example:
            if name in THINGS:
                example[name] = _of_shape(name, things)
            elif name in _FRESH:
                example[name] = _FRESH[name]()
        return example if only is None else example | {only: _of_shape(only, things)}


def all_operations(document: Document) -> list[Operation]:
    """Every operation of the document."""
    return [Operation(document, path, method, content) for path, method, content in operations(document)]


_FRESH: Mapping[str, Callable[[], Any]] = {
    "name": lambda: f"made-{random_base62(12).lower()}",
    "hash": lambda: hashlib.sha256(api_keys.make("live").encode()).hexdigest(),
    "keys": lambda: [api_keys.make("live")],
}
"""Values of examples that can be used once."""


def _is_thing(name: str, schema: Document | None = None) -> bool:
    if name in THINGS:
        return True
    if name in NOT_THINGS:
        return False
    looks_like_one = name.endswith(("_id", "_ids")) or '"uuid"' in str(schema or "").replace("'", '"')
    assert not looks_like_one, f"{name}: say in support.operations what this names"
    return False


def _value(name: str, things: Things) -> str:
    assert name in THINGS, f"{name}: say in support.operations what this names"
    return things["draft_id" if name == "draft_ids" else name]


def _of_shape(name: str, things: Things) -> Any:
    return [_value(name, things)] if name.endswith("s") else _value(name, things)
