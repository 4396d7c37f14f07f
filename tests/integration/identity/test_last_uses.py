"""When a key was last used, a little behind and never going back."""

from datetime import datetime
from uuid import UUID

import pytest

from draftstore_common.clients.transport import AsgiLifespan
from draftstore_common.kit.errors import RelayedProblem
from draftstore_identity.app import create_app
from draftstore_identity.service import last_uses
from support.identity import Installation, Revealed, installed, settings
from support.until import until


async def used_at(identity: Installation, key_id: UUID) -> datetime | None:
    """What the row says."""
    (row,) = await identity.sql("SELECT last_used_at FROM identity.keys WHERE id = $1", key_id)
    instant: datetime | None = row["last_used_at"]
    return instant


async def now(identity: Installation) -> datetime:
    """PostgreSQL's clock."""
    (row,) = await identity.sql("SELECT clock_timestamp() AS now")
    instant: datetime = row["now"]
    return instant


async def test_uses_are_written_down_now_and_then(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_uses, "FLUSH_INTERVAL", 0.02)
    async with installed(postgres_url) as identity:
        key, unused = await identity.issue(), await identity.issue()
        before = await now(identity)
        await identity.verify(key.key)
        after = await now(identity)

        async def written() -> bool:
            return await used_at(identity, key.id) is not None

        await until(written, "the use is written down")
        instant = await used_at(identity, key.id)
        assert instant is not None
        assert before <= instant <= after
        assert await used_at(identity, unused.id) is None
        shown = (await identity.call(identity.admin_key, "GET", f"/api/v1/keys/{key.id}")).json()
        assert shown["last_used_at"] is not None


def test_the_interval_is_short_enough_for_what_is_promised() -> None:
    gateway_remembers = 5
    assert last_uses.FLUSH_INTERVAL + last_uses.FLUSH_TIMEOUT + gateway_remembers <= 60


async def test_a_stop_writes_down_what_was_collected(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        key = await identity.issue()
        await identity.verify(key.key)
        assert await used_at(identity, key.id) is None
    assert await used_at(identity, key.id) is not None


async def test_a_refused_key_was_not_used(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        key = await identity.issue(cidrs=["10.0.0.0/8"])
        with pytest.raises(RelayedProblem):
            await identity.verify(key.key, client_ip="192.0.2.1")
    assert await used_at(identity, key.id) is None


async def test_an_instance_that_knows_less_takes_nothing_back(postgres_url: str) -> None:
    async with installed(postgres_url) as late:
        key = await late.issue()
        await late.verify(key.key)
        other = create_app(settings(postgres_url), reveal=Revealed())
        async with AsgiLifespan(other):
            await Installation(other, postgres_url, "", "").verify(key.key)
        latest = await used_at(late, key.id)
    assert latest is not None
    assert await used_at(late, key.id) == latest


async def test_uses_of_a_database_that_was_away_are_written_down_later(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(last_uses, "FLUSH_INTERVAL", 0.02)
    async with installed(postgres_url) as identity:
        key = await identity.issue()
        await identity.sql("REVOKE UPDATE ON identity.keys FROM draftstore_identity")
        await identity.verify(key.key)

        async def failed() -> bool:
            return "uses of keys not written down" in caplog.text

        await until(failed, "writing fails")
        assert await used_at(identity, key.id) is None
        await identity.sql("GRANT UPDATE ON identity.keys TO draftstore_identity")

        async def written() -> bool:
            return await used_at(identity, key.id) is not None

        await until(written, "the use is written down")


async def test_using_a_key_is_no_change_that_gateways_hear_of(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        key = await identity.issue()
        await identity.verify(key.key)
    rows = await identity.sql("SELECT action FROM identity.changes WHERE subject_id = $1", key.id)
    assert [row["action"] for row in rows] == ["created"]
