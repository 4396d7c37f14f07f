"""What the first start makes, exactly once, and never loses."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from draftstore_common.clients.transport import AsgiLifespan
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import Audience, KeyKind, Scope
from draftstore_common.kit.errors import CannotStart, RelayedProblem
from draftstore_identity.app import create_app
from draftstore_identity.bootstrap import print_once
from draftstore_identity.schema import migrate
from support.identity import Installation, Revealed, installed, settings


async def started(url: str, **more: Any) -> Revealed:
    """Start and stop an identity; what its start revealed."""
    revealed = Revealed()
    async with AsgiLifespan(create_app(settings(url, **more), reveal=revealed)):
        return revealed


@asynccontextmanager
async def running(url: str, **more: Any) -> AsyncIterator[Installation]:
    """An identity over an installation that exists already, with an admin key given to it."""
    app = create_app(settings(url, **more), reveal=Revealed())
    async with AsgiLifespan(app):
        yield Installation(app, url, more["admin_api_key"].get_secret_value(), "")


async def count(url: str, table: str) -> int:
    """How many rows a table has."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM identity.{table}"))  # noqa: S608
    finally:
        await connection.close()


async def test_the_first_start_makes_a_tenant_an_admin_key_and_a_data_key(postgres_url: str) -> None:
    async with installed(postgres_url) as identity:
        admin = (await identity.verify(identity.admin_key)).principal
        data = (await identity.verify(identity.data_key)).principal
    assert (admin.kind, admin.scopes) == ("admin", frozenset())
    assert (data.kind, data.tenant_id) == ("data", DEFAULT_TENANT_ID)
    assert data.scopes == frozenset(Scope) - {Scope.KEYS_ADMIN, Scope.AUDIT_READ, Scope.CLEANER_RUN}


async def test_a_second_start_makes_and_reveals_nothing(postgres_url: str) -> None:
    await migrate(postgres_url)
    assert len((await started(postgres_url)).secrets) == 2
    assert (await started(postgres_url)).secrets == []
    assert await count(postgres_url, "keys") == 2


async def test_instances_that_start_together_bootstrap_once(postgres_url: str) -> None:
    await migrate(postgres_url)
    revealed = await asyncio.gather(*(started(postgres_url) for _ in range(4)))
    assert sorted(kind for each in revealed for kind, _ in each.secrets) == ["admin", "data"]
    assert [await count(postgres_url, table) for table in ("tenants", "keys", "signing_keys")] == [1, 2, 1]


async def test_instances_accept_each_others_tokens(postgres_url: str) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(installed(postgres_url))
        other_app = create_app(settings(postgres_url), reveal=Revealed())
        await stack.enter_async_context(AsgiLifespan(other_app))
        other = Installation(other_app, postgres_url, one.admin_key, one.data_key)
        token = (await one.verify(one.admin_key, Audience.IDENTITY)).token
        answer = await other.send("GET", "/api/v1/keys/self", token=token)
    assert answer.status_code == 200


async def test_a_reveal_that_fails_leaves_nothing_and_the_next_start_reveals_anew(postgres_url: str) -> None:
    await migrate(postgres_url)

    def full_disk(*_: str) -> None:
        raise OSError("no space left")

    with pytest.raises(CannotStart, match="no space left"):
        async with AsgiLifespan(create_app(settings(postgres_url), reveal=full_disk)):
            pass
    assert await count(postgres_url, "keys") == 0
    assert {kind for kind, _ in (await started(postgres_url)).secrets} == {"admin", "data"}


async def test_secrets_are_revealed_before_they_exist(postgres_url: str) -> None:
    """So a crash at any moment leaves no key that nobody was told."""
    await migrate(postgres_url)
    seen: list[int] = []
    watcher = await asyncpg.connect(postgres_url)

    class Watching(Revealed):
        def __call__(self, kind: KeyKind, secret: str) -> None:
            super().__call__(kind, secret)
            counting.append(asyncio.ensure_future(watcher.fetchval("SELECT count(*) FROM identity.keys")))

    counting: list[asyncio.Future[int]] = []
    try:
        async with AsgiLifespan(create_app(settings(postgres_url), reveal=Watching())):
            seen = [await future for future in counting[:1]]
    finally:
        await watcher.close()
    assert seen == [0]


async def test_a_given_admin_key_opens_and_is_not_revealed(postgres_url: str) -> None:
    given = SecretStr(api_keys.make("admin"))
    await migrate(postgres_url)
    revealed = await started(postgres_url, admin_api_key=given)
    assert [kind for kind, _ in revealed.secrets] == ["data"]
    async with running(postgres_url, admin_api_key=given) as identity:
        assert (await identity.verify(identity.admin_key)).principal.kind == "admin"
    assert await count(postgres_url, "keys") == 2


async def test_an_admin_key_given_later_is_added(postgres_url: str) -> None:
    given = SecretStr(api_keys.make("admin"))
    async with installed(postgres_url) as first:
        pass
    async with running(postgres_url, admin_api_key=given) as identity:
        assert (await identity.verify(given.get_secret_value())).principal.kind == "admin"
        assert (await identity.verify(first.admin_key)).principal.kind == "admin"


async def test_a_given_admin_key_that_was_revoked_stays_revoked(postgres_url: str) -> None:
    given = SecretStr(api_keys.make("admin"))
    await migrate(postgres_url)
    await started(postgres_url, admin_api_key=given)
    async with running(postgres_url, admin_api_key=given) as identity:
        key_id = (await identity.verify(identity.admin_key)).principal.key_id
        await identity.call(identity.admin_key, "DELETE", f"/api/v1/keys/{key_id}")
    async with running(postgres_url, admin_api_key=given) as identity:
        with pytest.raises(RelayedProblem, match="api_key_revoked"):
            await identity.verify(identity.admin_key)


async def test_a_start_on_an_unmigrated_schema_is_refused(postgres_url: str) -> None:
    with pytest.raises(CannotStart, match="run the migrations first"):
        await started(postgres_url)


async def test_a_signing_key_with_a_passphrase_is_encrypted_and_opens_with_no_other(postgres_url: str) -> None:
    passphrase = SecretStr("correct horse")
    async with installed(postgres_url, signing_key_secret=passphrase) as identity:
        await identity.verify(identity.data_key)
        (row,) = await identity.sql("SELECT private_pem FROM identity.signing_keys")
    assert row["private_pem"].startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    for wrong in (SecretStr("battery staple"), None):
        with pytest.raises(CannotStart, match="SIGNING_KEY_SECRET"):
            await started(postgres_url, signing_key_secret=wrong)
    await started(postgres_url, signing_key_secret=passphrase)


def test_a_secret_is_printed_as_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_once("admin", "ds_admin_x")
    print_once("data", "ds_live_y")
    assert re.findall(r"^.+$", capsys.readouterr().err, re.MULTILINE) == [
        "Admin API Key: ds_admin_x",
        "Data API Key: ds_live_y",
    ]
