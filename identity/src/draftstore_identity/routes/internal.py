"""Verification and tokens, for services."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from draftstore_common.access import only
from draftstore_common.contracts.audit import AccessEvents
from draftstore_common.contracts.identity import (
    Changes,
    ChangesRequest,
    ServiceName,
    ServiceToken,
    ServiceTokenRequest,
    Verdict,
    VerifyRequest,
)
from draftstore_common.kit.context import DRAINING
from draftstore_common.kit.direct import DirectRoute
from draftstore_identity.routes.caller import Ctx

router = APIRouter(route_class=DirectRoute, tags=["internal"])


@router.post("/internal/verify", dependencies=[Depends(only(ServiceName.GATEWAY))])
async def verify(body: VerifyRequest, context: Ctx) -> Verdict:
    """Whose key this is, and a token for one service."""
    return await context.verify.verify(body)


@router.post("/internal/changes", dependencies=[Depends(only(ServiceName.GATEWAY))])
async def changes(body: ChangesRequest, request: Request, context: Ctx) -> Changes:
    """What changed about keys and tenants, waiting for something to."""
    return await context.feed.changes(body, getattr(request.state, DRAINING, None))


@router.post(
    "/internal/access-events",
    status_code=204,
    dependencies=[Depends(only(ServiceName.GATEWAY, ServiceName.DRAFTS))],
)
async def access_events(body: AccessEvents, context: Ctx) -> None:
    """Keep accesses in the audit log."""
    await context.audit.keep(body.events)


@router.post("/internal/service-token")
async def service_token(body: ServiceTokenRequest, request: Request, context: Ctx) -> ServiceToken:
    """A token for the service whose key is in Authorization."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return context.service_tokens.issue(key, body.audience)


@router.get("/.well-known/jwks.json")
async def jwks(context: Ctx) -> dict[str, list[dict[str, Any]]]:
    """The public keys that tokens are checked with (RFC 7517)."""
    return await context.store.jwks()
