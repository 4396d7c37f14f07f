"""Principals from tokens: whole, or not at all."""

from typing import Any

import pytest

from draftstore_common.access import Access, principal_claims
from draftstore_common.clients.identity import jwks_fetcher
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import PRINCIPAL_TOKEN, Audience, Principal, Scope
from draftstore_common.kit.ids import uuid7
from draftstore_common.kit.tokens import JwksCache, TokenRefused, TokenVerifier
from support.issuer import Issuer

PRINCIPAL = Principal(
    tenant_id=DEFAULT_TENANT_ID,
    key_id=uuid7(),
    lineage=uuid7(),
    kind="data",
    scopes=frozenset({Scope.OBJECTS_READ}),
    name_prefixes=("a/",),
    access_audit="full",
)
CLAIMS = principal_claims(PRINCIPAL)


async def read(claims: dict[str, Any]) -> Principal:
    """The principal that a service reads from a token with these claims."""
    issuer = Issuer()
    subject = claims.get("sub", "nobody")
    text = issuer.token(subject, Audience.DRAFTS, typ=PRINCIPAL_TOKEN, **claims)
    access = Access(TokenVerifier(JwksCache(jwks_fetcher(issuer))), Audience.DRAFTS)
    return await access.principal(f"Bearer {text}")


async def test_what_is_written_is_what_is_read() -> None:
    assert await read(CLAIMS) == PRINCIPAL


@pytest.mark.parametrize("missing", sorted(set(CLAIMS) - {"sub"}))
async def test_a_principal_that_lacks_a_claim_is_refused_and_the_log_says_which(
    missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TokenRefused):
        await read({name: value for name, value in CLAIMS.items() if name != missing})
    assert missing in caplog.text or any(missing in str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": "no id"},
        {"tenant": "no id"},
        {"tenant": None},
        {"lineage": 7},
        {"kind": "root"},
        {"scopes": None},
        {"prefixes": [7]},
        {"audit": "sometimes"},
    ],
    ids=str,
)
async def test_a_principal_with_a_claim_of_another_kind_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        await read({**CLAIMS, **wrong})


async def test_scopes_of_a_newer_release_are_passed_over() -> None:
    assert await read({**CLAIMS, "scopes": ["objects:read", "planets:move"]}) == PRINCIPAL
