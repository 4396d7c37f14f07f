"""What every driver promises of uploads in parts, on every server."""

import hashlib
import os

import pytest

from draftstore_common.contracts import storage as wire
from draftstore_storage import errors
from draftstore_storage.backends.protocols import ChecksumAlgorithm, Upload
from draftstore_storage.domain import MIB
from integration.storage.conftest import Bench

FIRST, LAST = os.urandom(5 * MIB), b"the last part may be small"


async def begin(bench: Bench, checksum: ChecksumAlgorithm | None = None) -> Upload:
    key = bench.key("pärt 1+2")
    headers = wire.ObjectHeaders(content_type="video/mp4")
    return Upload("draft", key, await bench.store.multipart.create("draft", key, headers, checksum))


async def send(bench: Bench, upload: Upload, number: int, body: bytes, *, checksum: bool = False) -> wire.PartRef:
    digest = hashlib.sha256(body).hexdigest() if checksum else None
    request = wire.PresignPart(
        key=upload.key,
        upload_id=upload.upload_id,
        part_number=number,
        expires_in=60,
        size=len(body),
        checksum_sha256=digest,
    )
    signed = await bench.store.urls.part(request)
    answer = await bench.http.put(signed.url, content=body, headers=signed.headers)
    assert answer.status_code == 200, answer.text
    return wire.PartRef(part_number=number, etag=answer.headers["etag"].strip('"'), checksum_sha256=digest)


async def test_parts_become_one_object(bench: Bench) -> None:
    upload = await begin(bench)
    second = await send(bench, upload, 2, LAST)
    first = await send(bench, upload, 1, FIRST)
    listed = await bench.store.multipart.list_parts(upload)
    assert [(part.part_number, part.size, part.etag) for part in listed] == [
        (1, len(FIRST), first.etag),
        (2, len(LAST), second.etag),
    ]
    etag = await bench.store.multipart.complete(upload, [first, second])
    found = await bench.store.objects.head("draft", upload.key)
    assert (found.etag, found.size, found.content_type) == (etag, len(FIRST) + len(LAST), "video/mp4")
    assert await bench.body("draft", upload.key) == FIRST + LAST


async def test_nothing_is_there_before_the_upload_is_complete(bench: Bench) -> None:
    upload = await begin(bench)
    await send(bench, upload, 1, LAST)
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("draft", upload.key)
    await bench.store.multipart.abort(upload)


async def test_completing_twice_answers_the_same(bench: Bench) -> None:
    upload = await begin(bench)
    part = await send(bench, upload, 1, LAST)
    first = await bench.store.multipart.complete(upload, [part])
    assert await bench.store.multipart.complete(upload, [part]) == first


async def test_parts_with_checksums_are_completed_with_them(bench: Bench) -> None:
    upload = await begin(bench, checksum="sha256")
    sent = [await send(bench, upload, 1, FIRST, checksum=True), await send(bench, upload, 2, LAST, checksum=True)]
    for listed, part in zip(await bench.store.multipart.list_parts(upload), sent, strict=True):
        assert listed.etag == part.etag
        assert listed.checksum_sha256 in {part.checksum_sha256, None}, "SeaweedFS does not list them"
    await bench.store.multipart.complete(upload, sent)
    found = await bench.store.objects.head("draft", upload.key)
    assert found.checksum_sha256 is None, "a checksum of checksums must not pass for the object's"
    assert await bench.body("draft", upload.key) == FIRST + LAST


async def test_a_part_with_a_wrong_checksum_is_refused(bench: Bench) -> None:
    upload = await begin(bench, checksum="sha256")
    request = wire.PresignPart(
        key=upload.key, upload_id=upload.upload_id, part_number=1, expires_in=60, checksum_sha256="00" * 32
    )
    signed = await bench.store.urls.part(request)
    answer = await bench.http.put(signed.url, content=LAST, headers=signed.headers)
    assert answer.status_code in {400, 403}
    assert await bench.store.multipart.list_parts(upload) == []
    await bench.store.multipart.abort(upload)


async def test_a_wrong_part_is_refused_and_the_upload_goes_on(bench: Bench) -> None:
    upload = await begin(bench)
    part = await send(bench, upload, 1, LAST)
    with pytest.raises(errors.InvalidParts):
        await bench.store.multipart.complete(upload, [part.model_copy(update={"etag": "0" * 32})])
    await bench.store.multipart.complete(upload, [part])


async def test_a_small_part_before_the_last_is_refused(bench: Bench) -> None:
    upload = await begin(bench)
    parts = [await send(bench, upload, number, LAST) for number in (1, 2)]
    with pytest.raises(errors.InvalidParts):
        await bench.store.multipart.complete(upload, parts)
    await bench.store.multipart.abort(upload)


async def test_an_aborted_upload_is_over_and_may_be_aborted_again(bench: Bench) -> None:
    upload = await begin(bench)
    part = await send(bench, upload, 1, LAST)
    await bench.store.multipart.abort(upload)
    await bench.store.multipart.abort(upload)
    with pytest.raises(errors.UploadNotFound):
        await bench.store.multipart.list_parts(upload)
    with pytest.raises(errors.UploadNotFound):
        await bench.store.multipart.complete(upload, [part])


async def test_aborting_a_finished_upload_leaves_its_object(bench: Bench) -> None:
    upload = await begin(bench)
    await bench.store.multipart.complete(upload, [await send(bench, upload, 1, LAST)])
    await bench.store.multipart.abort(upload)
    assert await bench.body("draft", upload.key) == LAST


async def test_an_upload_that_never_was_is_not_found(bench: Bench) -> None:
    unknown = Upload("draft", bench.key(), "no-such-upload")
    await bench.store.multipart.abort(unknown)
    with pytest.raises(errors.UploadNotFound):
        await bench.store.multipart.list_parts(unknown)
