"""schemathesis over the public document: what it sends, as whom, and what every answer must be."""

import contextlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis import Case
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.transport import Response as Answer
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.openapi import operations
from support.document import Document
from support.operations import Operation

AnyCase = Case[Any]

FEW_BYTES = 4096


def without_security(document: Document) -> Document:
    """The document for a generator that shall not make up credentials: who calls is for `Callers`."""
    copy: Document = json.loads(json.dumps(document))
    copy.pop("security")
    copy["components"].pop("securitySchemes")
    for _, _, operation in operations(copy):
        operation.pop("security")
    return copy


def upload_what_was_promised(answer: Answer) -> None:
    """Where an answer has an upload URL, send as many bytes as were declared: the way to everything after."""
    draft = answer.json() if answer.status_code in {200, 201} and answer.content else {}
    upload = draft.get("upload") if isinstance(draft, dict) else None
    size = draft.get("size") if upload else None
    if upload and (size or 0) <= FEW_BYTES:
        requests.put(upload["url"], data=b"x" * (5 if size is None else size), headers=upload["headers"], timeout=30)


def is_a_problem(_: Any, response: Answer, case: AnyCase) -> bool | None:
    """Every refusal is a problem document that names its request."""
    if response.status_code < 400 or case.method == "HEAD":
        return None
    problem = response.json()
    assert response.headers["content-type"] == ["application/problem+json"]
    assert problem["status"] == response.status_code
    assert [problem["request_id"]] == response.headers["x-request-id"]
    return None


CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    is_a_problem,
]


def bounded(examples: int, steps: int = 1) -> settings:
    """So many examples, the same in every run."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@dataclass(frozen=True)
class Callers:
    """Who sends requests: a data key with every scope, and an admin key; neither may lose its power on the way."""

    base_url: str
    data_key: str
    admin_key: str
    protected: frozenset[str]
    """Ids of what these keys live by."""

    def call(self, case: AnyCase, document: Document) -> Answer:
        """Send a request with the key it needs."""
        path, method = case.operation.path, case.method.lower()
        operation = Operation(document, path, method, document["paths"][path][method])
        self._spare(case)
        return case.call(base_url=self.base_url, headers=self._headers(operation), timeout=30)

    def _headers(self, operation: Operation) -> dict[str, str]:
        if operation.anonymous:
            return {}
        key = self.data_key if operation.scope is not None else self.admin_key
        if operation.name == "revoke_own_key":
            key = self._spent()
        return {"Authorization": f"Bearer {key}"}

    def _spare(self, case: AnyCase) -> None:
        """Let a request that changes something about our own keys or tenant be about nobody's."""
        if case.method not in {"GET", "HEAD"}:
            for name, value in (case.path_parameters or {}).items():
                if str(value) in self.protected or _same_id(value, self.protected):
                    case.path_parameters[name] = str(uuid7())

    def _spent(self) -> str:
        answer = requests.post(
            f"{self.base_url}/api/v1/keys",
            json={"name": "to be revoked", "scopes": ["drafts:read"]},
            headers={"Authorization": f"Bearer {self.admin_key}"},
            timeout=30,
        )
        return str(answer.json()["key"])


def _same_id(value: Any, ids: frozenset[str]) -> bool:
    """Whether another spelling of a UUID names one of these."""
    try:
        return str(UUID(str(value))) in ids
    except ValueError:
        return False


class Tale:
    """Chains of requests in which later ones use what earlier ones made: each chain from a number of its own.

    The suite remembers what earlier chains did, which Hypothesis takes for a fault of the generator. So failures are
    noted here, where nothing can explain them away.
    """

    def __init__(self, callers: Callers, document: Document) -> None:
        self._callers = callers
        self._document = document
        self.failures: list[str] = []
        self.succeeded: set[str] = set()

    def tell(self, stories: int, steps: int) -> None:
        """Send them all."""
        config = schemathesis.Config.from_dict({"generation": {"mode": "positive"}})
        schema = schemathesis.openapi.from_dict(without_security(self._document), config=config)
        for number in range(stories):
            # Two examples: the first is always the simplest one there is.
            story = seed(number)(self._story(schema.as_state_machine()))
            with contextlib.suppress(Flaky):
                story.run(settings=bounded(2, steps))

    def _story(self, machine: type[Any]) -> type[Any]:
        tale = self

        class Story(machine):  # type: ignore[misc]  # a class made of the document
            def call(self, case: AnyCase, **_: Any) -> Any:
                return tale._callers.call(case, tale._document)

            def after_call(self, response: Any, case: AnyCase) -> None:
                upload_what_was_promised(response)
                if response.status_code < 300:
                    tale.succeeded.add(f"{case.method} {case.operation.path}")

            def validate_response(self, response: Any, case: AnyCase, **_: Any) -> None:
                tale._check(response, case)

        return Story

    def _check(self, response: Any, case: AnyCase) -> None:
        try:
            case.validate_response(response, checks=CHECKS)
        except Exception as error:
            self.failures.append(f"{case.method} {case.operation.path}: {response.status_code} {error}")
            raise
