"""Reconciling in tests: what a run found, what lies where, and what happens in the middle of a run."""

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import SecretStr

from draftstore_cleaner.app import create_reconciler
from draftstore_cleaner.reconcile.findings import Finding, Summary, Tell
from draftstore_cleaner.reconcile.run import Options
from draftstore_cleaner.settings import CleanerSettings
from draftstore_common.clients.transport import AsgiTransport, Call, Reply, Transport
from draftstore_common.contracts.base import BucketRole
from support.back_end import BackEnd
from support.store_view import StoreView

Hook = Callable[[Reply], Awaitable[Reply]]

LIST = "/internal/objects/list"
HEAD = "/internal/objects/head"
CLOCK = "/internal/clock"
ATTRIBUTE = "/internal/reconcile/attribute"
OWED = "/internal/reconcile/owed"


class Between:
    """A transport that lets something happen after certain answers, before their caller sees them."""

    def __init__(self, inner: Transport, hooks: Mapping[str, Hook]) -> None:
        self._inner = inner
        self._hooks = hooks
        self.paths: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, call: Call) -> Reply:
        self.paths.append(call.path)
        reply = await self._inner.send(call)
        hook = self._hooks.get(call.path)
        return reply if hook is None else await hook(reply)


def after(act: Callable[[], Awaitable[object]], *, nth: int = 1) -> Hook:
    """Act after one answer, the first unless told otherwise."""
    answers = itertools.count(1)

    async def hook(reply: Reply) -> Reply:
        if next(answers) == nth:
            await act()
        return reply

    return hook


def older(age: timedelta) -> Mapping[str, Hook]:
    """As if all bytes had landed that much earlier: nothing makes a store lie about when they did."""

    def aged(listed: dict[str, Any]) -> dict[str, Any]:
        landed = datetime.fromisoformat(listed["last_modified"]) - age
        return {**listed, "last_modified": landed.isoformat()}

    async def listing(reply: Reply) -> Reply:
        page = json.loads(reply.body)
        return replace(reply, content=json.dumps({**page, "items": [aged(item) for item in page["items"]]}).encode())

    async def head(reply: Reply) -> Reply:
        return (
            replace(reply, content=json.dumps(aged(json.loads(reply.body))).encode()) if reply.status == 200 else reply
        )

    return {LIST: listing, HEAD: head}


@dataclass
class Outcome:
    """What one run said."""

    findings: list[Finding] = field(default_factory=list)
    summary: Summary = field(default_factory=lambda: Summary(dry_run=False))
    paths: list[str] = field(default_factory=list)

    def of(self, key: str) -> tuple[str, str] | None:
        """The finding about a key, and what was done."""
        found = [(finding.finding, finding.action) for finding in self.findings if finding.key == key]
        assert len(found) <= 1, found
        return found[0] if found else None


@dataclass(frozen=True)
class Reconciling:
    """A suite, its store seen from outside, and runs over them."""

    back_end: BackEnd
    view: StoreView

    async def run(
        self, hooks: Mapping[str, Hook] | None = None, *, tell: Tell = lambda _: None, **options: Any
    ) -> Outcome:
        """A run of its own, from the beginning and for bytes of any age unless told otherwise."""
        given = {"max_keys": 10_000, "max_seconds": 60, "min_age": 0, "max_clock_skew": 300, "restart": True}
        suite = self.back_end.suite
        settings = CleanerSettings(service_key=SecretStr(suite.cleaner_key))
        ways = {name: Between(AsgiTransport(app), hooks or {}) for name, app in suite.internal.items()}
        outcome = Outcome()

        def note(finding: Finding) -> None:
            outcome.findings.append(finding)
            tell(finding)

        async with create_reconciler(settings, Options(**given | options), **ways) as reconciler:
            outcome.summary = await reconciler.run(note)
        outcome.paths = [path for way in ways.values() for path in way.paths]
        return outcome

    def bucket(self, role: BucketRole) -> str:
        """The store's name of a bucket."""
        return self.back_end.bucket if role == "main" else f"{self.back_end.bucket}-draft"

    async def write(self, role: BucketRole, key: str, content: bytes = b"late") -> None:
        """Bytes that come past every service."""
        await self.view.write(self.bucket(role), key, content)

    async def remove(self, role: BucketRole, key: str) -> None:
        """Bytes that go past every service."""
        await self.view.remove(self.bucket(role), key)

    async def holds(self, role: BucketRole, key: str) -> bool:
        """Whether there are bytes under a key."""
        return await self.view.head(self.bucket(role), key) is not None

    async def draft(self, content: bytes = b"content", name: str = "a.txt") -> dict[str, Any]:
        """A draft with bytes, seen by the suite; with its key."""
        draft = await self.back_end.upload(content, object_name=name)
        await self.back_end.get("GET", f"/api/v1/drafts/{draft['id']}")
        (row,) = await self.sql("SELECT storage_key FROM metadata.drafts WHERE id = $1", draft["id"])
        return {**draft, "key": row["storage_key"]}

    async def confirmed(self, name: str, content: bytes = b"content") -> dict[str, Any]:
        """A confirmed draft under a new name, which is its key in the main bucket."""
        draft = await self.draft(content, name)
        await self.back_end.get("POST", f"/api/v1/drafts/{draft['id']}/confirm")
        return draft

    async def deleted(self, name: str) -> None:
        """An object that was, deleted for good: its row at once, its bytes twice."""
        await self.confirmed(name)
        await self.back_end.get("DELETE", f"/api/v1/objects/{name}", status=204)
        for _ in range(2):
            await self.sql("UPDATE metadata.object_keys SET purge_due_at = now() WHERE storage_key = $1", name)
            await self.back_end.cleaner.run()

    async def purged(self, draft: dict[str, Any]) -> None:
        """Let a draft's time pass: expired, its bytes removed, and removed again behind its write horizon."""
        await self.sql("UPDATE metadata.drafts SET expires_at = now(), purge_due_at = now() WHERE id = $1", draft["id"])
        await self.back_end.cleaner.run()
        await self.sql(
            "UPDATE metadata.drafts SET write_horizon_at = now(), purge_due_at = now() WHERE id = $1", draft["id"]
        )
        await self.back_end.cleaner.run()

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Tests move rows, not clocks."""
        return await self.back_end.database.rows(statement, *arguments)

    async def empty(self) -> None:
        """Forget every row, cursor and byte."""
        tables = ("drafts", "objects", "object_keys", "events", "reconcile_cursors")
        await self.sql(f"TRUNCATE {', '.join(f'metadata.{table}' for table in tables)}")
        for bucket in (self.bucket("draft"), self.bucket("main")):
            for key in await self.view.keys(bucket):
                await self.view.remove(bucket, key)
