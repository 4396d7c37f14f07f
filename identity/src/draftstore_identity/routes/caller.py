"""What the administrative routes share: who calls, and which part of a list."""

from typing import Annotated

from fastapi import Depends, Request
from pydantic import Field

from draftstore_common.contracts import base
from draftstore_common.contracts.identity import Principal
from draftstore_identity.context import Context, context_of

Ctx = Annotated[Context, Depends(context_of)]


async def _principal(request: Request, context: Ctx) -> Principal:
    principal = await context.access.principal(request.headers.get("authorization"))
    request.state.principal = principal
    return principal


async def _within_limit(
    request: Request, context: Ctx, principal: Annotated[Principal, Depends(_principal)]
) -> Principal:
    await context.admin_limit.charge(request)
    return principal


Caller = Annotated[Principal, Depends(_within_limit)]
"""Whoever has a living key, within the rate of these routes. What the key may do here is for the services to say."""


class ListQuery(base.Request):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: base.Cursor | None = None
