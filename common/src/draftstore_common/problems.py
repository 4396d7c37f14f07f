"""Problems that more than one service tells callers, in the same words.

DraftNotFound         404  no such draft of this tenant
ObjectNotFound        404  nothing of this name
ConfirmationNotFound  404  no such confirmation of this tenant
DraftChanged          409  the bytes are not those that were previewed or judged
DraftExpired          410  its time was over
DraftDiscarded        410  it was given up
"""

from uuid import UUID

from draftstore_common.contracts.confirm import Refusal
from draftstore_common.kit.errors import Conflict, Gone, NotFound, Problem


class DraftNotFound(NotFound):
    """Absent, foreign, or of another subject: all look the same."""

    code = "draft_not_found"
    title = "Draft not found"
    detail = "There is no such draft. Check the id, or create a draft first."


class ObjectNotFound(NotFound):
    """Nothing of this name, or it is somebody else's."""

    code = "object_not_found"
    title = "Object not found"
    detail = "There is nothing of this name. Ask for an upload URL, upload it and confirm it first."


class ConfirmationNotFound(NotFound):
    """Absent, foreign, or of drafts whose names the key may not touch."""

    code = "confirmation_not_found"
    title = "Confirmation not found"
    detail = "There is no such confirmation. Check the id, or confirm the drafts again."


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


def refusal(draft_id: UUID, problem: Problem) -> Refusal:
    """A problem of one draft as it travels among those of others."""
    return Refusal(
        draft_id=draft_id, status=problem.http_status, code=problem.code, title=problem.title, detail=problem.detail
    )
