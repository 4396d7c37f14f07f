"""The rules of keys and tenants."""

import hashlib
import logging
from hmac import compare_digest
from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyCreate, KeyPage, NewKey, Tenant, TenantCreate, TenantPage
from draftstore_common.contracts.identity import Audience, Principal, ServiceName, ServiceToken, Verdict, VerifyRequest
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.ids import uuid7
from draftstore_identity import domain
from draftstore_identity.domain import Credential
from draftstore_identity.errors import (
    KeyMalformed,
    KeyNotFound,
    KeyUnknown,
    ServiceKeyRefused,
    TenantExists,
    TenantNotFound,
)
from draftstore_identity.paging import Page, page_of
from draftstore_identity.secret import digest, new_key_row
from draftstore_identity.signing import TokenIssuer
from draftstore_identity.store import IdentityStore, KeyFilter, Reader

log = logging.getLogger(__name__)


class VerifyService:
    """Answers whose a secret is, and vouches for it with a token."""

    def __init__(self, store: IdentityStore, tokens: TokenIssuer) -> None:
        self._store = store
        self._tokens = tokens

    async def verify(self, request: VerifyRequest) -> Verdict:
        """The verdict on a key; raises the 401 or 403 that says why it opens nothing."""
        if not api_keys.is_well_formed(request.secret):
            raise KeyMalformed
        async with self._store.read() as reader:
            credential = await reader.credential_by_hash(digest(request.secret))
        if credential is None:
            raise KeyUnknown
        self._check(credential, request.client_ip)
        return self._verdict(credential, request.audience)

    @staticmethod
    def _check(credential: Credential, client_ip: str | None) -> None:
        try:
            domain.check_living(credential)
            domain.check_address(credential.key, client_ip)
        except Problem as refusal:
            log.info("key refused", extra={"key_id": str(credential.key.id), "code": refusal.code})
            raise

    def _verdict(self, credential: Credential, audience: Audience) -> Verdict:
        key = credential.key
        principal = domain.principal_of(credential)
        token, expires_at = self._tokens.principal(principal, audience, until=key.expires_at)
        return Verdict(
            principal=principal,
            token=token,
            token_expires_at=expires_at,
            rate_limits=key.rate_limits,
            tenant_rate_limits=credential.tenant.rate_limits,
            cidrs=key.cidrs,
            sequence=credential.sequence,
        )


class ServiceTokenService:
    """Exchanges a service's key for a token that one other service accepts."""

    def __init__(self, service_keys: dict[str, ServiceName], tokens: TokenIssuer) -> None:
        self._service_keys = service_keys
        self._tokens = tokens

    def issue(self, service_key: str, audience: Audience) -> ServiceToken:
        """A token for the service whose key this is; raises `ServiceKeyRefused`."""
        return self._tokens.service(self._service(service_key), audience)

    def _service(self, service_key: str) -> ServiceName:
        given = hashlib.sha256(service_key.encode()).hexdigest()
        matches = [name for known, name in self._service_keys.items() if compare_digest(known, given)]
        if not matches:
            raise ServiceKeyRefused
        return matches[0]


def _log(event: str, actor: Credential, **subject: UUID) -> None:
    log.info(event, extra={name: str(value) for name, value in subject.items()} | {"by": str(actor.key.id)})


async def _actor(reader: Reader, principal: Principal) -> Credential:
    """The caller's key as it is now: its token may be a minute old, and a revoked key administers nothing."""
    credential = await reader.credential(principal.key_id)
    if credential is None:
        raise KeyUnknown
    domain.check_living(credential)
    return credential


