"""Buckets: made once, refused when unsafe, told apart from objects when they are missing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from draftstore_common.contracts import storage as wire
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.ids import random_base62
from draftstore_storage import bootstrap, errors
from draftstore_storage.backends import attempts
from draftstore_storage.backends.drivers import open_store
from draftstore_storage.backends.protocols import Store, Upload
from integration.storage.conftest import Bench, settings_for
from support.ports import free_port
from support.servers import S3Server


@asynccontextmanager
async def opened(server: S3Server, driver: str, **changes: Any) -> AsyncIterator[Store]:
    async with open_store(settings_for(server, driver, **changes)) as store:
        yield store


async def prepare(store: Store, *, patience: float = 10) -> None:
    await bootstrap.prepare(store, origins=["https://app.example"], patience=patience)


@pytest_asyncio.fixture(loop_scope="session")
async def name(bench: Bench) -> AsyncIterator[str]:
    """The name of a main bucket nobody has; both buckets are removed afterwards."""
    name = f"made-{random_base62(8).lower()}"
    yield name
    for bucket in (name, f"{name}-draft"):
        try:
            await asyncio.to_thread(bench.boto().delete_bucket, Bucket=bucket)
        except bench.boto().exceptions.NoSuchBucket:
            continue


async def test_missing_buckets_are_made_once_by_many(server: S3Server, driver: str, name: str) -> None:
    async with opened(server, driver, bucket_name=name) as store:
        await asyncio.gather(*(prepare(store) for _ in range(4)))
        await store.buckets.probe("draft")
        await store.buckets.probe("main")
        await store.buckets.create("main")


async def test_the_clock_is_the_stores(bench: Bench) -> None:
    now = (await bench.store.buckets.probe("draft")).now
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_draft_bucket_that_keeps_versions_stops_the_start(
    bench: Bench, server: S3Server, driver: str, name: str
) -> None:
    async with opened(server, driver, bucket_name=name) as store:
        await prepare(store)
        versioned = {"Bucket": f"{name}-draft", "VersioningConfiguration": {"Status": "Enabled"}}
        await asyncio.to_thread(bench.boto().put_bucket_versioning, **versioned)
        with pytest.raises(CannotStart, match="versioning"):
            await prepare(store)


async def test_a_draft_bucket_with_object_lock_stops_the_start(
    bench: Bench, server: S3Server, driver: str, name: str
) -> None:
    locked = {"Bucket": f"{name}-draft", "ObjectLockEnabledForBucket": True}
    await asyncio.to_thread(bench.boto().create_bucket, **locked)
    async with opened(server, driver, bucket_name=name) as store:
        with pytest.raises(CannotStart, match="object lock"):
            await prepare(store)


async def test_browsers_may_use_the_draft_bucket_or_the_log_says_why_not(
    bench: Bench, server: S3Server, driver: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server, driver, bucket_name=name) as store:
        with caplog.at_level(logging.WARNING):
            await prepare(store)
            signed = await store.urls.put(wire.PresignPut(key="k", expires_in=60))
    asked = {"origin": "https://app.example", "access-control-request-method": "PUT"}
    answer = await bench.http.options(signed.url, headers=asked)
    refused = [line for line in caplog.messages if "no CORS settings per bucket" in line]
    if not refused:
        assert answer.headers["access-control-allow-origin"] in {"https://app.example", "*"}
        foreign = await bench.http.options(signed.url, headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers


async def test_objects_are_listed_page_by_page(server: S3Server, driver: str, name: str) -> None:
    async with opened(server, driver, bucket_name=name) as store:
        await prepare(store)
        keys = sorted(f"t/{number} ü+&" for number in range(5))
        for key in keys:
            await store.objects.put("main", key, b"x", wire.ObjectHeaders())
        first = await store.buckets.list("main", limit=2)
        rest = await store.buckets.list("main", after=first.next_after or "")
        found = [*first.items, *rest.items]
        assert [entry.key for entry in found] == keys
        assert {entry.size for entry in found} == {1}
        assert first.items[0].etag == (await store.objects.head("main", keys[0])).etag
        assert await store.buckets.list("main", after=keys[-1]) == wire.ObjectListing(items=[])
        await store.objects.delete_many("main", keys)


NEIGHBOURS = [
    *("a", "a!", "a-b", "a/b", "a/b-c", "a/b/c", "a/d", "a0", "b-x", "b/x/y", "b/z"),
    *("p!/1", "p!/2", "p-q/1", "p-q/2", "p-q/3", "p/q-r/1", "p/q-r/2", "p/q/1", "p/q/2", "p/q/3", "p/q0", "p/s", "p0"),
    *("ü +&", "ü +&/x"),
]
"""Keys whose order differs between a walk through folders and one by bytes, some of them object and folder at once."""


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
async def test_wherever_a_page_ends_a_walk_sees_every_key_once(
    server: S3Server, driver: str, name: str, limit: int
) -> None:
    async with opened(server, driver, bucket_name=name) as store:
        await prepare(store)
        for key in NEIGHBOURS:
            with suppress(errors.AlreadyExists, errors.InvalidKey):  # MinIO keeps no `a/b` beside `a`
                await store.objects.put("main", key, b"x", wire.ObjectHeaders())
        whole = (await store.buckets.list("main")).items
        assert await walked(store, limit) == [entry.key for entry in whole]
        assert {"a", "a!", "a-b", "a0", "b-x", "b/x/y", "b/z", "p/q/3", "p0"} <= {entry.key for entry in whole}
        await store.objects.delete_many("main", NEIGHBOURS)


async def walked(store: Store, limit: int) -> list[str]:
    """All keys of the main bucket, page by page."""
    keys: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await store.buckets.list("main", after=after, limit=limit)
        assert len(page.items) <= limit
        keys += [entry.key for entry in page.items]
        after = page.next_after
    return keys


@pytest_asyncio.fixture(loop_scope="session")
async def without_buckets(server: S3Server, driver: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store whose buckets do not exist."""
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)
    async with opened(server, driver, bucket_name=f"none-{random_base62(8).lower()}") as store:
        yield store


