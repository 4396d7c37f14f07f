"""Cleaning: what it costs beside the store's own deletes, beside few rows, and beside listing a bucket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from bench import rows
from bench.cleaning import cleaner_of
from bench.harness import Bench, in_turn, timed
from bench.listing import delete_by_age, listed
from bench.load.s3 import Store
from bench.results import Figures
from draftstore_cleaner.service import Cleaner
from support.stack import make_stack, running
from support.stack_base import Stack

EXPIRED = 1000
FEW_ROWS = 10_000
DELETING = 4
"""Connections of the raw deletes: the rate at which the store is fastest."""

_NAMES = (f"clean-{number}-" for number in count())


@dataclass(frozen=True)
class Place:
    """A product with a cleaner in a process of its own: this one."""

    bench: Bench
    stack: Stack
    cleaner: Cleaner
    store: Store

    async def clean(self, number: int) -> float:
        """Seconds to clean so many expired drafts with bytes."""
        await self._put(await rows.expired(self.stack, next(_NAMES), number))
        with timed() as took:
            report = await self.cleaner.run()
        if report.objects != number or report.failed:
            raise RuntimeError(f"the cleaner removed {report.objects} of {number}, {report.failed} failed")
        return took()

    async def delete(self, number: int) -> float:
        """Seconds to delete as many keys without asking anybody."""
        name = next(_NAMES)
        keys = [f"{name}{each}" for each in range(number)]
        await self._put(keys)
        requests = self.store.deletions(self.stack.draft_bucket, keys)
        load = await self.bench.replay.send(self.store.port, requests, connections=DELETING)
        return load.all_are(200).seconds

    async def list_and_delete(self, number: int) -> float:
        """Seconds of a script that lists the bucket and deletes by age: here what is young, as nothing is old."""
        instant = await self._young(number)
        with timed() as took:
            found = await asyncio.to_thread(
                delete_by_age, self.stack.store_credentials, self.stack.draft_bucket, instant
            )
        if found < number:
            raise RuntimeError(f"the listing found {found} of {number}")
        return took()

    async def list_and_delete_leanly(self, number: int) -> float:
        """The same by the leanest means: no library of S3, deletes from the compiled client."""
        instant = await self._young(number)
        with timed() as took:
            found = listed(self.store, self.stack.draft_bucket)
            keys = [each.key async for each in found if each.written_at >= instant]
            requests = self.store.deletions(self.stack.draft_bucket, keys)
            (await self.bench.replay.send(self.store.port, requests, connections=DELETING)).all_are(200)
        return took()

    async def _young(self, number: int) -> datetime:
        """Put so many keys; the instant since which all of them were written."""
        instant = datetime.now(UTC).replace(microsecond=0)
        name = next(_NAMES)
        await self._put([f"{name}{each}" for each in range(number)])
        return instant

    async def _put(self, keys: list[str]) -> None:
        await rows.with_bytes(self.bench.replay, self.store, self.stack.draft_bucket, keys)


@asynccontextmanager
async def places(bench: Bench) -> AsyncIterator[tuple[Place, Place]]:
    """Two products: one will have few rows, the other many."""
    async with AsyncExitStack() as stack:
        few, many = [await stack.enter_async_context(_place(bench)) for _ in range(2)]
        yield few, many


@asynccontextmanager
async def _place(bench: Bench) -> AsyncIterator[Place]:
    stack = make_stack("standalone", "s3", bench.place("clean") / "data")
    async with running(stack), cleaner_of(stack) as cleaner:
        yield Place(bench, stack, cleaner, Store(stack.store_credentials))


async def beside_deletes(where: tuple[Place, Place]) -> list[Figures]:
    """Drafts per second, and keys per second."""
    place, _ = where
    bench, number = place.bench, place.bench.scale.cleaned
    await place.clean(number // 10)

    async def clean() -> float:
        rate = number / await place.clean(number)
        bench.say(f"clean: {rate:,.0f} drafts/s")
        return rate

    async def delete() -> float:
        rate = number / await place.delete(number)
        bench.say(f"DeleteObjects: {rate:,.0f} keys/s")
        return rate

    own, other = await in_turn(bench.scale.few, clean, delete)
    return [Figures("clean", own, other, {"drafts": number})]


async def among_rows(where: tuple[Place, Place]) -> list[Figures]:
    """Seconds, among many and among few live rows."""
    few, many = where
    bench = few.bench
    for place, number in ((few, FEW_ROWS), (many, bench.scale.rows)):
        bench.say(f"clean: {number:,} rows are being made")
        await rows.live(place.stack, "live-", number)
        await rows.settled(place.stack)
        await place.clean(EXPIRED)

    async def clean(place: Place, told: str) -> float:
        seconds = await place.clean(EXPIRED)
        bench.say(f"clean {EXPIRED} among {told}: {seconds:.3f} s")
        return seconds

    rounds = bench.scale.rounds
    among_many, among_few = await in_turn(rounds, lambda: clean(many, "many"), lambda: clean(few, "few"))
    return [Figures("clean-among-rows", among_many, among_few, {"rows": bench.scale.rows, "reference_rows": FEW_ROWS})]


async def among_objects(where: tuple[Place, Place]) -> list[Figures]:
    """Drafts per second, among live objects: a listing grows with them, cleaning does not.

    `more` has both among a tenth of the objects, the leanest listing there is, and the raw deletes alone, which every
    way has to make.
    """
    place, _ = where
    bench, objects = place.bench, place.bench.scale.objects

    async def clean() -> float:
        return EXPIRED / await place.clean(EXPIRED)

    async def listing() -> float:
        return EXPIRED / await place.list_and_delete(EXPIRED)

    async def rounds(times: int, total: int) -> list[list[float]]:
        await rows.settled(place.stack)
        found = await in_turn(times, clean, listing)
        seconds = [EXPIRED / rates[-1] for rates in found]
        bench.say(f"clean {EXPIRED} among {total:,} objects: {seconds[0]:.2f} s, by listing {seconds[1]:.2f} s")
        return found

    await _kept(place, "tenth-", objects // 10)
    early = await rounds(1, objects // 10)
    await _kept(place, "kept-", objects - objects // 10)
    own, other = await rounds(bench.scale.few, objects)
    more = {
        "objects": objects,
        "among_a_tenth": {"value": round(early[0][0]), "reference": round(early[1][0])},
        "listed_leanly": round(EXPIRED / await place.list_and_delete_leanly(EXPIRED)),
        "deletes": round(EXPIRED / await place.delete(EXPIRED)),
    }
    return [Figures("clean-among-objects", own, other, more)]


async def _kept(place: Place, name: str, count: int) -> None:
    """So many more live drafts, each with an object: an empty one, which is listed like any other and put sooner."""
    place.bench.say(f"clean: {count:,} objects are being put")
    keys = await rows.live(place.stack, name, count)
    await rows.with_bytes(place.bench.replay, place.store, place.stack.draft_bucket, keys, content=b"")
