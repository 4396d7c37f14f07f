"""Keys, their tenant, and an identity that answers as late as a test wants: what a gateway is checked against."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Audience, Change, Principal, Verdict, VerifyRequest
from draftstore_common.kit.errors import Problem, RelayedProblem, Unauthorized
from draftstore_common.kit.ids import uuid7

_LONG = timedelta(days=1)
"""Tokens outlive every run: only the age of verdicts and changes are looked at."""


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class ModelKey:
    """A key and its tenant."""

    secret: str
    key_id: UUID
    tenant_id: UUID


@dataclass(frozen=True, slots=True)
class Refused:
    """Since when, and since which change, something opens nothing."""

    at: float
    sequence: int


class World:
    """The rows: which keys and tenants are good, and what changed, in its order."""

    def __init__(self, clock: Clock, *, keys: int) -> None:
        """So many keys of one tenant, all good."""
        self._clock = clock
        self.tenant_id = uuid7()
        self.keys = [ModelKey(api_keys.make("live"), uuid7(), self.tenant_id) for _ in range(keys)]
        self.changes: list[Change] = []
        self._turns: list[tuple[UUID, bool]] = []
        self._refused: dict[UUID, Refused] = {}

    @property
    def sequence(self) -> int:
        """The number of the newest change."""
        return len(self.changes)

    def turn(self, subject_id: UUID, *, good: bool) -> None:
        """Make a key or the tenant good or bad; where it is that already, only note a change."""
        subject: Literal["key", "tenant"] = "tenant" if subject_id == self.tenant_id else "key"
        self.changes.append(Change(sequence=self.sequence + 1, subject=subject, subject_id=subject_id))
        self._turns.append((subject_id, good))
        if good:
            self._refused.pop(subject_id, None)
        else:
            self._refused.setdefault(subject_id, Refused(self._clock.now, self.sequence))

    def restore(self, sequence: int) -> None:
        """An older copy of the rows: what was refused then is refused again from now on."""
        turns = self._turns[:sequence]
        self.changes, self._turns, self._refused = [], [], {}
        for subject_id, good in turns:
            self.turn(subject_id, good=good)

    def refused(self, key: ModelKey) -> Refused | None:
        """Since when this key opens nothing; None where it is good. The earliest, if key and tenant are both bad."""
        reasons = [self._refused[subject] for subject in (key.key_id, key.tenant_id) if subject in self._refused]
        return min(reasons, key=lambda refused: refused.at, default=None)


@dataclass(frozen=True, slots=True)
class Pending:
    """A verification whose answer is known and has not arrived."""

    secret: str
    outcome: Verdict | Problem
    arrival: asyncio.Future[None]


class LateIdentity:
    """Judges at once, and answers when it is let."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.pending: list[Pending] = []

    async def verify(self, request: VerifyRequest) -> Verdict:
        """As `IdentityClient.verify`."""
        pending = Pending(request.secret, self._judge(request.secret), asyncio.get_running_loop().create_future())
        self.pending.append(pending)
        await pending.arrival
        if isinstance(pending.outcome, Problem):
            raise pending.outcome
        return pending.outcome

    def let(self, number: int, *, failure: Problem | None = None) -> None:
        """Let one answer arrive, or a failure in its place."""
        pending = self.pending.pop(number)
        if failure is None:
            pending.arrival.set_result(None)
        else:
            pending.arrival.set_exception(failure)

    def _judge(self, secret: str) -> Verdict | Problem:
        key = next(key for key in self._world.keys if key.secret == secret)
        if self._world.refused(key):
            return RelayedProblem(Unauthorized().document("-"))
        principal = Principal(tenant_id=key.tenant_id, key_id=key.key_id, lineage=key.key_id, kind="data")
        expires_at = datetime.now(UTC) + _LONG
        return Verdict(principal=principal, token="t", token_expires_at=expires_at, sequence=self._world.sequence)


class AnyToken:
    """A token source nobody checks."""

    async def token(self, audience: Audience) -> str:
        """The audience's name."""
        return audience

    def forget(self, audience: Audience, token: str) -> None:
        """Never asked for: nobody refuses a name."""
        raise AssertionError(audience, token)
