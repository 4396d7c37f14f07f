"""What draft-service tells callers.

ObjectNameNotAllowed   403  the key is limited to other names
DraftNotFound          404  no such draft (or not the caller's)
ObjectNotFound         404  nothing of this name
BucketNotFound         404  no such public bucket
DraftExpired           410  its time was over
DraftDiscarded         410  it was given up
DraftNotUploaded       409  a draft lives, but no bytes have come
DraftChanged           409  the bytes are not those that were previewed or judged
NotAsDeclared          422  the bytes are not what was declared: size, type or checksum
ObjectNameReserved     422  the name lies where other tenants' objects lie
"""

from draftstore_common.kit.errors import Conflict, Forbidden, Gone, InvalidRequest, NotFound


class ObjectNameNotAllowed(Forbidden):
    """A key with name prefixes met a name outside them."""

    code = "object_name_not_allowed"
    detail = "This key may only touch object names with its own prefixes. Use such a name, or another key."


class DraftNotFound(NotFound):
    """Absent, foreign, or of another subject: all look the same."""

    code = "draft_not_found"
    title = "Draft not found"
    detail = "There is no such draft. Check the id, or create a draft first."


class ObjectNotFound(NotFound):
    """No draft and no object of this name."""

    code = "object_not_found"
    title = "Object not found"
    detail = "There is nothing of this name. Ask for an upload URL and upload it first."


class BucketNotFound(NotFound):
    """No such public bucket of this tenant."""

    code = "bucket_not_found"
    title = "Bucket not found"
    detail = "There is no such bucket. Every tenant has the bucket main."


class DraftNotUploaded(Conflict):
    """No bytes yet."""

    code = "draft_not_uploaded"
    title = "Nothing was uploaded yet"
    detail = "No bytes have arrived for this draft. PUT the file to its upload URL, then ask again."


class DraftChanged(Conflict):
    """Other bytes than those meant."""

    code = "draft_changed"
    title = "The bytes have changed"
    detail = "The bytes of this draft are not those you previewed. Look at them again, then confirm with their ETag."


class DraftExpired(Gone):
    """Its `expires_at` passed before it was confirmed."""

    code = "draft_expired"
    title = "The draft has expired"
    detail = "This draft's time is over and its bytes are being removed. Create a new draft and upload again."


class DraftDiscarded(Gone):
    """Somebody gave it up."""

    code = "draft_discarded"
    title = "The draft was discarded"
    detail = "This draft was given up. Create a new draft and upload again."


class NotAsDeclared(InvalidRequest):
    """Size, type or checksum differ from what was declared; the code says which."""

    title = "The bytes are not what was declared"


class ObjectNameReserved(InvalidRequest):
    """Keys under `tenants/` belong to tenants."""

    code = "object_name_reserved"
    title = "Reserved name"
    detail = "Names that begin with tenants/ are reserved. Choose another name."
