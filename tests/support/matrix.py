"""Two tenants with one of everything, callers of every kind, and their requests to the composed suite."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Scope
from draftstore_common.kit.ids import random_base62, uuid7
from support.back_end import BackEnd
from support.operations import Ask, Things
from support.plain_http import NO_TLS
from support.watching import Steps, warmed, watched

ADDRESS = "192.0.2.7"
"""Where every request comes from."""

ALL_SCOPES = frozenset(scope.value for scope in Scope)
ATTEMPTS = 5

_CONTENT = b"bytes"

_STATE = """
    SELECT md5(coalesce(string_agg(seen.row, ',' ORDER BY seen.row), '')) FROM (
        SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM {table} t) seen"""

_TABLES = (
    "metadata.drafts",
    "metadata.objects",
    "metadata.object_keys",
    "metadata.confirmations",
    "metadata.events",
    "metadata.idempotency_keys",
    "identity.keys",
    "identity.tenants",
    "identity.changes",
    "identity.idempotency_keys",
)


@dataclass(frozen=True)
class Seen:
    """An answer, and what it took."""

    answer: httpx.Response
    steps: list[str]

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code; a HEAD has no code to read."""
        return self.answer.status_code, self.answer.json()["code"] if self.answer.content else ""

    def looks(self, *named: str) -> dict[str, Any]:
        """All that a caller could tell apart, with what it named made equal, and without ids of requests."""
        headers = sorted(name for name in self.answer.headers if name != "content-length")
        looks = {"status": self.answer.status_code, "headers": headers, "steps": self.steps}
        if self.answer.is_error and self.answer.content:
            body = json.dumps(self.answer.json() | {"request_id": ""})
            for name in named:
                body = body.replace(name, "<named>")
            looks["body"] = body
        return looks


