"""The table of public routes: what is in it, and how a request finds its row."""

import pytest

from draftstore_common.contracts.identity import Audience, Scope
from draftstore_common.kit.errors import NotFound
from draftstore_gateway.errors import WrongMethod
from draftstore_gateway.routes import JSON_LIMIT, ROUTES, RouteTable

TABLE = RouteTable(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/api/v1/upload-url", Scope.DRAFTS_WRITE),
        ("POST", "/api/v1/download-url", Scope.DRAFTS_READ),
        ("POST", "/api/v1/confirm-upload", Scope.DRAFTS_CONFIRM),
        ("DELETE", "/api/v1/drafts/1", Scope.DRAFTS_WRITE),
        ("POST", "/api/v1/drafts/1/confirm", Scope.DRAFTS_CONFIRM),
        ("GET", "/api/v1/objects/a/b%20c", Scope.OBJECTS_READ),
        ("HEAD", "/api/v1/objects/a/b/c/d", Scope.OBJECTS_READ),
        ("DELETE", "/api/v1/objects/a", Scope.OBJECTS_DELETE),
    ],
)
def test_a_data_route_goes_to_drafts_and_needs_its_scope(method: str, path: str, scope: Scope) -> None:
    route = TABLE.find(method, path)
    assert (route.audience, route.scope, route.max_body) == (Audience.DRAFTS, scope, JSON_LIMIT)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/keys"),
        ("GET", "/api/v1/keys/self"),
        ("DELETE", "/api/v1/keys/1"),
        ("DELETE", "/api/v1/keys/self"),
        ("PATCH", "/api/v1/keys/1"),
        ("POST", "/api/v1/keys/import"),
        ("POST", "/api/v1/keys/1/rotate"),
        ("PATCH", "/api/v1/tenants/1"),
        ("GET", "/api/v1/tenants/1"),
    ],
)
def test_keys_and_tenants_go_to_identity_which_decides(method: str, path: str) -> None:
    route = TABLE.find(method, path)
    assert (route.audience, route.scope) == (Audience.IDENTITY, None)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/api",
        "/api/v1/drafts/",
        "/api/v1/drafts/1/",
        "/api/v1/drafts/1/confirm/x",
        "/api/v1/drafts/1/2",
        "/api/v1/objects/",
        "/internal/verify",
        "/metrics",
        "/api/v1/drafts\n",
    ],
)
def test_everything_else_does_not_exist(path: str) -> None:
    with pytest.raises(NotFound):
        TABLE.find("GET", path)


def test_a_wrong_method_learns_which_are_right() -> None:
    with pytest.raises(WrongMethod) as refusal:
        TABLE.find("PUT", "/api/v1/drafts/1")
    assert refusal.value.headers()["Allow"] == "DELETE, GET"


def test_no_route_is_there_twice() -> None:
    assert len({(route.method, route.pattern) for route in ROUTES}) == len(ROUTES)
