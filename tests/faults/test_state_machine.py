"""Drafts under anything: callers, cleaners, time, deaths and freezes in random order, checked after every step.

The services are the real ones, on PostgreSQL and SeaweedFS. `STATE_MACHINE_EXAMPLES`, `STATE_MACHINE_STEPS` and
`STATE_MACHINE_SEED` make a run longer, or another one.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

import pytest_asyncio
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
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

NAMES = st.sampled_from(["a", "b", "c"])
CONFLICTS = st.sampled_from(["fail", "replace"])
MODES = st.sampled_from(["commit", "prepare"])
POINTS = st.builds(Point, number=st.integers(1, 9), when=st.sampled_from(WHENS))


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


class Machine(RuleBasedStateMachine):
    """Every rule is one step of somebody; the suite sleeps in between."""

    whole: ClassVar[Installation]
    loop: ClassVar[asyncio.AbstractEventLoop]
    folders: ClassVar[Any] = count()

    drafts = Bundle("drafts")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.whole, f"machine-{next(self.folders)}")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the suite's loop run until this is done."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    # Callers.

    @rule(target=drafts, name=NAMES, ttl=st.sampled_from([None, 60, 7200]))
    def create(self, name: str, ttl: int | None) -> str:
        return self.run(self.world.create(name, ttl))

    @rule(target=drafts, name=NAMES, variant=st.integers(0, 2))
    def create_with_bytes(self, name: str, variant: int) -> str:
        draft_id = self.run(self.world.create(name))
        self.run(self.world.put(draft_id, variant))
        return draft_id

    @rule(draft_id=drafts, variant=st.integers(0, 2))
    def put(self, draft_id: str, variant: int) -> None:
        if self.world.may_land(draft_id):
            self.run(self.world.put(draft_id, variant))

    @rule(draft_id=drafts, on_conflict=CONFLICTS)
    def confirm(self, draft_id: str, on_conflict: str) -> None:
        self.run(self._confirm(draft_id, on_conflict))

    async def _confirm(self, draft_id: str, on_conflict: str) -> None:
        before, free = await self.world.row(draft_id), await self._is_free(draft_id, on_conflict)
        content = self.world.drafts[draft_id].content
        reply = await self.world.confirm(self.whole.door, draft_id, on_conflict=on_conflict)
        if before["state"] in {"open", "uploaded"}:
            wanted = free and content is not None and not before["late"]
            assert (reply.status == 200) == wanted, (before["state"], content, reply)
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

    @rule(target=holds, draft_id=drafts, on_conflict=CONFLICTS)
    def prepare(self, draft_id: str, on_conflict: str) -> Any:
        options = {"mode": "prepare", "on_conflict": on_conflict}
        return self._hold(self.run(self.world.confirm(self.whole.door, draft_id, **options)))

    @rule(target=holds, ids=st.lists(drafts, min_size=1, max_size=4, unique=True), on_conflict=CONFLICTS, mode=MODES)
    def confirm_several(self, ids: list[str], on_conflict: str, mode: str) -> Any:
        options = {"mode": mode, "on_conflict": on_conflict}
        return self._hold(self.run(self.world.bundle(self.whole.door, ids, **options)))

    def _hold(self, reply: Reply) -> Any:
        answer = json.loads(reply.body)
        return str(answer["id"]) if reply.status in {200, 202} and "draft_ids" in answer else multiple()

    @rule(hold=holds)
    def commit(self, hold: str) -> None:
        self.run(self._commit(hold))

    async def _commit(self, hold: str) -> None:
        sql = "SELECT state, lease_expires_at > now() AS live FROM metadata.confirmations WHERE id = $1"
        (before,) = await self.whole.database.rows(sql, hold)
        reply = await self.world.end(self.whole.door, hold, "commit")
        wanted = before["state"] == "confirmed" or (before["state"] == "prepared" and before["live"])
        assert (reply.status == 200) == wanted, (dict(before), reply)

    @rule(hold=holds)
    def roll_back(self, hold: str) -> None:
        self.run(self.world.end(self.whole.door, hold, "rollback"))

    @rule(hold=holds)
    def look_at_a_confirmation(self, hold: str) -> None:
        self.run(self.world.ask(self.whole.door, "GET", f"/confirmations/{hold}"))

    @rule(draft_id=drafts)
    def look_at_a_draft(self, draft_id: str) -> None:
        self.run(self.world.ask(self.whole.door, "GET", f"/drafts/{draft_id}"))

    @rule(draft_id=drafts)
    def discard(self, draft_id: str) -> None:
        self.run(self.world.ask(self.whole.door, "DELETE", f"/drafts/{draft_id}"))

    @rule(draft_id=drafts, act=st.sampled_from(["extend", "restore"]), ttl=st.sampled_from([60, 7200, 7 * 24 * 3600]))
    def lengthen(self, draft_id: str, act: str, ttl: int) -> None:
        self.run(self._lengthen(draft_id, act, ttl))

    async def _lengthen(self, draft_id: str, act: str, ttl: int) -> None:
        before = await self.world.row(draft_id)
        await self.world.ask(self.whole.door, "POST", f"/drafts/{draft_id}/{act}", {"ttl": ttl})
        after = await self.world.row(draft_id)
        assert before["expires_at"] <= after["expires_at"] <= max(before["expires_at"], after["lifetime_ends_at"])

    @rule(name=NAMES)
    def delete_an_object(self, name: str) -> None:
        self.run(self.world.ask(self.whole.door, "DELETE", f"/objects/{self.world.folder}/{name}"))

    # Deaths and freezes.

    @rule(point=POINTS, draft_id=drafts, on_conflict=CONFLICTS, mode=MODES)
    def die_in_a_confirm(self, point: Point, draft_id: str, on_conflict: str, mode: str) -> None:
        self._die(point, lambda door: self.world.confirm(door, draft_id, on_conflict=on_conflict, mode=mode))

    @rule(point=POINTS, ids=st.lists(drafts, min_size=2, max_size=3, unique=True), on_conflict=CONFLICTS, mode=MODES)
    def die_in_a_bundle(self, point: Point, ids: list[str], on_conflict: str, mode: str) -> None:
        self._die(point, lambda door: self.world.bundle(door, ids, on_conflict=on_conflict, mode=mode))

    @rule(point=POINTS, hold=holds, act=st.sampled_from(["commit", "rollback"]))
    def die_at_the_end_of_a_hold(self, point: Point, hold: str, act: str) -> None:
        self._die(point, lambda door: self.world.end(door, hold, act))

    @rule(point=POINTS, draft_id=drafts)
    def die_in_a_discard(self, point: Point, draft_id: str) -> None:
        self._die(point, lambda door: self.world.ask(door, "DELETE", f"/drafts/{draft_id}"))

    def _die(self, point: Point, act: Act) -> None:
        self.run(self.world.dying(Life(dies=point), act))

    @rule(point=POINTS, draft_id=drafts, on_conflict=CONFLICTS, mode=MODES)
    def freeze_in_a_confirm(self, point: Point, draft_id: str, on_conflict: str, mode: str) -> None:
        self._freeze(point, lambda door: self.world.confirm(door, draft_id, on_conflict=on_conflict, mode=mode))

    @rule(point=POINTS, ids=st.lists(drafts, min_size=2, max_size=3, unique=True), on_conflict=CONFLICTS)
    def freeze_in_a_bundle(self, point: Point, ids: list[str], on_conflict: str) -> None:
        self._freeze(point, lambda door: self.world.bundle(door, ids, on_conflict=on_conflict))

    @rule(point=POINTS, hold=holds)
    def freeze_in_a_commit(self, point: Point, hold: str) -> None:
        self._freeze(point, lambda door: self.world.end(door, hold, "commit"))

    def _freeze(self, point: Point, act: Act) -> None:
        self.run(self.world.freeze(Life(freezes=point), act))

    @precondition(lambda self: self.world.sleepers)
    @rule(which=st.integers(0, 5))
    def thaw(self, which: int) -> None:
        self.run(self.world.thaw(self.world.sleepers[which % len(self.world.sleepers)]))

    # Time, and who cleans.

    @rule(seconds=st.sampled_from([30, 61, 400, 1200, 3601, 8000, 8 * 24 * 3600]))
    def let_time_pass(self, seconds: int) -> None:
        for sleeper in list(self.world.sleepers):
            if self.world.age + seconds - sleeper.since > LONGEST_SLEEP:
                self.run(self.world.thaw(sleeper))
        self.run(self.world.pass_time(seconds))

    @rule()
    def clean(self) -> None:
        self.run(self.world.clean())

    @rule(point=POINTS)
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
