"""The keys that sign internal tokens (ES256), and the tokens."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from draftstore_common.access import principal_claims
from draftstore_common.contracts.identity import (
    PRINCIPAL_TOKEN,
    SERVICE_TOKEN,
    Audience,
    Principal,
    ServiceName,
    ServiceToken,
)
from draftstore_common.kit.clock import Clock, utc_now
from draftstore_common.kit.errors import CannotStart
from draftstore_common.kit.tokens import ALGORITHM, ISSUER

PRINCIPAL_TOKEN_TTL = timedelta(seconds=60)
SERVICE_TOKEN_TTL = timedelta(minutes=5)

_ENCRYPTED = b"ENCRYPTED PRIVATE KEY"


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A signing key as its row holds it: the private half in PKCS #8 PEM, encrypted if there is a passphrase."""

    kid: str
    public_jwk: Mapping[str, str]
    private_pem: bytes


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A signing key ready for use."""

    kid: str
    private: EllipticCurvePrivateKey


def new_signing_key(passphrase: bytes | None) -> StoredSigningKey:
    """A fresh P-256 key pair."""
    private = generate_private_key(SECP256R1())
    kid = secrets.token_hex(8)
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return StoredSigningKey(
        kid=kid,
        public_jwk={**public, "kid": kid, "use": "sig", "alg": ALGORITHM},
        private_pem=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection),
    )


def open_signing_key(stored: StoredSigningKey, passphrase: bytes | None) -> SigningKey:
    """The key of a row; raises `CannotStart` unless the passphrase opens it. A plain key needs none."""
    try:
        needed = passphrase if _ENCRYPTED in stored.private_pem else None
        private = load_pem_private_key(stored.private_pem, needed)
    except (TypeError, ValueError) as error:
        text = "SIGNING_KEY_SECRET does not open the signing key in the database; set the one it was made with"
        raise CannotStart(text) from error
    assert isinstance(private, EllipticCurvePrivateKey)  # noqa: S101  nothing else is ever stored
    return SigningKey(stored.kid, private)


class TokenIssuer:
    """Signs tokens that one service accepts for a short while."""

    def __init__(self, key: SigningKey, *, clock: Clock = utc_now) -> None:
        self._key = key
        self._clock = clock

    @property
    def kid(self) -> str:
        """The id of the key that signs."""
        return self._key.kid

    def use(self, key: SigningKey) -> None:
        """Sign with another key from now on."""
        self._key = key

    def principal(self, principal: Principal, audience: Audience, *, until: datetime | None) -> tuple[str, datetime]:
        """A token for a principal and when it expires: in 60 s, or at `until` if that is sooner."""
        expires_at = self._clock() + PRINCIPAL_TOKEN_TTL
        claims = principal_claims(principal)
        return self._sign(PRINCIPAL_TOKEN, audience, claims, min(expires_at, until or expires_at))

    def service(self, name: ServiceName, audience: Audience) -> ServiceToken:
        """A token that says which service calls, good for 5 minutes."""
        expires_at = self._clock() + SERVICE_TOKEN_TTL
        token, expires_at = self._sign(SERVICE_TOKEN, audience, {"sub": name.value}, expires_at)
        return ServiceToken(token=token, expires_at=expires_at)

    def _sign(
        self, kind: str, audience: Audience, claims: Mapping[str, Any], expires_at: datetime
    ) -> tuple[str, datetime]:
        seconds = int(expires_at.timestamp())
        issued = {"iss": ISSUER, "aud": audience.value, "iat": int(self._clock().timestamp()), "exp": seconds}
        payload = {**claims, **issued, "jti": secrets.token_hex(12)}
        headers = {"typ": kind, "kid": self._key.kid}
        token = jwt.encode(payload, self._key.private, algorithm=ALGORITHM, headers=headers)
        return token, datetime.fromtimestamp(seconds, UTC)
