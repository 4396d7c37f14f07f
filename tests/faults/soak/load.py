"""The acts a client may do to drafts, each written down in the ledger; the scenarios are made of them."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from faults.soak.client import PATIENCE, Answer, Client, StuckError
from faults.soak.clock import Rows
from faults.soak.ledger import DraftFacts, Ledger, Request
from faults.soak.uploads import Uploader, new_content

FAIR_REFUSALS = frozenset({"draft_expired", "draft_discarded", "object_exists", "draft_changed", "draft_not_uploaded"})
"""What a confirm may be told; whether it was true is for the audit."""

ASK_AGAIN = frozenset({"lease_lost", "draft_changed", "name_held", "drafts_busy", "idempotency_key_in_use"})
"""Refusals for now: another attempt took over, the bytes changed under it, somebody holds what is asked for."""

ASK_AGAIN_PAUSE = 0.2

REPLAYED = 0.05
"""How many creates are asked for once more after their answer."""

_REMEMBERED = 0.9


class Load:
    """What all workers share: the client, the bytes' way, the rows, the ledger."""

    def __init__(self, client: Client, uploader: Uploader, rows: Rows, ledger: Ledger) -> None:
        self.client = client
        self.uploader = uploader
        self.rows = rows
        self.ledger = ledger
        self.usual_confirm = 0.1
        """Seconds a confirm took lately."""
        self.lead = 0.02
        """Seconds from a confirm to an expiry that let both win as often; every race that ends corrects it."""

    async def draft(self, name: str, **intent: Any) -> tuple[DraftFacts, dict[str, Any]]:
        """A new draft, and how to send its bytes. However often it is asked for, its key makes one."""
        self.ledger.operations["create"] += 1
        body, key = {"object_name": name, **intent}, str(uuid4())
        answer = await self._created(body, key)
        if random.random() < REPLAYED:  # noqa: S311
            again = await self._created(body, key)
            if again.body["id"] != answer.body["id"]:
                self.ledger.doubled.append(f"one Idempotency-Key made drafts {answer.body['id']}, {again.body['id']}")
        facts = DraftFacts(answer.body["id"], name, declared_sha256=intent.get("checksum_sha256"))
        self.ledger.drafts[facts.id] = facts
        return facts, answer.body["upload"]

    async def _created(self, body: dict[str, Any], key: str) -> Answer:
        headers, deadline = {"Idempotency-Key": key}, time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            answer = await self.client.settled("POST", "/api/v1/drafts", body, door=a_door(), headers=headers)
            if answer.status == 201:
                return answer
            if answer.code not in ASK_AGAIN:
                raise AssertionError(f"a create was refused: {answer}")
            await asyncio.sleep(ASK_AGAIN_PAUSE)
        raise StuckError(f"create of {body['object_name']}")

    async def uploaded(self, name: str, chance: random.Random) -> tuple[DraftFacts, dict[str, Any]]:
        """A new draft whose bytes the store has acknowledged, sent in one of the ways clients send."""
        draft, upload = await self.draft(name)
        await self.send(draft, upload, chance)
        return draft, upload

    async def send(self, draft: DraftFacts, upload: dict[str, Any], chance: random.Random) -> None:
        """Bytes until some are acknowledged: once, slowly, twice, two contents at once, or after a hang-up."""
        way = chance.choices(["plain", "slow", "again", "two at once", "after a hang-up"], [70, 8, 8, 8, 6])[0]
        self.ledger.operations[f"PUT: {way}"] += 1
        put = self.uploader.put
        match way:
            case "slow":
                await put(draft, upload, new_content(chance), over=chance.uniform(0.2, 2))
            case "again":
                await put(draft, upload, new_content(chance))
                await put(draft, upload, new_content(chance))
            case "two at once":
                await asyncio.gather(*(put(draft, upload, new_content(chance)) for _ in range(2)))
            case "after a hang-up":
                await self.uploader.abandon(draft, upload, new_content(chance), after=chance.uniform(0.05, 0.5))
                await put(draft, upload, new_content(chance))
            case _:
                await put(draft, upload, new_content(chance))

    async def confirm(self, draft: DraftFacts, *, door: int | None = None) -> Answer:
        """Confirm until there is a final answer, and write it down."""
        self.ledger.operations["confirm"] += 1
        started = time.time()
        draft.first_confirm_at = min(draft.first_confirm_at, started)
        path = f"/api/v1/drafts/{draft.id}/confirm"
        answer = await self.client.settled("POST", path, confirm_body(draft), door=a_door() if door is None else door)
        while answer.code in ASK_AGAIN and (draft.bound_to is None or answer.code != "draft_changed"):
            if time.time() > started + PATIENCE:
                raise StuckError(f"confirm of draft {draft.id}: {answer.code} again and again")
            await asyncio.sleep(ASK_AGAIN_PAUSE)
            answer = await self.client.settled("POST", path, confirm_body(draft), door=a_door())
        if answer.status == 200:
            took = min(time.time() - started, 1.0)
            self.usual_confirm = _REMEMBERED * self.usual_confirm + (1 - _REMEMBERED) * took
        self.note(draft, answer)
        return answer

    async def ask_to_confirm(self, draft: DraftFacts) -> Answer:
        """Confirm once, whatever is answered to it."""
        draft.first_confirm_at = min(draft.first_confirm_at, time.time())
        answer = await self.client.settled(
            "POST", f"/api/v1/drafts/{draft.id}/confirm", confirm_body(draft), door=a_door()
        )
        if answer.code not in ASK_AGAIN:
            self.note(draft, answer)
        return answer

    async def confirm_and_hang_up(self, draft: DraftFacts, seconds: float) -> None:
        """Ask once, and do not wait for the answer longer than this."""
        self.ledger.operations["confirm, hanging up"] += 1
        draft.first_confirm_at = min(draft.first_confirm_at, time.time())
        path = f"/api/v1/drafts/{draft.id}/confirm"
        answer = await self.client.once("POST", path, confirm_body(draft), door=a_door(), seconds=seconds)
        if answer is not None and answer.final and answer.code not in ASK_AGAIN:
            self.note(draft, answer)

    def note(self, draft: DraftFacts, answer: Answer) -> None:
        """Write down a final answer to a confirm."""
        if answer.status == 200:
            draft.add_receipt(answer.body)
            return
        draft.refusals.append(answer.code)
        if answer.code not in FAIR_REFUSALS:
            self.ledger.strange.append(f"confirm of draft {draft.id}: {answer.status} {answer.body}")

    async def discard(self, draft: DraftFacts) -> Answer:
        """Give a draft up."""
        self.ledger.operations["discard"] += 1
        answer = await self.client.settled("DELETE", f"/api/v1/drafts/{draft.id}", door=a_door())
        if answer.status == 204:
            draft.given_up_by = "an acknowledged discard"
        elif answer.status not in {409, 410}:
            self.ledger.strange.append(f"discard of draft {draft.id}: {answer.status} {answer.body}")
        return answer

    async def extend(self, draft: DraftFacts, seconds: int) -> Answer:
        """Ask for more time."""
        self.ledger.operations["extend"] += 1
        answer = await self.client.settled("POST", f"/api/v1/drafts/{draft.id}/extend", {"ttl": seconds}, door=a_door())
        if answer.status != 200:
            self.note(draft, answer)
        return answer

    async def delete(self, name: str) -> None:
        """Delete an object by its name; every request is one that may have had its effect."""
        self.ledger.operations["delete"] += 1
        requests = self.ledger.deletes.setdefault(name, [])
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            request = Request(time.time())
            requests.append(request)
            answer = await self.client.once("DELETE", f"/api/v1/objects/{name}", door=a_door())
            if answer is not None and answer.final:
                request.ended_at = time.time()
                return
            await asyncio.sleep(0.5)
        raise StuckError(f"delete of {name}")

    async def expire(self, drafts: Sequence[DraftFacts], seconds: float) -> list[str]:
        """Let the time of drafts be over soon; the ids of those that had not ended yet, which is a race each."""
        self.ledger.operations["expiry moved"] += len(drafts)
        return await self.rows.expire([draft.id for draft in drafts], seconds)

    async def lapse(self, drafts: Sequence[DraftFacts]) -> None:
        """Let the leases of the attempts on these drafts run out while they work."""
        lapsed = await self.rows.lapse([draft.id for draft in drafts])
        self.ledger.operations["lease lapsed under an attempt"] += lapsed


def confirm_body(draft: DraftFacts) -> dict[str, str]:
    """What a confirm of this draft asks for, the same at every repeat."""
    body = {"on_conflict": "replace" if draft.may_replace else "fail"}
    return body if draft.bound_to is None else {**body, "etag": draft.bound_to}


def a_door() -> int:
    """One of the gateways."""
    return random.getrandbits(1)
