"""Signing keys are replaced without a token being refused; one that leaked is withdrawn without delay."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
import pytest_asyncio
from pydantic import SecretStr

from draftstore_common.clients.identity import jwks_fetcher
from draftstore_common.clients.transport import AsgiLifespan, AsgiTransport
from draftstore_common.contracts.identity import PRINCIPAL_TOKEN, Audience, ChangesRequest
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.tokens import JwksCache, TokenRefused, TokenVerifier
from draftstore_identity.app import create_app
from draftstore_identity.author import ITSELF, OPERATOR
from draftstore_identity.service.signing_keys import SigningKeyService, SigningKeyWatch
from draftstore_identity.signing import TokenIssuer, new_signing_key, open_signing_key
from draftstore_identity.store import IdentityStore
from support.identity import Installation, Revealed, installed, settings
from support.until import until

LIFETIME = timedelta(days=30)
PASSPHRASE = "correct horse"
COOLDOWN = timedelta(seconds=3)
"""After which a service asks again for a key it does not know."""


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(postgres_url: str) -> AsyncIterator[Installation]:
    """An installation whose signing keys are encrypted."""
    async with installed(postgres_url, signing_key_secret=SecretStr(PASSPHRASE)) as installation:
        yield installation


@pytest.fixture
def keys(fresh: Installation) -> SigningKeyService:
    """What the command and the watch use."""
    return SigningKeyService(store_of(fresh), PASSPHRASE.encode())


def store_of(identity: Installation) -> IdentityStore:
    store: IdentityStore = identity.app.state.context.store
    return store


async def published(identity: Installation) -> list[str]:
    """Ids of the public keys, the latest to sign first."""
    document = (await identity.send("GET", "/.well-known/jwks.json")).json()
    assert all("d" not in key for key in document["keys"])
    return [key["kid"] for key in document["keys"]]


async def signer(identity: Installation) -> str:
    """The id of the key that signs."""
    verdict = await identity.verify(identity.data_key)
    return str(jwt.get_unverified_header(verdict.token)["kid"])


async def pass_time(identity: Installation, time: timedelta) -> None:
    """Let every signing key be older by that much."""
    columns = ("created_at", "active_at", "retire_at")
    moved = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
    await identity.sql(f"UPDATE identity.signing_keys SET {moved}", time)  # noqa: S608  constants
    age_cache(identity, time)
    await identity.sql("SELECT pg_notify('draftstore_identity_changes', '')")


def age_cache(identity: Installation, time: timedelta) -> None:
    """Let what identity itself remembers of the public keys be older by that much."""
    cache = identity.app.state.context.access._verifier._keys
    cache._fetched -= time.total_seconds()
    cache._attempted -= time.total_seconds()


async def until_signed_by(identity: Installation, kid: str) -> None:
    async def signs() -> bool:
        return await signer(identity) == kid

    await until(signs, f"tokens are signed by {kid}")


async def accepts(identity: Installation, token: str, keys: JwksCache | None = None) -> bool:
    """Whether a service that fetches the public keys now takes the token."""
    verifier = TokenVerifier(keys or JwksCache(jwks_fetcher(AsgiTransport(identity.app))))
    try:
        await verifier.verify(token, audience=Audience.DRAFTS, kind=PRINCIPAL_TOKEN, read=dict)
    except TokenRefused:
        return False
    return True


async def test_a_rotation_is_overlapped_on_both_sides(fresh: Installation, keys: SigningKeyService) -> None:
    old = await signer(fresh)
    old_token = (await fresh.verify(fresh.data_key)).token
    await pass_time(fresh, LIFETIME - timedelta(minutes=9))
    await keys.renew_if_due(LIFETIME)
    (new, _) = await published(fresh)
    assert await signer(fresh) == old, "published, and does not sign yet"

    before = JwksCache(jwks_fetcher(AsgiTransport(fresh.app)))
    assert await accepts(fresh, old_token, before)
    await pass_time(fresh, timedelta(minutes=10))
    await until_signed_by(fresh, new)
    assert await published(fresh) == [new, old], "tokens of the old one are still about"
    assert await accepts(fresh, old_token)
    assert await accepts(fresh, (await fresh.verify(fresh.data_key)).token, before), "a service knew it in time"

    await pass_time(fresh, timedelta(minutes=10))
    assert await published(fresh) == [new]
    assert not await accepts(fresh, old_token)
    assert await signer(fresh) == new


async def test_a_running_service_rotates_by_itself_when_the_time_has_come(fresh: Installation) -> None:
    old = await signer(fresh)
    await pass_time(fresh, LIFETIME)

    async def is_published() -> bool:
        return len(await published(fresh)) == 2

    await until(is_published, "the next key is published")
    new = (await published(fresh))[0]
    assert await signer(fresh) == old
    await pass_time(fresh, timedelta(minutes=10))
    await until_signed_by(fresh, new)
    assert await published(fresh) == [new, old]


async def test_instances_that_find_a_rotation_due_together_publish_one_key(
    fresh: Installation, keys: SigningKeyService
) -> None:
    await pass_time(fresh, LIFETIME)
    await asyncio.gather(*(keys.renew_if_due(LIFETIME) for _ in range(5)))
    assert len(await published(fresh)) == 2


async def test_nothing_happens_before_it_is_due(fresh: Installation, keys: SigningKeyService) -> None:
    await pass_time(fresh, LIFETIME - timedelta(minutes=11))
    before = await published(fresh)
    await keys.renew_if_due(LIFETIME)
    assert await published(fresh) == before


async def test_asking_for_the_next_key_twice_makes_one(fresh: Installation, keys: SigningKeyService) -> None:
    assert await keys.renew(OPERATOR) == await keys.renew(OPERATOR)
    assert len(await published(fresh)) == 2


async def test_a_key_that_leaked_is_replaced_at_once_by_every_instance(
    fresh: Installation, keys: SigningKeyService
) -> None:
    other = create_app(settings(fresh.database_url, signing_key_secret=SecretStr(PASSPHRASE)), reveal=Revealed())
    async with AsgiLifespan(other):
        beside = Installation(other, fresh.database_url, fresh.admin_key, fresh.data_key)
        leaked = (await fresh.verify(fresh.data_key)).token
        await beside.verify(fresh.data_key)
        await keys.renew(OPERATOR)
        for instance in (fresh, beside):
            age_cache(instance, COOLDOWN)
        new = await keys.replace(OPERATOR)
        await until_signed_by(fresh, new.kid)
        await until_signed_by(beside, new.kid)
        assert len(await published(fresh)) == 2, "the one that waited is gone; the leaked one has ten seconds"
        await pass_time(fresh, timedelta(seconds=11))
        assert await published(fresh) == [new.kid]
        assert not await accepts(fresh, leaked)
        assert await signer(beside) == new.kid


async def test_a_service_goes_on_calling_after_the_key_of_its_token_was_withdrawn(
    fresh: Installation, keys: SigningKeyService
) -> None:
    gateway = fresh.client()
    await gateway.changes(ChangesRequest())
    age_cache(fresh, COOLDOWN)
    new = await keys.replace(OPERATOR)
    await until_signed_by(fresh, new.kid)
    await pass_time(fresh, timedelta(minutes=3))
    assert (await gateway.changes(ChangesRequest())).sequence > 0


async def test_private_halves_of_retired_keys_are_not_kept(fresh: Installation, keys: SigningKeyService) -> None:
    first = await keys.replace(OPERATOR)
    await pass_time(fresh, timedelta(seconds=11))
    second = await keys.replace(OPERATOR)
    kept = await fresh.sql("SELECT kid FROM identity.signing_keys")
    assert {row["kid"] for row in kept} == {first.kid, second.kid}


async def test_every_key_is_encrypted_as_the_first(fresh: Installation, keys: SigningKeyService) -> None:
    await keys.replace(OPERATOR)
    rows = await fresh.sql("SELECT private_pem FROM identity.signing_keys")
    assert all(b"ENCRYPTED" in row["private_pem"] for row in rows)
    for wrong in (None, b"battery staple"):
        with pytest.raises(CannotStart, match="SIGNING_KEY_SECRET"):
            await SigningKeyService(store_of(fresh), wrong).replace(OPERATOR)


async def test_each_new_key_is_on_record_with_who_wanted_it(fresh: Installation, keys: SigningKeyService) -> None:
    await pass_time(fresh, LIFETIME)
    await keys.renew_if_due(LIFETIME)
    await keys.replace(OPERATOR)
    query = "SELECT * FROM identity.audit WHERE target_type = 'signing_key' ORDER BY id"
    rows = await fresh.sql(query)
    assert [(row["actor"], row["action"]) for row in rows] == [
        (ITSELF.actor, "signing_key.published"),
        ("operator", "signing_key.replaced"),
    ]
    assert b"PRIVATE" not in str([dict(row) for row in rows]).encode()


async def test_an_instance_that_cannot_open_the_new_key_goes_on_with_the_one_it_has_and_says_so(
    fresh: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = TokenIssuer(open_signing_key(held := new_signing_key(None), None))
    bell = fresh.app.state.context.feed._bell
    async with SigningKeyWatch(store_of(fresh), tokens, bell, passphrase=b"another one", lifetime=LIFETIME):

        async def has_said_so() -> bool:
            return any("cannot be used" in record.message for record in caplog.records)

        await until(has_said_so, "the log says it")
    assert tokens.kid == held.kid


async def command(*arguments: str, **environment: str) -> tuple[int | None, dict[str, Any] | None, str]:
    """Exit status, report and messages of `python -m draftstore_identity`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "draftstore_identity", *arguments, env=environment, stdout=PIPE, stderr=PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, json.loads(out) if out else None, errors.decode()


async def test_the_command_publishes_the_next_key_and_with_now_replaces_the_present_one(fresh: Installation) -> None:
    environment = {"DATABASE_URL": fresh.database_url, "SIGNING_KEY_SECRET": PASSPHRASE}
    old = await signer(fresh)
    status, report, errors = await command("rotate-signing-key", **environment)
    assert (status, errors) == (0, "")
    assert report is not None
    assert await published(fresh) == [report["kid"], old]
    age_cache(fresh, COOLDOWN)
    status, report, errors = await command("rotate-signing-key", "--now", **environment)
    assert (status, errors) == (0, "")
    assert report is not None
    await until_signed_by(fresh, report["kid"])


async def test_the_command_without_the_passphrase_makes_no_key(fresh: Installation) -> None:
    before = await published(fresh)
    status, report, errors = await command("rotate-signing-key", "--now", DATABASE_URL=fresh.database_url)
    assert (status, report, len(errors.splitlines())) == (2, None, 1)
    assert "SIGNING_KEY_SECRET" in errors
    assert await published(fresh) == before
