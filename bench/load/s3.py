"""Requests to the store itself, signed in the query string.

A signer of its own, a few lines without a cache: what is measured must not stand on what it is measured against, and
signing ends before the load begins.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape

from bench.load.requests import render
from support.store_view import StoreCredentials

KEYS_PER_DELETE = 1000
"""The most one DeleteObjects takes (S3 API reference)."""

_LIFETIME = "3600"
_SAFE = "/-_.~"


class Store:
    """Renders S3 requests for one store, addressed by path, good for an hour."""

    def __init__(self, credentials: StoreCredentials) -> None:
        url = urlsplit(credentials.endpoint)
        assert url.port is not None  # noqa: S101  our stores have one
        self.endpoint, self.port, self._host = credentials.endpoint, url.port, url.netloc
        self._now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._now[:8]}/us-east-1/s3/aws4_request"
        self._credential = f"{credentials.access_key}/{self._scope}"
        self._key = f"AWS4{credentials.secret_key}".encode()
        for part in self._scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        amz: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> bytes:
        """One request; `path` is `/bucket/key`, `amz` the headers that must be signed, in lower case."""
        target = self.target(method, path, query=query, amz=amz)
        return render(method, target, {"Host": self._host, **(amz or {}), **(headers or {})}, body)

    def target(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, amz: Mapping[str, str] | None = None
    ) -> str:
        """Path and signed query (AWS documentation, "Authenticating Requests: Using Query Parameters")."""
        signed = {"host": self._host, **(amz or {})}
        names = ";".join(sorted(signed))
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": self._credential,
            "X-Amz-Date": self._now,
            "X-Amz-Expires": _LIFETIME,
            "X-Amz-SignedHeaders": names,
            **(query or {}),
        }
        encoded = urlencode(sorted(parameters.items()), quote_via=quote, safe="-_.~")
        quoted = quote(path, safe=_SAFE)
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = f"{method}\n{quoted}\n{encoded}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self._now}\n{self._scope}\n{digest}"
        return f"{quoted}?{encoded}&X-Amz-Signature={hmac.digest(self._key, text.encode(), 'sha256').hex()}"

    def puts(self, bucket: str, keys: Iterable[str], content: bytes) -> Iterator[bytes]:
        """The same bytes at every key."""
        return (self.request("PUT", f"/{bucket}/{key}", body=content) for key in keys)

    def promotions(self, source: str, target: str, keys: Iterable[str]) -> Iterator[bytes]:
        """For each key HEAD, COPY to the other bucket, DELETE: three requests in this order."""
        for key in keys:
            yield self.request("HEAD", f"/{source}/{key}")
            yield self.request("PUT", f"/{target}/{key}", amz={"x-amz-copy-source": f"/{source}/{key}"})
            yield self.request("DELETE", f"/{source}/{key}")

    def deletions(self, bucket: str, keys: list[str]) -> Iterator[bytes]:
        """DeleteObjects of a thousand keys each, quiet."""
        for start in range(0, len(keys), KEYS_PER_DELETE):
            part = keys[start : start + KEYS_PER_DELETE]
            named = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in part)
            body = f"<Delete><Quiet>true</Quiet>{named}</Delete>".encode()
            digest = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            headers = {"Content-MD5": digest, "Content-Type": "application/xml"}
            yield self.request("POST", f"/{bucket}", query={"delete": ""}, headers=headers, body=body)
