"""What is remembered of identity's verdicts, and what makes them worthless before their time.

Identity numbers the changes of keys and tenants in the order of their commits, and says with each verdict how many of
them it includes. So a verdict is outdated exactly when a later change to its key or its tenant has been heard of, and
that is asked whenever it is to be used or kept: an answer that was long on its way cannot undo a revocation.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from draftstore_common.contracts.identity import Audience, Change, Principal, Verdict

VERDICT_TTL = 4.0
"""Seconds a verdict is used, counted from before identity was asked, whatever fails: a revoked key works at most that
long where nothing is heard of its revocation. One second of the published bound of five is left for all else."""

VERIFY_TIMEOUT = 4.0
"""Seconds identity has for one verdict; a later answer is not used, for the same reason."""

TOKEN_MARGIN = 10.0
"""Seconds a cached token must still live, so that it does not expire on its way."""

CAPACITY = 10_000
"""Verdicts kept."""

SUBJECTS = 10_000
"""Keys and tenants whose newest change is kept."""

SecretKey = tuple[bytes, Audience]
"""The SHA-256 of an API key, and whom its token is for."""


@dataclass(frozen=True, slots=True)
class Question:
    """A verification as it begins: when, and since which restart of the feed."""

    asked_at: float
    epoch: int


@dataclass(frozen=True)
class Judged:
    """A verdict, and the question it answers."""

    verdict: Verdict
    question: Question

    @cached_property
    def token_expires(self) -> float:
        """When its token is over, in seconds of the system's clock."""
        return self.verdict.token_expires_at.timestamp()


class VerdictCache:
    """Verdicts by secret, and the newest changes by their subject. Bounded, however many there are of either."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that never go back."""
        self._clock = clock
        self._held: dict[SecretKey, Judged] = {}
        self._changed: dict[UUID, int] = {}
        self._floor = 0
        self._epoch = 0

    def begin(self) -> Question:
        """What to remember of a question before it is asked."""
        return Question(self._clock(), self._epoch)

    def knows(self, digest: bytes) -> bool:
        """Whether identity took this secret, for any audience, when it was last asked, however long ago that was."""
        return any((digest, audience) in self._held for audience in Audience)

    def get(self, secret: SecretKey) -> Verdict | None:
        """The verdict to use without asking; None where identity must be asked."""
        judged = self._held.get(secret)
        return judged.verdict if judged is not None and self._is_fresh(judged) and self._is_current(judged) else None

    def usable(self, judged: Judged) -> bool:
        """Whether an answer that has just come may be used: it was not long on its way, and nothing overtook it."""
        return self._clock() - judged.question.asked_at < VERIFY_TIMEOUT and self._is_current(judged)

    def put(self, secret: SecretKey, judged: Judged) -> None:
        """Keep a verdict that was usable just now."""
        self._held.pop(secret, None)
        if len(self._held) >= CAPACITY:
            self._held.pop(next(iter(self._held)))  # the oldest: entries are in the order of their answers
        self._held[secret] = judged

    def forget(self, digest: bytes) -> None:
        """Identity refuses this secret."""
        for audience in Audience:
            self._held.pop((digest, audience), None)

    def note(self, changes: Sequence[Change]) -> None:
        """Use no verdict any more that is older than one of these changes to its key or tenant."""
        for change in changes:
            known = self._changed.pop(change.subject_id, 0)
            self._changed[change.subject_id] = max(known, change.sequence)  # told twice, the older one undoes nothing
        while len(self._changed) > SUBJECTS:
            self._floor = self._changed.pop(next(iter(self._changed)))  # the oldest; no older verdict passes any more

    def restart(self, sequence: int) -> None:
        """Trust nothing that was learned or asked before now: what changed up to `sequence` is not known."""
        self._epoch += 1
        self._changed.clear()
        self._floor = sequence

    def _is_fresh(self, judged: Judged) -> bool:
        if self._clock() - judged.question.asked_at >= VERDICT_TTL:
            return False
        return judged.token_expires - time.time() > TOKEN_MARGIN

    def _is_current(self, judged: Judged) -> bool:
        return judged.question.epoch == self._epoch and judged.verdict.sequence >= self._newest_change(
            judged.verdict.principal
        )

    def _newest_change(self, principal: Principal) -> int:
        changed = self._changed
        return max(self._floor, changed.get(principal.key_id, 0), changed.get(principal.tenant_id, 0))
