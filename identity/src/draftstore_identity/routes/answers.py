"""How something that was made is answered: 201; or 200, without its secret, if the request was a repeat."""

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from draftstore_common.kit.openapi import headers
from draftstore_identity.service.outcome import Outcome

_REPLAYED = "Idempotent-Replayed"


def replays(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the answer to a repeat."""
    text = "A request with this Idempotency-Key did it before; a secret that was made is not shown again."
    return {200: {"model": model, "description": text, "headers": headers(_REPLAYED)}}


def answered(outcome: Outcome[Any]) -> Response:
    """The answer, which no cache may keep."""
    made: BaseModel = outcome.made
    fields = {"Cache-Control": "no-store"} | ({_REPLAYED: "true"} if outcome.replayed else {})
    return JSONResponse(made.model_dump(mode="json"), 200 if outcome.replayed else 201, fields)
