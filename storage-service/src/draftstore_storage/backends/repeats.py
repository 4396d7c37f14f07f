"""What a repeated request means when the first one succeeded and only its answer was lost."""

from draftstore_storage.backends.protocols import ObjectBackend, Upload
from draftstore_storage.errors import NotFound, UploadNotFound


async def completed_before(objects: ObjectBackend, upload: Upload, part_count: int, error: UploadNotFound) -> str:
    """The ETag of the object an earlier complete of this upload made; raises `error` if there is none.

    MinIO forgets an upload when it completes. An object's ETag ends in `-<parts>` on every store if it was made
    of parts, and no key of ours is ever written by two uploads.
    """
    try:
        found = await objects.head(upload.role, upload.key)
    except NotFound:
        raise error from None
    if not found.etag.endswith(f"-{part_count}"):
        raise error
    return found.etag
