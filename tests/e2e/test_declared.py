"""What a client declares of its bytes is enforced: by the store when they arrive, and again at confirm."""

import base64
import hashlib
from typing import Any

import pytest

from support.api import Api
from support.rows import draft_key
from support.stack import Stack

CONTENT = b"exactly these bytes"
OTHER = b"other bytes of that"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DECLARED = {"size": len(CONTENT), "content_type": "image/png", "checksum_sha256": SHA256}


async def test_bytes_that_are_as_declared_are_taken(api: Api) -> None:
    receipt = await api.confirm((await api.uploaded("declared/good.png", CONTENT, **DECLARED))["id"])
    assert {name: receipt[name] for name in DECLARED} == DECLARED


async def test_a_checksum_may_be_declared_as_s3_writes_it(api: Api) -> None:
    as_base64 = base64.b64encode(bytes.fromhex(SHA256)).decode()
    draft = await api.uploaded("declared/base64.png", CONTENT, checksum_sha256=as_base64)
    assert (await api.confirm(draft["id"]))["checksum_sha256"] == SHA256


@pytest.mark.parametrize(
    ("declared", "content", "headers"),
    [
        pytest.param({"size": len(CONTENT)}, CONTENT + b"!", {}, id="longer"),
        pytest.param({"size": len(CONTENT)}, CONTENT[:-1], {}, id="shorter"),
        pytest.param({"content_type": "image/png"}, CONTENT, {"content-type": "text/html"}, id="another type"),
        pytest.param({"checksum_sha256": SHA256}, OTHER, {}, id="other bytes"),
        pytest.param(
            {"checksum_sha256": SHA256},
            OTHER,
            {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(OTHER).digest()).decode()},
            id="other bytes with their own checksum",
        ),
    ],
)
async def test_the_store_refuses_a_put_of_anything_else(
    stack: Stack, api: Api, declared: dict[str, Any], content: bytes, headers: dict[str, str]
) -> None:
    draft = await api.draft("declared/refused.png", **declared)
    asked = {name.lower(): value for name, value in draft["upload"]["headers"].items()}
    sent = asked | headers | {"content-length": str(len(content))}
    answer = await api.http.put(draft["upload"]["url"], content=content, headers=sent)
    assert 400 <= answer.status_code < 500, answer.text
    assert await stack.store.head(stack.draft_bucket, await draft_key(stack, draft["id"])) is None
    path = f"/api/v1/drafts/{draft['id']}/confirm"
    assert await api.problem("POST", path, {}) == (409, "draft_not_uploaded")


@pytest.mark.parametrize("header", ["Content-Type", "x-amz-checksum-sha256"])
async def test_the_store_refuses_a_put_that_leaves_a_signed_header_out(api: Api, header: str) -> None:
    draft = await api.draft("declared/left-out.png", **DECLARED)
    asked = draft["upload"]["headers"]
    sent = {name: value for name, value in asked.items() if name.lower() != header.lower()}
    assert len(sent) == len(asked) - 1
    assert 400 <= (await api.put(draft["upload"] | {"headers": sent}, CONTENT)).status_code < 500


async def test_an_upload_url_writes_nothing_but_its_own_key(api: Api) -> None:
    mine, other = await api.draft("declared/mine.bin"), await api.draft("declared/other.bin")
    path = mine["upload"]["url"].partition("?")[0]
    moved = mine["upload"]["url"].replace(path, other["upload"]["url"].partition("?")[0])
    assert (await api.http.put(moved, content=b"x")).status_code == 403


async def test_an_upload_url_with_a_changed_signature_is_refused(api: Api) -> None:
    draft = await api.draft("declared/forged.bin")
    url = draft["upload"]["url"]
    forged = url[:-1] + ("0" if url[-1] != "0" else "1")
    assert (await api.http.put(forged, content=b"x")).status_code == 403


