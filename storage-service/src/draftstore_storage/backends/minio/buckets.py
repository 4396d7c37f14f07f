"""Buckets through the minio SDK."""

from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import TypeVar

from minio.commonconfig import ENABLED
from minio.datatypes import Object, parse_list_objects
from minio.helpers import md5sum_hash

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.listing import Page, listing
from draftstore_storage.backends.minio.client import Client
from draftstore_storage.backends.minio.documents import cors_request
from draftstore_storage.backends.protocols import Probe
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

    async def list(self, role: BucketRole, *, after: str = "", limit: int = 1000) -> wire.ObjectListing:
        bucket = self._buckets.name(role)

        async def fetch(prefix: str, start: str, most: int) -> Page:
            asked = {"prefix": prefix, "start-after": start, "max-keys": str(most)}
            query = {"list-type": "2", "encoding-type": "url", **asked}
            answer = await self._calls.run(role, None, lambda minio: minio.send("GET", bucket, query=query))
            objects, truncated, token, _ = parse_list_objects(answer)
            return Page([_listed(entry) for entry in objects], truncated, token, answer.headers.get("server", ""))

        return await listing(fetch, after, limit)

    async def _setting(self, role: BucketRole, call: Callable[[Client], T]) -> T | None:
        """A setting of the bucket; None where it is not set or the store has no such thing."""
        try:
            return await self._calls.run(role, None, call)
        except (NotFound, Refused):
            return None


def _listed(entry: Object) -> wire.ListedObject:
    assert entry.last_modified is not None, "only folders have none"  # noqa: S101  and a walk without delimiter has no folders
    return wire.ListedObject(
        key=entry.object_name or "",
        size=entry.size or 0,
        etag=(entry.etag or "").strip('"'),
        last_modified=entry.last_modified,
    )
