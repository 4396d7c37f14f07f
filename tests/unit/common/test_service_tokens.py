"""A service's token that is refused is replaced once; a caller's own 401 is the caller's."""

from datetime import UTC, datetime, timedelta
from typing import Self

import pytest

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceMisconfigured, ServiceTokens
from draftstore_common.clients.transport import Call, Reply
from draftstore_common.contracts.identity import Audience, Changes, ChangesRequest, ServiceToken, VerifyRequest
from draftstore_common.kit.errors import Problem, RelayedProblem, Unauthorized
from draftstore_common.kit.tokens import TokenRefused


class Identity:
    """Gives out tokens by number, and accepts those from a number on."""

    def __init__(self) -> None:
        self.given = 0
        self.accepts_from = 1
        self.calls = 0
        self.answer: Problem | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, call: Call) -> Reply:
        if call.path == "/internal/service-token":
            self.given += 1
            token = ServiceToken(token=str(self.given), expires_at=datetime.now(UTC) + timedelta(minutes=5))
            return Reply(200, {}, token.model_dump_json().encode())
        self.calls += 1
        if int(call.headers["authorization"].removeprefix("Bearer ")) < self.accepts_from:
            return _refusal(TokenRefused())
        return _refusal(self.answer) if self.answer else Reply(200, {}, Changes(sequence=7).model_dump_json().encode())


def _refusal(problem: Problem) -> Reply:
    return Reply(problem.status, {}, problem.document("-").model_dump_json().encode())


def client(identity: Identity) -> IdentityClient:
    return IdentityClient(identity, ServiceTokens(identity, "a service key"))


async def test_a_token_whose_key_was_withdrawn_is_replaced_and_the_call_is_made_again() -> None:
    identity = Identity()
    calls = client(identity)
    await calls.changes(ChangesRequest())
    identity.accepts_from = 2
    assert (await calls.changes(ChangesRequest())).sequence == 7
    await calls.changes(ChangesRequest())
    assert (identity.given, identity.calls) == (2, 4)


async def test_a_service_that_is_refused_whatever_token_it_shows_asks_twice_and_not_for_ever() -> None:
    identity = Identity()
    identity.accepts_from = 100
    with pytest.raises(ServiceMisconfigured):
        await client(identity).changes(ChangesRequest())
    assert (identity.given, identity.calls) == (2, 2)


async def test_a_refusal_of_the_callers_key_is_no_refusal_of_the_token() -> None:
    identity = Identity()
    identity.answer = Unauthorized(code="api_key_unknown")
    calls = client(identity)
    for _ in range(2):
        with pytest.raises(RelayedProblem) as refused:
            await calls.verify(VerifyRequest(secret="nobody's", audience=Audience.DRAFTS))
        assert refused.value.code == "api_key_unknown"
    assert (identity.given, identity.calls) == (1, 2)
