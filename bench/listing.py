"""The listing of a bucket, page by page, and the sweep by age that people make of one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

import aiohttp
import boto3  # type: ignore[import-untyped]
from yarl import URL

from bench.load.s3 import KEYS_PER_DELETE, Store
from support.store_view import StoreCredentials

_XMLNS = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True)
class Listed:
    """A key of a bucket."""

    key: str
    size: int
    written_at: datetime


async def listed(store: Store, bucket: str) -> AsyncIterator[Listed]:
    """Everything there, by pages of a thousand (ListObjectsV2)."""
    query = {"list-type": "2", "max-keys": "1000"}
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            page = await _page(session, store, bucket, query)
            for item in page.iter(f"{_XMLNS}Contents"):
                yield _listed(item)
            token = page.findtext(f"{_XMLNS}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token


async def _page(session: aiohttp.ClientSession, store: Store, bucket: str, query: dict[str, str]) -> ET.Element:
    # Signed by hand: aiohttp would write the query its own way.
    target = store.target("GET", f"/{bucket}", query=query)
    async with session.get(URL(f"{store.endpoint}{target}", encoded=True)) as answer:
        answer.raise_for_status()
        return ET.fromstring(await answer.read())  # noqa: S314  of our own store


def _listed(item: ET.Element) -> Listed:
    key, size, at = (item.findtext(f"{_XMLNS}{name}") for name in ("Key", "Size", "LastModified"))
    return Listed(key or "", int(size or 0), datetime.fromisoformat(at or ""))


def delete_by_age(credentials: StoreCredentials, bucket: str, instant: datetime) -> int:
    """Delete what was written since an instant, as a nightly script does it with boto3; answers how many keys."""
    client = boto3.client(
        "s3",
        endpoint_url=credentials.endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name="us-east-1",
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = [item["Key"] for page in pages for item in page.get("Contents", ()) if item["LastModified"] >= instant]
    for start in range(0, len(found), KEYS_PER_DELETE):
        keys = [{"Key": key} for key in found[start : start + KEYS_PER_DELETE]]
        client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    client.close()
    return len(found)
