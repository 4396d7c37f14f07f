"""Who may do what: keys, scopes, kinds of keys, tenants."""

import time
from typing import Any

import httpx
import pytest

from draftstore_common.contracts import api_keys
from draftstore_common.kit.ids import uuid7
from support.api import Api, problem_of
from support.stack import Stack

ROUTES: list[tuple[str, str, Any, str]] = [
    ("POST", "/api/v1/upload-url", {"object_name": "auth/x"}, "drafts:write"),
    ("POST", "/api/v1/download-url", {"object_name": "auth/x"}, "drafts:read"),
    ("POST", "/api/v1/confirm-upload", {"object_name": "auth/x"}, "drafts:confirm"),
    ("POST", "/api/v1/drafts", {"object_name": "auth/x"}, "drafts:write"),
    ("GET", "/api/v1/drafts", None, "drafts:read"),
    ("GET", f"/api/v1/drafts/{uuid7()}", None, "drafts:read"),
    ("DELETE", f"/api/v1/drafts/{uuid7()}", None, "drafts:write"),
    ("POST", f"/api/v1/drafts/{uuid7()}/upload-url", None, "drafts:write"),
    ("POST", f"/api/v1/drafts/{uuid7()}/download-url", None, "drafts:read"),
    ("POST", f"/api/v1/drafts/{uuid7()}/confirm", {}, "drafts:confirm"),
    ("POST", f"/api/v1/drafts/{uuid7()}/extend", None, "drafts:write"),
    ("POST", f"/api/v1/drafts/{uuid7()}/restore", None, "drafts:write"),
    ("GET", f"/api/v1/drafts/{uuid7()}/events", None, "drafts:read"),
    ("GET", "/api/v1/events", None, "drafts:read"),
    ("POST", "/api/v1/confirmations", {"draft_ids": [str(uuid7())]}, "drafts:confirm"),
    ("GET", f"/api/v1/confirmations/{uuid7()}", None, "drafts:confirm"),
    ("POST", f"/api/v1/confirmations/{uuid7()}/commit", None, "drafts:confirm"),
    ("POST", f"/api/v1/confirmations/{uuid7()}/rollback", None, "drafts:confirm"),
    ("GET", "/api/v1/objects", None, "objects:read"),
    ("GET", "/api/v1/objects/auth/x", None, "objects:read"),
    ("DELETE", "/api/v1/objects/auth/x", None, "objects:delete"),
]

DATA_SCOPES = {scope for *_, scope in ROUTES}


