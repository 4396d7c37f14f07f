"""What is declared is enforced by the store itself, and nobody without a signature gets in."""

import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from draftstore_common.contracts import storage as wire
from draftstore_storage import errors
from draftstore_storage.backends.protocols import Upload
from draftstore_storage.signing.credentials import Credentials, StaticCredentials
from draftstore_storage.signing.presigner import Presigner
from integration.storage.conftest import Bench

BODY = b"twelve bytes"
REFUSED = {400, 403}


def signer(bench: Bench, *, secret: str | None = None, made_at: datetime | None = None) -> Presigner:
    """A signer for this server with another secret, or at another time."""
    return Presigner(
        StaticCredentials(Credentials(bench.server.access_key, secret or bench.server.secret_key)),
        bench.settings.buckets,
        region="us-east-1",
        endpoint=bench.server.endpoint,
        virtual_hosts=False,
        clock=lambda: made_at or datetime.now(UTC),
    )


def declared(bench: Bench) -> wire.PresignPut:
    return wire.PresignPut(
        key=bench.key("döc +1.txt"),
        expires_in=60,
        size=len(BODY),
        content_type="text/plain",
        checksum_sha256=hashlib.sha256(BODY).hexdigest(),
    )


async def assert_nothing_stored(bench: Bench, key: str) -> None:
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("draft", key)


async def test_what_was_declared_is_accepted(bench: Bench) -> None:
    request = declared(bench)
    signed = await bench.store.urls.put(request)
    answer = await bench.http.put(signed.url, content=BODY, headers=signed.headers)
    assert answer.status_code == 200, answer.text
    found = await bench.store.objects.head("draft", request.key)
    assert (found.size, found.content_type, found.checksum_sha256) == (
        len(BODY),
        "text/plain",
        request.checksum_sha256,
    )


async def test_another_length_is_refused(bench: Bench) -> None:
    request = declared(bench)
    signed = await bench.store.urls.put(request)
    headers = {name: value for name, value in signed.headers.items() if name != "Content-Length"}
    assert (await bench.http.put(signed.url, content=BODY + b"!", headers=headers)).status_code in REFUSED
    await assert_nothing_stored(bench, request.key)


@pytest.mark.parametrize("changed", [{"Content-Type": "text/html"}, {"x-amz-checksum-sha256": "A" * 43 + "="}])
async def test_another_header_than_the_declared_one_is_refused(bench: Bench, changed: dict[str, str]) -> None:
    request = declared(bench)
    signed = await bench.store.urls.put(request)
    answer = await bench.http.put(signed.url, content=BODY, headers={**signed.headers, **changed})
    assert answer.status_code in REFUSED
    await assert_nothing_stored(bench, request.key)


@pytest.mark.parametrize("missing", ["Content-Type", "x-amz-checksum-sha256"])
async def test_a_declared_header_may_not_be_left_out(bench: Bench, missing: str) -> None:
    request = declared(bench)
    signed = await bench.store.urls.put(request)
    headers = {name: value for name, value in signed.headers.items() if name != missing}
    assert (await bench.http.put(signed.url, content=BODY, headers=headers)).status_code in REFUSED
    await assert_nothing_stored(bench, request.key)


async def test_other_bytes_of_the_declared_length_are_refused(bench: Bench) -> None:
    request = declared(bench)
    signed = await bench.store.urls.put(request)
    answer = await bench.http.put(signed.url, content=BODY[::-1], headers=signed.headers)
    assert answer.status_code in REFUSED
    await assert_nothing_stored(bench, request.key)


async def test_an_upload_url_never_reads_another_object(bench: Bench) -> None:
    """Whoever holds the URL adds a copy source: on a store that takes it unsigned, a foreign object would appear."""
    secret = await bench.stored(b"somebody else's", role="main")
    source = f"/{bench.settings.buckets.main}/{secret.key}"
    for size in (None, 0):
        request = wire.PresignPut(key=bench.key(), expires_in=60, size=size)
        signed = await bench.store.urls.put(request)
        answer = await bench.http.put(signed.url, headers={**signed.headers, "x-amz-copy-source": source})
        assert answer.status_code in {400, 403}, answer.text
        await assert_nothing_stored(bench, request.key)


