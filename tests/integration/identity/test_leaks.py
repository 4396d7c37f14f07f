"""Leak reports: a secret that was found somewhere is ended, and the finder learns nothing."""

import hashlib

import pytest

from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import AsgiTransport
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Audience, ServiceName
from draftstore_common.kit.errors import RelayedProblem
from support.identity import SERVICE_SECRETS, Installation, installed

REPORT = "/api/v1/keys/revoke-leaked"


async def report(
    identity: Installation, *secrets: str, service: ServiceName = ServiceName.GATEWAY, ip: str = "198.51.100.7"
) -> tuple[int, bytes]:
    """Status and body of a report, as it arrives through the gateway."""
    token = await ServiceTokens(AsgiTransport(identity.app), SERVICE_SECRETS[service]).token(Audience.IDENTITY)
    answer = await identity.send("POST", REPORT, {"keys": list(secrets)}, token=token, x_forwarded_for=ip)
    return answer.status_code, answer.content


@pytest.mark.parametrize("kind", ["data", "admin"])
async def test_a_reported_key_is_revoked_whatever_its_kind(identity: Installation, kind: str) -> None:
    key = await identity.issue(kind=kind, scopes=["drafts:read"] if kind == "data" else [])
    assert await report(identity, key.key) == (202, b"")
    with pytest.raises(RelayedProblem) as refused:
        await identity.verify(key.key)
    assert refused.value.code == "api_key_revoked"


async def test_known_unknown_malformed_and_ended_secrets_are_answered_alike(identity: Installation) -> None:
    key, ended = await identity.issue(), await identity.issue()
    await report(identity, ended.key)
    for secret in (key.key, api_keys.make("live"), "nonsense", "", ended.key):
        assert await report(identity, secret) == (202, b"")


async def test_of_many_the_known_ones_are_revoked_once(identity: Installation) -> None:
    keys = [await identity.issue() for _ in range(3)]
    secrets = [key.key for key in keys]
    assert await report(identity, *secrets, *secrets, api_keys.make("test"), "nonsense") == (202, b"")
    assert await report(identity, *secrets) == (202, b"")
    for key in keys:
        assert [row["action"] for row in await identity.audit(key.id)] == ["key.created", "key.revoked"]


async def test_the_audit_log_says_why_and_from_where_a_key_was_revoked(identity: Installation) -> None:
    key = await identity.issue()
    await report(identity, key.key, ip="2001:db8::7")
    row = (await identity.audit(key.id))[-1]
    assert (row["actor"], row["outcome"], str(row["ip"])) == ("anonymous", "allowed", "2001:db8::7")
    assert (row["action"], row["detail"]) == ("key.revoked", {"reason": "leak_report"})
    assert row["tenant_id"] == key.tenant_id


async def test_only_the_gateway_brings_reports(identity: Installation) -> None:
    key = await identity.issue()
    status, _ = await report(identity, key.key, service=ServiceName.DRAFTS)
    assert status == 404
    principal = (await identity.verify(identity.admin_key, Audience.IDENTITY)).token
    for token in ("", principal):
        answer = await identity.send("POST", REPORT, {"keys": [key.key]}, token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
    assert (await identity.verify(key.key)).principal.key_id == key.id


@pytest.mark.parametrize("keys", [[], ["x" * 257], ["x"] * 101, "x"], ids=["none", "long", "many", "no list"])
async def test_a_report_that_is_none_is_refused_and_never_repeated(identity: Installation, keys: object) -> None:
    token = await ServiceTokens(AsgiTransport(identity.app), SERVICE_SECRETS[ServiceName.GATEWAY]).token(
        Audience.IDENTITY
    )
    answer = await identity.send("POST", REPORT, {"keys": keys}, token=token)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_keys")
    assert "xx" not in answer.text


async def test_reports_are_limited_by_address_and_charged_to_no_key(postgres_url: str) -> None:
    async with installed(postgres_url, admin_requests_per_minute=3) as identity:
        for ip in ("192.0.2.1", "2001:db8::1"):
            assert [(await report(identity, "x", ip=ip))[0] for _ in range(4)] == [202, 202, 202, 429]
        assert (await report(identity, "x", ip="192.0.2.2"))[0] == 202
        assert (await report(identity, "x", ip="2001:db8::ffff"))[0] == 429, "the same /64"
        assert (await report(identity, "x", ip="2001:db8:0:1::1"))[0] == 202
        assert (await identity.call(identity.admin_key, "GET", "/api/v1/keys")).status_code == 200


async def test_an_imported_key_can_be_reported(identity: Installation) -> None:
    secret = api_keys.make("live")
    body = {"name": "x", "scopes": ["drafts:read"], "hash": hashlib.sha256(secret.encode()).hexdigest()}
    await identity.call(identity.admin_key, "POST", "/api/v1/keys/import", body)
    await report(identity, secret)
    with pytest.raises(RelayedProblem):
        await identity.verify(secret)