async def upload_asked_with(stack: Stack, headers: dict[str, str]) -> httpx.Response:
    async with stack.api(None) as api:
        return await api.call("POST", "/api/v1/upload-url", {"object_name": "auth/x"}, headers=headers)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        pytest.param(None, "api_key_missing", id="none"),
        pytest.param("Bearer", "api_key_malformed", id="empty"),
        pytest.param("Bearer nonsense", "api_key_malformed", id="nonsense"),
        pytest.param(f"Bearer {api_keys.make('live')[:-1]}", "api_key_malformed", id="cut short"),
        pytest.param(f"Bearer {api_keys.make('live')[:-6]}zzzzzz", "api_key_malformed", id="mistyped"),
        pytest.param("Basic dXNlcjpwYXNz", "api_key_malformed", id="another scheme"),
        pytest.param(f"Bearer {api_keys.make('live')}", "api_key_unknown", id="unknown"),
        pytest.param(f"Bearer {api_keys.make('admin')}", "api_key_unknown", id="unknown admin key"),
    ],
)
async def test_without_a_good_key_nothing_is_done(stack: Stack, header: str | None, code: str) -> None:
    answer = await upload_asked_with(stack, {} if header is None else {"Authorization": header})
    assert problem_of(answer) == (401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_key_stops_working_within_the_published_bound(stack: Stack, admin: Api) -> None:
    key = await stack.issue_key()
    async with stack.api(key["key"]) as api:
        await api.draft("auth/before.txt")
        assert (await admin.call("DELETE", f"/api/v1/keys/{key['id']}")).is_success
        bound = time.monotonic() + 5
        answer = await api.call("GET", "/api/v1/drafts")
        while answer.status_code == 200 and time.monotonic() < bound:
            answer = await api.call("GET", "/api/v1/drafts")
        answer = await api.call("GET", "/api/v1/drafts")  # one more, sent when the bound is over at the latest
        assert problem_of(answer) == (401, "api_key_revoked")


async def test_an_expired_key_is_refused(stack: Stack) -> None:
    key = await stack.issue_key()
    await stack.sql("UPDATE identity.keys SET expires_at = now() - interval '1 second' WHERE id = $1", key["id"])
    answer = await upload_asked_with(stack, {"Authorization": f"Bearer {key['key']}"})
    assert problem_of(answer) == (401, "api_key_expired")


@pytest.mark.parametrize(("method", "path", "body", "scope"), ROUTES)
async def test_every_data_route_needs_its_own_scope(
    stack: Stack, method: str, path: str, body: Any, scope: str
) -> None:
    key = await stack.issue_key(scopes=sorted(DATA_SCOPES - {scope}))
    async with stack.api(key["key"]) as api:
        answer = await api.call(method, path, body)
    assert problem_of(answer) == (403, "scope_missing")
    assert scope in answer.json()["detail"]


async def test_whoever_writes_a_draft_need_not_be_able_to_confirm_it(stack: Stack, api: Api) -> None:
    writer = await stack.issue_key(scopes=["drafts:write"])
    async with stack.api(writer["key"]) as writing:
        draft = await writing.uploaded("auth/written.txt", b"bytes")
        path = f"/api/v1/drafts/{draft['id']}/confirm"
        assert await writing.problem("POST", path, {}) == (403, "scope_missing")
    assert (await api.confirm(draft["id"]))["size"] == 5


@pytest.mark.parametrize(("method", "path", "body", "scope"), ROUTES)
async def test_an_admin_key_is_refused_on_data_routes(
    admin: Api, method: str, path: str, body: Any, scope: str
) -> None:
    assert scope
    assert await admin.problem(method, path, body) == (403, "wrong_key_kind")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/tenants", None),
        ("POST", "/api/v1/tenants", {"name": "mine"}),
        ("GET", "/api/v1/keys", None),
        ("POST", "/api/v1/keys", {"name": "more", "scopes": ["drafts:read"]}),
        ("POST", "/api/v1/keys", {"name": "more", "kind": "admin"}),
    ],
)
async def test_a_data_key_is_refused_on_admin_routes(api: Api, method: str, path: str, body: Any) -> None:
    status, code = await api.problem(method, path, body)
    assert status == 403
    assert code in {"wrong_key_kind", "scope_missing"}


async def test_a_foreign_draft_looks_exactly_like_a_missing_one(api: Api, foreigner: Api) -> None:
    draft = await api.uploaded("auth/mine.txt", b"mine")
    missing = str(uuid7())
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/upload-url", None),
        ("POST", "/extend", {"ttl": 60}),
        ("POST", "/restore", None),
        ("GET", "/events", None),
        ("POST", "/confirm", {"mode": "prepare"}),
        ("POST", "/download-url", None),
        ("POST", "/confirm", {}),
        ("POST", "/confirm", {"on_conflict": "replace"}),
    ]
    for method, more, body in calls:
        theirs = await foreigner.call(method, f"/api/v1/drafts/{draft['id']}{more}", body)
        nobodys = await foreigner.call(method, f"/api/v1/drafts/{missing}{more}", body)
        assert theirs.status_code == 404
        assert looks(theirs, draft["id"]) == looks(nobodys, missing)
    assert (await api.confirm(draft["id"]))["size"] == 4


