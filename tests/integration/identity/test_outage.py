"""PostgreSQL goes away, or an instance goes silent: what is refused comes back by itself, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.database import DatabaseUnavailable, engine
from draftstore_common.kit.errors import RelayedProblem
from draftstore_identity import store as store_module
from draftstore_identity.store import IdentityStore
from draftstore_standalone.servers import PostgresServer
from support.identity import Installation, installed
from support.until import until


async def test_a_database_that_is_away_is_503_and_keys_work_again_when_it_is_back(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server, installed(server.url) as identity:
        key = await identity.issue()
        await server.kill()
        with pytest.raises(RelayedProblem) as refused:
            await identity.verify(key.key)
        ready = await identity.send("GET", "/health/ready")
        await server.start()
        assert (refused.value.http_status, refused.value.code) == (503, "database_unavailable")
        assert refused.value.retry_after is not None
        assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "unavailable"})
        assert (await identity.verify(key.key)).principal.key_id == key.id
        await until(partial(_ready, identity), "identity is ready again")


async def _ready(identity: Installation) -> bool:
    return (await identity.send("GET", "/health/ready")).status_code == 200


async def test_an_instance_that_goes_silent_in_a_change_does_not_hold_up_the_others(
    identity: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "STALLED_CHANGE", "100ms")
    key = await identity.issue()
    with pytest.raises(DatabaseUnavailable):
        await _revoke_but_fall_silent(identity, key.id)
    assert (await identity.verify(key.key)).principal.key_id == key.id


@asynccontextmanager
async def _another_instance(identity: Installation) -> AsyncIterator[IdentityStore]:
    """The store of another instance on the same database."""
    database = engine(identity.database_url, size=1)
    try:
        yield IdentityStore(database)
    finally:
        await database.dispose()


async def _revoke_but_fall_silent(identity: Installation, key_id: UUID) -> None:
    store: IdentityStore = identity.app.state.context.store
    async with _another_instance(identity) as elsewhere, store.change() as silent:
        await silent.keys.revoke(key_id)
        async with asyncio.timeout(20), elsewhere.change() as other:
            key = await other.keys.get(key_id)
            assert key is not None
            assert key.revoked_at is None
        await silent.keys.get(key_id)


async def test_a_request_whose_time_is_over_waits_for_no_other_change(identity: Installation) -> None:
    store: IdentityStore = identity.app.state.context.store
    async with store.change():
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(_change_within(0.1, store), 5)
    async with store.change():
        pass


async def _change_within(seconds: float, store: IdentityStore) -> None:
    set_timeout(seconds)
    async with store.change():
        raise AssertionError("two changes at once")


async def test_changes_that_wait_for_each_other_leave_connections_to_verify_keys_with(identity: Installation) -> None:
    key = await identity.issue()
    more_than_connections = range(20)
    async with _another_instance(identity) as elsewhere:
        async with elsewhere.change():
            waiting = [asyncio.create_task(identity.tenant()) for _ in more_than_connections]
            for _ in more_than_connections:
                assert (await asyncio.wait_for(identity.verify(key.key), 5)).principal.key_id == key.id
            assert not any(task.done() for task in waiting)
        assert len(set(await asyncio.gather(*waiting))) == len(more_than_connections)


async def test_no_more_connections_are_made_than_the_setting_allows(identity: Installation) -> None:
    database = engine(identity.database_url, size=1)
    store = IdentityStore(database)
    async with store.read() as reader:
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(_read_within(0.1, store), 5)
        await reader.signing_keys.public()
    await store.check()
    await database.dispose()


async def _read_within(seconds: float, store: IdentityStore) -> None:
    set_timeout(seconds)
    await store.check()
