"""What a store's error means, for both drivers: S3's error codes first, the HTTP status where there is no code.

Codes: S3 API reference, "Error responses"; those that begin with X are MinIO's own.
"""

from dataclasses import dataclass

from draftstore_common.contracts.base import BucketRole
from draftstore_storage import errors


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer in the store's own words. HEAD answers carry no code; status 0 says there was no answer.

    A copy or complete may answer 200 and put the error in the body (S3 API reference, CopyObject: retry then).
    """

    status: int
    code: str = ""

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed in a moment."""
        if self.code in _TRANSIENT or self.status in {408, 429}:
            return True
        return self.status < 300 or (self.status >= 500 and self.status != 501)


NO_ANSWER = Failure(0)

_TRANSIENT = frozenset(
    {
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XMinioServerNotInitialized",
    }
)

_BY_CODE: dict[str, type[errors.StoreError]] = {
    "AuthorizationHeaderMalformed": errors.Denied,
    "ExpiredToken": errors.Denied,
    "IllegalLocationConstraintException": errors.Denied,
    "InvalidToken": errors.Denied,
    "PermanentRedirect": errors.Denied,
    "NoSuchKey": errors.NotFound,
    "NoSuchVersion": errors.NotFound,
    "NoSuchBucket": errors.BucketNotFound,
    "NoSuchUpload": errors.UploadNotFound,
    "InvalidPart": errors.InvalidParts,
    "InvalidPartOrder": errors.InvalidParts,
    "EntityTooSmall": errors.InvalidParts,
    "EntityTooLarge": errors.TooLarge,
    "KeyTooLongError": errors.InvalidKey,
    "XMinioInvalidObjectName": errors.InvalidKey,
    "XMinioInvalidResourceName": errors.InvalidKey,
    "ExistingObjectIsDirectory": errors.AlreadyExists,
    "ExistingObjectIsFile": errors.AlreadyExists,
    "XMinioObjectExistsAsDirectory": errors.AlreadyExists,
    "XMinioParentIsObject": errors.AlreadyExists,
    "PreconditionFailed": errors.PreconditionFailed,
    "ConditionalRequestConflict": errors.PreconditionFailed,
}

_BY_STATUS: dict[int, type[errors.StoreError]] = {
    301: errors.Denied,  # another region than the settings say
    401: errors.Denied,
    403: errors.Denied,
    404: errors.NotFound,
    409: errors.AlreadyExists,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
}


def translate(failure: Failure, role: BucketRole, key: str | None) -> errors.StoreError:
    """The error a caller sees."""
    if failure.transient:
        return errors.Unavailable(role, key)
    if key is None and failure == Failure(404):
        return errors.BucketNotFound(role)
    kind = _BY_CODE.get(failure.code) or _BY_STATUS.get(failure.status) or errors.Refused
    return kind(role, key)
