"""Objects through the minio SDK."""

from collections.abc import AsyncGenerator, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from minio.helpers import md5sum_hash
from urllib3 import BaseHTTPResponse

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.minio.client import Client
from draftstore_storage.backends.minio.documents import delete_failures, delete_request, etag_of
from draftstore_storage.backends.protocols import BucketBackend
from draftstore_storage.domain import PIECE, Buckets, full_sha256
from draftstore_storage.errors import NotFound, Unavailable

REPLACED = {"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}


class MinioObjects:
    """`ObjectBackend` on the minio SDK."""

    def __init__(
        self, calls: Calls[Client], long_calls: Calls[Client], buckets: Buckets, bucket_backend: BucketBackend
    ) -> None:
        self._calls = calls
        self._long_calls = long_calls
        self._buckets = buckets
        self._bucket_backend = bucket_backend

    async def head(self, role: BucketRole, key: str) -> wire.StoredObject:
        bucket = self._buckets.name(role)
        try:
            found = await self._calls.run(
                role,
                key,
                lambda minio: minio.send("HEAD", bucket, key, headers={"x-amz-checksum-mode": "ENABLED"}),
            )
        except NotFound:
            await self._bucket_backend.probe(role)  # a HEAD answer does not say which of the two is missing
            raise
        return _stored(key, found)

    async def get(self, role: BucketRole, key: str, *, if_match: str | None = None) -> AsyncGenerator[bytes, None]:
        bucket = self._buckets.name(role)
        lines: dict[str, str | list[str] | tuple[str]] = {}
        if if_match is not None:
            lines["If-Match"] = f'"{if_match}"'
        body = await self._calls.run(role, key, lambda minio: minio.get_object(bucket, key, request_headers=lines))
        try:
            while piece := await self._calls.once(role, key, lambda _: body.read(PIECE, decode_content=False)):
                yield piece
        finally:
            body.close()
            body.release_conn()

    async def put(self, role: BucketRole, key: str, body: bytes, headers: wire.ObjectHeaders) -> str:
        bucket, lines = self._buckets.name(role), header_lines(headers)
        answer = await self._calls.run(
            role, key, lambda minio: minio.send("PUT", bucket, key, headers=lines, body=body)
        )
        return answer.headers["etag"].strip('"')

    async def copy(
        self, source: wire.ObjectRef, target: wire.ObjectRef, *, if_match: str, headers: wire.ObjectHeaders
    ) -> str:
        bucket = self._buckets.name(target.role)
        lines = {**header_lines(headers), **copy_source(self._buckets, source, if_match), **REPLACED}
        try:
            answer = await self._long_calls.run(
                source.role, source.key, lambda minio: minio.send("PUT", bucket, target.key, headers=lines)
            )
        except Unavailable:
            await self._bucket_backend.probe(target.role)  # SeaweedFS answers 500 when the target's bucket is missing
            raise
        return etag_of(answer.data)

    async def delete(self, role: BucketRole, key: str) -> None:
        bucket = self._buckets.name(role)
        try:
            await self._calls.run(role, key, lambda minio: minio.send("DELETE", bucket, key))
        except NotFound:
            return

    async def delete_many(self, role: BucketRole, keys: Sequence[str]) -> list[wire.DeleteFailure]:
        bucket, body = self._buckets.name(role), delete_request(keys)
        headers = {"Content-MD5": str(md5sum_hash(body))}
        answer = await self._long_calls.run(
            role, None, lambda minio: minio.send("POST", bucket, query={"delete": ""}, headers=headers, body=body)
        )
        return delete_failures(answer.data)


def header_lines(headers: wire.ObjectHeaders) -> dict[str, str]:
    """The headers by their names on the wire; those not given are left out, and so the store's default."""
    lines = {
        "Content-Type": headers.content_type,
        "Cache-Control": headers.cache_control,
        "Content-Disposition": headers.content_disposition,
        "Content-Encoding": headers.content_encoding,
    }
    return {name: value for name, value in lines.items() if value is not None}


def copy_source(buckets: Buckets, source: wire.ObjectRef, if_match: str) -> dict[str, str]:
    """The headers that name a copy's source, and the ETag it must have."""
    return {
        "x-amz-copy-source": quote(f"/{buckets.name(source.role)}/{source.key}"),
        "x-amz-copy-source-if-match": f'"{if_match}"',
    }


def _stored(key: str, found: BaseHTTPResponse) -> wire.StoredObject:
    return wire.StoredObject(
        key=key,
        size=int(found.headers["content-length"]),
        etag=found.headers["etag"].strip('"'),
        content_type=found.headers.get("content-type"),
        checksum_sha256=full_sha256(found.headers.get("x-amz-checksum-sha256")),
        last_modified=parsedate_to_datetime(found.headers["last-modified"]),
    )
