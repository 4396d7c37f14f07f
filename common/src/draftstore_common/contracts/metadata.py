"""What metadata-service is asked and answers. Every request names its tenant; the row decides everything else.

Durations are seconds. Instants come from PostgreSQL's clock.
"""

from typing import Literal
from uuid import UUID

from pydantic import Field

from draftstore_common.contracts.base import Answer, BucketRole, Instant, Request, Sha256
from draftstore_common.contracts.drafts import MAX_BATCH, DraftState, Event, Metadata, Object, Receipt
from draftstore_common.contracts.names import ObjectName


class Actor(Request):
    """Who caused a transition, for the event row: a key (`key:<id>`) or a service (`service:<name>`)."""

    actor: str = Field(max_length=100)


class IdempotencyKey(Request):
    """A caller's `Idempotency-Key`, in its scope: tenant, key lineage, route. `fingerprint` is of the payload."""

    lineage: UUID
    route: str
    key: str
    fingerprint: str


class NewDraft(Request):
    """One new draft."""

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


class CreateDraft(Actor, NewDraft):
    """Insert an `open` draft and allow one upload URL for it.

    With an idempotency key that is known for the same payload, the draft it made then is answered, unchanged.
    """

    tenant_id: UUID
    upload_ttl: int
    max_lifetime: int
    idempotency: IdempotencyKey | None = None


class CreateDrafts(Actor):
    """Insert `open` drafts, all or none, and allow one upload URL for each; a known idempotency key as for one."""

    tenant_id: UUID
    drafts: list[NewDraft] = Field(min_length=1, max_length=MAX_BATCH)
    upload_ttl: int
    max_lifetime: int
    idempotency: IdempotencyKey | None = None


class DraftRef(Request):
    """One draft of one tenant; anyone else's is not found."""

    tenant_id: UUID
    draft_id: UUID


class DraftRecord(Answer):
    """A draft's row, for services.

    `ttl_left` is what is left until `expires_at`; `url_ttl`, where a URL was allowed, how long it may live (0: not at
    all, which only an idempotent replay answers).
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


class DraftRecords(Answer):
    """Drafts in the order they were asked for."""

    items: list[DraftRecord]


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


class ExtendDraft(DraftRef, Actor):
    """Let a living draft live for `ttl` seconds from now, at least, and never longer than its lifetime allows."""

    ttl: int


class RestoreDraft(ExtendDraft):
    """Bring an expired draft back, while its bytes are kept. A living one is answered as it is."""


class RecordUploaded(DraftRef, Actor):
    """Bytes were seen: `open` → `uploaded` with what the store said. No change in any other state."""

    size: int
    etag: str


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
    """What was claimed. While it is not empty, there may be more."""

    items: list[DueItem]
    now: Instant


class TendDrafts(Request):
    """Move up to `limit` living drafts whose time has come, without touching bytes."""

    limit: int = Field(default=1000, ge=1, le=1000)


class Tended(Answer):
    """What was moved: expired, given back by dead attempts or lapsed holds, warned of their expiry.

    `taken` counts all of it: while it is not 0, there may be more.
    """

    taken: int
    expired: int
    recovered: int
    warned: int


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
    lapsed_claims: int
    warnings: int
    bytes: int
    oldest_due_at: Instant | None = None
    now: Instant


class ListEvents(Request):
    """Events of a tenant in commit order, after `cursor`; of one draft, or of names with one of these prefixes."""

    tenant_id: UUID
    draft_id: UUID | None = None
    name_prefixes: list[str] = []
    cursor: str | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class EventRecords(Answer):
    """Events, and a place after the last of them, before all that are still to come."""

    items: list[Event]
    next_cursor: str | None = None
