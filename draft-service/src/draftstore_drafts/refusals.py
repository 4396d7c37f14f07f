"""Drafts that cannot take part, collected: a caller learns of all of them at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from draftstore_common.contracts.confirm import Refusal
from draftstore_common.kit.errors import FieldError, Problem, ProblemDocument, RelayedProblem
from draftstore_common.problems import refusal
from draftstore_drafts.errors import ConfirmationRefused

AT_ONCE = 16
"""Drafts of one attempt that are worked on at the same time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Refused(Problem):
    """At least one draft was refused, so none is confirmed. Callers see it as `one` or as `bundle`."""

    status = 409

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = refusals
        super().__init__(code=refusals[0].code)

    @property
    def reason(self) -> str:
        """For the event rows: the one code, or how many there are."""
        codes = {refusal.code for refusal in self.refusals}
        return self.code if len(codes) == 1 else f"{len(self.refusals)} drafts refused"

    def one(self) -> Problem:
        """The problem of a confirm of one draft."""
        refusal = self.refusals[0]
        return RelayedProblem(ProblemDocument(**refusal.model_dump(exclude={"draft_id"})))

    def bundle(self, draft_ids: Sequence[UUID]) -> ConfirmationRefused:
        """The problem of a bundle, which names every offender by its place in the request and its id."""
        places = {draft_id: place for place, draft_id in enumerate(draft_ids)}
        found = sorted(self.refusals, key=lambda refusal: places[refusal.draft_id])
        return ConfirmationRefused(errors=[_offender(places[refusal.draft_id], refusal) for refusal in found])


def _offender(place: int, refusal: Refusal) -> FieldError:
    return FieldError(field=f"draft_ids.{place}", id=str(refusal.draft_id), code=refusal.code, detail=refusal.detail)


def named(problems: Iterable[tuple[UUID, Problem]]) -> list[Refusal]:
    """Problems by draft, as refusals."""
    return [refusal(draft_id, problem) for draft_id, problem in problems]


async def for_each(
    items: Sequence[Item], step: Callable[[Item], Awaitable[Result]], id_of: Callable[[Item], UUID]
) -> list[Result]:
    """Do a step for every draft, a few at a time.

    Raises `Refused` with every draft whose step told its caller something (below 500), once all were asked; whatever
    else happens to one stops the others at once.
    """
    refusals: list[Refusal] = []

    async def one(item: Item) -> Result | None:
        try:
            return await step(item)
        except Problem as problem:
            if problem.http_status >= 500:
                raise
            refusals.append(refusal(id_of(item), problem))
            return None

    results = [await one(items[0])] if len(items) == 1 else await _all(items, one)
    if refusals:
        raise Refused(refusals)
    return results  # type: ignore[return-value]  # None only where something was refused


async def _all(items: Sequence[Item], step: Callable[[Item], Awaitable[Result]]) -> list[Result]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Result:
        async with slots:
            return await step(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
