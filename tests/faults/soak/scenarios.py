"""What clients do, as short stories. Each is told to its end: every confirm gets a final answer."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

from faults.soak.ledger import DraftFacts
from faults.soak.load import Load
from faults.soak.uploads import new_content

Scenario = Callable[[Load, random.Random], Awaitable[None]]

CONTENDED_NAMES = [f"contended/{number}.bin" for number in range(40)]

JITTER = 0.04
"""Seconds by which an expiry comes before or after the instant that seems even."""

LEAD_STEP = 0.004

_numbers = itertools.count()


def new_name(folder: str) -> str:
    """A name nobody else uses."""
    return f"{folder}/{next(_numbers)}.bin"


async def confirm_and_expiry(load: Load, chance: random.Random) -> None:
    """A confirm, in one of the ways clients ask for it, while the draft's time runs out."""
    draft, upload = await load.uploaded(new_name("race"), chance)
    ways: list[Callable[[], Awaitable[None]]] = [
        lambda: _once(load, draft),
        lambda: _from_two_places(load, draft),
        lambda: _after_hanging_up(load, draft, chance),
        lambda: _bound_to_what_was_seen(load, draft, upload, chance),
        lambda: _while_other_bytes_come(load, draft, upload, chance),
        lambda: _while_its_lease_lapses(load, draft, chance),
    ]
    (way,) = chance.choices(ways, [55, 14, 12, 7, 6, 6])
    await race(load, [draft], way(), chance)


async def contended_name(load: Load, chance: random.Random) -> None:
    """One of many who publish under the same name, some with the will to replace; now and then it is deleted."""
    draft, _ = await load.uploaded(chance.choice(CONTENDED_NAMES), chance)
    draft.may_replace = chance.random() < 0.5
    if chance.random() < 0.3:
        await race(load, [draft], _once(load, draft), chance)
    else:
        await load.confirm(draft)
    if "object_exists" in draft.refusals and chance.random() < 0.5:
        draft.may_replace = True
        await load.confirm(draft)
    if chance.random() < 0.25:
        await load.delete(draft.object_name)


async def confirm_and_discard(load: Load, chance: random.Random) -> None:
    """Two places of a client disagree."""
    draft, _ = await load.uploaded(new_name("discard"), chance)
    await asyncio.gather(load.confirm(draft), _later(load.discard(draft), chance.uniform(0, load.usual_confirm)))
    load.ledger.outcomes[f"confirm and discard: {ending(draft)}"] += 1


async def never_confirmed(load: Load, chance: random.Random) -> None:
    """A draft is given up without a word, some with bytes, some with bytes that come when its time is over."""
    draft, upload = await load.draft(new_name("abandoned"))
    if chance.random() < 0.6:
        await load.send(draft, upload, chance)
    await load.expire([draft], chance.uniform(-1, 1))
    if chance.random() < 0.5:
        await load.uploader.put(draft, upload, new_content(chance), over=chance.uniform(0, 3))
        load.ledger.operations["PUT: too late"] += 1


async def late_bytes(load: Load, chance: random.Random) -> None:
    """Bytes go on arriving at the URL of a draft that was confirmed."""
    draft, upload = await load.uploaded(new_name("late"), chance)
    slow = load.uploader.put(draft, upload, new_content(chance), over=chance.uniform(0, 3))
    await asyncio.gather(load.confirm(draft), slow)
    await load.uploader.put(draft, upload, new_content(chance))
    load.ledger.operations["PUT: too late"] += 2
    await load.confirm(draft)


async def race(load: Load, drafts: list[DraftFacts], confirming: Awaitable[None], chance: random.Random) -> None:
    """Confirm while the time of these drafts runs out, and count how each race ended."""
    soon = load.lead + chance.uniform(-JITTER, JITTER)
    waited = chance.uniform(0, JITTER)

    async def expire() -> list[str]:
        await asyncio.sleep(waited)
        return await load.expire(drafts, soon - waited)

    _, hit = await asyncio.gather(confirming, expire())
    for draft in drafts:
        if draft.id in hit:
            load.ledger.races[ending(draft)] += 1
            load.lead += -LEAD_STEP if draft.receipts else LEAD_STEP


def ending(draft: DraftFacts) -> str:
    """How a draft ended, as its client was told."""
    if draft.receipts:
        return "confirmed"
    return draft.refusals[-1] if draft.refusals else "unanswered"


async def _once(load: Load, draft: DraftFacts) -> None:
    await load.confirm(draft)


async def _from_two_places(load: Load, draft: DraftFacts) -> None:
    await asyncio.gather(load.confirm(draft, door=0), load.confirm(draft, door=1))


async def _after_hanging_up(load: Load, draft: DraftFacts, chance: random.Random) -> None:
    await load.confirm_and_hang_up(draft, chance.uniform(0.005, load.usual_confirm))
    await asyncio.sleep(chance.uniform(0, load.usual_confirm))
    await load.confirm(draft)


async def _bound_to_what_was_seen(load: Load, draft: DraftFacts, upload: dict[str, str], chance: random.Random) -> None:
    draft.bound_to = draft.puts[-1].etag
    await _while_other_bytes_come(load, draft, upload, chance)


async def _while_other_bytes_come(load: Load, draft: DraftFacts, upload: dict[str, str], chance: random.Random) -> None:
    putting = load.uploader.put(draft, upload, new_content(chance), over=chance.uniform(0, 2 * load.usual_confirm))
    await asyncio.gather(load.confirm(draft), putting)


async def _while_its_lease_lapses(load: Load, draft: DraftFacts, chance: random.Random) -> None:
    async def lapse() -> None:
        for _ in range(4):
            await asyncio.sleep(chance.uniform(0, load.usual_confirm / 2))
            await load.lapse([draft])

    await asyncio.gather(load.confirm(draft, door=0), lapse(), _later(load.confirm(draft, door=1), 0.02))


async def _later(act: Awaitable[object], seconds: float) -> object:
    await asyncio.sleep(seconds)
    return await act
