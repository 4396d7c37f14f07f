"""The rules around the rows: why a row did not move, what a page's cursor means. No SQL, no HTTP."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import asyncpg

from draftstore_common.contracts import metadata as wire
from draftstore_common.kit.errors import Problem
from draftstore_common.problems import DraftDiscarded, DraftExpired, DraftNotFound, ObjectNotFound
from draftstore_metadata.domain import TAKES_BYTES
from draftstore_metadata.errors import (
    DraftPrepared,
    DraftStateConflict,
    InvalidCursor,
    Unsettled,
)
from draftstore_metadata.store.claims import ClaimStore
from draftstore_metadata.store.creating import CreateStore
from draftstore_metadata.store.drafts import DraftStore
from draftstore_metadata.store.events import START, EventStore, Place
from draftstore_metadata.store.objects import ObjectStore
from draftstore_metadata.store.rows import draft_record

ATTEMPTS = 10
"""How often a compare-and-set that lost against another is tried again before the caller is asked to."""


class DraftService:
    """Drafts outside a confirm, for callers that name their tenant."""

    def __init__(self, creating: CreateStore, drafts: DraftStore, claims: ClaimStore) -> None:
        self._creating = creating
        self._drafts = drafts
        self._claims = claims

    async def create(self, request: wire.CreateDraft) -> wire.DraftRecord:
        """A new `open` draft. Its row is durable before anybody can sign a URL for it."""
        return await self._creating.one(request)

    async def create_many(self, request: wire.CreateDrafts) -> wire.DraftRecords:
        """New `open` drafts in the order of the request, all in one transaction."""
        return wire.DraftRecords(items=await self._creating.many(request))

    async def get(self, ref: wire.DraftRef) -> wire.DraftRecord:
        """One draft, in the state callers see."""
        return draft_record(await self._row(ref))

    async def list(self, query: wire.ListDrafts) -> wire.DraftRecordPage:
        """A page, newest first. A draft present throughout is neither skipped nor doubled."""
        items = await self._drafts.list(query, _id_cursor(query.cursor))
        more = len(items) > query.limit
        page = items[: query.limit]
        return wire.DraftRecordPage(items=page, next_cursor=str(page[-1].id) if more else None)

    async def find(self, query: wire.FindByName) -> wire.NameRecord:
        """What lives under a name."""
        return await self._drafts.find(query)

    async def allow_url(self, request: wire.AllowUrl) -> wire.DraftRecord:
        """The draft with the time one more URL may live; a problem if it takes no bytes any more."""
        for _ in range(ATTEMPTS):
            draft = await self._drafts.allow_url(request)
            if draft is not None:
                return draft
            row = await self._row(request)
            if row["state"] not in TAKES_BYTES:
                raise why_not(row, "taking an upload")
            if row["ttl_left"] < 1:
                raise DraftExpired
        raise Unsettled

    async def record_uploaded(self, request: wire.RecordUploaded) -> wire.DraftRecord:
        """The draft with its bytes noted; unchanged if it is past `open`."""
        return await self._drafts.record_uploaded(request) or await self.get(request)

    async def discard(self, request: wire.DiscardDraft) -> wire.DraftRecord:
        """The discarded draft. A repeat answers the same; a confirmed draft is refused."""
        for _ in range(ATTEMPTS):
            draft = await self._drafts.discard(request)
            if draft is not None:
                return draft
            row = await self._row(request)
            if row["discarded_at"] is not None:
                return draft_record(row)
            if row["state"] not in TAKES_BYTES:
                raise why_not(row, "discarding")
        raise Unsettled

    async def extend(self, request: wire.ExtendDraft) -> wire.DraftRecord:
        """The draft with as much of the time asked for as its lifetime allows; never less than it had."""
        for _ in range(ATTEMPTS):
            draft = await self._drafts.extend(request)
            if draft is not None:
                return draft
            row = await self._row(request)
            if row["state"] not in TAKES_BYTES:
                raise why_not(row, "extending")
        raise Unsettled

    async def restore(self, request: wire.RestoreDraft) -> wire.DraftRecord:
        """The draft, living again; 410 once its bytes are going. One that lives is answered as it is."""
        for _ in range(ATTEMPTS):
            draft = await self._drafts.restore(request)
            if draft is not None:
                return draft
            row = await self._row(request)
            if row["state"] in TAKES_BYTES:
                return draft_record(row)
            raise why_not(row, "restoring")
        raise Unsettled

    async def _row(self, ref: wire.DraftRef) -> asyncpg.Record:
        """The row; a claim or hold on it whose time is over is given back by whoever looks."""
        row = await self._drafts.get(ref.tenant_id, ref.draft_id)
        if row is not None and row["lease_expires_at"] is not None and row["lease_expires_at"] <= row["now"]:
            await self._claims.recover(ref.tenant_id, [ref.draft_id])
            row = await self._drafts.get(ref.tenant_id, ref.draft_id)
        if row is None:
            raise DraftNotFound
        return row


def why_not(row: asyncpg.Record, act: str) -> Problem:
    """The problem that tells why a draft in this state does not allow `act`."""
    match row["state"]:
        case "expired":
            return DraftExpired()
        case "discarded" | "purging" | "purged":
            return DraftExpired() if row["discarded_at"] is None else DraftDiscarded()
        case "prepared":
            return DraftPrepared()
        case "confirmed":
            return DraftStateConflict("This draft is confirmed: its object is permanent. Create a new draft instead.")
        case state:
            text = f"This draft is {state}, which does not allow {act}. Read it again and retry when it has settled."
            return DraftStateConflict(text)


class ObjectService:
    """Confirmed objects."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def get(self, ref: wire.NameRef) -> wire.ObjectRecord:
        """One object by name."""
        found = await self._objects.get(ref)
        if found is None:
            raise ObjectNotFound
        return found

    async def list(self, query: wire.ListObjects) -> wire.ObjectRecordPage:
        """A page in the order of names (byte order)."""
        items = await self._objects.list(query, _name_cursor(query.cursor))
        more = len(items) > query.limit
        page = items[: query.limit]
        return wire.ObjectRecordPage(items=page, next_cursor=_encode(page[-1].object_name) if more else None)

    async def delete(self, request: wire.DeleteObject) -> None:
        """Delete by name; deleting what is not there succeeds, so that a repeat does."""
        await self._objects.delete(request)


class EventService:
    """The event feed."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def list(self, query: wire.ListEvents) -> wire.EventRecords:
        """A page in commit order. Asking again from `next_cursor` misses nothing, whatever commits meanwhile."""
        items, last = await self._events.list(query, _place_cursor(query.cursor))
        return wire.EventRecords(items=items, next_cursor=_encode("{}.{}".format(*last)) if last != START else None)


def _place_cursor(cursor: str | None) -> Place:
    if cursor is None:
        return START
    try:
        txid, event_id = (int(part) for part in _name_cursor(cursor).split("."))
    except ValueError as error:
        raise InvalidCursor from error
    if not (0 <= txid < 2**63 and 0 <= event_id < 2**63):
        raise InvalidCursor
    return txid, event_id


def _id_cursor(cursor: str | None) -> UUID | None:
    try:
        return None if cursor is None else UUID(cursor)
    except ValueError as error:
        raise InvalidCursor from error


def _name_cursor(cursor: str | None) -> str:
    try:
        name = urlsafe_b64decode((cursor or "").encode("ascii") + b"==").decode()
    except ValueError as error:
        raise InvalidCursor from error
    if "\0" in name:
        raise InvalidCursor
    return name


def _encode(name: str) -> str:
    return urlsafe_b64encode(name.encode()).decode().rstrip("=")
