"""What every driver promises of copies, on every server: these bytes, these headers, or nothing."""

import asyncio
import os

import pytest

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit.context import set_timeout
from draftstore_storage import errors
from draftstore_storage.backends.copying import Copier
from draftstore_storage.backends.protocols import Upload
from draftstore_storage.domain import MIB
from integration.storage.conftest import Bench

WAYS = ["whole", "parts"]
SIZE = 12 * MIB + 1
BODY = os.urandom(SIZE)


def copier(bench: Bench, way: str) -> Copier:
    """Copies whole, or everything above 5 MiB by parts of 5 MiB."""
    limit = SIZE if way == "whole" else 5 * MIB
    return Copier(bench.store.objects, bench.store.multipart, single_limit=limit, part_size=5 * MIB)


async def uploaded(bench: Bench, body: bytes, **headers: str) -> wire.StoredObject:
    """A draft as a client uploads it, with headers that nobody signed."""
    key = bench.key()
    signed = await bench.store.urls.put(wire.PresignPut(key=key, expires_in=60, size=len(body)))
    answer = await bench.http.put(signed.url, content=body, headers={**signed.headers, **headers})
    assert answer.status_code == 200, answer.text
    return await bench.store.objects.head("draft", key)


def request(draft: wire.StoredObject, target: str, headers: wire.ObjectHeaders | None = None) -> wire.CopyRequest:
    return wire.CopyRequest(
        source=wire.ObjectRef(role="draft", key=draft.key),
        target=wire.ObjectRef(role="main", key=target),
        if_match=draft.etag,
        size=draft.size,
        headers=headers or wire.ObjectHeaders(),
    )


@pytest.mark.parametrize("way", WAYS)
async def test_a_copy_has_every_byte(bench: Bench, way: str) -> None:
    draft, target = await uploaded(bench, BODY), bench.key("cöpy +1")
    etag = await copier(bench, way).copy(request(draft, target))
    assert await bench.body("main", target) == BODY
    found = await bench.store.objects.head("main", target)
    assert (found.etag, found.size) == (etag, SIZE)
    assert etag.endswith("-3") == (way == "parts")


@pytest.mark.parametrize("way", WAYS)
async def test_a_changed_source_is_refused_and_nothing_is_written(bench: Bench, way: str) -> None:
    draft, target = await uploaded(bench, BODY), bench.key()
    await bench.store.objects.put("draft", draft.key, os.urandom(SIZE), wire.ObjectHeaders())
    with pytest.raises(errors.PreconditionFailed) as refused:
        await copier(bench, way).copy(request(draft, target))
    assert refused.value.__cause__ is not None, "the store's own words are kept for the log"
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("main", target)


@pytest.mark.parametrize("way", WAYS)
async def test_an_absent_source_is_not_found(bench: Bench, way: str) -> None:
    draft, target = await uploaded(bench, BODY), bench.key()
    await bench.store.objects.delete("draft", draft.key)
    with pytest.raises(errors.NotFound):
        await copier(bench, way).copy(request(draft, target))
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("main", target)


@pytest.mark.parametrize("way", WAYS)
async def test_a_copy_has_exactly_the_headers_it_was_given(bench: Bench, way: str) -> None:
    slipped_in = {
        "content-encoding": "gzip",
        "content-disposition": "inline",
        "cache-control": "max-age=99",
        "content-language": "de",
        "expires": "Wed, 21 Oct 2099 07:28:00 GMT",
    }
    draft, target = await uploaded(bench, BODY, **slipped_in), bench.key()
    await copier(bench, way).copy(request(draft, target, wire.ObjectHeaders(content_type="image/png")))
    headers = await bench.headers("main", target)
    assert headers["content-type"] == "image/png"
    assert {name for name in slipped_in if name in headers} == set()
    assert [name for name in headers if name.startswith("x-amz-meta-")] == []


