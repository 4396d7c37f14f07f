"""Rotation: a key is replaced by one successor with the same powers, and works on for a grace.

The answer that carries the new secret can get lost. It is not kept for a repeat to show again: whoever lost it revokes
the successor and rotates once more, as long as the old key lives.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.administration import Key, KeyGrant, KeyRotate, NewKey
from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_identity import domain
from draftstore_identity.author import Caller
from draftstore_identity.domain import Credential
from draftstore_identity.errors import IdempotencyKeyMissing, KeyEnded
from draftstore_identity.secret import successor_row
from draftstore_identity.service.actor import changeable_key, key_administrator, log_change
from draftstore_identity.service.keys import check_not_rotated
from draftstore_identity.service.outcome import Outcome, made_before, remember
from draftstore_identity.service.refusals import Refusals
from draftstore_identity.store import Changer, IdentityStore


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a rotation will do: the grant of the successor, and when the old key ends."""

    grant: KeyGrant
    old_ends_at: datetime


class RotationService:
    """Replaces keys."""

    def __init__(self, store: IdentityStore, refusals: Refusals) -> None:
        self._store = store
        self._refusals = refusals

    async def rotate(
        self, caller: Caller, key_id: UUID, wanted: KeyRotate, idempotency: IdempotencyKey | None
    ) -> Outcome[Key]:
        """The successor with its secret; a repeat is answered with the successor alone.

        Raises `KeyEnded` for a key that is revoked or has expired, `KeyAlreadyRotated` for one that has a successor.
        """
        async with self._refusals.watched(caller, "key.rotated", "key", key_id):
            if idempotency is None:
                raise IdempotencyKeyMissing
            return await self._rotate(caller, key_id, wanted, idempotency)

    async def _rotate(
        self, caller: Caller, key_id: UUID, wanted: KeyRotate, idempotency: IdempotencyKey
    ) -> Outcome[Key]:
        async with self._store.change(caller.author) as change:
            actor = await key_administrator(change, caller)
            old = await changeable_key(change, actor.key, key_id)
            if (known := await made_before(change, idempotency)) is not None:
                return Outcome(await changeable_key(change, actor.key, known), replayed=True)
            plan = await _plan(change, actor, old, wanted)
            successor = await _replace(change, old, plan)
            await remember(change, idempotency, successor.id)
        log_change("key rotated", actor, key_id=old.id, successor=successor.id)
        return Outcome(successor)


async def _plan(change: Changer, actor: Credential, old: Key, wanted: KeyRotate) -> _Plan:
    """What the rotation will do; raises what forbids it."""
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= actor.now):
        raise KeyEnded
    await check_not_rotated(change, old.id)
    expires_at = wanted.expires_at or await _expiry_before_rotation(change, old)
    domain.check_expiry(expires_at, actor.now)
    grant = domain.grant_of(old).model_copy(update={"expires_at": expires_at})
    domain.check_grant(actor.key, grant, old.kind)
    end_of_grace = actor.now + timedelta(seconds=wanted.grace)
    return _Plan(grant, min(end_of_grace, old.expires_at or end_of_grace))


async def _expiry_before_rotation(change: Changer, old: Key) -> datetime | None:
    """When the key was to expire. If it was rotated before, the (revoked) successor took that over."""
    successors = await change.keys.successors(old.id)
    return successors[0].expires_at if successors else old.expires_at


async def _replace(change: Changer, old: Key, plan: _Plan) -> NewKey:
    secret = api_keys.make(api_keys.label(old.prefix))
    row = successor_row(secret, old, parent_id=await change.keys.parent_id(old.id))
    successor = await change.keys.insert(row, plan.grant, action="created")
    await change.keys.end_at(old.id, plan.old_ends_at, successor=successor.id)
    return NewKey(**successor.model_dump(), key=secret)
