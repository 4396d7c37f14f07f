"""Signed tokens (JWT, ES256): a cache of the issuer's public keys, and a strict verifier.

Fixed algorithm and type, required claims, one audience; verified tokens are remembered until they expire,
so that a hop pays for a hash and not for a signature.
"""

import hashlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jwt
from jwt import PyJWK

from draftstore_common.kit.errors import Unauthorized, Unavailable
from draftstore_common.kit.flight import SingleFlight

log = logging.getLogger(__name__)

ALGORITHM = "ES256"
ISSUER = "draftstore-identity"
LEEWAY = 5
"""Seconds by which the clocks of two services may differ."""

FETCH_TIMEOUT = 5.0
"""Seconds one fetch of public keys may take."""

MAX_LIFETIME = 600
"""Seconds no token lives longer, whoever signed it and whatever it says."""

MAX_AGE = 60.0
"""Seconds after which public keys are fetched anew: a key that was withdrawn is forgotten about as fast."""

MAX_IDLE = 120.0
"""Seconds after which keys that nobody asked for meanwhile are not trusted before they were fetched anew."""

REQUIRED_CLAIMS = ("iss", "aud", "sub", "iat", "exp", "jti")

Claims = Mapping[str, Any]
Meaning = TypeVar("Meaning")
FetchJwks = Callable[[], Awaitable[Mapping[str, Any]]]


class TokenRefused(Unauthorized):
    """The token does not open this service. The caller is not told why; the log is."""

    code = "token_refused"
    detail = "The internal token was refused. Authenticate again through the gateway."


class KeysUnavailable(Unavailable):
    """No public keys are known and identity does not answer, so nobody can be let in."""

    code = "identity_unavailable"
    detail = "Credentials cannot be checked for the moment. Send the same request again shortly."


class JwksCache:
    """Public keys by `kid`. A key that is held serves at once while newer ones are fetched beside.

    One fetch serves all who wait; a new one begins at most once per `cooldown` seconds. While identity is away, the
    keys that are held go on serving, however old.
    """

    def __init__(
        self, fetch: FetchJwks, *, max_age: float = MAX_AGE, max_idle: float = MAX_IDLE, cooldown: float = 2.0
    ) -> None:
        self._fetch = fetch
        self._max_age = max_age
        self._max_idle = max_idle
        self._cooldown = cooldown
        self._keys: dict[str, PyJWK] = {}
        self._fetched = self._attempted = -math.inf
        self._failed = False
        self._flight = SingleFlight(self._refresh, timeout=FETCH_TIMEOUT)

    async def key(self, kid: str) -> PyJWK:
        """The key of this id.

        Raises `jwt.InvalidKeyError` if the issuer does not publish it, `KeysUnavailable` if it cannot be asked.
        """
        if kid not in self._keys or (self._age > self._max_idle and not self._failed):
            await self._look()
        elif self._age > self._max_age and self._may_try():
            self._flight.start()
        if kid in self._keys:
            return self._keys[kid]
        if self._failed:
            raise KeysUnavailable
        raise jwt.InvalidKeyError(f"no key is published as {kid[:40]!r}")

    async def ready(self) -> None:
        """Raise `KeysUnavailable` unless at least one key is known."""
        if not self._keys:
            await self._look()
        if not self._keys:
            raise KeysUnavailable

    @property
    def _age(self) -> float:
        return time.monotonic() - self._fetched

    def _may_try(self) -> bool:
        return time.monotonic() - self._attempted > self._cooldown

    async def _look(self) -> None:
        """Fetch, unless that was tried a moment ago. When it fails, the keys are those that were held before."""
        if self._flight.running or self._may_try():
            try:
                await self._flight.wait()
            except (Unavailable, TimeoutError) as error:
                log.warning("public keys not fetched in time", extra={"causes": [repr(error)]})

    async def _refresh(self) -> None:
        self._attempted, self._failed = time.monotonic(), True
        try:
            document = await self._fetch()
            self._keys = {entry["kid"]: PyJWK(entry, ALGORITHM) for entry in document["keys"]}
        except Exception as error:  # whatever it was, the keys we have are better than none
            log.warning("public keys not refreshed", extra={"causes": [repr(error)]})
            return
        self._fetched, self._failed = time.monotonic(), False


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token that was verified: until when it is good, by which key, and what was read from its claims."""

    kid: str
    expires_at: int
    meaning: Any


class TokenVerifier:
    """Says what a token means, or raises `TokenRefused`."""

    def __init__(self, keys: JwksCache, *, capacity: int = 4096) -> None:
        self._keys = keys
        self._capacity = capacity
        self._verified: dict[bytes, _Verified] = {}

    async def verify(self, token: str, *, audience: str, kind: str, read: Callable[[Claims], Meaning]) -> Meaning:
        """What `read` makes of the claims of a token of this `typ` for this audience; remembered with the token.

        Tokens of one `typ` are always read in the same way.
        """
        digest = hashlib.sha256(f"{kind} {audience} {token}".encode()).digest()
        try:
            known = self._verified.get(digest)
            if known is None or known.expires_at <= time.time():
                known = await self._check(token, audience, kind, read)
                self._remember(digest, known)
            else:
                await self._keys.key(known.kid)  # raises unless it is still published
        except jwt.PyJWTError as error:
            log.warning("token refused", extra={"reason": str(error), "audience": audience, "typ": kind})
            raise TokenRefused from error
        meaning: Meaning = known.meaning
        return meaning

    async def _check(self, token: str, audience: str, kind: str, read: Callable[[Claims], Any]) -> _Verified:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != kind:
            raise jwt.InvalidTokenError(f"typ is {str(header.get('typ'))[:40]!r}, not {kind!r}")
        kid = str(header.get("kid"))
        claims = self._decode(token, await self._keys.key(kid), audience)
        return _Verified(kid, int(claims["exp"]), read(claims))

    @staticmethod
    def _decode(token: str, key: PyJWK, audience: str) -> Claims:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": list(REQUIRED_CLAIMS), "strict_aud": True},
        )
        if int(claims["exp"]) - int(claims["iat"]) > MAX_LIFETIME:
            raise jwt.InvalidTokenError("it lives longer than any token of ours")
        return claims

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified.pop(digest, None)
        if len(self._verified) >= self._capacity:
            del self._verified[next(iter(self._verified))]  # the one verified longest ago
        self._verified[digest] = verified
