"""What every driver promises of whole objects, on every server."""

import hashlib
from contextlib import aclosing

import pytest

from draftstore_common.contracts import storage as wire
from draftstore_storage import errors
from draftstore_storage.domain import PIECE
from integration.storage.conftest import Bench

SPECIAL_NAMES = [
    "with space",
    "plus+sign",
    "tilde~1",
    "percent%41",
    "ünïcode-名前-🎉",
    "a=b&c=d?e#f",
    "quote'\"<xml>&amp;",
    "colon:semi;comma,at@",
    "paren(s)[b]{c}|^`",
    "...dots",
    "a/b/c/d.tar.gz",
    "e\u0301-decomposed",
    "s" * 255,
]


async def test_an_object_has_the_size_type_and_etag_it_was_stored_with(bench: Bench) -> None:
    key = bench.key()
    etag = await bench.store.objects.put("draft", key, b"hello", wire.ObjectHeaders(content_type="image/png"))
    found = await bench.store.objects.head("draft", key)
    assert (found.key, found.size, found.etag, found.content_type) == (key, 5, etag, "image/png")
    assert '"' not in etag
    assert found.last_modified.utcoffset() is not None


@pytest.mark.parametrize("name", SPECIAL_NAMES)
async def test_every_key_leads_to_its_own_object(bench: Bench, name: str) -> None:
    key = bench.key(name)
    stored = await bench.stored(name.encode(), key=key)
    target = wire.ObjectRef(role="main", key=key)
    source = wire.ObjectRef(role="draft", key=key)
    await bench.store.objects.copy(source, target, if_match=stored.etag, headers=wire.ObjectHeaders())
    assert await bench.body("main", key) == name.encode()
    signed = await bench.store.urls.get(wire.PresignGet(role="main", key=key, expires_in=60))
    assert (await bench.http.get(signed.url)).content == name.encode()
    assert await bench.store.objects.delete_many("main", [key, bench.key()]) == []
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("main", key)


async def test_an_absent_object_is_not_found(bench: Bench) -> None:
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("draft", bench.key())
    with pytest.raises(errors.NotFound):
        await bench.body("draft", bench.key())


async def test_a_body_comes_in_pieces_and_whole(bench: Bench) -> None:
    content = bytes(range(256)) * 4096
    stored = await bench.stored(content)
    pieces = [piece async for piece in bench.store.objects.get("draft", stored.key, if_match=stored.etag)]
    with pytest.raises(errors.PreconditionFailed):
        await anext(aiter(bench.store.objects.get("draft", stored.key, if_match="0" * 32)))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE


async def test_a_body_may_be_left_early_and_the_next_is_whole(bench: Bench) -> None:
    stored = await bench.stored(b"x" * PIECE * 8)
    async with aclosing(bench.store.objects.get("draft", stored.key)) as pieces:
        await anext(pieces)
    assert len(await bench.body("draft", stored.key)) == PIECE * 8


async def test_an_empty_object_is_an_object(bench: Bench) -> None:
    stored = await bench.stored(b"")
    assert stored.size == 0
    assert await bench.body("draft", stored.key) == b""


async def test_encoded_bytes_are_read_as_they_are_stored(bench: Bench) -> None:
    key = bench.key()
    headers = wire.ObjectHeaders(content_encoding="gzip", content_type="text/plain")
    await bench.store.objects.put("draft", key, b"not really gzip", headers)
    assert await bench.body("draft", key) == b"not really gzip"


async def test_deleting_what_is_absent_succeeds(bench: Bench) -> None:
    await bench.store.objects.delete("draft", bench.key())


async def test_a_deleted_object_is_gone_and_its_neighbours_are_not(bench: Bench) -> None:
    gone, stays = await bench.stored(b"1"), await bench.stored(b"2")
    await bench.store.objects.delete("draft", gone.key)
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("draft", gone.key)
    assert await bench.body("draft", stays.key) == b"2"


async def test_many_objects_are_deleted_at_once_and_absent_ones_count(bench: Bench) -> None:
    stored = [await bench.stored(b"x", key=bench.key(f"&<{number}> ü")) for number in range(3)]
    keys = [each.key for each in stored]
    assert await bench.store.objects.delete_many("draft", [*keys, bench.key(), keys[0]]) == []
    for key in keys:
        with pytest.raises(errors.NotFound):
            await bench.store.objects.head("draft", key)


async def test_a_thousand_keys_are_one_call(bench: Bench) -> None:
    stored = await bench.stored(b"x")
    keys = [*(bench.key() for _ in range(999)), stored.key]
    assert await bench.store.objects.delete_many("draft", keys) == []
    with pytest.raises(errors.NotFound):
        await bench.store.objects.head("draft", stored.key)


async def test_the_checksum_of_a_single_put_is_known_afterwards(bench: Bench) -> None:
    body, key = b"checked bytes", bench.key()
    digest = hashlib.sha256(body).hexdigest()
    signed = await bench.store.urls.put(wire.PresignPut(key=key, expires_in=60, checksum_sha256=digest))
    answer = await bench.http.put(signed.url, content=body, headers=signed.headers)
    assert answer.status_code == 200, answer.text
    assert (await bench.store.objects.head("draft", key)).checksum_sha256 == digest
