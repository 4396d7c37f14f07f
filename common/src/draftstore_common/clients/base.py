"""What every typed client is made of: a model in, a model out, problems raised as problems."""

from typing import TypeVar

from pydantic import BaseModel

from draftstore_common.clients.service_tokens import TokenSource
from draftstore_common.clients.transport import Call, Reply, Transport
from draftstore_common.contracts.identity import Audience
from draftstore_common.kit.errors import RelayedProblem

Model = TypeVar("Model", bound=BaseModel)


class ServiceClient:
    """Calls `/internal/…` routes of one service with this service's token for it.

    Every method raises `RelayedProblem` with the other service's `code` on an error answer, and
    `ServiceUnavailable` when the service does not answer in time.
    """

    audience: Audience

    def __init__(self, transport: Transport, tokens: TokenSource) -> None:
        self._transport = transport
        self._tokens = tokens

    async def _ask(self, path: str, request: BaseModel, answer: type[Model]) -> Model:
        reply = await self._post(path, request)
        return answer.model_validate_json(reply.body)

    async def _tell(self, path: str, request: BaseModel) -> None:
        await self._post(path, request)

    async def _post(self, path: str, request: BaseModel) -> Reply:
        token = await self._tokens.token(self.audience)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        body = request.model_dump_json(exclude_defaults=True).encode()
        reply = await self._transport.send(Call("POST", path, body, headers))
        if reply.status >= 300:
            raise RelayedProblem.parse(reply.status, reply.body, reply.headers.get("retry-after"))
        return reply
