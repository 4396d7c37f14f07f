"""Whatever is wrong with a request: its own stable code, a 4xx, and a sentence that says what to do."""

from typing import Any

import pytest

from draftstore_common.kit.ids import uuid7
from support.api import Api, problem_of
from support.rows import age_draft
from support.stack import Stack

NAME_ROUTES = ("/api/v1/upload-url", "/api/v1/download-url", "/api/v1/confirm-upload", "/api/v1/drafts")

BAD_NAMES = [
    pytest.param("", "object_name_empty", id="empty"),
    pytest.param("a/" * 400 + "b", "object_name_too_long", id="801 bytes"),
    pytest.param("é/" * 267, "object_name_too_long", id="801 bytes in 534 characters"),
    pytest.param("a" * 256, "object_name_segment_too_long", id="a segment of 256 bytes"),
    pytest.param("é" * 128, "object_name_segment_too_long", id="a segment of 256 bytes in 128 characters"),
    pytest.param("a/../b", "object_name_dot_segment", id="dot dot"),
    pytest.param("..", "object_name_dot_segment", id="only dot dot"),
    pytest.param("a/./b", "object_name_dot_segment", id="dot"),
    pytest.param("/a", "object_name_slash", id="leading slash"),
    pytest.param("a//b", "object_name_slash", id="double slash"),
    pytest.param("a/", "object_name_slash", id="trailing slash"),
    pytest.param("a\\b", "object_name_backslash", id="backslash"),
    pytest.param("a\x00b", "object_name_control_character", id="NUL"),
    pytest.param("a\nb", "object_name_control_character", id="line feed"),
    pytest.param("a\x7fb", "object_name_control_character", id="DEL"),
    pytest.param("a\x85b", "object_name_control_character", id="C1 control"),
    pytest.param("invoice\u202egnp.exe", "object_name_bidi_character", id="right-to-left override"),
    pytest.param("a\u2066b", "object_name_bidi_character", id="isolate"),
    pytest.param("a\u200fb", "object_name_bidi_character", id="right-to-left mark"),
]


@pytest.mark.parametrize("route", NAME_ROUTES)
@pytest.mark.parametrize(("name", "code"), BAD_NAMES)
async def test_a_bad_object_name_is_refused_for_what_is_wrong_with_it(
    api: Api, route: str, name: str, code: str
) -> None:
    answer = await api.call("POST", route, {"object_name": name})
    assert problem_of(answer) == (422, code)
    assert [error["field"] for error in answer.json()["errors"]] == ["object_name"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param({"size": -1}, "invalid_size", id="negative size"),
        pytest.param({"size": 2**63}, "invalid_size", id="enormous size"),
        pytest.param({"size": "many"}, "invalid_size", id="a size in words"),
        pytest.param({"size": 1.5}, "invalid_size", id="half a byte"),
        pytest.param({"ttl": 59}, "invalid_ttl", id="a lifetime under 60 s"),
        pytest.param({"ttl": 7 * 86_400 + 1}, "invalid_ttl", id="a lifetime over 7 days"),
        pytest.param({"ttl": -60}, "invalid_ttl", id="a negative lifetime"),
        pytest.param({"checksum_sha256": "abc"}, "invalid_checksum", id="a short checksum"),
        pytest.param({"content_type": "not a type"}, "invalid_content_type", id="no media type"),
        pytest.param({"content_type": "text/plain\r\nX-Evil: 1"}, "invalid_content_type", id="a header in a type"),
        pytest.param({"metadata": {"a": 1}}, "invalid_metadata", id="a number as metadata"),
        pytest.param({"objectName": "x"}, "unknown_field", id="an unknown field"),
        pytest.param({"Size": 3}, "unknown_field", id="a field in the wrong case"),
    ],
)
@pytest.mark.parametrize("route", ["/api/v1/drafts", "/api/v1/upload-url"])
async def test_a_bad_field_is_refused_by_name(api: Api, route: str, more: dict[str, Any], code: str) -> None:
    assert await api.problem("POST", route, {"object_name": "bad/field.txt", **more}) == (422, code)


