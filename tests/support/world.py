"""Everything an observer can know of some drafts, whatever is done to them and whoever dies meanwhile.

A `World` is a few names of an installation and the drafts under them. It does what callers, cleaners and time do,
remembers what it was told, and `check` compares rows, bytes and memories.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from draftstore_common.clients.transport import Reply
from support.installation import Door, Installation
from support.lives import Life, stalled

ALL_TIME = 9 * 24 * 3600
"""Seconds after which every draft's lifetime and every horizon is over."""

SLIPPED_IN = {"Cache-Control": "max-age=9"}
"""What every uploader of these tests tries to get published."""

URL_GRACE = 3600
"""Seconds for which the bytes of a replaced object stay."""

LATEST_LANDING = 10 * 60
"""Seconds after its URL's deadline at which the slowest PUT of these tests lands."""

TOLD = {400, 404, 409, 410, 422}
"""What a caller may be told when nothing is broken."""

BROKEN = {503, 504}
"""What a caller of a dead process may be told as well."""

ALLOWED: Mapping[str, frozenset[str]] = {
    "": frozenset({"open"}),
    "open": frozenset({"open", "uploaded", "confirming", "expired", "discarded"}),
    "uploaded": frozenset({"confirming", "expired", "discarded"}),
    "confirming": frozenset({"confirmed", "prepared", "uploaded", "open"}),
    "prepared": frozenset({"confirmed", "uploaded"}),
    "expired": frozenset({"uploaded", "open", "purging"}),
    "discarded": frozenset({"purging"}),
    "purging": frozenset({"purged"}),
    "purged": frozenset(),
    "confirmed": frozenset(),
}
"""The arrows of docs/lifecycle.md."""

LIVING = {"", "open", "uploaded", "confirming", "prepared"}
GIVEN_UP = {"discarded", "purging", "purged"}


@dataclass(slots=True)
class Known:
    """A draft as this test knows it. `judged`: the contents it had at some attempt."""

    id: str
    name: str
    upload: Mapping[str, Any]
    url_ends: int
    content: bytes | None = None
    variant: int = 0
    judged: set[bytes] = field(default_factory=set)
    receipt: dict[str, Any] | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """A name held for a caller: by which draft, with which bytes, and the object that was there."""

    draft_id: str
    fence: int
    object_draft: str | None


@dataclass(slots=True)
class Sleeper:
    """A process that froze in the middle of something."""

    life: Life
    work: asyncio.Task[Reply]
    since: int


@dataclass(slots=True)
class View:
    """Rows and buckets at one moment."""

    drafts: dict[str, Mapping[str, Any]]
    objects: dict[str, Mapping[str, Any]]
    keys: dict[str, Mapping[str, Any]]
    confirmations: dict[str, Mapping[str, Any]]
    main: dict[str, bytes]
    waiting: dict[str, bytes]


