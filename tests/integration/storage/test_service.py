"""storage-service as other services meet it: through its client, with tokens, over a real store."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from draftstore_common.clients.service_tokens import ServiceMisconfigured
from draftstore_common.clients.storage import StorageClient
from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport, Call, Reply
from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.identity import PRINCIPAL_TOKEN, Audience, ServiceName
from draftstore_common.kit.errors import CannotStart, RelayedProblem
from draftstore_storage.app import create_app
from draftstore_storage.backends import attempts
from draftstore_storage.backends.copying import Copier
from draftstore_storage.backends.drivers import open_store
from draftstore_storage.context import Context
from draftstore_storage.service import StorageService
from integration.storage.conftest import Bench, settings_for
from support.issuer import Issuer
from support.ports import free_port

BODY = b"the bytes of a draft"


@dataclass(frozen=True)
class Running:
    """A running storage-service, and who may call it."""

    app: FastAPI
    issuer: Issuer
    bench: Bench

    def client(self, caller: ServiceName = ServiceName.DRAFTS) -> StorageClient:
        """The client one service has of it."""
        return StorageClient(AsgiTransport(self.app), self.issuer.service(caller))

    async def post(self, path: str, body: Any, *, caller: ServiceName = ServiceName.DRAFTS) -> Any:
        """The answer to a route the client has no method for yet."""
        reply = await self.send(path, body, self.issuer.token(caller, Audience.STORAGE))
        assert reply.status < 300, reply.body
        return json.loads(reply.body or b"null")

    async def send(self, path: str, body: Any, token: str | None) -> Reply:
        """A request with this token."""
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        return await AsgiTransport(self.app).send(Call("POST", path, json.dumps(body).encode(), headers))

    @asynccontextmanager
    async def another_store(self, driver: str, **changes: Any) -> AsyncIterator[None]:
        """The same service, whose store is another from now on: as if the settings' meaning had changed."""
        settings = settings_for(self.bench.server, driver, bucket_name=self.bench.settings.bucket_name, **changes)
        usual: Context = self.app.state.context
        async with open_store(settings) as store:
            copier = Copier(store.objects, store.multipart)
            service = StorageService(store, copier, settings.buckets, settings.store_id)
            self.app.state.context = Context(usual.access, service)
            try:
                yield
            finally:
                self.app.state.context = usual

    async def upload(self, **declared: Any) -> wire.StoredObject:
        """A draft as a client uploads it."""
        key = self.bench.key("drâft +1")
        signed = await self.client().presign_put(wire.PresignPut(key=key, expires_in=60, **declared))
        answer = await self.bench.http.put(signed.url, content=BODY, headers=signed.headers)
        assert answer.status_code == 200, answer.text
        return await self.client().head("draft", key)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(bench: Bench) -> AsyncIterator[Running]:
    issuer = Issuer()
    app = create_app(bench.settings, identity=issuer)
    async with AsgiLifespan(app):
        yield Running(app, issuer, bench)


def copy_of(draft: wire.StoredObject, target: str, **changes: Any) -> wire.CopyRequest:
    return wire.CopyRequest(
        **{
            "source": wire.ObjectRef(role="draft", key=draft.key),
            "target": wire.ObjectRef(role="main", key=target),
            "if_match": draft.etag,
            "size": draft.size,
            "headers": wire.ObjectHeaders(content_type="image/png"),
            **changes,
        }
    )


async def test_a_draft_is_uploaded_looked_at_copied_read_and_deleted(running: Running) -> None:
    client, target = running.client(), running.bench.key("final name.png")
    draft = await running.upload(size=len(BODY), content_type="image/png")
    assert (draft.size, draft.content_type) == (len(BODY), "image/png")
    copied = await client.copy(copy_of(draft, target))
    assert (await client.head("main", target)).etag == copied.etag
    request = wire.PresignGet(role="main", key=target, expires_in=60, content_disposition="attachment")
    answer = await running.bench.http.get((await client.presign_get(request)).url)
    assert (answer.content, answer.headers["content-disposition"]) == (BODY, "attachment")
    assert (await client.delete(wire.DeleteRequest(role="draft", keys=[draft.key]))).failures == []
    with pytest.raises(RelayedProblem) as gone:
        await client.head("draft", draft.key)
    assert (gone.value.code, gone.value.http_status) == ("object_not_found", 404)


async def test_many_uploads_are_signed_at_once_in_their_order(running: Running) -> None:
    asked = [wire.PresignPut(key=running.bench.key(), expires_in=60, size=size) for size in (len(BODY), 1, 2)]
    first, *others = await running.client().presign_puts(asked)
    answer = await running.bench.http.put(first.url, content=BODY, headers=first.headers)
    assert answer.status_code == 200, answer.text
    assert (await running.client().head("draft", asked[0].key)).size == len(BODY)
    assert [signed.headers["Content-Length"] for signed in others] == ["1", "2"]


async def test_one_bad_key_among_many_uploads_refuses_them_all(running: Running) -> None:
    asked = [wire.PresignPut(key=key, expires_in=60) for key in ("good", "not//good")]
    with pytest.raises(RelayedProblem) as refused:
        await running.client().presign_puts(asked)
    assert (refused.value.code, refused.value.http_status) == ("invalid_key", 422)