async def test_a_part_url_never_reads_another_object(bench: Bench) -> None:
    secret = await bench.stored(b"somebody else's", role="main")
    key = bench.key()
    upload_id = await bench.store.multipart.create("draft", key, wire.ObjectHeaders(), None)
    signed = await bench.store.urls.part(wire.PresignPart(key=key, upload_id=upload_id, part_number=1, expires_in=60))
    source = f"/{bench.settings.buckets.main}/{secret.key}"
    answer = await bench.http.put(signed.url, headers={**signed.headers, "x-amz-copy-source": source})
    assert answer.status_code in {400, 403}, answer.text
    assert await bench.store.multipart.list_parts(Upload("draft", key, upload_id)) == []


async def test_an_uploader_cannot_choose_the_etag(bench: Bench) -> None:
    """What was previewed is pinned by its ETag: other bytes must not come under the same one."""
    request = wire.PresignPut(key=bench.key(), expires_in=60)
    signed = await bench.store.urls.put(request)
    await bench.http.put(signed.url, content=b"innocent", headers=signed.headers)
    seen = await bench.store.objects.head("draft", request.key)
    for name in ("x-minio-source-etag", "x-amz-meta-etag", "etag"):
        await bench.http.put(signed.url, content=b"malicious", headers={**signed.headers, name: seen.etag})
    now = await bench.store.objects.head("draft", request.key)
    assert (now.etag == seen.etag) == (await bench.body("draft", request.key) == b"innocent")


async def test_a_url_is_good_for_its_own_key_only(bench: Bench) -> None:
    request = declared(bench)
    signed = await bench.store.urls.put(request)
    other = bench.key()
    path = httpx.URL(signed.url).copy_with(path=f"/{bench.settings.buckets.draft}/{other}")
    assert (await bench.http.put(path, content=BODY, headers=signed.headers)).status_code == 403
    await assert_nothing_stored(bench, other)


async def test_a_url_is_good_for_its_own_method_only(bench: Bench) -> None:
    stored = await bench.stored(BODY)
    signed = await bench.store.urls.get(wire.PresignGet(role="draft", key=stored.key, expires_in=60))
    assert (await bench.http.delete(signed.url)).status_code == 403
    assert (await bench.http.put(signed.url, content=b"other")).status_code == 403
    assert await bench.body("draft", stored.key) == BODY


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unsigned_request_is_refused(bench: Bench, method: str) -> None:
    stored = await bench.stored(BODY)
    answer = await bench.http.request(method, bench.url("draft", stored.key), content=b"other")
    assert answer.status_code == 403
    assert await bench.body("draft", stored.key) == BODY


async def test_a_wrong_signature_is_refused(bench: Bench) -> None:
    request = declared(bench)
    signed = await signer(bench, secret="not the secret").put(request)
    assert (await bench.http.put(signed.url, content=BODY, headers=signed.headers)).status_code == 403
    await assert_nothing_stored(bench, request.key)


async def test_an_altered_signature_is_refused(bench: Bench) -> None:
    stored = await bench.stored(BODY)
    signed = await bench.store.urls.get(wire.PresignGet(role="draft", key=stored.key, expires_in=60))
    altered = signed.url[:-1] + ("0" if signed.url[-1] != "0" else "1")
    assert (await bench.http.get(altered)).status_code == 403
    assert (await bench.http.get(signed.url)).status_code == 200


