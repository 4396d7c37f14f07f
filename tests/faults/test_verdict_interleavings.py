"""A revoked key is not admitted later than promised, however verifications, changes, failures and time interleave.

With the feed: not once the change was told. Without it: not when the verdict is too old. `STATE_MACHINE_EXAMPLES`,
`STATE_MACHINE_STEPS` and `STATE_MACHINE_SEED` make a run longer, or another one.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.transport import ServiceUnavailable
from draftstore_common.contracts.identity import Audience, Change, Verdict
from draftstore_common.kit.errors import Problem
from draftstore_gateway import verdict_cache
from draftstore_gateway.verdict_cache import Judged, SecretKey, VerdictCache
from draftstore_gateway.verdicts import Verdicts, _digest
from support.revocation_model import AnyToken, Clock, LateIdentity, ModelKey, World

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "20")) * 30
STEPS = int(os.environ.get("STATE_MACHINE_STEPS", "25"))
SEED = int(os.environ.get("STATE_MACHINE_SEED", "3"))

BOUND = 4.0
"""Seconds: what the gateway needs of the published five."""

HERE = "10.0.0.1"
TURNS = 30
"""More turns of the loop than any answer needs to get through."""

KEYS = st.integers(0, 1)
WHICH = st.integers(0, 59)
RARELY = st.sampled_from([False, False, False, True])
SECONDS = st.sampled_from([1.0, 3.5, 4.0, 20.0])


@dataclass(frozen=True, slots=True)
class _Request:
    key: ModelKey
    task: asyncio.Task[Verdict]


class Interleavings(RuleBasedStateMachine):
    """One gateway's verdicts beside the rows they are about."""

    cache_type: ClassVar[type[VerdictCache]] = VerdictCache
    verdicts_type: ClassVar[type[Verdicts]] = Verdicts

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._clock = Clock()
        self._world = World(self._clock, keys=2)
        self._identity = LateIdentity(self._world)
        self._cache = self.cache_type(clock=self._clock)
        self._verdicts = self.verdicts_type(cast("IdentityClient", self._identity), AnyToken(), self._cache)
        self._told = 0
        self._under_way: list[_Request] = []

    def teardown(self) -> None:
        self._runner.run(self._end())
        self._runner.close()

    @rule(number=KEYS)
    def request(self, number: int) -> None:
        """A request comes; if identity is asked, its answer is on its way."""
        self._runner.run(self._begin(self._world.keys[number]))

    @rule(number=KEYS)
    def request_that_is_answered_at_once(self, number: int) -> None:
        """A good key is admitted, unless an older answer was still on its way."""
        key = self._world.keys[number]
        older = any(pending.secret == key.secret for pending in self._identity.pending)
        admitted = self._runner.run(self._begin_and_answer(key))
        assert older or admitted or self._world.refused(key), "a good key was refused"

    @precondition(lambda self: self._identity.pending)
    @rule(number=WHICH, fails=RARELY)
    def answer(self, number: int, fails: bool) -> None:
        """An answer of identity arrives, however old it is; or identity is cut off before."""
        self._runner.run(self._arrive(number, ServiceUnavailable() if fails else None))

    @rule(number=st.integers(-1, 1), good=RARELY)
    def change(self, number: int, good: bool) -> None:
        """A key is revoked, disabled, enabled or renamed; or the tenant is suspended or resumed."""
        world = self._world
        world.turn(world.tenant_id if number < 0 else world.keys[number].key_id, good=good)

    @precondition(lambda self: self._world.changes)
    @rule(number=WHICH, anew=RARELY)
    def hear(self, number: int, anew: bool) -> None:
        """The feed tells the next changes, or begins anew; between two of these rules it is cut."""
        if anew:
            self._begin_anew(number)
        elif self._told < self._world.sequence:
            upto = self._told + 1 + number % (self._world.sequence - self._told)
            self._cache.note(self._world.changes[self._told : upto])
            self._told = upto

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self._clock.now += seconds

    @rule(number=KEYS, seconds=SECONDS)
    def revoke_during_an_answer(self, number: int, seconds: float) -> None:
        """An old story: identity judges a key, which is revoked while the answer takes its time."""
        self.request(number)
        self.change(number, good=False)
        self.pass_time(seconds)
        while self._identity.pending:
            self._runner.run(self._arrive(0))

    def _begin_anew(self, number: int) -> None:
        """The feed has lost its place; or the rows are an older copy, and its numbers have gone back."""
        self._world.restore(number % (self._world.sequence + 1))
        self._told = self._world.sequence
        self._cache.restart(self._told)

    async def _begin(self, key: ModelKey) -> _Request:
        task = asyncio.create_task(self._verdicts.verdict(key.secret, Audience.DRAFTS, HERE))
        request = _Request(key, task)
        self._under_way.append(request)
        await self._settle()
        return request

    async def _begin_and_answer(self, key: ModelKey) -> bool:
        """Whether it was admitted."""
        request = await self._begin(key)
        while not request.task.done():
            numbers = (n for n, pending in enumerate(self._identity.pending) if pending.secret == key.secret)
            await self._arrive(next(numbers))
        return request.task.exception() is None

    async def _arrive(self, number: int, failure: Problem | None = None) -> None:
        self._identity.let(number % len(self._identity.pending), failure=failure)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        over = [request for request in self._under_way if request.task.done()]
        self._under_way = [request for request in self._under_way if not request.task.done()]
        for request in over:
            self._check(request)

    def _check(self, request: _Request) -> None:
        if request.task.exception() is not None:
            return
        refused = self._world.refused(request.key)
        if refused is not None:
            assert self._clock.now - refused.at < BOUND, "admitted later than the bound without a feed"
            assert self._told < refused.sequence, "admitted although the feed had told of it"

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _run(machine: type[Interleavings], **options: Any) -> None:
    options = {"max_examples": EXAMPLES} | options
    run = settings(stateful_step_count=STEPS, deadline=None, database=None, **options)
    seed(SEED)(machine)
    run_state_machine_as_test(machine, settings=run)


