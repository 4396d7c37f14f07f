"""The document of the public API is valid, complete, and says how every operation refuses."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import OpenAPIV31SpecValidator

from draftstore_common.kit.openapi import operations
from draftstore_gateway.routes import ROUTES, RouteTable
from support.document import Document, body_schema, public_document, resolved

DOCUMENT = public_document()
OPERATIONS = list(operations(DOCUMENT))
NAMES = [f"{method.upper()} {path}" for path, method, _ in OPERATIONS]

every_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)


def _statuses(operation: Document) -> set[int]:
    return {int(status) for status in operation["responses"]}


def test_it_is_a_valid_openapi_document() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_it_has_every_route_of_the_gateway_and_nothing_else() -> None:
    table = RouteTable(ROUTES)
    documented = {table.find(method.upper(), re.sub(r"{\w+}", "x", path)) for path, method, _ in OPERATIONS}
    assert documented == set(ROUTES)
    assert all(path.startswith("/api/v1/") for path in DOCUMENT["paths"])


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert sorted(set(names)) == sorted(names)


def test_every_group_of_operations_is_explained() -> None:
    used = {tag for _, _, operation in OPERATIONS for tag in operation["tags"]}
    explained = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    assert used == explained


@every_operation
def test_an_operation_says_what_it_is_for(path: str, method: str, operation: Document) -> None:
    assert len(operation["summary"].split()) >= 2, f"{method} {path}"
    assert not operation["summary"].istitle(), "a sentence somebody wrote, not the name of a function"


@every_operation
def test_every_refusal_is_a_problem_document(path: str, method: str, operation: Document) -> None:
    refusals = {s: resolved(DOCUMENT, r) for s, r in operation["responses"].items() if int(s) >= 400}
    assert refusals, f"{method} {path}"
    for status, refusal in refusals.items():
        content = refusal["content"]
        assert set(content) == {"application/problem+json"}, status
        assert content["application/problem+json"]["schema"]["$ref"] == "#/components/schemas/ProblemDocument"


@every_operation
def test_an_operation_declares_what_the_gateway_answers_in_its_place(
    path: str, method: str, operation: Document
) -> None:
    anonymous = operation["security"] == []
    assert {400, 414, 429, 431, 500, 503} <= _statuses(operation), f"{method} {path}"
    assert ({401, 403} <= _statuses(operation)) is not anonymous
    assert ({408, 413, 415} <= _statuses(operation)) is ("requestBody" in operation)
    assert (404 in _statuses(operation)) or "{" not in path


@every_operation
def test_an_operation_needs_the_scope_the_gateway_checks(path: str, method: str, operation: Document) -> None:
    route = RouteTable(ROUTES).find(method.upper(), re.sub(r"{\w+}", "x", path))
    wanted = [] if route.anonymous else [{"apiKey": [route.scope.value] if route.scope else []}]
    assert operation["security"] == wanted


@every_operation
def test_a_success_tells_where_its_caller_stands(path: str, method: str, operation: Document) -> None:
    for status in _statuses(operation) - set(range(400, 600)):
        headers = operation["responses"][str(status)]["headers"]
        assert {"X-Request-Id", "RateLimit", "RateLimit-Policy"} <= headers.keys(), f"{method} {path} {status}"
        if status == 202:
            assert "Retry-After" in headers or operation["security"] == []


@every_operation
def test_every_body_is_shown_by_an_example_that_fits(path: str, method: str, operation: Document) -> None:
    schema = body_schema(DOCUMENT, operation)
    if schema is None:
        return
    assert schema.get("examples"), f"{method} {path}: give the model of this body an example"
    validator = Draft202012Validator(_whole(schema))
    for example in schema["examples"]:
        assert [error.message for error in validator.iter_errors(example)] == []


def _whole(schema: Document) -> dict[str, Any]:
    """A schema that stands alone, with all it may refer to."""
    return {**schema, "components": {"schemas": DOCUMENT["components"]["schemas"]}}


def test_nothing_of_the_inside_is_in_it() -> None:
    text = json.dumps(DOCUMENT)
    assert "/internal/" not in text
    assert "VerifyRequest" not in text
    assert "HTTPValidationError" not in text
