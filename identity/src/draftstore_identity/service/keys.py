"""The rules of API keys."""

from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyCreate, KeyGrant, KeyImport, KeyPage, KeyPatch, NewKey
from draftstore_common.contracts.identity import KeyKind
from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_identity import domain
from draftstore_identity.author import Caller
from draftstore_identity.domain import Credential
from draftstore_identity.errors import KeyAlreadyRotated, KeyEnded, KeyExists, TenantNotFound
from draftstore_identity.paging import Page, page_of
from draftstore_identity.secret import imported_row, new_key_row
from draftstore_identity.service.actor import acting, changeable_key, key_administrator, log_change, visible_key
from draftstore_identity.service.outcome import Outcome, made_before, remember
from draftstore_identity.service.refusals import Refusals
from draftstore_identity.store import Changer, IdentityStore, Reader
from draftstore_identity.store.keys import KeyFilter


class KeyService:
    """Issues, imports, shows, changes and revokes keys, within what the caller's own key may do.

    What is refused is on record like what is done.
    """

    def __init__(self, store: IdentityStore, refusals: Refusals) -> None:
        self._store = store
        self._refusals = refusals

    async def issue(self, caller: Caller, wanted: KeyCreate, idempotency: IdempotencyKey | None) -> Outcome[Key]:
        """A new key with its secret, which is nowhere to be had again: a repeat is answered with the key alone."""
        secret = api_keys.make("admin" if wanted.kind == "admin" else wanted.environment)
        async with self._refusals.watched(caller, "key.created", "key"), self._store.change(caller.author) as change:
            actor = await key_administrator(change, caller)
            if (known := await made_before(change, idempotency)) is not None:
                return await _replayed(change, known)
            domain.check_shape(wanted)
            tenant_id = await _granted_tenant(change, actor, wanted, wanted.kind)
            row = new_key_row(secret, wanted.kind, tenant_id, parent_id=actor.key.id)
            key = await change.keys.insert(row, wanted, action="created")
            await remember(change, idempotency, key.id)
        log_change("key issued", actor, key_id=key.id, tenant_id=tenant_id)
        return Outcome(NewKey(**key.model_dump(), key=secret))

    async def adopt(self, caller: Caller, wanted: KeyImport, idempotency: IdempotencyKey | None) -> Outcome[Key]:
        """A data key made elsewhere, by its hash; `KeyExists` if there is a key of that hash, whoever's it is."""
        async with self._refusals.watched(caller, "key.imported", "key"), self._store.change(caller.author) as change:
            actor = await key_administrator(change, caller)
            if (known := await made_before(change, idempotency)) is not None:
                return await _replayed(change, known)
            tenant_id = await _granted_tenant(change, actor, wanted, "data")
            row = imported_row(wanted, tenant_id, parent_id=actor.key.id)
            if await change.keys.secret_exists(row.hash):
                raise KeyExists
            key = await change.keys.insert(row, wanted, action="imported")
            await remember(change, idempotency, key.id)
        log_change("key imported", actor, key_id=key.id, tenant_id=tenant_id)
        return Outcome(key)

    async def own(self, caller: Caller) -> Key:
        """The caller's own key."""
        async with self._refusals.watched(caller, "key.read", "key"), self._store.read() as reader:
            return (await acting(reader, caller)).key

    async def get(self, caller: Caller, key_id: UUID) -> Key:
        """One key; `KeyNotFound` for an absent one and for one the caller may not know of."""
        async with self._refusals.watched(caller, "key.read", "key", key_id), self._store.read() as reader:
            actor = await key_administrator(reader, caller)
            return await visible_key(reader, actor.key, key_id)

    async def list(self, caller: Caller, page: Page, tenant_id: UUID | None) -> KeyPage:
        """A page of the keys the caller may know of, newest first."""
        async with self._refusals.watched(caller, "key.listed", "key"), self._store.read() as reader:
            actor = (await key_administrator(reader, caller)).key
            if tenant_id is not None and not domain.sees_tenant(actor, tenant_id):
                raise TenantNotFound
            which = KeyFilter(tenant_id) if actor.kind == "admin" else KeyFilter(actor.tenant_id, "data")
            found = await reader.keys.page(which, before=page.before, limit=page.limit + 1)
        items, next_cursor = page_of(found, page.limit)
        return KeyPage(items=items, next_cursor=next_cursor)

    async def change(self, caller: Caller, key_id: UUID, patch: KeyPatch) -> Key:
        """The key as the patch makes it, which must be one the caller may issue. A repeat changes nothing."""
        watched = self._refusals.watched(caller, "key.updated", "key", key_id)
        async with watched, self._store.change(caller.author) as change:
            actor = await key_administrator(change, caller)
            key = await changeable_key(change, actor.key, key_id)
            fields = domain.changed_fields(key, patch)
            if not fields:
                return key
            await _check_change(change, actor, key, patch)
            key = await change.keys.change(key_id, patch, fields)
        log_change("key changed", actor, key_id=key.id)
        return key

    async def revoke(self, caller: Caller, key_id: UUID) -> Key:
        """The key, revoked. A repeat changes nothing and answers the same."""
        watched = self._refusals.watched(caller, "key.revoked", "key", key_id)
        async with watched, self._store.change(caller.author) as change:
            actor = await key_administrator(change, caller)
            key = await changeable_key(change, actor.key, key_id)
            if key.revoked_at is not None:
                return key
            key = await change.keys.revoke(key_id)
        log_change("key revoked", actor, key_id=key.id)
        return key

    async def revoke_own(self, caller: Caller) -> Key:
        """The caller's own key, revoked: any key may end itself."""
        watched = self._refusals.watched(caller, "key.revoked", "key", caller.principal.key_id)
        async with watched, self._store.change(caller.author) as change:
            actor = await acting(change, caller)
            key = await change.keys.revoke(actor.key.id)
        log_change("key revoked", actor, key_id=key.id)
        return key


async def _replayed(change: Changer, key_id: UUID) -> Outcome[Key]:
    key = await change.keys.get(key_id)
    assert key is not None  # noqa: S101  keys are never deleted
    return Outcome(key, replayed=True)


async def _granted_tenant(reader: Reader, actor: Credential, wanted: KeyGrant, kind: KeyKind) -> UUID:
    """The tenant the new key is for; raises what forbids it."""
    domain.check_powers(wanted, kind)
    domain.check_expiry(wanted.expires_at, actor.now)
    domain.check_grant(actor.key, wanted, kind)
    tenant_id = domain.target_tenant(actor.key, wanted, kind)
    if not domain.sees_tenant(actor.key, tenant_id) or await reader.tenants.get(tenant_id) is None:
        raise TenantNotFound
    return tenant_id


async def _check_change(reader: Reader, actor: Credential, key: Key, patch: KeyPatch) -> None:
    """Raise what forbids to make this of the key."""
    if key.revoked_at is not None:
        raise KeyEnded
    grant = domain.patched(key, patch)
    domain.check_powers(grant, key.kind)
    if "expires_at" in patch.model_fields_set:
        domain.check_expiry(grant.expires_at, actor.now)
    domain.check_grant(actor.key, grant, key.kind)
    if domain.extends(key, grant.expires_at):
        await check_not_rotated(reader, key.id)


async def check_not_rotated(reader: Reader, key_id: UUID) -> None:
    """Raise `KeyAlreadyRotated` if the key has a successor: it ends with its grace, and gets no second one."""
    for successor in await reader.keys.successors(key_id):
        if successor.revoked_at is None:
            raise KeyAlreadyRotated(successor.id)
