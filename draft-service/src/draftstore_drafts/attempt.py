"""One confirm attempt on one or several drafts: judge, reserve keys, copy, publish or prepare, purge.

What happens if it dies here:
  after the claim  the leases lapse; any instance gives the drafts back
  after reserve    the keys are on record for exactly these bytes; the next attempt of the same bytes uses them,
                   any other makes them garbage
  after copy       the same: nobody can see a key until a row names it
  after publish    the receipts are fixed; draft bytes are removed at the write horizon, and every repeat
                   answers the same receipts
  after prepare    the hold ends by a commit, a rollback or its deadline
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from draftstore_common.clients.metadata import MetadataClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts import confirm as wire
from draftstore_common.contracts.confirm import SLOWEST_COPY
from draftstore_common.contracts.metadata import DraftRecord
from draftstore_common.contracts.storage import CopyAnswer, CopyRequest, DigestRequest, ObjectRef, StoredObject
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import Problem, RelayedProblem
from draftstore_common.problems import DraftChanged
from draftstore_drafts.content import Content
from draftstore_drafts.domain import judge, published_headers, published_type, same_names
from draftstore_drafts.errors import DraftNotUploaded
from draftstore_drafts.lease import renewed
from draftstore_drafts.refusals import Refused, for_each, named
from draftstore_drafts.work import Outcome, Work

log = logging.getLogger(__name__)

STEP_TIMEOUT = 30.0
"""Seconds one step of an attempt may take for one draft, or for all their rows; but for the copy."""

GIVE_BACK_TIMEOUT = 3.0
"""Seconds for giving claims back: if that fails, their leases lapse."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every attempt works with. `lease_ttl` and `url_grace` are seconds."""

    metadata: MetadataClient
    storage: StorageClient
    content: Content
    lease_ttl: int
    url_grace: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """A draft and the bytes it was judged by."""

    draft: DraftRecord
    stored: StoredObject


