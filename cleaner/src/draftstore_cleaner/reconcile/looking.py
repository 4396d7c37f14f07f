"""How a reconcile looks: a page at a time, a few keys at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from draftstore_cleaner.reconcile.findings import Tell
from draftstore_cleaner.reconcile.judging import Rules
from draftstore_common.clients.reconcile import ReconcileClient
from draftstore_common.clients.storage import StorageClient
from draftstore_common.contracts.base import BucketRole
from draftstore_common.contracts.reconcile import AttributeKeys, Attribution, PassName
from draftstore_common.contracts.storage import StoredObject
from draftstore_common.kit.errors import Problem

Item = TypeVar("Item")

AT_ONCE = 16
"""Keys asked about at the same time: enough to hide the store's latency, too few for anybody else to notice."""


@dataclass(frozen=True, slots=True)
class Step:
    """A page: how many keys it had, where the next one begins, and whether it was the last."""

    keys: int
    position: str
    finished: bool


class Pass(Protocol):
    """One way of comparing."""

    @property
    def name(self) -> PassName: ...

    async def page(self, position: str, limit: int) -> Step:
        """Look at up to `limit` keys from there, and settle whatever is found."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """What every pass looks with, by which rules, and whom it tells."""

    rows: ReconcileClient
    storage: StorageClient
    rules: Rules
    dry_run: bool
    tell: Tell

    async def attribute(self, role: BucketRole, keys: list[str]) -> list[Attribution]:
        """What the rows say of keys now."""
        return (await self.rows.attribute(AttributeKeys(role=role, keys=keys))).items

    async def head(self, role: BucketRole, key: str) -> StoredObject | None:
        """What the store has under a key now. Only its own word that nothing is there counts as None."""
        try:
            return await self.storage.head(role, key)
        except Problem as problem:
            if problem.code != "object_not_found":
                raise
            return None


async def for_each(items: Iterable[Item], act: Callable[[Item], Awaitable[None]]) -> None:
    """Act on all items, a few at once. After a problem none is begun; those under way end, then it is raised."""
    gate = asyncio.Semaphore(AT_ONCE)
    problems: list[Problem] = []

    async def one(item: Item) -> None:
        async with gate:
            try:
                if not problems:
                    await act(item)
            except Problem as problem:
                problems.append(problem)

    await asyncio.gather(*(one(item) for item in items))
    if problems:
        raise problems[0]
