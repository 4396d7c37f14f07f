"""The algorithm: canonical request, string to sign, day key, signature.

Rules: AWS documentation, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" and
"Authenticating Requests in Browser-Based Uploads Using POST".
"""

import hashlib
import hmac
from datetime import datetime
from urllib.parse import quote

from draftstore_storage.signing.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"

_UNRESERVED = "-_.~"


def encode(text: str) -> str:
    """UriEncode of the specification: everything but unreserved characters (RFC 3986) as %XX in UTF-8."""
    return quote(text, safe=_UNRESERVED)


def encode_path(key: str) -> str:
    """UriEncode for a key: as `encode`, with slashes kept."""
    return quote(key, safe="/" + _UNRESERVED)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


class DayKey:
    """Signs for one access key, day and region. Deriving it takes four HMACs; using it takes one."""

    __slots__ = ("_key", "credential", "scope")

    def __init__(self, credentials: Credentials, day: str, region: str) -> None:
        self.scope = f"{day}/{region}/s3/aws4_request"
        self.credential = f"{credentials.access_key}/{self.scope}"
        day_key = _hmac(b"AWS4" + credentials.secret_key.encode(), day)
        self._key = _hmac(_hmac(_hmac(day_key, region), "s3"), "aws4_request")

    def sign(self, text: str) -> str:
        """The signature in hexadecimal."""
        return _hmac(self._key, text).hex()


class Stamp:
    """All of a signature that does not change within one second; `now` is that second in UTC."""

    __slots__ = ("_head", "credentials", "key", "now", "query", "timestamp")

    def __init__(self, credentials: Credentials, key: DayKey, now: datetime) -> None:
        self.credentials = credentials
        self.key = key
        self.now = now
        self.timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        self.query = (
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={encode(key.credential)}&X-Amz-Date={self.timestamp}"
        )
        self._head = f"{ALGORITHM}\n{self.timestamp}\n{key.scope}\n"

    def sign_request(self, canonical_request: str) -> str:
        """The signature of a canonical request."""
        return self.key.sign(self._head + hashlib.sha256(canonical_request.encode()).hexdigest())


class Stamps:
    """Makes the stamp of this second, the day's key once a day, and both again when the credentials change."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._held: Stamp | None = None

    def at(self, now: datetime, credentials: Credentials) -> Stamp:
        """The stamp for `now` (UTC)."""
        held = self._held
        second = now.replace(microsecond=0)
        if held is None or held.now != second or held.credentials is not credentials:
            held = self._held = Stamp(credentials, self._day_key(second, credentials), second)
        return held

    def _day_key(self, now: datetime, credentials: Credentials) -> DayKey:
        held = self._held
        if held is not None and held.credentials is credentials and held.now.date() == now.date():
            return held.key
        return DayKey(credentials, now.strftime("%Y%m%d"), self._region)