class World:
    """The suite, seen from outside through its gateway and from inside through its database."""

    def __init__(self, back_end: BackEnd, http: httpx.AsyncClient, steps: Steps, foreign_tenant: str) -> None:
        self.back_end = back_end
        self._http = http
        self._steps = steps
        self._foreign_tenant = foreign_tenant
        self._keys: dict[str, str] = {}

    async def send(self, ask: Ask, key: str | None) -> Seen:
        """One request."""
        headers = dict(ask.headers) | ({} if key is None else {"authorization": f"Bearer {key}"})
        answer = (
            await self._http.request(ask.method, ask.path, json=ask.body, headers=headers)
            if ask.body is not None
            else await self._http.request(ask.method, ask.path, headers=headers)
        )
        return Seen(answer, self._steps.pop(answer.headers["x-request-id"], []))

    async def send_warm(self, make: Callable[[], Ask], key: str) -> Seen:
        """One request that finds every cache filled: sent again until it does."""
        for _ in range(ATTEMPTS):
            seen = await self.send(make(), key)
            if not warmed(seen.steps):
                return seen
        raise AssertionError("the caches are never warm")

    async def state(self) -> dict[str, str]:
        """A digest of every table that a request could change."""
        found = {}
        for table in _TABLES:
            row = await self.back_end.database.row(_STATE.format(table=table))
            assert row is not None
            found[table] = row[0]
        return found

    async def key(self, **wanted: Any) -> dict[str, Any]:
        """A new key, as its creation answered it."""
        body = {"name": "matrix", "rate_limits": [], **wanted}
        made: dict[str, Any] = await replace(self.back_end, key=self.back_end.admin_key).get(
            "POST", "/api/v1/keys", body, 201
        )
        return made

    async def data_key(self, *without: str, **wanted: Any) -> str:
        """The secret of a data key with every scope but these; the same one for the same wish."""
        wish = json.dumps([sorted(without), wanted], default=str)
        if wish not in self._keys:
            made = await self.key(scopes=sorted(ALL_SCOPES.difference(without)), **wanted)
            self._keys[wish] = made["key"]
        return self._keys[wish]

    async def things(self, *, foreign: bool = False) -> Things:
        """One of everything, new: of the callers' tenant, or of the other."""
        tenant = {"tenant_id": self._foreign_tenant} if foreign else {}
        owner = replace(self.back_end, key=await self.data_key(**tenant))
        uploaded = await owner.upload(_CONTENT, object_name=f"matrix/{random_base62(12)}")
        confirmed = await owner.upload(_CONTENT, object_name=f"matrix/{random_base62(12)}")
        await owner.get("POST", f"/api/v1/drafts/{confirmed['id']}/confirm", {"on_conflict": "fail"})
        held = await owner.upload(_CONTENT, object_name=f"matrix/{random_base62(12)}")
        hold = await owner.get("POST", "/api/v1/confirmations", {"draft_ids": [held["id"]], "mode": "prepare"})
        key = await self.key(scopes=["drafts:read"], **tenant)
        return {
            "draft_id": uploaded["id"],
            "confirmation_id": hold["id"],
            "object_name": confirmed["object_name"],
            "key_id": key["id"],
            "tenant_id": key["tenant_id"],
        }

    @staticmethod
    def nothing() -> Things:
        """Names of things that are nowhere."""
        ids = ("draft_id", "confirmation_id", "key_id", "tenant_id")
        return {name: str(uuid7()) for name in ids} | {"object_name": f"matrix/{random_base62(12)}"}

    async def bad_keys(self) -> dict[str, tuple[str | None, int, str]]:
        """A key of every kind that opens nothing, with the status and code of its refusal."""
        sql = self.back_end.database.row
        revoked, expired, disabled = [await self.key(scopes=sorted(ALL_SCOPES)) for _ in range(3)]
        tenant = await replace(self.back_end, key=self.back_end.admin_key).get(
            "POST", "/api/v1/tenants", {"name": f"suspended-{random_base62(8).lower()}"}, 201
        )
        suspended = await self.key(scopes=sorted(ALL_SCOPES), tenant_id=tenant["id"])
        elsewhere = await self.key(scopes=sorted(ALL_SCOPES), cidrs=["198.51.100.0/24"])
        await sql("UPDATE identity.keys SET revoked_at = now() WHERE id = $1", revoked["id"])
        await sql("UPDATE identity.keys SET expires_at = now() WHERE id = $1", expired["id"])
        await sql("UPDATE identity.keys SET enabled = false WHERE id = $1", disabled["id"])
        await sql("UPDATE identity.tenants SET status = 'suspended' WHERE id = $1", tenant["id"])
        return {
            "no key": (None, 401, "api_key_missing"),
            "malformed": ("ds_live_" + "0" * 38, 401, "api_key_malformed"),
            "unknown": (api_keys.make("live"), 401, "api_key_unknown"),
            "unknown admin": (api_keys.make("admin"), 401, "api_key_unknown"),
            "revoked": (revoked["key"], 401, "api_key_revoked"),
            "expired": (expired["key"], 401, "api_key_expired"),
            "disabled": (disabled["key"], 401, "api_key_disabled"),
            "suspended tenant": (suspended["key"], 403, "tenant_suspended"),
            "outside its networks": (elsewhere["key"], 403, "ip_not_allowed"),
        }


@asynccontextmanager
async def running_world(back_end: BackEnd) -> AsyncIterator[World]:
    """A world on this suite, with a tenant beside the default one."""
    made = await replace(back_end, key=back_end.admin_key).get(
        "POST", "/api/v1/tenants", {"name": f"foreign-{random_base62(8).lower()}"}, 201
    )
    transport = httpx.ASGITransport(back_end.suite.gateway, client=(ADDRESS, 50000))
    async with httpx.AsyncClient(verify=NO_TLS, transport=transport, base_url="http://suite", timeout=30) as http:
        with watched() as steps:
            yield World(back_end, http, steps, made["id"])
