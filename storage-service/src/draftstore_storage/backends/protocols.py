"""The store in four small interfaces, everything by bucket role.

For every method of every backend:

* It may raise any error of `draftstore_storage.errors`; those named are the ones a caller should expect.
* It ends by the request's deadline (`kit.context.remaining`) with an answer or with `Unavailable`. After
  `Unavailable` the store may still carry the request out: repeat it, or look.
* Transient errors were retried before an error is raised, so every method is safe to repeat.
* ETags carry no quotes and are never a checksum.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from draftstore_common.contracts import storage as wire
from draftstore_common.contracts.base import BucketRole
from draftstore_storage.domain import ByteRange

ChecksumAlgorithm = Literal["sha256", "crc64nvme"]


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload: where its object will lie, and the id S3 gave it."""

    role: BucketRole
    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What a store says of itself: its clock, and the name of its software (empty if it keeps that to itself)."""

    now: datetime
    server: str


class ObjectBackend(Protocol):
    """Whole objects."""

    async def head(self, role: BucketRole, key: str) -> wire.StoredObject:
        """What the store says of the key: `NotFound` if the bucket is there and the object is not."""
        ...

    def get(self, role: BucketRole, key: str, *, if_match: str | None = None) -> AsyncGenerator[bytes, None]:
        """The object's bytes as they are stored, in pieces of at most 256 KiB; `NotFound` before the first.

        With `if_match`, only bytes with that ETag: else `PreconditionFailed` before the first.

        One piece is in memory at a time. Whoever stops early closes the iterator (`aclosing`), and so the
        connection. A stream that breaks raises `Unavailable`: a short object is never taken for a whole one.
        """
        ...

    async def put(self, role: BucketRole, key: str, body: bytes, headers: wire.ObjectHeaders) -> str:
        """Store a small body, replacing what is there; returns its ETag. Nobody observes a part of it."""
        ...

    async def copy(
        self, source: wire.ObjectRef, target: wire.ObjectRef, *, if_match: str, headers: wire.ObjectHeaders
    ) -> str:
        """Copy at most 5 GiB inside the store and return the copy's ETag.

        Only bytes with the ETag `if_match` are copied: else `PreconditionFailed`, and nothing was written. The
        copy has exactly the given headers, and no user metadata: nothing is taken over from the source.
        `NotFound` names the source. A target key that an existing object blocks is `AlreadyExists` (or
        `InvalidKey`), and the existing object is unharmed.
        """
        ...

    async def delete(self, role: BucketRole, key: str) -> None:
        """Remove one object. An absent one counts as removed."""
        ...

    async def delete_many(self, role: BucketRole, keys: Sequence[str]) -> list[wire.DeleteFailure]:
        """Remove up to 1,000 objects; every key not named in the answer is gone. Absent ones count as removed."""
        ...


class MultipartBackend(Protocol):
    """Uploads in parts, named by the key and the id that `create` gave."""

    async def create(
        self, role: BucketRole, key: str, headers: wire.ObjectHeaders, checksum: ChecksumAlgorithm | None = None
    ) -> str:
        """Begin an upload and return its id. The headers are those the object will have."""
        ...

    async def copy_part(
        self, upload: Upload, number: int, source: wire.ObjectRef, piece: ByteRange, *, if_match: str
    ) -> wire.PartRef:
        """Make a part from a range of an object with this ETag; `PreconditionFailed` if it has another."""
        ...

    async def list_parts(self, upload: Upload) -> list[wire.UploadedPart]:
        """Every part that has arrived, ascending, all pages merged; `UploadNotFound` if the upload is over."""
        ...

    async def complete(self, upload: Upload, parts: Sequence[wire.PartRef]) -> str:
        """Make the object of these parts and return its ETag. All of it appears at once.

        Repeating a complete that succeeded answers the same. `InvalidParts` leaves the upload as it was.
        """
        ...

    async def abort(self, upload: Upload) -> None:
        """Give the upload up and free its parts. One that is over counts as aborted; a finished object stays.

        A part still on its way may outlive this (S3 API reference, AbortMultipartUpload): repeat it later.
        """
        ...


class BucketBackend(Protocol):
    """The buckets themselves."""

    async def probe(self, role: BucketRole) -> Probe:
        """What the store says of itself, if it is there, takes our credentials and has the bucket."""
        ...

    async def create(self, role: BucketRole) -> None:
        """Make the bucket unless it exists; safe from many places at once."""
        ...

    async def hazards(self, role: BucketRole) -> list[str]:
        """What keeps or copies objects that were deleted: of `versioning`, `replication`, `object lock`.

        A store that does not know such a thing does not have it.
        """
        ...

    async def allow_origins(self, role: BucketRole, origins: Sequence[str]) -> bool:
        """Let browsers of these origins use presigned URLs (CORS); False if the store has no such call."""
        ...

    async def list(self, role: BucketRole, *, after: str = "", limit: int = 1000) -> wire.ObjectListing:
        """Up to `limit` (at most 1,000) objects that follow `after`, in the store's own order.

        `after` is "" or the `next_after` of a page. Every object that is there throughout is on exactly one page of
        a walk, but for what the store hides: MinIO does not list `a/b` while an object `a` exists. So a listing is a
        hint for finding what no row knows, and never a proof of absence.
        """
        ...


class PresignBackend(Protocol):
    """Requests that anyone may send for a while. Computed, not asked for: no method reaches the store."""

    def guard_uploads(self) -> None:
        """From now on, forbid in upload URLs what MinIO would otherwise take from whoever holds one."""
        ...

    async def put(self, request: wire.PresignPut) -> wire.SignedRequest: ...

    async def form(self, request: wire.PresignForm) -> wire.SignedRequest: ...

    async def part(self, request: wire.PresignPart) -> wire.SignedRequest: ...

    async def get(self, request: wire.PresignGet) -> wire.SignedRequest: ...


@dataclass(frozen=True, slots=True)
class Store:
    """One object store through the four interfaces."""

    objects: ObjectBackend
    multipart: MultipartBackend
    buckets: BucketBackend
    urls: PresignBackend
