"""What comes of a request that may be a repeat."""

from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from draftstore_common.contracts.metadata import IdempotencyKey
from draftstore_identity.store import Changer

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Made]):
    """What was made: now, or (`replayed`) by the request that this one repeats."""

    made: Made
    replayed: bool = False


async def made_before(change: Changer, key: IdempotencyKey | None) -> UUID | None:
    """What an earlier request with this `Idempotency-Key` made; raises `IdempotencyKeyReused` if it was another one."""
    return None if key is None else await change.idempotency.target(key)


async def remember(change: Changer, key: IdempotencyKey | None, target_id: UUID) -> None:
    """Let a repeat with this `Idempotency-Key` find what was made."""
    if key is not None:
        await change.idempotency.take(key, target_id)
