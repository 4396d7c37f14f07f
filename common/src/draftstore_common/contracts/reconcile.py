"""What a reconcile asks of the rows, and where it stands. Only the cleaner asks; its questions span all tenants."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from draftstore_common.contracts.base import Answer, BucketRole, Instant, Request
from draftstore_common.contracts.drafts import DraftState

ObjectKeyState = Literal["reserved", "published", "garbage", "deleted"]

PassName = Literal["draft_bucket", "main_bucket", "objects", "drafts"]
"""Two passes look from each bucket at the rows, two from the rows at the bytes that must be there."""

Key = Annotated[str, Field(min_length=1, max_length=1024)]

Position = Annotated[str, Field(max_length=4096)]
"""How far a pass has come, in its own words; "" before its first page."""


class AttributeKeys(Request):
    """What do the rows say of these keys of one bucket?"""

    role: BucketRole
    keys: list[Key] = Field(min_length=1, max_length=1000)


class Attribution(Answer):
    """What the rows say of one key; everything is null where no row knows it.

    Draft bucket: `draft_id` and `draft_state` of the draft whose bytes wait there. Main bucket: `key_state` and
    `draft_id` of the key's own row, `object_name` of the object whose bytes lie there. `own_shape`: whether a key
    of the draft bucket looks as ours do.
    """

    key: str
    draft_id: UUID | None = None
    draft_state: DraftState | None = None
    key_state: ObjectKeyState | None = None
    object_name: str | None = None
    own_shape: bool = False


class Attributions(Answer):
    """One for each key, in the order of the question."""

    items: list[Attribution]


class ListOwed(Request):
    """Rows whose bytes must be in this bucket, in the order of their ids.

    Main bucket: every object. Draft bucket: every draft that is `prepared`, or `uploaded` and not overdue.
    """

    role: BucketRole
    after: UUID | None = None
    limit: int = Field(default=1000, ge=1, le=1000)


class OwedBytes(Answer):
    """A row and the bytes it stands for. Of a draft, size and ETag are what was last seen: it may be sent again."""

    id: UUID
    key: str
    draft_id: UUID
    object_name: str
    size: int | None = None
    etag: str | None = None


class OwedPage(Answer):
    """A page; the last one is empty."""

    items: list[OwedBytes]


class ReconcileCursor(Answer):
    """Where a pass stands in the present round."""

    name: PassName
    position: Position
    finished: bool


class ReconcileCursors(Answer):
    """Where every pass stands; empty before the first round. `now` is PostgreSQL's clock."""

    items: list[ReconcileCursor]
    now: Instant


class MoveCursor(Request):
    """A page of a pass is done. Refused when the cursor is not at `before`: another reconcile is at work."""

    name: PassName
    before: Position
    after: Position
    finished: bool = False
