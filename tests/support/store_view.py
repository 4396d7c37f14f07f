"""What lies in the buckets, seen with the store's own credentials and past every service."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True)
class StoreCredentials:
    """Where a store is, and how to get into it."""

    endpoint: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Found:
    """What HEAD says of a key."""

    size: int
    content_type: str
    cache_control: str | None
    content_disposition: str | None
    metadata: dict[str, str]


class StoreView:
    """Looks into buckets. Keys are those of the store."""

    def __init__(self, credentials: StoreCredentials) -> None:
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=credentials.endpoint,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def close(self) -> None:
        """Give its connections back."""
        self._client.close()

    async def head(self, bucket: str, key: str) -> Found | None:
        """What is there, or None."""
        try:
            answer = await asyncio.to_thread(self._client.head_object, Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return Found(
            answer["ContentLength"],
            answer["ContentType"],
            answer.get("CacheControl"),
            answer.get("ContentDisposition"),
            dict(answer["Metadata"]),
        )

    async def read(self, bucket: str, key: str) -> bytes:
        """The bytes there; raises when there are none."""

        def get() -> bytes:
            content: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
            return content

        return await asyncio.to_thread(get)

    def url(self, bucket: str, key: str) -> str:
        """A URL that reads the bytes there, for a client that is quicker than this one."""
        return str(self._client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))

    async def write(self, bucket: str, key: str, content: bytes, **headers: Any) -> None:
        """Put bytes there, as nobody without these credentials could; `headers` are arguments of PutObject."""
        await asyncio.to_thread(self._client.put_object, Bucket=bucket, Key=key, Body=content, **headers)

    async def remove(self, bucket: str, key: str) -> None:
        """Delete bytes there, as nobody without these credentials could."""
        await asyncio.to_thread(self._client.delete_object, Bucket=bucket, Key=key)

    async def delete_bucket(self, bucket: str) -> None:
        """Delete a bucket with everything in it."""
        for key in await self.keys(bucket):
            await self.remove(bucket, key)
        await asyncio.to_thread(self._client.delete_bucket, Bucket=bucket)

    async def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """All keys below a prefix."""

        def listed() -> list[str]:
            pages: Any = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [item["Key"] for page in pages for item in page.get("Contents", [])]

        return await asyncio.to_thread(listed)
