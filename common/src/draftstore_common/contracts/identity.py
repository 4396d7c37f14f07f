"""Tenants, API keys, principals and tokens, as they travel."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from draftstore_common.contracts.base import Answer, Instant, Request
from draftstore_common.contracts.names import NamePrefix, PlainText


class Scope(StrEnum):
    """A permission of a data key. Writing a draft and confirming it are different powers."""

    DRAFTS_READ = "drafts:read"
    DRAFTS_WRITE = "drafts:write"
    DRAFTS_CONFIRM = "drafts:confirm"
    OBJECTS_READ = "objects:read"
    OBJECTS_WRITE = "objects:write"
    OBJECTS_DELETE = "objects:delete"
    BUCKETS_ADMIN = "buckets:admin"
    KEYS_ADMIN = "keys:admin"
    AUDIT_READ = "audit:read"
    CLEANER_RUN = "cleaner:run"


class Audience(StrEnum):
    """Whom a token is for: exactly one service."""

    IDENTITY = "identity"
    DRAFTS = "drafts"
    METADATA = "metadata"
    STORAGE = "storage"


class ServiceName(StrEnum):
    """Who presents a service key."""

    GATEWAY = "gateway"
    IDENTITY = "identity"
    DRAFTS = "drafts"
    METADATA = "metadata"
    STORAGE = "storage"
    CLEANER = "cleaner"


PRINCIPAL_TOKEN = "principal+jwt"  # noqa: S105  a media type, not a secret
SERVICE_TOKEN = "service+jwt"  # noqa: S105

KeyKind = Literal["data", "admin"]


class RateLimit(Request):
    """At most `amount` requests in any `seconds`."""

    amount: int = Field(ge=1, le=1_000_000_000)
    seconds: int = Field(ge=1, le=86_400)


class Principal(Answer):
    """Who calls: a tenant, a key, what the key may do. An admin key has no scopes: its powers are its kind.

    `name_prefixes` limits the object names the key may touch; empty means all.
    """

    tenant_id: UUID
    key_id: UUID
    kind: KeyKind
    scopes: frozenset[Scope] = frozenset()
    name_prefixes: tuple[str, ...] = ()


class VerifyRequest(Request):
    """Ask who a secret belongs to, and for a token that one service will accept."""

    secret: str = Field(max_length=256)
    audience: Audience
    client_ip: str | None = Field(default=None, max_length=64)


class Verdict(Answer):
    """A good key: who it is, a token for the audience asked for, and the key's own limits.

    `rate_limits` None means the gateway's default, an empty list means none. `cidrs` is the key's allow-list
    (empty: anywhere); a cached verdict is good only for clients inside it. `sequence` is identity's change
    counter when the verdict was formed: a cache drops a verdict that is older than a change to its key.
    """

    principal: Principal
    token: str
    token_expires_at: Instant
    rate_limits: list[RateLimit] | None = None
    cidrs: list[IPv4Network | IPv6Network] = []
    sequence: int


class ServiceTokenRequest(Request):
    """A service asks for a token that one other service will accept; its service key is in Authorization."""

    audience: Audience


class ServiceToken(Answer):
    """A token that says which service calls."""

    token: str
    expires_at: Instant


KeyName = Annotated[PlainText, Field(min_length=1, max_length=200)]


class KeyCreate(Request):
    """A new API key. Without `tenant_id`: the caller's tenant for a data key, the default tenant for an admin key."""

    name: KeyName
    kind: KeyKind = "data"
    scopes: frozenset[Scope] = frozenset()
    tenant_id: UUID | None = None
    expires_at: Instant | None = None
    rate_limits: list[RateLimit] | None = Field(default=None, max_length=8)
    cidrs: list[IPv4Network | IPv6Network] = Field(default=[], max_length=100)
    name_prefixes: list[Annotated[NamePrefix, Field(min_length=1, max_length=800)]] = Field(default=[], max_length=100)
    environment: Literal["live", "test"] = "live"


class Key(Answer):
    """An API key without its secret."""

    id: UUID
    tenant_id: UUID
    name: str
    kind: KeyKind
    prefix: str
    last4: str
    scopes: list[Scope]
    rate_limits: list[RateLimit] | None
    cidrs: list[IPv4Network | IPv6Network]
    name_prefixes: list[str]
    enabled: bool
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class NewKey(Key):
    """A key just made. `key` is the secret: this answer is the only one that ever carries it."""

    key: str


class KeyPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[Key]
    next_cursor: str | None = None


class TenantCreate(Request):
    """A new tenant."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")


class Tenant(Answer):
    """The isolation boundary: every row and every object belongs to one."""

    id: UUID
    name: str
    status: Literal["active", "suspended"]
    created_at: Instant


class TenantPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[Tenant]
    next_cursor: str | None = None
