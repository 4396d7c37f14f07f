"""Multipart uploads over S3's REST API."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.protocols import ChecksumAlgorithm, ObjectBackend, Upload
from draftstore_storage.backends.repeats import completed_before
from draftstore_storage.backends.rest.client import RestClient
from draftstore_storage.backends.rest.documents import (
    complete_request,
    etag_of,
    next_marker,
    upload_id_of,
    uploaded_parts,
)
from draftstore_storage.backends.rest.objects import copy_source, header_lines
from draftstore_storage.domain import Buckets, ByteRange
from draftstore_storage.errors import NotFound, UploadNotFound
from draftstore_storage.signing.headers import S3Request


class RestMultipart:
    """`MultipartBackend` over REST."""

    def __init__(self, short: RestClient, long: RestClient, buckets: Buckets, objects: ObjectBackend) -> None:
        self._short = short
        self._long = long
        self._buckets = buckets
        self._objects = objects

    async def create(
        self, role: BucketRole, key: str, headers: wire.ObjectHeaders, checksum: ChecksumAlgorithm | None = None
    ) -> str:
        lines = header_lines(headers)
        if checksum is not None:
            lines["x-amz-checksum-algorithm"] = checksum.upper()
        request = S3Request("POST", role, key, query={"uploads": ""}, headers=lines)
        return await self._short.ask(request, lambda answer: upload_id_of(answer.root))

    async def copy_part(
        self, upload: Upload, number: int, source: wire.ObjectRef, piece: ByteRange, *, if_match: str
    ) -> wire.PartRef:
        query = {"partNumber": str(number), "uploadId": upload.upload_id}
        headers = {**copy_source(self._buckets, source, if_match), "x-amz-copy-source-range": str(piece)}
        request = S3Request("PUT", upload.role, upload.key, query=query, headers=headers)
        etag = await self._long.ask(request, lambda answer: etag_of(answer.root), about=source)
        return wire.PartRef(part_number=number, etag=etag)

    async def list_parts(self, upload: Upload) -> list[wire.UploadedPart]:
        parts: list[wire.UploadedPart] = []
        marker: str | None = "0"
        while marker is not None:
            page, marker = await self._page(upload, marker)
            parts += page
        return parts

    async def complete(self, upload: Upload, parts: Sequence[wire.PartRef]) -> str:
        request = S3Request(
            "POST", upload.role, upload.key, query={"uploadId": upload.upload_id}, body=complete_request(parts)
        )
        try:
            return await self._long.ask(request, lambda answer: etag_of(answer.root))
        except UploadNotFound as error:
            return await completed_before(self._objects, upload, len(parts), error)

    async def abort(self, upload: Upload) -> None:
        request = S3Request("DELETE", upload.role, upload.key, query={"uploadId": upload.upload_id})
        try:
            await self._short.ask(request, lambda _: None)
        except (UploadNotFound, NotFound):
            return

    async def _page(self, upload: Upload, marker: str) -> tuple[list[wire.UploadedPart], str | None]:
        query = {"uploadId": upload.upload_id, "part-number-marker": marker, "max-parts": "1000"}
        request = S3Request("GET", upload.role, upload.key, query=query)
        return await self._short.ask(request, lambda answer: _parts(answer.root))


def _parts(page: Element) -> tuple[list[wire.UploadedPart], str | None]:
    return uploaded_parts(page), next_marker(page)
