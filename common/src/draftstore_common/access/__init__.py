"""Who is calling: turns the bearer token of a request into a principal or a service."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from fastapi import Request

from draftstore_common.contracts.identity import (
    PRINCIPAL_TOKEN,
    SERVICE_TOKEN,
    Audience,
    Principal,
    Scope,
    ServiceName,
)
from draftstore_common.kit.direct import header
from draftstore_common.kit.errors import Forbidden, NotFound
from draftstore_common.kit.tokens import Claims, TokenRefused, TokenVerifier

log = logging.getLogger(__name__)

Meaning = TypeVar("Meaning")


class ScopeMissing(Forbidden):
    """The key is good, but was not given the scope this route needs."""

    code = "scope_missing"


class WrongKeyKind(Forbidden):
    """An admin key on a data route."""

    code = "wrong_key_kind"
    detail = "Use a data key: an admin key issues keys and reaches no data."


class Access:
    """Checks tokens addressed to one service."""

    def __init__(self, verifier: TokenVerifier, audience: Audience) -> None:
        self._verifier = verifier
        self._audience = audience

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of a `principal+jwt`; raises `TokenRefused`."""
        return await self._read(authorization, PRINCIPAL_TOKEN, _principal)

    async def service(self, authorization: str | None) -> str:
        """The name of the service behind a `service+jwt`; raises `TokenRefused`."""
        return await self._read(authorization, SERVICE_TOKEN, _service)

    async def _read(self, authorization: str | None, kind: str, read: Callable[[Claims], Meaning]) -> Meaning:
        token = (authorization or "").removeprefix("Bearer ")
        return await self._verifier.verify(token, audience=self._audience, kind=kind, read=read)


def principal_claims(principal: Principal) -> dict[str, Any]:
    """A principal as claims; the inverse of what `Access.principal` reads."""
    return {
        "sub": str(principal.key_id),
        "tenant": str(principal.tenant_id),
        "lineage": str(principal.lineage),
        "kind": principal.kind,
        "scopes": sorted(principal.scopes),
        "prefixes": list(principal.name_prefixes),
        "audit": principal.access_audit,
    }


def _principal(claims: Claims) -> Principal:
    try:
        return Principal(
            tenant_id=claims["tenant"],
            key_id=claims["sub"],
            lineage=claims["lineage"],
            kind=claims["kind"],
            scopes=frozenset(scope for scope in Scope if scope in claims["scopes"]),  # a newer identity may know more
            name_prefixes=tuple(claims["prefixes"]),
            access_audit=claims["audit"],
        )
    except (KeyError, TypeError, ValueError) as error:
        log.warning("token refused", extra={"reason": f"not the claims of a principal: {error!r}"})
        raise TokenRefused from error


def _service(claims: Claims) -> str:
    return str(claims["sub"])


class _HasAccess(Protocol):
    access: Access


def _access(request: Request) -> Access:
    context: _HasAccess = request.app.state.context
    return context.access


def requires(*scopes: Scope) -> Callable[[Request], Awaitable[Principal]]:
    """A route's dependency: a data key with all these scopes. What it needs is visible in the route's signature."""

    async def dependency(request: Request) -> Principal:
        principal = await _access(request).principal(header(request, "authorization"))
        request.state.principal = principal  # for who puts refusals on record, this one among them
        if principal.kind != "data":
            raise WrongKeyKind
        for scope in scopes:
            check_scope(principal, scope)
        return principal

    dependency.scopes = scopes  # type: ignore[attr-defined]  # read by the test that compares routes with the gateway
    return dependency


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raise `ScopeMissing` unless the key has this scope."""
    if scope not in principal.scopes:
        raise ScopeMissing(f"This key lacks the scope {scope}. Use a key that has it, or have one issued.")


def only(*services: ServiceName) -> Callable[[Request], Awaitable[str]]:
    """An internal route's dependency: one of these services calls. Everyone else sees no such route."""

    async def dependency(request: Request) -> str:
        caller = await _access(request).service(header(request, "authorization"))
        if caller not in services:
            raise NotFound
        return caller

    return dependency
