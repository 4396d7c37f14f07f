"""Judgement of drafts: what bytes must be, what they are published as, which names a caller may touch. Pure."""

from collections.abc import Iterable
from functools import lru_cache
from mimetypes import MimeTypes
from posixpath import splitext
from urllib.parse import quote
from uuid import UUID

from draftstore_common.contracts.base import DEFAULT_TENANT_ID, MAIN
from draftstore_common.contracts.confirm import ConfirmationRecord
from draftstore_common.contracts.drafts import Confirmation, Draft, DraftState, Object, Receipt, Upload
from draftstore_common.contracts.identity import Principal
from draftstore_common.contracts.metadata import DraftRecord, ObjectRecord
from draftstore_common.contracts.storage import ObjectHeaders, SignedRequest, StoredObject
from draftstore_common.kit.errors import Problem
from draftstore_common.problems import DraftChanged, DraftDiscarded, DraftExpired
from draftstore_drafts.errors import (
    NameRepeated,
    NotAsDeclared,
    ObjectNameNotAllowed,
    ObjectNameReserved,
)

OCTET_STREAM = "application/octet-stream"
RESERVED_PREFIX = "tenants/"

_GIVEN_UP: frozenset[DraftState] = frozenset({"expired", "discarded", "purging", "purged"})

_TYPES = MimeTypes()
"""Python's own table, without what the host's files add to it: the same answer everywhere."""

_COMPRESSED = {"gzip": "application/gzip"}

