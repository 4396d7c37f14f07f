"""Pure rules of the store: which bucket plays which role, which keys are safe, how a large copy is cut."""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass

from draftstore_common.contracts.base import BucketRole
from draftstore_storage.errors import InvalidKey

MIB = 1024 * 1024

MAX_KEY_BYTES = 1024
"""S3 user guide, "Creating object key names"."""

MAX_SEGMENT_BYTES = 255
"""What a file name may have on the file systems MinIO and SeaweedFS keep objects on; both refuse longer segments."""

MAX_PARTS = 10_000
"""S3 user guide, "Amazon S3 multipart upload limits"."""

SINGLE_COPY_LIMIT = 5 * 1024 * MIB
"""The most bytes CopyObject takes (S3 API reference, CopyObject)."""

COPY_PART_SIZE = 512 * MIB
"""Large enough that an object of 100 GiB needs 200 calls, small enough that a part is copied within a minute."""

PIECE = 256 * 1024
"""Bytes of a stream held in memory at once."""

CORS_METHODS = ("GET", "HEAD", "POST", "PUT")
"""What presigned URLs and forms are used with."""

GONE_CODES = frozenset({"NoSuchKey", "NoSuchVersion"})
"""Reasons for which a store may refuse a deletion that mean: nothing is there."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]|\$\{filename\}")
"""Control characters have no form in the XML of S3 answers; `${filename}` is replaced in POST policies."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The two buckets by what they are for."""

    main: str
    draft: str

    def name(self, role: BucketRole) -> str:
        """The store's name of the bucket."""
        return self.main if role == "main" else self.draft

    def role(self, name: str | None) -> BucketRole | None:
        """What the bucket of this name is for, if it is one of ours."""
        return {self.main: "main", self.draft: "draft"}.get(name or "")  # type: ignore[return-value]  # two literals


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included, as HTTP counts them (RFC 9110 §14.1.2)."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"bytes={self.first}-{self.last}"


def check_key(role: BucketRole, key: str) -> str:
    """The key, if every store keeps it apart from all others; else `InvalidKey`.

    Empty segments and dot segments are refused because URL libraries and file systems fold them away:
    `a//b` would be `a/b`, and `a/../b` would be `b`.
    """
    if len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES or _UNSAFE.search(key):
        raise InvalidKey(role, key)
    for segment in key.split("/"):
        if segment in {"", ".", ".."} or len(segment.encode()) > MAX_SEGMENT_BYTES:
            raise InvalidKey(role, key)
    return key


def copy_ranges(size: int, part_size: int) -> Iterator[ByteRange]:
    """The ranges that cover `size` bytes exactly once, in order, in at most 10,000 parts.

    Parts have `part_size` bytes, or more where 10,000 of them would not suffice; the last has what is left.
    """
    step = max(part_size, -(-size // MAX_PARTS))
    for first in range(0, size, step):
        yield ByteRange(first, min(first + step, size) - 1)


_FULL_SHA256 = re.compile(r"[A-Za-z0-9+/]{43}=")


def full_sha256(header: str | None) -> str | None:
    """The SHA-256 of a whole object in hexadecimal, from `x-amz-checksum-sha256`.

    An object made of parts carries a checksum of checksums there, which ends in `-<parts>` and says nothing.
    """
    return b64decode(header).hex() if header is not None and _FULL_SHA256.fullmatch(header) else None


def base64_sha256(digest: str) -> str:
    """A hexadecimal SHA-256 as S3's headers carry it."""
    return b64encode(bytes.fromhex(digest)).decode()