@pytest.mark.parametrize("ttl", [60, 7 * 86_400])
async def test_the_shortest_and_the_longest_lifetime_are_taken(api: Api, ttl: int) -> None:
    await api.draft("bad/not.txt", ttl=ttl)


@pytest.mark.parametrize("route", NAME_ROUTES)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", (422, "missing_field"), id="nothing"),
        pytest.param(b"{", (400, "invalid_json"), id="half an object"),
        pytest.param(b"object_name=a", (400, "invalid_json"), id="a form"),
        pytest.param(b"\xff\xfe", (400, "invalid_json"), id="no text"),
        pytest.param(b'{"object_name": "\xff"}', (400, "invalid_json"), id="a name that is no UTF-8"),
        pytest.param(b"[" * 100_000, (400, "invalid_json"), id="too deep"),
        pytest.param(b"[]", (422, "invalid_request"), id="a list"),
        pytest.param(b"null", (422, "invalid_request"), id="null"),
        pytest.param(b"{}", (422, "missing_field"), id="an empty object"),
        pytest.param(b'{"object_name": 7}', (422, "invalid_object_name"), id="a number for a name"),
        pytest.param(b'{"object_name": "\\ud800"}', (422, "object_name_control_character"), id="a lone surrogate"),
    ],
)
async def test_wrong_json_is_refused(api: Api, route: str, body: bytes, expected: tuple[int, str]) -> None:
    answer = await api.call("POST", route, content=body, headers={"Content-Type": "application/json"})
    assert problem_of(answer) == expected


async def test_unknown_fields_are_refused_on_every_route_that_takes_a_body(api: Api) -> None:
    draft = await api.uploaded("bad/unknown.txt", b"x")
    path = f"/api/v1/drafts/{draft['id']}"
    assert await api.problem("POST", f"{path}/confirm", {"onConflict": "replace"}) == (422, "unknown_field")
    for route in ("/api/v1/download-url", "/api/v1/confirm-upload"):
        body = {"object_name": "bad/unknown.txt", "draftId": draft["id"]}
        assert await api.problem("POST", route, body) == (422, "unknown_field")


@pytest.mark.parametrize("route", ["confirm", "upload-url", "download-url"])
async def test_an_id_that_is_none_is_refused(api: Api, route: str) -> None:
    body: dict[str, str] | None = {} if route == "confirm" else None
    assert await api.problem("POST", f"/api/v1/drafts/nonsense/{route}", body) == (422, "invalid_draft_id")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_limit"),
        ("limit=1001", "invalid_limit"),
        ("limit=x", "invalid_limit"),
        ("cursor=nonsense", "invalid_cursor"),
    ],
)
@pytest.mark.parametrize("route", ["drafts", "objects"])
async def test_a_bad_query_is_refused(api: Api, route: str, query: str, code: str) -> None:
    assert await api.problem("GET", f"/api/v1/{route}?{query}") == (422, code)


async def test_an_unknown_state_in_a_query_is_refused(api: Api) -> None:
    assert await api.problem("GET", "/api/v1/drafts?state=lost") == (422, "invalid_state")


async def test_a_confirm_before_any_bytes_came_says_so_and_can_be_repeated(api: Api) -> None:
    draft = await api.draft("bad/early.txt")
    path = f"/api/v1/drafts/{draft['id']}/confirm"
    assert await api.problem("POST", path, {}) == (409, "draft_not_uploaded")
    by_name = {"object_name": "bad/early.txt"}
    assert await api.problem("POST", "/api/v1/confirm-upload", by_name) == (409, "draft_not_uploaded")
    assert await api.problem("POST", "/api/v1/download-url", by_name) == (409, "draft_not_uploaded")
    assert (await api.put(draft["upload"], b"late")).status_code == 200
    assert (await api.confirm(draft["id"]))["size"] == 4