async def test_a_missing_bucket_is_not_an_absent_object(without_buckets: Store) -> None:
    objects, multipart = without_buckets.objects, without_buckets.multipart
    ref, headers = wire.ObjectRef(role="draft", key="k"), wire.ObjectHeaders()
    tries = [
        objects.head("draft", "k"),
        anext(aiter(objects.get("draft", "k"))),
        objects.put("draft", "k", b"", headers),
        objects.copy(ref, wire.ObjectRef(role="main", key="k"), if_match="0" * 32, headers=headers),
        objects.delete_many("draft", ["a", "b"]),
        multipart.create("draft", "k", headers),
        without_buckets.buckets.probe("draft"),
    ]
    for attempt in tries:
        with pytest.raises(errors.BucketNotFound):
            await attempt


async def test_a_copy_into_a_missing_bucket_says_so(
    bench: Bench, server: S3Server, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)
    stored = await bench.stored(b"x")
    nowhere = f"none-{random_base62(8).lower()}"
    async with opened(server, driver, bucket_name=nowhere, draft_bucket_name=bench.settings.buckets.draft) as store:
        source, target = wire.ObjectRef(role="draft", key=stored.key), wire.ObjectRef(role="main", key="k")
        with pytest.raises(errors.BucketNotFound):
            await store.objects.copy(source, target, if_match=stored.etag, headers=wire.ObjectHeaders())


@pytest_asyncio.fixture(loop_scope="session", params=["secret", "key"])
async def foreign(request: pytest.FixtureRequest, bench: Bench, driver: str) -> AsyncIterator[Store]:
    """The same buckets with a wrong secret, or with a key nobody knows."""
    name = {
        ("s3", "secret"): "aws_secret_access_key",
        ("s3", "key"): "aws_access_key_id",
        ("minio", "secret"): "minio_secret_key",
        ("minio", "key"): "minio_access_key",
    }[driver, request.param]
    wrong = SecretStr("not-the-secret") if request.param == "secret" else "NOBODY"
    async with opened(bench.server, driver, bucket_name=bench.settings.bucket_name, **{name: wrong}) as store:
        yield store


async def test_wrong_credentials_are_a_wrong_configuration(bench: Bench, foreign: Store) -> None:
    stored = await bench.stored(b"x")
    ref, headers = wire.ObjectRef(role="draft", key=stored.key), wire.ObjectHeaders()
    tries = [
        foreign.objects.head("draft", stored.key),
        anext(aiter(foreign.objects.get("draft", stored.key))),
        foreign.objects.put("draft", stored.key, b"y", headers),
        foreign.objects.copy(ref, wire.ObjectRef(role="main", key=stored.key), if_match=stored.etag, headers=headers),
        foreign.objects.delete("draft", stored.key),
        foreign.objects.delete_many("draft", [stored.key, "b"]),
        foreign.multipart.create("draft", stored.key, headers),
        foreign.multipart.abort(Upload("draft", stored.key, "id")),
        foreign.buckets.probe("draft"),
    ]
    for attempt in tries:
        with pytest.raises(errors.Denied) as refused:
            await attempt
        assert refused.value.code == "storage_misconfigured"
    assert await bench.body("draft", stored.key) == b"x"


async def test_wrong_credentials_stop_the_start_with_one_line(foreign: Store) -> None:
    with pytest.raises(CannotStart, match="credentials") as refused:
        await prepare(foreign)
    assert "\n" not in str(refused.value)


async def test_a_store_that_never_comes_stops_the_start(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)

    class Nowhere:
        endpoint, access_key, secret_key = f"http://127.0.0.1:{free_port()}", "AK", "secret"

    async with opened(Nowhere(), driver) as store:
        with pytest.raises(CannotStart, match="away"):
            await asyncio.create_task(prepare(store, patience=0.1))


async def test_an_unreachable_store_is_unavailable_for_everything(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.001)

    class Nowhere:
        endpoint, access_key, secret_key = f"http://127.0.0.1:{free_port()}", "AK", "secret"

    async def everything(store: Store) -> None:
        set_timeout(10)
        headers, upload = wire.ObjectHeaders(), Upload("draft", "k", "id")
        tries = [
            store.objects.head("draft", "k"),
            store.objects.put("draft", "k", b"", headers),
            store.objects.delete("draft", "k"),
            store.objects.delete_many("draft", ["a", "b"]),
            store.multipart.create("draft", "k", headers),
            store.multipart.list_parts(upload),
            store.multipart.abort(upload),
            store.buckets.probe("draft"),
        ]
        for attempt in tries:
            with pytest.raises(errors.Unavailable):
                await attempt

    async with opened(Nowhere(), driver) as store:
        await asyncio.create_task(everything(store))