@pytest.fixture(autouse=True)
def _few_changes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one subject only, so that the floor rises."""
    monkeypatch.setattr(verdict_cache, "SUBJECTS", 1)


def test_a_revoked_key_is_never_admitted_later_than_promised() -> None:
    _run(Interleavings)


class _WithoutGeneration(VerdictCache):
    def _is_current(self, judged: Judged) -> bool:
        return judged is not None


class _WithoutGenerationAtFill(VerdictCache):
    def usable(self, judged: Judged) -> bool:
        return self._clock() - judged.question.asked_at < verdict_cache.VERIFY_TIMEOUT


class _WithoutAge(VerdictCache):
    def _is_fresh(self, judged: Judged) -> bool:
        return judged is not None


class _WithoutAgeOfAnswers(VerdictCache):
    def usable(self, judged: Judged) -> bool:
        return self._is_current(judged)


class _AgeFromTheAnswer(VerdictCache):
    def put(self, secret: SecretKey, judged: Judged) -> None:
        super().put(secret, Judged(judged.verdict, self.begin()))


class _WithoutTenants(VerdictCache):
    def note(self, changes: Sequence[Change]) -> None:
        super().note([change for change in changes if change.subject == "key"])


class _WithoutFloor(VerdictCache):
    def note(self, changes: Sequence[Change]) -> None:
        floor = self._floor
        super().note(changes)
        self._floor = floor


class _WithoutEpoch(VerdictCache):
    def restart(self, sequence: int) -> None:
        super().restart(sequence)
        self._epoch = 0


class _StaleWhileRevalidating(Verdicts):
    async def verdict(self, secret: str, audience: Audience, client: str) -> Verdict:
        held = self._cache._held.get((_digest(secret), audience))
        if held is None or self._cache.get((_digest(secret), audience)):
            return await super().verdict(secret, audience, client)
        self._refill = asyncio.create_task(super().verdict(secret, audience, client))
        self._refill.add_done_callback(lambda task: task.cancelled() or task.exception())
        return held.verdict


MUTANTS: dict[str, dict[str, type]] = {
    "changes end no verdict": {"cache_type": _WithoutGeneration},
    "an overtaken answer is used": {"cache_type": _WithoutGenerationAtFill},
    "verdicts never grow old": {"cache_type": _WithoutAge},
    "an answer may take any time": {"cache_type": _WithoutAgeOfAnswers},
    "age is counted from the answer": {"cache_type": _AgeFromTheAnswer},
    "changes of tenants are passed over": {"cache_type": _WithoutTenants},
    "forgotten changes leave no floor": {"cache_type": _WithoutFloor},
    "a restart lets old questions count": {"cache_type": _WithoutEpoch},
    "stale while revalidating": {"verdicts_type": _StaleWhileRevalidating},
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_without_a_rule_of_the_cache_a_revoked_key_is_admitted_too_late(mutant: str) -> None:
    machine = type("Mutant", (Interleavings,), MUTANTS[mutant])
    with pytest.raises(AssertionError, match="admitted"):
        _run(machine, max_examples=10 * EXAMPLES, phases=[Phase.generate], report_multiple_bugs=False)