@pytest.mark.parametrize("way", WAYS)
async def test_declared_headers_are_published(bench: Bench, way: str) -> None:
    declared = wire.ObjectHeaders(
        content_type="text/csv; charset=utf-8",
        cache_control="max-age=60",
        content_disposition="attachment; filename*=UTF-8''a%20b.csv",
        content_encoding="br",
    )
    draft, target = await uploaded(bench, BODY), bench.key()
    await copier(bench, way).copy(request(draft, target, declared))
    signed = await bench.store.urls.get(wire.PresignGet(role="main", key=target, expires_in=60))
    async with bench.http.stream("GET", signed.url) as answer:
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["cache-control"] == "max-age=60"
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.csv"
        assert answer.headers["content-encoding"] == "br"


@pytest.mark.parametrize("way", WAYS)
async def test_user_metadata_and_tags_of_the_source_do_not_survive(bench: Bench, way: str) -> None:
    key, target = bench.key(), bench.key()
    arguments = {"Bucket": bench.settings.buckets.draft, "Key": key, "Body": BODY}
    await asyncio.to_thread(bench.boto().put_object, **arguments, Metadata={"evil": "1"}, Tagging="evil=1")
    draft = await bench.store.objects.head("draft", key)
    assert (await bench.headers("draft", key))["x-amz-meta-evil"] == "1"
    await copier(bench, way).copy(request(draft, target))
    headers = await bench.headers("main", target)
    assert [name for name in headers if "evil" in name or "tagging" in name] == []


@pytest.mark.parametrize("way", WAYS)
async def test_an_object_made_of_parts_is_copied_and_pinned_like_any_other(bench: Bench, way: str) -> None:
    draft, made, target = await uploaded(bench, BODY), bench.key(), bench.key()
    into_draft = request(draft, made).model_copy(update={"target": wire.ObjectRef(role="draft", key=made)})
    await copier(bench, "parts").copy(into_draft)
    composed = await bench.store.objects.head("draft", made)
    with pytest.raises(errors.PreconditionFailed):
        await copier(bench, way).copy(request(composed.model_copy(update={"etag": draft.etag}), target))
    await copier(bench, way).copy(request(composed, target))
    assert await bench.body("main", target) == BODY


async def test_an_empty_object_is_copied(bench: Bench) -> None:
    draft, target = await uploaded(bench, b""), bench.key()
    await copier(bench, "whole").copy(request(draft, target))
    assert (await bench.store.objects.head("main", target)).size == 0


async def test_a_copy_made_twice_is_the_same_copy(bench: Bench) -> None:
    draft, target = await uploaded(bench, b"body"), bench.key()
    first = await copier(bench, "whole").copy(request(draft, target))
    assert await copier(bench, "whole").copy(request(draft, target)) == first


async def test_parts_of_a_failed_copy_are_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    multipart, made = bench.store.multipart, list[str]()
    create = multipart.create

    async def watched(role: BucketRole, key: str, headers: wire.ObjectHeaders) -> str:
        made.append(await create(role, key, headers))
        return made[-1]

    monkeypatch.setattr(multipart, "create", watched)
    draft, target = await uploaded(bench, BODY), bench.key()
    with pytest.raises(errors.PreconditionFailed):
        await copier(bench, "parts").copy(request(draft, target).model_copy(update={"if_match": "0" * 32}))
    with pytest.raises(errors.UploadNotFound):
        await multipart.list_parts(Upload("main", target, made[0]))


async def test_parts_are_given_up_even_when_the_time_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    multipart, made = bench.store.multipart, list[str]()
    create = multipart.create

    async def slow(role: BucketRole, key: str, headers: wire.ObjectHeaders) -> str:
        made.append(await create(role, key, headers))
        set_timeout(0)
        return made[-1]

    monkeypatch.setattr(multipart, "create", slow)
    draft, target = await uploaded(bench, BODY), bench.key()
    with pytest.raises(errors.Unavailable):
        await asyncio.create_task(copier(bench, "parts").copy(request(draft, target)))
    with pytest.raises(errors.UploadNotFound):
        await multipart.list_parts(Upload("main", target, made[0]))
