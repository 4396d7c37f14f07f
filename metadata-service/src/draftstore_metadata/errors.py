"""What metadata-service tells callers, besides `draftstore_common.problems`.

DraftStateConflict   409  the draft is in a state that forbids it
LeaseLost            409  another attempt holds the draft now
ObjectExists         409  the name is taken, and must not be replaced
InvalidCursor        422  not a cursor of ours
ReconcileElsewhere   409  another reconcile is at work
Unsettled            503  others kept changing the draft
"""

from draftstore_common.kit.errors import Conflict, InvalidRequest, Unavailable


class DraftStateConflict(Conflict):
    """The compare-and-set found another state."""

    code = "draft_state_conflict"
    title = "The draft's state does not allow this"


class ReconcileElsewhere(Conflict):
    """The cursor is not where this reconcile left it."""

    code = "reconcile_elsewhere"
    title = "Another reconcile is at work"
    detail = "Another reconcile moved on from here. Let it finish; a later run goes on where it stopped."


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


class InvalidCursor(InvalidRequest):
    """A cursor is opaque; this one was not made here."""

    code = "invalid_cursor"
    title = "Invalid cursor"
    detail = "Send next_cursor of the page before unchanged, or none to begin at the start."


class Unsettled(Unavailable):
    """A row changed under every attempt to move it."""

    code = "draft_busy"
    title = "The draft is busy"
    detail = "Others are changing this draft at this moment. Send the same request again shortly."
    retry_after = 1
