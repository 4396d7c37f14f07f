"""The composed suite on a database and buckets of its own, with more processes beside it that may die."""

import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

import draftstore_drafts.app
import draftstore_identity.schema
import draftstore_metadata.schema
from draftstore_cleaner.app import create_cleaner
from draftstore_cleaner.service import Cleaner
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport, Call, Reply, Transport
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Audience, ServiceName, VerifyRequest
from draftstore_common.kit.database import Database
from draftstore_common.kit.ids import random_base62
from draftstore_drafts.settings import DraftSettings
from draftstore_standalone.suite import Backing, Suite
from support.lives import Life
from support.proxy import Proxy
from support.servers import S3Server
from support.store_view import StoreCredentials, StoreView

WHATEVER_HORIZON = 2 * 3600
"""Seconds after which nothing of a draft may land any more: past its URLs, their slack, and the longest copy."""

LEASE = 61
"""Seconds after which a claim that nobody renews is over."""

NEVER = 3600
"""Seconds between background passes over lapsed claims, so that none happens in between what a test does."""


@dataclass(frozen=True)
class Door:
    """Where the public API is called: a gateway, or a draft-service behind one, with what opens it."""

    way: Transport
    secret: str

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Reply:
        """One request of the public API."""
        whole = {"authorization": f"Bearer {self.secret}", "content-type": "application/json", "host": "suite"}
        content = b"" if body is None else json.dumps(body).encode()
        return await self.way.send(Call(method, f"/api/v1{path}", content, whole | headers))

    async def get(self, method: str, path: str, body: Mapping[str, Any] | None = None, status: int = 200) -> Any:
        """The JSON of an answer that must have this status."""
        reply = await self.ask(method, path, body)
        assert reply.status == status, f"{method} {path}: {reply.status} {reply.body!r}"
        return json.loads(reply.body) if reply.body else None

    async def confirm(self, draft: Mapping[str, Any], **options: Any) -> Reply:
        """Confirm a draft."""
        return await self.ask("POST", f"/drafts/{draft['id']}/confirm", options)


