"""The algorithm: canonical request, string to sign, day key, signature.

Rules: AWS documentation, "Authenticating Requests: Using the Authorization Header", "… Using Query Parameters" and
"Authenticating Requests in Browser-Based Uploads Using POST" (AWS Signature Version 4).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from draftstore_storage.signing.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"

_UNRESERVED = "-_.~"

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~-]*")


def encode(text: str) -> str:
    """UriEncode of the specification: everything but unreserved characters (RFC 3986) as %XX in UTF-8."""
    return quote(text, safe=_UNRESERVED)


def encode_path(key: str) -> str:
    """UriEncode for a key: as `encode`, with slashes kept."""
    return key if _PLAIN_PATH.fullmatch(key) else quote(key, safe="/" + _UNRESERVED)


def canonical_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """The names, joined by semicolons, and the lines that are signed. The names given are in lower case."""
    names = sorted(headers)
    return ";".join(names), "".join([f"{name}:{' '.join(headers[name].split())}\n" for name in names])


def canonical_query(query: Mapping[str, str]) -> str:
    """The query string, sorted and encoded: what is signed, and what must be sent. The names need no encoding."""
    return "&".join([f"{name}={encode(query[name])}" for name in sorted(query)])


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


class DayKey:
    """Signs for one access key, day and region. Deriving it takes four HMACs; using it, half of one."""

    __slots__ = ("_keyed", "credential", "scope")

    def __init__(self, credentials: Credentials, day: str, region: str) -> None:
        self.scope = f"{day}/{region}/s3/aws4_request"
        self.credential = f"{credentials.access_key}/{self.scope}"
        day_key = _hmac(b"AWS4" + credentials.secret_key.encode(), day)
        key = _hmac(_hmac(_hmac(day_key, region), "s3"), "aws4_request")
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def sign(self, text: str) -> str:
        """The signature in hexadecimal."""
        mac = self._keyed.copy()
        mac.update(text.encode())
        return mac.hexdigest()


@dataclass(frozen=True, slots=True)
class Window:
    """How long a presigned URL is good, and the part of its query that other URLs of that second and lifetime share.

    What follows it are the names of the signed headers.
    """

    expires_at: datetime
    query: str


class Stamp:
    """All of a signature that does not change within one second; `now` is that second in UTC.

    `headers` are those that a request signed in its headers has for it.
    """

    __slots__ = ("_head", "_windows", "credentials", "headers", "key", "now", "over_at", "timestamp")

    def __init__(self, credentials: Credentials, key: DayKey, now: datetime) -> None:
        self.credentials = credentials
        self.key = key
        self.now = now
        self.over_at = now + timedelta(seconds=1)
        self.timestamp = now.strftime("%Y%m%dT%H%M%SZ")
        token = credentials.session_token
        self.headers = {"x-amz-date": self.timestamp, **({"x-amz-security-token": token} if token else {})}
        self._head = f"{ALGORITHM}\n{self.timestamp}\n{key.scope}\n"
        self._windows: dict[int, Window] = {}

    def sign_request(self, canonical_request: str) -> str:
        """The signature of a canonical request."""
        return self.key.sign(self._head + hashlib.sha256(canonical_request.encode()).hexdigest())

    def window(self, lifetime: int) -> Window:
        """What ends after `lifetime` seconds, or with the credentials."""
        found = self._windows.get(lifetime)
        if found is None:
            found = self._windows[lifetime] = self._window(lifetime)
        return found

    def _window(self, lifetime: int) -> Window:
        token, limit = self.credentials.session_token, self.credentials.expires_at
        wanted = self.now + timedelta(seconds=lifetime)
        expires_at = wanted if limit is None else min(wanted, limit.replace(microsecond=0))
        query = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": self.key.credential,
            "X-Amz-Date": self.timestamp,
            "X-Amz-Expires": str(int((expires_at - self.now).total_seconds())),
            **({"X-Amz-Security-Token": token} if token else {}),
            "X-Amz-SignedHeaders": "",
        }
        return Window(expires_at, canonical_query(query))


class Stamps:
    """Makes the stamp of this second, the day's key once a day, and both again when the credentials change."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._held: Stamp | None = None

    def at(self, now: datetime, credentials: Credentials) -> Stamp:
        """The stamp for `now` (UTC)."""
        held = self._held
        if held is None or not held.now <= now < held.over_at or held.credentials is not credentials:
            second = now.replace(microsecond=0)
            held = self._held = Stamp(credentials, self._day_key(second, credentials), second)
        return held

    def _day_key(self, now: datetime, credentials: Credentials) -> DayKey:
        held = self._held
        if held is not None and held.credentials is credentials and held.now.date() == now.date():
            return held.key
        return DayKey(credentials, now.strftime("%Y%m%d"), self._region)
