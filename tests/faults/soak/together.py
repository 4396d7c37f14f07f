"""Stories of several drafts at once, and of clients that tie a confirm to a transaction of their own."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any, Literal

from faults.soak.client import Answer
from faults.soak.confirmations import confirm_together, end
from faults.soak.ledger import Bundle, DraftFacts
from faults.soak.load import Load
from faults.soak.scenarios import CONTENDED_NAMES, new_name, race

EXTENDED_BY = 600


async def bundle_and_expiry(load: Load, chance: random.Random) -> None:
    """A bundle while the time of some of its drafts runs out; offenders are left out until the rest is confirmed."""
    drafts = await _uploaded(load, chance, chance.randint(2, 7), contended=0.1)
    bundle = Bundle([draft.id for draft in drafts])
    load.ledger.bundles.append(bundle)
    hurried = chance.sample(drafts, chance.randint(1, 2))
    await race(load, hurried, _until_the_rest_is_confirmed(load, bundle, drafts, chance), chance)
    load.ledger.outcomes[f"bundle: {'confirmed' if any(draft.receipts for draft in drafts) else 'refused'}"] += 1


async def prepare_and_end(load: Load, chance: random.Random) -> None:
    """What is prepared is committed, rolled back, both at once, or ends by its deadline, perhaps under a commit."""
    drafts = await _uploaded(load, chance, chance.choice([1, 1, 2, 4]), contended=0.2)
    load.ledger.bundles.append(Bundle([draft.id for draft in drafts]))
    confirmation = (await confirm_together(load, drafts, "prepare")).confirmation
    if confirmation is None:
        return
    if chance.random() < 0.3:
        await _rival(load, drafts[0], chance)
    held = _Held(load, drafts, confirmation, chance)
    ways = [
        held.committed,
        held.committed_and_rolled_back,
        held.rolled_back,
        held.committed_at_the_deadline,
        held.forgotten,
    ]
    (way,) = chance.choices(ways, [50, 12, 13, 15, 10])
    how = await way()
    load.ledger.outcomes[f"prepared: {how}"] += 1
    if how == "rolled back" and chance.random() < 0.5:
        await confirm_together(load, drafts, "commit")


async def extend_and_expiry(load: Load, chance: random.Random) -> None:
    """A client asks for more time at the last moment. What it was given, it has."""
    draft, _ = await load.uploaded(new_name("extended"), chance)
    await load.expire([draft], chance.uniform(0.02, 0.4))
    answer = await load.extend(draft, EXTENDED_BY)
    await asyncio.sleep(0.5)  # past the end it had before
    await load.confirm(draft)
    told = "extended" if answer.status == 200 else answer.code
    load.ledger.outcomes[f"extend and expiry: {told}"] += 1
    if answer.status == 200 and not draft.receipts:
        load.ledger.lost.append(f"draft {draft.id} was extended, and its confirm was told {draft.refusals}")


async def _uploaded(load: Load, chance: random.Random, count: int, *, contended: float) -> list[DraftFacts]:
    """New drafts with bytes, of different names, all with the same will to replace."""
    shared = chance.sample(CONTENDED_NAMES, count)
    names = [name if chance.random() < contended else new_name("together") for name in shared]
    made = await asyncio.gather(*(load.uploaded(name, chance) for name in names))
    drafts = [draft for draft, _ in made]
    may_replace = chance.random() < 0.5
    for draft in drafts:
        draft.may_replace = may_replace
    return drafts


async def _until_the_rest_is_confirmed(
    load: Load, bundle: Bundle, drafts: list[DraftFacts], chance: random.Random
) -> None:
    rest = drafts
    while rest:
        twice = chance.random() < 0.15
        asking = [confirm_together(load, rest, "commit", door=door) for door in ((0, 1) if twice else (None,))]
        lapse = [_lapse(load, rest, chance)] if chance.random() < 0.1 else []
        (outcome, *_), _ = await asyncio.gather(asyncio.gather(*asking), asyncio.gather(*lapse))
        if outcome.confirmation is not None:
            return
        rest = [draft for draft in rest if draft.id not in outcome.refused]
        if rest:  # else nobody of them is confirmed, which is as whole as all of them
            bundle.draft_ids = [draft.id for draft in rest]


async def _lapse(load: Load, drafts: list[DraftFacts], chance: random.Random) -> None:
    for _ in range(4):
        await asyncio.sleep(chance.uniform(0, load.usual_confirm))
        await load.lapse(drafts)


async def _rival(load: Load, held: DraftFacts, chance: random.Random) -> None:
    """Another draft wants the name that is held, with leave to replace: it must wait."""
    rival, _ = await load.uploaded(held.object_name, chance)
    rival.may_replace = True
    answer = await load.ask_to_confirm(rival)
    told = "refused" if answer.code == "name_held" else answer.code
    load.ledger.outcomes[f"publishing under a held name: {told}"] += 1
    if answer.status == 200:
        load.ledger.doubled.append(f"draft {rival.id} was published under the name draft {held.id} holds")


@dataclass(frozen=True)
class _Held:
    """A prepared confirmation, and the ways it may end; each says how it did."""

    load: Load
    drafts: list[DraftFacts]
    confirmation: dict[str, Any]
    chance: random.Random

    async def committed(self) -> str:
        places = 2 if self.chance.random() < 0.2 else 1
        for answer in await asyncio.gather(*(self._end("commit") for _ in range(places))):
            if answer.status != 200:
                self.load.ledger.lost.append(f"{self._name}: a commit in time was refused: {answer.body}")
        return "committed"

    async def rolled_back(self) -> str:
        answer = await self._end("rollback")
        if answer.status != 200:
            self.load.ledger.strange.append(f"{self._name}: a rollback was refused: {answer.status} {answer.body}")
        return "rolled back"

    async def committed_and_rolled_back(self) -> str:
        commit, rollback = await asyncio.gather(self._end("commit"), self._end("rollback"))
        if (commit.status == 200) == (rollback.status == 200):
            self.load.ledger.doubled.append(f"{self._name}: commit {commit}, rollback {rollback}")
        return "committed" if commit.status == 200 else "rolled back"

    async def committed_at_the_deadline(self) -> str:
        _, commit = await asyncio.gather(self._deadline(self.chance.uniform(-0.02, 0.1)), self._end("commit"))
        return "committed at the deadline" if commit.status == 200 else f"at the deadline: {commit.code}"

    async def forgotten(self) -> str:
        await self._deadline(self.chance.uniform(-1, 1))
        return "forgotten"

    async def _end(self, act: Literal["commit", "rollback"]) -> Answer:
        return await end(self.load, self.confirmation, act)

    async def _deadline(self, seconds: float) -> None:
        await self.load.rows.end_hold([draft.id for draft in self.drafts], seconds)

    @property
    def _name(self) -> str:
        return f"confirmation {self.confirmation['id']} of {self.confirmation['draft_ids']}"
