"""Principals, verdicts, tokens and the feed of changes, as they travel between the services."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from draftstore_common.contracts.base import Answer, Instant, Request


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


RateLimits = Annotated[list[RateLimit], Field(max_length=8)]
"""Windows that hold at once."""

AccessAudit = Literal["off", "sampled", "full"]
"""Which reads a tenant wants on record. `full`: every one, before its URL is handed out. `sampled`: some of them.
Refused accesses are on record in both; `off`: nothing."""


class Principal(Answer):
    """Who calls: a tenant, a key, what the key may do. An admin key has no scopes: its powers are its kind.

    `lineage` is the first key of a chain of rotations: what counts against one of them counts against all.
    `name_prefixes` limits the object names the key may touch; empty means all.
    """

    tenant_id: UUID
    key_id: UUID
    lineage: UUID
    kind: KeyKind
    scopes: frozenset[Scope] = frozenset()
    name_prefixes: tuple[str, ...] = ()
    access_audit: AccessAudit = "sampled"


class VerifyRequest(Request):
    """Ask who a secret belongs to, and for a token that one service will accept."""

    secret: str = Field(max_length=256)
    audience: Audience
    client_ip: str | None = Field(default=None, max_length=64)


class Verdict(Answer):
    """A good key: who it is, a token for the audience asked for, and the limits of the key and of its tenant.

    `rate_limits` None means the gateway's default, an empty list means none. `tenant_rate_limits` are counted over all
    keys of the tenant together; empty means none. `cidrs` is the key's allow-list
    (empty: anywhere); a cached verdict is good only for clients inside it. `sequence` is identity's change
    counter when the verdict was formed: a cache drops a verdict that is older than a change to its key.
    """

    principal: Principal
    token: str
    token_expires_at: Instant
    rate_limits: list[RateLimit] | None = None
    tenant_rate_limits: list[RateLimit] = []
    cidrs: list[IPv4Network | IPv6Network] = []
    sequence: int


class ChangesRequest(Request):
    """Ask what changed after a number of the change counter, waiting for something at most `wait` seconds.

    Without `after`, the answer is the counter as it is now, at once.
    """

    after: int | None = Field(default=None, ge=0)
    wait: float = Field(default=20.0, ge=0, le=30)


class Change(Answer):
    """A key or a tenant is not what it was: verdicts formed before `sequence` say nothing of it any more."""

    sequence: int
    subject: Literal["key", "tenant"]
    subject_id: UUID


class Changes(Answer):
    """Changes in the order of their commits, and the number to ask from next.

    `reset`: some of what changed is not known any more (it was trimmed, or the database is an older copy of itself), so
    nothing that was learned before may be kept.
    """

    sequence: int
    changes: list[Change] = []
    reset: bool = False


class ServiceTokenRequest(Request):
    """A service asks for a token that one other service will accept; its service key is in Authorization."""

    audience: Audience


class ServiceToken(Answer):
    """A token that says which service calls."""

    token: str
    expires_at: Instant
