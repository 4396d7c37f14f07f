"""An installed identity over a real PostgreSQL, spoken to as the gateway speaks to it."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport
from draftstore_common.contracts.administration import NewKey
from draftstore_common.contracts.identity import Audience, KeyKind, ServiceName, Verdict, VerifyRequest
from draftstore_common.kit.ids import random_base62
from draftstore_identity.app import create_app
from draftstore_identity.schema import migrate
from draftstore_identity.settings import IdentitySettings
from support.plain_http import NO_TLS

SERVICE_SECRETS = {name: f"the-service-key-of-{name}" for name in ServiceName}
SERVICE_KEYS = {hashlib.sha256(secret.encode()).hexdigest(): name for name, secret in SERVICE_SECRETS.items()}


def settings(database_url: str, **more: Any) -> IdentitySettings:
    """Settings of an identity on this database, with the service keys of these tests."""
    given = {"admin_requests_per_minute": 10_000, **more}
    return IdentitySettings(database_url=SecretStr(database_url), service_keys=SERVICE_KEYS, **given)


class Revealed:
    """Keeps what a bootstrap revealed."""

    def __init__(self) -> None:
        self.secrets: list[tuple[KeyKind, str]] = []

    def __call__(self, kind: KeyKind, secret: str) -> None:
        self.secrets.append((kind, secret))

    def only(self, kind: KeyKind) -> str:
        """The one secret of this kind."""
        (secret,) = (secret for known, secret in self.secrets if known == kind)
        return secret


@dataclass(frozen=True)
class Installation:
    """A running identity, and what its bootstrap revealed."""

    app: FastAPI
    database_url: str
    admin_key: str
    data_key: str

    def client(self, service: ServiceName = ServiceName.GATEWAY) -> IdentityClient:
        """The client a service has of it."""
        transport = AsgiTransport(self.app)
        return IdentityClient(transport, ServiceTokens(transport, SERVICE_SECRETS[service]))

    async def verify(self, secret: str, audience: Audience = Audience.DRAFTS, client_ip: str | None = None) -> Verdict:
        """What the gateway is told of a secret."""
        return await self.client().verify(VerifyRequest(secret=secret, audience=audience, client_ip=client_ip))

    async def call(self, secret: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """A request with this key, as it arrives through the gateway."""
        verdict = await self.verify(secret, Audience.IDENTITY)
        return await self.send(method, path, body, token=verdict.token, **headers)

    async def send(self, method: str, path: str, body: Any = None, *, token: str = "", **more: str) -> httpx.Response:
        """A request with this bearer token and more headers, `_` in their names for `-`."""
        transport = httpx.ASGITransport(self.app)
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(verify=NO_TLS, transport=transport, base_url="http://identity") as http:
            return await http.request(method, path, json=body, headers=headers)

    async def issue(self, by: str | None = None, **wanted: Any) -> NewKey:
        """A new key, issued by the admin key unless another is given."""
        body = {"name": "a key", "scopes": ["drafts:read"], **wanted}
        answer = await self.call(by or self.admin_key, "POST", "/api/v1/keys", body)
        assert answer.status_code == 201, answer.text
        return NewKey.model_validate_json(answer.content)

    async def keys_admin(self, **more: Any) -> NewKey:
        """A data key that administers the keys of a tenant of its own."""
        wanted = {"scopes": ["keys:admin", "drafts:read", "drafts:write"], "tenant_id": await self.tenant(), **more}
        return await self.issue(**wanted)

    async def refused(self, by: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and code of a refused request."""
        answer = await self.call(by, method, path, body, **headers)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]

    async def audit(self, target: Any) -> list[dict[str, Any]]:
        """What the audit log says of a target, oldest first."""
        rows = await self.sql("SELECT * FROM identity.audit WHERE target = $1 ORDER BY id", str(target))
        return [{**row, "detail": json.loads(row["detail"]) if row["detail"] else None} for row in rows]

    async def tenant(self) -> str:
        """The id of a new tenant."""
        body = {"name": f"tenant-{random_base62(12).lower()}"}
        answer = await self.call(self.admin_key, "POST", "/api/v1/tenants", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a statement: tests move rows, not clocks."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


@asynccontextmanager
async def installed(database_url: str, **more: Any) -> AsyncIterator[Installation]:
    """A fresh installation on an empty database."""
    await migrate(database_url)
    async with started(database_url, **more) as installation:
        yield installation


@asynccontextmanager
async def started(database_url: str, **more: Any) -> AsyncIterator[Installation]:
    """The first start on a migrated database."""
    revealed = Revealed()
    app = create_app(settings(database_url, **more), reveal=revealed)
    async with AsgiLifespan(app):
        yield Installation(app, database_url, revealed.only("admin"), revealed.only("data"))
