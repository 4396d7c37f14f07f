"""What draft-service tells callers, besides `draftstore_common.problems`.

ObjectNameNotAllowed   403  the key is limited to other names
BucketNotFound         404  no such public bucket
DraftNotUploaded       409  a draft lives, but no bytes have come
ConfirmationRefused    409  a bundle with drafts that cannot be confirmed: `errors` names all of them
DraftsBusy             409  another confirm holds a draft of the bundle
NameRepeated           409  two drafts of one bundle have the same name
UploadUrlExpired       409  a replay cannot hand its URL out again
NotAsDeclared          422  the bytes are not what was declared: size, type or checksum
DraftIdRequired        409  too many drafts of one name to tell which is meant
AlreadyDeclared        422  a draft's declarations do not change after it was made
ObjectNameReserved     422  the name lies where other tenants' objects lie
"""

from draftstore_common.kit.errors import Conflict, Forbidden, InvalidRequest, NotFound


class ObjectNameNotAllowed(Forbidden):
    """A key with name prefixes met a name outside them."""

    code = "object_name_not_allowed"
    detail = "This key may only touch object names with its own prefixes. Use such a name, or another key."


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


class ConfirmationRefused(Conflict):
    """All or none: here, none."""

    code = "confirmation_refused"
    title = "Not all drafts can be confirmed"
    detail = "Nothing was confirmed. Mend or leave out the drafts named in errors, then send the request again."


class DraftsBusy(Conflict):
    """A live attempt elsewhere."""

    code = "drafts_busy"
    title = "Another confirm is at work"
    detail = "Another confirm holds at least one of these drafts. Send the same request again shortly."
    retry_after = 2


class NameRepeated(Conflict):
    """A bundle publishes each name once."""

    code = "name_repeated"
    title = "The name is there twice"
    detail = "Another draft of this bundle has the same name. Leave one of them out."


class UploadUrlExpired(Conflict):
    """Replaying a request lengthens nothing."""

    code = "upload_url_expired"
    title = "The upload URL has expired"
    detail = "This request was answered before, and its URL has expired. Ask for a fresh one with the draft_id."


class NotAsDeclared(InvalidRequest):
    """Size, type or checksum differ from what was declared; the code says which."""

    title = "The bytes are not what was declared"


class ObjectNameReserved(InvalidRequest):
    """Keys under `tenants/` belong to tenants."""

    code = "object_name_reserved"
    title = "Reserved name"
    detail = "Names that begin with tenants/ are reserved. Choose another name."


class DraftIdRequired(Conflict):
    """More open drafts of a name than are looked at, none of them with bytes."""

    code = "draft_id_required"
    title = "The name alone is not enough"
    detail = "There are very many drafts of this name. Send the draft_id that upload-url answered."


class AlreadyDeclared(InvalidRequest):
    """`upload-url` for an existing draft came with declarations."""

    code = "already_declared"
    title = "The draft is declared already"
    detail = "Send only object_name and draft_id for another URL of a draft; to declare something else, make a new one."