async def test_a_form_is_signed_and_accepted(running: Running) -> None:
    key = running.bench.key()
    signed = await running.post("/internal/presign/form", {"key": key, "expires_in": 60, "max_size": 100})
    answer = await running.bench.http.post(signed["url"], data=signed["fields"], files={"file": BODY})
    assert answer.status_code == 201, answer.text
    assert (await running.client().head("draft", key)).size == len(BODY)


async def test_an_upload_in_parts_is_begun_listed_and_completed(running: Running) -> None:
    key = running.bench.key()
    begun = await running.post("/internal/multipart/create", {"key": key, "headers": {"content_type": "video/mp4"}})
    upload = {"key": key, "upload_id": begun["upload_id"]}
    signed = await running.post("/internal/presign/part", {**upload, "part_number": 1, "expires_in": 60})
    assert (await running.bench.http.put(signed["url"], content=BODY)).status_code == 200
    (part,) = (await running.post("/internal/multipart/list-parts", upload))["parts"]
    assert (part["part_number"], part["size"]) == (1, len(BODY))
    named = {"part_number": 1, "etag": part["etag"]}
    done = await running.post("/internal/multipart/complete", {**upload, "parts": [named]})
    found = await running.client().head("draft", key)
    assert (found.etag, found.content_type) == (done["etag"], "video/mp4")


async def test_an_upload_in_parts_is_aborted_by_its_id(running: Running) -> None:
    key = running.bench.key()
    begun = await running.post("/internal/multipart/create", {"key": key, "headers": {}})
    ref = wire.MultipartRef(key=key, upload_id=begun["upload_id"])
    cleaner = running.client(ServiceName.CLEANER)
    await cleaner.abort_multipart(ref)
    await cleaner.abort_multipart(ref)
    token = running.issuer.token(ServiceName.DRAFTS, Audience.STORAGE)
    reply = await running.send("/internal/multipart/list-parts", ref.model_dump(), token)
    assert (reply.status, json.loads(reply.body)["code"]) == (404, "upload_not_found")


async def test_the_names_of_the_buckets_are_told(running: Running) -> None:
    info = await running.client().info()
    names = running.bench.settings.buckets
    assert (info.main_bucket, info.draft_bucket, info.store_id) == (names.main, names.draft, "default")


async def test_the_cleaner_lists_looks_and_deletes_and_nothing_else(running: Running) -> None:
    cleaner, draft = running.client(ServiceName.CLEANER), await running.upload()
    assert (await cleaner.now()).now.tzinfo is not None
    assert await cleaner.head("draft", draft.key) == draft
    page = await cleaner.list_keys(wire.ListKeys(role="draft", after=draft.key[:-1], limit=1))
    assert [(entry.key, entry.size, entry.etag) for entry in page.items] == [(draft.key, draft.size, draft.etag)]
    keys = [draft.key, running.bench.key(), "not//a key"]
    failures = (await cleaner.delete(wire.DeleteRequest(role="draft", keys=keys))).failures
    assert [(failure.key, failure.reason) for failure in failures] == [("not//a key", "invalid_key")]
    target = wire.PresignGet(role="main", key="k", expires_in=60)
    listing = running.client().list_keys(wire.ListKeys(role="draft"))
    for attempt in (listing, cleaner.presign_get(target), cleaner.copy(copy_of(draft, "k"))):
        with pytest.raises(ServiceMisconfigured) as refused:
            await attempt
        assert isinstance(refused.value.__cause__, RelayedProblem)
        assert refused.value.__cause__.http_status == 404


async def test_no_route_is_open_to_anyone_else(running: Running) -> None:
    routes = [path for path in running.app.openapi()["paths"] if path.startswith("/internal/")]
    assert len(routes) == 16
    strangers = [
        (None, 401),
        (running.issuer.token(ServiceName.GATEWAY, Audience.STORAGE), 404),
        (running.issuer.token(ServiceName.DRAFTS, Audience.METADATA), 401),
        (running.issuer.token("key", Audience.STORAGE, typ=PRINCIPAL_TOKEN), 401),
        (Issuer().token(ServiceName.DRAFTS, Audience.STORAGE), 401),
    ]
    for path in routes:
        for token, status in strangers:
            assert (await running.send(path, {}, token)).status == status, (path, status)


@pytest.mark.parametrize("key", ["a//b", "../x", "/a", "a/", "s" * 256, "a\nb"])
async def test_a_key_some_store_would_misread_is_refused(running: Running, key: str) -> None:
    client = running.client()
    draft = await running.upload()
    attempts = [
        client.head("main", key),
        client.presign_put(wire.PresignPut(key=key, expires_in=60)),
        client.presign_get(wire.PresignGet(role="main", key=key, expires_in=60)),
        client.copy(copy_of(draft, key)),
    ]
    for attempt in attempts:
        with pytest.raises(RelayedProblem) as refused:
            await attempt
        assert (refused.value.code, refused.value.http_status) == ("invalid_key", 422)


