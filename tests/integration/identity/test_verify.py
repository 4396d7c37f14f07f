"""Whose a key is, why it opens nothing, and for whom a token is good."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from draftstore_common.access import Access
from draftstore_common.clients.identity import jwks_fetcher
from draftstore_common.clients.service_tokens import ServiceMisconfigured, ServiceTokens
from draftstore_common.clients.transport import AsgiTransport
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.base import DEFAULT_TENANT_ID
from draftstore_common.contracts.identity import PRINCIPAL_TOKEN, Audience, Scope, ServiceName, VerifyRequest
from draftstore_common.kit.errors import RelayedProblem
from draftstore_common.kit.tokens import JwksCache, TokenRefused, TokenVerifier
from support.identity import SERVICE_SECRETS, Installation


def verifier(identity: Installation) -> TokenVerifier:
    """The verifier every service has, with keys fetched as services fetch them."""
    return TokenVerifier(JwksCache(jwks_fetcher(AsgiTransport(identity.app))))


async def refusal(identity: Installation, secret: str, client_ip: str | None = None) -> tuple[int, str]:
    """Status and code of the problem a secret is refused with."""
    with pytest.raises(RelayedProblem) as refused:
        await identity.verify(secret, client_ip=client_ip)
    return refused.value.http_status, refused.value.code


async def test_a_good_key_is_told_with_its_tenant_scopes_and_limits(identity: Installation) -> None:
    limits = [{"amount": 5, "seconds": 60}]
    key = await identity.issue(
        scopes=["drafts:read", "drafts:write"], name_prefixes=["a/"], cidrs=["10.0.0.0/8"], rate_limits=limits
    )
    verdict = await identity.verify(key.key, client_ip="10.1.2.3")
    assert verdict.principal.key_id == key.id
    assert verdict.principal.tenant_id == DEFAULT_TENANT_ID
    assert verdict.principal.scopes == {Scope.DRAFTS_READ, Scope.DRAFTS_WRITE}
    assert verdict.principal.name_prefixes == ("a/",)
    assert [limit.model_dump() for limit in verdict.rate_limits or []] == limits
    assert [str(network) for network in verdict.cidrs] == ["10.0.0.0/8"]


async def test_a_key_without_limits_and_a_key_with_the_default_are_told_apart(identity: Installation) -> None:
    unlimited = await identity.issue(rate_limits=[])
    default = await identity.issue()
    assert (await identity.verify(unlimited.key)).rate_limits == []
    assert (await identity.verify(default.key)).rate_limits is None


async def test_the_token_carries_the_principal_to_the_audience_it_was_asked_for(identity: Installation) -> None:
    key = await identity.issue(scopes=["drafts:confirm"], name_prefixes=["b/"])
    verdict = await identity.verify(key.key)
    access = Access(verifier(identity), Audience.DRAFTS)
    assert await access.principal(f"Bearer {verdict.token}") == verdict.principal


async def test_the_token_of_a_key_lives_a_minute(identity: Installation) -> None:
    before = datetime.now(UTC)
    verdict = await identity.verify((await identity.issue()).key)
    after = datetime.now(UTC)
    assert before + timedelta(seconds=59) <= verdict.token_expires_at <= after + timedelta(seconds=60)


async def test_the_token_of_a_key_does_not_outlive_the_key(identity: Installation) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=30)
    key = await identity.issue(expires_at=expires_at.isoformat())
    assert (await identity.verify(key.key)).token_expires_at <= expires_at


async def test_a_token_for_one_service_is_refused_by_another(identity: Installation) -> None:
    verdict = await identity.verify(identity.data_key, Audience.DRAFTS)
    with pytest.raises(TokenRefused):
        await verifier(identity).verify(verdict.token, audience=Audience.IDENTITY, kind=PRINCIPAL_TOKEN, read=dict)


async def test_a_service_token_is_no_principal(identity: Installation) -> None:
    token = await ServiceTokens(AsgiTransport(identity.app), SERVICE_SECRETS[ServiceName.GATEWAY]).token(
        Audience.DRAFTS
    )
    access = Access(verifier(identity), Audience.DRAFTS)
    assert await access.service(f"Bearer {token}") == ServiceName.GATEWAY
    with pytest.raises(TokenRefused):
        await access.principal(f"Bearer {token}")


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _tampered(token: str) -> str:
    head, _, signature = token.split(".")
    payload = json.dumps(_claims(token) | {"scopes": list(Scope)}).encode()
    return f"{head}.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.{signature}"


def _unsigned(token: str) -> str:
    headers = {"typ": PRINCIPAL_TOKEN, "kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(_claims(token), "", algorithm="none", headers=headers)


def _foreign(token: str) -> str:
    headers = {"typ": PRINCIPAL_TOKEN, "kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(_claims(token), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=headers)


@pytest.mark.parametrize("forge", [_tampered, _unsigned, _foreign])
async def test_a_forged_token_is_refused(identity: Installation, forge: Any) -> None:
    token = (await identity.verify(identity.data_key)).token
    with pytest.raises(TokenRefused):
        await verifier(identity).verify(forge(token), audience=Audience.DRAFTS, kind=PRINCIPAL_TOKEN, read=dict)


async def test_a_malformed_secret_has_its_own_code(identity: Installation) -> None:
    secret = identity.data_key
    swapped = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    assert await refusal(identity, swapped) == (401, "api_key_malformed")
    assert await refusal(identity, "") == (401, "api_key_malformed")


async def test_an_unknown_key_has_its_own_code(identity: Installation) -> None:
    assert await refusal(identity, api_keys.make("live")) == (401, "api_key_unknown")


async def test_a_revoked_key_has_its_own_code(identity: Installation) -> None:
    key = await identity.issue()
    await identity.call(identity.admin_key, "DELETE", f"/api/v1/keys/{key.id}")
    assert await refusal(identity, key.key) == (401, "api_key_revoked")


async def test_an_expired_key_has_its_own_code(identity: Installation) -> None:
    key = await identity.issue()
    await identity.sql("UPDATE identity.keys SET expires_at = now() WHERE id = $1", key.id)
    assert await refusal(identity, key.key) == (401, "api_key_expired")


async def test_a_disabled_key_has_its_own_code(identity: Installation) -> None:
    key = await identity.issue()
    await identity.sql("UPDATE identity.keys SET enabled = false WHERE id = $1", key.id)
    assert await refusal(identity, key.key) == (401, "api_key_disabled")


async def test_a_suspended_tenant_stops_all_its_keys(identity: Installation) -> None:
    tenant = await identity.tenant()
    key = await identity.issue(tenant_id=tenant)
    await identity.sql("UPDATE identity.tenants SET status = 'suspended' WHERE id = $1", UUID(tenant))
    assert await refusal(identity, key.key) == (403, "tenant_suspended")


@pytest.mark.parametrize("client_ip", ["10.9.0.1", "::ffff:10.9.0.1"])
async def test_a_key_works_inside_its_networks(identity: Installation, client_ip: str) -> None:
    key = await identity.issue(cidrs=["10.9.0.0/16"])
    assert (await identity.verify(key.key, client_ip=client_ip)).principal.key_id == key.id


@pytest.mark.parametrize("client_ip", ["10.8.0.1", "2001:db8::1", "no address", None])
async def test_a_key_is_refused_outside_its_networks(identity: Installation, client_ip: str | None) -> None:
    key = await identity.issue(cidrs=["10.9.0.0/16"])
    assert await refusal(identity, key.key, client_ip) == (403, "ip_not_allowed")


async def test_the_sequence_of_a_verdict_grows_with_every_change(identity: Installation) -> None:
    key = await identity.issue()
    first = (await identity.verify(key.key)).sequence
    other = await identity.issue()
    second = (await identity.verify(key.key)).sequence
    await identity.call(identity.admin_key, "DELETE", f"/api/v1/keys/{other.id}")
    third = (await identity.verify(key.key)).sequence
    assert first < second < third


async def test_a_change_is_written_with_the_number_verdicts_then_carry(identity: Installation) -> None:
    key = await identity.issue()
    rows = await identity.sql("SELECT sequence, action FROM identity.changes WHERE subject_id = $1", key.id)
    assert [(row["sequence"], row["action"]) for row in rows] == [
        ((await identity.verify(key.key)).sequence, "created")
    ]


@pytest.mark.parametrize("service", [name for name in ServiceName if name != ServiceName.GATEWAY])
async def test_only_the_gateway_may_verify(identity: Installation, service: ServiceName) -> None:
    with pytest.raises(ServiceMisconfigured) as refused:
        await identity.client(service).verify(VerifyRequest(secret=identity.data_key, audience=Audience.DRAFTS))
    assert isinstance(refused.value.__cause__, RelayedProblem)
    assert refused.value.__cause__.http_status == 404


async def test_a_principal_may_not_verify(identity: Installation) -> None:
    token = (await identity.verify(identity.admin_key, Audience.IDENTITY)).token
    body = {"secret": identity.data_key, "audience": "drafts"}
    answer = await identity.send("POST", "/internal/verify", body, token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")


@pytest.mark.parametrize("service_key", ["", "not-a-service-key", "the-service-key-of-gatewa"])
async def test_an_unknown_service_key_gets_no_token(identity: Installation, service_key: str) -> None:
    answer = await identity.send("POST", "/internal/service-token", {"audience": "storage"}, token=service_key)
    assert (answer.status_code, answer.json()["code"]) == (401, "service_key_refused")


async def test_a_service_token_lives_five_minutes(identity: Installation) -> None:
    before = datetime.now(UTC)
    secret = SERVICE_SECRETS[ServiceName.CLEANER]
    answer = await identity.send("POST", "/internal/service-token", {"audience": "metadata"}, token=secret)
    expires_at = datetime.fromisoformat(answer.json()["expires_at"])
    after = datetime.now(UTC)
    assert before + timedelta(seconds=299) <= expires_at <= after + timedelta(seconds=300)


async def test_the_published_keys_hold_nothing_private(identity: Installation) -> None:
    answer = await identity.send("GET", "/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


async def test_a_retired_signing_key_is_published_no_more(identity: Installation) -> None:
    values = "('gone', '{\"kid\": \"gone\"}', '', now() - interval '1 hour', now() - interval '1 minute')"
    columns = "kid, public_jwk, private_pem, active_at, retire_at"
    await identity.sql(f"INSERT INTO identity.signing_keys ({columns}) VALUES {values}")  # noqa: S608
    published = (await identity.send("GET", "/.well-known/jwks.json")).json()["keys"]
    assert "gone" not in {key["kid"] for key in published}


async def test_a_key_not_yet_active_is_published_before_it_signs(identity: Installation) -> None:
    values = "('next', '{\"kid\": \"next\"}', '', now() + interval '1 hour')"
    await identity.sql(f"INSERT INTO identity.signing_keys (kid, public_jwk, private_pem, active_at) VALUES {values}")  # noqa: S608
    try:
        published = (await identity.send("GET", "/.well-known/jwks.json")).json()["keys"]
        async with identity.app.state.context.store.read() as reader:
            signing = await reader.signing_keys.current()
    finally:
        await identity.sql("DELETE FROM identity.signing_keys WHERE kid = 'next'")
    assert "next" in {key["kid"] for key in published}
    assert signing.kid != "next"


async def test_verifying_while_a_key_is_revoked_never_answers_a_later_sequence_with_the_old_state(
    identity: Installation,
) -> None:
    for _ in range(10):
        key = await identity.issue()
        verdict, _answer = await asyncio.gather(
            _sequence_or_none(identity, key.key),
            identity.call(identity.admin_key, "DELETE", f"/api/v1/keys/{key.id}"),
        )
        rows = await identity.sql(
            "SELECT sequence FROM identity.changes WHERE subject_id = $1 AND action = 'revoked'", key.id
        )
        assert verdict is None or verdict < rows[0]["sequence"]


async def _sequence_or_none(identity: Installation, secret: str) -> int | None:
    try:
        return (await identity.verify(secret)).sequence
    except RelayedProblem:
        return None


async def test_a_key_with_a_scope_of_a_later_release_keeps_the_powers_known_here(identity: Installation) -> None:
    key = await identity.issue(scopes=["drafts:read"])
    await identity.sql("UPDATE identity.keys SET scopes = scopes || '{drafts:dream}' WHERE id = $1", key.id)
    assert (await identity.verify(key.key)).principal.scopes == {Scope.DRAFTS_READ}
