"""Who administers, what they may touch, and the line each change leaves in the log."""

import logging
from uuid import UUID

from draftstore_common.contracts.administration import Key
from draftstore_identity import domain
from draftstore_identity.author import Caller
from draftstore_identity.domain import Credential
from draftstore_identity.errors import IssuerProtected, KeyNotFound, KeyUnknown
from draftstore_identity.store import Reader

log = logging.getLogger(__name__)


def log_change(event: str, actor: Credential, **subject: UUID) -> None:
    """One line for a change that was committed."""
    log.info(event, extra={name: str(value) for name, value in subject.items()} | {"by": str(actor.key.id)})


async def acting(reader: Reader, caller: Caller) -> Credential:
    """The caller's key as it is now: its token may be a minute old, and a revoked key administers nothing."""
    credential = await reader.keys.credential(caller.principal.key_id)
    if credential is None:
        raise KeyUnknown
    domain.check_living(credential)
    return credential


async def key_administrator(reader: Reader, caller: Caller) -> Credential:
    """The caller's key, which may administer keys."""
    actor = await acting(reader, caller)
    domain.check_administers_keys(actor.key)
    return actor


async def tenant_administrator(reader: Reader, caller: Caller) -> Credential:
    """The caller's key, which may administer tenants."""
    actor = await acting(reader, caller)
    domain.check_administers_tenants(actor.key)
    return actor


async def visible_key(reader: Reader, actor: Key, key_id: UUID) -> Key:
    """One key; `KeyNotFound` for an absent one and for one the actor may not know of."""
    key = await reader.keys.get(key_id)
    if key is None or not domain.sees(actor, key):
        raise KeyNotFound
    return key


async def changeable_key(reader: Reader, actor: Key, key_id: UUID) -> Key:
    """One key the actor may know of and did not get its own powers from; else `IssuerProtected`."""
    key = await visible_key(reader, actor, key_id)
    if actor.kind == "data" and key.lineage in await reader.keys.issuers(actor.id):
        raise IssuerProtected
    return key
