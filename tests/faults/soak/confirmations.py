"""Bundles and prepared confirmations, asked for until there is an end, and written down."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from faults.soak.client import PATIENCE, Answer, StuckError
from faults.soak.ledger import DraftFacts
from faults.soak.load import ASK_AGAIN, ASK_AGAIN_PAUSE, FAIR_REFUSALS, Load, a_door

Mode = Literal["commit", "prepare"]

HOLD_TTL = 900
"""Seconds a hold lasts: longer than any client waits, unless its deadline is moved."""


@dataclass
class Together:
    """What came of asking: a confirmation that is confirmed or prepared, or the drafts that were refused, by id."""

    confirmation: dict[str, Any] | None = None
    refused: dict[str, str] = field(default_factory=dict)


async def confirm_together(
    load: Load, drafts: Sequence[DraftFacts], mode: Mode, *, door: int | None = None
) -> Together:
    """Confirm or prepare drafts, all or none, until there is a final answer."""
    load.ledger.operations[f"bundle: {mode}" if len(drafts) > 1 else f"one draft: {mode}"] += 1
    now, deadline = time.time(), time.monotonic() + PATIENCE
    for draft in drafts:
        draft.first_confirm_at = min(draft.first_confirm_at, now)
    headers = {"Idempotency-Key": str(uuid4())}
    while time.monotonic() < deadline:
        answer = await load.client.once(
            "POST",
            "/api/v1/confirmations",
            _body(drafts, mode),
            door=a_door() if door is None else door,
            headers=headers,
        )
        if answer is not None and answer.status == 202:
            answer = await _followed(load, answer.body["id"])
        ended = None if answer is None else _ended(load, drafts, answer)
        if ended is not None:
            return ended
        await asyncio.sleep(ASK_AGAIN_PAUSE)
    raise StuckError(f"confirmation of drafts {[draft.id for draft in drafts]}")


async def end(load: Load, confirmation: dict[str, Any], act: Literal["commit", "rollback"]) -> Answer:
    """Commit or roll back what was prepared, until there is a final answer."""
    load.ledger.operations[act] += 1
    answer = await load.client.settled("POST", f"/api/v1/confirmations/{confirmation['id']}/{act}", door=a_door())
    if answer.status == 200 and act == "commit":
        note_receipts(load, answer.body)
    return answer


def note_receipts(load: Load, confirmation: dict[str, Any]) -> None:
    """Write down the receipts of a confirmed confirmation, which are those of its drafts, in their order."""
    receipts = confirmation["receipts"]
    if [receipt["draft_id"] for receipt in receipts] != confirmation["draft_ids"]:
        load.ledger.strange.append(f"receipts in another order, or too few: {confirmation}")
    for receipt in receipts:
        load.ledger.drafts[receipt["draft_id"]].add_receipt(receipt)


def _body(drafts: Sequence[DraftFacts], mode: Mode) -> dict[str, Any]:
    on_conflict = "replace" if drafts[0].may_replace else "fail"
    body = {"draft_ids": [draft.id for draft in drafts], "on_conflict": on_conflict, "mode": mode}
    return body if mode == "commit" else {**body, "hold_ttl": HOLD_TTL}


async def _followed(load: Load, confirmation_id: str) -> Answer:
    """A confirmation that takes longer, when it has ended; as the answer that would have come at once."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = await load.client.settled("GET", f"/api/v1/confirmations/{confirmation_id}", door=a_door())
        if answer.body.get("state") != "working":
            return answer
        await asyncio.sleep(ASK_AGAIN_PAUSE)
    raise StuckError(f"confirmation {confirmation_id}")


def _ended(load: Load, drafts: Sequence[DraftFacts], answer: Answer) -> Together | None:
    """The end an answer tells of; None when it is none, and one should ask again."""
    if answer.body.get("state") in {"confirmed", "prepared"}:
        if answer.body["state"] == "confirmed":
            note_receipts(load, answer.body)
        return Together(confirmation=answer.body)
    rolled_back = answer.body.get("state") == "rolled_back"
    problem = answer.body["problem"] if rolled_back else answer.body
    code = str(problem.get("code", answer.status))
    if not answer.final or code in ASK_AGAIN or (rolled_back and code != "confirmation_refused"):
        return None
    refused = {str(error["id"]): str(error["code"]) for error in problem.get("errors") or []}
    if code != "confirmation_refused" or not refused:
        load.ledger.strange.append(f"confirmation of {[draft.id for draft in drafts]}: {answer.status} {answer.body}")
        return Together(refused={draft.id: code for draft in drafts})
    if set(refused.values()) <= ASK_AGAIN:
        return None
    _note_refusals(load, refused)
    return Together(refused=refused)


def _note_refusals(load: Load, refused: dict[str, str]) -> None:
    for draft_id, code in refused.items():
        load.ledger.drafts[draft_id].refusals.append(code)
        if code not in FAIR_REFUSALS | ASK_AGAIN:
            load.ledger.strange.append(f"draft {draft_id} was refused in a bundle: {code}")
