"""What stands around the gateway in its tests: a small identity that signs real tokens, and a service that echoes."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from draftstore_common.access import principal_claims
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.audit import AccessEvent, AccessEvents
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import (
    PRINCIPAL_TOKEN,
    SERVICE_TOKEN,
    AccessAudit,
    Audience,
    KeyKind,
    Principal,
    RateLimit,
    Scope,
    ServiceToken,
    ServiceTokenRequest,
    Verdict,
    VerifyRequest,
)
from draftstore_common.kit.app import ProblemResponse
from draftstore_common.kit.context import request_id
from draftstore_common.kit.errors import Unauthorized
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.tokens import ALGORITHM, ISSUER
from support.small_feed import SmallFeed

SERVICE_KEY = "the-gateways-own-key"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An API key this identity knows."""

    secret: str
    principal: Principal
    rate_limits: list[RateLimit] | None = None
    cidrs: list[IPv4Network | IPv6Network] = field(default_factory=list)
    tenant_rate_limits: list[RateLimit] = field(default_factory=list)


class SmallIdentity:
    """An identity with its keys and its feed of changes in memory. Counts what it is asked."""

    def __init__(self) -> None:
        self.verifications = 0
        self.service_key = SERVICE_KEY
        self.asked = asyncio.Event()
        self.hold: asyncio.Event | None = None
        """What a verification waits for before it looks."""
        self.delay: asyncio.Event | None = None
        """What the answer of a verification waits for, once it is known."""
        self.feed = SmallFeed()
        self.accesses: list[AccessEvent] = []
        """What was put on record."""
        self._keys: dict[str, KnownKey] = {}
        self._signing_key = ec.generate_private_key(ec.SECP256R1())
        self.app = Starlette(
            routes=[
                Route("/internal/service-token", self._service_token, methods=["POST"]),
                Route("/internal/verify", self._verify, methods=["POST"]),
                Route("/internal/changes", self.feed.answer, methods=["POST"]),
                Route("/internal/access-events", self._access_events, methods=["POST"]),
                Route("/.well-known/jwks.json", self._jwks),
                Route("/health/live", lambda _: Response()),
            ]
        )

    def issue(
        self,
        *scopes: Scope,
        kind: KeyKind = "data",
        tenant_id: UUID = DEFAULT_TENANT_ID,
        lineage: UUID | None = None,
        access_audit: AccessAudit = "sampled",
        **more: Any,
    ) -> KnownKey:
        """A new key; `more` as in `KnownKey`."""
        key_id = uuid7()
        principal = Principal(
            tenant_id=tenant_id,
            key_id=key_id,
            lineage=lineage or key_id,
            kind=kind,
            scopes=frozenset(scopes),
            access_audit=access_audit,
        )
        secret = api_keys.make("admin" if kind == "admin" else "live")
        self._keys[secret] = KnownKey(secret, principal, **more)
        return self._keys[secret]

    async def revoke(self, key: KnownKey) -> None:
        """Forget a key, and tell the feed."""
        del self._keys[key.secret]
        await self.feed.note(key.principal.key_id)

    async def _service_token(self, request: Request) -> Response:
        if request.headers["authorization"] != f"Bearer {self.service_key}":
            return ProblemResponse(Unauthorized(code="service_key_refused"))
        audience = ServiceTokenRequest.model_validate_json(await request.body()).audience
        token = self._sign(SERVICE_TOKEN, audience, {"sub": "gateway"}, seconds=300)
        answer = ServiceToken(token=token, expires_at=datetime.now(UTC) + timedelta(seconds=300))
        return Response(answer.model_dump_json(), media_type="application/json")

    async def _access_events(self, request: Request) -> Response:
        self.accesses += AccessEvents.model_validate_json(await request.body()).events
        return Response(status_code=204)

    async def _verify(self, request: Request) -> Response:
        asked = VerifyRequest.model_validate_json(await request.body())
        self.verifications += 1
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        key = self._keys.get(asked.secret)
        if key is None:
            return ProblemResponse(Unauthorized("This API key does not exist here.", code="api_key_unknown"))
        verdict = self._verdict(key, asked.audience)
        if self.delay is not None:
            await self.delay.wait()
        return Response(verdict.model_dump_json(), media_type="application/json")

    def _verdict(self, key: KnownKey, audience: Audience) -> Verdict:
        return Verdict(
            principal=key.principal,
            token=self._sign(PRINCIPAL_TOKEN, audience, principal_claims(key.principal), seconds=60),
            token_expires_at=datetime.now(UTC) + timedelta(seconds=60),
            rate_limits=key.rate_limits,
            tenant_rate_limits=key.tenant_rate_limits,
            cidrs=key.cidrs,
            sequence=self.feed.sequence,
        )

    def _sign(self, kind: str, audience: Audience, claims: dict[str, Any], *, seconds: int) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + seconds, "jti": str(uuid7()), **claims}
        return jwt.encode(claims, self._signing_key, ALGORITHM, headers={"typ": kind, "kid": "1"})

    async def _jwks(self, _: Request) -> Response:
        key = ECAlgorithm.to_jwk(self._signing_key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": "1", "alg": ALGORITHM, "use": "sig"}]})


@dataclass
class Seen:
    """A request as the service saw it."""

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[str, str]]
    context_id: str
    """The request id in the context variables it started with."""
    body_bytes: int = 0
    body_sha256: str = ""

    def header(self, name: str) -> str | None:
        """The only value of a header, or None."""
        values = [value for other, value in self.headers if other == name]
        assert len(values) <= 1
        return values[0] if values else None


