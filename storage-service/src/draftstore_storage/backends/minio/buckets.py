"""Buckets through the minio SDK."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TypeVar

from minio.commonconfig import ENABLED
from minio.datatypes import Object
from minio.helpers import md5sum_hash

from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.minio.client import Client
from draftstore_storage.backends.minio.documents import cors_request
from draftstore_storage.backends.protocols import ListedObject, Probe
from draftstore_storage.domain import Buckets
from draftstore_storage.errors import AlreadyExists, NotFound, Refused

T = TypeVar("T")


class MinioBuckets:
    """`BucketBackend` on the minio SDK."""

    def __init__(self, calls: Calls[Client], buckets: Buckets) -> None:
        self._calls = calls
        self._buckets = buckets

    async def probe(self, role: BucketRole) -> Probe:
        bucket = self._buckets.name(role)
        answer = await self._calls.run(role, None, lambda minio: minio.send("HEAD", bucket))
        return Probe(parsedate_to_datetime(answer.headers["date"]), answer.headers.get("server", ""))

    async def create(self, role: BucketRole) -> None:
        bucket = self._buckets.name(role)
        try:
            await self._calls.run(role, None, lambda minio: minio.make_bucket(bucket))
        except AlreadyExists:
            return

    async def hazards(self, role: BucketRole) -> list[str]:
        bucket = self._buckets.name(role)
        versioning = await self._setting(role, lambda minio: minio.get_bucket_versioning(bucket))
        replication = await self._setting(role, lambda minio: minio.get_bucket_replication(bucket))
        lock = await self._setting(role, lambda minio: minio.send("GET", bucket, query={"object-lock": ""}))
        found = {
            "versioning": versioning is not None and versioning.status == ENABLED,
            "replication": replication is not None,
            "object lock": lock is not None and b"<ObjectLockEnabled>Enabled<" in lock.data,
        }
        return [name for name, present in found.items() if present]

    async def allow_origins(self, role: BucketRole, origins: Sequence[str]) -> bool:
        bucket, body = self._buckets.name(role), cors_request(origins)
        headers = {"Content-MD5": str(md5sum_hash(body))}
        try:
            await self._calls.run(
                role, None, lambda minio: minio.send("PUT", bucket, query={"cors": ""}, headers=headers, body=body)
            )
        except Refused:
            return False
        return True

    async def list(self, role: BucketRole, *, after: str = "", limit: int = 1000) -> list[ListedObject]:
        bucket = self._buckets.name(role)

        def page(minio: Client) -> list[Object]:
            found = minio.list_objects(bucket, recursive=True, start_after=after or None)
            return list(islice(found, limit))

        return [_listed(entry) for entry in await self._calls.run(role, None, page)]

    async def _setting(self, role: BucketRole, call: Callable[[Client], T]) -> T | None:
        """A setting of the bucket; None where it is not set or the store has no such thing."""
        try:
            return await self._calls.run(role, None, call)
        except (NotFound, Refused):
            return None


def _listed(entry: Object) -> ListedObject:
    modified = entry.last_modified or datetime.fromtimestamp(0, UTC)
    return ListedObject(entry.object_name or "", entry.size or 0, (entry.etag or "").strip('"'), modified)