async def test_a_changed_source_is_a_failed_precondition(running: Running) -> None:
    draft = await running.upload()
    with pytest.raises(RelayedProblem) as refused:
        await running.client().copy(copy_of(draft, running.bench.key(), if_match="0" * 32))
    assert (refused.value.code, refused.value.http_status) == ("precondition_failed", 412)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/internal/presign/put", {"key": "k", "expires_in": 0}, "invalid_expires_in"),
        ("/internal/presign/put", {"key": "k", "expires_in": 604_801}, "invalid_expires_in"),
        ("/internal/presign/put", {"key": "k", "expires_in": 60, "size": -1}, "invalid_size"),
        ("/internal/presign/put", {"key": "k", "expires_in": 60, "sise": 1}, "unknown_field"),
        (
            "/internal/presign/put",
            {"key": "k", "expires_in": 60, "content_type": "a/b\r\nx: y"},
            "invalid_content_type",
        ),
        ("/internal/presign/put", {"key": "k", "expires_in": 60, "checksum_sha256": "12"}, "invalid_checksum"),
        ("/internal/objects/head", {"role": "other", "key": "k"}, "invalid_role"),
        ("/internal/objects/delete", {"role": "draft", "keys": []}, "invalid_keys"),
        ("/internal/objects/delete", {"role": "draft", "keys": ["k"] * 1001}, "invalid_keys"),
    ],
)
async def test_a_wrong_request_names_its_field(running: Running, path: str, body: Any, code: str) -> None:
    reply = await running.send(path, body, running.issuer.token(ServiceName.DRAFTS, Audience.STORAGE))
    assert (reply.status, json.loads(reply.body)["code"]) == (422, code)


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_page_has_between_one_and_a_thousand_keys(running: Running, limit: int) -> None:
    token = running.issuer.token(ServiceName.CLEANER, Audience.STORAGE)
    reply = await running.send("/internal/objects/list", {"role": "draft", "limit": limit}, token)
    assert (reply.status, json.loads(reply.body)["code"]) == (422, "invalid_limit")


async def test_wrong_credentials_are_our_fault_and_stand_in_the_log(
    running: Running, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "minio_secret_key" if driver == "minio" else "aws_secret_access_key"
    draft = await running.bench.stored(BODY)
    wrong = {secret: SecretStr("wrong-secret")}
    async with running.another_store(driver, **wrong):
        with pytest.raises(RelayedProblem) as refused:
            await running.client().copy(copy_of(draft, "k"))
    assert (refused.value.code, refused.value.http_status) == ("storage_misconfigured", 500)
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.__dict__["code"] == "storage_misconfigured"
    assert "wrong-secret" not in str(line.__dict__)


async def test_a_store_that_is_away_is_said_to_be_away(
    running: Running, driver: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)
    nowhere = f"127.0.0.1:{free_port()}"
    endpoint = {"minio_endpoint": nowhere} if driver == "minio" else {"s3_endpoint_url": f"http://{nowhere}"}
    async with running.another_store(driver, **endpoint):
        with pytest.raises(RelayedProblem) as refused:
            await running.client().head("draft", "k")
    assert (refused.value.code, refused.value.http_status) == ("storage_unavailable", 503)
    assert refused.value.retry_after is not None
    assert [record.levelname for record in caplog.records if record.levelno >= logging.ERROR] == ["ERROR"]


async def test_a_missing_bucket_is_told_apart_from_a_missing_object(running: Running, driver: str) -> None:
    async with running.another_store(driver, draft_bucket_name="nobody-made-this"):
        with pytest.raises(RelayedProblem) as refused:
            await running.client().head("draft", "k")
    assert (refused.value.code, refused.value.http_status) == ("bucket_not_found", 404)


async def test_success_is_logged_with_numbers_and_never_with_a_signature(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="draftstore_storage"):
        draft = await running.upload()
        await running.client().copy(copy_of(draft, running.bench.key()))
        await running.client().delete(wire.DeleteRequest(role="draft", keys=[draft.key]))
    ours = [record.__dict__ for record in caplog.records if record.name.startswith("draftstore_storage")]
    (copied,) = [line for line in ours if line["message"] == "copied"]
    assert (copied["from"], copied["to"], copied["bytes"]) == ("draft", "main", len(BODY))
    (deleted,) = [line for line in ours if line["message"] == "deleted"]
    assert (deleted["role"], deleted["count"]) == ("draft", 1)
    assert "Signature" not in str(ours)


async def test_it_is_ready_while_both_buckets_are_there(running: Running) -> None:
    reply = await AsgiTransport(running.app).send(Call("GET", "/health/ready"))
    assert reply.status == 200
    assert json.loads(reply.body)["checks"] == {"draft_bucket": "ok", "main_bucket": "ok", "identity": "ok"}


async def test_it_does_not_start_with_wrong_credentials(bench: Bench, driver: str) -> None:
    secret = "minio_secret_key" if driver == "minio" else "aws_secret_access_key"
    settings = bench.settings.model_copy(update={secret: SecretStr("wrong")})
    with pytest.raises(CannotStart, match="credentials"):
        async with AsgiLifespan(create_app(settings, identity=Issuer())):
            pass
