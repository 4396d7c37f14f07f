"""What is remembered of identity's verdicts, and for how long."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

import pytest

from draftstore_common.clients.identity import IdentityClient
from draftstore_common.clients.service_tokens import ServiceTokens
from draftstore_common.clients.transport import AsgiTransport, ServiceUnavailable
from draftstore_common.contracts import api_keys
from draftstore_common.contracts.identity import Audience, Change, Scope, Verdict, VerifyRequest
from draftstore_common.kit.context import set_timeout
from draftstore_common.kit.errors import RelayedProblem, Unavailable
from draftstore_gateway import verdict_cache, verdicts
from draftstore_gateway.errors import AddressNotAllowed, ApiKeyMalformed, ApiKeyMissing, VerificationFailed
from draftstore_gateway.verdict_cache import VerdictCache
from draftstore_gateway.verdicts import ATTEMPTS, Verdicts, bearer_secret
from support.gateway import SmallIdentity

HERE = "10.0.0.1"
ELSEWHERE = "10.9.0.1"


class _AnyToken:
    async def token(self, audience: Audience) -> str:
        return audience

    def forget(self, audience: Audience, token: str) -> None:
        raise AssertionError(f"a good token for {audience} was refused: {token}")


class _ExpiringSoon(IdentityClient):
    """An identity whose tokens are nearly over when they arrive."""

    async def verify(self, request: VerifyRequest) -> Verdict:
        verdict = await super().verify(request)
        return verdict.model_copy(update={"token_expires_at": datetime.now(UTC) + timedelta(seconds=5)})


def _verdicts(
    identity: SmallIdentity, client: type[IdentityClient] = IdentityClient, cache: VerdictCache | None = None
) -> Verdicts:
    tokens = _AnyToken()
    return Verdicts(client(AsgiTransport(identity.app), tokens), tokens, cache or VerdictCache())


async def test_a_verdict_is_asked_for_once_and_apart_for_every_audience() -> None:
    identity = SmallIdentity()
    secret, asked = identity.issue().secret, _verdicts(identity)
    for _ in range(3):
        await asked.verdict(secret, Audience.DRAFTS, HERE)
        await asked.verdict(secret, Audience.IDENTITY, ELSEWHERE)
    assert identity.verifications == 2


async def test_a_refusal_is_not_remembered() -> None:
    identity = SmallIdentity()
    asked, secret = _verdicts(identity), api_keys.make("live")
    for _ in range(2):
        with pytest.raises(RelayedProblem):
            await asked.verdict(secret, Audience.DRAFTS, HERE)
    assert identity.verifications == 2


async def test_all_who_ask_at_once_share_one_question_and_its_refusal() -> None:
    identity = SmallIdentity()
    asked, secret = _verdicts(identity), api_keys.make("live")
    outcomes = await asyncio.gather(
        *(asked.verdict(secret, Audience.DRAFTS, HERE) for _ in range(50)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {RelayedProblem}
    assert identity.verifications == 1


async def test_the_first_to_ask_may_leave_without_the_others_losing_their_answer() -> None:
    identity = SmallIdentity()
    identity.hold = asyncio.Event()
    asked, secret = _verdicts(identity), identity.issue(Scope.DRAFTS_READ).secret
    first = asyncio.create_task(asked.verdict(secret, Audience.DRAFTS, HERE))
    second = asyncio.create_task(asked.verdict(secret, Audience.DRAFTS, HERE))
    await identity.asked.wait()
    first.cancel()
    identity.hold.set()
    assert (await second).principal.scopes == {Scope.DRAFTS_READ}
    assert identity.verifications == 1


async def test_a_first_to_ask_with_little_time_does_not_shorten_the_time_of_the_others() -> None:
    identity = SmallIdentity()
    identity.hold = asyncio.Event()
    asked, secret = _verdicts(identity), identity.issue(Scope.DRAFTS_READ).secret

    async def within(seconds: float) -> Verdict:
        set_timeout(seconds)
        return await asked.verdict(secret, Audience.DRAFTS, HERE)

    hurried = asyncio.create_task(within(0.05))
    await identity.asked.wait()
    patient = asyncio.create_task(within(30))
    with pytest.raises(Unavailable):
        await hurried
    identity.hold.set()
    assert (await patient).principal.scopes == {Scope.DRAFTS_READ}
    assert identity.verifications == 1


async def test_an_identity_that_stays_silent_is_not_waited_for_longer_than_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdicts, "VERIFY_TIMEOUT", 0.05)
    identity = SmallIdentity()
    identity.hold = asyncio.Event()
    set_timeout(30)
    with pytest.raises(ServiceUnavailable):
        await asyncio.wait_for(_verdicts(identity).verdict(identity.issue().secret, Audience.DRAFTS, HERE), 10)


async def test_a_key_is_known_from_its_first_verdict_until_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_cache, "VERDICT_TTL", 0.0)
    identity = SmallIdentity()
    key, asked = identity.issue(), _verdicts(identity)
    assert not asked.knows(key.secret)
    await asked.verdict(key.secret, Audience.DRAFTS, HERE)
    assert asked.knows(key.secret)
    await asked.verdict(key.secret, Audience.IDENTITY, HERE)
    await identity.revoke(key)
    with pytest.raises(RelayedProblem):
        await asked.verdict(key.secret, Audience.DRAFTS, HERE)
    assert not asked.knows(key.secret)


async def test_a_remembered_verdict_is_good_only_inside_the_keys_networks() -> None:
    identity = SmallIdentity()
    secret, asked = identity.issue(cidrs=[ip_network("10.0.0.0/16")]).secret, _verdicts(identity)
    await asked.verdict(secret, Audience.DRAFTS, HERE)
    with pytest.raises(AddressNotAllowed):
        await asked.verdict(secret, Audience.DRAFTS, ELSEWHERE)
    assert identity.verifications == 1


async def test_a_verdict_whose_token_would_expire_on_its_way_is_asked_for_again() -> None:
    identity = SmallIdentity()
    secret, asked = identity.issue().secret, _verdicts(identity, _ExpiringSoon)
    for _ in range(2):
        await asked.verdict(secret, Audience.DRAFTS, HERE)
    assert identity.verifications == 2


async def test_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_cache, "CAPACITY", 2)
    identity = SmallIdentity()
    asked = _verdicts(identity)
    first, second, third = (identity.issue().secret for _ in range(3))
    for secret in (first, second, third, second, third):
        await asked.verdict(secret, Audience.DRAFTS, HERE)
    assert identity.verifications == 3
    await asked.verdict(first, Audience.DRAFTS, HERE)
    assert identity.verifications == 4


async def _until_overtaken(identity: SmallIdentity, cache: VerdictCache, subject_id: UUID) -> None:
    """A change to this subject is heard of while a good verdict is on its way."""
    await identity.asked.wait()
    await identity.feed.note(subject_id)
    cache.note([Change(sequence=identity.feed.sequence, subject="key", subject_id=subject_id)])
    assert identity.delay is not None
    identity.delay.set()


async def test_an_answer_that_a_revocation_overtook_is_not_used_and_not_kept() -> None:
    identity, cache = SmallIdentity(), VerdictCache()
    key, asked = identity.issue(), _verdicts(identity, cache=cache)
    identity.delay = asyncio.Event()
    request = asyncio.create_task(asked.verdict(key.secret, Audience.DRAFTS, HERE))
    await identity.asked.wait()
    await identity.revoke(key)
    await _until_overtaken(identity, cache, key.principal.key_id)
    with pytest.raises(RelayedProblem) as refused:
        await request
    assert refused.value.code == "api_key_unknown"
    assert identity.verifications == 2
    assert not asked.knows(key.secret)


async def test_an_answer_that_another_change_overtook_is_asked_for_again() -> None:
    identity, cache = SmallIdentity(), VerdictCache()
    key, asked = identity.issue(), _verdicts(identity, cache=cache)
    identity.delay = asyncio.Event()
    request = asyncio.create_task(asked.verdict(key.secret, Audience.DRAFTS, HERE))
    await _until_overtaken(identity, cache, key.principal.tenant_id)
    assert (await request).sequence == identity.feed.sequence
    assert identity.verifications == 2
    await asked.verdict(key.secret, Audience.DRAFTS, HERE)
    assert identity.verifications == 2


async def test_all_whose_answer_was_overtaken_share_the_next_question_too() -> None:
    identity, cache = SmallIdentity(), VerdictCache()
    key, asked = identity.issue(), _verdicts(identity, cache=cache)
    identity.delay = asyncio.Event()
    requests = [asyncio.create_task(asked.verdict(key.secret, Audience.DRAFTS, HERE)) for _ in range(20)]
    await _until_overtaken(identity, cache, key.principal.key_id)
    assert len(await asyncio.gather(*requests)) == 20
    assert identity.verifications == 2


async def test_an_identity_that_is_behind_its_own_feed_admits_nobody() -> None:
    identity, cache = SmallIdentity(), VerdictCache()
    key, asked = identity.issue(), _verdicts(identity, cache=cache)
    cache.note([Change(sequence=identity.feed.sequence + 1, subject="key", subject_id=key.principal.key_id)])
    with pytest.raises(ServiceUnavailable):
        await asked.verdict(key.secret, Audience.DRAFTS, HERE)
    assert identity.verifications == ATTEMPTS


async def test_a_key_is_known_although_a_change_made_its_verdict_worthless() -> None:
    identity, cache = SmallIdentity(), VerdictCache()
    key, asked = identity.issue(), _verdicts(identity, cache=cache)
    await asked.verdict(key.secret, Audience.DRAFTS, HERE)
    cache.restart(7)
    assert cache.get((hashlib.sha256(key.secret.encode()).digest(), Audience.DRAFTS)) is None
    assert asked.knows(key.secret)


async def test_a_gateway_that_identity_does_not_know_has_no_token_of_its_own() -> None:
    identity = SmallIdentity()
    transport = AsgiTransport(identity.app)
    tokens = ServiceTokens(transport, "another")
    with pytest.raises(VerificationFailed):
        await Verdicts(IdentityClient(transport, tokens), tokens, VerdictCache()).own_token(Audience.IDENTITY)


def test_the_secret_is_read_from_the_bearer_scheme_only() -> None:
    secret = api_keys.make("live")
    assert bearer_secret([f"Bearer {secret}"]) == secret
    with pytest.raises(ApiKeyMissing):
        bearer_secret([])
    for value in (secret, f"Basic {secret}", f"Bearer {secret[:-1]}", f"Bearer {secret}\u0660"):
        with pytest.raises(ApiKeyMalformed):
            bearer_secret([value])
