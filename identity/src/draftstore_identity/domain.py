"""What a key may do, and what it may give away. Pure rules over what the store read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from draftstore_common.access import ScopeMissing, WrongKeyKind
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyCreate, KeyGrant, KeyPatch, Tenant, TenantPatch
from draftstore_common.contracts.api_keys import Network
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import KeyKind, Principal, RateLimit, Scope
from draftstore_identity.errors import (
    AdminKeyWithDataPowers,
    GrantExceedsOwn,
    IpNotAllowed,
    KeyDisabled,
    KeyExpired,
    KeyExpiryPast,
    KeyRevoked,
    KeyScopesMissing,
    TenantSuspended,
)

BACK_END_SCOPES = frozenset(
    {
        Scope.DRAFTS_READ,
        Scope.DRAFTS_WRITE,
        Scope.DRAFTS_CONFIRM,
        Scope.OBJECTS_READ,
        Scope.OBJECTS_WRITE,
        Scope.OBJECTS_DELETE,
        Scope.BUCKETS_ADMIN,
    }
)
"""What a back end needs to upload, confirm and serve files: all that touches data, nothing that touches keys."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key as one statement saw it: with its tenant, PostgreSQL's clock, and how many changes that includes."""

    key: Key
    tenant: Tenant
    now: datetime
    sequence: int


def check_living(credential: Credential) -> None:
    """Raise the refusal that fits unless the key opens something now. What lasts longest is named first.

    An admin key only lodges in the default tenant: suspending that must not lock its keepers out.
    """
    key = credential.key
    if key.revoked_at is not None:
        raise KeyRevoked
    if key.expires_at is not None and key.expires_at <= credential.now:
        raise KeyExpired
    if not key.enabled:
        raise KeyDisabled
    if key.kind == "data" and credential.tenant.status != "active":
        raise TenantSuspended


def check_address(key: Key, client_ip: str | None) -> None:
    """Raise `IpNotAllowed` unless the key may be used from there."""
    if not api_keys.allows(key.cidrs, client_ip):
        raise IpNotAllowed


def principal_of(credential: Credential) -> Principal:
    """Who calls with this key."""
    key = credential.key
    return Principal(
        tenant_id=key.tenant_id,
        key_id=key.id,
        lineage=key.lineage,
        kind=key.kind,
        scopes=frozenset(key.scopes),
        name_prefixes=tuple(key.name_prefixes),
        access_audit=credential.tenant.access_audit,
    )


def tenant_limits(credential: Credential) -> list[RateLimit]:
    """The windows a key shares with the others of its tenant.

    None for an admin key, which only lodges there: those whom it is to stop must not be able to lock it out.
    """
    return credential.tenant.rate_limits if credential.key.kind == "data" else []


def check_administers_keys(actor: Key) -> None:
    """Raise `ScopeMissing` unless the key may issue and revoke keys."""
    if actor.kind == "data" and Scope.KEYS_ADMIN not in actor.scopes:
        raise ScopeMissing(f"This key lacks the scope {Scope.KEYS_ADMIN}. Use an admin key, or a key that has it.")


def check_administers_tenants(actor: Key) -> None:
    """Raise `WrongKeyKind` unless this is an admin key."""
    if actor.kind != "admin":
        raise WrongKeyKind("Tenants are the business of admin keys. Use an admin key.")


def check_reads_audit(actor: Key) -> None:
    """Raise `ScopeMissing` unless the key may read the audit log."""
    if actor.kind == "data" and Scope.AUDIT_READ not in actor.scopes:
        raise ScopeMissing(f"This key lacks the scope {Scope.AUDIT_READ}. Use an admin key, or a key that has it.")


def sees(actor: Key, key: Key) -> bool:
    """Whether one key may know of another: an admin key of all, a data key of the data keys of its tenant."""
    return actor.kind == "admin" or (key.kind == "data" and key.tenant_id == actor.tenant_id)


def target_tenant(actor: Key, wanted: KeyGrant, kind: KeyKind) -> UUID:
    """The tenant a new key is for. Whether the actor may name it is for `sees_tenant` to say."""
    return wanted.tenant_id or (DEFAULT_TENANT_ID if kind == "admin" else actor.tenant_id)


def sees_tenant(actor: Key, tenant_id: UUID) -> bool:
    """Whether a key may know of a tenant: an admin key of all, a data key of its own."""
    return actor.kind == "admin" or tenant_id == actor.tenant_id


