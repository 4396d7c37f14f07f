"""The network fails between the services and what they stand on: cut off, or an answer that never arrives."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from support.installation import LEASE, Installation, site
from support.lives import Life, Point, stalled
from support.promises import confirmed_once, nothing_is_left_but_objects
from support.proxy import Proxy
from support.servers import Postgres, Store
from support.until import until


@dataclass(frozen=True)
class Lines:
    """The services' ways to PostgreSQL and to the store."""

    rows: Proxy
    bytes: Proxy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lines(postgres: Postgres, store: Store) -> AsyncIterator[Lines]:
    """Both ways, as proxies."""
    async with Proxy(postgres.url) as rows, Proxy(store.endpoint) as content:
        yield Lines(rows, content)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def whole(postgres: Postgres, store: Store, lines: Lines) -> AsyncIterator[Installation]:
    """A suite at the end of those lines."""
    async with site(postgres.url, store, rows=lines.rows, store=lines.bytes) as ground, ground.running() as running:
        yield running


CUTS = [
    ("rows", "/confirm/claim"),
    ("bytes", "/objects/head"),
    ("rows", "/reserve-keys"),
    ("bytes", "/objects/copy"),
    ("rows", "/confirm/publish"),
    ("bytes", "/objects/delete"),
]


@pytest.mark.parametrize(("line", "step"), CUTS)
async def test_a_confirm_that_was_cut_off_is_confirmed_once_when_the_line_is_back(
    whole: Installation, lines: Lines, line: str, step: str
) -> None:
    proxy: Proxy = getattr(lines, line)
    life = Life(freezes=Point(1, "before", step))
    draft = await whole.upload(f"cut{step}.bin", step.encode())
    async with whole.process(life) as process:
        confirm = await stalled(life, process.confirm(draft))
        assert life.reached.is_set()
        proxy.cut()
        life.thaw()
        reply = await confirm
        await proxy.restore()
    assert reply.status == (200 if step == "/objects/delete" else 503)
    await whole.pass_time([draft], LEASE)
    await confirmed_once(whole, draft, step.encode(), reply)
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


async def test_a_publish_whose_commit_was_never_answered_is_the_receipt_of_every_repeat(
    whole: Installation, lines: Lines
) -> None:
    life = Life(freezes=Point(1, "before", "/confirm/publish"))
    draft = await whole.upload("cut/commit.bin", b"committed")

    async def committed() -> bool:
        return bool((await whole.row(draft))["state"] == "confirmed")

    async with whole.process(life) as process:
        confirm = await stalled(life, process.confirm(draft))
        watch = lines.rows.watch(b"COMMIT;", lines.rows.lose_answers)
        life.thaw()
        await until(committed, "the transaction is committed")
        assert not confirm.done()
        lines.rows.cut()
        lines.rows.forget(watch)
        reply = await confirm
        await lines.rows.restore()
    assert reply.status == 503
    await confirmed_once(whole, draft, b"committed", reply)
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])


async def test_a_copy_that_was_never_answered_is_made_again(whole: Installation, lines: Lines) -> None:
    draft = await whole.upload("cut/copy.bin", b"copied twice")
    watch = lines.bytes.watch(b"\r\nx-amz-copy-source:", lines.bytes.lose_answers)

    async def copied() -> bool:
        return await whole.store.head(whole.main, "cut/copy.bin") is not None

    confirm = asyncio.create_task(whole.door.confirm(draft))
    await until(copied, "the copy is there")
    watch.act = None
    lines.bytes.cut()
    await lines.bytes.restore()
    reply = await confirm
    assert (reply.status, watch.seen) == (200, 2)
    await confirmed_once(whole, draft, b"copied twice", reply)
    await whole.clean_up_after([draft])
    await nothing_is_left_but_objects(whole, [draft])
