"""Tokens that the kit's verifier accepts, and only for what they are."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from draftstore_common.access import Access
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import (
    PRINCIPAL_TOKEN,
    SERVICE_TOKEN,
    Audience,
    Principal,
    Scope,
    ServiceName,
)
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.tokens import LEEWAY, JwksCache, TokenRefused, TokenVerifier
from draftstore_identity.signing import StoredSigningKey, TokenIssuer, new_signing_key, open_signing_key

PRINCIPAL = Principal(
    tenant_id=DEFAULT_TENANT_ID,
    key_id=uuid7(),
    lineage=uuid7(),
    kind="data",
    scopes=frozenset({Scope.DRAFTS_READ}),
    name_prefixes=("a/",),
)


def verifier(*keys: StoredSigningKey) -> TokenVerifier:
    """A verifier that knows these keys."""

    async def fetch() -> Mapping[str, Any]:
        return {"keys": [key.public_jwk for key in keys]}

    return TokenVerifier(JwksCache(fetch))


def issuer(key: StoredSigningKey, *, age: timedelta = timedelta()) -> TokenIssuer:
    """An issuer whose tokens are this old."""
    return TokenIssuer(open_signing_key(key, None), clock=lambda: datetime.now(UTC) - age)


KEY = new_signing_key(None)


async def test_a_principal_survives_the_way_through_a_token() -> None:
    token, _ = issuer(KEY).principal(PRINCIPAL, Audience.DRAFTS, until=None)
    assert await Access(verifier(KEY), Audience.DRAFTS).principal(f"Bearer {token}") == PRINCIPAL


async def test_a_service_token_names_the_service() -> None:
    answer = issuer(KEY).service(ServiceName.DRAFTS, Audience.STORAGE)
    assert await Access(verifier(KEY), Audience.STORAGE).service(f"Bearer {answer.token}") == ServiceName.DRAFTS


async def test_a_token_opens_one_service_only() -> None:
    token, _ = issuer(KEY).principal(PRINCIPAL, Audience.DRAFTS, until=None)
    for audience in set(Audience) - {Audience.DRAFTS}:
        with pytest.raises(TokenRefused):
            await verifier(KEY).verify(token, audience=audience, kind=PRINCIPAL_TOKEN, read=dict)


async def test_a_token_of_one_kind_is_none_of_the_other() -> None:
    token, _ = issuer(KEY).principal(PRINCIPAL, Audience.DRAFTS, until=None)
    with pytest.raises(TokenRefused):
        await verifier(KEY).verify(token, audience=Audience.DRAFTS, kind=SERVICE_TOKEN, read=dict)


async def test_a_token_is_refused_once_it_expired() -> None:
    fresh, _ = issuer(KEY, age=timedelta(seconds=60)).principal(PRINCIPAL, Audience.DRAFTS, until=None)
    stale, _ = issuer(KEY, age=timedelta(seconds=61 + LEEWAY)).principal(PRINCIPAL, Audience.DRAFTS, until=None)
    await verifier(KEY).verify(fresh, audience=Audience.DRAFTS, kind=PRINCIPAL_TOKEN, read=dict)
    with pytest.raises(TokenRefused):
        await verifier(KEY).verify(stale, audience=Audience.DRAFTS, kind=PRINCIPAL_TOKEN, read=dict)


async def test_a_token_of_an_unpublished_key_is_refused() -> None:
    token, _ = issuer(new_signing_key(None)).principal(PRINCIPAL, Audience.DRAFTS, until=None)
    with pytest.raises(TokenRefused):
        await verifier(KEY).verify(token, audience=Audience.DRAFTS, kind=PRINCIPAL_TOKEN, read=dict)


async def test_no_two_tokens_are_the_same() -> None:
    tokens = {issuer(KEY).principal(PRINCIPAL, Audience.DRAFTS, until=None)[0] for _ in range(3)}
    assert len(tokens) == 3


def test_an_encrypted_signing_key_opens_with_its_passphrase_only() -> None:
    stored = new_signing_key(b"correct horse")
    assert open_signing_key(stored, b"correct horse").kid == stored.kid
    for wrong in (b"battery staple", None):
        with pytest.raises(CannotStart, match="SIGNING_KEY_SECRET"):
            open_signing_key(stored, wrong)


def test_a_plain_signing_key_still_opens_after_a_passphrase_was_set() -> None:
    assert open_signing_key(KEY, b"set later").kid == KEY.kid


def test_a_public_key_holds_nothing_private() -> None:
    assert "d" not in KEY.public_jwk
