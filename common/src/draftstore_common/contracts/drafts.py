"""The public shapes: drafts, uploads, receipts, objects. Clients rely on them; they only ever grow."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from draftstore_common.contracts.base import MAIN, Answer, Instant, Request, Sha256, at_most, broken_rule, example
from draftstore_common.contracts.names import ObjectName, PlainText, PublicBucket

DraftState = Literal[
    "open", "uploaded", "confirming", "prepared", "confirmed", "expired", "discarded", "purging", "purged"
]
OnConflict = Literal["fail", "replace"]
ConfirmMode = Literal["commit", "prepare"]
ConfirmationState = Literal["working", "prepared", "confirmed", "rolled_back"]
Stage = Literal["draft", "main"]

MIN_DRAFT_TTL = 60
MAX_DRAFT_TTL = 7 * 24 * 3600
DEFAULT_HOLD_TTL = 300
MAX_HOLD_TTL = 3600
MAX_BUNDLE = 1000
"""Drafts one bundle may have."""

MAX_BATCH = 1000
"""Drafts one request may make."""

MAX_PUT_SIZE = 5 * 1024**3
"""5 GiB, the most S3 takes in one PUT (S3 user guide, "Uploading objects")."""

DraftTtl = Annotated[int, Field(strict=True, ge=MIN_DRAFT_TTL, le=MAX_DRAFT_TTL, description="seconds, 60 s to 7 days")]
HoldTtl = Annotated[
    int, Field(strict=True, ge=10, le=MAX_HOLD_TTL, description="seconds a prepared confirmation is held")
]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")]
MediaType = Annotated[
    str,
    StringConstraints(
        max_length=255, pattern=r"^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(;[\x20-\x7e]*)?$"
    ),
]
Metadata = Annotated[
    dict[Annotated[PlainText, Field(min_length=1, max_length=64)], Annotated[PlainText, Field(max_length=1024)]],
    Field(max_length=32),
    at_most(32),
]
Subject = Annotated[PlainText, Field(min_length=1, max_length=255)]
ETag = Annotated[PlainText, Field(min_length=1, max_length=128)]


class UploadIntent(Request):
    """What the client says of the bytes it will send. What is declared is enforced, by the store and at confirm."""

    model_config = example(object_name="reports/2026/march.pdf", content_type="application/pdf", ttl=3600)

    object_name: ObjectName
    size: int | None = Field(default=None, strict=True, ge=0, le=MAX_PUT_SIZE, description="bytes")
    content_type: MediaType | None = None
    checksum_sha256: Sha256 | None = None
    ttl: DraftTtl | None = None
    metadata: Metadata = {}
    subject: Subject | None = None
    cache_control: HeaderValue | None = None
    content_disposition: HeaderValue | None = None
    content_encoding: HeaderValue | None = None


class DraftCreate(UploadIntent):
    """A new draft."""

    bucket: PublicBucket = MAIN
    upload: Literal["put"] = "put"


class DraftBatch(Request):
    """New drafts, all or none."""

    model_config = example(
        drafts=[{"object_name": "reports/2026/march.pdf"}, {"object_name": "reports/2026/april.pdf"}]
    )

    drafts: Annotated[list[DraftCreate], Field(min_length=1, max_length=MAX_BATCH), at_most(MAX_BATCH)]


class Upload(Answer):
    """How to send the bytes: one request anyone may send until `expires_at`, with exactly these headers."""

    type: Literal["put"]
    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: Instant


class Draft(Answer):
    """The intention to store one object. `upload` is present when a URL was just signed."""

    id: UUID
    tenant_id: UUID
    bucket: str
    object_name: str
    state: DraftState
    size: int | None = None
    content_type: str | None = None
    checksum_sha256: str | None = None
    metadata: dict[str, str] = {}
    subject: str | None = None
    created_at: Instant
    expires_at: Instant
    upload: Upload | None = None


class CreatedDrafts(Answer):
    """New drafts in the order of the request."""

    items: list[Draft]


class DraftPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[Draft]
    next_cursor: str | None = None


class ConfirmOptions(Request):
    """`on_conflict`: what to do when the name is taken. `etag` binds the confirm to the bytes that were previewed.

    `mode: prepare` judges, copies and holds the name for `hold_ttl` seconds; the commit that follows cannot be refused.
    """

    model_config = example(on_conflict="replace")

    on_conflict: OnConflict = "fail"
    etag: ETag | None = None
    subject: Subject | None = None
    mode: ConfirmMode = "commit"
    hold_ttl: HoldTtl = DEFAULT_HOLD_TTL


class Lifetime(Request):
    """How long a draft shall live from now on. It never lives longer than its tenant's maximum, from its creation."""

    model_config = example(ttl=7200)

    ttl: DraftTtl | None = None


