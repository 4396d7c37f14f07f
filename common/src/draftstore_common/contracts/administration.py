"""API keys and tenants, as those who administer them see them."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, PlainSerializer, computed_field

from draftstore_common.contracts.base import DEFAULT_TENANT_ID, Answer, Instant, Request, Sha256, at_most, example
from draftstore_common.contracts.identity import AccessAudit, KeyKind, RateLimit, RateLimits, Scope
from draftstore_common.contracts.names import NamePrefix, PlainText

KeyName = Annotated[PlainText, Field(min_length=1, max_length=200)]
Cidrs = Annotated[list[IPv4Network | IPv6Network], Field(max_length=100)]
NamePrefixes = Annotated[list[Annotated[NamePrefix, Field(min_length=1, max_length=800)]], Field(max_length=100)]
Environment = Literal["live", "test"]
Scopes = Annotated[frozenset[Scope], at_most(100), PlainSerializer(sorted, when_used="json")]
"""Sorted where it is written: the same scopes are the same text, in every process."""

MAX_GRACE = 30 * 86_400
"""Seconds a rotated key may go on working."""


def _left_out() -> Any:
    """The default of a field that a change may leave out: not a value, and not shown as one."""

    def without_default(schema: dict[str, Any]) -> None:
        schema.pop("default")

    return Field(default=None, json_schema_extra=without_default)


class KeyGrant(Request):
    """What a key may do. Without `tenant_id`: the caller's for a data key, the default tenant for an admin key."""

    name: KeyName
    scopes: Scopes = frozenset()
    tenant_id: UUID | None = None
    expires_at: Instant | None = None
    rate_limits: RateLimits | None = None
    cidrs: Cidrs = []
    name_prefixes: NamePrefixes = []


class KeyCreate(KeyGrant):
    """A new API key."""

    model_config = example(name="back end", scopes=["drafts:read", "drafts:write"])

    kind: KeyKind = "data"
    environment: Environment = "live"


class KeyImport(KeyGrant):
    """A data key that exists elsewhere, by the SHA-256 of its secret: whoever holds the secret can use it here.

    It must be a key of this form (`ds_live_…`, its checksum included); `last4` is shown so that its owner knows it.
    """

    model_config = example(
        name="moved here", scopes=["drafts:read"], hash="9f86d081884c7d659a2feaa0c55ad015" * 2, last4="a1B2"
    )

    hash: Sha256
    environment: Environment = "live"
    last4: Annotated[str, Field(pattern="^[0-9A-Za-z]{4}$")] | None = None


class KeyPatch(Request):
    """What to change of a key; what is left out stays, as `model_fields_set` tells.

    `rate_limits` null: the gateway's default. `expires_at` null: never.
    """

    model_config = example(name="back end of the shop", enabled=True)

    name: KeyName = _left_out()
    scopes: Scopes = _left_out()
    expires_at: Instant | None = _left_out()
    rate_limits: RateLimits | None = _left_out()
    cidrs: Cidrs = _left_out()
    name_prefixes: NamePrefixes = _left_out()
    enabled: bool = _left_out()


class KeyRotate(Request):
    """Replace a key: the new one works at once, the old one for `grace` more seconds and never past its own expiry.

    Without `expires_at`, the new key expires when the old one was to.
    """

    model_config = example(grace=3600)

    grace: int = Field(default=86_400, ge=0, le=MAX_GRACE)
    expires_at: Instant | None = None


class LeakReport(Request):
    """Secrets that were found where they should not be."""

    model_config = example(keys=["ds_live_…"])

    keys: list[Annotated[str, Field(max_length=256)]] = Field(min_length=1, max_length=100)


class Key(Answer):
    """An API key without its secret. `rotated_from` is the key it replaces, `lineage` the first of that chain."""

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
    lineage: UUID
    rotated_from: UUID | None
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


TenantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
TenantStatus = Literal["active", "suspended"]


class TenantCreate(Request):
    """A new tenant."""

    model_config = example(name="acme", access_audit="sampled")

    name: TenantName
    rate_limits: RateLimits = []
    access_audit: AccessAudit = "sampled"


class TenantPatch(Request):
    """What to change of a tenant; what is left out stays. A suspended tenant's data keys all stop."""

    model_config = example(access_audit="full")

    name: TenantName = _left_out()
    status: TenantStatus = _left_out()
    rate_limits: RateLimits = _left_out()
    access_audit: AccessAudit = _left_out()


class StorePrefixes(Answer):
    """What the keys of a tenant's bytes begin with in the store's two buckets; empty: with the object name itself."""

    draft: str
    main: str


class Tenant(Answer):
    """The isolation boundary: every row and every object belongs to one.

    `rate_limits` are counted over all its keys together; an empty list means none.
    """

    id: UUID
    name: str
    status: TenantStatus
    rate_limits: list[RateLimit]
    access_audit: AccessAudit
    created_at: Instant

    @computed_field  # type: ignore[prop-decorator]  # pydantic's way
    @property
    def store_prefixes(self) -> StorePrefixes:
        """Where its bytes lie: what an operator's policies and reports on the buckets go by."""
        main = "" if self.id == DEFAULT_TENANT_ID else f"tenants/{self.id}/"
        return StorePrefixes(draft=f"{self.id}/", main=main)


class TenantPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[Tenant]
    next_cursor: str | None = None