@dataclass(frozen=True)
class Installation:
    """A running suite, and what a test needs to see past it. `main` and `draft` are its buckets."""

    suite: Suite
    door: Door
    database: Database
    cleaner: Cleaner
    http: aiohttp.ClientSession
    store: StoreView
    main: str
    draft: str

    async def new(self, name: str, **intent: Any) -> dict[str, Any]:
        """A draft without bytes."""
        draft: dict[str, Any] = await self.door.get("POST", "/drafts", {"object_name": name, **intent}, 201)
        return draft

    async def put(self, draft: Mapping[str, Any], content: bytes, **headers: str) -> None:
        """Send bytes to the draft's upload URL, with headers beside those it asks for."""
        upload = draft["upload"]
        async with self.http.put(upload["url"], data=BytesIO(content), headers=upload["headers"] | headers) as answer:
            assert answer.status == 200, await answer.text()

    async def upload(self, name: str, content: bytes, **intent: Any) -> dict[str, Any]:
        """A draft with its bytes."""
        draft = await self.new(name, **intent)
        await self.put(draft, content)
        return draft

    async def draft_key(self, draft: Mapping[str, Any]) -> str:
        """Where a draft's bytes wait."""
        return str((await self.row(draft))["storage_key"])

    async def row(self, draft: Mapping[str, Any]) -> Mapping[str, Any]:
        """A draft's row."""
        (row,) = await self.database.rows("SELECT * FROM metadata.drafts WHERE id = $1", draft["id"])
        return dict(row)

    async def keys_of(self, draft: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The rows of the keys of the main bucket that were reserved for a draft, oldest first."""
        sql = "SELECT * FROM metadata.object_keys WHERE draft_id = $1 ORDER BY id"
        return [dict(row) for row in await self.database.rows(sql, draft["id"])]

    async def objects_of(self, draft: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The object rows that were made of a draft."""
        sql = "SELECT * FROM metadata.objects WHERE draft_id = $1"
        return [dict(row) for row in await self.database.rows(sql, draft["id"])]

    async def pass_time(self, drafts: Iterable[Mapping[str, Any]], seconds: int) -> None:
        """Let these drafts, and all that belongs to them, be older by so many seconds."""
        ids = [draft["id"] for draft in drafts]
        for table, condition in _OWNED.items():
            instants = await self.database.rows(_INSTANTS, table)
            moved = ", ".join(f"{name} = {name} - make_interval(secs => $2)" for (name,) in instants)
            if moved:
                await self.database.rows(f"UPDATE metadata.{table} SET {moved} WHERE {condition}", ids, seconds)  # noqa: S608

    async def clean_up_after(self, drafts: Iterable[Mapping[str, Any]]) -> None:
        """Let all time pass that these drafts have, and clean: everything of theirs that goes has gone then, twice."""
        drafts = list(drafts)
        for _ in range(3):
            await self.pass_time(drafts, WHATEVER_HORIZON)
            await self.cleaner.run()

    @asynccontextmanager
    async def process(self, life: Life, **settings: Any) -> AsyncIterator[Door]:
        """Another draft-service on the same services, for as long as this life lasts."""
        key = self.suite._key(ServiceName.DRAFTS)
        made = DraftSettings(service_key=key, shutdown_grace=0, **{"tend_interval": NEVER, **settings})
        app = draftstore_drafts.app.create_app(made, **life.ways(self.suite.internal))
        async with AsgiLifespan(app):
            try:
                yield Door(AsgiTransport(app), await self._principal_token())
            finally:
                life.end()

    @asynccontextmanager
    async def another_cleaner(self, life: Life, **settings: Any) -> AsyncIterator[Cleaner]:
        """Another cleaner on the same services, for as long as this life lasts."""
        made = CleanerSettings(service_key=SecretStr(self.suite.cleaner_key), **settings)
        async with create_cleaner(made, **life.ways(self.suite.internal)) as cleaner:
            try:
                yield cleaner
            finally:
                life.end()

    async def _principal_token(self) -> str:
        """What the gateway would hand a draft-service with a request of this key."""
        identity = AsgiTransport(self.suite.internal["identity"])
        tokens = ServiceTokens(identity, self.suite._key(ServiceName.GATEWAY).get_secret_value())
        request = VerifyRequest(secret=self.door.secret, audience=Audience.DRAFTS)
        return (await IdentityClient(identity, tokens).verify(request)).token


_OWNED = {
    "drafts": "id = ANY ($1::uuid[])",
    "object_keys": "draft_id = ANY ($1::uuid[])",
    "confirmations": "draft_ids && $1::uuid[]",
}
"""The tables that belong to drafts, and which of their rows."""

_INSTANTS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = 'metadata' AND table_name = $1 AND data_type = 'timestamp with time zone'"""


@dataclass(frozen=True)
class Site:
    """Where an installation keeps everything: it outlives every process of it.

    `rows_url` and `store_url` are the services' own ways to the database and the store; tests look past them.
    """

    database_url: str
    server: S3Server
    bucket: str
    rows_url: str
    store_url: str
    data_keys: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Installation]:
        """A suite on this site; leaving ends it and keeps the site."""
        with patch.dict(os.environ, TEND_INTERVAL=str(NEVER)):
            suite = Suite(self._backing())
        async with (
            suite.running(),
            AsgiLifespan(suite.gateway),
            suite.cleaner() as cleaner,
            Database(self.database_url) as database,
            aiohttp.ClientSession() as http,
        ):
            await database.rows("UPDATE identity.keys SET rate_limits = '[]'")
            door = Door(AsgiTransport(suite.gateway), self.data_keys[0])
            view = StoreView(StoreCredentials(self.server.endpoint, self.server.access_key, self.server.secret_key))
            try:
                yield Installation(suite, door, database, cleaner, http, view, self.bucket, f"{self.bucket}-draft")
            finally:
                view.close()

    def _backing(self) -> Backing:
        storage = {
            "s3_endpoint_url": self.store_url,
            "s3_addressing_style": "path",
            "aws_access_key_id": self.server.access_key,
            "aws_secret_access_key": SecretStr(self.server.secret_key),
            "bucket_name": self.bucket,
        }
        admin_key = SecretStr(api_keys.make("admin"))
        return Backing(SecretStr(self.rows_url), admin_key, storage, lambda _, key: self.data_keys.append(key))


@asynccontextmanager
async def site(
    postgres_url: str, server: S3Server, *, rows: Proxy | None = None, store: Proxy | None = None
) -> AsyncIterator[Site]:
    """A new database beside this one, and buckets nobody else uses. The services go through these proxies."""
    name = f"faults_{random_base62(12).lower()}"
    async with Database(postgres_url) as admin:
        await admin.rows(f'CREATE DATABASE "{name}"')
        url = f"{postgres_url.rpartition('/')[0]}/{name}"
        await draftstore_identity.schema.migrate(url)
        await draftstore_metadata.schema.migrate(url)
        try:
            way = url if rows is None else urlsplit(url)._replace(netloc=_through(url, rows)).geturl()
            yield Site(url, server, name.replace("_", "-"), way, server.endpoint if store is None else store.url)
        finally:
            await admin.rows(f'DROP DATABASE "{name}" WITH (FORCE)')


def _through(url: str, proxy: Proxy) -> str:
    """Who enters, and the proxy's address instead of the server's."""
    who, at, _ = urlsplit(url).netloc.rpartition("@")
    return f"{who}{at}{proxy.address}"
