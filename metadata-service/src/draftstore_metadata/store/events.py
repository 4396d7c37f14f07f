"""SQL of the event feed: in commit order, never skipping.

Ids are given out before their transactions commit, so a reader by id alone could pass one that commits later. The feed
shows only events of transactions older than every one that still runs (`pg_snapshot_xmin`), ordered by transaction:
nothing can come to lie before what was shown. A long transaction anywhere in the PostgreSQL server delays the feed.
"""

from typing import TypeAlias

from draftstore_common.contracts import metadata as wire
from draftstore_common.contracts.drafts import Event
from draftstore_common.kit.database import Database

Place: TypeAlias = tuple[int, int]
"""Of one event: its transaction and its id."""

_SELECT = """
    SELECT e.txid::text::bigint AS txid, e.id, e.type, e.draft_id, e.object_name, e.from_state, e.to_state, e.actor,
        e.reason, e.at
    FROM metadata.events e
    WHERE {of} AND e.tenant_id = $2 AND (e.txid, e.id) > ($3::bigint::text::xid8, $4)
      AND e.txid < $6::bigint::text::xid8 AND {more}
    ORDER BY e.txid, e.id LIMIT $5"""

_OF_DRAFT = _SELECT.format(of="e.draft_id = $1", more="true")

_OF_TENANT = _SELECT.format(
    of="$1::uuid IS NULL", more="(cardinality($7::text[]) = 0 OR e.object_name ^@ ANY($7::text[]))"
)

_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"

_LAST_ID = 2**63 - 1

START: Place = (0, 0)


class EventStore:
    """What happened, one tenant at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, query: wire.ListEvents, after: Place) -> tuple[list[Event], Place]:
        """Up to `query.limit` events after a place, and the place of the last of them (`after` when there are none).

        With name prefixes, the place is behind all that was passed over: a feed of few names does not read those of the
        others again and again.
        """
        async with self._database.connection() as connection:
            horizon: int = await connection.fetchval(_HORIZON)
            of = (query.draft_id, query.tenant_id, *after, query.limit, horizon)
            if query.draft_id is None:
                rows = await connection.fetch(_OF_TENANT, *of, query.name_prefixes)
            else:
                rows = await connection.fetch(_OF_DRAFT, *of)
        last = (rows[-1]["txid"], rows[-1]["id"]) if rows else after
        if query.name_prefixes and len(rows) < query.limit:
            last = max(last, (horizon - 1, _LAST_ID))
        return [Event.model_validate(dict(row)) for row in rows], last