def check_shape(wanted: KeyCreate) -> None:
    """Raise `AdminKeyWithDataPowers` if an admin key was asked for as if it were a data key."""
    foreign = wanted.tenant_id not in {None, DEFAULT_TENANT_ID}
    if wanted.kind == "admin" and (foreign or wanted.environment != "live"):
        raise AdminKeyWithDataPowers


def check_powers(grant: KeyGrant, kind: KeyKind) -> None:
    """Raise unless a key of this kind can have these powers, whoever asks."""
    if kind == "admin" and (grant.scopes or grant.name_prefixes):
        raise AdminKeyWithDataPowers
    if kind == "data" and not grant.scopes:
        raise KeyScopesMissing


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raise `KeyExpiryPast` for a key that would be expired from the beginning."""
    if expires_at is not None and expires_at <= now:
        raise KeyExpiryPast


def grant_of(key: Key) -> KeyGrant:
    """What a key may do now. Not validated again: a stored key may be older than a rule of today."""
    return KeyGrant.model_construct(
        name=key.name,
        scopes=frozenset(key.scopes),
        tenant_id=key.tenant_id,
        expires_at=key.expires_at,
        rate_limits=key.rate_limits,
        cidrs=key.cidrs,
        name_prefixes=key.name_prefixes,
    )


def patched(key: Key, patch: KeyPatch) -> KeyGrant:
    """What a key may do once it is changed: what the patch leaves out stays."""
    given = patch.model_fields_set - {"enabled"}
    return grant_of(key).model_copy(update={field: getattr(patch, field) for field in given})


def changed_fields(key: Key, patch: KeyPatch) -> frozenset[str]:
    """The fields that a patch would really change."""
    before = {**vars(grant_of(key)), "enabled": key.enabled}
    return frozenset(field for field in patch.model_fields_set if getattr(patch, field) != before[field])


def changed_tenant_fields(tenant: Tenant, patch: TenantPatch) -> frozenset[str]:
    """The fields that a patch would really change."""
    return frozenset(field for field in patch.model_fields_set if getattr(patch, field) != getattr(tenant, field))


def extends(key: Key, expires_at: datetime | None) -> bool:
    """Whether the key would live longer with this expiry than it does now."""
    return key.expires_at is not None and (expires_at is None or expires_at > key.expires_at)


def check_grant(actor: Key, wanted: KeyGrant, kind: KeyKind = "data") -> None:
    """Raise unless the actor may bring such a key about: an admin key any, a data key one of at most its own powers.

    It is asked about a new key and about what a change or a rotation makes of one, the actor itself included: so no
    key raises itself, and none takes over a stronger one by rotating it. Every limit of a data key binds the keys it
    issues: what was left out counts as unlimited, and is refused where the actor itself is limited. So no child does
    more than its parent or expires later. Revoking a key does not revoke its children: the column `parent_id` tells
    which they are.
    """
    if actor.kind == "admin":
        return
    if kind == "admin":
        raise WrongKeyKind("Only an admin key issues admin keys.")
    within = {
        "scopes": wanted.scopes <= frozenset(actor.scopes),
        "name_prefixes": _prefixes_within(wanted.name_prefixes, actor.name_prefixes),
        "cidrs": _networks_within(wanted.cidrs, actor.cidrs),
        "expires_at": _expiry_within(wanted.expires_at, actor.expires_at),
        "rate_limits": _limits_within(wanted.rate_limits, actor.rate_limits),
    }
    for field, fits in within.items():
        if not fits:
            raise GrantExceedsOwn(field)


def _prefixes_within(wanted: Sequence[str], own: Sequence[str]) -> bool:
    return not own or (bool(wanted) and all(prefix.startswith(tuple(own)) for prefix in wanted))


def _networks_within(wanted: Sequence[Network], own: Sequence[Network]) -> bool:
    return not own or (bool(wanted) and all(any(_inside(net, outer) for outer in own) for net in wanted))


def _inside(network: Network, outer: Network) -> bool:
    return network.version == outer.version and network.subnet_of(outer)  # type: ignore[arg-type]  # same version


def _expiry_within(wanted: datetime | None, own: datetime | None) -> bool:
    return own is None or (wanted is not None and wanted <= own)


def _limits_within(wanted: list[RateLimit] | None, own: list[RateLimit] | None) -> bool:
    if own is None:  # the gateway's default, whose figures are not known here: only the same is surely no more
        return wanted is None
    if not own:
        return True
    return bool(wanted) and all(any(_implies(limit, outer) for limit in wanted or ()) for outer in own)


def _implies(limit: RateLimit, outer: RateLimit) -> bool:
    return limit.amount <= outer.amount and limit.seconds >= outer.seconds
