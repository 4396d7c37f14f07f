"""What storage-service is asked and answers. Keys are raw store keys; sizes are bytes; ETags carry no quotes."""

from typing import Annotated, Literal

from pydantic import Field

from draftstore_common.contracts.base import Answer, BucketRole, Instant, Request, Sha256

StoreKey = Annotated[str, Field(min_length=1, max_length=1024)]
UrlTtl = Annotated[int, Field(ge=1, le=604_800, description="seconds; SigV4 allows at most seven days")]

HeaderValue = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[\x20-\x7e]+$")]
"""Visible ASCII and spaces: what every HTTP client sends unchanged, and so what a signature can cover."""


class ObjectHeaders(Request):
    """The headers an object is published with; nothing else of the uploader's metadata survives a copy."""

    content_type: HeaderValue | None = None
    cache_control: HeaderValue | None = None
    content_disposition: HeaderValue | None = None
    content_encoding: HeaderValue | None = None


class ObjectRef(Request):
    """One key in one of the two buckets."""

    role: BucketRole
    key: StoreKey


class StoredObject(Answer):
    """What the store says of a key. `checksum_sha256` only where the store holds a full-object SHA-256."""

    key: str
    size: int
    etag: str
    content_type: str | None = None
    checksum_sha256: Sha256 | None = None
    last_modified: Instant


class ListKeys(Request):
    """Up to `limit` keys of one bucket that follow `after`: "" at the beginning, then what the last page said."""

    role: BucketRole
    after: str = Field(default="", max_length=1025)
    limit: int = Field(default=1000, ge=1, le=1000)


class ListedObject(Answer):
    """One line of a bucket's listing."""

    key: str
    size: int
    etag: str
    last_modified: Instant


class ObjectListing(Answer):
    """A page in the store's own order; `next_after` is null on the last. It stays good for as long as the bucket is."""

    items: list[ListedObject]
    next_after: str | None = None


class DigestRequest(Request):
    """Read the bytes with exactly this ETag; others answer `precondition_failed`."""

    object: ObjectRef
    if_match: str


class DigestAnswer(Answer):
    """What the bytes come to."""

    checksum_sha256: Sha256


class CopyRequest(Request):
    """Copy the bytes with exactly this ETag and size; a source that changed answers `precondition_failed`."""

    source: ObjectRef
    target: ObjectRef
    if_match: str
    size: int = Field(ge=0)
    headers: ObjectHeaders


class CopyAnswer(Answer):
    """The copy's own ETag (it differs from the source's when the copy went by parts)."""

    etag: str


class DeleteRequest(Request):
    """Delete up to 1,000 keys of one bucket (the limit of S3 DeleteObjects). An absent key counts as deleted."""

    role: BucketRole
    keys: list[StoreKey] = Field(min_length=1, max_length=1000)


class DeleteFailure(Answer):
    """A key the store would not delete, and why."""

    key: str
    reason: str


class DeleteAnswer(Answer):
    """Keys not named in `failures` are gone."""

    failures: list[DeleteFailure] = []


class PresignPut(Request):
    """A URL that accepts one PUT. What is declared here is signed, so the store enforces it."""

    key: StoreKey
    expires_in: UrlTtl
    size: int | None = Field(default=None, ge=0)
    content_type: HeaderValue | None = None
    checksum_sha256: Sha256 | None = None


class PresignPuts(Request):
    """Up to 1,000 URLs at once; one draft each."""

    items: list[PresignPut] = Field(min_length=1, max_length=1000)


class PresignForm(Request):
    """A POST policy for one key, with the sizes it accepts."""

    key: StoreKey
    expires_in: UrlTtl
    min_size: int = Field(default=0, ge=0)
    max_size: int = Field(ge=0)
    content_type: HeaderValue | None = None
    content_type_prefix: HeaderValue | None = None


class PresignPart(Request):
    """A URL for one part of a multipart upload."""

    key: StoreKey
    upload_id: str
    part_number: int = Field(ge=1, le=10_000)
    expires_in: UrlTtl
    size: int | None = Field(default=None, ge=0)
    checksum_sha256: Sha256 | None = None


class PresignGet(Request):
    """A URL that reads one object; type and disposition are signed into it."""

    role: BucketRole
    key: StoreKey
    expires_in: UrlTtl
    content_type: HeaderValue | None = None
    content_disposition: HeaderValue | None = None


class SignedRequest(Answer):
    """A request anyone may send until `expires_at`. `headers` are exactly those the client must send.

    `fields` are the form fields of a POST policy, to be sent before the file.
    """

    method: Literal["PUT", "POST", "GET"]
    url: str
    headers: dict[str, str] = {}
    fields: dict[str, str] | None = None
    expires_at: Instant


class SignedRequests(Answer):
    """One for each that was asked for, in the same order."""

    items: list[SignedRequest]


class CreateMultipart(Request):
    """Begin a multipart upload of one draft key."""

    key: StoreKey
    headers: ObjectHeaders
    checksum: Literal["sha256", "crc64nvme"] | None = None


class MultipartRef(Request):
    """A multipart upload by its id. Ids are kept in rows: listing them is not reliable on every store."""

    key: StoreKey
    upload_id: str


class MultipartCreated(Answer):
    """The id every later call names."""

    upload_id: str


class UploadedPart(Answer):
    """A part the store holds, with its own SHA-256 if the upload was created with that checksum."""

    part_number: int
    size: int
    etag: str
    checksum_sha256: Sha256 | None = None


class PartList(Answer):
    """Every part that has arrived, in order of their numbers; all pages merged."""

    parts: list[UploadedPart]


class PartRef(Request):
    """A part as the client knows it; with the SHA-256 that the list of parts shows, where it shows one."""

    part_number: int = Field(ge=1, le=10_000)
    etag: str
    checksum_sha256: Sha256 | None = None


class CompletedMultipart(Answer):
    """The ETag of the object the parts became."""

    etag: str


class CompleteMultipart(MultipartRef):
    """The parts, ascending, that make the object."""

    parts: list[PartRef] = Field(min_length=1, max_length=10_000)


class StoreTime(Answer):
    """The store's own clock, from the Date header of a signed request."""

    now: Instant


class StoreInfo(Answer):
    """The store's names: what `final_location` begins with, and what object rows say of where their bytes are."""

    main_bucket: str
    draft_bucket: str
    store_id: str
