"""Drafts under anything: callers, cleaners, time, deaths and freezes in random order, checked after every step.

The services are the real ones, on PostgreSQL and SeaweedFS. `STATE_MACHINE_EXAMPLES`, `STATE_MACHINE_STEPS` and
`STATE_MACHINE_SEED` make a run longer, or another one.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

import pytest_asyncio
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from draftstore_common.clients.transport import Reply
from support.installation import Door, Installation, site
from support.lives import WHENS, Life, Point
from support.servers import Postgres, Store
from support.world import World

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "20"))
STEPS = int(os.environ.get("STATE_MACHINE_STEPS", "25"))
SEED = int(os.environ.get("STATE_MACHINE_SEED", "3"))

LONGEST_SLEEP = 3000
"""Seconds a process may be frozen here: less than the longest a copy may take (an hour)."""

Act = Callable[[Door], Awaitable[Reply]]
T = TypeVar("T")

MOST_DRAFTS = 8
"""More would meet each other too rarely."""

NAMES = st.sampled_from(["a", "b"])
CONFLICTS = st.sampled_from(["fail", "replace"])
MODES = st.sampled_from(["commit", "commit", "prepare"])
VARIANTS = st.integers(0, 2)
OPTIONS = st.fixed_dictionaries({"on_conflict": CONFLICTS, "mode": MODES})
TTLS = st.sampled_from([None, None, None, 60, 7200])
PASSES = st.sampled_from([30, 61, 61, 61, 301, 1200, 3601, 8000])
CHOICES = st.integers(0, 59)
OLD_STORIES = (
    ["put", "lapse", "confirm", "thaw"],
    ["put", "thaw", "confirm"],
    ["lapse", "look", "thaw", "look"],
    ["put", "lapse", "confirm", "clean", "put", "put", "thaw"],
)
"""What is told of systems like this one: other bytes while an attempt sleeps, a taker-over, a late awakening."""

MOVES = st.sampled_from(["put", "confirm", "lapse", "look", "clean", "thaw"])
STRUGGLE = st.one_of(st.sampled_from(OLD_STORIES), st.lists(MOVES, min_size=1, max_size=6))
SOME = st.lists(CHOICES, min_size=1, max_size=3)

STEPS_OF_A_CONFIRM = (
    "/confirm/claim",
    "/objects/head",
    "/confirm/reserve-keys",
    "/objects/copy",
    "/objects/copy",
    "/confirm/publish",
    "/confirm/prepare",
    "/objects/delete",
)
POINTS = st.builds(Point, number=st.just(1), when=st.sampled_from(WHENS), of=st.sampled_from(STEPS_OF_A_CONFIRM))
ENDS = st.builds(
    Point,
    number=st.just(1),
    when=st.sampled_from(WHENS),
    of=st.sampled_from(("/confirmations/commit", "/confirmations/rollback")),
)
CLEANINGS = st.builds(Point, number=st.integers(2, 8), when=st.sampled_from(WHENS))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(postgres: Postgres, store: Store) -> AsyncIterator[Installation]:
    """A suite that keeps expired drafts for an hour, and lets nobody wait for another's attempt."""
    with patch.dict(os.environ, RESTORE_GRACE="3600", CONFIRM_WAIT="0.1"):
        async with site(postgres.url, store) as ground, ground.running() as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loop(whole: Installation) -> asyncio.AbstractEventLoop:
    """The loop the suite runs in, while a test that is no coroutine drives it."""
    assert whole is not None
    return asyncio.get_running_loop()


