"""The rules of API keys."""

from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyCreate, KeyPage, NewKey
from draftstore_common.contracts.identity import Principal
from draftstore_identity import domain
from draftstore_identity.domain import Credential
from draftstore_identity.errors import KeyNotFound, TenantNotFound
from draftstore_identity.paging import Page, page_of
from draftstore_identity.secret import new_key_row
from draftstore_identity.service.actor import acting, log_change
from draftstore_identity.store import IdentityStore, Reader
from draftstore_identity.store.keys import KeyFilter


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
            key = await change.keys.insert(new_key_row(secret, tenant_id, parent_id=actor.key.id), wanted)
        log_change("key issued", actor, key_id=key.id, tenant_id=tenant_id)
        return NewKey(**key.model_dump(), key=secret)

    async def own(self, principal: Principal) -> Key:
        """The caller's own key."""
        async with self._store.read() as reader:
            return (await acting(reader, principal)).key

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
            found = await reader.keys.page(which, before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return KeyPage(items=items, next_cursor=next_cursor)

    async def revoke(self, principal: Principal, key_id: UUID) -> Key:
        """The key, revoked. A repeat changes nothing and answers the same."""
        async with self._store.change() as change:
            actor = await self._administrator(change, principal)
            key = await self._visible(change, actor.key, key_id)
            if key.revoked_at is not None:
                return key
            key = await change.keys.revoke(key_id)
        log_change("key revoked", actor, key_id=key.id)
        return key

    @staticmethod
    async def _administrator(reader: Reader, principal: Principal) -> Credential:
        actor = await acting(reader, principal)
        domain.check_administers_keys(actor.key)
        return actor

    @staticmethod
    async def _granted_tenant(reader: Reader, actor: Credential, wanted: KeyCreate) -> UUID:
        """The tenant the new key is for; raises what forbids it."""
        domain.check_shape(wanted, actor.now)
        domain.check_grant(actor.key, wanted)
        tenant_id = domain.target_tenant(actor.key, wanted)
        if not domain.sees_tenant(actor.key, tenant_id) or await reader.tenants.get(tenant_id) is None:
            raise TenantNotFound
        return tenant_id

    @staticmethod
    async def _visible(reader: Reader, actor: Key, key_id: UUID) -> Key:
        key = await reader.keys.get(key_id)
        if key is None or not domain.sees(actor, key):
            raise KeyNotFound
        return key