class EchoService:
    """A service that tells what reached it, and behaves as the end of the path asks.

    `stream-<n>` answers n MiB, `endless` never stops, `silent` never begins, `crash` fails, `break` fails in the
    middle, `early` answers without reading the body, `spoof` answers with headers that are not its to send, `pause-<n>`
    takes n milliseconds.
    """

    CHUNK = b"\x5a" * 65536

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.seen: list[Seen] = []
        self.begun = asyncio.Event()
        self.client_left = asyncio.Event()
        """Set when a request that waits for its client to leave is told so, or stopped."""

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        if scope["path"] == "/health/live":  # a probe of the gateway's own: nothing a client sent
            await Response()(scope, receive, send)
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = Seen(scope["method"], scope["raw_path"], scope["query_string"], headers, request_id.get())
        self.seen.append(seen)
        self.begun.set()
        name = scope["raw_path"].decode().rsplit("/", 1)[-1]
        await self._behave(name, seen, scope, receive, send)

    async def _behave(self, name: str, seen: Seen, scope: AsgiScope, receive: Receive, send: Send) -> None:
        match name.partition("-")[0]:
            case "stream":
                await self._stream(int(name.partition("-")[2]) * 16, scope, receive, send)
            case "endless":
                await self._endless(receive, send)
            case "silent":
                await self._until_client_leaves(receive)
            case "crash":
                raise RuntimeError("as asked")
            case "break":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
                await send({"type": "http.response.body", "body": b"some", "more_body": True})
                raise RuntimeError("as asked")
            case "early" | "spoof" as kind:
                await CANNED[kind](scope, receive, send)
            case "pause":
                await asyncio.sleep(int(name.partition("-")[2]) / 1000)
                await self._echo(seen, scope, receive, send)
            case _:
                await self._echo(seen, scope, receive, send)

    async def _echo(self, seen: Seen, scope: AsgiScope, receive: Receive, send: Send) -> None:
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.client_left.set()
                return
            digest.update(message.get("body", b""))
            seen.body_bytes += len(message.get("body", b""))
            more = message.get("more_body", False)
        seen.body_sha256 = digest.hexdigest()
        answer = {"path": scope["path"], "raw_path": seen.raw_path.decode(), "bytes": seen.body_bytes}
        await Response(json.dumps(answer), 200, media_type="application/json")(scope, receive, send)

    async def _stream(self, chunks: int, scope: AsgiScope, receive: Receive, send: Send) -> None:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(chunks):
                yield self.CHUNK

        headers = {"content-length": str(chunks * len(self.CHUNK))}
        await StreamingResponse(body(), headers=headers)(scope, receive, send)

    async def _endless(self, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(self._until_client_leaves(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not leaving.done():
            await send({"type": "http.response.body", "body": self.CHUNK, "more_body": True})
            await asyncio.sleep(0)

    async def _until_client_leaves(self, receive: Receive) -> None:
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self.client_left.set()


SPOOFED = {
    "connection": "keep-alive, x-private",
    "keep-alive": "timeout=5",
    "x-private": "for the gateway only",
    "x-request-id": "not-the-gateways",
    "ratelimit": "forged",
    "date": "yesterday",
    "server": "secret/1.0",
    "x-public": "kept",
    "etag": '"kept"',
}

CANNED = {"early": Response("early", 409), "spoof": Response("", 200, headers=SPOOFED)}
