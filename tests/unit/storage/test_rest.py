"""The client of S3's REST API against answers no store should give, and networks as they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from draftstore_common.contracts import storage as wire
from draftstore_common.kit.context import set_timeout
from draftstore_storage import errors
from draftstore_storage.backends import attempts
from draftstore_storage.backends.copying import Copier
from draftstore_storage.backends.drivers import open_store
from draftstore_storage.backends.protocols import Store, Upload
from draftstore_storage.backends.rest import client, documents
from draftstore_storage.domain import Buckets
from draftstore_storage.service import StorageService
from draftstore_storage.settings import StorageSettings
from support.scripted_store import ScriptedStore, answer, failure, scripted

DATED = {"last_modified": "Mon, 04 May 2026 12:00:00 GMT", "etag": '"abc"'}
FOUND = answer(200, **DATED)
KEPT = answer(200, **DATED, connection="keep-alive")
BEGUN = "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
COPIED = "<CopyObjectResult><ETag>&quot;abc&quot;</ETag></CopyObjectResult>"
BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x><ETag>&b;</ETag></x>'


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)


@asynccontextmanager
async def store_of(server: ScriptedStore, endpoint: str | None = None) -> AsyncIterator[Store]:
    settings = StorageSettings(
        s3_endpoint_url=endpoint or f"http://127.0.0.1:{server.port}",
        aws_access_key_id="AK",
        aws_secret_access_key=SecretStr("secret"),
    )
    async with open_store(settings) as store:
        yield store


def service_over(store: Store) -> StorageService:
    copier = Copier(store.objects, store.multipart)
    return StorageService(store, copier, Buckets(main="main", draft="main-draft"), "store")


async def copy(store: Store) -> str:
    source, target = wire.ObjectRef(role="draft", key="k"), wire.ObjectRef(role="main", key="k")
    return await store.objects.copy(source, target, if_match="abc", headers=wire.ObjectHeaders())


@pytest.mark.parametrize("body", ["", "<html>", "<CopyObjectResult/>", BOMB])
async def test_a_copy_without_an_etag_never_counts_as_done(body: str) -> None:
    async with scripted(answer(200, body)) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await copy(store)


@pytest.mark.parametrize("missing", ["etag", "last_modified"])
async def test_an_object_without_what_every_store_says_of_one_is_no_answer(missing: str) -> None:
    said = {name: value for name, value in DATED.items() if name != missing}
    async with scripted(answer(200, **said)) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await store.objects.head("draft", "k")


async def test_blanks_that_keep_a_connection_open_are_no_part_of_the_answer() -> None:
    async with scripted(answer(200, "  \n \n" + COPIED)) as server, store_of(server) as store:
        assert await copy(store) == "abc"


@pytest.mark.parametrize("body", [BOMB.encode(), BOMB.encode("utf-16"), b"\xff\xfe\x00", b"<a>\xc3</a>"])
def test_a_document_that_could_grow_or_hide_is_not_read(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"document type|decode|token"):
        documents.parse(body)


def test_names_of_a_document_are_found_in_any_namespace() -> None:
    for space in ("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ' xmlns="http://other.test/"'):
        root = documents.parse(f"<CopyObjectResult{space}><ETag>abc</ETag></CopyObjectResult>".encode())
        assert documents.etag_of(root) == "abc"


def test_every_key_of_a_batch_arrives_as_it_was_given() -> None:
    keys = ["a&b", "<c>", "d'\"e", "ü 名", "]]>", " f "]
    root = documents.parse(documents.delete_request(keys))
    assert [each.text for each in root.iterfind("{*}Object/{*}Key")] == keys


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 1000)
    async with scripted(answer(200, "<x>" + "y" * 2000 + "</x>")) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await copy(store)


async def test_a_redirect_is_not_followed() -> None:
    elsewhere = answer(301, location="http://127.0.0.1:1/evil")
    async with scripted(elsewhere) as server, store_of(server) as store:
        with pytest.raises(errors.Denied):
            await store.objects.head("draft", "k")
    assert len(server.requests) == 1


async def test_connections_are_used_again_and_one_that_has_ended_is_not_noticed() -> None:
    ended = answer(200, BEGUN, connection="Keep-Alive")  # which the server says, and closes the connection
    async with scripted(ended) as server, store_of(server) as store:
        for _ in range(5):
            assert await store.multipart.create("draft", "k", wire.ObjectHeaders()) == "id"
    async with scripted(KEPT) as server, store_of(server) as store:
        for _ in range(5):
            await store.objects.head("draft", "k")
        assert server.connections == 1


async def test_after_the_deadline_nothing_leaves_on_an_open_connection_either() -> None:
    async def late(store: Store) -> None:
        set_timeout(0)
        await store.objects.head("draft", "k")

    async with scripted(KEPT) as server, store_of(server) as store:
        await store.objects.head("draft", "k")
        with pytest.raises(errors.Unavailable):
            await asyncio.create_task(late(store))
    assert len(server.requests) == 1


async def test_nothing_is_asked_for_that_was_not_signed() -> None:
    async with scripted(FOUND) as server, store_of(server) as store:
        await store.objects.head("draft", "a b/ü+%2F~")
    line, *lines = server.requests[0].decode().split("\r\n")
    sent = dict(each.split(": ", 1) for each in lines if each)
    sent = {name.lower(): value for name, value in sent.items()}
    signed = sent.pop("authorization").partition("SignedHeaders=")[2].partition(",")[0]
    assert line == "HEAD /main-draft/a%20b/%C3%BC%2B%252F~ HTTP/1.1"
    assert signed.split(";") == sorted(sent)


async def test_the_proxy_of_the_environment_is_used_as_the_sdk_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(FOUND) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "inside.test")
        async with store_of(server, "http://store.test:9000") as store:
            await store.objects.head("draft", "k")
        async with store_of(server, "http://inside.test:9000") as store:
            with pytest.raises(errors.Unavailable):
                await store.objects.head("draft", "k")
    assert [request.split(b" ")[1] for request in server.requests] == [b"http://store.test:9000/main-draft/k"]


async def test_the_stores_own_words_are_kept_for_the_log_and_its_secrets_are_not() -> None:
    async with scripted(failure(403, "SignatureDoesNotMatch")) as server, store_of(server) as store:
        with pytest.raises(errors.Denied) as refused:
            await copy(store)
    assert str(refused.value.__cause__) == "403 SignatureDoesNotMatch no"


async def test_parts_are_listed_to_the_last_page() -> None:
    def page(number: int, more: str) -> str:
        part = f'<Part><PartNumber>{number}</PartNumber><Size>5</Size><ETag>"e{number}"</ETag></Part>'
        return f"<ListPartsResult>{part}{more}</ListPartsResult>"

    more = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
    answers = answer(200, page(1, more)), answer(200, page(2, "<IsTruncated>false</IsTruncated>"))
    async with scripted(*answers) as server, store_of(server) as store:
        parts = await store.multipart.list_parts(Upload("draft", "k", "id"))
    assert [(part.part_number, part.etag) for part in parts] == [(1, "e1"), (2, "e2")]
    assert b"part-number-marker=1&" in server.requests[1]


async def test_what_a_batch_could_not_delete_is_named_and_what_is_gone_is_not() -> None:
    errors_of = [("a&amp;b", "AccessDenied"), ("c", "NoSuchKey")]
    lines = "".join(f"<Error><Key>{key}</Key><Code>{code}</Code></Error>" for key, code in errors_of)
    async with scripted(answer(200, f"<DeleteResult>{lines}</DeleteResult>")) as server, store_of(server) as store:
        failures = await store.objects.delete_many("draft", ["a&b", "c"])
    assert [(each.key, each.reason) for each in failures] == [("a&b", "AccessDenied")]


PAGE = answer(200, "<html><body>Sign in to the network</body></html>")


async def test_a_page_of_something_before_the_store_never_counts_as_a_batch_that_is_deleted() -> None:
    async with scripted(PAGE) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await store.objects.delete_many("draft", ["a", "b"])


async def test_a_page_of_something_before_the_store_never_counts_as_a_key_that_is_deleted() -> None:
    async with scripted(PAGE) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await store.objects.delete("draft", "a")


async def test_a_page_of_something_before_the_store_is_no_upload_without_parts() -> None:
    async with scripted(PAGE) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await store.multipart.list_parts(Upload("draft", "k", "id"))


async def test_where_nothing_is_found_not_even_the_bucket_no_key_counts_as_deleted() -> None:
    nothing = answer(404, "no such page"), answer(404)
    async with scripted(*nothing) as server, store_of(server) as store:
        with pytest.raises(errors.BucketNotFound):
            await store.objects.delete("draft", "a")


async def test_a_key_that_is_gone_counts_as_deleted() -> None:
    async with scripted(failure(404, "NoSuchKey"), answer(200)) as server, store_of(server) as store:
        await store.objects.delete("draft", "a")


async def test_a_failure_of_a_key_nobody_asked_about_leaves_it_open_which_are_deleted() -> None:
    body = "<DeleteResult><Error><Key>/a</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    async with scripted(answer(200, body)) as server, store_of(server) as store:
        with pytest.raises(errors.Unavailable):
            await store.objects.delete_many("draft", ["a", "b"])


async def test_a_key_the_store_refuses_to_delete_is_a_failure_of_its_own_alone_as_among_others() -> None:
    refused = "<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    answers = answer(200, refused), failure(403, "AccessDenied")
    async with scripted(*answers) as server, store_of(server) as store:
        for keys in (["a", "b"], ["a"]):
            answered = await service_over(store).delete(wire.DeleteRequest(role="main", keys=keys))
            assert [each.key for each in answered.failures] == ["a"]


@pytest.mark.parametrize("away", [failure(503, "SlowDown"), failure(404, "NoSuchBucket")], ids=["busy", "no bucket"])
async def test_a_store_that_cannot_delete_anything_is_told_alone_as_among_others(away: bytes) -> None:
    async with scripted(away) as server, store_of(server) as store:
        for keys in (["a", "b"], ["a"]):
            with pytest.raises((errors.Unavailable, errors.BucketNotFound)):
                await service_over(store).delete(wire.DeleteRequest(role="main", keys=keys))
