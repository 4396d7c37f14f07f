"""What metadata-service is asked and answers. Every request names its tenant; the row decides everything else.

Durations are seconds. Instants come from PostgreSQL's clock.
"""

from typing import Literal
from uuid import UUID

from pydantic import Field

from draftstore_common.contracts.base import Answer, BucketRole, Instant, Request, Sha256
from draftstore_common.contracts.drafts import DraftState, Metadata, Object, OnConflict, Receipt
from draftstore_common.contracts.names import ObjectName


class Actor(Request):
    """Who caused a transition, for the event row: a key (`key:<id>`) or a service (`service:<name>`)."""

    actor: str = Field(max_length=100)


class CreateDraft(Actor):
    """Insert an `open` draft and allow one upload URL for it."""

    tenant_id: UUID
    bucket: str
    object_name: ObjectName
    upload_type: Literal["put"]
    size: int | None = None
    content_type: str | None = None
    checksum_sha256: Sha256 | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    metadata: Metadata = {}
    subject: str | None = None
    draft_ttl: int
    upload_ttl: int


class DraftRef(Request):
    """One draft of one tenant; anyone else's is not found."""

    tenant_id: UUID
    draft_id: UUID


class DraftRecord(Answer):
    """A draft's row, for services.

    `ttl_left` is what is left until `expires_at`; `url_ttl`, where a URL was allowed, how long it may live.
    `size` and `etag` are those of the bytes that were seen; of a confirmed draft, those that were judged.
    """

    id: UUID
    tenant_id: UUID
    bucket: str
    object_name: str
    storage_key: str
    state: DraftState
    upload_type: str
    upload_id: str | None = None
    declared_size: int | None = None
    declared_content_type: str | None = None
    declared_checksum_sha256: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    metadata: dict[str, str] = {}
    subject: str | None = None
    size: int | None = None
    etag: str | None = None
    fence: int
    receipt: Receipt | None = None
    created_at: Instant
    expires_at: Instant
    discarded_at: Instant | None = None
    ttl_left: int
    url_ttl: int = 0


class AllowUrl(DraftRef):
    """Record, before it is signed, that an upload URL may live up to `upload_ttl` (never past the draft's expiry)."""

    upload_ttl: int


class ListDrafts(Request):
    """Drafts of a tenant, newest first."""

    tenant_id: UUID
    object_name: ObjectName | None = None
    state: DraftState | None = None
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class DraftRecordPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[DraftRecord]
    next_cursor: str | None = None


class FindByName(Request):
    """What lives under a name: drafts newest first, and the object."""

    tenant_id: UUID
    bucket: str
    object_name: ObjectName
    subject: str | None = None


class ObjectRecord(Object):
    """An object's row, for services."""

    storage_key: str
    content_disposition: str | None = None


class NameRecord(Answer):
    """What lives under a name, for one subject.

    `drafts`: the newest whose bytes are known to be there, after the open ones that are newer; newest first.
    `more_drafts`: there are more than are told, so the name alone does not say which is meant. `judged_etag`:
    of the draft the object was made from; `subject_matches`: whether the caller may have its receipt.
    """

    drafts: list[DraftRecord]
    more_drafts: bool = False
    object: ObjectRecord | None = None
    judged_etag: str | None = None
    subject_matches: bool = True


class DiscardDraft(DraftRef, Actor):
    """Give a draft up. Repeatable; refused once it is confirmed or being confirmed."""


class RecordUploaded(DraftRef, Actor):
    """Bytes were seen: `open` → `uploaded` with what the store said. No change in any other state."""

    size: int
    etag: str


class ClaimConfirm(DraftRef, Actor):
    """Claim a draft for one confirm attempt. `lease_ttl` is how long the claim holds unless renewed."""

    subject: str | None = None
    lease_ttl: int


class ConfirmClaim(Answer):
    """`claimed`: go ahead, with `draft.fence`. `confirmed`: here is the receipt. `busy`: another attempt is alive."""

    outcome: Literal["claimed", "confirmed", "busy"]
    draft: DraftRecord
    receipt: Receipt | None = None


class FencedRef(DraftRef):
    """A claim, by the fencing number it was given. A number that is no longer the row's is refused."""

    fence: int


class RenewClaim(FencedRef):
    """Prolong a claim from now."""

    lease_ttl: int


class ReleaseClaim(FencedRef, Actor):
    """Give a claim back; the draft is `uploaded` if bytes were seen, else `open`. `reason` goes to the event.

    `outage`: the attempt failed through no fault of its caller, so the draft keeps at least ten minutes to live.
    """

    reason: str = Field(max_length=200)
    outage: bool = False
    size: int | None = None
    etag: str | None = None


class ReserveKey(FencedRef):
    """Record the main-bucket key this attempt writes, before it writes, for bytes of exactly this ETag."""

    etag: str
    size: int
    on_conflict: OnConflict


class ReservedKey(Answer):
    """The key this attempt writes; nobody else ever will."""

    storage_key: str


class Publish(FencedRef, Actor):
    """The one transaction of a confirm: object row, receipt, `confirmed`, event."""

    storage_key: str
    main_bucket: str
    store_id: str
    on_conflict: OnConflict
    size: int
    etag: str
    content_type: str
    checksum_sha256: Sha256 | None = None
    url_grace: int = Field(ge=0, description="seconds a replaced object's bytes stay, for URLs already given out")


class ListObjects(Request):
    """Objects of a bucket in the order of their names."""

    tenant_id: UUID
    bucket: str
    prefix: str = Field(default="", max_length=800)
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class ObjectRecordPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[ObjectRecord]
    next_cursor: str | None = None


class NameRef(Request):
    """One object by its name."""

    tenant_id: UUID
    bucket: str
    object_name: ObjectName


class DeleteObject(NameRef, Actor):
    """Delete the row now; the bytes follow after `url_grace` seconds. Repeatable."""

    url_grace: int = Field(ge=0)


DueKind = Literal["draft", "object_key"]


class ClaimDue(Request):
    """Take up to `limit` things whose bytes are due for removal; nobody else gets them for `lease_ttl` seconds."""

    limit: int = Field(default=1000, ge=1, le=1000)
    lease_ttl: int = Field(default=300, ge=1, le=3600)
    restore_grace: int = Field(default=0, ge=0)


class DueItem(Answer):
    """Bytes to remove. `size` is what is known of them. `final` comes back in the report: nothing can land any more."""

    kind: DueKind
    id: UUID
    role: BucketRole
    storage_key: str
    upload_id: str | None = None
    state: DraftState | None = None
    size: int | None = None
    final: bool


class DueBatch(Answer):
    """What was claimed, and what the claim itself settled: drafts expired, dead confirm attempts given back.

    `taken` counts all of it: while it is not 0, there may be more.
    """

    items: list[DueItem]
    taken: int
    expired: int = 0
    recovered: int = 0
    now: Instant


class PurgedItem(Request):
    """One thing of a batch, as it was claimed."""

    kind: DueKind
    id: UUID
    final: bool


class ReportPurged(Request):
    """These bytes are gone from the store."""

    items: list[PurgedItem] = Field(max_length=1000)


class PurgeReport(Answer):
    """How many rows the report moved."""

    purged: int


class DuePlan(Answer):
    """What a run would do now."""

    expired_drafts: int
    leftovers: int
    object_keys: int
    dead_attempts: int
    bytes: int
    oldest_due_at: Instant | None = None
    now: Instant
