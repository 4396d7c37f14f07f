"""The feed of changes: a gateway learns at once what it has to forget, and never misses a change without being told."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceMisconfigured, ServiceTokens
from draftstore_common.clients.transport import AsgiLifespan, HttpTransport
from draftstore_common.contracts.identity import Changes, ChangesRequest, ServiceName
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import RelayedProblem
from draftstore_identity import bell as bell_module
from draftstore_identity.app import create_app
from draftstore_identity.service import feed as feed_module
from draftstore_standalone.servers import PostgresServer
from support.child import Child
from support.identity import SERVICE_KEYS, SERVICE_SECRETS, Installation, Revealed, installed, settings
from support.ports import free_port
from support.stack_base import answers
from support.until import until

LONG = 25.0
"""Seconds of waiting that no test waits for."""


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(postgres_url: str) -> AsyncIterator[Installation]:
    """An installation of one test's own: nobody else changes anything."""
    async with installed(postgres_url) as installation:
        await until(partial(_listens, installation), "it listens")
        yield installation


async def _listens(identity: Installation) -> bool:
    return bool(identity.app.state.context.feed._bell.listening)


async def ask(identity: Installation, after: int | None = None, wait: float = 0) -> Changes:
    """What the gateway is told."""
    return await identity.client().changes(ChangesRequest(after=after, wait=wait))


def subjects(found: Changes) -> list[tuple[str, UUID]]:
    return [(change.subject, change.subject_id) for change in found.changes]


async def waiting(identity: Installation, after: int, wait: float = LONG) -> asyncio.Task[Changes]:
    """A poll that has looked once, and waits now."""
    task = asyncio.create_task(ask(identity, after, wait))
    await asyncio.sleep(0.1)  # it may also come later: then it finds what it would have been woken for
    assert not task.done()
    return task


async def test_without_a_number_the_answer_is_the_present_one_at_once(fresh: Installation) -> None:
    now = await asyncio.wait_for(ask(fresh, None, LONG), 5)
    assert (now.changes, now.reset) == ([], False)
    assert now.sequence == (await fresh.verify(fresh.data_key)).sequence


async def test_changes_come_in_the_order_of_their_commits_and_the_next_question_begins_after_them(
    fresh: Installation,
) -> None:
    start = (await ask(fresh)).sequence
    key = await fresh.issue()
    tenant = await fresh.tenant()
    await fresh.call(fresh.admin_key, "DELETE", f"/api/v1/keys/{key.id}")
    found = await ask(fresh, start)
    assert subjects(found) == [("key", key.id), ("tenant", UUID(tenant)), ("key", key.id)]
    assert found.sequence == start + 3
    assert await ask(fresh, found.sequence) == Changes(sequence=found.sequence)


async def test_whoever_waits_is_woken_by_a_commit(fresh: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell_module, "HEARTBEAT", 60.0)  # so that nothing but the bell can wake it
    start = (await ask(fresh)).sequence
    polls = [await waiting(fresh, start) for _ in range(3)]
    key = await fresh.issue()
    for found in await asyncio.wait_for(asyncio.gather(*polls), 5):
        assert subjects(found) == [("key", key.id)]


async def test_whoever_waits_is_woken_by_what_another_instance_committed(
    fresh: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell_module, "HEARTBEAT", 60.0)
    other = create_app(settings(fresh.database_url), reveal=Revealed())
    async with AsgiLifespan(other):
        poll = await waiting(fresh, (await ask(fresh)).sequence)
        beside = Installation(other, fresh.database_url, fresh.admin_key, fresh.data_key)
        key = await beside.issue()
        assert subjects(await asyncio.wait_for(poll, 5)) == [("key", key.id)]


async def test_a_wait_without_a_change_ends_in_time_with_the_same_number(fresh: Installation) -> None:
    start = (await ask(fresh)).sequence
    assert await asyncio.wait_for(ask(fresh, start, 0.3), 5) == Changes(sequence=start)


async def test_a_wait_ends_before_the_callers_own_time(fresh: Installation) -> None:
    start = (await ask(fresh)).sequence

    async def hurried() -> Changes:
        set_timeout(feed_module.TO_ANSWER + 0.3)
        return await ask(fresh, start, LONG)

    assert await asyncio.wait_for(asyncio.create_task(hurried()), 5) == Changes(sequence=start)


