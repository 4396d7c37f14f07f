"""Leak reports, for whoever found a secret. No key is needed; the gateway vouches for where the report comes from."""

from fastapi import APIRouter, Depends, Request, Response

from draftstore_common.access import only
from draftstore_common.contracts.administration import LeakReport
from draftstore_common.contracts.identity import ServiceName
from draftstore_common.kit.context import client_address
from draftstore_identity.author import anonymous
from draftstore_identity.limits import per_address
from draftstore_identity.routes.caller import Ctx

router = APIRouter(prefix="/api/v1", tags=["leaks"], dependencies=[Depends(only(ServiceName.GATEWAY))])


@router.post("/keys/revoke-leaked", status_code=202, response_class=Response, openapi_extra={"security": []})
async def revoke_leaked_keys(body: LeakReport, request: Request, context: Ctx) -> None:
    """Revoke keys that were found where they should not be, for ever.

    The answer is the same whether they were keys of this installation or not.
    """
    ip = client_address.get()
    await context.admin_limit.charge(request, per_address(ip))
    await context.leaks.revoke(anonymous(ip), body.keys)
