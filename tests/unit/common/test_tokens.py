"""Tokens: one algorithm, one audience, one kind; keys are fetched rarely and the last good ones kept."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from draftstore_common.kit.tokens import ISSUER, JwksCache, KeysUnavailable, TokenRefused, TokenVerifier

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
JWKS = {"keys": [{**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1"}]}
KIND = "service+jwt"


class Issuer:
    """Serves keys, counts fetches, and can be away."""

    def __init__(self) -> None:
        self.fetches = 0
        self.away = False
        self.hangs: asyncio.Event | None = None

    async def fetch(self) -> Mapping[str, Any]:
        self.fetches += 1
        await asyncio.sleep(0)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.away:
            raise OSError("away")
        return JWKS


def token(*, key: Any = KEY, algorithm: str = "ES256", typ: str = KIND, kid: str = "k1", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "storage", "sub": "drafts", "iat": now, "exp": now + 60, "jti": "j", **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, "typ": typ})


async def verify(text: str, verifier: TokenVerifier | None = None) -> Mapping[str, Any]:
    verifier = verifier or TokenVerifier(JwksCache(Issuer().fetch))
    return await verifier.verify(text, audience="storage", kind=KIND)


async def test_a_good_token_says_who_calls() -> None:
    assert (await verify(token()))["sub"] == "drafts"


@pytest.mark.parametrize(
    "bad",
    [
        token(aud="metadata"),
        token(aud=["storage", "metadata"]),
        token(exp=int(time.time()) - 60),
        token(iat=int(time.time()) + 600),
        token(iss="somebody"),
        token(typ="principal+jwt"),
        token(typ="JWT"),
        token(kid="unknown"),
        token(key=OTHER),
        token(key="secret-that-is-long-enough-for-hs256-use", algorithm="HS256"),
        token(key=None, algorithm="none"),
        token(exp=None),
        token(aud=None),
        token(sub=None),
        token(iat=None),
        token(jti=None),
        token(iss=None),
        "",
        "not.a.token",
        token()[:-4] + "AAAA",
    ],
)
async def test_a_token_with_anything_wrong_is_refused_without_saying_why(bad: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        await verify(bad)
    assert refused.value.detail == TokenRefused.detail


async def test_a_verified_token_is_not_accepted_after_its_time() -> None:
    verifier = TokenVerifier(JwksCache(Issuer().fetch))
    text = token(exp=int(time.time()) + 60)
    await verify(text, verifier)
    for digest, claims in verifier._verified.items():
        verifier._verified[digest] = {**claims, "exp": time.time() - 1}
    verifier._keys = JwksCache(Issuer().fetch)
    assert (await verify(text, verifier))["sub"] == "drafts", "checked again, and still good"


async def test_many_first_tokens_cost_one_fetch() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch))
    await asyncio.gather(*(verify(token(jti=str(number)), verifier) for number in range(20)))
    assert issuer.fetches == 1


async def test_unknown_key_ids_do_not_make_a_storm_of_fetches() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, cooldown=60))
    for number in range(10):
        with pytest.raises(TokenRefused):
            await verify(token(kid=f"k{number + 2}"), verifier)
    assert issuer.fetches == 1


async def test_the_last_good_keys_serve_while_identity_is_away() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, max_age=0, cooldown=0))
    await verify(token(), verifier)
    issuer.away = True
    assert (await verify(token(jti="j2"), verifier))["sub"] == "drafts"
    async with asyncio.timeout(5):
        while issuer.fetches < 2:
            await asyncio.sleep(0)
    with pytest.raises(KeysUnavailable):
        await verify(token(kid="new"), verifier)
    assert (await verify(token(jti="j3"), verifier))["sub"] == "drafts"


async def test_keys_that_are_held_serve_at_once_while_identity_hangs() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, max_age=0, cooldown=0))
    await verify(token(), verifier)
    issuer.hangs = asyncio.Event()
    async with asyncio.timeout(1):
        for number in range(5):
            assert (await verify(token(jti=f"h{number}"), verifier))["sub"] == "drafts"
    issuer.hangs.set()


async def test_without_any_keys_nobody_gets_in_and_the_caller_may_come_back() -> None:
    issuer = Issuer()
    issuer.away = True
    with pytest.raises(KeysUnavailable) as away:
        await verify(token(), TokenVerifier(JwksCache(issuer.fetch)))
    assert away.value.http_status == 503
