"""Tokens: one algorithm, one audience, one kind; keys are fetched rarely and the last good ones kept."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from draftstore_common.kit.tokens import ISSUER, JwksCache, KeysUnavailable, TokenRefused, TokenVerifier

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
JWKS = {"keys": [{**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k1"}]}
KIND = "service+jwt"


class Issuer:
    """Serves keys, counts fetches, and can be away."""

    def __init__(self) -> None:
        self.fetches = 0
        self.away = False
        self.hangs: asyncio.Event | None = None
        self.document: Mapping[str, Any] = JWKS

    async def fetch(self) -> Mapping[str, Any]:
        self.fetches += 1
        await asyncio.sleep(0)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.away:
            raise OSError("away")
        return self.document


def token(
    *,
    key: Any = KEY,
    algorithm: str = "ES256",
    typ: str = KIND,
    kid: str = "k1",
    crit: list[str] | None = None,
    **changes: Any,
) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "storage", "sub": "drafts", "iat": now, "exp": now + 60, "jti": "j", **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    more = {"crit": crit, **dict.fromkeys(crit, "x")} if crit else {}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, "typ": typ, **more})


async def verify(text: str, verifier: TokenVerifier | None = None) -> Mapping[str, Any]:
    verifier = verifier or TokenVerifier(JwksCache(Issuer().fetch))
    return await verifier.verify(text, audience="storage", kind=KIND, read=dict)


async def test_a_good_token_says_who_calls() -> None:
    assert (await verify(token()))["sub"] == "drafts"


def forged(header: Mapping[str, Any], secret: bytes) -> str:
    """A token with this header and an HMAC: what libraries refuse to make, and an attacker makes by hand."""
    claims = jwt.decode(token(), options={"verify_signature": False})
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    mac = hmac.new(secret, signed, hashlib.sha256).digest()
    return b".".join([signed, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


def unsigned(**header: Any) -> str:
    """A token that has no signature."""
    return forged(header, b"").rpartition(".")[0] + "."


def with_own_key(**header: Any) -> str:
    """A token of an attacker's key, that brings that key along."""
    claims = jwt.decode(token(), options={"verify_signature": False})
    return jwt.encode(claims, OTHER, "ES256", headers={"kid": "k1", "typ": KIND, **header})


PUBLIC_JWK = ECAlgorithm.to_jwk(KEY.public_key())
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
BAD = {
    "another audience": token(aud="metadata"),
    "several audiences": token(aud=["storage", "metadata"]),
    "expired": token(exp=int(time.time()) - 60),
    "of the future": token(iat=int(time.time()) + 600, exp=int(time.time()) + 660),
    "not yet valid": token(nbf=int(time.time()) + 600),
    "living for a year": token(exp=int(time.time()) + 365 * 86_400),
    "of another issuer": token(iss="somebody"),
    "of another type": token(typ="principal+jwt"),
    "of no type of ours": token(typ="JWT"),
    "of an unknown key": token(kid="unknown"),
    "of a key that is not the one it names": token(key=OTHER),
    "signed with a secret": token(key="secret-that-is-long-enough-for-hs256-use", algorithm="HS256"),
    "signed with the public key as a secret": forged({"alg": "HS256", "kid": "k1", "typ": KIND}, PUBLIC_PEM),
    "signed with the JWK as a secret": forged({"alg": "HS256", "kid": "k1", "typ": KIND}, PUBLIC_JWK.encode()),
    "an HMAC that says ES256": forged({"alg": "ES256", "kid": "k1", "typ": KIND}, PUBLIC_PEM),
    "of another elliptic curve": token(key=P384, algorithm="ES384"),
    "bringing its own key": with_own_key(jwk=json.loads(ECAlgorithm.to_jwk(OTHER.public_key()))),
    "naming where its key is": with_own_key(jku="https://attacker.example/jwks.json"),
    "with an extension nobody knows": token(crit=["extension"]),
    "unsigned": unsigned(alg="none", kid="k1", typ=KIND),
    "unsigned, in capitals": unsigned(alg="None", kid="k1", typ=KIND),
    "of no algorithm": unsigned(kid="k1", typ=KIND),
    "without exp": token(exp=None),
    "without aud": token(aud=None),
    "without sub": token(sub=None),
    "without iat": token(iat=None),
    "without jti": token(jti=None),
    "without iss": token(iss=None),
    "nothing": "",
    "no token": "not.a.token",
    "with a changed signature": token()[:-4] + "AAAA",
    "with another's claims": ".".join(
        [token().split(".")[0], token(sub="gateway").split(".")[1], token().split(".")[2]]
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_token_with_anything_wrong_is_refused_and_only_the_log_says_why(
    bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TokenRefused) as refused:
        await verify(bad)
    assert refused.value.detail == TokenRefused.detail
    (record,) = (record for record in caplog.records if record.message == "token refused")
    assert vars(record)["reason"]
    assert not bad or bad not in str(vars(record)), "the token itself is in no log"


async def test_a_verified_token_is_not_accepted_after_its_time() -> None:
    verifier = TokenVerifier(JwksCache(Issuer().fetch))
    text = token(exp=int(time.time()) + 60)
    await verify(text, verifier)
    for digest, verified in verifier._verified.items():
        verifier._verified[digest] = replace(verified, expires_at=int(time.time()) - 1)
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


WITHDRAWN: Mapping[str, Any] = {"keys": [{**ECAlgorithm.to_jwk(OTHER.public_key(), as_dict=True), "kid": "k2"}]}


async def test_a_token_that_was_accepted_is_refused_once_its_key_is_withdrawn() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, max_age=0, cooldown=0))
    text = token()
    await verify(text, verifier)
    issuer.document = WITHDRAWN
    assert (await verify(text, verifier))["sub"] == "drafts", "the keys are fetched beside this one"
    await _fetched(issuer, 2)
    with pytest.raises(TokenRefused):
        await verify(text, verifier)


async def test_keys_nobody_asked_for_in_a_long_while_are_not_trusted_before_they_are_fetched_anew() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, max_age=0, max_idle=0, cooldown=0))
    text = token()
    await verify(text, verifier)
    issuer.document = WITHDRAWN
    with pytest.raises(TokenRefused):
        await verify(text, verifier)


async def test_keys_nobody_asked_for_in_a_long_while_serve_if_identity_is_away() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, max_age=0, max_idle=0, cooldown=0))
    await verify(token(), verifier)
    issuer.away = True
    for number in range(3):
        assert (await verify(token(jti=str(number)), verifier))["sub"] == "drafts"


async def test_a_new_key_is_accepted_with_the_first_token_it_signed() -> None:
    issuer = Issuer()
    verifier = TokenVerifier(JwksCache(issuer.fetch, cooldown=0))
    await verify(token(), verifier)
    issuer.document = {"keys": [*JWKS["keys"], *WITHDRAWN["keys"]]}
    assert (await verify(token(key=OTHER, kid="k2"), verifier))["sub"] == "drafts"


async def _fetched(issuer: Issuer, times: int) -> None:
    async with asyncio.timeout(5):
        while issuer.fetches < times:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