class World:
    """Some names below one folder; `age` counts the seconds that were let pass."""

    def __init__(self, whole: Installation, folder: str) -> None:
        self.whole = whole
        self.folder = folder
        self.age = 0
        self.drafts: dict[str, Known] = {}
        self.sleepers: list[Sleeper] = []
        self.confirmations: dict[str, str] = {}
        self._bytes: dict[tuple[str, ...], bytes] = {}
        self._written: dict[str, bytes] = {}
        self._published: dict[str, int | None] = {}
        self._ended: dict[str, str] = {}
        self._holds: dict[str, Hold] = {}

    @property
    def worthwhile(self) -> list[str]:
        """Drafts with bytes that are not over yet, as far as it was looked."""
        return [each.id for each in self.drafts.values() if each.content is not None and each.state in LIVING]

    # What callers do.

    async def create(self, name: str, ttl: int | None = None) -> str:
        """A new draft's id."""
        intent = {} if ttl is None else {"ttl": ttl}
        draft = await self.whole.new(f"{self.folder}/{name}", **intent)
        ends = self.age + min(3600, ttl or 3600)
        self.drafts[draft["id"]] = Known(draft["id"], draft["object_name"], draft["upload"], ends)
        return str(draft["id"])

    def may_land(self, draft_id: str) -> bool:
        """Whether a PUT to the draft's URL that began in time may still end now."""
        return self.age < self.drafts[draft_id].url_ends + LATEST_LANDING

    async def put(self, draft_id: str, variant: int) -> None:
        """Bytes land in the draft: those of another draft or variant are different ones."""
        draft = self.drafts[draft_id]
        content = f"{draft_id} {variant}".encode() * (variant + 1)
        await self.whole.put({"upload": draft.upload}, content, **SLIPPED_IN)
        draft.content, draft.variant = content, variant

    async def put_another(self, draft_id: str) -> None:
        """Other bytes than those that are there."""
        await self.put(draft_id, (self.drafts[draft_id].variant + 1) % 3)

    async def confirm(self, door: Door, draft_id: str, **options: Any) -> Reply:
        """Confirm or prepare one draft."""
        return await self._judging(door, f"/drafts/{draft_id}/confirm", options, [draft_id])

    async def bundle(self, door: Door, draft_ids: Sequence[str], **options: Any) -> Reply:
        """Confirm or prepare several."""
        body = {"draft_ids": list(draft_ids), **options}
        return await self._judging(door, "/confirmations", body, draft_ids)

    async def end(self, door: Door, confirmation_id: str, act: str) -> Reply:
        """Commit or roll back."""
        return await self._told(door, "POST", f"/confirmations/{confirmation_id}/{act}")

    async def ask(self, door: Door, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """Anything else."""
        return await self._told(door, method, path, body)

    async def _judging(self, door: Door, path: str, body: Mapping[str, Any], ids: Sequence[str]) -> Reply:
        for draft_id in ids:
            draft = self.drafts[draft_id]
            if draft.content is not None:
                draft.judged.add(draft.content)
        return await self._told(door, "POST", path, body)

    async def _told(self, door: Door, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        reply = await door.ask(method, path, body)
        healthy = door is self.whole.door
        assert reply.status < 300 or reply.status in TOLD | (set() if healthy else BROKEN), f"{path}: {reply}"
        if reply.status == 200:
            self._remember(json.loads(reply.body))
        return reply

    def _remember(self, answer: Mapping[str, Any]) -> None:
        if "final_location" in answer and "draft_id" in answer:
            self._receipt(answer)
        for receipt in answer.get("receipts", []):
            self._receipt(receipt)
        if answer.get("state") in {"confirmed", "rolled_back"} and "draft_ids" in answer:
            assert self._ended.setdefault(answer["id"], answer["state"]) == answer["state"]

    def _receipt(self, receipt: Mapping[str, Any]) -> None:
        draft = self.drafts[receipt["draft_id"]]
        draft.receipt = draft.receipt or dict(receipt)
        assert draft.receipt == receipt, "one receipt per draft, for ever"

    # What dies, freezes, and what time does.

    async def dying(self, life: Life, act: Callable[[Door], Awaitable[Any]]) -> Any:
        """Do something through a process that dies somewhere in the middle of it, or right after."""
        async with self.whole.process(life, confirm_wait=0.1) as door:
            return await act(door)

    async def freeze(self, life: Life, act: Callable[[Door], Awaitable[Any]]) -> None:
        """Do something through a process that freezes in the middle of it; it goes on when it is thawed."""
        work = await stalled(life, self.dying(life, act))
        if work.done():
            work.result()
        else:
            self.sleepers.append(Sleeper(life, work, self.age))

    async def thaw(self, sleeper: Sleeper) -> None:
        """Let a frozen process go on to its end."""
        self.sleepers.remove(sleeper)
        sleeper.life.thaw()
        await sleeper.work

    async def clean(self) -> None:
        """One run of the cleaner."""
        report = await self.whole.cleaner.run()
        assert report.failed == 0

    async def clean_and_die(self, life: Life) -> None:
        """A cleaner that dies somewhere in its run."""
        async with self.whole.another_cleaner(life) as cleaner:
            try:
                await cleaner.run()
            except Exception:
                assert life.dead

    async def pass_time(self, seconds: int) -> None:
        """Let everything of this world be older."""
        self.age += seconds
        await self.whole.pass_time([{"id": draft_id} for draft_id in self.drafts], seconds)

    async def row(self, draft_id: str) -> Mapping[str, Any]:
        """A draft's row, with `lapsed`: whether its claim or hold is over, and `late`: whether its time is."""
        sql = "SELECT *, lease_expires_at <= now() AS lapsed, expires_at <= now() AS late"
        (row,) = await self.whole.database.rows(f"{sql} FROM metadata.drafts WHERE id = $1", draft_id)
        return dict(row)

    # What must hold.

    async def check(self) -> None:
        """Compare everything with everything."""
        view = await self._look()
        self.confirmations = {row_id: row["state"] for row_id, row in view.confirmations.items()}
        self._check_states(view)
        self._check_objects(view)
        self._check_buckets(view)
        self._check_confirmations(view)
        self._check_holds(view)

    async def check_the_end(self) -> None:
        """When all time has passed and all is cleaned, only objects are left, and every life is a possible one."""
        for sleeper in list(self.sleepers):
            await self.thaw(sleeper)
        await self.check()
        for _ in range(4):
            await self.pass_time(ALL_TIME)
            await self.clean()
        await self.check()
        view = await self._look()
        assert {row["state"] for row in view.drafts.values()} <= {"confirmed", "purged"}
        assert {row["state"] for row in view.keys.values()} <= {"published", "deleted"}
        assert {row["state"] for row in view.confirmations.values()} <= {"confirmed", "rolled_back"}
        assert view.waiting == {}, "bytes of drafts are left"
        assert set(view.main) == {row["storage_key"] for row in view.objects.values()}, "keys without a row are left"
        plan = await self.whole.cleaner.plan()
        assert (plan.expired_drafts, plan.leftovers, plan.object_keys) == (0, 0, 0)
        await self._check_events()

    def _check_states(self, view: View) -> None:
        for draft_id, row in view.drafts.items():
            draft = self.drafts[draft_id]
            if draft.state in {"confirmed", "purged"}:
                assert row["state"] == draft.state, f"left its final state: {draft.state} → {row['state']}"
            if draft.state in GIVEN_UP:
                assert row["state"] in GIVEN_UP, f"came back: {draft.state} → {row['state']}"
            draft.state = row["state"]
            if draft.receipt is not None:
                assert row["receipt"] == draft.receipt, "a receipt was lost or has changed"
            if row["receipt"] is not None:
                self._receipt(row["receipt"])
            if row["state"] in {"uploaded", "prepared"}:
                assert row["storage_key"] in view.waiting, f"{row['state']} without bytes"
            if row["state"] == "purged" and row["purge_due_at"] is None:
                assert row["storage_key"] not in view.waiting, "bytes of a draft nobody will look at again"

    def _check_objects(self, view: View) -> None:
        for name, row in view.objects.items():
            draft = self.drafts[str(row["draft_id"])]
            assert draft.name == name
            assert draft.receipt is not None, "an object without a receipt"
            assert row["final_location"] == draft.receipt["final_location"]
            content = view.main.get(row["storage_key"])
            assert content is not None, f"the bytes of an object are gone: {name}"
            assert content in draft.judged, f"an object of bytes that nobody judged: {content!r}"
            assert len(content) == row["size"]
            self._published[row["storage_key"]] = None
        current = {row["storage_key"] for row in view.objects.values()}
        for key, gone_at in self._published.items():
            if key not in current and gone_at is None:
                self._published[key] = self.age
            if gone_at is not None and self.age < gone_at + URL_GRACE:
                assert key in view.main, "URLs already given out must go on working"

    def _check_buckets(self, view: View) -> None:
        for key, content in view.main.items():
            assert key in view.keys, f"a key of the main bucket without a row: {key}"
            assert view.keys[key]["state"] != "deleted", f"a key that was deleted is there: {key}"
            assert self._written.setdefault(key, content) == content, "a key was written twice"
            draft = self.drafts[str(view.keys[key]["draft_id"])]
            assert content in draft.judged, "bytes in the main bucket that nobody judged"
        assert set(view.waiting) <= {row["storage_key"] for row in view.drafts.values()}

    def _check_confirmations(self, view: View) -> None:
        for row_id, row in view.confirmations.items():
            members = [view.drafts[str(draft_id)] for draft_id in row["draft_ids"]]
            if row_id in self._ended:
                assert row["state"] == self._ended[row_id], "what a caller was told is over has changed"
            if row["state"] in {"confirmed", "rolled_back"}:
                self._ended[row_id] = row["state"]
            mine = [str(member["confirmation_id"]) == row_id for member in members]
            if row["state"] == "confirmed":
                assert all(member["state"] == "confirmed" for member in members), "a bundle in part"
            elif row["state"] == "rolled_back":
                assert not any(
                    own and member["state"] == "confirmed" for own, member in zip(mine, members, strict=True)
                ), "published by a confirmation that was rolled back"

    def _check_holds(self, view: View) -> None:
        objects = {name: str(row["draft_id"]) for name, row in view.objects.items()}
        held: dict[str, Hold] = {}
        for draft_id, row in view.drafts.items():
            if row["state"] == "prepared" and not row["lapsed"]:
                name = row["object_name"]
                assert name not in held, "two hold one name"
                held[name] = Hold(draft_id, row["fence"], objects.get(name))
        for name, hold in self._holds.items():
            if name in held and (held[name].draft_id, held[name].fence) == (hold.draft_id, hold.fence):
                assert objects.get(name) in {hold.object_draft, None}, "published under a name that was held"
        self._holds = held

    async def _check_events(self) -> None:
        sql = "SELECT draft_id, from_state, to_state FROM metadata.events WHERE draft_id = ANY($1::uuid[]) ORDER BY id"
        before = dict.fromkeys(self.drafts, "")
        confirmed = dict.fromkeys(self.drafts, 0)
        for row in await self.whole.database.rows(sql, list(self.drafts)):
            draft_id = str(row["draft_id"])
            if row["to_state"] is None or row["to_state"] == row["from_state"]:
                continue
            assert (row["from_state"] or "") == before[draft_id], "events that do not follow each other"
            assert row["to_state"] in ALLOWED[before[draft_id]], f"{before[draft_id]} → {row['to_state']}"
            before[draft_id] = row["to_state"]
            confirmed[draft_id] += row["to_state"] == "confirmed"
        assert before == {draft_id: draft.state for draft_id, draft in self.drafts.items()}
        assert max(confirmed.values(), default=0) <= 1

    async def _look(self) -> View:
        like = f"{self.folder}/%"
        ids = list(self.drafts)
        rows = self.whole.database.rows
        drafts = await rows(
            "SELECT *, lease_expires_at <= now() AS lapsed FROM metadata.drafts WHERE object_name LIKE $1", like
        )
        objects = await rows("SELECT * FROM metadata.objects WHERE object_name LIKE $1", like)
        keys = await rows("SELECT * FROM metadata.object_keys WHERE draft_id = ANY($1::uuid[])", ids)
        confirmations = await rows("SELECT * FROM metadata.confirmations WHERE draft_ids && $1::uuid[]", ids)
        own = {row["storage_key"] for row in drafts}
        waiting = await self._contents(self.whole.draft, "")
        return View(
            {str(row["id"]): dict(row) for row in drafts},
            {row["object_name"]: dict(row) for row in objects},
            {row["storage_key"]: dict(row) for row in keys},
            {str(row["id"]): dict(row) for row in confirmations},
            await self._contents(self.whole.main, f"{self.folder}/"),
            {key: content for key, content in waiting.items() if key in own},
        )

    async def _contents(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Everything in a bucket, read again where it may have changed."""
        found: dict[str, bytes] = {}
        for key, version in (await asyncio.to_thread(self._versions, bucket, prefix)).items():
            known = (bucket, key, *version)
            if known not in self._bytes:
                self._bytes[known] = await self.whole.store.read(bucket, key)
                head = await self.whole.store.head(bucket, key)
                assert bucket == self.whole.draft or (head and head.cache_control is None), "a header slipped in"
            found[key] = self._bytes[known]
        return found

    def _versions(self, bucket: str, prefix: str) -> dict[str, tuple[str, ...]]:
        answer = self.whole.store._client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        assert not answer["IsTruncated"]
        return {
            found["Key"]: (found["ETag"], str(found["Size"]), str(found["LastModified"]))
            for found in answer.get("Contents", [])
        }
