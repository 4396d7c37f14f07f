"""Who could read what, and who was refused: put on record as the caller's tenant wants it."""

from datetime import UTC

from fastapi import Response

from draftstore_common.clients.access_event import access_event
from draftstore_common.clients.access_log import AccessLog
from draftstore_common.contracts.audit import AccessEvent, TargetType
from draftstore_common.contracts.drafts import DownloadUrl
from draftstore_common.contracts.identity import Principal
from draftstore_common.kit.context import client_address
from draftstore_common.kit.direct import Asked, DirectRoute, Handler
from draftstore_common.kit.errors import Problem
from draftstore_common.kit.randomness import random_below


class Accesses:
    """Puts accesses on record: `full` every one, before it is granted; `sampled` one in so many; `off` none.

    Refusals are on record in both, as far as one key is not refused all the time.
    """

    def __init__(self, log: AccessLog, *, sample: int) -> None:
        self._log = log
        self._sample = sample

    async def granted(self, principal: Principal, url: DownloadUrl) -> None:
        """A URL was signed and is about to be answered; raises `AccessNotRecorded` if it must not be."""
        if principal.access_audit == "full":
            await self._log.keep(_signed(principal, url))
        elif principal.access_audit == "sampled" and random_below(self._sample) == 0:
            self._log.note(_signed(principal, url, sampled_one_in=str(self._sample)))

    def refused(self, principal: Principal, problem: Problem, target_type: TargetType, target: str) -> None:
        """A known caller was refused, or asked for what is not there: nobody can tell which."""
        if principal.access_audit == "off":
            return
        client = client_address.get()

        def event() -> AccessEvent:
            return access_event(
                "access.refused",
                "refused",
                target_type=target_type,
                target=target,
                principal=principal,
                client=client,
                code=problem.code,
            )

        self._log.refused(f"key:{principal.lineage}", event)


def _signed(principal: Principal, url: DownloadUrl, **detail: str) -> AccessEvent:
    """The record of a URL; `target` is the object's name in either stage, so that one question finds both."""
    expires_at = url.expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return access_event(
        "download_url.signed",
        "allowed",
        target_type="object" if url.stage == "main" else "draft",
        target=url.object_name,
        principal=principal,
        client=client_address.get(),
        detail={"draft_id": str(url.draft_id), "expires_at": expires_at, **detail},
    )


class AuditedRoute(DirectRoute):
    """A route whose refusals (403, 404) of a known caller are on record."""

    def handler(self) -> Handler:
        """The route's own handler, watched."""
        handle = super().handler()

        async def watched(request: Asked) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                principal: Principal | None = getattr(request.state, "principal", None)
                if principal is not None and problem.http_status in {403, 404}:
                    accesses: Accesses = request.app.state.context.accesses
                    accesses.refused(principal, problem, *_target(request))
                raise

        return watched


def _target(request: Asked) -> tuple[TargetType, str]:
    """What was asked for: a draft by its id, an object by its name, else what the route is about."""
    match request.path_params:
        case {"draft_id": draft_id}:
            return "draft", str(draft_id)
        case {"object_name": name}:
            return "object", str(name)
    match request.sent:
        case {"object_name": str(name)}:
            return "object", name
    return "route", f"{request.method} {request.scope['path']}"
