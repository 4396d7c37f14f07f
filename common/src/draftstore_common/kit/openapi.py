"""What an OpenAPI document says of every route beside its own: how it refuses, and with which headers.

A route names the refusals of its domain (`responses=problems(409)`). All others follow from its shape and are added
here: a body may be no JSON, input may be wrong, a thing in a path may not be there, and anything may fail.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from draftstore_common.kit.errors import PROBLEM_MEDIA_TYPE, ProblemDocument

Document = dict[str, Any]

_MEANINGS: Mapping[int, tuple[str, tuple[str, ...]]] = {
    400: ("The request cannot be read: its framing, its path, or a body that is no JSON.", ()),
    401: ("No API key, or one that opens nothing: unknown, revoked, expired or switched off.", ("WWW-Authenticate",)),
    403: ("The key is good, but lacks the power, comes from the wrong network, or its tenant is suspended.", ()),
    404: ("There is no such thing, or it is somebody else's: both look the same.", ()),
    408: ("The body did not arrive in time.", ()),
    409: ("The state of the thing does not allow this now; `code` says why.", ("Retry-After",)),
    410: ("It was here, and will not come back.", ()),
    413: ("The body is too large.", ()),
    414: ("Path or query are too long.", ()),
    415: ("The body is compressed: send it as it is.", ()),
    422: ("A field is wrong: `code` is that of the first, `errors` names them all.", ()),
    429: ("Too many requests. Wait as long as `Retry-After` says.", ("Retry-After",)),
    431: ("The header section is too large.", ()),
    500: ("Something failed on our side. Report the `request_id` if it persists.", ()),
    502: ("A part of the installation gave an answer that cannot be read.", ("Retry-After",)),
    503: ("Something needed is away for the moment. Nothing was lost: send the same request again.", ("Retry-After",)),
}

_HEADERS: Mapping[str, tuple[str, Document]] = {
    "Retry-After": ("Seconds after which the same request is worth sending again.", {"type": "integer", "minimum": 0}),
    "WWW-Authenticate": ("`Bearer`: the scheme to authenticate with (RFC 9110 §11.6.1).", {"type": "string"}),
    "X-Request-Id": ("The id of this request, as our logs have it.", {"type": "string"}),
    "RateLimit": ("What is left of each window (draft-ietf-httpapi-ratelimit-headers).", {"type": "string"}),
    "RateLimit-Policy": ("The windows that apply.", {"type": "string"}),
    "Location": ("Where the thing that was made can be asked for.", {"type": "string", "format": "uri-reference"}),
    "Idempotent-Replayed": ("`true` when this is the answer to a repeat.", {"type": "string", "enum": ["true"]}),
}

_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
_EVERYWHERE = (500, 502, 503)
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")


def problems(*statuses: int) -> dict[int | str, Document]:
    """For a route's `responses`: the statuses of its own refusals, beside those every route of its shape has."""
    return {status: {"description": _MEANINGS[status][0]} for status in statuses}


def headers(*names: str) -> Document:
    """For an answer's `headers`: references to headers that every document describes alike."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Every operation: its path, its method in lower case, and what the document says of it."""
    for path, item in document.get("paths", {}).items():
        yield from ((path, method, item[method]) for method in _METHODS if method in item)


def describe_problems(document: Document) -> None:
    """Complete a document FastAPI made: refusals of every operation as references to shared answers."""
    for path, method, operation in operations(document):
        _add_refusals(operation, path)
        _summarise(operation)
        if method == "head":
            _without_bodies(operation)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for theirs in ("HTTPValidationError", "ValidationError"):
        schemas.pop(theirs, None)
    document["components"] |= shared_components(schemas)


def used(schemas: Mapping[str, Document], parts: Document) -> Document:
    """Those of the schemas that these parts of a document refer to, directly or through another."""
    found: Document = {}
    names = set(_REFERENCE.findall(json.dumps(parts)))
    while names:
        found |= {name: schemas[name] for name in names}
        names = set(_REFERENCE.findall(json.dumps(found))) - found.keys()
    return dict(sorted(found.items()))


def shared_components(schemas: Mapping[str, Document]) -> Document:
    """The components of a document with these schemas: problems and headers as this module refers to them."""
    _, found = models_json_schema(
        [(ProblemDocument, "serialization")], ref_template="#/components/schemas/{model}", title=None
    )
    return {
        "schemas": {**schemas, **found["$defs"]},
        "responses": {_name(status): _answer(status) for status in _MEANINGS},
        "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()},
    }


def refuse_with(operation: Document, statuses: Iterable[int]) -> None:
    """Say of an operation that it may answer with these problems."""
    answers = operation.setdefault("responses", {})
    answers |= {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in statuses}
    operation["responses"] = dict(sorted(answers.items()))


def _add_refusals(operation: Document, path: str) -> None:
    refusals = {int(status) for status in operation["responses"] if status.isdecimal() and int(status) >= 400}
    refusals.discard(422)  # FastAPI's own word for it
    if "requestBody" in operation:
        refusals |= {400, 422}
    if operation.get("parameters"):
        refusals.add(422)
    if "{" in path:
        refusals.add(404)
    refuse_with(operation, [*refusals, *_EVERYWHERE])


def _summarise(operation: Document) -> None:
    """The first sentence stands in lists of operations, the others below it."""
    summary, _, rest = operation.pop("description", "").partition(".")
    operation["summary"] = summary or operation["summary"]
    operation["description"] = rest.strip()


def _without_bodies(operation: Document) -> None:
    for status, answer in operation["responses"].items():
        if int(status) < 400:
            answer.pop("content", None)


def _name(status: int) -> str:
    return f"problem-{status}"


def _answer(status: int) -> Document:
    text, own = _MEANINGS[status]
    return {
        "description": text,
        "headers": headers("X-Request-Id", *own),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