_INLINE = frozenset(
    {"application/pdf", "image/avif", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain"}
)
"""Types a browser shows without running anything in them."""


def check_name(principal: Principal, bucket: str, object_name: str) -> None:
    """Raise unless the caller may use this name in this bucket."""
    # The bare `tenants` too: some stores take no `tenants/…` beside it.
    if bucket == MAIN and principal.tenant_id == DEFAULT_TENANT_ID and f"{object_name}/".startswith(RESERVED_PREFIX):
        raise ObjectNameReserved
    if not may_touch(principal, object_name):
        raise ObjectNameNotAllowed


def may_touch(principal: Principal, object_name: str) -> bool:
    """Whether the key's prefixes (none: all names) cover the name."""
    return not principal.name_prefixes or object_name.startswith(principal.name_prefixes)


def check_alive(draft: DraftRecord) -> None:
    """Raise if the draft's bytes are gone or going."""
    if draft.state in _GIVEN_UP:
        raise DraftExpired if draft.discarded_at is None else DraftDiscarded


def check_same_bytes(previewed_etag: str | None, *etags: str | None) -> None:
    """Raise if the caller named the ETag it previewed, and it is none of these."""
    if previewed_etag is not None and previewed_etag.strip('"') not in etags:
        raise DraftChanged


def judge(draft: DraftRecord, stored: StoredObject, previewed_etag: str | None) -> None:
    """Raise unless the bytes in the store are those that were declared, and those that were previewed."""
    check_same_bytes(previewed_etag, stored.etag)
    _judge_size(draft, stored)
    _judge_type(draft, stored)
    _judge_checksum(draft, stored)


def same_names(drafts: Iterable[DraftRecord]) -> list[tuple[UUID, Problem]]:
    """Drafts of one bundle that want the same name: whichever came last would win."""
    by_name: dict[tuple[str, str], list[UUID]] = {}
    for draft in drafts:
        by_name.setdefault((draft.bucket, draft.object_name), []).append(draft.id)
    return [(draft_id, NameRepeated()) for ids in by_name.values() if len(ids) > 1 for draft_id in ids]


def _judge_size(draft: DraftRecord, stored: StoredObject) -> None:
    if draft.declared_size is not None and draft.declared_size != stored.size:
        text = f"{draft.declared_size} bytes were declared, {stored.size} arrived. Upload the whole file again."
        raise NotAsDeclared(text, code="size_mismatch")


def _judge_type(draft: DraftRecord, stored: StoredObject) -> None:
    declared = draft.declared_content_type
    if declared is not None and _plain(declared) != _plain(stored.content_type or ""):
        text = f"{declared} was declared, the upload said otherwise. Send exactly the headers the upload URL came with."
        raise NotAsDeclared(text, code="content_type_mismatch")


def _judge_checksum(draft: DraftRecord, stored: StoredObject) -> None:
    declared, found = draft.declared_checksum_sha256, stored.checksum_sha256
    if declared is not None and found is not None and declared != found:
        text = "The SHA-256 of the bytes is not the one declared. Upload the file again."
        raise NotAsDeclared(text, code="checksum_mismatch")


def _plain(media_type: str) -> str:
    return media_type.replace(" ", "").lower()


def published_type(draft: DraftRecord) -> str:
    """The type an object is published with: declared, else by its name's extension; never what the upload said.

    Of a compressed file it is the compression's, since the bytes are published as they are, without an encoding.
    """
    if draft.declared_content_type is not None:
        return draft.declared_content_type
    return _type_of(splitext(draft.object_name)[1])


@lru_cache(1024)
def _type_of(extension: str) -> str:
    guessed, encoding = _TYPES.guess_type(f"file{extension}")
    return _COMPRESSED.get(encoding, OCTET_STREAM) if encoding else guessed or OCTET_STREAM


def published_headers(draft: DraftRecord) -> ObjectHeaders:
    """The headers an object is published with, from the row alone."""
    return ObjectHeaders(
        content_type=published_type(draft),
        cache_control=draft.cache_control,
        content_disposition=draft.content_disposition,
        content_encoding=draft.content_encoding,
    )


def disposition(content_type: str, object_name: str, declared: str | None) -> str:
    """What a download URL tells browsers (RFC 6266): a declared file name stands, and so does `attachment`.

    `inline` only for types that cannot run anything; everything else is saved, whatever was declared.
    """
    kind, _, parameters = (declared or "").partition(";")
    harmless = _plain(content_type).partition(";")[0] in _INLINE
    shown = "inline" if harmless and _plain(kind) != "attachment" else "attachment"
    name = parameters.strip() or f"filename*=UTF-8''{quote(object_name.rpartition('/')[2], safe='')}"
    return f"{shown}; {name}"


def public_draft(draft: DraftRecord, upload: SignedRequest | None = None) -> Draft:
    """The public shape of a draft, with the upload URL that was just signed for it."""
    return Draft(
        id=draft.id,
        tenant_id=draft.tenant_id,
        bucket=draft.bucket,
        object_name=draft.object_name,
        state=draft.state,
        size=draft.size if draft.size is not None else draft.declared_size,
        content_type=draft.declared_content_type,
        checksum_sha256=draft.declared_checksum_sha256,
        metadata=draft.metadata,
        subject=draft.subject,
        created_at=draft.created_at,
        expires_at=draft.expires_at,
        upload=None if upload is None else public_upload(upload),
    )


def public_upload(signed: SignedRequest) -> Upload:
    """A signed PUT as clients see it."""
    return Upload(type="put", method="PUT", url=signed.url, headers=signed.headers, expires_at=signed.expires_at)


def public_confirmation(record: ConfirmationRecord) -> Confirmation:
    """The public shape of a confirmation. The token of a prepared one, by which it is committed, is its id."""
    prepared = record.state == "prepared"
    return Confirmation(
        id=record.id,
        state=record.state,
        mode=record.mode,
        draft_ids=record.draft_ids,
        receipts=record.receipts,
        token=str(record.id) if prepared else None,
        prepared_until=record.held_until,
        problem=record.problem,
        created_at=record.created_at,
    )


def public_object(found: ObjectRecord) -> Object:
    """The public shape of an object."""
    return Object(**dict(found))


def receipt_of(found: ObjectRecord) -> Receipt:
    """The receipt the confirm of these bytes answered, from the object's row."""
    return Receipt(**dict(found))
