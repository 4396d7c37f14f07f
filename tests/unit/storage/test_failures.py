"""Transient failures, errors dressed as success, and deadlines: both drivers, and a store that misbehaves on cue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from draftstore_common.contracts import storage as wire
from draftstore_common.kit.context import set_timeout
from draftstore_storage import errors
from draftstore_storage.backends import attempts
from draftstore_storage.backends.drivers import open_store
from draftstore_storage.backends.protocols import Store, Upload
from draftstore_storage.bootstrap import prepare
from draftstore_storage.settings import StorageSettings
from support.ports import free_port
from support.scripted_store import HANG, RESET, answer, failure, scripted

FOUND = answer(200, last_modified="Mon, 04 May 2026 12:00:00 GMT", etag='"abc"')
COPIED = answer(200, "<CopyObjectResult><ETag>&quot;abc&quot;</ETag></CopyObjectResult>")
DISGUISED = failure(200, "InternalError")

SOURCE = wire.ObjectRef(role="draft", key="k")
TARGET = wire.ObjectRef(role="main", key="k")
UPLOAD = Upload("draft", "k", "id")
PARTS = [wire.PartRef(part_number=1, etag="abc")]


@pytest.fixture(params=["s3", "minio"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each driver, with pauses too short to notice."""
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)
    return str(request.param)


@asynccontextmanager
async def store_at(port: int, driver: str) -> AsyncIterator[Store]:
    settings = StorageSettings(
        storage_type="minio" if driver == "minio" else "s3",
        s3_endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="AK",
        aws_secret_access_key=SecretStr("secret"),
        minio_endpoint=f"127.0.0.1:{port}",
    )
    async with open_store(settings) as store:
        yield store


async def copy(store: Store) -> str:
    return await store.objects.copy(SOURCE, TARGET, if_match="abc", headers=wire.ObjectHeaders())


@pytest.mark.parametrize("first", [RESET, answer(500), answer(502), answer(503), answer(429, "busy")])
async def test_a_failure_that_passes_is_not_noticed(driver: str, first: bytes) -> None:
    async with scripted(first, FOUND) as server, store_at(server.port, driver) as store:
        assert (await store.objects.head("draft", "k")).etag == "abc"
    assert len(server.requests) == 2


@pytest.mark.parametrize("first", [failure(503, "SlowDown"), failure(500, "InternalError"), DISGUISED])
async def test_a_copy_is_repeated_until_it_is_done(driver: str, first: bytes) -> None:
    async with scripted(first, COPIED) as server, store_at(server.port, driver) as store:
        assert await copy(store) == "abc"
    assert len(server.requests) == 2


async def test_a_copy_that_answers_200_with_an_error_never_counts_as_done(driver: str) -> None:
    async with scripted(DISGUISED) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Unavailable):
            await copy(store)
    assert len(server.requests) >= attempts.ATTEMPTS


async def test_a_complete_that_answers_200_with_an_error_never_counts_as_done(driver: str) -> None:
    async with scripted(DISGUISED) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Unavailable):
            await store.multipart.complete(UPLOAD, PARTS)
    assert len(server.requests) == attempts.ATTEMPTS


async def test_a_refusal_is_final(driver: str) -> None:
    async with scripted(failure(403, "AccessDenied")) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Denied):
            await copy(store)
    assert len(server.requests) == 1


async def test_a_store_that_is_not_there_is_unavailable(driver: str) -> None:
    async with store_at(free_port(), driver) as store:
        with pytest.raises(errors.Unavailable):
            await store.objects.head("draft", "k")


async def test_the_deadline_ends_a_call_that_hangs(driver: str) -> None:
    async def impatient(store: Store) -> None:
        set_timeout(0.2)
        await store.objects.head("draft", "k")

    async with scripted(HANG) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Unavailable):
            await asyncio.create_task(impatient(store))
    assert len(server.requests) == 1


async def test_after_the_deadline_nothing_is_tried(driver: str) -> None:
    async def late(store: Store) -> None:
        set_timeout(0)
        await store.objects.head("draft", "k")

    async with scripted(FOUND) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Unavailable):
            await asyncio.create_task(late(store))
    assert server.requests == []


async def test_a_body_that_breaks_off_is_never_taken_for_the_whole(driver: str) -> None:
    short = answer(200, "only this", content_length="100", etag='"abc"')
    async with scripted(short) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Unavailable):
            [piece async for piece in store.objects.get("draft", "k")]


async def test_an_answer_that_is_no_answer_of_s3_is_unavailable(driver: str) -> None:
    page = answer(200, "<html>Welcome to nginx", content_type="text/html")
    async with scripted(page) as server, store_at(server.port, driver) as store:
        with pytest.raises(errors.Unavailable):
            await store.multipart.list_parts(UPLOAD)


def test_pauses_grow_and_differ() -> None:
    pauses = [[attempts._pause(failed) for failed in range(4)] for _ in range(50)]
    assert all(
        attempts.FIRST_PAUSE / 2 * 2**n <= each[n] <= attempts.FIRST_PAUSE * 2**n for each in pauses for n in range(4)
    )
    assert len({each[0] for each in pauses}) > 1


UNVERSIONED = answer(200, "<VersioningConfiguration/>")
REPLICATED = answer(
    200,
    "<ReplicationConfiguration><Role>r</Role><Rule><ID>1</ID><Status>Enabled</Status><Priority>1</Priority>"
    "<Destination><Bucket>arn:aws:s3:::other</Bucket></Destination></Rule></ReplicationConfiguration>",
)
UNKNOWN = failure(501, "NotImplemented")


async def test_replication_is_a_hazard(driver: str) -> None:
    async with scripted(UNVERSIONED, REPLICATED, UNKNOWN) as server, store_at(server.port, driver) as store:
        assert await store.buckets.hazards("draft") == ["replication"]


async def test_a_store_that_knows_no_such_thing_has_no_hazard(driver: str) -> None:
    async with scripted(UNKNOWN) as server, store_at(server.port, driver) as store:
        assert await store.buckets.hazards("draft") == []


async def test_a_start_without_the_right_to_see_or_change_settings_says_so(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    there, no_right = answer(200), failure(403, "AccessDenied")
    async with scripted(there, there, there, no_right) as server, store_at(server.port, driver) as store:
        await prepare(store, origins=["*"], patience=5)
    assert any("not allowed to see" in line for line in caplog.messages)
    assert any("not allowed to set CORS" in line for line in caplog.messages)


async def test_a_store_that_comes_late_is_waited_for(driver: str) -> None:
    there, starting = answer(200), failure(503, "XMinioServerNotInitialized")
    answers = (*[starting] * 7, there, there, there, UNKNOWN)
    async with scripted(*answers) as server, store_at(server.port, driver) as store:
        await prepare(store, origins=["*"], patience=5)