async def test_a_number_ahead_of_the_counter_is_a_reset(fresh: Installation) -> None:
    """The database is an older copy of itself."""
    now = (await ask(fresh)).sequence
    assert await asyncio.wait_for(ask(fresh, now + 5, LONG), 5) == Changes(sequence=now, reset=True)


async def test_a_number_whose_followers_were_trimmed_is_a_reset(fresh: Installation) -> None:
    for _ in range(4):
        await fresh.issue()
    now = (await ask(fresh)).sequence
    await fresh.sql("DELETE FROM identity.changes WHERE sequence < $1", now - 1)
    assert await ask(fresh, now - 3) == Changes(sequence=now, reset=True)
    assert [change.sequence for change in (await ask(fresh, now - 2)).changes] == [now - 1, now]
    await fresh.sql("DELETE FROM identity.changes WHERE sequence < $1", now)
    assert await ask(fresh, now) == Changes(sequence=now), "whoever was up to date has missed nothing"


async def test_whoever_is_far_behind_gets_it_in_parts(fresh: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "AT_ONCE", 2)
    start = (await ask(fresh)).sequence
    keys = [(await fresh.issue()).id for _ in range(5)]
    seen: list[UUID] = []
    while len(seen) < len(keys):
        found = await ask(fresh, start)
        assert found.sequence == start + len(found.changes)
        start, seen = found.sequence, seen + [change.subject_id for change in found.changes]
    assert seen == keys


async def test_nothing_is_missed_while_it_does_not_listen_and_it_listens_again(fresh: Installation) -> None:
    start = (await ask(fresh)).sequence
    query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    (listener,) = await fresh.sql(query)
    poll = await waiting(fresh, start)
    await fresh.sql("SELECT pg_terminate_backend($1)", listener["pid"])
    key = await fresh.issue()
    assert subjects(await asyncio.wait_for(poll, 10)) == [("key", key.id)]

    async def listens_anew() -> bool:
        return [row["pid"] for row in await fresh.sql(query)] not in ([], [listener["pid"]])

    await until(listens_anew, "it listens on another connection")


async def test_only_the_gateway_may_ask(fresh: Installation) -> None:
    for service in set(ServiceName) - {ServiceName.GATEWAY}:
        with pytest.raises(ServiceMisconfigured):
            await fresh.client(service).changes(ChangesRequest())


async def test_a_database_that_is_away_is_503_and_the_feed_goes_on_when_it_is_back(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server, installed(server.url) as identity:
        start = (await ask(identity)).sequence
        await server.kill()
        with pytest.raises(RelayedProblem) as refused:
            await ask(identity, start, 1)
        assert refused.value.http_status == 503
        await server.start()
        poll = asyncio.create_task(ask(identity, start, LONG))
        key = await identity.issue()
        assert subjects(await asyncio.wait_for(poll, 10)) == [("key", key.id)]
        await until(partial(_listens, identity), "it listens again")


async def test_a_process_that_is_told_to_end_does_not_wait_for_a_poll(fresh: Installation, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "DATABASE_URL": fresh.database_url,
        "SERVICE_KEYS": ",".join(f"{name}={digest}" for digest, name in SERVICE_KEYS.items()),
        "HTTP_PORT": str(port),
        "SHUTDOWN_GRACE": "60",
    }
    child = Child("identity", ("draftstore_identity",), environment=environment, folder=tmp_path)
    child.start()
    await child.ready(partial(answers, f"http://127.0.0.1:{port}/health/ready"))
    async with HttpTransport(f"http://127.0.0.1:{port}") as transport:
        client = IdentityClient(transport, ServiceTokens(transport, SERVICE_SECRETS[ServiceName.GATEWAY]))
        start = (await client.changes(ChangesRequest())).sequence
        poll = asyncio.create_task(client.changes(ChangesRequest(after=start, wait=LONG)))
        await asyncio.sleep(0.3)
        assert not poll.done()
        await asyncio.wait_for(child.stop(), 15)
        assert await poll == Changes(sequence=start)
