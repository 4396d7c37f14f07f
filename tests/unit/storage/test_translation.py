"""Every error a store may answer becomes one of ours, and nothing else."""

import pytest

from draftstore_storage import errors
from draftstore_storage.backends.translation import NO_ANSWER, Failure, translate


@pytest.mark.parametrize(
    ("failure", "expected", "status"),
    [
        (Failure(404, "NoSuchKey"), errors.NotFound, 404),
        (Failure(404), errors.NotFound, 404),
        (Failure(404, "NoSuchBucket"), errors.BucketNotFound, 404),
        (Failure(404, "NoSuchUpload"), errors.UploadNotFound, 404),
        (Failure(409), errors.AlreadyExists, 409),
        (Failure(409, "ExistingObjectIsDirectory"), errors.AlreadyExists, 409),
        (Failure(400, "XMinioObjectExistsAsDirectory"), errors.AlreadyExists, 409),
        (Failure(400, "XMinioParentIsObject"), errors.AlreadyExists, 409),
        (Failure(412, "PreconditionFailed"), errors.PreconditionFailed, 412),
        (Failure(400, "EntityTooLarge"), errors.TooLarge, 413),
        (Failure(413), errors.TooLarge, 413),
        (Failure(400, "KeyTooLongError"), errors.InvalidKey, 422),
        (Failure(400, "XMinioInvalidObjectName"), errors.InvalidKey, 422),
        (Failure(400, "InvalidPart"), errors.InvalidParts, 422),
        (Failure(403, "SignatureDoesNotMatch"), errors.Denied, 500),
        (Failure(403, "RequestTimeTooSkewed"), errors.Denied, 500),
        (Failure(401), errors.Denied, 500),
        (Failure(301), errors.Denied, 500),
        (Failure(301, "PermanentRedirect"), errors.Denied, 500),
        (Failure(400, "AuthorizationHeaderMalformed"), errors.Denied, 500),
        (Failure(400, "ExpiredToken"), errors.Denied, 500),
        (Failure(400, "Unheard"), errors.Refused, 500),
        (Failure(501, "NotImplemented"), errors.Refused, 500),
        (Failure(503, "SlowDown"), errors.Unavailable, 503),
        (Failure(500), errors.Unavailable, 503),
        (Failure(200, "InternalError"), errors.Unavailable, 503),
        (Failure(409, "OperationAborted"), errors.Unavailable, 503),
        (NO_ANSWER, errors.Unavailable, 503),
    ],
)
def test_a_failure_has_one_meaning(failure: Failure, expected: type[errors.StoreError], status: int) -> None:
    error = translate(failure, "draft", "some/key")
    assert type(error) is expected
    assert error.http_status == status


def test_a_bucket_without_its_own_answer_is_missing_itself() -> None:
    assert isinstance(translate(Failure(404), "draft", None), errors.BucketNotFound)
    assert not isinstance(translate(Failure(404, "NoSuchCORSConfiguration"), "draft", None), errors.BucketNotFound)


def test_a_missing_bucket_is_never_taken_for_an_absent_object() -> None:
    assert not issubclass(errors.BucketNotFound, errors.NotFound)


def test_role_and_key_are_for_the_log_and_not_for_the_caller() -> None:
    error = errors.NotFound("draft", "tenant/secret-key")
    assert str(error) == "object_not_found: draft/tenant/secret-key"
    assert "secret-key" not in error.document("r").model_dump_json()


def test_only_absence_for_a_while_says_when_to_come_back() -> None:
    assert errors.Unavailable("draft").headers() == {"Retry-After": "2"}
    assert errors.Denied("draft").headers() == {}
