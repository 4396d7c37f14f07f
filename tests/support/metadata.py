"""metadata-service without its HTTP: its stores on one database, and the steps of a confirm by hand."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from draftstore_common.contracts import confirm
from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.drafts import ConfirmMode, OnConflict, Receipt
from draftstore_common.kit.database import Database
from draftstore_common.kit.errors import ProblemDocument, RelayedProblem
from draftstore_metadata.claiming import ClaimService
from draftstore_metadata.service import DraftService, EventService, ObjectService
from draftstore_metadata.store.claims import ClaimStore
from draftstore_metadata.store.creating import CreateStore
from draftstore_metadata.store.drafts import DraftStore
from draftstore_metadata.store.due import DueStore
from draftstore_metadata.store.events import EventStore
from draftstore_metadata.store.holds import HoldStore
from draftstore_metadata.store.keys import KeyStore
from draftstore_metadata.store.objects import ObjectStore
from draftstore_metadata.store.publish import PublishStore
from draftstore_metadata.store.rows import Times
from draftstore_metadata.store.tend import TendStore

ACTOR = "key:test"
PAST = timedelta(seconds=-1)


@dataclass(frozen=True)
class Metadata:
    """The services under test and the database beneath, for moving rows in time."""

    database: Database
    drafts: DraftService
    claiming: ClaimService
    claims: ClaimStore
    keys: KeyStore
    publications: PublishStore
    holds: HoldStore
    objects: ObjectService
    events: EventService
    tending: TendStore
    due: DueStore

    @classmethod
    def over(cls, database: Database, *, restore_grace: int = 0, expiry_warning: int = 0) -> "Metadata":
        """All of it on a migrated database. Durations are seconds."""
        grace = timedelta(seconds=restore_grace)
        times = Times(expiry_warning=timedelta(seconds=expiry_warning), restore_grace=grace)
        claims, holds = ClaimStore(database), HoldStore(database)
        return cls(
            database=database,
            drafts=DraftService(CreateStore(database, times), DraftStore(database, times), claims),
            claiming=ClaimService(claims, holds),
            claims=claims,
            keys=KeyStore(database),
            publications=PublishStore(database),
            holds=holds,
            objects=ObjectService(ObjectStore(database)),
            events=EventService(EventStore(database)),
            tending=TendStore(database, grace),
            due=DueStore(database, grace),
        )


async def create(
    metadata: Metadata, name: str = "a.jpg", tenant: UUID = DEFAULT_TENANT_ID, **more: Any
) -> wire.DraftRecord:
    """A new draft."""
    fields: dict[str, Any] = {
        "draft_ttl": 3600,
        "upload_ttl": 600,
        "max_lifetime": 7 * 86_400,
        "bucket": "main",
        **more,
    }
    request = wire.CreateDraft(actor=ACTOR, tenant_id=tenant, object_name=name, upload_type="put", **fields)
    return await metadata.drafts.create(request)


def ref(draft: wire.DraftRecord) -> dict[str, Any]:
    """A draft as requests name it."""
    return {"tenant_id": draft.tenant_id, "draft_id": draft.id}


@dataclass(frozen=True)
class Claimed:
    """The claim of a single draft."""

    outcome: str
    draft: wire.DraftRecord
    receipt: Receipt | None = None


async def claim_all(
    metadata: Metadata, *drafts: wire.DraftRecord, mode: ConfirmMode | None = None, **more: Any
) -> confirm.ClaimAnswer:
    """A claim on drafts; with a mode, of a confirmation that is on record."""
    made = None if mode is None else confirm.NewConfirmation(id=uuid4(), mode=mode, on_conflict="fail")
    return await metadata.claiming.claim(
        confirm.ClaimDrafts(
            **{
                "tenant_id": drafts[0].tenant_id,
                "draft_ids": [draft.id for draft in drafts],
                "actor": ACTOR,
                "lease_ttl": 60,
                "confirmation": made,
                **more,
            }
        )
    )


async def claim(metadata: Metadata, draft: wire.DraftRecord, **more: Any) -> Claimed:
    """A claim on one draft; raises the problem it is refused for."""
    answer = await claim_all(metadata, draft, **more)
    refuse(answer.refused)
    if answer.claimed:
        return Claimed("claimed", answer.claimed[0])
    if answer.confirmed:
        return Claimed("confirmed", answer.confirmed[0], answer.confirmed[0].receipt)
    return Claimed(answer.outcome, draft)


def refuse(refused: list[confirm.Refusal]) -> None:
    """Raise the first refusal as the problem it is."""
    for refusal in refused:
        raise RelayedProblem(ProblemDocument(**refusal.model_dump(exclude={"draft_id"})))


async def reserve(metadata: Metadata, claimed: Claimed, etag: str = "e1", on_conflict: OnConflict = "fail") -> str:
    """The key for one draft's copy."""
    draft = claimed.draft
    want = confirm.WantedKey(draft_id=draft.id, fence=draft.fence, etag=etag, size=3)
    request = confirm.ReserveKeys(tenant_id=draft.tenant_id, wanted=[want], on_conflict=on_conflict)
    answer = await metadata.keys.reserve(request)
    refuse(answer.refused)
    return answer.keys[draft.id]


def publication(*copies: tuple[wire.DraftRecord, str], on_conflict: OnConflict = "fail", **more: Any) -> dict[str, Any]:
    """What is published of claimed drafts and their keys."""
    copied = [
        confirm.Copied(
            draft_id=draft.id, fence=draft.fence, storage_key=key, size=3, etag="e1", content_type="image/jpeg"
        )
        for draft, key in copies
    ]
    return {
        "tenant_id": copies[0][0].tenant_id,
        "actor": ACTOR,
        "copied": copied,
        "on_conflict": on_conflict,
        "main_bucket": "main",
        "store_id": "store",
        "url_grace": 60,
        **more,
    }


async def publish(metadata: Metadata, claimed: Claimed, key: str, on_conflict: OnConflict = "fail") -> Receipt:
    """The object of one draft, visible."""
    request = confirm.Publication(**publication((claimed.draft, key), on_conflict=on_conflict))
    answer = await metadata.publications.publish(request)
    refuse(answer.refused)
    return answer.receipts[0]


async def confirmed(metadata: Metadata, draft: wire.DraftRecord, on_conflict: OnConflict = "fail") -> Receipt:
    """The receipt of one draft, step by step."""
    claimed = await claim(metadata, draft)
    return await publish(metadata, claimed, await reserve(metadata, claimed, on_conflict=on_conflict), on_conflict)


async def release(metadata: Metadata, draft: wire.DraftRecord, *, outage: bool = False, **seen: Any) -> None:
    """Give the claim on one draft back."""
    given = confirm.SeenClaim(draft_id=draft.id, fence=draft.fence, **seen)
    await metadata.claims.release(
        confirm.ReleaseClaims(tenant_id=draft.tenant_id, actor=ACTOR, claims=[given], reason="x", outage=outage)
    )


async def age(metadata: Metadata, draft: wire.DraftRecord, **times: timedelta) -> None:
    """Move a row in time: the clock that decides is PostgreSQL's, and tests do not turn clocks."""
    for column, delta in times.items():
        await metadata.database.rows(
            f"UPDATE metadata.drafts SET {column} = now() + $2 WHERE id = $1",  # noqa: S608  names of the tests
            draft.id,
            delta,
        )


async def tend(metadata: Metadata) -> wire.Tended:
    """One look at what is due."""
    return await metadata.tending.tend(wire.TendDrafts())