async def test_foreign_names_look_exactly_like_missing_ones(api: Api, foreigner: Api) -> None:
    await api.confirmed("auth/object.txt", b"mine")
    await api.uploaded("auth/waiting.txt", b"mine")
    for name in ("auth/object.txt", "auth/waiting.txt"):
        for method, path, body in (
            ("POST", "/api/v1/download-url", {"object_name": name}),
            ("POST", "/api/v1/confirm-upload", {"object_name": name}),
            ("GET", f"/api/v1/objects/{name}", None),
        ):
            theirs = await foreigner.call(method, path, body)
            other = {"object_name": "auth/nothing.txt"} if body else None
            nobodys = await foreigner.call(method, path.replace(name, "auth/nothing.txt"), other)
            assert theirs.status_code == 404
            assert looks(theirs, name) == looks(nobodys, "auth/nothing.txt")


async def test_naming_a_foreign_draft_by_id_does_not_help(api: Api, foreigner: Api) -> None:
    draft = await api.uploaded("auth/named.txt", b"mine")
    for route in ("download-url", "confirm-upload", "upload-url"):
        body = {"object_name": "auth/named.txt", "draft_id": draft["id"]}
        assert await foreigner.problem("POST", f"/api/v1/{route}", body) == (404, "draft_not_found")


async def test_tenants_use_the_same_names_without_meeting(stack: Stack, api: Api, foreigner: Api) -> None:
    mine = await api.confirmed("auth/same.txt", b"mine")
    theirs = await foreigner.confirmed("auth/same.txt", b"theirs")
    assert mine["final_location"] == "main/auth/same.txt"
    assert theirs["final_location"].startswith("main/tenants/")
    assert await api.download(await api.download_url("auth/same.txt")) == b"mine"
    assert await foreigner.download(await foreigner.download_url("auth/same.txt")) == b"theirs"
    assert await stack.store.read("main", theirs["final_location"].removeprefix("main/")) == b"theirs"
    listed = await foreigner.json("GET", "/api/v1/objects")
    assert [item["object_name"] for item in listed["items"]] == ["auth/same.txt"]
    assert (await foreigner.call("DELETE", "/api/v1/objects/auth/same.txt")).is_success
    assert await api.download(await api.download_url("auth/same.txt")) == b"mine"


async def test_a_key_reaches_only_names_with_its_prefixes(stack: Stack, api: Api) -> None:
    closed = await api.confirmed("auth/closed/a.txt", b"closed")
    key = await stack.issue_key(name_prefixes=["auth/open/"])
    async with stack.api(key["key"]) as limited:
        await limited.confirmed("auth/open/a.txt", b"open")
        refused = (403, "object_name_not_allowed")
        for route in ("drafts", "upload-url", "download-url", "confirm-upload"):
            assert await limited.problem("POST", f"/api/v1/{route}", {"object_name": "auth/closed/a.txt"}) == refused
        for method in ("GET", "DELETE"):  # there or not: it looks the same
            there = await limited.problem(method, "/api/v1/objects/auth/closed/a.txt")
            nothing = await limited.problem(method, "/api/v1/objects/auth/closed/nothing.txt")
            assert there == nothing
            assert there in {refused, (404, "object_not_found")}
        assert await limited.problem("GET", "/api/v1/objects?prefix=auth/") == refused
        assert await limited.problem("GET", "/api/v1/objects") == refused
        listed = await limited.json("GET", "/api/v1/objects?prefix=auth/open/")
        assert [item["object_name"] for item in listed["items"]] == ["auth/open/a.txt"]
    assert await api.confirm(closed["draft_id"]) == closed
    assert await api.download(await api.download_url("auth/closed/a.txt")) == b"closed"


def looks(answer: httpx.Response, named: str) -> tuple[int, dict[str, Any], set[str]]:
    """All of an answer that a caller could tell apart: without the request id, and with what was named made equal."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, {k: str(v).replace(named, "<named>") for k, v in body.items()}, set(answer.headers)
