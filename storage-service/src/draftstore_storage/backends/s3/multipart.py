"""Multipart uploads through boto3."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.protocols import ChecksumAlgorithm, ObjectBackend, Upload
from draftstore_storage.backends.repeats import completed_before
from draftstore_storage.backends.s3.objects import header_arguments
from draftstore_storage.domain import Buckets, ByteRange, base64_sha256, full_sha256
from draftstore_storage.errors import NotFound, UploadNotFound

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class S3Multipart:
    """`MultipartBackend` on boto3."""

    def __init__(
        self, calls: "Calls[S3Client]", long_calls: "Calls[S3Client]", buckets: Buckets, objects: ObjectBackend
    ) -> None:
        self._calls = calls
        self._long_calls = long_calls
        self._buckets = buckets
        self._objects = objects

    async def create(
        self, role: BucketRole, key: str, headers: wire.ObjectHeaders, checksum: ChecksumAlgorithm | None = None
    ) -> str:
        request: dict[str, Any] = {"Bucket": self._buckets.name(role), "Key": key, **header_arguments(headers)}
        if checksum is not None:
            request["ChecksumAlgorithm"] = checksum.upper()
        answer = await self._calls.run(role, key, lambda s3: s3.create_multipart_upload(**request))
        return answer["UploadId"]

    async def copy_part(
        self, upload: Upload, number: int, source: wire.ObjectRef, piece: ByteRange, *, if_match: str
    ) -> wire.PartRef:
        request: Any = {
            **self._where(upload),
            "PartNumber": number,
            "CopySource": {"Bucket": self._buckets.name(source.role), "Key": source.key},
            "CopySourceRange": str(piece),
            "CopySourceIfMatch": f'"{if_match}"',
        }
        answer = await self._long_calls.run(source.role, source.key, lambda s3: s3.upload_part_copy(**request))
        return wire.PartRef(part_number=number, etag=answer["CopyPartResult"]["ETag"].strip('"'))

    async def list_parts(self, upload: Upload) -> list[wire.UploadedPart]:
        parts: list[wire.UploadedPart] = []
        marker = 0
        while True:
            page = await self._page(upload, marker)
            parts += [_uploaded(part) for part in page.get("Parts", [])]
            if not page.get("IsTruncated"):
                return parts
            marker = page["NextPartNumberMarker"]

    async def complete(self, upload: Upload, parts: Sequence[wire.PartRef]) -> str:
        request: Any = {**self._where(upload), "MultipartUpload": {"Parts": [_named(part) for part in parts]}}
        try:
            answer = await self._long_calls.run(
                upload.role, upload.key, lambda s3: s3.complete_multipart_upload(**request)
            )
        except UploadNotFound as error:
            return await completed_before(self._objects, upload, len(parts), error)
        return answer["ETag"].strip('"')

    async def abort(self, upload: Upload) -> None:
        where = self._where(upload)
        try:
            await self._calls.run(upload.role, upload.key, lambda s3: s3.abort_multipart_upload(**where))
        except (UploadNotFound, NotFound):
            return

    async def _page(self, upload: Upload, marker: int) -> Any:
        where = self._where(upload)
        return await self._calls.run(
            upload.role, upload.key, lambda s3: s3.list_parts(**where, PartNumberMarker=marker)
        )

    def _where(self, upload: Upload) -> Any:
        return {"Bucket": self._buckets.name(upload.role), "Key": upload.key, "UploadId": upload.upload_id}


def _uploaded(part: Any) -> wire.UploadedPart:
    return wire.UploadedPart(
        part_number=part["PartNumber"],
        size=part["Size"],
        etag=part["ETag"].strip('"'),
        checksum_sha256=full_sha256(part.get("ChecksumSHA256")),
    )


def _named(part: wire.PartRef) -> dict[str, Any]:
    named: dict[str, Any] = {"PartNumber": part.part_number, "ETag": f'"{part.etag}"'}
    if part.checksum_sha256 is not None:
        named["ChecksumSHA256"] = base64_sha256(part.checksum_sha256)
    return named
