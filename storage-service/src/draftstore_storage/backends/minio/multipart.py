"""Multipart uploads through the minio SDK."""

from collections.abc import Sequence

from minio.helpers import md5sum_hash

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.minio.client import Client
from draftstore_storage.backends.minio.documents import (
    complete_request,
    etag_of,
    next_marker,
    parse,
    upload_id_of,
    uploaded_parts,
)
from draftstore_storage.backends.minio.objects import copy_source, header_lines
from draftstore_storage.backends.protocols import ChecksumAlgorithm, ObjectBackend, Upload
from draftstore_storage.backends.repeats import completed_before
from draftstore_storage.domain import Buckets, ByteRange
from draftstore_storage.errors import NotFound, UploadNotFound


class MinioMultipart:
    """`MultipartBackend` on the minio SDK."""

    def __init__(
        self, calls: Calls[Client], long_calls: Calls[Client], buckets: Buckets, objects: ObjectBackend
    ) -> None:
        self._calls = calls
        self._long_calls = long_calls
        self._buckets = buckets
        self._objects = objects

    async def create(
        self, role: BucketRole, key: str, headers: wire.ObjectHeaders, checksum: ChecksumAlgorithm | None = None
    ) -> str:
        bucket, lines = self._buckets.name(role), header_lines(headers)
        if checksum is not None:
            lines["x-amz-checksum-algorithm"] = checksum.upper()
        answer = await self._calls.run(
            role, key, lambda minio: minio.send("POST", bucket, key, query={"uploads": ""}, headers=lines)
        )
        return upload_id_of(answer.data)

    async def copy_part(
        self, upload: Upload, number: int, source: wire.ObjectRef, piece: ByteRange, *, if_match: str
    ) -> wire.PartRef:
        bucket = self._buckets.name(upload.role)
        query = {"partNumber": str(number), "uploadId": upload.upload_id}
        headers = {**copy_source(self._buckets, source, if_match), "x-amz-copy-source-range": str(piece)}
        answer = await self._long_calls.run(
            source.role,
            source.key,
            lambda minio: minio.send("PUT", bucket, upload.key, query=query, headers=headers),
        )
        return wire.PartRef(part_number=number, etag=etag_of(answer.data))

    async def list_parts(self, upload: Upload) -> list[wire.UploadedPart]:
        parts: list[wire.UploadedPart] = []
        marker: str | None = "0"
        while marker is not None:
            page = parse(await self._page(upload, marker))
            parts += uploaded_parts(page)
            marker = next_marker(page)
        return parts

    async def complete(self, upload: Upload, parts: Sequence[wire.PartRef]) -> str:
        bucket, body = self._buckets.name(upload.role), complete_request(parts)
        headers = {"Content-Type": "application/xml", "Content-MD5": str(md5sum_hash(body))}
        query = {"uploadId": upload.upload_id}
        try:
            answer = await self._long_calls.run(
                upload.role,
                upload.key,
                lambda minio: minio.send("POST", bucket, upload.key, query=query, headers=headers, body=body),
            )
        except UploadNotFound as error:
            return await completed_before(self._objects, upload, len(parts), error)
        return etag_of(answer.data)

    async def abort(self, upload: Upload) -> None:
        bucket, query = self._buckets.name(upload.role), {"uploadId": upload.upload_id}
        try:
            await self._calls.run(
                upload.role, upload.key, lambda minio: minio.send("DELETE", bucket, upload.key, query=query)
            )
        except (UploadNotFound, NotFound):
            return

    async def _page(self, upload: Upload, marker: str) -> bytes:
        bucket = self._buckets.name(upload.role)
        query = {"uploadId": upload.upload_id, "part-number-marker": marker, "max-parts": "1000"}
        answer = await self._calls.run(
            upload.role, upload.key, lambda minio: minio.send("GET", bucket, upload.key, query=query)
        )
        return answer.data
