"""The gateway's table and the services' routes are two views of one thing."""

import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

import draftstore_drafts.routes
import draftstore_identity.routes
import draftstore_metadata.routes
import draftstore_storage.routes
from draftstore_common.contracts.identity import Audience, Scope
from draftstore_common.kit.direct import DirectRoute
from draftstore_gateway.routes import ROUTES

Entry = tuple[str, str, Scope | None]


def _pattern(path: str) -> str:
    """A path with its parameters' names taken out, as either side writes them."""
    return re.sub(r"\{\w+(?::path|\.\.\.)\}", "{rest}", re.sub(r"\{\w+\}", "{}", path))


def _scope(route: APIRoute) -> Scope | None:
    scopes = [scope for part in route.dependant.dependencies for scope in getattr(part.call, "scopes", ())]
    assert len(scopes) <= 1
    return scopes[0] if scopes else None


def _served(router: APIRouter) -> Iterator[Entry]:
    for route in router.routes:
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            yield method, _pattern(route.path), _scope(route)


def _forwarded(audience: Audience) -> set[Entry]:
    return {(route.method, _pattern(route.pattern), route.scope) for route in ROUTES if route.audience == audience}


def test_the_gateway_forwards_what_draft_service_serves_with_the_scope_it_checks() -> None:
    served = set(_served(draftstore_drafts.routes.router))
    assert served == _forwarded(Audience.DRAFTS)
    assert all(scope is not None for _, _, scope in served), "every data route names its scope"


def test_the_gateway_forwards_what_identity_serves() -> None:
    entries = {entry for router in draftstore_identity.routes.PUBLIC for entry in _served(router)}
    served = {entry for entry in entries if entry[1] != "/api/v1/keys/self"}
    assert served == _forwarded(Audience.IDENTITY)


def test_whatever_is_called_often_is_served_directly() -> None:
    routers = [
        draftstore_drafts.routes.router,
        *draftstore_identity.routes.INTERNAL,
        *(each for module in (draftstore_metadata.routes, draftstore_storage.routes) for each in _routers(module)),
    ]
    routes = [route for router in routers for route in router.routes]
    assert [route for route in routes if not isinstance(route, DirectRoute)] == []


def _routers(module: ModuleType) -> list[APIRouter]:
    return [value for value in vars(module).values() if isinstance(value, APIRouter)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern}")
def test_no_internal_route_is_reachable_from_outside(route: object) -> None:
    assert "/internal" not in getattr(route, "pattern", "/internal")
