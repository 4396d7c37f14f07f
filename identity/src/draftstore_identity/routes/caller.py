"""What the administrative routes share: who calls, and which part of a list."""

from typing import Annotated

from fastapi import Depends, Request
from pydantic import Field

from draftstore_common.contracts import base
from draftstore_common.kit.context import client_address
from draftstore_identity import author
from draftstore_identity.context import Context, context_of

Ctx = Annotated[Context, Depends(context_of)]


async def _caller(request: Request, context: Ctx) -> author.Caller:
    principal = await context.access.principal(request.headers.get("authorization"))
    await context.admin_limit.charge(request, f"key:{principal.lineage}")
    return author.Caller(principal, client_address.get())


Caller = Annotated[author.Caller, Depends(_caller)]
"""Whoever has a living key, within the rate of these routes. What the key may do here is for the services to say."""


class ListQuery(base.Request):
    """Which part of a list."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: base.Cursor | None = None
