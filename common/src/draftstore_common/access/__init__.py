"""Who is calling: turns the bearer token of a request into a principal or a service."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID

from fastapi import Request

from draftstore_common.contracts.identity import (
    PRINCIPAL_TOKEN,
    SERVICE_TOKEN,
    Audience,
    KeyKind,
    Principal,
    Scope,
    ServiceName,
)
from draftstore_common.kit.errors import Forbidden, NotFound
from draftstore_common.kit.tokens import Claims, TokenVerifier


class ScopeMissing(Forbidden):
    """The key is good, but was not given the scope this route needs."""

    code = "scope_missing"


class WrongKeyKind(Forbidden):
    """An admin key on a data route, or a data key on an admin route."""

    code = "wrong_key_kind"


class Access:
    """Checks tokens addressed to one service."""

    def __init__(self, verifier: TokenVerifier, audience: Audience) -> None:
        self._verifier = verifier
        self._audience = audience

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of a `principal+jwt`; raises `TokenRefused`."""
        return _principal(await self._claims(authorization, PRINCIPAL_TOKEN))

    async def service(self, authorization: str | None) -> str:
        """The name of the service behind a `service+jwt`; raises `TokenRefused`."""
        return str((await self._claims(authorization, SERVICE_TOKEN))["sub"])

    async def _claims(self, authorization: str | None, kind: str) -> Claims:
        token = (authorization or "").removeprefix("Bearer ")
        return await self._verifier.verify(token, audience=self._audience, kind=kind)


def principal_claims(principal: Principal) -> dict[str, Any]:
    """A principal as claims; the inverse of what `Access.principal` reads."""
    return {
        "sub": str(principal.key_id),
        "tenant": str(principal.tenant_id),
        "kind": principal.kind,
        "scopes": sorted(principal.scopes),
        "prefixes": list(principal.name_prefixes),
    }


def _principal(claims: Claims) -> Principal:
    return Principal(
        tenant_id=UUID(claims["tenant"]),
        key_id=UUID(claims["sub"]),
        kind=claims["kind"],
        scopes=frozenset(Scope(scope) for scope in claims["scopes"]),
        name_prefixes=tuple(claims["prefixes"]),
    )


class _HasAccess(Protocol):
    access: Access


def _access(request: Request) -> Access:
    context: _HasAccess = request.app.state.context
    return context.access


def requires(*scopes: Scope) -> Callable[[Request], Awaitable[Principal]]:
    """A route's dependency: a data key with all these scopes. What it needs is visible in the route's signature."""

    async def dependency(request: Request) -> Principal:
        principal = await _access(request).principal(request.headers.get("authorization"))
        _check_kind(principal, "data")
        for scope in scopes:
            if scope not in principal.scopes:
                raise ScopeMissing(f"This key lacks the scope {scope}. Use a key that has it, or have one issued.")
        return principal

    dependency.scopes = scopes  # type: ignore[attr-defined]  # read by the test that compares routes with the gateway
    return dependency


def _check_kind(principal: Principal, kind: KeyKind) -> None:
    if principal.kind != kind:
        text = "Use a data key: an admin key issues keys and reaches no data."
        raise WrongKeyKind(text if kind == "data" else "Use an admin key for this.")


def only(*services: ServiceName) -> Callable[[Request], Awaitable[str]]:
    """An internal route's dependency: one of these services calls. Everyone else sees no such route."""

    async def dependency(request: Request) -> str:
        caller = await _access(request).service(request.headers.get("authorization"))
        if caller not in services:
            raise NotFound
        return caller

    return dependency
