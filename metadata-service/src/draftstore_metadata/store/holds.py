"""SQL of holds: publishing in two halves, for callers that tie it to a transaction of their own.

`prepare` holds names and keeps what would be published; `commit` publishes it, with the statements of a plain confirm;
`roll_back`, or the deadline, gives the drafts back. All of a confirmation's drafts, or none.
"""

from datetime import timedelta

import asyncpg

from draftstore_common.contracts import confirm as wire
from draftstore_common.kit.database import Database
from draftstore_metadata.domain import RECOVERY_TTL
from draftstore_metadata.errors import ConfirmationEnded, LeaseLost
from draftstore_metadata.store import confirmations, keys, names
from draftstore_metadata.store.claims import RECOVER
from draftstore_metadata.store.names import NamesRefused
from draftstore_metadata.store.publish import publish
from draftstore_metadata.store.rows import Connection, give_back, given_back, transition

# What was judged is on record now: whoever gives the draft back later knows that its bytes are there.
_PREPARED = transition(
    "prepared",
    "size = old.size, etag = old.etag, lease_expires_at = now() + $6, purge_due_at = now() + $6",
    given="size bigint, etag text",
    whole=True,
)

_ROLLED_BACK = transition(
    "uploaded",
    give_back("$5"),
    where="d.state = 'prepared' AND d.confirmation_id = $6",
    target_sql=given_back("d.etag"),
)

_DRAFT_KEYS = "SELECT storage_key FROM metadata.drafts WHERE tenant_id = $1 AND id = ANY($2::uuid[])"

_HOLD_EXPIRED = "Its deadline has passed: nothing was published, and the drafts can be confirmed again."

_BY_CALLER = {"code": "rolled_back", "detail": "Rolled back by its caller."}


class HoldStore:
    """Confirmations that callers can ask about, and those that wait for their commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self, request: wire.Prepare) -> wire.Prepared:
        """Hold the names until the deadline, or nothing of it. `LeaseLost` if a claim was lost."""
        try:
            async with self._database.transaction() as connection:
                return wire.Prepared(confirmation=await _prepare(connection, request))
        except NamesRefused as error:
            return wire.Prepared(refused=error.refusals)

    async def commit(self, request: wire.EndConfirmation) -> wire.Committed:
        """Publish what was prepared: before the deadline, nothing on record can refuse it.

        A commit that began before the deadline and got hold of the rows after it may find that its hold has ended.
        """
        try:
            async with self._database.transaction() as connection:
                return await _commit(connection, request)
        except (NamesRefused, LeaseLost) as error:
            raise ConfirmationEnded(_HOLD_EXPIRED, code="hold_expired") from error

    async def roll_back(self, request: wire.EndConfirmation) -> wire.ConfirmationRecord:
        """Give up what was prepared: its drafts are `uploaded` again, with time left to do something else with them."""
        async with self._database.transaction() as connection:
            row = await confirmations.get(connection, request, lock=True)
            if row["state"] == "rolled_back":
                return confirmations.record(row)
            if row["state"] != "prepared":
                raise _not_prepared(row)
            who = (request.tenant_id, row["draft_ids"], request.actor, "rolled back by caller")
            await connection.fetch(_ROLLED_BACK, *who, RECOVERY_TTL, request.confirmation_id)
            await confirmations.end_hold(connection, request, "rolled_back", _BY_CALLER)
            return confirmations.record(await confirmations.get(connection, request))

    async def get(self, ref: wire.ConfirmationRef) -> wire.ConfirmationRecord:
        """A confirmation as it is. One whose time is over is rolled back by whoever looks first, and stays so."""
        async with self._database.connection() as connection:
            row = await confirmations.get(connection, ref)
            if row["lapsed"]:
                await confirmations.lapse(connection, ref)
                row = await confirmations.get(connection, ref)
        return confirmations.record(row)


async def _commit(connection: Connection, request: wire.EndConfirmation) -> wire.Committed:
    row = await confirmations.get(connection, request, lock=True)
    if row["state"] == "confirmed":  # perhaps while this waited for the lock: `row` is older than its receipts
        return wire.Committed(confirmation=confirmations.record(await confirmations.get(connection, request)))
    if row["state"] != "prepared" or row["lapsed"]:
        raise _not_prepared(row)
    publication = wire.Publication.model_validate({**row["publication"], "actor": request.actor})
    await publish(connection, publication, "prepared")
    await confirmations.end_hold(connection, request, "confirmed")
    return await _committed(connection, request, publication)


async def _prepare(connection: Connection, request: wire.Prepare) -> wire.ConfirmationRecord:
    await confirmations.hold(connection, request)
    await names.alone(connection, request.tenant_id)
    await keys.held(connection, request.tenant_id, request.copied, "confirming")
    ids = [copy.draft_id for copy in request.copied]
    lapsed = await names.lapsed_holds(connection, ids)
    await connection.fetch(RECOVER, request.tenant_id, lapsed, request.actor, "the hold ended", RECOVERY_TTL)
    if refused := await names.refused(connection, ids, request.on_conflict):
        raise NamesRefused(refused)
    judged = await keys.reserved(connection, request.copied)
    given = [{"draft_id": copy.draft_id, "size": copy.size, "etag": judged[copy.draft_id]} for copy in request.copied]
    deadline = timedelta(seconds=request.hold_ttl)
    moved = await connection.fetch(_PREPARED, request.tenant_id, ids, request.actor, "prepared", given, deadline)
    assert len(moved) == len(ids)  # noqa: S101  locked by `keys.held`
    ref = wire.ConfirmationRef(tenant_id=request.tenant_id, confirmation_id=request.confirmation_id)
    return confirmations.record(await confirmations.get(connection, ref))


async def _committed(
    connection: Connection, request: wire.EndConfirmation, publication: wire.Publication
) -> wire.Committed:
    ids = [copy.draft_id for copy in publication.copied]
    leftovers = await connection.fetch(_DRAFT_KEYS, request.tenant_id, ids)
    record = confirmations.record(await confirmations.get(connection, request))
    return wire.Committed(confirmation=record, leftovers=[row["storage_key"] for row in leftovers])


def _not_prepared(row: asyncpg.Record) -> ConfirmationEnded:
    match row["state"]:
        case "prepared":
            return ConfirmationEnded(_HOLD_EXPIRED, code="hold_expired")
        case "rolled_back" if row["problem"] == confirmations.HOLD_OVER:  # the same, and somebody has noticed
            return ConfirmationEnded(_HOLD_EXPIRED, code="hold_expired")
        case "working":
            text = "The confirmation is still at work. Ask for its state until it is prepared or confirmed."
            return ConfirmationEnded(text, code="confirmation_working", retry_after=1)
        case "confirmed":
            text = "The confirmation is committed: its objects are permanent. Delete them by name if they must go."
            return ConfirmationEnded(text, code="confirmation_confirmed")
        case _:
            text = "The confirmation was rolled back, and nothing was published. Confirm the drafts again."
            return ConfirmationEnded(text, code="confirmation_rolled_back")