@pytest.mark.parametrize(
    ("declared", "content", "code"),
    [
        pytest.param({"size": 3}, CONTENT, "size_mismatch", id="size"),
        pytest.param({"content_type": "image/png"}, CONTENT, "content_type_mismatch", id="type"),
        pytest.param({"checksum_sha256": SHA256}, OTHER, "checksum_mismatch", id="checksum"),
    ],
)
async def test_bytes_that_came_past_the_declaration_are_refused_at_confirm(
    stack: Stack, api: Api, declared: dict[str, Any], content: bytes, code: str
) -> None:
    """Should a store let pass what was signed, the confirm still judges the bytes against the declaration."""
    draft = await api.draft(f"declared/{code}.png", **declared)
    key = await draft_key(stack, draft["id"])
    await stack.store.write(stack.draft_bucket, key, content, ContentType="text/plain", ChecksumAlgorithm="SHA256")
    assert await api.problem("POST", f"/api/v1/drafts/{draft['id']}/confirm", {}) == (422, code)
    assert await stack.store.head("main", f"declared/{code}.png") is None


async def test_a_receipt_never_vouches_for_a_checksum_that_nobody_computed(stack: Stack, api: Api) -> None:
    """A store that does not know SHA-256 takes any bytes: what the client declared is then only a claim."""
    draft = await api.draft("declared/unproven.bin", checksum_sha256=SHA256)
    await stack.store.write(stack.draft_bucket, await draft_key(stack, draft["id"]), OTHER)
    answer = await api.call("POST", f"/api/v1/drafts/{draft['id']}/confirm", {})
    assert answer.status_code >= 400 or answer.json().get("checksum_sha256") != SHA256, answer.text


@pytest.mark.parametrize("way", ["by name", "by id"])
async def test_a_fresh_url_enforces_what_the_draft_declared(stack: Stack, api: Api, way: str) -> None:
    draft = await api.draft("declared/fresh.png", **DECLARED)
    if way == "by name":
        body = {"object_name": "declared/fresh.png", "draft_id": draft["id"]}
        upload = await api.json("POST", "/api/v1/upload-url", body)
    else:
        upload = (await api.json("POST", f"/api/v1/drafts/{draft['id']}/upload-url")).get("upload")
    upload = {"url": upload.get("upload_url", upload.get("url")), "headers": {}}
    assert 400 <= (await api.put(upload, OTHER)).status_code < 500
    assert await stack.store.head(stack.draft_bucket, await draft_key(stack, draft["id"])) is None


@pytest.mark.parametrize("declared", [{"size": 3}, {"content_type": "image/png"}, {"checksum_sha256": SHA256}])
async def test_what_is_declared_with_a_fresh_url_is_never_silently_dropped(api: Api, declared: dict[str, Any]) -> None:
    """The draft's own declaration stands; one that differs must be refused, or be enforced."""
    draft = await api.draft("declared/again.bin")
    body = {"object_name": "declared/again.bin", "draft_id": draft["id"], **declared}
    answer = await api.call("POST", "/api/v1/upload-url", body)
    if answer.status_code == 200:
        answer = await api.put(answer.json() | {"headers": {"content-type": "text/html"}}, OTHER)
    assert 400 <= answer.status_code < 500


async def test_nothing_the_uploader_slipped_in_survives_the_confirm(stack: Stack, api: Api) -> None:
    draft = await api.draft("declared/slipped.txt", cache_control="no-store", content_type="text/plain")
    slipped = {"CacheControl": "public", "ContentDisposition": "inline", "Metadata": {"evil": "1"}}
    key = await draft_key(stack, draft["id"])
    await stack.store.write(stack.draft_bucket, key, CONTENT, ContentType="text/plain", **slipped)
    await api.confirm(draft["id"])
    found = await stack.store.head("main", "declared/slipped.txt")
    assert found is not None
    assert (found.metadata, found.content_type) == ({}, "text/plain")
    assert (found.cache_control, found.content_disposition) == ("no-store", None)
