"""What is there when all has settled: rows of PostgreSQL, keys and bytes of the store, past every service."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from faults.soak.clock import Rows
from faults.soak.system import SoakStack

READERS = 16

_DRAFTS = "SELECT id::text, object_name, state, receipt::text, purge_due_at FROM metadata.drafts"
_OBJECTS = "SELECT object_name, draft_id::text, storage_key, final_location, size, etag FROM metadata.objects"
_KEYS = "SELECT storage_key, draft_id::text, state FROM metadata.object_keys WHERE state <> 'deleted'"
_CONFIRMED_TWICE = """
    SELECT draft_id::text FROM metadata.events WHERE to_state = 'confirmed' GROUP BY draft_id HAVING count(*) > 1"""

_OPEN_CONFIRMATIONS = "SELECT id::text FROM metadata.confirmations WHERE state IN ('working', 'prepared')"


@dataclass(frozen=True)
class DraftRow:
    """A draft's row."""

    id: str
    object_name: str
    state: str
    receipt: dict[str, Any] | None
    due: bool


@dataclass(frozen=True)
class ObjectRow:
    """An object's row."""

    object_name: str
    draft_id: str
    storage_key: str
    final_location: str
    size: int
    etag: str


@dataclass(frozen=True)
class KeyRow:
    """A key of the main bucket that is not deleted for good."""

    storage_key: str
    draft_id: str
    state: str


@dataclass(frozen=True)
class Content:
    """The bytes at a key."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Snapshot:
    """The settled system. `contents` are by key of the main bucket, for every key an object row names."""

    drafts: dict[str, DraftRow]
    objects: dict[str, ObjectRow]
    keys: list[KeyRow]
    confirmed_twice: list[str]
    open_confirmations: list[str]
    events: frozenset[int]
    draft_bucket: list[str]
    main_bucket: list[str]
    contents: dict[str, Content]


async def take(stack: SoakStack, rows: Rows) -> Snapshot:
    """Read everything."""
    objects = [ObjectRow(**row) for row in await rows.run(_OBJECTS)]
    drafts = [_draft(dict(row)) for row in await rows.run(_DRAFTS)]
    main_bucket = await stack.store.keys(stack.main_bucket)
    present = sorted({row.storage_key for row in objects} & set(main_bucket))
    return Snapshot(
        drafts={row.id: row for row in drafts},
        objects={row.object_name: row for row in objects},
        keys=[KeyRow(**row) for row in await rows.run(_KEYS)],
        confirmed_twice=[row["draft_id"] for row in await rows.run(_CONFIRMED_TWICE)],
        events=frozenset(row["id"] for row in await rows.run("SELECT id FROM metadata.events")),
        open_confirmations=[row["id"] for row in await rows.run(_OPEN_CONFIRMATIONS)],
        draft_bucket=await stack.store.keys(stack.draft_bucket),
        main_bucket=main_bucket,
        contents=await _contents(stack, present),
    )


def _draft(row: dict[str, Any]) -> DraftRow:
    receipt = None if row["receipt"] is None else json.loads(row["receipt"])
    return DraftRow(row["id"], row["object_name"], row["state"], receipt, row["purge_due_at"] is not None)


async def _contents(stack: SoakStack, keys: list[str]) -> dict[str, Content]:
    found: dict[str, Content] = {}
    waiting = iter(keys)
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def read() -> None:
            for key in waiting:
                async with session.get(stack.store.url(stack.main_bucket, key)) as response:
                    response.raise_for_status()
                    content = await response.read()
                    found[key] = Content(hashlib.sha256(content).hexdigest(), len(content))

        await asyncio.gather(*(read() for _ in range(READERS)))
    return found
