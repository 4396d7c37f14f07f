"""The confirm protocol between draft-service and metadata-service, always about a list of drafts of one tenant.

A plain confirm is a list of one, a bundle a list of up to a thousand. Every request is one transaction: it moves
all of its drafts or none. Durations are seconds; instants come from PostgreSQL's clock.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from draftstore_common.contracts.base import Answer, Instant, Request, Sha256
from draftstore_common.contracts.drafts import MAX_BUNDLE, ConfirmationState, ConfirmMode, OnConflict, Receipt
from draftstore_common.contracts.metadata import Actor, DraftRecord, IdempotencyKey

SLOWEST_COPY = 5 * 1024**2
"""Bytes per second of the slowest copy or read that is waited for. A key that may still be written by such a copy is
not forgotten before it ended."""

DraftIds = Annotated[list[UUID], Field(min_length=1, max_length=MAX_BUNDLE)]


class Refusal(Answer):
    """Why one draft does not take part: a problem (RFC 9457) of its own."""

    draft_id: UUID
    status: int
    code: str
    title: str
    detail: str


class NewConfirmation(Request):
    """A confirmation that callers may ask about later: a bundle, or one that is only prepared."""

    id: UUID
    mode: ConfirmMode
    on_conflict: OnConflict
    idempotency: IdempotencyKey | None = None


class ClaimDrafts(Actor):
    """Claim drafts for one confirm attempt. `lease_ttl` is how long the claims hold unless renewed."""

    tenant_id: UUID
    draft_ids: DraftIds
    subject: str | None = None
    lease_ttl: int
    confirmation: NewConfirmation | None = None


class ConfirmationRecord(Answer):
    """A confirmation's row, with the receipts of those of its drafts that are confirmed, in the order of its drafts.

    `held_until` is the deadline of a prepared one. `problem` says why one was rolled back.
    """

    id: UUID
    tenant_id: UUID
    state: ConfirmationState
    mode: ConfirmMode
    draft_ids: list[UUID]
    receipts: list[Receipt] = []
    held_until: Instant | None = None
    problem: dict[str, Any] | None = None
    created_by: str
    created_at: Instant


class ClaimAnswer(Answer):
    """What came of a claim.

    `claimed`: go ahead with `claimed`, each with its fence; `confirmed` are drafts that need nothing more, `refused`
    those that cannot take part. `busy`: a live attempt holds at least one, and nothing was claimed. `known`: this very
    confirmation is `confirmation` already.
    """

    outcome: Literal["claimed", "busy", "known"]
    claimed: list[DraftRecord] = []
    confirmed: list[DraftRecord] = []
    refused: list[Refusal] = []
    confirmation: ConfirmationRecord | None = None


class Claim(Request):
    """A claim on a draft, by the fencing number it was given. A number that is no longer the row's is refused."""

    draft_id: UUID
    fence: int


class ClaimsRef(Request):
    """The claims of one attempt; `lease_lost` unless every one still holds."""

    tenant_id: UUID
    confirmation_id: UUID | None = None


class RenewClaims(ClaimsRef):
    """Prolong the claims from now."""

    claims: list[Claim]
    lease_ttl: int


class SeenClaim(Claim):
    """A claim given back, with what the store said of the bytes, if it was asked."""

    size: int | None = None
    etag: str | None = None


class ReleaseClaims(ClaimsRef, Actor):
    """Give claims back: a draft is `uploaded` if bytes were seen, else `open`. `reason` goes to the events.

    `outage`: the attempt failed through no fault of its caller, so its drafts keep at least ten minutes to live.
    """

    claims: list[SeenClaim]
    reason: str = Field(max_length=200)
    outage: bool = False
    problem: dict[str, Any] | None = None


class WantedKey(Claim):
    """A draft whose bytes of exactly this ETag are about to be copied."""

    etag: str
    size: int


class ReserveKeys(ClaimsRef):
    """Record the main-bucket keys an attempt writes, before it writes."""

    wanted: list[WantedKey]
    on_conflict: OnConflict


class ReservedKeys(Answer):
    """The key each draft's bytes go to; nobody else ever writes it. `refused`: names that are taken or held."""

    keys: dict[UUID, str] = {}
    refused: list[Refusal] = []


class Copied(Claim):
    """Bytes that lie in the main bucket, judged, for an object row to refer to."""

    storage_key: str
    size: int
    etag: str
    content_type: str
    checksum_sha256: Sha256 | None = None


class Publication(ClaimsRef, Actor):
    """What one transaction makes visible: object rows, receipts, `confirmed`, events."""

    copied: list[Copied]
    on_conflict: OnConflict
    main_bucket: str
    store_id: str
    url_grace: int = Field(ge=0, description="seconds a replaced object's bytes stay, for URLs already given out")


class Prepare(Publication):
    """Hold the names for `hold_ttl` seconds, and what `commit` will publish, instead of publishing it."""

    confirmation_id: UUID
    hold_ttl: int


class Published(Answer):
    """The receipts; or, with nothing published, the drafts whose names are taken or held."""

    receipts: list[Receipt] = []
    refused: list[Refusal] = []


class Prepared(Answer):
    """The confirmation that is now prepared; or, with nothing prepared, the drafts whose names are taken or held."""

    confirmation: ConfirmationRecord | None = None
    refused: list[Refusal] = []


class ConfirmationRef(Request):
    """One confirmation of one tenant; anyone else's is not found."""

    tenant_id: UUID
    confirmation_id: UUID


class EndConfirmation(ConfirmationRef, Actor):
    """Commit or roll back what was prepared. Repeatable."""


class Committed(Answer):
    """The confirmed confirmation, and the draft-bucket keys whose bytes are needed no more."""

    confirmation: ConfirmationRecord
    leftovers: list[str] = []