async def test_a_second_confirm_is_answered_with_the_first_receipt(api: Api) -> None:
    draft = await api.uploaded("bad/twice.txt", b"x")
    first = await api.confirm(draft["id"])
    assert await api.confirm(draft["id"]) == first
    assert await api.confirm(draft["id"], on_conflict="replace") == first


async def test_a_confirm_after_expiry_is_refused_for_good(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("bad/expired.txt", b"x", ttl=60)
    await age_draft(stack, draft["id"], 61)
    path = f"/api/v1/drafts/{draft['id']}"
    assert await api.problem("POST", f"{path}/confirm", {}) == (410, "draft_expired")
    assert await api.problem("POST", f"{path}/upload-url") == (410, "draft_expired")
    assert await api.problem("POST", f"{path}/download-url") == (410, "draft_expired")


async def test_what_does_not_exist_is_not_found(api: Api) -> None:
    draft = f"/api/v1/drafts/{uuid7()}"
    assert await api.problem("GET", draft) == (404, "draft_not_found")
    assert await api.problem("DELETE", draft) == (404, "draft_not_found")
    assert await api.problem("POST", f"{draft}/confirm", {}) == (404, "draft_not_found")
    assert await api.problem("GET", "/api/v1/objects/bad/nothing.txt") == (404, "object_not_found")
    for route in ("confirm-upload", "download-url"):
        body = {"object_name": "bad/nothing.txt"}
        assert await api.problem("POST", f"/api/v1/{route}", body) == (404, "object_not_found")


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(api: Api) -> None:
    assert await api.problem("GET", "/api/v1/nothing") == (404, "not_found")
    answer = await api.call("PATCH", "/api/v1/drafts")
    assert problem_of(answer) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))


async def test_a_taken_name_is_refused_unless_it_may_be_replaced(api: Api) -> None:
    await api.confirmed("bad/taken.txt", b"first")
    draft = await api.uploaded("bad/taken.txt", b"second")
    assert await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {}) == (409, "object_exists")
    assert await api.download(await api.download_url("bad/taken.txt", draft_id=draft["id"])) == b"second"
    assert (await api.confirm(draft["id"], on_conflict="replace"))["size"] == 6


async def test_the_default_tenants_names_never_reach_into_another_tenants_folder(api: Api) -> None:
    body = {"object_name": "tenants/x/main/a.txt"}
    for route in ("drafts", "upload-url"):
        assert await api.problem("POST", f"/api/v1/{route}", body) == (422, "object_name_reserved")


async def test_a_name_is_kept_in_its_composed_form(api: Api) -> None:
    draft = await api.draft("bad/cafe\u0301.txt")
    assert draft["object_name"] == "bad/caf\u00e9.txt"


async def test_a_draft_is_only_found_under_its_own_name(api: Api) -> None:
    draft = await api.uploaded("bad/own-name.txt", b"x")
    body = {"object_name": "bad/other-name.txt", "draft_id": draft["id"]}
    for route in ("confirm-upload", "download-url", "upload-url"):
        assert await api.problem("POST", f"/api/v1/{route}", body) == (404, "draft_not_found")


async def test_by_name_an_expired_draft_is_gone_by_id_and_nothing_by_name(stack: Stack, api: Api) -> None:
    draft = await api.uploaded("bad/expired-by-name.txt", b"x", ttl=60)
    await age_draft(stack, draft["id"], 61)
    asked = {"object_name": "bad/expired-by-name.txt"}
    for route in ("confirm-upload", "download-url"):
        by_id = await api.problem("POST", f"/api/v1/{route}", asked | {"draft_id": draft["id"]})
        assert by_id == (410, "draft_expired")
        assert await api.problem("POST", f"/api/v1/{route}", asked) == (404, "object_not_found")
