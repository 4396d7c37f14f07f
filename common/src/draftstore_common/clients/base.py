"""What every typed client is made of: a model in, a model out, problems raised as problems."""

import logging

from pydantic import BaseModel

from draftstore_common.clients.service_tokens import ServiceMisconfigured, TokenSource
from draftstore_common.clients.transport import Call, Model, Reply, Transport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.errors import Problem, RelayedProblem
from draftstore_common.kit.tokens import TokenRefused

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""A token that is refused (its signing key was withdrawn, say) is tried once more with another: nothing was done."""

_ABOUT_US = frozenset({"token_refused", "unauthorized", "not_found", "method_not_allowed"})
"""Codes by which a service refuses another service, not the request it came with."""


class ServiceClient:
    """Calls `/internal/…` routes of one service with this service's token for it.

    Every method raises `RelayedProblem` with the other service's `code` on an error answer, and
    `ServiceUnavailable` when the service does not answer in time. `ServiceMisconfigured` when it does not know us.
    """

    audience: Audience

    def __init__(self, transport: Transport, tokens: TokenSource) -> None:
        self._transport = transport
        self._tokens = tokens

    async def _ask(self, path: str, request: BaseModel, answer: type[Model]) -> Model:
        reply = await self._post(path, request)
        return reply.model(answer)

    async def _tell(self, path: str, request: BaseModel) -> None:
        await self._post(path, request)

    async def _post(self, path: str, request: BaseModel) -> Reply:
        for _ in range(ATTEMPTS):
            token = await self._tokens.token(self.audience)
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            reply = await self._transport.send(Call("POST", path, request, headers))
            if reply.status < 300:
                return reply
            if not _refuses_token(reply):
                break
            self._tokens.forget(self.audience, token)
        raise _problem(path, reply)


def _refuses_token(reply: Reply) -> bool:
    return reply.status == 401 and RelayedProblem.parse(401, reply.body, None).code == TokenRefused.code


def _problem(path: str, reply: Reply) -> Problem:
    """What another service's error means here: about the request, or about us."""
    problem = RelayedProblem.parse(reply.status, reply.body, reply.headers.get("retry-after"))
    if problem.code not in _ABOUT_US:
        return problem
    log.error("an internal call was refused", extra={"path": path, "code": problem.code})
    misconfigured = ServiceMisconfigured()
    misconfigured.__cause__ = problem
    return misconfigured