async def test_an_expired_url_is_refused(bench: Bench) -> None:
    stored = await bench.stored(BODY)
    late = signer(bench, made_at=datetime.now(UTC) - timedelta(seconds=120))
    expired = await late.get(wire.PresignGet(role="draft", key=stored.key, expires_in=60))
    assert (await bench.http.get(expired.url)).status_code == 403
    living = await late.get(wire.PresignGet(role="draft", key=stored.key, expires_in=600))
    assert (await bench.http.get(living.url)).content == BODY


async def test_a_download_is_served_with_the_signed_type_and_disposition(bench: Bench) -> None:
    stored = await bench.stored(BODY)
    disposition = "attachment; filename=\"a b+c.txt\"; filename*=UTF-8''%C3%BC.txt"
    request = wire.PresignGet(
        role="draft", key=stored.key, expires_in=60, content_type="text/x-a;b=c", content_disposition=disposition
    )
    answer = await bench.http.get((await bench.store.urls.get(request)).url)
    assert answer.content == BODY
    assert answer.headers["content-type"] == "text/x-a;b=c"
    assert answer.headers["content-disposition"] == disposition


async def post(bench: Bench, form: wire.SignedRequest, body: bytes, **changed: str) -> httpx.Response:
    assert form.fields is not None
    return await bench.http.post(form.url, data={**form.fields, **changed}, files={"file": body})


def limited(bench: Bench, **more: str) -> wire.PresignForm:
    return wire.PresignForm(key=bench.key("fürm +1"), expires_in=60, min_size=5, max_size=20, **more)


async def test_a_form_within_its_limits_is_accepted(bench: Bench) -> None:
    request = limited(bench, content_type="image/png")
    answer = await post(bench, await bench.store.urls.form(request), BODY)
    assert answer.status_code == 201, answer.text
    found = await bench.store.objects.head("draft", request.key)
    assert (found.size, found.content_type) == (len(BODY), "image/png")
    assert await bench.body("draft", request.key) == BODY


@pytest.mark.parametrize("body", [b"four", b"x" * 21, b"x" * 100_000])
async def test_a_form_outside_its_sizes_is_refused(bench: Bench, body: bytes) -> None:
    request = limited(bench, content_type="image/png")
    answer = await post(bench, await bench.store.urls.form(request), body)
    assert answer.status_code in {400, 403, 413}
    await assert_nothing_stored(bench, request.key)


@pytest.mark.parametrize(
    "changed",
    [{"Content-Type": "text/html"}, {"key": "another/key"}, {"x-amz-meta-evil": "1"}, {"x-amz-signature": "0" * 64}],
)
async def test_a_form_with_another_field_than_signed_is_refused(bench: Bench, changed: dict[str, str]) -> None:
    request = limited(bench, content_type="image/png")
    answer = await post(bench, await bench.store.urls.form(request), BODY, **changed)
    assert answer.status_code in REFUSED, answer.text
    await assert_nothing_stored(bench, request.key)
    await assert_nothing_stored(bench, "another/key")


@pytest.mark.parametrize(("content_type", "accepted"), [("image/webp", True), ("text/html", False)])
async def test_a_form_may_leave_the_choice_within_a_family_of_types(
    bench: Bench, content_type: str, accepted: bool
) -> None:
    request = limited(bench, content_type_prefix="image/")
    answer = await post(bench, await bench.store.urls.form(request), BODY, **{"Content-Type": content_type})
    assert (answer.status_code == 201) == accepted, answer.text


@pytest.mark.parametrize("changed", [{}, {"Content-Type": "text/csv"}])
async def test_a_form_without_a_declared_type_takes_any_or_none(bench: Bench, changed: dict[str, str]) -> None:
    answer = await post(bench, await bench.store.urls.form(limited(bench)), BODY, **changed)
    assert answer.status_code == 201, answer.text


async def test_an_expired_form_is_refused(bench: Bench) -> None:
    request = limited(bench)
    form = await signer(bench, made_at=datetime.now(UTC) - timedelta(seconds=120)).form(request)
    assert (await post(bench, form, BODY)).status_code in REFUSED
    await assert_nothing_stored(bench, request.key)