def chosen(choice: int, likely: Sequence[str], others: Sequence[str]) -> str:
    """One of the likely ones, or every fifth time of all."""
    from_these = others if choice % 5 == 4 or not likely else likely
    return from_these[choice // 5 % len(from_these)]


class Machine(RuleBasedStateMachine):
    """Every rule is one step of somebody; the suite sleeps in between."""

    whole: ClassVar[Installation]
    loop: ClassVar[asyncio.AbstractEventLoop]
    folders: ClassVar[Any] = count()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.whole, f"machine-{next(self.folders)}")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the suite's loop run until this is done."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def draft(self, choice: int) -> str:
        """A draft, most likely one that is worth confirming."""
        return chosen(choice, self.world.worthwhile, list(self.world.drafts))

    def several(self, choices: list[int]) -> list[str]:
        """Different drafts."""
        return list(dict.fromkeys(self.draft(choice) for choice in choices))

    def hold(self, choice: int) -> str:
        """A confirmation, most likely one that is held."""
        known = self.world.confirmations
        return chosen(choice, [each for each, state in known.items() if state == "prepared"], list(known))

    @initialize()
    def some_are_there(self) -> None:
        for name in "aab":
            self.create(name, None, 0)

    # Callers.

    @precondition(lambda self: len(self.world.drafts) < MOST_DRAFTS)
    @rule(name=NAMES, ttl=TTLS, variant=st.one_of(st.none(), VARIANTS))
    def create(self, name: str, ttl: int | None, variant: int | None) -> None:
        draft_id = self.run(self.world.create(name, ttl))
        if variant is not None:
            self.run(self.world.put(draft_id, variant))

    @rule(choice=CHOICES, variant=VARIANTS)
    def put(self, choice: int, variant: int) -> None:
        draft_id = self.draft(choice)
        if self.world.may_land(draft_id):
            self.run(self.world.put(draft_id, variant))

    @rule(choice=CHOICES, on_conflict=CONFLICTS)
    def confirm(self, choice: int, on_conflict: str) -> None:
        self.run(self._confirm(self.draft(choice), on_conflict))

    async def _confirm(self, draft_id: str, on_conflict: str) -> None:
        before, free = await self.world.row(draft_id), await self._is_free(draft_id, on_conflict)
        content = self.world.drafts[draft_id].content
        reply = await self.world.confirm(self.whole.door, draft_id, on_conflict=on_conflict)
        if before["state"] in {"open", "uploaded"}:
            wanted = free and content is not None and not before["late"]
            assert (reply.status == 200) == wanted, (before["state"], content, reply)
        if before["state"] == "confirming" and not before["lapsed"]:
            assert reply.status == 202, "took what another holds"
        if reply.status == 200 and before["state"] != "confirmed":
            receipt = json.loads(reply.body)
            key = receipt["final_location"].partition("/")[2]
            assert await self.whole.store.read(self.whole.main, key) == content, "published other bytes than judged"

    async def _is_free(self, draft_id: str, on_conflict: str) -> bool:
        """Whether nobody holds the draft's name, or has it where it is not to be replaced."""
        name = self.world.drafts[draft_id].name
        held = await self.whole.database.rows(
            "SELECT FROM metadata.drafts WHERE object_name = $1 AND state = 'prepared' AND lease_expires_at > now()",
            name,
        )
        taken = await self.whole.database.rows("SELECT FROM metadata.objects WHERE object_name = $1", name)
        return not held and (on_conflict == "replace" or not taken)

    @rule(choice=CHOICES, on_conflict=CONFLICTS)
    def prepare(self, choice: int, on_conflict: str) -> None:
        options = {"mode": "prepare", "on_conflict": on_conflict}
        self.run(self.world.confirm(self.whole.door, self.draft(choice), **options))

    @rule(choices=SOME, options=OPTIONS)
    def confirm_several(self, choices: list[int], options: dict[str, str]) -> None:
        self.run(self.world.bundle(self.whole.door, self.several(choices), **options))

    @precondition(lambda self: self.world.confirmations)
    @rule(choice=CHOICES)
    def commit(self, choice: int) -> None:
        self.run(self._commit(self.hold(choice)))

    async def _commit(self, hold: str) -> None:
        sql = "SELECT state, lease_expires_at > now() AS live FROM metadata.confirmations WHERE id = $1"
        (before,) = await self.whole.database.rows(sql, hold)
        reply = await self.world.end(self.whole.door, hold, "commit")
        wanted = before["state"] == "confirmed" or (before["state"] == "prepared" and before["live"])
        assert (reply.status == 200) == wanted, (dict(before), reply)

    @precondition(lambda self: self.world.confirmations)
    @rule(choice=CHOICES)
    def roll_back(self, choice: int) -> None:
        self.run(self.world.end(self.whole.door, self.hold(choice), "rollback"))

    @rule()
    def look(self) -> None:
        """Everything is looked at, as a curious caller does."""
        for draft_id in self.world.drafts:
            self.run(self.world.ask(self.whole.door, "GET", f"/drafts/{draft_id}"))
        for row_id in self.world.confirmations:
            self.run(self.world.ask(self.whole.door, "GET", f"/confirmations/{row_id}"))

    @rule(choice=CHOICES)
    def discard(self, choice: int) -> None:
        self.run(self.world.ask(self.whole.door, "DELETE", f"/drafts/{self.draft(choice)}"))

    @rule(choice=CHOICES, act=st.sampled_from(["extend", "restore"]), ttl=st.sampled_from([60, 7200, 7 * 24 * 3600]))
    def lengthen(self, choice: int, act: str, ttl: int) -> None:
        self.run(self._lengthen(chosen(choice, self.world.worthwhile, list(self.world.drafts)), act, ttl))

    async def _lengthen(self, draft_id: str, act: str, ttl: int) -> None:
        before = await self.world.row(draft_id)
        await self.world.ask(self.whole.door, "POST", f"/drafts/{draft_id}/{act}", {"ttl": ttl})
        after = await self.world.row(draft_id)
        assert before["expires_at"] <= after["expires_at"] <= max(before["expires_at"], after["lifetime_ends_at"])

    @rule(name=NAMES)
    def delete_an_object(self, name: str) -> None:
        self.run(self.world.ask(self.whole.door, "DELETE", f"/objects/{self.world.folder}/{name}"))

    # Deaths and freezes.

    @rule(point=POINTS, choice=CHOICES, options=OPTIONS)
    def die_in_a_confirm(self, point: Point, choice: int, options: dict[str, str]) -> None:
        self._die(point, self._confirming(self.draft(choice), options))

    @rule(point=POINTS, choice=CHOICES, options=OPTIONS)
    def freeze_in_a_confirm(self, point: Point, choice: int, options: dict[str, str]) -> None:
        self._freeze(point, self._confirming(self.draft(choice), options))

    @rule(point=POINTS, choices=SOME, options=OPTIONS)
    def die_in_a_bundle(self, point: Point, choices: list[int], options: dict[str, str]) -> None:
        self._die(point, self._bundling(self.several(choices), options))

    @rule(point=POINTS, choices=SOME, options=OPTIONS)
    def freeze_in_a_bundle(self, point: Point, choices: list[int], options: dict[str, str]) -> None:
        self._freeze(point, self._bundling(self.several(choices), options))

    @rule(point=POINTS, choice=CHOICES, options=OPTIONS, recorded=st.booleans(), freezes=st.booleans(), moves=STRUGGLE)
    def struggle(
        self, point: Point, choice: int, options: dict[str, str], recorded: bool, freezes: bool, moves: list[str]
    ) -> None:
        """An attempt that fails somewhere, and what is done to the same draft right after."""
        draft_id = self.draft(choice)
        act = self._bundling([draft_id], options) if recorded else self._confirming(draft_id, options)
        (self._freeze if freezes else self._die)(point, act)
        for move in moves:
            self.everything_agrees()
            self._move(move, draft_id)

    def _move(self, move: str, draft_id: str) -> None:
        match move:
            case "put" if self.world.may_land(draft_id):
                self.run(self.world.put_another(draft_id))
            case "confirm":
                self.run(self._confirm(draft_id, "replace"))
            case "lapse":
                self.let_time_pass(61)
            case "look":
                self.look()
            case "clean":
                self.clean()
            case "thaw" if self.world.sleepers:
                self.run(self.world.thaw(self.world.sleepers[-1]))

    @precondition(lambda self: self.world.confirmations)
    @rule(point=ENDS, choice=CHOICES, freezes=st.booleans())
    def fail_at_the_end_of_a_hold(self, point: Point, choice: int, freezes: bool) -> None:
        hold, act = self.hold(choice), point.of.rpartition("/")[2]
        (self._freeze if freezes else self._die)(point, lambda door: self.world.end(door, hold, act))

    def _confirming(self, draft_id: str, options: dict[str, str]) -> Act:
        return lambda door: self.world.confirm(door, draft_id, **options)

    def _bundling(self, ids: list[str], options: dict[str, str]) -> Act:
        return lambda door: self.world.bundle(door, ids, **options)

    def _die(self, point: Point, act: Act) -> None:
        self.run(self.world.dying(Life(dies=point), act))

    def _freeze(self, point: Point, act: Act) -> None:
        self.run(self.world.freeze(Life(freezes=point), act))

    @precondition(lambda self: self.world.sleepers)
    @rule(choice=CHOICES)
    def thaw(self, choice: int) -> None:
        self.run(self.world.thaw(self.world.sleepers[choice % len(self.world.sleepers)]))

    # Time, and who cleans.

    @rule(seconds=PASSES)
    def let_time_pass(self, seconds: int) -> None:
        for sleeper in list(self.world.sleepers):
            if self.world.age + seconds - sleeper.since > LONGEST_SLEEP:
                self.run(self.world.thaw(sleeper))
        self.run(self.world.pass_time(seconds))

    @rule()
    def clean(self) -> None:
        self.run(self.world.clean())

    @rule(point=CLEANINGS)
    def die_in_a_cleaning(self, point: Point) -> None:
        self.run(self.world.clean_and_die(Life(dies=point)))

    @invariant()
    def everything_agrees(self) -> None:
        self.run(self.world.check())

    def teardown(self) -> None:
        self.run(self.world.check_the_end())


def test_whatever_happens_in_whatever_order_nothing_is_lost_doubled_or_left(
    whole: Installation, loop: asyncio.AbstractEventLoop
) -> None:
    machine = seed(SEED)(type("Bound", (Machine,), {"whole": whole, "loop": loop}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
