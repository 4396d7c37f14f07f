"""Buckets through boto3."""

from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.backends.calls import Calls
from draftstore_storage.backends.listing import Page, listing
from draftstore_storage.backends.protocols import Probe
from draftstore_storage.domain import CORS_METHODS, Buckets
from draftstore_storage.errors import AlreadyExists, NotFound, Refused

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ObjectTypeDef


class S3Buckets:
    """`BucketBackend` on boto3."""

    def __init__(self, calls: "Calls[S3Client]", buckets: Buckets, *, region: str) -> None:
        self._calls = calls
        self._buckets = buckets
        self._region = region

    async def probe(self, role: BucketRole) -> Probe:
        bucket = self._buckets.name(role)
        answer = await self._calls.run(role, None, lambda s3: s3.head_bucket(Bucket=bucket))
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return Probe(parsedate_to_datetime(headers["date"]), headers.get("server", ""))

    async def create(self, role: BucketRole) -> None:
        request: dict[str, Any] = {"Bucket": self._buckets.name(role)}
        if self._region != "us-east-1":  # the one region S3 does not take as a constraint
            request["CreateBucketConfiguration"] = {"LocationConstraint": self._region}
        try:
            await self._calls.run(role, None, lambda s3: s3.create_bucket(**request))
        except AlreadyExists:
            return

    async def hazards(self, role: BucketRole) -> list[str]:
        bucket = self._buckets.name(role)
        versioning = await self._setting(role, lambda s3: s3.get_bucket_versioning(Bucket=bucket))
        replication = await self._setting(role, lambda s3: s3.get_bucket_replication(Bucket=bucket))
        lock = await self._setting(role, lambda s3: s3.get_object_lock_configuration(Bucket=bucket))
        found = {
            "versioning": versioning.get("Status") == "Enabled",
            "replication": bool(replication.get("ReplicationConfiguration")),
            "object lock": lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
        }
        return [name for name, present in found.items() if present]

    async def allow_origins(self, role: BucketRole, origins: Sequence[str]) -> bool:
        rule: Any = {
            "AllowedOrigins": list(origins),
            "AllowedMethods": list(CORS_METHODS),
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 3600,
        }
        bucket = self._buckets.name(role)
        try:
            await self._calls.run(
                role, None, lambda s3: s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
            )
        except Refused:
            return False
        return True

    async def list(self, role: BucketRole, *, after: str = "", limit: int = 1000) -> wire.ObjectListing:
        bucket = self._buckets.name(role)

        async def fetch(prefix: str, start: str, most: int) -> Page:
            request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "StartAfter": start, "MaxKeys": most}
            answer = await self._calls.run(role, None, lambda s3: s3.list_objects_v2(**request))
            items = [_listed(entry) for entry in answer.get("Contents", [])]
            server = answer["ResponseMetadata"]["HTTPHeaders"].get("server", "")
            return Page(items, answer["IsTruncated"], answer.get("NextContinuationToken"), server)

        return await listing(fetch, after, limit)

    async def _setting(self, role: BucketRole, call: "Callable[[S3Client], Any]") -> dict[str, Any]:
        """A setting of the bucket; empty where it is not set or the store has no such thing."""
        try:
            return dict(await self._calls.run(role, None, call))
        except (NotFound, Refused):
            return {}


def _listed(entry: "ObjectTypeDef") -> wire.ListedObject:
    etag = entry["ETag"].strip('"')
    return wire.ListedObject(key=entry["Key"], size=entry["Size"], etag=etag, last_modified=entry["LastModified"])
