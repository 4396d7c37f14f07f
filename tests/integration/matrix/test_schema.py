"""The API keeps what its document says, whatever is sent: no crash, no status, header, type or field it does not name.

The examples are the same in every run.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from starlette.types import ASGIApp, Receive, Scope, Send

from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.kit.ids import uuid7
from support.back_end import BackEnd
from support.document import public_document
from support.fuzzing import CHECKS, AnyCase, Callers, Tale, bounded, without_security
from support.matrix import ALL_SCOPES, World
from support.operations import Operation, all_operations
from support.uvicorn_server import served

DOCUMENT = public_document()
OPERATIONS = all_operations(DOCUMENT)
SCHEMA = schemathesis.openapi.from_dict(without_security(DOCUMENT))

EXAMPLES = 10
"""For each operation, of what its schema allows and of what it does not."""

STORIES, STEPS = 40, 20
"""Chains of requests that use what earlier ones made."""

ENOUGH = 20
"""Operations that succeed in some chain: fewer would mean that the chains lead nowhere."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def callers(back_end: BackEnd, world: World) -> AsyncIterator[Callers]:
    """The suite on a socket, and who calls it."""
    data, admin = await world.key(scopes=sorted(ALL_SCOPES)), await world.key(kind="admin")
    own = frozenset({data["id"], admin["id"], str(DEFAULT_TENANT_ID)})
    async with served(_already_started(back_end.suite.gateway)) as port:
        yield Callers(f"http://127.0.0.1:{port}", data["key"], admin["key"], own)


def _already_started(app: ASGIApp) -> ASGIApp:
    async def without_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("somebody else runs it")
        await app(scope, receive, send)

    return without_lifespan


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.takes_input], ids=str)
async def test_an_operation_answers_as_its_document_says(
    callers: Callers, operation: Operation, mode: GenerationMode
) -> None:
    strategy: Any = SCHEMA[operation.path][operation.method.upper()].as_strategy(generation_mode=mode)

    @bounded(EXAMPLES)
    @given(case=strategy)
    def ask(case: AnyCase) -> None:
        case.validate_response(callers.call(case, DOCUMENT), checks=CHECKS)

    await asyncio.to_thread(ask)


async def test_requests_that_use_what_others_made_are_answered_as_the_document_says(callers: Callers) -> None:
    tale = Tale(callers, DOCUMENT)
    await asyncio.to_thread(tale.tell, STORIES, STEPS)
    assert tale.failures == []
    assert len(tale.succeeded) >= ENOUGH, sorted(set(map(str, OPERATIONS)) - tale.succeeded)


@pytest.mark.parametrize(("take_away", "kind"), [("404", "UndefinedStatusCode"), ("state", "JsonSchemaError")])
async def test_an_answer_the_document_does_not_have_is_found(
    back_end: BackEnd, callers: Callers, take_away: str, kind: str
) -> None:
    document = public_document()
    path = "/api/v1/drafts/{draft_id}"
    if take_away == "404":
        document["paths"][path]["get"]["responses"].pop("404")
        draft_id = str(uuid7())
    else:
        document["components"]["schemas"]["Draft"]["properties"]["state"] = {"type": "integer"}
        caller = replace(back_end, key=callers.data_key)
        draft_id = (await caller.get("POST", "/api/v1/drafts", {"object_name": "a"}, 201))["id"]
    changed = schemathesis.openapi.from_dict(without_security(document))
    case = changed[path]["GET"].Case(path_parameters={"draft_id": draft_id})
    answer = await asyncio.to_thread(callers.call, case, DOCUMENT)
    with pytest.raises(FailureGroup) as found:
        case.validate_response(answer, checks=CHECKS)
    assert [type(failure).__name__ for failure in found.value.exceptions] == [kind]
