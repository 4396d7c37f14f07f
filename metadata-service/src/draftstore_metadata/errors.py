"""What metadata-service tells callers.

DraftNotFound        404  no such draft of this tenant
ObjectNotFound       404  no such object of this tenant
DraftStateConflict   409  the draft is in a state that forbids it
LeaseLost            409  another attempt holds the draft now
ObjectExists         409  the name is taken, and must not be replaced
DraftExpired         410  its time was over
DraftDiscarded       410  it was given up
InvalidCursor        422  not a cursor of ours
"""

from draftstore_common.kit.errors import Conflict, Gone, InvalidRequest, NotFound


class DraftNotFound(NotFound):
    """Absent, foreign, or of another subject: all look the same."""

    code = "draft_not_found"
    title = "Draft not found"
    detail = "There is no such draft. Check the id, or create a draft first."


class ObjectNotFound(NotFound):
    """No object of this name."""

    code = "object_not_found"
    title = "Object not found"
    detail = "There is no object of this name. Check the name, or confirm a draft of it first."


class DraftStateConflict(Conflict):
    """The compare-and-set found another state."""

    code = "draft_state_conflict"
    title = "The draft's state does not allow this"


class LeaseLost(Conflict):
    """The fencing number is no longer the row's: this attempt may not go on."""

    code = "lease_lost"
    title = "Another attempt took over"
    detail = "Another confirm took this draft over. Ask again for its receipt."


class ObjectExists(Conflict):
    """`on_conflict: fail` met a taken name."""

    code = "object_exists"
    title = "The name is taken"
    detail = "An object of this name exists. Choose another name, or confirm with on_conflict: replace."


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


class InvalidCursor(InvalidRequest):
    """A cursor is opaque; this one was not made here."""

    code = "invalid_cursor"
    title = "Invalid cursor"
    detail = "Send next_cursor of the page before unchanged, or none to begin at the start."
