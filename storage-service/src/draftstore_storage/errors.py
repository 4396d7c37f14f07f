"""What storage-service tells its callers. Vendor errors become one of these in `backends.translation`, once.

StoreError               role and key stay in our log; the caller is told code, status and what to do
├── NotFound             404 object_not_found
├── BucketNotFound       404 bucket_not_found         never mistaken for an absent object: not a NotFound
├── UploadNotFound       404 upload_not_found
├── AlreadyExists        409 object_key_conflict
├── PreconditionFailed   412 precondition_failed
├── TooLarge             413 object_too_large
├── InvalidKey           422 invalid_key
├── InvalidParts         422 invalid_parts
├── Denied               500 storage_misconfigured
├── Refused              500 storage_refused
└── Unavailable          503 storage_unavailable
"""

from draftstore_common.contracts.base import BucketRole
from draftstore_common.kit import errors as problems


class StoreError(problems.Problem):
    """An object store could not do what was asked of one bucket role, and of one key where there is one.

    `str()` names both for the log; neither is part of the answer. The vendor's own error is the cause.
    """

    def __init__(self, role: BucketRole, key: str | None = None) -> None:
        self.role = role
        self.key = key
        super().__init__()

    def __str__(self) -> str:
        return f"{self.code}: {self.role}/{self.key or ''}"


class NotFound(StoreError, problems.NotFound):
    """The bucket is there, the object is not."""

    code = "object_not_found"
    detail = "There is no object under this key. Upload it first, or check the key."


class BucketNotFound(StoreError, problems.NotFound):
    """The bucket of this role is gone, though it was there when the service started."""

    code = "bucket_not_found"
    title = "Bucket not found"
    needs_operator = True
    detail = "The bucket behind this service does not exist. Whoever runs it must create it again."


class UploadNotFound(StoreError, problems.NotFound):
    """No multipart upload has this id: never begun, aborted, or completed long ago."""

    code = "upload_not_found"
    title = "Upload not found"
    detail = "There is no such multipart upload any more. Start a new one."


class AlreadyExists(StoreError, problems.Conflict):
    """Another object stands in the way: some stores keep `a` and `a/b` as a file and a folder of one name."""

    code = "object_key_conflict"
    detail = "An existing object stands in the way of this key. Choose another name."


class PreconditionFailed(StoreError):
    """The source is not the bytes that were judged any more."""

    status = 412
    code = "precondition_failed"
    title = "Precondition failed"
    detail = "The object changed since it was looked at. Look at it again, then repeat with its new ETag."


class TooLarge(StoreError):
    """More bytes than the store takes this way."""

    status = 413
    code = "object_too_large"
    title = "Object too large"
    detail = "The object is larger than the store accepts. Send fewer bytes, or upload in parts."


class InvalidKey(StoreError, problems.InvalidRequest):
    """A key that some store would refuse or read as another key."""

    code = "invalid_key"
    detail = "This key cannot name an object. Use up to 1,024 bytes, segments up to 255, no empty or dot segments."


class InvalidParts(StoreError, problems.InvalidRequest):
    """The parts named are not those the store holds, not ascending, or one before the last is under 5 MiB."""

    code = "invalid_parts"
    detail = "The parts do not make an object. List them, send what is missing, and complete with the listed ETags."


class Denied(StoreError):
    """Our own credentials or region are refused: nothing a caller could change."""

    code = "storage_misconfigured"
    title = "Storage misconfigured"
    detail = "The object store refuses this service's credentials or region. Whoever runs it must correct its settings."


class Refused(StoreError):
    """The store said no for a reason this service has no word for; the log has the store's own."""

    code = "storage_refused"
    title = "Storage refused"
    detail = "The object store refused the request. If it persists, report the request id."


class Unavailable(StoreError, problems.Unavailable):
    """The store did not answer in time, or kept failing. Whether it still acts on the request is unknown."""

    code = "storage_unavailable"
    detail = "The object store is away for the moment. Nothing was lost: send the same request again shortly."
