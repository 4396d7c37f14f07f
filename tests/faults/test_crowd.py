"""Everything at once on a few names: no answer is a failure of ours, and what is left fits together."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from draftstore_common.clients.transport import Reply
from support.installation import Door, Installation
from support.promises import Draft, nothing_is_left_but_objects

NAMES = 5
DRAFTS = 60
STEPS = 240
AT_ONCE = 16


class Crowd:
    """Callers that do whatever comes to their mind with the same drafts."""

    def __init__(self, door: Door, drafts: Sequence[Draft], seed: int) -> None:
        self._door = door
        self._drafts = drafts
        self._random = random.Random(seed)  # noqa: S311
        self._held: list[str] = []
        self.answers: list[tuple[str, Reply]] = []

    async def run(self) -> None:
        """All steps, some at once."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with slots:
                act = self._random.choice([self.confirm, self.bundle, self.hold, self.end, self.delete, self.discard])
                self.answers.append((act.__name__, await act()))

        await asyncio.gather(*(one() for _ in range(STEPS)))
        for held in self._held:
            self.answers.append(("commit", await self._door.ask("POST", f"/confirmations/{held}/commit")))

    async def confirm(self) -> Reply:
        return await self._door.confirm(self._some(1)[0], on_conflict=self._conflict())

    async def bundle(self) -> Reply:
        return await self._door.ask("POST", "/confirmations", self._several())

    async def hold(self) -> Reply:
        reply = await self._door.ask("POST", "/confirmations", {**self._several(), "mode": "prepare"})
        if reply.status == 200:
            self._held.append(json.loads(reply.body)["id"])
        return reply

    async def end(self) -> Reply:
        if not self._held:
            return await self.confirm()
        act = self._random.choice(["commit", "rollback"])
        return await self._door.ask("POST", f"/confirmations/{self._random.choice(self._held)}/{act}")

    async def delete(self) -> Reply:
        return await self._door.ask("DELETE", f"/objects/{self._some(1)[0]['object_name']}")

    async def discard(self) -> Reply:
        if self._random.random() < 0.7:
            return await self.confirm()
        return await self._door.ask("DELETE", f"/drafts/{self._some(1)[0]['id']}")

    def _several(self) -> dict[str, Any]:
        by_name = {draft["object_name"]: draft["id"] for draft in self._some(4)}
        return {"draft_ids": list(by_name.values()), "on_conflict": self._conflict()}

    def _some(self, count: int) -> list[Draft]:
        return self._random.sample(self._drafts, count)

    def _conflict(self) -> str:
        return self._random.choice(["fail", "replace", "replace"])


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_crowd_on_few_names_meets_no_failure_and_leaves_what_fits_together(
    whole: Installation, seed: int
) -> None:
    contents = [f"bytes of {seed}-{number}".encode() for number in range(DRAFTS)]
    drafts = [
        await whole.upload(f"crowd-{seed}/{number % NAMES}.bin", content) for number, content in enumerate(contents)
    ]
    crowd = Crowd(whole.door, drafts, seed)
    await crowd.run()
    failures = [(act, reply.status, reply.body) for act, reply in crowd.answers if reply.status >= 500]
    assert failures == []
    commits = [json.loads(reply.body) for act, reply in crowd.answers if act == "commit"]
    assert {answer.get("code") for answer in commits} <= {None, "confirmation_rolled_back"}, "refused before its time"
    assert Counter(act for act, reply in crowd.answers if reply.status in {200, 204}).keys() >= {"confirm", "hold"}
    for draft, content in zip(drafts, contents, strict=True):
        for found in await whole.objects_of(draft):
            assert await whole.store.read(whole.main, found["storage_key"]) == content
    await whole.pass_time(drafts, 24 * 3600)
    await whole.clean_up_after(drafts)
    await nothing_is_left_but_objects(whole, drafts)
    states = {(await whole.row(draft))["state"] for draft in drafts}
    assert states <= {"confirmed", "purged"}