class KeyService:
    """Issues, shows and revokes keys, within what the caller's own key may do."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def issue(self, principal: Principal, wanted: KeyCreate) -> NewKey:
        """A new key with its secret, which is nowhere to be had again."""
        secret = api_keys.make("admin" if wanted.kind == "admin" else wanted.environment)
        async with self._store.change() as change:
            actor = await self._administrator(change, principal)
            tenant_id = await self._granted_tenant(change, actor, wanted)
            key = await change.insert_key(new_key_row(secret, tenant_id, parent_id=actor.key.id), wanted)
        _log("key issued", actor, key_id=key.id, tenant_id=tenant_id)
        return NewKey(**key.model_dump(), key=secret)

    async def own(self, principal: Principal) -> Key:
        """The caller's own key."""
        async with self._store.read() as reader:
            return (await _actor(reader, principal)).key

    async def get(self, principal: Principal, key_id: UUID) -> Key:
        """One key; `KeyNotFound` for an absent one and for one the caller may not know of."""
        async with self._store.read() as reader:
            actor = await self._administrator(reader, principal)
            return await self._visible(reader, actor.key, key_id)

    async def list(self, principal: Principal, page: Page, tenant_id: UUID | None) -> KeyPage:
        """A page of the keys the caller may know of, newest first."""
        async with self._store.read() as reader:
            actor = (await self._administrator(reader, principal)).key
            if tenant_id is not None and not domain.sees_tenant(actor, tenant_id):
                raise TenantNotFound
            which = KeyFilter(tenant_id) if actor.kind == "admin" else KeyFilter(actor.tenant_id, "data")
            found = await reader.keys(which, before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return KeyPage(items=items, next_cursor=next_cursor)

    async def revoke(self, principal: Principal, key_id: UUID) -> Key:
        """The key, revoked. A repeat changes nothing and answers the same."""
        async with self._store.change() as change:
            actor = await self._administrator(change, principal)
            key = await self._visible(change, actor.key, key_id)
            if key.revoked_at is not None:
                return key
            key = await change.revoke_key(key_id)
        _log("key revoked", actor, key_id=key.id)
        return key

    @staticmethod
    async def _administrator(reader: Reader, principal: Principal) -> Credential:
        actor = await _actor(reader, principal)
        domain.check_administers_keys(actor.key)
        return actor

    @staticmethod
    async def _granted_tenant(reader: Reader, actor: Credential, wanted: KeyCreate) -> UUID:
        """The tenant the new key is for; raises what forbids it."""
        domain.check_shape(wanted, actor.now)
        domain.check_grant(actor.key, wanted)
        tenant_id = domain.target_tenant(actor.key, wanted)
        if not domain.sees_tenant(actor.key, tenant_id) or await reader.tenant(tenant_id) is None:
            raise TenantNotFound
        return tenant_id

    @staticmethod
    async def _visible(reader: Reader, actor: Key, key_id: UUID) -> Key:
        key = await reader.key(key_id)
        if key is None or not domain.sees(actor, key):
            raise KeyNotFound
        return key


class TenantService:
    """Makes and shows tenants, for admin keys."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def create(self, principal: Principal, wanted: TenantCreate) -> Tenant:
        """A new tenant; `TenantExists` if the name is taken."""
        async with self._store.change() as change:
            actor = await self._administrator(change, principal)
            tenant = await change.insert_tenant(uuid7(), wanted.name)
            if tenant is None:
                raise TenantExists
        _log("tenant created", actor, tenant_id=tenant.id)
        return tenant

    async def get(self, principal: Principal, tenant_id: UUID) -> Tenant:
        """One tenant; `TenantNotFound` if there is none."""
        async with self._store.read() as reader:
            await self._administrator(reader, principal)
            tenant = await reader.tenant(tenant_id)
        if tenant is None:
            raise TenantNotFound
        return tenant

    async def list(self, principal: Principal, page: Page) -> TenantPage:
        """A page of tenants, newest first."""
        async with self._store.read() as reader:
            await self._administrator(reader, principal)
            found = await reader.tenants(before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return TenantPage(items=items, next_cursor=next_cursor)

    @staticmethod
    async def _administrator(reader: Reader, principal: Principal) -> Credential:
        actor = await _actor(reader, principal)
        domain.check_administers_tenants(actor.key)
        return actor
