"""Copies of any size: one CopyObject while that is allowed, else by parts. The same for every driver."""

import asyncio
import logging

from draftstore_common.contracts import storage as wire
from draftstore_common.kit.context import set_timeout
from draftstore_storage.backends.protocols import MultipartBackend, ObjectBackend, Upload
from draftstore_storage.domain import COPY_PART_SIZE, SINGLE_COPY_LIMIT, ByteRange, copy_ranges
from draftstore_storage.errors import StoreError

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 8

CLEANUP_TIMEOUT = 10.0
"""Seconds for aborting a copy, beyond the request's deadline: parts left behind cost money and no row knows them."""


class Copier:
    """Copies inside the store, pinned to the source's ETag, with exactly the given headers."""

    def __init__(
        self,
        objects: ObjectBackend,
        multipart: MultipartBackend,
        *,
        single_limit: int = SINGLE_COPY_LIMIT,
        part_size: int = COPY_PART_SIZE,
    ) -> None:
        self._objects = objects
        self._multipart = multipart
        self._single_limit = single_limit
        self._part_size = part_size

    async def copy(self, request: wire.CopyRequest) -> str:
        """The copy's ETag. Either all of the copy is there, or nothing of it; see `ObjectBackend.copy` for errors."""
        if request.size <= self._single_limit:
            return await self._objects.copy(
                request.source, request.target, if_match=request.if_match, headers=request.headers
            )
        return await self._by_parts(request)

    async def _by_parts(self, request: wire.CopyRequest) -> str:
        target = request.target
        upload_id = await self._multipart.create(target.role, target.key, request.headers)
        upload = Upload(target.role, target.key, upload_id)
        try:
            return await self._multipart.complete(upload, await self._parts(request, upload))
        except BaseException:
            await asyncio.shield(asyncio.create_task(self._give_up(upload)))
            raise

    async def _parts(self, request: wire.CopyRequest, upload: Upload) -> list[wire.PartRef]:
        """Every part, copied at most `PARTS_AT_ONCE` at a time. The first failure stops the rest."""
        slots = asyncio.Semaphore(PARTS_AT_ONCE)

        async def part(number: int, piece: ByteRange) -> wire.PartRef:
            async with slots:
                return await self._multipart.copy_part(upload, number, request.source, piece, if_match=request.if_match)

        try:
            async with asyncio.TaskGroup() as group:
                pieces = enumerate(copy_ranges(request.size, self._part_size), start=1)
                tasks = [group.create_task(part(number, piece)) for number, piece in pieces]
        except ExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__
        return [task.result() for task in tasks]

    async def _give_up(self, upload: Upload) -> None:
        set_timeout(CLEANUP_TIMEOUT)
        try:
            await self._multipart.abort(upload)
        except StoreError:
            log.exception("parts of a failed copy are left behind", extra={"role": upload.role, "key": upload.key})