class Receipt(Answer):
    """What a confirm answers, the same for every repeat."""

    draft_id: UUID
    object_name: str
    bucket: str
    final_location: str
    size: int
    etag: str
    checksum_sha256: str | None = None
    content_type: str
    confirmed_at: Instant


def _all_different(draft_ids: list[UUID]) -> list[UUID]:
    if len(set(draft_ids)) < len(draft_ids):
        raise broken_rule("repeated_draft", "Name each draft once")
    return draft_ids


class ConfirmationCreate(Request):
    """Confirm several drafts, all or none; with `mode: prepare`, hold them for a commit that cannot be refused.

    `etags` binds drafts of `draft_ids` to the bytes that were previewed.
    """

    model_config = example(draft_ids=["0193f4a0-7c1e-7d3a-9b52-3f1c2a4d5e6f"], on_conflict="fail")

    draft_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_BUNDLE), AfterValidator(_all_different)]
    on_conflict: OnConflict = "fail"
    etags: Annotated[dict[UUID, ETag], at_most(MAX_BUNDLE)] = {}
    subject: Subject | None = None
    mode: ConfirmMode = "commit"
    hold_ttl: HoldTtl = DEFAULT_HOLD_TTL

    @field_validator("etags")
    @classmethod
    def _of_these_drafts(cls, etags: dict[UUID, str], info: ValidationInfo) -> dict[UUID, str]:
        if not etags.keys() <= set(info.data.get("draft_ids", etags)):  # absent: it was refused itself
            raise broken_rule("unknown_draft", "Send etags only of drafts that are in draft_ids")
        return etags


class Confirmation(Answer):
    """One act on one or several drafts.

    `receipts` in the order of `draft_ids`, once confirmed. `token`, of a prepared one, is what commits it or rolls it
    back until `prepared_until`. `problem` says why it was rolled back.
    """

    id: UUID
    state: ConfirmationState
    mode: ConfirmMode
    draft_ids: list[UUID]
    receipts: list[Receipt] = []
    token: str | None = None
    prepared_until: Instant | None = None
    problem: dict[str, Any] | None = None
    created_at: Instant


class Event(Answer):
    """Something that happened to a draft or an object. `type` is `draft.<state>` for a change of state.

    `actor` is a key (`key:<id>`) or a service (`service:<name>`).
    """

    id: int
    type: str
    draft_id: UUID | None = None
    object_name: str
    from_state: DraftState | None = None
    to_state: DraftState | None = None
    actor: str
    reason: str | None = None
    at: Instant


class EventPage(Answer):
    """Events in the order they were committed. `next_cursor` is the place after the last: ask again from there."""

    items: list[Event]
    next_cursor: str | None = None


class DownloadUrl(Answer):
    """A URL that reads the bytes until `expires_at`, from the stage they are in."""

    download_url: str
    object_name: str
    expires_at: Instant
    stage: Stage
    draft_id: UUID | None = None


class ByNameRequest(Request):
    """An object name, and (as should be on retries) the draft that is meant."""

    model_config = example(object_name="reports/2026/march.pdf")

    object_name: ObjectName
    draft_id: UUID | None = None
    subject: Subject | None = None


class ByNameUpload(UploadIntent):
    """A new draft by name; with `draft_id`, a fresh URL for that one."""

    draft_id: UUID | None = None


class ByNameUploadUrl(Answer):
    """Where to PUT the bytes, and the headers the request must carry."""

    upload_url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    object_name: str
    draft_id: UUID
    stage: Stage = "draft"
    expires_at: Instant
    draft_expires_at: Instant


class ByNameConfirm(ByNameRequest):
    """Confirm by name. Replaces by default, as clients of this route expect."""

    on_conflict: OnConflict = "replace"
    etag: ETag | None = None


class ByNameReceipt(Receipt):
    """A receipt with the flag older clients look at."""

    success: Literal[True] = True
    stage: Stage = "main"


class ConfirmPending(Answer):
    """202: another confirm of this draft is still at work. Ask again after `Retry-After`."""

    draft_id: UUID
    state: Literal["confirming"] = "confirming"


class Object(Answer):
    """Confirmed, permanent content."""

    id: UUID
    tenant_id: UUID
    bucket: str
    object_name: str
    final_location: str
    generation: int
    size: int
    etag: str
    checksum_sha256: str | None = None
    content_type: str
    metadata: dict[str, str] = {}
    draft_id: UUID
    confirmed_at: Instant


class ObjectPage(Answer):
    """A page; `next_cursor` is null on the last."""

    items: list[Object]
    next_cursor: str | None = None
