"""An issuer of internal tokens that needs no database: what identity signs, signed by a key of this test run."""

import json
import time
from collections.abc import Mapping
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from draftstore_common.clients.transport import Call, Reply
from draftstore_common.contracts.identity import SERVICE_TOKEN, Audience, ServiceName
from draftstore_common.kit.ids import random_base62
from draftstore_common.kit.tokens import ALGORITHM, ISSUER


class Issuer:
    """Signs tokens, and is the transport by which a service fetches the keys to check them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._kid = random_base62(8)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, call: Call) -> Reply:
        assert call.path == "/.well-known/jwks.json"
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        keys = {"keys": [{**public, "kid": self._kid, "alg": ALGORITHM, "use": "sig"}]}
        return Reply(200, {}, json.dumps(keys).encode())

    def token(self, subject: str, audience: Audience, *, typ: str = SERVICE_TOKEN, **claims: Any) -> str:
        """A token of this kind, good for a minute."""
        now = int(time.time())
        common = {"iss": ISSUER, "aud": audience, "sub": subject, "iat": now, "exp": now + 60, "jti": random_base62(8)}
        headers: Mapping[str, str] = {"kid": self._kid, "typ": typ}
        return jwt.encode({**common, **claims}, self._key, ALGORITHM, headers=dict(headers))

    def service(self, name: ServiceName) -> "ServiceSource":
        """The token source of one service."""
        return ServiceSource(self, name)


class ServiceSource:
    """Gives tokens of one service."""

    def __init__(self, issuer: Issuer, name: ServiceName) -> None:
        self._issuer = issuer
        self._name = name

    async def token(self, audience: Audience) -> str:
        return self._issuer.token(self._name, audience)

    def forget(self, audience: Audience, token: str) -> None:
        raise AssertionError(f"a good token for {audience} was refused: {token}")
