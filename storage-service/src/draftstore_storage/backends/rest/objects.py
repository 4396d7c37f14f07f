"""Objects over S3's REST API."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from hashlib import md5

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.rest.client import Answer, RestClient
from draftstore_storage.backends.rest.documents import delete_failures, delete_request, etag_of
from draftstore_storage.domain import Buckets, full_sha256
from draftstore_storage.errors import NotFound, Unavailable
from draftstore_storage.signing.headers import S3Request
from draftstore_storage.signing.sigv4 import encode_path

REPLACED = {"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}


_instant = lru_cache(1024)(parsedate_to_datetime)
"""What is confirmed was mostly uploaded a moment ago: many objects, few seconds."""


class RestObjects:
    """`ObjectBackend` over REST. What may take long has connections of its own: a copy keeps no HEAD waiting."""

    def __init__(self, short: RestClient, long: RestClient, buckets: Buckets) -> None:
        self._short = short
        self._long = long
        self._buckets = buckets

    async def head(self, role: BucketRole, key: str) -> wire.StoredObject:
        request = S3Request("HEAD", role, key, headers={"x-amz-checksum-mode": "ENABLED"})
        try:
            return await self._short.ask(request, partial(_stored, key))
        except NotFound:
            await self._look_for_bucket(role)  # a HEAD answer does not say which of the two is missing
            raise

    def get(self, role: BucketRole, key: str, *, if_match: str | None = None) -> AsyncGenerator[bytes, None]:
        headers = {} if if_match is None else {"if-match": f'"{if_match}"'}
        return self._long.stream(S3Request("GET", role, key, headers=headers))

    async def put(self, role: BucketRole, key: str, body: bytes, headers: wire.ObjectHeaders) -> str:
        request = S3Request("PUT", role, key, headers=header_lines(headers), body=body)
        return await self._short.ask(request, _etag)

    async def copy(
        self, source: wire.ObjectRef, target: wire.ObjectRef, *, if_match: str, headers: wire.ObjectHeaders
    ) -> str:
        lines = {**header_lines(headers), **copy_source(self._buckets, source, if_match), **REPLACED}
        request = S3Request("PUT", target.role, target.key, headers=lines)
        try:
            return await self._long.ask(request, lambda answer: etag_of(answer.root), about=source)
        except Unavailable:
            await self._look_for_bucket(target.role)  # SeaweedFS answers 500 when the target's bucket is missing
            raise

    async def delete(self, role: BucketRole, key: str) -> None:
        try:
            await self._short.ask(S3Request("DELETE", role, key), _done)
        except NotFound:
            await self._look_for_bucket(role)  # a 404 may be anybody's, as of a proxy that leads elsewhere

    async def delete_many(self, role: BucketRole, keys: Sequence[str]) -> list[wire.DeleteFailure]:
        body = delete_request(keys)
        # Required for DeleteObjects, and the one checksum that every store knows (S3 API reference, DeleteObjects).
        digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        request = S3Request("POST", role, query={"delete": ""}, headers={"content-md5": digest}, body=body)
        return await self._long.ask(request, lambda answer: delete_failures(answer.root, keys))

    async def _look_for_bucket(self, role: BucketRole) -> None:
        """Raises `BucketNotFound` if that is what is missing."""
        await self._short.ask(S3Request("HEAD", role), _done)


def header_lines(headers: wire.ObjectHeaders) -> dict[str, str]:
    """The headers by their names on the wire; those not given are left out, and so the store's default."""
    lines = {
        "content-type": headers.content_type,
        "cache-control": headers.cache_control,
        "content-disposition": headers.content_disposition,
        "content-encoding": headers.content_encoding,
    }
    return {name: value for name, value in lines.items() if value is not None}


def copy_source(buckets: Buckets, source: wire.ObjectRef, if_match: str) -> dict[str, str]:
    """The headers that name a copy's source, and the ETag it must have."""
    return {
        "x-amz-copy-source": f"/{buckets.name(source.role)}/{encode_path(source.key)}",
        "x-amz-copy-source-if-match": f'"{if_match}"',
    }


def _stored(key: str, found: Answer) -> wire.StoredObject:
    headers = found.headers
    return wire.StoredObject(
        key=key,
        size=int(headers["content-length"]),
        etag=_etag(found),
        content_type=headers.get("content-type"),
        checksum_sha256=full_sha256(headers.get("x-amz-checksum-sha256")),
        last_modified=_instant(headers["last-modified"]),
    )


def _etag(answer: Answer) -> str:
    return answer.headers["etag"].strip('"')


def _done(answer: Answer) -> None:
    if answer.document is not None:
        raise ValueError("an answer that should have no document")