class Attempt:
    """Claims carried through together. Every way out but publishing and preparing gives all of them back."""

    def __init__(self, tools: Tools, work: Work, claim: wire.ClaimAnswer) -> None:
        self._tools = tools
        self._work = work
        self._drafts = claim.claimed
        self._refused = claim.refused
        self._confirmation = claim.confirmation
        self._seen: dict[Any, StoredObject] = {}

    async def run(self) -> Outcome:
        """The outcome, once objects are visible (and the drafts' bytes gone), or their names are held."""
        try:
            with renewed(self._tools.metadata, self._claims, lease_ttl=self._tools.lease_ttl):
                outcome = await self._carry_through()
        except BaseException as error:
            await self._give_back(error)
            raise
        log.info(
            "confirmed" if self._work.mode == "commit" else "prepared",
            extra={"draft_ids": [str(draft.id) for draft in self._drafts[:10]], "drafts": len(self._drafts)},
        )
        if self._work.mode == "commit":
            await self._tools.content.remove(*(draft.storage_key for draft in self._drafts))
        return outcome

    async def _carry_through(self) -> Outcome:
        judged = await self._judge()
        keys = await self._reserve(judged)
        copied = await for_each(judged, lambda one: self._copy(one, keys[one.draft.id]), _id)
        if self._work.mode == "prepare":
            return await self._prepare(copied)
        return await self._publish(copied)

    async def _judge(self) -> list[_Judged]:
        """The bytes of every draft, if all of them are what they must be; else all who are not are named."""
        refused = [*self._refused, *named(same_names(self._drafts))]
        judged: list[_Judged] = []
        try:
            judged = await for_each(self._drafts, self._judge_one, lambda draft: draft.id)
        except Refused as more:
            refused += more.refusals
        if refused:
            raise Refused(refused)
        return judged

    async def _judge_one(self, draft: DraftRecord) -> _Judged:
        stored = self._seen[draft.id] = await self._look(draft)
        judge(draft, stored, self._work.previewed.get(draft.id))
        return _Judged(draft, stored)

    async def _look(self, draft: DraftRecord) -> StoredObject:
        """What the store says of the bytes. Where a SHA-256 was declared and the store kept none, they are read."""
        set_timeout(STEP_TIMEOUT)
        stored = await self._tools.content.of(draft)
        if stored is None:
            raise DraftNotUploaded
        if draft.declared_checksum_sha256 is None or stored.checksum_sha256 is not None:
            return stored
        request = DigestRequest(object=_source(draft), if_match=stored.etag)
        with _for_all_bytes(stored):
            digest = await self._tools.storage.digest(request)
        return stored.model_copy(update={"checksum_sha256": digest.checksum_sha256})

    async def _reserve(self, judged: list[_Judged]) -> dict[Any, str]:
        wanted = [
            wire.WantedKey(draft_id=one.draft.id, fence=one.draft.fence, etag=one.stored.etag, size=one.stored.size)
            for one in judged
        ]
        request = wire.ReserveKeys(**self._ref, wanted=wanted, on_conflict=self._work.on_conflict)
        set_timeout(STEP_TIMEOUT)
        answer = await self._tools.metadata.reserve_keys(request)
        if answer.refused:
            raise Refused(answer.refused)
        return dict(answer.keys)

    async def _copy(self, one: _Judged, key: str) -> wire.Copied:
        request = CopyRequest(
            source=_source(one.draft),
            target=ObjectRef(role="main", key=key),
            if_match=one.stored.etag,
            size=one.stored.size,
            headers=published_headers(one.draft),
        )
        with _for_all_bytes(one.stored):
            copy = await self._tools.storage.copy(request)
        return _copied(one, key, copy)

    async def _publish(self, copied: list[wire.Copied]) -> Outcome:
        answer = await self._tools.metadata.publish(wire.Publication(**await self._publication(copied)))
        if answer.refused:
            raise Refused(answer.refused)
        return Outcome(receipts=tuple(answer.receipts))

    async def _prepare(self, copied: list[wire.Copied]) -> Outcome:
        request = wire.Prepare(**await self._publication(copied), hold_ttl=self._work.hold_ttl)
        answer = await self._tools.metadata.prepare(request)
        if answer.refused:
            raise Refused(answer.refused)
        return Outcome(confirmation=answer.confirmation)

    async def _publication(self, copied: list[wire.Copied]) -> dict[str, Any]:
        """What is to be visible, with time for the step that makes it so: the copies have used up all there was."""
        set_timeout(STEP_TIMEOUT)
        store = await self._tools.content.store()
        return {
            **self._ref,
            "actor": self._work.actor,
            "copied": copied,
            "on_conflict": self._work.on_conflict,
            "main_bucket": store.main_bucket,
            "store_id": store.store_id,
            "url_grace": self._tools.url_grace,
        }

    async def _give_back(self, error: BaseException) -> None:
        reason = error.reason if isinstance(error, Refused) else getattr(error, "code", type(error).__name__)
        log.warning("not confirmed", extra={"drafts": len(self._drafts), "reason": reason})
        request = wire.ReleaseClaims(
            **self._ref,
            actor=self._work.actor,
            claims=[self._seen_claim(draft) for draft in self._drafts],
            reason=reason,
            outage=not isinstance(error, Problem) or error.http_status >= 500,
            problem=self._problem(error),
        )
        set_timeout(GIVE_BACK_TIMEOUT)
        with suppress(Problem):  # else the leases lapse and the drafts are recovered
            await self._tools.metadata.release(request)

    def _problem(self, error: BaseException) -> dict[str, Any]:
        """What the confirmation says of its end."""
        if isinstance(error, Refused):
            document = error.bundle(self._work.draft_ids).document("-")
            return document.model_dump(exclude={"request_id"}, exclude_none=True)
        code = error.code if isinstance(error, Problem) else "interrupted"
        return {"code": code, "detail": "The confirm was interrupted and rolled back. Send it again."}

    def _seen_claim(self, draft: DraftRecord) -> wire.SeenClaim:
        stored = self._seen.get(draft.id)
        return wire.SeenClaim(
            draft_id=draft.id,
            fence=draft.fence,
            size=None if stored is None else stored.size,
            etag=None if stored is None else stored.etag,
        )

    def _claims(self) -> wire.RenewClaims:
        claims = [wire.Claim(draft_id=draft.id, fence=draft.fence) for draft in self._drafts]
        return wire.RenewClaims(**self._ref, claims=claims, lease_ttl=self._tools.lease_ttl)

    @property
    def _ref(self) -> dict[str, Any]:
        confirmation = self._confirmation
        return {"tenant_id": self._work.tenant_id, "confirmation_id": None if confirmation is None else confirmation.id}


def _source(draft: DraftRecord) -> ObjectRef:
    return ObjectRef(role="draft", key=draft.storage_key)


def _id(one: _Judged) -> Any:
    return one.draft.id


def _copied(one: _Judged, key: str, copy: CopyAnswer) -> wire.Copied:
    return wire.Copied(
        draft_id=one.draft.id,
        fence=one.draft.fence,
        storage_key=key,
        size=one.stored.size,
        etag=copy.etag,
        content_type=published_type(one.draft),
        checksum_sha256=one.stored.checksum_sha256,
    )


@contextmanager
def _for_all_bytes(stored: StoredObject) -> Iterator[None]:
    """Time for a step that moves every byte; bytes that are not the judged ones any more are `DraftChanged`."""
    set_timeout(STEP_TIMEOUT + stored.size / SLOWEST_COPY)
    try:
        yield
    except RelayedProblem as problem:
        if problem.code in {"precondition_failed", "object_not_found"}:
            raise DraftChanged from problem
        raise
    finally:
        set_timeout(STEP_TIMEOUT)
