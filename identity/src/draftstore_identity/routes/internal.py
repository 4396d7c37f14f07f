"""Verification and tokens, for services."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from draftstore_common.access import only
from draftstore_common.contracts.identity import ServiceName, ServiceToken, ServiceTokenRequest, Verdict, VerifyRequest
from draftstore_identity.routes.caller import Ctx

router = APIRouter(tags=["internal"])


@router.post("/internal/verify", dependencies=[Depends(only(ServiceName.GATEWAY))])
async def verify(body: VerifyRequest, context: Ctx) -> Verdict:
    """Whose key this is, and a token for one service."""
    return await context.verify.verify(body)


@router.post("/internal/service-token")
async def service_token(body: ServiceTokenRequest, request: Request, context: Ctx) -> ServiceToken:
    """A token for the service whose key is in Authorization."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return context.service_tokens.issue(key, body.audience)


@router.get("/.well-known/jwks.json")
async def jwks(context: Ctx) -> dict[str, list[dict[str, Any]]]:
    """The public keys that tokens are checked with (RFC 7517)."""
    return await context.store.jwks()
