"""What metadata-service tells callers, besides `draftstore_common.problems`.

DraftStateConflict     409  the draft is in a state that forbids it
DraftPrepared          409  a prepared confirmation holds the draft
LeaseLost              409  another attempt holds the draft now
ObjectExists           409  the name is taken, and must not be replaced
NameHeld               409  a prepared confirmation holds the name
ConfirmationEnded      409  the confirmation is committed, rolled back or not prepared: the code says which
IdempotencyKeyInUse    409  the first request with this key is still at work
IdempotencyKeyReused   422  the key came with another payload before
InvalidCursor          422  not a cursor of ours
ReconcileElsewhere     409  another reconcile is at work
Unsettled              503  others kept changing the draft
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


class DraftPrepared(Conflict):
    """Whoever prepared it decides first."""

    code = "draft_prepared"
    title = "The draft is prepared"
    detail = "A prepared confirmation holds this draft. Commit it or roll it back, or wait for its deadline."


class NameHeld(Conflict):
    """A hold keeps everybody else from publishing under the name, so that its commit cannot be refused."""

    code = "name_held"
    title = "The name is held"
    detail = "A prepared confirmation holds this name. Try again when it was committed or rolled back."


class ConfirmationEnded(Conflict):
    """What is asked for is not possible any more, or not yet."""

    title = "The confirmation's state does not allow this"


class IdempotencyKeyInUse(Conflict):
    """Answering now would be a guess."""

    code = "idempotency_key_in_use"
    title = "The first request is still at work"
    detail = "A request with this Idempotency-Key is still at work. Send it again shortly for its answer."
    retry_after = 2


class IdempotencyKeyReused(InvalidRequest):
    """One key, two payloads: one of them is a mistake."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used for something else"
    detail = "This Idempotency-Key came with another payload before. Use a new key for a new request."


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
