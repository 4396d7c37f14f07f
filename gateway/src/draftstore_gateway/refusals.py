"""What the gateway refuses, on record: no good key (401), or a key without the power (403).

Who has no good key is anonymous in the log, and known by address. What a service behind the gateway refuses is for that
service to record.
"""

from draftstore_common.clients.access_event import access_event
from draftstore_common.clients.access_log import AccessLog
from draftstore_common.contracts.audit import AccessEvent
from draftstore_common.contracts.identity import Principal
from draftstore_common.kit.errors import Problem
from draftstore_gateway.address import bucket


class Refusals:
    """Puts refusals on record, thinned out by key or address; nothing waits for it."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log

    def note(self, outcome: Exception, *, method: str, path: str, client: str, who: Principal | None) -> None:
        """Take notice of how a request ended here; of `who`, if its key was good."""
        if not isinstance(outcome, Problem) or outcome.http_status not in {401, 403} or _unwatched(who):
            return
        code = outcome.code

        def event() -> AccessEvent:
            return access_event(
                "access.refused",
                "refused",
                target_type="route",
                target=f"{method} {path}",
                principal=who,
                client=client,
                code=code,
            )

        self._log.refused(f"ip:{bucket(client)}" if who is None else f"key:{who.lineage}", event)


def _unwatched(who: Principal | None) -> bool:
    """Whether the caller's tenant wants no accesses on record. An admin key is no tenant's."""
    return who is not None and who.kind == "data" and who.access_audit == "off"
