"""The composed suite on a PostgreSQL and a store, called in process by a back end with a key."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from pydantic import SecretStr

import draftstore_identity.schema
import draftstore_metadata.schema
from draftstore_cleaner.service import Cleaner
from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport, Call, Reply
from draftstore_common.contracts import api_keys
from draftstore_common.kit.database import Database
from draftstore_common.kit.ids import random_base62
from draftstore_standalone.suite import Backing, Suite
from support.servers import Postgres, S3Server


@dataclass(frozen=True)
class BackEnd:
    """A client of the gateway with one key."""

    gateway: AsgiTransport
    key: str
    admin_key: str
    store: aiohttp.ClientSession
    database: Database
    cleaner: Cleaner
    suite: Suite
    bucket: str

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json", "host": "suite"}
        return await self.gateway.send(Call(method, path, json.dumps(body).encode() if body else b"", headers))

    async def get(self, method: str, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        """The JSON of an answer that must have this status."""
        reply = await self.ask(method, path, body)
        assert reply.status == status, reply.body
        return json.loads(reply.body) if reply.body else None

    async def with_scopes(self, *scopes: str, **limits: Any) -> "BackEnd":
        """The same back end with a key of these scopes, perhaps limited further."""
        made = await replace(self, key=self.admin_key).get(
            "POST", "/api/v1/keys", {"name": "narrow", "scopes": scopes, "rate_limits": [], **limits}, 201
        )
        return replace(self, key=made["key"])

    async def upload(self, content: bytes, **intent: Any) -> dict[str, Any]:
        """A new draft with its bytes."""
        draft: dict[str, Any] = await self.get("POST", "/api/v1/drafts", intent, 201)
        await self.put(draft, content)
        return draft

    async def put(self, draft: dict[str, Any], content: bytes) -> None:
        async with self.store.put(draft["upload"]["url"], data=content, headers=draft["upload"]["headers"]) as answer:
            assert answer.status == 200, await answer.text()

    async def count(self, table: str, **where: Any) -> int:
        """Rows of a metadata table with these values."""
        conditions = " AND ".join(f"{name} = ${number}" for number, name in enumerate(where, start=1)) or "true"
        row = await self.database.row(f"SELECT count(*) FROM metadata.{table} WHERE {conditions}", *where.values())  # noqa: S608
        assert row is not None
        return int(row[0])


@asynccontextmanager
async def running_back_end(postgres: Postgres, store: S3Server) -> AsyncIterator[BackEnd]:
    """A suite with a database and buckets of its own."""
    name = f"suite_{random_base62(12).lower()}"
    async with Database(postgres.url) as admin:
        await admin.rows(f'CREATE DATABASE "{name}"')
        url = f"{postgres.url.rpartition('/')[0]}/{name}"
        async with _running(url, store, name.replace("_", "-")) as made:
            yield made
        await admin.rows(f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def _running(url: str, store: S3Server, bucket: str) -> AsyncIterator[BackEnd]:
    await draftstore_identity.schema.migrate(url)
    await draftstore_metadata.schema.migrate(url)
    data_keys: list[str] = []
    storage = {
        "s3_endpoint_url": store.endpoint,
        "s3_addressing_style": "path",
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": SecretStr(store.secret_key),
        "bucket_name": bucket,
    }
    admin_key = SecretStr(api_keys.make("admin"))
    suite = Suite(Backing(SecretStr(url), admin_key, storage, lambda _, key: data_keys.append(key)))
    async with (
        suite.running(),
        AsgiLifespan(suite.gateway),
        suite.cleaner() as cleaner,
        Database(url) as database,
        aiohttp.ClientSession() as session,
    ):
        await database.rows("UPDATE identity.keys SET rate_limits = '[]'")
        yield BackEnd(
            AsgiTransport(suite.gateway),
            data_keys[0],
            admin_key.get_secret_value(),
            session,
            database,
            cleaner,
            suite,
            bucket,
        )
