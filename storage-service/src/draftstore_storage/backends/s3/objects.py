"""Objects through boto3."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.protocols import BucketBackend
from draftstore_storage.domain import GONE_CODES, PIECE, Buckets, full_sha256
from draftstore_storage.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class S3Objects:
    """`ObjectBackend` on boto3."""

    def __init__(
        self,
        calls: "Calls[S3Client]",
        long_calls: "Calls[S3Client]",
        buckets: Buckets,
        bucket_backend: BucketBackend,
    ) -> None:
        self._calls = calls
        self._long_calls = long_calls
        self._buckets = buckets
        self._bucket_backend = bucket_backend

    async def head(self, role: BucketRole, key: str) -> wire.StoredObject:
        where = self._where(role, key)
        try:
            found = await self._calls.run(role, key, lambda s3: s3.head_object(**where, ChecksumMode="ENABLED"))
        except NotFound:
            await self._bucket_backend.probe(role)  # a HEAD answer does not say which of the two is missing
            raise
        return wire.StoredObject(
            key=key,
            size=found["ContentLength"],
            etag=found["ETag"].strip('"'),
            content_type=found.get("ContentType"),
            checksum_sha256=full_sha256(found.get("ChecksumSHA256")),
            last_modified=found["LastModified"],
        )

    async def get(self, role: BucketRole, key: str, *, if_match: str | None = None) -> AsyncGenerator[bytes, None]:
        where = self._where(role, key)
        if if_match is not None:
            where["IfMatch"] = f'"{if_match}"'
        body = (await self._calls.run(role, key, lambda s3: s3.get_object(**where)))["Body"]
        try:
            while piece := await self._calls.once(role, key, lambda _: body.read(PIECE)):
                yield piece
        finally:
            body.close()

    async def put(self, role: BucketRole, key: str, body: bytes, headers: wire.ObjectHeaders) -> str:
        request = {**self._where(role, key), **header_arguments(headers), "Body": body}
        answer = await self._calls.run(role, key, lambda s3: s3.put_object(**request))
        return answer["ETag"].strip('"')

    async def copy(
        self, source: wire.ObjectRef, target: wire.ObjectRef, *, if_match: str, headers: wire.ObjectHeaders
    ) -> str:
        request = {
            **self._where(target.role, target.key),
            **header_arguments(headers),
            "CopySource": self._where(source.role, source.key),
            "CopySourceIfMatch": f'"{if_match}"',
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
        }
        try:
            answer = await self._long_calls.run(source.role, source.key, lambda s3: s3.copy_object(**request))
        except Unavailable:
            await self._bucket_backend.probe(target.role)  # SeaweedFS answers 500 when the target's bucket is missing
            raise
        return str(answer["CopyObjectResult"]["ETag"]).strip('"')

    async def delete(self, role: BucketRole, key: str) -> None:
        where = self._where(role, key)
        try:
            await self._calls.run(role, key, lambda s3: s3.delete_object(**where))
        except NotFound:
            return

    async def delete_many(self, role: BucketRole, keys: Sequence[str]) -> list[wire.DeleteFailure]:
        request: Any = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        bucket = self._buckets.name(role)
        answer = await self._long_calls.run(role, None, lambda s3: s3.delete_objects(Bucket=bucket, Delete=request))
        return [
            wire.DeleteFailure(key=error["Key"], reason=error["Code"])
            for error in answer.get("Errors", [])
            if error["Code"] not in GONE_CODES
        ]

    def _where(self, role: BucketRole, key: str) -> Any:
        return {"Bucket": self._buckets.name(role), "Key": key}


def header_arguments(headers: wire.ObjectHeaders) -> dict[str, Any]:
    """The headers in boto3's names; those not given are left out, and so the store's default."""
    arguments = {
        "ContentType": headers.content_type,
        "CacheControl": headers.cache_control,
        "ContentDisposition": headers.content_disposition,
        "ContentEncoding": headers.content_encoding,
    }
    return {name: value for name, value in arguments.items() if value is not None}
